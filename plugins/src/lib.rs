//! The plugin host: WASM components and Luau, sandboxed, on a stream of typed channels.
//!
//! It never sees HTTP: it sees text segments, tools and grants. The clock and all powers come from outside as traits.

mod api;
#[allow(dead_code, reason = "the session that calls it is being written")]
mod guest;
#[allow(dead_code, reason = "the host that calls it is being written")]
mod wasm;

pub use api::*;
