//! The streams of one HTTP/2 connection: how many are open, and their bodies, which are given up when a client does not take them.
//!
//! Apart because such a client may answer every ping and read every byte of the connection, and yet hold each answer back by its
//! window: what is behind an answer is then never asked for, nor are its time limits. It must not know sockets or requests.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

/// Bytes that are handed on at once: what is handed on is held until the client takes it.
const PIECE: usize = 64 << 10;

/// The streams of a connection.
#[derive(Debug)]
pub(crate) struct Streams(Mutex<Book>);

#[derive(Debug)]
struct Book {
    begun: bool,
    open: usize,
    /// When the last one ended; at first, when the connection began.
    since: Instant,
    bodies: Vec<Weak<Mutex<Held>>>,
}

/// What the streams are doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// None has come, for so long.
    Unbegun(Duration),
    /// None is open any more, for so long.
    Empty(Duration),
    /// Some are open.
    Open,
}

impl Streams {
    /// Of a new connection.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Book { begun: false, open: 0, since: Instant::now(), bodies: Vec::new() })))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request came: its stream is open until this drops.
    pub(crate) fn begin(self: &Arc<Self>) -> Open {
        let mut book = self.book();
        book.begun = true;
        book.open += 1;
        Open(Arc::clone(self))
    }

    /// What they are doing.
    pub(crate) fn rest(&self) -> Rest {
        let book = self.book();
        match (book.open, book.begun) {
            (0, false) => Rest::Unbegun(book.since.elapsed()),
            (0, true) => Rest::Empty(book.since.elapsed()),
            _ => Rest::Open,
        }
    }

    /// Gives up the bodies of which the client has taken nothing for so long, and tells when the next may be due.
    pub(crate) fn drop_stuck(&self, limit: Duration) -> Duration {
        let bodies: Vec<_> = self.book().bodies.iter().filter_map(Weak::upgrade).collect();
        let mut due = limit;
        for body in bodies {
            let mut held = lock(&body);
            match held.handed.map(|at| limit.saturating_sub(at.elapsed())) {
                Some(Duration::ZERO) => {
                    let given_up = std::mem::take(&mut held.body);
                    held.rest = Bytes::new();
                    drop(held);
                    drop(given_up);
                }
                Some(left) => due = due.min(left),
                None => {}
            }
        }
        due
    }
}

/// An open stream.
#[derive(Debug)]
pub(crate) struct Open(Arc<Streams>);

impl Drop for Open {
    fn drop(&mut self) {
        let mut book = self.0.book();
        book.open -= 1;
        book.since = Instant::now();
    }
}

#[derive(Debug)]
struct Held {
    /// `None` once it was given up.
    body: Option<(Body, Open)>,
    /// Of the last frame, what was not handed on yet.
    rest: Bytes,
    /// When a piece was handed on; `None` while the body is waited for.
    handed: Option<Instant>,
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Held {
    fn hand(&mut self) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.handed = Some(Instant::now());
        let piece = self.rest.split_to(PIECE.min(self.rest.len()));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

/// A response body that is given up when it is not taken.
#[derive(Debug)]
pub(crate) struct Paced(Arc<Mutex<Held>>);

impl Paced {
    /// The body of an open stream.
    pub(crate) fn new(body: Body, open: Open) -> Self {
        let streams = Arc::clone(&open.0);
        let held = Arc::new(Mutex::new(Held { body: Some((body, open)), rest: Bytes::new(), handed: None }));
        let mut book = streams.book();
        book.bodies.retain(|body| body.strong_count() > 0);
        book.bodies.push(Arc::downgrade(&held));
        Self(held)
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut held = lock(&self.0);
        held.handed = None;
        if !held.rest.is_empty() {
            return held.hand();
        }
        let Some((body, _)) = &mut held.body else {
            return Poll::Ready(Some(Err(axum::Error::new("the client did not take its answer"))));
        };
        match std::task::ready!(Pin::new(body).poll_frame(context)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    held.rest = data;
                    held.hand()
                }
                Err(other) => Poll::Ready(Some(Ok(other))),
            },
            other => Poll::Ready(other),
        }
    }

    fn is_end_stream(&self) -> bool {
        let held = lock(&self.0);
        held.rest.is_empty() && held.body.as_ref().is_some_and(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let held = lock(&self.0);
        match &held.body {
            Some((body, _)) if held.rest.is_empty() => body.size_hint(),
            _ => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_body_is_handed_on_in_pieces_and_ends_with_the_last() {
        let streams = Streams::new();
        assert!(matches!(streams.rest(), Rest::Unbegun(_)));
        let mut body = Paced::new(Body::from(vec![1; PIECE + 1]), streams.begin());
        assert_eq!(streams.rest(), Rest::Open);
        assert_eq!(body.size_hint().exact(), Some(PIECE as u64 + 1));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), PIECE);
        assert!(!body.is_end_stream());
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 1);
        assert!(body.is_end_stream());
        drop(body);
        assert!(matches!(streams.rest(), Rest::Empty(_)));
    }

    #[tokio::test]
    async fn what_is_not_taken_is_given_up_and_what_is_waited_for_is_not() {
        let streams = Streams::new();
        let mut stuck = Paced::new(Body::from("a"), streams.begin());
        let waiting = Paced::new(Body::from("b"), streams.begin());
        assert!(stuck.frame().await.unwrap().is_ok());
        assert_eq!(streams.drop_stuck(Duration::ZERO), Duration::ZERO);
        assert!(stuck.frame().await.unwrap().is_err(), "never a clean end");
        assert_eq!(streams.rest(), Rest::Open, "the other one is open");
        drop(waiting);
        assert!(matches!(streams.rest(), Rest::Empty(_)), "what was given up is not open");
    }
}
