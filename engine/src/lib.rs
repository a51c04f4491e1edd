//! Inference of DeepSeek-R1's family on Burn: a request in, typed deltas out.
//!
//! It never sees a client: no HTTP, no arguments, no wire shapes. One OS thread owns the device.

mod api;
pub use api::*;
