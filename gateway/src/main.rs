//! The binary: hands its arguments to the library. Nothing else.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    gatewright::run(std::env::args_os())
}
