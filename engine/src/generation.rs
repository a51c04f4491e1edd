//! What a caller holds of a request: its deltas as they come.
//!
//! Apart because it is the public end of the queue. It must not know how deltas are made.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use gatewright_types::{Delta, Prefill};
use tokio::sync::mpsc;

use crate::error::EngineError;
use crate::queue::Queue;

/// The deltas of one request: `Text`, `Reasoning`, `Finish` per choice, then `Usage`. Dropping it frees the sequence within a step.
/// It is bounded: while nobody reads, the request pauses and others run. An error is the last item.
pub struct Generation {
    receiver: mpsc::Receiver<Result<Delta, EngineError>>,
    queue: Arc<Queue>,
    prefill: Arc<Prefill>,
    ended: bool,
}

impl Generation {
    pub(crate) fn new(receiver: mpsc::Receiver<Result<Delta, EngineError>>, queue: Arc<Queue>, prefill: Arc<Prefill>) -> Self {
        Self { receiver, queue, prefill, ended: false }
    }

    /// How many tokens of the prompt are read, and how many there are; `None` before they are counted.
    pub fn progress(&self) -> Option<(usize, usize)> {
        self.prefill.told()
    }
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Stream for Generation {
    type Item = Result<Delta, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let item = ready!(self.receiver.poll_recv(context));
        self.ended = !matches!(&item, Some(Ok(delta)) if !matches!(delta, Delta::Usage(_)));
        self.queue.ring();
        Poll::Ready(Some(item.unwrap_or_else(|| Err(EngineError::Step("the engine gave the request up".to_owned())))))
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.receiver.close();
        self.queue.ring();
    }
}
