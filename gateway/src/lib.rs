//! The gateway: the only room that opens sockets or reads the environment and the clock.
//!
//! Apart so that no other room needs any of these. It must not hold a tensor or guest memory. Start reading at [`life`]: the life of
//! a request on one screen.

mod chat;
mod cli;
pub mod clock;
pub mod conditions;
pub mod config;
pub mod dialects;
pub mod environment;
pub mod host;
pub mod http;
mod hub;
pub mod life;
pub mod limits;
pub mod logging;
mod memory;
pub mod mock;
pub mod money;
pub mod observe;
pub mod packed;
mod private;
pub mod records;
pub mod serve;
mod services;
pub mod supply;
mod terminal;
pub mod upstreams;

/// Does what the arguments say, the program's name first: the whole of the binary.
pub fn run(args: impl Iterator<Item = std::ffi::OsString>) -> std::process::ExitCode {
    cli::run(args, environment::Environment::read())
}
