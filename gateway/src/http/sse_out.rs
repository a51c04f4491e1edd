//! A streamed answer as a body: one frame an event, a comment in long silences, and an end that tells how it went.
//!
//! Apart because it is polled by the server for every frame. It must not know stages; dropping it is a hang-up.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::http::HeaderName;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use gatewright_types::{Chunk, Delta, Fault, FaultKind, FinishReason};
use hyper::body::{Body, Frame};
use tokio::time::Sleep;

use super::heads::{self, told_lines};
use crate::dialects::WriteEvents;
use crate::life::Settled;

/// The body of a streamed answer.
pub(super) struct EventBody {
    /// `None` once all was said.
    settled: Option<Settled>,
    writer: Box<dyn WriteEvents>,
    /// Wakes in silences. It is not moved for each frame: when it wakes, it looks at the time of the last one.
    alarm: Pin<Box<Sleep>>,
    last: Instant,
    silence: Duration,
    /// Who answered and in how many attempts, as the headers told it.
    way: (Option<String>, u32),
    /// What they said of how the request was carried.
    carried: Vec<(HeaderName, String)>,
}

impl EventBody {
    /// A body that fills silences of this length.
    pub(super) fn new(settled: Settled, writer: Box<dyn WriteEvents>, silence: Duration) -> Self {
        let alarm = Box::pin(tokio::time::sleep(silence));
        let way = settled.seat().meter().read(|figures| (figures.leg.clone(), figures.attempts));
        let carried = heads::carried(settled.seat());
        Self { settled: Some(settled), writer, alarm, last: Instant::now(), silence, way, carried }
    }

    /// The end of an answer that ended well.
    fn end(&mut self) -> Bytes {
        // What plugins did later than the headers went out, and what it all cost, is told in comments.
        let settled = self.settled.take();
        let mut told = settled.as_ref().map(|settled| settled.seat().verdicts()).unwrap_or_default();
        // The headers told the way, unless more was tried since.
        told.way = told.way.filter(|way| (way.leg.as_ref(), way.attempts) != (self.way.0.as_ref(), self.way.1));
        if let Some(settled) = &settled {
            self.writer.ends(settled.seat().ended());
        }
        let end = self.writer.end();
        // Before the client has it: it may ask with its id at once.
        if let (Some(settled), Some(body)) = (&settled, self.writer.kept()) {
            settled.seat().keep(&body);
        }
        let mut bytes = BytesMut::with_capacity(end.len());
        let carried = settled.as_ref().map(|settled| heads::carried(settled.seat())).unwrap_or_default();
        let carried = carried.into_iter().filter(|line| !self.carried.contains(line));
        for (name, text) in told_lines(&told).chain(carried) {
            let comment = format!(": {name}: {}\n\n", text.replace(['\r', '\n'], " "));
            bytes.extend_from_slice(comment.as_bytes());
        }
        bytes.extend_from_slice(&end);
        bytes.freeze()
    }

    /// The end of an answer that failed: an error event and no proper end. A refusal before the first word is a proper end.
    fn fault(&mut self, fault: &Fault) -> Bytes {
        if !matches!(fault.kind, FaultKind::Blocked { .. }) {
            let settled = self.settled.take();
            let id = settled.as_ref().map_or("", |settled| &settled.seat().caller().head.request_id);
            if let Some(settled) = &settled {
                self.writer.ends(settled.seat().ended());
            }
            let said = self.writer.fault(fault, id);
            if let (Some(settled), Some(body)) = (&settled, self.writer.kept()) {
                settled.seat().keep(&body);
            }
            return said;
        }
        let finish = Chunk::of(vec![Delta::Finish { choice: 0, reason: FinishReason::ContentFilter }]);
        let mut bytes = BytesMut::from(self.writer.event(&finish).unwrap_or_default());
        bytes.extend_from_slice(&self.end());
        bytes.freeze()
    }

    /// What a silence is filled with: while a prompt is read, how far that is.
    fn sign_of_life(&self) -> Bytes {
        let keep_alive = self.writer.keep_alive();
        match self.settled.as_ref().and_then(Settled::reading) {
            Some((read, all)) => [format!(": prefill {read}/{all}\n\n").as_bytes(), &keep_alive].concat().into(),
            None => keep_alive,
        }
    }

    /// A comment when nothing was sent for long.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        while self.alarm.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            let silent = now.saturating_duration_since(self.last) >= self.silence;
            if silent {
                self.last = now;
            }
            self.alarm.as_mut().reset((self.last + self.silence).into());
            if silent {
                return Poll::Ready(self.sign_of_life());
            }
        }
        Poll::Pending
    }
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        loop {
            let Some(settled) = &mut this.settled else { return Poll::Ready(None) };
            let frame = match Pin::new(settled).poll_next(context) {
                Poll::Ready(Some(Ok(chunk))) => match this.writer.event(&chunk) {
                    Some(frame) => {
                        this.last = Instant::now();
                        frame
                    }
                    None => continue,
                },
                Poll::Ready(Some(Err(fault))) => this.fault(&fault),
                Poll::Ready(None) => this.end(),
                Poll::Pending => std::task::ready!(this.poll_silence(context)),
            };
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.settled.is_none()
    }
}
