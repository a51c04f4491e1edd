//! The kit: starts the real binary as a child process, with a configuration and a data folder of its own, and kills it.
//!
//! Apart so that every end-to-end test reads as a story. It must not know what the gateway does inside: it speaks HTTP and signals.

mod child;
mod http;
mod hub;
mod listener;
mod mock;
mod optional;
mod registry;
mod sse;

pub use child::{Broken, Gateway, Setup, binary, wait_until};
pub use http::{Live, Request, Response};
pub use hub::Hub;
pub use mock::Mock;
pub use optional::{named, skipped};
pub use registry::{Registry, sha256};
pub use sse::{Answer, Frame, frames, read_stream};
