//! The mock's sockets: accepts, chooses the rule, remembers what it was asked.
//!
//! Apart because it alone does I/O. It must not know what an answer looks like.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::answer::Answer;
use super::body::{Play, Sending};
use super::question::Question;
use super::script::{Fault, Script, Then};
use super::texts::{self, Wanted};

/// Requests that are remembered, bytes of their bodies, connections at once, bytes of a request.
const REMEMBERED: usize = 256;
const REMEMBERED_BYTES: usize = 8 * 1024 * 1024;
const CONNECTIONS: usize = 4096;
const MAX_BODY: usize = 64 * 1024 * 1024;

/// What a chat is asked in.
#[derive(Clone, Copy)]
enum Language {
    Chat,
    Messages,
    Responses,
}

impl Language {
    fn of(path: &str) -> Option<Self> {
        let ends = [("/chat/completions", Self::Chat), ("/messages", Self::Messages), ("/responses", Self::Responses)];
        ends.into_iter().find(|(end, _)| path.ends_with(end)).map(|(_, language)| language)
    }
}

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A running mock. It ends when this drops.
#[derive(Debug)]
pub struct Mock {
    addr: SocketAddr,
    state: Arc<State>,
    accepting: tokio::task::JoinHandle<()>,
}

/// What a mock has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Chat requests.
    pub requests: u64,
    /// Answers being sent.
    pub open: u64,
    /// Answers whose reader went away before the end.
    pub hung_up: u64,
}

#[derive(Debug)]
struct State {
    script: Script,
    sending: Arc<Sending>,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    requests: u64,
    /// How often each rule's conditions held, `nth` left aside.
    met: Vec<u64>,
    seen: VecDeque<(Value, usize)>,
    bytes: usize,
}

impl Mock {
    pub(super) async fn start(listen: SocketAddr, script: Script) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let log = Mutex::new(Log { met: vec![0; script.rules.len()], ..Log::default() });
        let state = Arc::new(State { script, sending: Arc::default(), log });
        let accepting = tokio::spawn(accept(listener, state.clone()));
        Ok(Self { addr, state, accepting })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Base URL for a client or a provider: `http://<address>/v1`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// What it has counted so far.
    pub fn counts(&self) -> Counts {
        self.state.counts()
    }

    /// The chat requests it remembers, oldest first: `{n, path, headers, body, rule}`; the last 256, at most 8 MiB.
    pub fn requests(&self) -> Vec<Value> {
        self.state.log().seen.iter().map(|(seen, _)| seen.clone()).collect()
    }

    /// Waits for its end, which does not come by itself.
    pub async fn wait(mut self) {
        if let Err(error) = (&mut self.accepting).await {
            tracing::error!(%error, "the mock ended");
        }
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        let Ok((socket, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: not a reason to spin.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        // A socket without it is slower, not wrong.
        let _ = socket.set_nodelay(true);
        let state = state.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| answer(state.clone(), request));
            let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(socket), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection of the mock ended early");
            }
            drop(place);
        });
    }
}

/// An error closes the connection without an answer.
async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let (head, body) = request.into_parts();
    match (&head.method, head.uri.path()) {
        (&Method::POST, path) if Language::of(path).is_some() => {
            let language = Language::of(path).unwrap_or(Language::Chat);
            let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
                return Ok(said(StatusCode::BAD_REQUEST, &problem("the body could not be read")));
            };
            chat(&state, &head, (language, &body.to_bytes())).await
        }
        (&Method::POST, path) if Wanted::of(path).is_some() => {
            let wanted = Wanted::of(path).unwrap_or(Wanted::Completion);
            let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
                return Ok(said(StatusCode::BAD_REQUEST, &problem("the body could not be read")));
            };
            beside(&state, &head, (wanted, &body.to_bytes())).await
        }
        (&Method::GET, path) if path.ends_with("/models") => {
            let models =
                state.script.models.iter().map(|id| json!({"id": id, "object": "model", "created": 0, "owned_by": "mock"}));
            Ok(said(StatusCode::OK, &json!({"object": "list", "data": models.collect::<Vec<_>>()})))
        }
        (&Method::GET, "/__mock/requests") => {
            let counts = state.counts();
            let seen: Vec<Value> = state.log().seen.iter().map(|(seen, _)| seen.clone()).collect();
            let page = json!({"count": counts.requests, "open": counts.open, "hung_up": counts.hung_up, "requests": seen});
            Ok(said(StatusCode::OK, &page))
        }
        (&Method::POST, "/__mock/reset") => {
            *state.log() = Log { met: vec![0; state.script.rules.len()], ..Log::default() };
            state.sending.hung_up.store(0, Ordering::SeqCst);
            Ok(said(StatusCode::OK, &json!({})))
        }
        (_, path) if path.starts_with("/v1/files") || path.starts_with("/v1/audio/") || path == "/v1/rerank" => {
            let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
                return Ok(said(StatusCode::BAD_REQUEST, &problem("the body could not be read")));
            };
            Ok(said(StatusCode::OK, &texts::echo(&head, &body.to_bytes())))
        }
        _ => {
            let has = "the mock has chat/completions, responses, messages, completions, embeddings, moderations, models, echoes of files, \
                       audio and rerank, and __mock/requests";
            Ok(said(StatusCode::NOT_FOUND, &problem(has)))
        }
    }
}

/// What is beside chats.
async fn beside(state: &State, head: &http::request::Parts, (wanted, body): (Wanted, &[u8])) -> Result<Response<Body>, io::Error> {
    let Some(question) = Question::read_texts(body) else {
        return Ok(said(StatusCode::BAD_REQUEST, &problem("the body is not JSON")));
    };
    let echo = Then { text: super::script::Said::Whole("{{user}}".to_owned()), ..Then::default() };
    let (call, rule) = state.choose(&question, head.uri.path(), body);
    let then = rule.and_then(|rule| state.script.rules.get(rule)).map_or(&echo, |rule| &rule.then);
    let answer = Answer { question: &question, then, call };
    let (frames, end) = match (wanted, question.stream) {
        (Wanted::Embedding, _) => return Ok(said(StatusCode::OK, &texts::embeddings(&question, body))),
        (Wanted::Moderation, _) => return Ok(said(StatusCode::OK, &texts::moderations(&question, body))),
        (Wanted::Completion, true) => Play::events(answer.completion_events(), then.fault.as_ref()),
        (Wanted::Completion, false) => Play::whole(answer.completion_body(), then.fault.as_ref()),
    };
    let play = Play { frames, first: then.first_delay, between: then.between_delay, end };
    Ok(playing(state, play, &question))
}

async fn chat(
    state: &State,
    head: &http::request::Parts,
    (language, body): (Language, &[u8]),
) -> Result<Response<Body>, io::Error> {
    let question = match language {
        Language::Chat => Question::read(body),
        Language::Messages => Question::read_messages(body),
        Language::Responses => Question::read_responses(body),
    };
    let Some(mut question) = question else {
        return Ok(said(StatusCode::BAD_REQUEST, &problem("the body is not JSON")));
    };
    question.headers =
        head.headers.iter().map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned())).collect();
    let echo = Then { text: super::script::Said::Whole("{{user}}".to_owned()), ..Then::default() };
    let (call, rule) = state.choose(&question, head.uri.path(), body);
    let played = rule.and_then(|rule| state.script.rules.get(rule));
    question.offered = played.and_then(|rule| rule.when.offered(&question)).unwrap_or_default();
    let then = played.map_or(&echo, |rule| &rule.then);
    if matches!(then.fault, Some(Fault::Refuse | Fault::Status { .. })) {
        tokio::time::sleep(then.first_delay).await;
    }
    match &then.fault {
        Some(Fault::Refuse) => return Err(io::Error::other("refused by the script")),
        Some(Fault::Status { status, body, retry_after }) => {
            return Ok(failed(language, *status, (body.as_deref(), retry_after.as_deref())));
        }
        _ => {}
    }
    let answer = Answer { question: &question, then, call };
    let fault = then.fault.as_ref();
    let (frames, end) = match (language, question.stream) {
        (Language::Chat, true) => Play::events(answer.events(), fault),
        (Language::Chat, false) => Play::whole(answer.whole(), fault),
        (Language::Messages, true) => Play::named(answer.message_events(), fault),
        (Language::Messages, false) => Play::whole(answer.message_body(), fault),
        (Language::Responses, true) => Play::named(answer.response_events(), fault),
        (Language::Responses, false) => Play::whole(answer.response_body(), fault),
    };
    let play = Play { frames, first: then.first_delay, between: then.between_delay, end };
    Ok(playing(state, play, &question))
}

fn playing(state: &State, play: Play, question: &Question) -> Response<Body> {
    let mut response = Response::new(play.body(state.sending.clone()).boxed_unsync());
    let kind = if question.stream { "text/event-stream" } else { "application/json" };
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

impl State {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> Counts {
        Counts {
            requests: self.log().requests,
            open: self.sending.open.load(Ordering::SeqCst),
            hung_up: self.sending.hung_up.load(Ordering::SeqCst),
        }
    }

    /// Number of this request, and the rule it meets; remembers it.
    fn choose(&self, question: &Question, path: &str, body: &[u8]) -> (u64, Option<usize>) {
        let mut log = self.log();
        log.requests += 1;
        let call = log.requests;
        let mut rule = None;
        for (index, candidate) in self.script.rules.iter().enumerate() {
            if rule.is_none() && candidate.when.fits(question) {
                let Some(met) = log.met.get_mut(index) else { continue };
                *met += 1;
                if candidate.when.occasion(*met) {
                    rule = Some(index);
                }
            }
        }
        let body_json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let headers: serde_json::Map<String, Value> =
            question.headers.iter().map(|(n, v)| (n.clone(), v.as_str().into())).collect();
        let seen = json!({"n": call, "path": path, "headers": headers, "body": body_json, "rule": rule});
        log.seen.push_back((seen, body.len()));
        log.bytes += body.len();
        while log.seen.len() > REMEMBERED || (log.bytes > REMEMBERED_BYTES && log.seen.len() > 1) {
            if let Some((_, bytes)) = log.seen.pop_front() {
                log.bytes -= bytes;
            }
        }
        (call, rule)
    }
}

fn problem(message: &str) -> Value {
    json!({"error": {"message": message, "type": "mock_error", "param": null, "code": null}})
}

fn said(status: StatusCode, body: &Value) -> Response<Body> {
    text(status, body.to_string())
}

fn text(status: StatusCode, body: String) -> Response<Body> {
    let body = Full::new(Bytes::from(body)).map_err(|never: Infallible| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn failed(language: Language, status: u16, (body, retry_after): (Option<&str>, Option<&str>)) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let said = "failed by the script";
    let usual = match language {
        Language::Messages => json!({"type": "error", "error": {"type": "api_error", "message": said}, "request_id": null}),
        Language::Chat | Language::Responses => problem(said),
    };
    let body = body.map_or_else(|| usual.to_string(), str::to_owned);
    let mut response = text(status, body);
    if let Some(value) = retry_after.and_then(|seconds| header::HeaderValue::from_str(seconds).ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}
