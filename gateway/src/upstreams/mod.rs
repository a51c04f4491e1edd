//! Everything that answers is an upstream: a remote provider, the embedded engine. The cache stands beside them.
//!
//! Apart so that the life of a request sees one trait, whoever answers. It must not know clients, plugins or records.

pub mod affinity;
mod body;
pub mod breaker;
pub mod budget;
pub mod cache;
pub mod catalog;
pub mod dispatch;
#[cfg(feature = "engine")]
pub mod engine;
pub mod pick;
pub mod quirks;
pub mod remote;
pub mod rolling;
pub mod sse;
pub mod state;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

pub use crate::dialects::Carried;
use futures_util::Stream;
use gatewright_types::{ChatRequest, Chunk, Fault, FaultKind, Retry};

/// An answer as it comes. A clean end is `None` after each choice's `Finish`; an error is the last item. Dropping it cancels.
pub type Deltas = Pin<Box<dyn Stream<Item = Result<Chunk, Fault>> + Send>>;

/// When an answer must be complete.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub Instant);

/// The refusal of who has nothing of the kind that a request wants; another leg may.
fn has_none(request: &ChatRequest) -> Fault {
    let path = crate::dialects::named(request.wants).map_or(request.wants, |dialect| dialect.path());
    let message = format!("The model that would answer has no {path}.");
    Fault::caller(FaultKind::InvalidRequest, message).at("model").retry(Retry::Elsewhere)
}

/// Someone who answers.
pub trait Upstream: Send + Sync {
    /// Name, for faults, records and metrics.
    fn name(&self) -> &str;

    /// Asks. `request.model` is the upstream's own name of the model. Nothing happens before the first poll. The first item
    /// tells whether it speaks: an error there may be retried elsewhere.
    fn answer(&self, request: Arc<ChatRequest>, deadline: Deadline) -> Deltas;

    /// What becomes of a request on the way there.
    fn carries(&self, _: &ChatRequest) -> Carried {
        Carried::default()
    }

    /// What it is at, where it is ours to know.
    fn load(&self) -> Option<Load> {
        None
    }
}

/// The numbers of an upstream that is ours. Those of tokens and times only grow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    /// Requests that are being answered.
    pub running: usize,
    /// Requests that wait for their turn.
    pub waiting: usize,
    /// Pages of keys and values: used, cached, free.
    pub pages: [usize; 3],
    /// Tokens: of prompts, of those cached, generated.
    pub tokens: [u64; 3],
    /// Times that a sequence gave its pages up for another.
    pub preemptions: u64,
    /// Requests that were turned away because too many waited.
    pub refused: u64,
    /// From a request's coming to its first token.
    pub first_token: Times,
    /// From a token to the next.
    pub between_tokens: Times,
}

/// How long something took, each time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    /// Of all together, in seconds.
    pub sum: f64,
    /// How often it took at most so many seconds, and more than the bound before; the last bound is infinite.
    pub buckets: Vec<(f64, u64)>,
}
