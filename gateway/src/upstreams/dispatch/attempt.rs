//! One try at one leg: it is listened to until it speaks, and watched to the end of its answer.
//!
//! Apart because here chunks are held that nobody may see yet, and because what an answer says of its leg is known at its end. It must
//! not try again.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::Stream;
use gatewright_types::{ChatRequest, Chunk, Delta, Fault, FaultKind};

use super::{Leg, judge};
use crate::upstreams::breaker::Health;
use crate::upstreams::state::Ticket;
use crate::upstreams::{Deadline, Deltas};

/// Chunks without content that are held; an upstream that sends more is taken to speak.
const MAX_HELD: usize = 64;

/// Listening until the leg speaks.
type Hearing = Pin<Box<dyn Future<Output = Result<Held, Fault>> + Send>>;

/// A try under way; awaited, it gives what the leg begins to say. Dropped, it is nobody's fault: the call is cancelled and says nothing of
/// the leg, unless its ticket was told.
pub(super) struct Attempt {
    pub(super) at: usize,
    pub(super) began: Instant,
    pub(super) ticket: Ticket,
    hearing: Hearing,
    deadline: Deadline,
    ample: Duration,
}

impl Attempt {
    /// Begins it; `limits` are when the answer must be complete, how long the first word may take, and after how long without one it
    /// is the leg's own fault that there was none.
    pub(super) fn begin(
        at: usize,
        ticket: Ticket,
        (leg, request): (&Leg, &Arc<ChatRequest>),
        limits: (Deadline, Option<Duration>, Duration),
    ) -> Self {
        let (began, (deadline, limit, ample)) = (Instant::now(), limits);
        let deltas = leg.upstream.answer(Arc::clone(request), deadline);
        let name = leg.upstream.name().to_owned();
        let hearing = async move {
            match limit {
                None => listen(deltas).await,
                Some(limit) => tokio::time::timeout(limit, listen(deltas)).await.unwrap_or_else(|_| Err(slow(&name, limit))),
            }
        };
        Self { at, began, ticket, hearing: Box::pin(hearing), deadline, ample }
    }
}

impl Future for Attempt {
    type Output = Result<Held, Fault>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let heard = std::task::ready!(this.hearing.as_mut().poll(context));
        if let Err(fault) = &heard {
            judge(&mut this.ticket, fault, Some(this.deadline).filter(|_| this.began.elapsed() < this.ample));
        }
        Poll::Ready(heard)
    }
}

/// The fault of a leg that has not said a word in its time.
fn slow(name: &str, limit: Duration) -> Fault {
    let message = format!("The upstream `{name}` did not begin its answer within {} seconds.", limit.as_secs_f64());
    Fault::upstream(name, FaultKind::UpstreamTimeout, message)
}

/// Waits until the answer speaks, and gives it back whole.
async fn listen(mut deltas: Deltas) -> Result<Held, Fault> {
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
    Ok(Held { held: held.into_iter(), rest: deltas })
}

/// Whether a client could notice that this was sent: text, a call, an end. A role, an id or a comment is no speech.
pub(super) fn speaks(chunk: &Chunk) -> bool {
    chunk.deltas.iter().any(|delta| match delta {
        Delta::Text { text, .. } | Delta::Reasoning { text, .. } | Delta::Refusal { text, .. } => !text.is_empty(),
        Delta::ToolCall { .. } | Delta::ToolResult { .. } | Delta::Logprobs { .. } | Delta::Finish { .. } => true,
        Delta::Other { delta, .. } => delta.iter().any(|(_, value)| !is_blank(value.get())),
        Delta::Start { .. } | Delta::Usage(_) => false,
    })
}

/// Whether a value of JSON says nothing: `null`, or one with nothing in it, which some servers send along with the role.
fn is_blank(json: &str) -> bool {
    let inside = |open, close| json.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)).map(str::trim_ascii);
    json == "null" || json == "\"\"" || inside('[', ']') == Some("") || inside('{', '}') == Some("")
}

/// What was held, and then the rest.
pub(super) struct Held {
    held: std::vec::IntoIter<Chunk>,
    rest: Deltas,
}

impl Held {
    /// The answer, which is a request at the leg to its end and tells how that came about.
    pub(super) fn with(self, ticket: Ticket, deadline: Deadline) -> Deltas {
        Box::pin(Spoken { answer: self, ticket, deadline })
    }
}

struct Spoken {
    answer: Held,
    ticket: Ticket,
    deadline: Deadline,
}

impl Stream for Spoken {
    type Item = Result<Chunk, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(chunk) = this.answer.held.next() {
            return Poll::Ready(Some(Ok(chunk)));
        }
        let item = std::task::ready!(this.answer.rest.as_mut().poll_next(context));
        match &item {
            Some(Ok(_)) => {}
            Some(Err(fault)) => judge(&mut this.ticket, fault, Some(this.deadline)),
            None => this.ticket.ended(Health::Good, Instant::now()),
        }
        Poll::Ready(item)
    }
}
