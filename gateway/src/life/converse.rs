//! Sixth stage: the model is asked, its answer guarded while it comes, its calls of our tools run, and it is asked again.
//!
//! Apart because it owns the plugin chain for the whole answer. It must not know HTTP, nor how an answer is written. It takes
//! the stage before it:
//!
//! ```
//! # use gatewright::life::{Answered, Refused, Screened, converse};
//! async fn next(before: Screened) -> Result<Answered, Refused> {
//!     converse(before).await
//! }
//! ```
//! ```compile_fail
//! # use gatewright::life::{Admitted, Answered, Refused, converse};
//! async fn next(before: Admitted) -> Result<Answered, Refused> {
//!     converse(before).await
//! }
//! ```

mod again;
mod ask;
mod calls;
mod hear;
mod talk;
mod tools;
mod whole;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::unfold;
use gatewright_types::{Chunk, Fault, Prefill};

use self::talk::Talk;
use super::meter::has_content;
use super::refused::Refused;
use super::screen::Screened;
use super::seat::Seat;
use crate::upstreams::Deltas;

/// How the client wants its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As a stream.
    Stream {
        /// Whether it shall end with a usage chunk.
        usage: bool,
    },
    /// Whole.
    Whole,
}

/// An answer that has begun: the first of it is here, so that the status can be told.
pub struct Answered {
    pub(super) manner: Manner,
    pub(super) first: VecDeque<Chunk>,
    /// `None` when the first is all.
    pub(super) rest: Option<Deltas>,
    pub(super) prefill: Arc<Prefill>,
    // Last, so that it is given up after the rest has told the meter.
    pub(super) seat: Seat,
    _made_here: (),
}

impl std::fmt::Debug for Answered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answered").field("manner", &self.manner).field("first", &self.first).finish_non_exhaustive()
    }
}

/// Chunks without content that are held for the first one with it.
const MAX_FIRST: usize = 64;

/// Asks until the first of an answer is there.
///
/// # Errors
/// What went wrong, or a plugin's refusal, before anything could be sent.
pub async fn converse(screened: Screened) -> Result<Answered, Refused> {
    let Screened { caller, mut request, route, leave, guard, substitute, reach, mut seat, .. } = screened;
    request.origin = caller.origin();
    let prefill = request.origin.prefill.clone();
    seat.answers(caller.head.dialect.echo(&request));
    let manner = if request.stream { Manner::Stream { usage: request.include_usage } } else { Manner::Whole };
    let silence = caller.host.facts.limits.keep_alive;
    let meter = Arc::clone(seat.meter());
    let talk = Box::new(Talk::new(talk::Parts { caller, request, route, leave, guard, substitute, reach, meter, manner }));
    let mut deltas: Deltas = Box::pin(unfold(talk, |mut talk| async move {
        let item = talk.next().await?;
        Some((item, talk))
    }));
    match begin(&mut deltas, manner, silence).await {
        Ok((first, more)) => Ok(Answered { manner, first, rest: more.then_some(deltas), prefill, seat, _made_here: () }),
        Err(fault) => {
            // The talk tells the meter what its plugins did when it is dropped.
            drop(deltas);
            Err(seat.refuse(fault))
        }
    }
}

/// The chunks up to the first one with content, and whether more may come. After a long silence a stream is begun without knowing how
/// it goes on, so that the client can be kept waiting alive: until then a failure is a status, which is worth more.
async fn begin(deltas: &mut Deltas, manner: Manner, silence: Duration) -> Result<(VecDeque<Chunk>, bool), Fault> {
    let mut first = VecDeque::new();
    let waiting = async {
        while let Some(chunk) = deltas.next().await {
            let chunk = chunk?;
            let speaks = has_content(&chunk);
            first.push_back(chunk);
            if speaks || first.len() >= MAX_FIRST {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let more = match manner {
        Manner::Whole => waiting.await?,
        Manner::Stream { .. } => match tokio::time::timeout(silence, waiting).await {
            Ok(more) => more?,
            Err(_) => true,
        },
    };
    Ok((first, more))
}

#[cfg(test)]
mod tests;
