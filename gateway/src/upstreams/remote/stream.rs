//! One answer of an upstream as a stream of chunks.
//!
//! Apart because it decides what counts as an end: what the dialect says is one, or the end of the connection when every choice that was
//! asked for has finished (some servers leave `[DONE]` out). Anything else is a cut. An end that is said again is said once. It must not know what is in the chunks beyond that.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use gatewright_types::{Chunk, Delta, Fault, FaultKind, FinishReason};

use super::super::body::{Reading, Stop};
use super::super::sse::{Bounds, EventReader, Overrun};
use super::{Asking, MAX_EVENT, Opened, Target};
use crate::dialects::ReadEvents;
use crate::dialects::openai_responses::stamp;

/// An answer, asked for when it is first polled.
pub(super) struct Answer {
    target: Arc<Target>,
    state: State,
    ends: Ends,
}

enum State {
    Asking(Asking),
    Listening(Box<Listening>),
    Over,
}

/// Events that come.
struct Listening {
    reading: Box<Reading>,
    events: EventReader,
    reader: Box<dyn ReadEvents>,
}

/// Which choices have finished.
struct Ends {
    finished: u128,
    wanted: u32,
    /// The last ends, while nothing more is said.
    last: Vec<(u32, FinishReason)>,
}

impl Ends {
    fn new(wanted: u32) -> Self {
        Self { finished: 0, wanted, last: Vec::new() }
    }

    /// Takes note of a chunk, and takes out of it what only says an end again. `None` when that is all.
    fn note(&mut self, mut chunk: Chunk) -> Option<Chunk> {
        let count = chunk.deltas.len();
        chunk.deltas.retain(|delta| match delta {
            Delta::Finish { choice, reason } => self.is_new(*choice, reason),
            Delta::Text { text, .. } | Delta::Reasoning { text, .. } | Delta::Refusal { text, .. } if text.is_empty() => true,
            Delta::Text { .. } | Delta::Reasoning { .. } | Delta::Refusal { .. } | Delta::ToolCall { .. } => {
                self.last.clear();
                true
            }
            _ => true,
        });
        if chunk.deltas.len() < count {
            chunk.raw = None;
            return Some(chunk).filter(|chunk| !chunk.deltas.is_empty());
        }
        Some(chunk)
    }

    fn is_new(&mut self, choice: u32, reason: &FinishReason) -> bool {
        let Some(bit) = 1u128.checked_shl(choice) else { return true };
        self.finished |= bit;
        if self.last.iter().any(|(at, known)| *at == choice && known == reason) {
            return false;
        }
        self.last.retain(|(at, _)| *at != choice);
        self.last.push((choice, reason.clone()));
        true
    }

    fn all(&self) -> bool {
        self.finished.count_ones() >= self.wanted.max(1)
    }
}

impl Answer {
    pub(super) fn new(target: Arc<Target>, choices: u32, asking: Asking) -> Self {
        Self { target, state: State::Asking(asking), ends: Ends::new(choices) }
    }

    fn fail(&mut self, fault: Fault) -> Poll<Option<Result<Chunk, Fault>>> {
        self.state = State::Over;
        Poll::Ready(Some(Err(self.target.named(fault))))
    }

    fn overrun(&mut self, overrun: Overrun) -> Poll<Option<Result<Chunk, Fault>>> {
        let fault = self.target.fault(FaultKind::UpstreamInvalid, "sent more than the gateway's limit").detail(overrun);
        self.fail(fault)
    }

    /// The end came. The connection is read to its end, if that is here or comes in a moment, so that it can serve again.
    fn done(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Chunk, Fault>>> {
        if let State::Listening(mut listening) = std::mem::replace(&mut self.state, State::Over)
            && listening.reading.poll_piece(context).is_pending()
        {
            listening.reading.linger();
        }
        Poll::Ready(None)
    }

    /// The body ended without a word of it.
    fn ended(&mut self, stop: Option<Stop>) -> Poll<Option<Result<Chunk, Fault>>> {
        self.state = State::Over;
        if self.ends.all() && !matches!(stop, Some(Stop::TooMuch(_))) {
            return Poll::Ready(None);
        }
        let fault = stop.map_or_else(|| self.target.cut(), |stop| self.target.stopped(stop));
        self.fail(fault)
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Chunk, Fault>>> {
        if let State::Asking(asking) = &mut self.state {
            match ready!(asking.as_mut().poll(context)) {
                Err(fault) => return self.fail(fault),
                Ok(Opened::Whole(chunk)) => {
                    self.state = State::Over;
                    return Poll::Ready(Some(Ok(*chunk)));
                }
                Ok(Opened::Events(reading, reader)) => {
                    let bounds = Bounds { event: MAX_EVENT.min(self.target.max_answer), total: self.target.max_answer };
                    let events = EventReader::new(bounds);
                    self.state = State::Listening(Box::new(Listening { reading, events, reader }));
                }
            }
        }
        self.poll_listening(context)
    }

    fn poll_listening(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Chunk, Fault>>> {
        loop {
            let State::Listening(listening) = &mut self.state else { return Poll::Ready(None) };
            if listening.reader.is_over() {
                return self.done(context);
            }
            match listening.events.next() {
                Err(overrun) => return self.overrun(overrun),
                Ok(Some(data)) => match listening.reader.event(data) {
                    Err(fault) => return self.fail(fault),
                    Ok(None) => return self.done(context),
                    Ok(Some(chunk)) => match self.ends.note(chunk) {
                        Some(chunk) => return Poll::Ready(Some(Ok(chunk))),
                        None => continue,
                    },
                },
                Ok(None) => {}
            }
            match ready!(listening.reading.poll_piece(context)) {
                Some(Ok(piece)) => {
                    if let Err(overrun) = listening.events.push(piece) {
                        return self.overrun(overrun);
                    }
                }
                Some(Err(stop)) => return self.ended(Some(stop)),
                None => match listening.events.rest().map(|data| listening.reader.event(data)) {
                    // The last event lacked its blank line only.
                    Some(Ok(None)) => return self.done(context),
                    Some(Ok(Some(chunk))) => {
                        if let Some(chunk) = self.ends.note(chunk) {
                            return Poll::Ready(Some(Ok(chunk)));
                        }
                    }
                    // Half an event is no event.
                    Some(Err(_)) | None => return self.ended(None),
                },
            }
        }
    }
}

impl Stream for Answer {
    type Item = Result<Chunk, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut polled = self.poll_chunk(context);
        if let Poll::Ready(Some(Ok(chunk))) = &mut polled
            && self.target.is_one_of_several
        {
            stamp(chunk, &self.target.name);
        }
        polled
    }
}
