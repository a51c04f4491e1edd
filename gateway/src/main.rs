//! The binary: names the allocator and hands its arguments to the library.
//!
//! Apart because tests start the library from a binary of their own. It must not know what the arguments mean.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    gatewright::run(std::env::args_os())
}
