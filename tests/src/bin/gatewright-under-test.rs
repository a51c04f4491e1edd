//! The gateway as the tests start and kill it: its entry, nothing added.
//!
//! Apart so that whoever builds the tests builds it. It must not know the tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    gatewright::run(std::env::args_os())
}
