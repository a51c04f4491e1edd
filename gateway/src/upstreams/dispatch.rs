//! Walks the legs of a route until one speaks.
//!
//! Apart because this is the only place that tries again. Speech begins with the first delta that has content: until then chunks
//! are held here and a failure may be tried again or elsewhere; from then on the stream is handed on, and whoever holds it has no
//! way to retry. It must not know what an upstream is beyond the trait.

use std::collections::hash_map::RandomState;
use std::future::poll_fn;
use std::hash::{BuildHasher, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::Stream;
use gatewright_types::{ChatRequest, Chunk, Delta, Fault, FaultKind, Retry, Side};

use super::pick::{Busy, Merits};
use super::{Deadline, Deltas, Upstream};
use crate::config::facts::Timeouts;
use crate::money::Price;
use crate::observe::AttemptOutcome;

/// One leg of a route, ready to be asked.
#[derive(Clone)]
pub struct Leg {
    /// `provider/model`, for records and metrics.
    pub name: String,
    /// Who answers.
    pub upstream: Arc<dyn Upstream>,
    /// The upstream's own name of the model.
    pub model: String,
    /// Tries before it is given up; 0 counts as 1.
    pub attempts: u32,
    /// Its time limits, if it has any.
    pub timeouts: Option<Timeouts>,
    /// What its place among the others goes by, and what it costs.
    pub merits: Merits,
}

impl std::fmt::Debug for Leg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leg").field("name", &self.name).field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

/// An answer that has begun.
pub struct Dispatched {
    /// The answer, from its first chunk.
    pub deltas: Deltas,
    /// Name of the leg that speaks.
    pub leg: String,
    /// What its model costs.
    pub price: Option<Price>,
}

/// Who is told of each try while it is made, so that those count too that come to nothing.
pub trait Witness: Sync {
    /// A leg is asked.
    fn asks(&self);

    /// The try at this leg ended so, after this long.
    fn ended(&self, leg: &str, outcome: AttemptOutcome, took: Duration);
}

/// The longest Retry-After that is waited for; a longer one is handed on to the client or makes the next leg's turn.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// Chunks without content that are held; an upstream that sends more is taken to speak.
const MAX_HELD: usize = 64;

/// Asks leg after leg, each as often as it allows, until one speaks.
///
/// # Errors
/// The last leg's fault; [`Retry::Here`] in it says when to come back. Where a leg took exception to a part of the request, that
/// comes first: it is what the client can do something about.
pub async fn dispatch<W: Witness>(
    legs: &[Leg],
    request: Arc<ChatRequest>,
    deadline: Deadline,
    witness: &W,
) -> Result<Dispatched, Fault> {
    let mut request = request;
    let mut blamed = None;
    let mut last = Fault::gateway(FaultKind::UnknownModel, "This route has no leg.");
    for leg in legs {
        if request.model != leg.model {
            Arc::make_mut(&mut request).model.clone_from(&leg.model);
        }
        for attempt in 1..=leg.attempts.max(1) {
            witness.asks();
            let (began, state) = (Instant::now(), &leg.merits.state);
            match listen(leg.upstream.answer(Arc::clone(&request), deadline), state.begin()).await {
                Ok(deltas) => {
                    let took = began.elapsed();
                    state.spoke(took);
                    witness.ended(&leg.name, AttemptOutcome::Spoke, took);
                    return Ok(Dispatched { deltas, leg: leg.name.clone(), price: leg.merits.price });
                }
                Err(fault) => last = fault,
            }
            if last.side != Side::Caller {
                state.failed();
            }
            let pause = wait(last.retry, attempt, deadline).filter(|_| attempt < leg.attempts);
            let outcome = if pause.is_some() { AttemptOutcome::Retried } else { AttemptOutcome::Failed };
            witness.ended(&leg.name, outcome, began.elapsed());
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None if last.retry == Retry::Never || Instant::now() >= deadline.0 => return Err(last),
                None => break,
            }
        }
        if last.side == Side::Caller && last.kind == FaultKind::InvalidRequest {
            blamed.get_or_insert_with(|| last.clone());
        }
    }
    Err(blamed.unwrap_or(last))
}

/// How long to wait before the same leg is asked again; `None`: not at all.
fn wait(retry: Retry, attempt: u32, deadline: Deadline) -> Option<Duration> {
    let wait = match retry {
        Retry::Never | Retry::Elsewhere => return None,
        Retry::Here(Some(after)) if after > LONGEST_WAIT => return None,
        Retry::Here(Some(after)) => after.max(backoff(1, draw()) / 2),
        Retry::Here(None) => backoff(attempt, draw()),
    };
    (Instant::now() + wait < deadline.0).then_some(wait)
}

/// Doubles with each attempt, between half and all of it by `draw`, so that many clients do not come back at once.
fn backoff(attempt: u32, draw: u64) -> Duration {
    let full = FIRST_BACKOFF.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(LONGEST_BACKOFF);
    full / 2 + (full / 2).mul_f64(draw as f64 / u64::MAX as f64)
}

/// A number that differs from call to call. For jitter and for the order of legs only.
pub fn draw() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Waits until the answer speaks, and gives it back whole; it counts as a request at the leg to its end.
async fn listen(mut deltas: Deltas, busy: Busy) -> Result<Deltas, Fault> {
    let mut held = Vec::new();
    loop {
        match poll_fn(|context| deltas.as_mut().poll_next(context)).await {
            Some(Err(fault)) => return Err(fault),
            Some(Ok(chunk)) => {
                let speaks = speaks(&chunk);
                held.push(chunk);
                if speaks || held.len() >= MAX_HELD {
                    break;
                }
            }
            None if held.is_empty() => {
                return Err(Fault::upstream("", FaultKind::UpstreamCut, "The upstream sent an empty answer."));
            }
            None => break,
        }
    }
    Ok(Box::pin(Spoken { held: held.into_iter(), rest: deltas, _busy: busy }))
}

/// Whether a client could notice that this was sent: text, a call, an end. A role, an id or a comment is no speech.
fn speaks(chunk: &Chunk) -> bool {
    chunk.deltas.iter().any(|delta| match delta {
        Delta::Text { text, .. } | Delta::Reasoning { text, .. } | Delta::Refusal { text, .. } => !text.is_empty(),
        Delta::ToolCall { .. } | Delta::ToolResult { .. } | Delta::Logprobs { .. } | Delta::Finish { .. } => true,
        Delta::Other { delta, .. } => delta.iter().any(|(_, value)| value.get() != "null"),
        Delta::Start { .. } | Delta::Usage(_) => false,
    })
}

/// What was held, and then the rest.
struct Spoken {
    held: std::vec::IntoIter<Chunk>,
    rest: Deltas,
    _busy: Busy,
}

impl Stream for Spoken {
    type Item = Result<Chunk, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.held.next() {
            Some(chunk) => Poll::Ready(Some(Ok(chunk))),
            None => self.rest.as_mut().poll_next(context),
        }
    }
}

#[cfg(test)]
mod tests;
