//! One connection's bytes, with a pulse: whether it waits for a head, answers, cannot write, or is idle.
//!
//! Apart because hyper's own timer counts the time between requests as time for headers, costs an allocation a request, and
//! closes without a word. It must not know HTTP: it is told when a request begins and when its answer is over.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::HttpBody;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

const IDLE: u64 = 0;
const BUSY: u64 = u64::MAX;

/// What a connection is doing.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// `IDLE`, `BUSY` with a request, or milliseconds (plus one) after `began` at which a head began to come.
    state: AtomicU64,
    /// Counts reads and writes.
    beats: AtomicU64,
    /// Milliseconds (plus one) after `began` since which nothing can be written; 0 while something can.
    blocked: AtomicU64,
    /// Whether a request's body was given up before its end.
    unread: AtomicBool,
    began: Instant,
    /// The stream, once the connection is done with it.
    back: Mutex<Option<TcpStream>>,
}

impl Pulse {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU64::new(IDLE),
            beats: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            unread: AtomicBool::new(false),
            began: Instant::now(),
            back: Mutex::new(None),
        })
    }

    /// A head is complete: its request is being answered until [`Answering`] is dropped.
    pub(crate) fn answering(self: &Arc<Self>) -> Answering {
        self.state.store(BUSY, Ordering::Relaxed);
        Answering(Arc::clone(self))
    }

    /// How long a head has been coming; `None` when none is.
    pub(crate) fn head_time(&self) -> Option<Duration> {
        match self.state.load(Ordering::Relaxed) {
            IDLE | BUSY => None,
            since => Some(self.after(since)),
        }
    }

    /// How long the client has taken nothing of what is to be written; `None` when there is nothing to write, or it takes it.
    pub(crate) fn blocked_time(&self) -> Option<Duration> {
        match self.blocked.load(Ordering::Relaxed) {
            0 => None,
            since => Some(self.after(since)),
        }
    }

    /// Whether a request's body was given up before its end.
    pub(crate) fn unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// Now, as the fields of this say it.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(BUSY - 2) + 1
    }

    /// The time that passed since one of the fields was set.
    fn after(&self, since: u64) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(since - 1))
    }

    /// Counts up with every read and write.
    pub(crate) fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// The stream, after the connection that had it was dropped.
    pub(crate) fn take_back(&self) -> Option<TcpStream> {
        self.back.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn read(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
        if self.state.load(Ordering::Relaxed) == IDLE {
            self.state.store(self.now(), Ordering::Relaxed);
        }
    }

    fn wrote(&self, written: &Poll<std::io::Result<usize>>) {
        self.beats.fetch_add(1, Ordering::Relaxed);
        let blocked = self.blocked.load(Ordering::Relaxed) != 0;
        match written {
            Poll::Pending if !blocked => self.blocked.store(self.now(), Ordering::Relaxed),
            Poll::Ready(Ok(1..)) if blocked => self.blocked.store(0, Ordering::Relaxed),
            _ => {}
        }
    }
}

/// A request that is being answered. Dropping it makes the connection idle.
#[derive(Debug)]
pub(crate) struct Answering(Arc<Pulse>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.state.store(IDLE, Ordering::Relaxed);
    }
}

/// A stream that beats its pulse, and comes back when the connection is dropped.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Option<TcpStream>,
    pulse: Arc<Pulse>,
}

impl Wire {
    /// Wraps a stream.
    pub(crate) fn new(stream: TcpStream) -> (Self, Arc<Pulse>) {
        let pulse = Pulse::new();
        (Self { stream: Some(stream), pulse: Arc::clone(&pulse) }, pulse)
    }

    fn stream(&mut self) -> std::io::Result<Pin<&mut TcpStream>> {
        // It is there until the wire is dropped.
        self.stream.as_mut().map(Pin::new).ok_or_else(|| std::io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        *self.pulse.back.lock().unwrap_or_else(PoisonError::into_inner) = self.stream.take();
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let read = self.stream()?.poll_read(cx, buf);
        if buf.filled().len() > before {
            self.pulse.read();
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = self.stream()?.poll_write(cx, buf);
        self.pulse.wrote(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = self.stream()?.poll_write_vectored(cx, bufs);
        self.pulse.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }
}

/// A request's body that tells when it is given up before its end.
#[derive(Debug)]
pub(crate) struct Asked {
    body: Incoming,
    ended: bool,
    pulse: Arc<Pulse>,
}

impl Asked {
    /// The body of a request on a connection.
    pub(crate) fn new(body: Incoming, pulse: &Arc<Pulse>) -> Self {
        Self { body, ended: false, pulse: Arc::clone(pulse) }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.is_end_stream() {
            self.pulse.unread.store(true, Ordering::Relaxed);
        }
    }
}

impl HttpBody for Asked {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.ended |= matches!(frame, Poll::Ready(None));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response body that keeps its connection busy until it is over.
#[derive(Debug)]
pub(crate) struct Answer {
    body: axum::body::Body,
    _answering: Answering,
}

impl Answer {
    /// Ties a body to the request that it answers.
    pub(crate) fn new(body: axum::body::Body, answering: Answering) -> Self {
        Self { body, _answering: answering }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
