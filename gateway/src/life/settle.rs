//! Last stage: the answer as a stream that carries its seat, so that it settles whenever the stream ends or is dropped.
//!
//! Apart because finish, fault and hang-up must take the same way. It must not know how the answer is written. It takes the
//! stage before it:
//!
//! ```
//! # use gatewright::life::{Answered, Settled, settle};
//! fn next(before: Answered) -> Settled {
//!     settle(before)
//! }
//! ```
//! ```compile_fail
//! # use gatewright::life::{Screened, Settled, settle};
//! fn next(before: Screened) -> Settled {
//!     settle(before)
//! }
//! ```

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use gatewright_types::{Chunk, Fault, Prefill};

use super::converse::{Answered, Manner};
use super::refused::Refused;
use super::seat::Seat;
use crate::upstreams::Deltas;

/// An answer on its way out. Dropped early, it is a hang-up: the upstream call is dropped with it, and the record says so.
pub struct Settled {
    manner: Manner,
    first: VecDeque<Chunk>,
    // Before the seat, so that the plugins have told the meter what they did when the seat writes its row.
    rest: Option<Deltas>,
    prefill: Arc<Prefill>,
    seat: Seat,
    over: bool,
}

impl std::fmt::Debug for Settled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settled").field("manner", &self.manner).finish_non_exhaustive()
    }
}

/// Puts the seat on the answer.
pub fn settle(answered: Answered) -> Settled {
    let Answered { manner, first, rest, prefill, mut seat, .. } = answered;
    if matches!(manner, Manner::Stream { .. }) {
        seat.speaks();
    }
    Settled { manner, first, rest, prefill, seat, over: false }
}

impl Settled {
    /// Whether the client was told that there is an answer.
    fn sent(&self) -> bool {
        matches!(self.manner, Manner::Stream { .. })
    }

    /// How the client wants it.
    pub fn manner(&self) -> Manner {
        self.manner
    }

    /// Tokens of its prompt that are read, and all of them, where someone says so and is not through.
    pub(crate) fn reading(&self) -> Option<(usize, usize)> {
        let reads = self.seat.meter().read(|figures| figures.engine_reads > 0);
        self.prefill.told().filter(|(read, all)| reads && read < all)
    }

    /// Ends in a fault of which nothing was sent yet.
    pub(crate) fn refused(mut self, fault: Fault) -> Refused {
        self.rest = None;
        self.seat.refuse(fault)
    }

    /// The seat, for what the headers say.
    pub(crate) fn seat(&self) -> &Seat {
        &self.seat
    }
}

impl Stream for Settled {
    type Item = Result<Chunk, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(chunk) = this.first.pop_front() {
            return Poll::Ready(Some(Ok(chunk)));
        }
        if this.over {
            return Poll::Ready(None);
        }
        let item = match &mut this.rest {
            None => None,
            Some(rest) => match rest.as_mut().poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(item) => item,
            },
        };
        match &item {
            Some(Ok(_)) => return Poll::Ready(item),
            // Before anything was sent, whoever gathers the answer refuses it.
            Some(Err(fault)) if this.sent() => this.seat.fault(fault),
            Some(Err(_)) => {}
            None => this.seat.finishes(),
        }
        this.over = true;
        this.rest = None;
        Poll::Ready(item)
    }
}
