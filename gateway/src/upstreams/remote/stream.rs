//! One answer of an upstream as a stream of chunks.
//!
//! Apart because it decides what counts as an end: `[DONE]`, or the end of the connection when every choice that was asked for has
//! finished (some servers send no `[DONE]`). Anything else is a cut. It must not know what is in the chunks beyond that.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use gatewright_types::{Chunk, Delta, Fault, FaultKind};

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
}

impl Ends {
    fn note(&mut self, chunk: &Chunk) {
        for delta in &chunk.deltas {
            if let Delta::Finish { choice, .. } = delta {
                self.finished |= 1u128.checked_shl(*choice).unwrap_or_default();
            }
        }
    }

    fn all(&self) -> bool {
        self.finished.count_ones() >= self.wanted.max(1)
    }
}

impl Answer {
    pub(super) fn new(target: Arc<Target>, choices: u32, asking: Asking) -> Self {
        Self { target, state: State::Asking(asking), ends: Ends { finished: 0, wanted: choices } }
    }

    fn fail(&mut self, fault: Fault) -> Poll<Option<Result<Chunk, Fault>>> {
        self.state = State::Over;
        Poll::Ready(Some(Err(self.target.named(fault))))
    }

    fn overrun(&mut self, overrun: Overrun) -> Poll<Option<Result<Chunk, Fault>>> {
        let fault = self.target.fault(FaultKind::UpstreamInvalid, "sent more than the gateway's limit").detail(overrun);
        self.fail(fault)
    }

    /// `[DONE]` came. The connection is read to its end, if that is here or comes in a moment, so that it can serve again.
    fn done(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Chunk, Fault>>> {
        if let State::Listening(mut listening) = std::mem::replace(&mut self.state, State::Over)
            && listening.reading.poll_piece(context).is_pending()
        {
            listening.reading.linger();
        }
        Poll::Ready(None)
    }

    /// The body ended without `[DONE]`.
    fn ended(&mut self, stop: Option<Stop>) -> Poll<Option<Result<Chunk, Fault>>> {
        self.state = State::Over;
        if self.ends.all() && !matches!(stop, Some(Stop::TooMuch(_))) {
            return Poll::Ready(None);
        }
        let fault = stop.map_or_else(|| self.target.cut(), |stop| self.target.stopped(stop));
        self.fail(fault)
    }

    fn poll_listening(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Chunk, Fault>>> {
        loop {
            let State::Listening(listening) = &mut self.state else { return Poll::Ready(None) };
            match listening.events.next() {
                Err(overrun) => return self.overrun(overrun),
                Ok(Some(data)) => match listening.reader.event(data) {
                    Err(fault) => return self.fail(fault),
                    Ok(None) => return self.done(context),
                    Ok(Some(mut chunk)) => {
                        self.ends.note(&chunk);
                        stamp(&mut chunk, &self.target.name);
                        return Poll::Ready(Some(Ok(chunk)));
                    }
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
                    Some(Ok(Some(mut chunk))) => {
                        self.ends.note(&chunk);
                        stamp(&mut chunk, &self.target.name);
                        return Poll::Ready(Some(Ok(chunk)));
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
        let this = &mut *self;
        if let State::Asking(asking) = &mut this.state {
            match ready!(asking.as_mut().poll(context)) {
                Err(fault) => return this.fail(fault),
                Ok(Opened::Whole(mut chunk)) => {
                    this.state = State::Over;
                    stamp(&mut chunk, &this.target.name);
                    return Poll::Ready(Some(Ok(*chunk)));
                }
                Ok(Opened::Events(reading, reader)) => {
                    let bounds = Bounds { event: MAX_EVENT.min(this.target.max_answer), total: this.target.max_answer };
                    let events = EventReader::new(bounds);
                    this.state = State::Listening(Box::new(Listening { reading, events, reader }));
                }
            }
        }
        this.poll_listening(context)
    }
}
