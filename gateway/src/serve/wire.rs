//! One connection's bytes, with a pulse: whether it waits for a head, answers, or is idle.
//!
//! Apart because hyper's own timer counts the time between requests as time for headers, costs an allocation a request, and
//! closes without a word. It must not know HTTP: it is told when a request begins and when its answer is over.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::HttpBody;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
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
    began: Instant,
    /// The stream, once the connection is done with it.
    back: Mutex<Option<TcpStream>>,
}

impl Pulse {
    fn new() -> Arc<Self> {
        Arc::new(Self { state: AtomicU64::new(IDLE), beats: AtomicU64::new(0), began: Instant::now(), back: Mutex::new(None) })
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
            since => Some(self.began.elapsed().saturating_sub(Duration::from_millis(since - 1))),
        }
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
            let since = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(BUSY - 2) + 1;
            self.state.store(since, Ordering::Relaxed);
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
        self.pulse.beats.fetch_add(1, Ordering::Relaxed);
        self.stream()?.poll_write(cx, buf)
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
        self.pulse.beats.fetch_add(1, Ordering::Relaxed);
        self.stream()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
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
