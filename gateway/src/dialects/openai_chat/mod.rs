//! OpenAI's chat completions, as clients send them and as compatible upstreams answer them.
//!
//! `request` reads and writes what is asked, `delta` reads answers, `write` writes them, `fault` words refusals, `wire` and `out`
//! are the JSON underneath. Nothing is lost on the way: what the canonical types do not have travels in their extras, byte for byte.
//! Apart so that another API is another folder. It must not know HTTP, sockets or time.

pub mod delta;
pub mod fault;
mod out;
pub mod request;
mod wire;
pub mod write;

#[cfg(test)]
mod golden;

/// The name of this dialect, as [`gatewright_types::Raw`] and [`gatewright_types::Fault::body`] carry it.
pub const NAME: &str = "openai_chat";
