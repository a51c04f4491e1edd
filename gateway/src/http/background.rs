//! Answers that are made in the background: begun, made by a task of their own, and watched as a stream.
//!
//! Apart because whoever asks has its response before there is an answer, and may leave. It must not know where answers are kept, nor how
//! a dialect tells of one.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use gatewright_types::{Fault, FaultKind};

use super::heads;
use super::respond::gather;
use crate::dialects::{Begin, DialectRef, Ended, Later, Recalled, Stage};
use crate::life::background::{Job, Running, Stop, closed};
use crate::life::conversations::{forget, keep, look_up};
use crate::life::{Caller, Refused, Screened, go_on};

/// An answer that is kept while it is made: whose it is, how it began, and what was said before it.
struct Made {
    caller: Arc<Caller>,
    later: &'static dyn Later,
    open: Bytes,
    before: Arc<str>,
}

/// Begins to make an answer in the background, and says so: whole, or as a stream of what becomes of it.
///
/// # Errors
/// There are too many, or what is begun cannot be kept.
pub(super) fn accept(screened: Screened, later: &'static dyn Later) -> Result<Response<Body>, Refused> {
    let caller = Arc::clone(screened.caller());
    let dialect = caller.head.dialect;
    let echo = dialect.echo(screened.request()).map(Arc::new);
    let before = echo.as_ref().and_then(|echo| echo.conversation.clone()).unwrap_or_else(|| "[]".into());
    let running = match Running::begin(&caller) {
        Ok(running) => running,
        Err(full) => return Err(screened.refused(full)),
    };
    let (id, created, sealer) = (caller.head.answer_id(), caller.at_ms / 1000, Some(caller.sealer()));
    // What is told of it at each stage is kept, however it ends.
    let ended = Ended { kept: true, ..Ended::default() };
    let begin = Begin { id, model: screened.seat().model(), created, sealer, echo, ended, ..Begin::default() };
    let made = Made { open: later.begun(&begin), caller: Arc::clone(&caller), later, before };
    if !made.keeps(Stage::InProgress) {
        return Err(screened.refused(Fault::gateway(FaultKind::Overloaded, "The records do not keep up. Try again in a moment.")));
    }
    let (streams, job) = (screened.request().stream, running.job());
    let mut response = match streams {
        true => watch(Watched { caller: Arc::clone(&caller), id: begin.id, after: None }, job),
        false => {
            let mut response = Response::new(Body::from(made.stated(Stage::Queued)));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
    };
    heads::put_id(response.headers_mut(), dialect, &caller.head.request_id);
    heads::put_standing(response.headers_mut(), &screened.seat().standing());
    drop(tokio::spawn(make(screened, running, made)));
    Ok(response)
}

impl Made {
    /// The answer at a stage.
    fn stated(&self, stage: Stage<'_>) -> Bytes {
        self.later.restated(&String::from_utf8_lossy(&self.open), stage)
    }

    /// Keeps it so, if there is room.
    fn keeps(&self, stage: Stage<'_>) -> bool {
        keep(&self.caller, &self.stated(stage), Arc::clone(&self.before))
    }

    /// Asks for it until it is whole, or why it is not.
    async fn asks(&self, screened: Screened) -> Result<(), Fault> {
        let mut settled = go_on(screened).await.map_err(|refused| refused.fault().clone())?;
        match gather(&mut settled).await {
            Ok(_) => Ok(()),
            Err(fault) => Err(settled.refused(fault).fault().clone()),
        }
    }

    /// What may not be kept after all, for other policies have seen it, is not there as if it were still made.
    async fn tidies(&self) {
        let id = self.caller.head.answer_id();
        let found = look_up(&self.caller, &id).await.ok().flatten();
        if found.is_some_and(|found| self.later.is_open(&found.body)) {
            let _ = forget(&self.caller, &id);
        }
    }
}

/// Makes the answer, unless it is stopped: then all that was asked for it is let go.
async fn make(screened: Screened, running: Running, made: Made) {
    let ended = tokio::select! {
        biased;
        stop = running.stopped() => Err(stop),
        ended = made.asks(screened) => Ok(ended),
    };
    match ended {
        Ok(Ok(())) => made.tidies().await,
        Ok(Err(fault)) => drop(made.keeps(Stage::Failed(&fault))),
        Err(Stop::Cancelled) => drop(made.keeps(Stage::Cancelled)),
        Err(Stop::Closing) => drop(made.keeps(Stage::Failed(&closed()))),
    }
}

/// An answer that is watched, and by whom.
pub(super) struct Watched {
    pub(super) caller: Arc<Caller>,
    pub(super) id: String,
    /// The number of the last event that was seen.
    pub(super) after: Option<u64>,
}

/// What is told next.
enum Next {
    /// How it began.
    Beginning,
    /// What became of it.
    End,
    Nothing,
}

/// A stream of what becomes of an answer that is under way: how it began, and all the rest when it is over.
pub(super) fn watch(watched: Watched, job: Arc<Job>) -> Response<Body> {
    let mut response = Response::new(Body::from_stream(told(watched, job)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn told(watched: Watched, job: Arc<Job>) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    let silence = watched.caller.host.facts.limits.keep_alive;
    unfold((watched, job, Next::Beginning), move |(mut watched, job, next)| async move {
        let (said, next) = match next {
            Next::Nothing => return None,
            Next::Beginning => match watched.found().await {
                Some((dialect, found)) => {
                    let beginning = dialect.replay(&found, watched.after);
                    let open = dialect.later().is_some_and(|later| later.is_open(&found.body));
                    watched.after = watched.after.max(Some(1));
                    (beginning, if open { Next::End } else { Next::Nothing })
                }
                None => return None,
            },
            Next::End => match tokio::time::timeout(silence.max(Duration::from_millis(1)), job.over()).await {
                Err(_) => (Bytes::from_static(b": keep-alive\n\n"), Next::End),
                Ok(()) => {
                    let found = watched.found().await;
                    (found.map(|(dialect, found)| dialect.replay(&found, watched.after)).unwrap_or_default(), Next::Nothing)
                }
            },
        };
        Some((Ok(said), (watched, job, next)))
    })
}

impl Watched {
    /// The answer as it is kept now.
    async fn found(&self) -> Option<(DialectRef, Recalled)> {
        let found = look_up(&self.caller, &self.id).await.ok().flatten()?;
        Some((self.caller.head.dialect, found))
    }
}
