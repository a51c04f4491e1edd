//! The gateway as the tests start and kill it: its entry, nothing added. It must not know the tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    gatewright::run(std::env::args_os())
}
