//! A response's body while it comes: bounded in bytes, in silence and in time.
//!
//! Apart because streams, whole answers and error bodies are read under the same bounds. The clock is not wound up for each piece:
//! one timer sleeps until the earliest time at which something can be late, and looks then. It must not know what it reads.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Incoming};
use tokio::time::Sleep;

/// Why a body is not read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    /// Nothing came for this long.
    #[error("no data for {0:?}")]
    Idle(Duration),
    /// The answer's time is over.
    #[error("the time for the whole answer is over")]
    Deadline,
    /// More than this many bytes came.
    #[error("the body is larger than {0} bytes")]
    TooMuch(usize),
    /// The connection broke.
    #[error("{0}")]
    Broken(String),
}

/// Bounds of reading a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Between two pieces.
    pub(super) idle: Duration,
    /// For all of it.
    pub(super) until: Instant,
}

/// A body being read. Dropping it closes the connection, unless the body was read to its end.
pub(super) struct Reading {
    body: Incoming,
    patience: Patience,
    last: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl Reading {
    /// Starts with a response whose head has come.
    pub(super) fn new(body: Incoming, patience: Patience) -> Self {
        let last = Instant::now();
        let alarm = Box::pin(tokio::time::sleep_until((last + patience.idle).min(patience.until).into()));
        Self { body, patience, last, alarm }
    }

    /// The next piece; `None` is the proper end of the body.
    pub(super) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Stop>>> {
        loop {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending => return self.poll_late(context).map(|stop| Some(Err(stop))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(Stop::Broken(chain(&error))))),
                Poll::Ready(Some(Ok(frame))) => {
                    self.last = Instant::now();
                    if self.last >= self.patience.until {
                        return Poll::Ready(Some(Err(Stop::Deadline)));
                    }
                    // Trailers are no data.
                    if let Ok(piece) = frame.into_data() {
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
            }
        }
    }

    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<Stop> {
        while self.alarm.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            if now >= self.patience.until {
                return Poll::Ready(Stop::Deadline);
            }
            let idle_until = self.last + self.patience.idle;
            if now >= idle_until {
                return Poll::Ready(Stop::Idle(self.patience.idle));
            }
            self.alarm.as_mut().reset(idle_until.min(self.patience.until).into());
        }
        Poll::Pending
    }

    async fn piece(&mut self) -> Option<Result<Bytes, Stop>> {
        std::future::poll_fn(|context| self.poll_piece(context)).await
    }

    /// All of the body. What comes in one piece is not copied.
    ///
    /// # Errors
    /// [`Stop`]; more than `bound` bytes is [`Stop::TooMuch`].
    pub(super) async fn whole(mut self, bound: usize) -> Result<Bytes, Stop> {
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        while let Some(piece) = self.piece().await {
            let piece = piece?;
            if first.len() + all.len() + piece.len() > bound {
                return Err(Stop::TooMuch(bound));
            }
            if first.is_empty() && all.is_empty() {
                first = piece;
            } else {
                if all.is_empty() {
                    all.extend_from_slice(&std::mem::take(&mut first));
                }
                all.extend_from_slice(&piece);
            }
        }
        Ok(if all.is_empty() { first } else { all.freeze() })
    }

    /// The beginning of the body, at most `bound` bytes, however it ends.
    pub(super) async fn beginning(mut self, bound: usize) -> Bytes {
        let mut all = BytesMut::new();
        while all.len() < bound
            && let Some(Ok(piece)) = self.piece().await
        {
            all.extend_from_slice(piece.get(..piece.len().min(bound - all.len())).unwrap_or_default());
        }
        all.freeze()
    }

    /// Reads on for a moment, so that a connection whose answer is over can serve again instead of being closed.
    pub(super) fn linger(mut self) {
        const MOMENT: Duration = Duration::from_millis(200);
        const PIECES: usize = 8;
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let rest = async {
                for _ in 0..PIECES {
                    if !matches!(self.piece().await, Some(Ok(_))) {
                        return;
                    }
                }
            };
            let _ = tokio::time::timeout(MOMENT, rest).await;
        });
    }
}

/// An error and its causes, for the operator.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
