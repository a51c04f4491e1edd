//! Inference of DeepSeek-R1's family on Burn: a request in, typed deltas out.
//!
//! [`Engine::open`] loads a Hugging Face folder or a GGUF file, [`Engine::submit`] gives a stream of deltas. Apart so that the gateway can be built
//! without it. It must not know clients: no HTTP, no arguments, no wire shapes (but that of log probabilities, which have no other), no
//! environment and no clock but a stopwatch. One OS thread owns the device and serves all requests in turn; what connects it to callers is bounded, and a reader that is slow or gone holds up nobody
//! else.

mod answer;
mod check;
mod config;
mod device;
mod engine;
mod error;
#[cfg(test)]
mod fixtures;
mod generation;
mod gguf;
mod grammar;
mod layers;
mod logprobs;
mod memory;
mod models;
mod ops;
mod options;
mod packing;
mod pages;
mod queue;
mod reading;
mod reasoning;
mod repetition;
mod room;
mod sample;
mod schedule;
mod sequence;
mod stats;
mod step;
mod stop;
mod template;
mod thought;
mod tokens;
mod tools;
mod weights;

pub use engine::Engine;
pub use error::EngineError;
pub use gatewright_types::{DeviceChoice, Priority, Quantization};
pub use generation::Generation;
pub use gguf::GgufFile;
pub use options::{EngineOptions, ModelFiles, TemplateChoice, Terms, YarnReading};
pub use reading::Reading;
pub use stats::{EngineStats, TIME_BOUNDS, Times};
