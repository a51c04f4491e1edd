//! How an answer is sent: one frame a chunk, with the script's pauses and failures.
//!
//! Apart because it alone waits. It must not know what the frames say.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;

use super::script::Fault;

/// Counts answers that are being sent, and those that nobody waited for the end of.
#[derive(Debug, Default)]
pub(super) struct Sending {
    pub(super) open: AtomicU64,
    pub(super) hung_up: AtomicU64,
}

struct Guard {
    sending: Arc<Sending>,
    complete: bool,
}

impl Guard {
    fn new(sending: Arc<Sending>) -> Self {
        sending.open.fetch_add(1, Ordering::SeqCst);
        Self { sending, complete: false }
    }

    fn complete(&mut self) {
        self.complete = true;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.complete {
            self.sending.hung_up.fetch_add(1, Ordering::SeqCst);
        }
        self.sending.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What is sent, and when.
pub(super) struct Play {
    /// Frames in order; what `fault` breaks is cut here already.
    pub(super) frames: Vec<Bytes>,
    pub(super) first: Duration,
    pub(super) between: Duration,
    pub(super) end: End,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Clean,
    Cut,
    Stall,
}

impl Play {
    /// Frames of `data: ...` events.
    pub(super) fn events(events: Vec<String>, fault: Option<&Fault>) -> (Vec<Bytes>, End) {
        let mut frames: Vec<Bytes> = events.into_iter().map(|data| Bytes::from(format!("data: {data}\n\n"))).collect();
        let end = break_off(&mut frames, fault, b"data: {\"id\": nonsense\n\n");
        if end == End::Clean {
            frames.push(Bytes::from_static(b"data: [DONE]\n\n"));
        }
        (frames, end)
    }

    /// Frames of events with names, of which the last is the stream's own end.
    pub(super) fn named(events: Vec<(&'static str, String)>, fault: Option<&Fault>) -> (Vec<Bytes>, End) {
        let frame = |(kind, data)| Bytes::from(format!("event: {kind}\ndata: {data}\n\n"));
        let mut frames: Vec<Bytes> = events.into_iter().map(frame).collect();
        let end = break_off(&mut frames, fault, b"data: {\"type\": nonsense\n\n");
        (frames, end)
    }

    /// Frames of one body. A fault breaks it in the middle.
    pub(super) fn whole(body: String, fault: Option<&Fault>) -> (Vec<Bytes>, End) {
        let mut bytes = Bytes::from(body);
        let Some(fault) = fault else { return (vec![bytes], End::Clean) };
        let mut frames = vec![bytes.split_to(bytes.len() / 2)];
        let end = break_off(&mut frames, Some(fault), b"nonsense");
        (frames, end)
    }

    /// The body as a stream of frames.
    pub(super) fn body(self, sending: Arc<Sending>) -> StreamBody<impl Stream<Item = io::Result<Frame<Bytes>>> + Send + use<>> {
        StreamBody::new(stream::unfold(Playing { play: self, guard: Guard::new(sending), at: 0 }, Playing::next))
    }
}

struct Playing {
    play: Play,
    guard: Guard,
    at: usize,
}

impl Playing {
    async fn next(mut self) -> Option<(io::Result<Frame<Bytes>>, Self)> {
        let Some(frame) = self.play.frames.get(self.at).cloned() else {
            if self.play.end == End::Stall {
                std::future::pending::<()>().await;
            }
            self.guard.complete();
            if self.play.end == End::Cut {
                // The server throws away what it has not yet written when a body fails: let it write first.
                tokio::task::yield_now().await;
                return Some((Err(io::Error::other("cut by the script")), self));
            }
            return None;
        };
        let pause = if self.at == 0 { self.play.first } else { self.play.between };
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        self.at += 1;
        if self.at == self.play.frames.len() && self.play.end == End::Clean {
            self.guard.complete();
        }
        Some((Ok(Frame::data(frame)), self))
    }
}

fn break_off(frames: &mut Vec<Bytes>, fault: Option<&Fault>, nonsense: &'static [u8]) -> End {
    match fault {
        Some(Fault::Cut(after)) => {
            frames.truncate(*after);
            End::Cut
        }
        Some(Fault::Stall(after)) => {
            frames.truncate(*after);
            End::Stall
        }
        Some(Fault::Garbage(after)) => {
            let at = (*after).min(frames.len());
            frames.insert(at, Bytes::from_static(nonsense));
            End::Clean
        }
        Some(Fault::Status { .. } | Fault::Refuse) | None => End::Clean,
    }
}
