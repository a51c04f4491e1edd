//! A scripted server for tests: what it sends, when, and how it ends, byte by byte.
//!
//! Apart because tests of several modules use it. It must not know the dialect: a script is bytes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use gatewright_types::{ChatRequest, Chunk, Completion, Fault, Message, Role, gather_into};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Clients, RemoteUpstream};
use crate::config::facts::{ProviderFact, ProviderKind, Secret, Timeouts};
use crate::upstreams::catalog::Auth;
use crate::upstreams::quirks::Quirks;
use crate::upstreams::{Deadline, Upstream};

/// One thing that the server does after it has read a request.
#[derive(Clone)]
pub(crate) enum Step {
    /// Sends these bytes.
    Send(String),
    /// Sends these bytes, which are no text.
    Bytes(Vec<u8>),
    /// Sends this again and again, until nobody takes it.
    Forever(String),
    /// Does nothing for a while.
    Wait(Duration),
    /// Breaks the connection, so that the other side sees a reset.
    Reset,
    /// Ends the connection in order.
    Close,
}

/// The server.
pub(crate) struct Rig {
    /// Base URL.
    pub(crate) url: String,
    /// Each request as it came, head and body.
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    /// Connections so far.
    pub(crate) connections: Arc<Mutex<usize>>,
}

impl Rig {
    /// A server whose answer to its n-th request (from 0) is the script for n, or the last one.
    pub(crate) async fn new(scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (requests, connections) = (Arc::default(), Arc::default());
        let rig = Self { url, requests: Arc::clone(&requests), connections: Arc::clone(&connections) };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                *connections.lock().unwrap() += 1;
                tokio::spawn(serve(stream, scripts.clone(), Arc::clone(&requests)));
            }
        });
        rig
    }

    /// An upstream that asks this server.
    pub(crate) fn upstream(&self) -> RemoteUpstream {
        upstream(&self.url)
    }

    pub(crate) fn asked(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

/// Short limits, so that tests are short, but not so short that a busy machine reaches them by itself.
pub(crate) const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_millis(700),
    first_byte: Duration::from_millis(800),
    first_token: None,
    idle: Duration::from_millis(1000),
    total: Duration::from_millis(2500),
};

/// The provider's key in these tests.
pub(crate) const KEY: &str = "sk-very-secret-0123456789";

pub(crate) fn fact(url: &str) -> ProviderFact {
    ProviderFact {
        name: "rig".into(),
        kind: ProviderKind::OpenAi,
        base_url: url.into(),
        api_key: Some(Secret::new(KEY)),
        auth: Auth::Usual,
        quirks: Quirks::default(),
        prices: BTreeMap::new(),
        headers: vec![("x-team".into(), Secret::new("blue-team"))],
        models: Vec::new(),
        any_model: true,
        timeouts: TIMEOUTS,
        local: false,
        attempts: 1,
        pass: None,
    }
}

pub(crate) fn upstream(url: &str) -> RemoteUpstream {
    RemoteUpstream::new(&fact(url), &Clients::default()).unwrap()
}

async fn serve(mut stream: TcpStream, scripts: Vec<Vec<Step>>, requests: Arc<Mutex<Vec<String>>>) {
    while let Some(request) = read_request(&mut stream).await {
        let script = {
            let mut requests = requests.lock().unwrap();
            requests.push(request);
            scripts[(requests.len() - 1).min(scripts.len() - 1)].clone()
        };
        for step in script {
            match step {
                Step::Send(bytes) => {
                    if stream.write_all(bytes.as_bytes()).await.is_err() {
                        return;
                    }
                    stream.flush().await.unwrap();
                }
                Step::Bytes(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Step::Forever(bytes) => while stream.write_all(bytes.as_bytes()).await.is_ok() {},
                Step::Wait(time) => tokio::time::sleep(time).await,
                Step::Reset => {
                    stream.set_zero_linger().unwrap();
                    return;
                }
                Step::Close => return,
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
            if bytes.len() >= head + 4 + length {
                return Some(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// A response with a length.
pub(crate) fn response(status: &str, headers: &[(&str, &str)], body: &str) -> Step {
    let headers: BTreeMap<_, _> = headers.iter().copied().collect();
    let headers: String = headers.into_iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    Step::Send(format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()))
}

pub(crate) fn json(body: &str) -> Step {
    response("200 OK", &[("content-type", "application/json")], body)
}

/// The head of a chunked stream of events.
pub(crate) fn stream_head() -> Step {
    Step::Send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".into())
}

/// One piece of a chunked body.
pub(crate) fn piece(text: &str) -> Step {
    Step::Send(format!("{:x}\r\n{text}\r\n", text.len()))
}

/// The end of a chunked body.
pub(crate) fn last_piece() -> Step {
    Step::Send("0\r\n\r\n".into())
}

/// An event with that delta.
pub(crate) fn event(delta: &str, finish: Option<&str>) -> String {
    let finish = finish.map_or("null".to_owned(), |word| format!("\"{word}\""));
    format!(
        "data: {{\"id\":\"c\",\"model\":\"m\",\"created\":1,\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

/// A whole answer that says this.
pub(crate) fn answer(text: &str) -> String {
    format!(
        r#"{{"id":"c","object":"chat.completion","created":1,"model":"m","odd":[1 ,2],"choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}}}"#
    )
}

pub(crate) fn request() -> ChatRequest {
    ChatRequest { model: "m".into(), messages: vec![Message::text(Role::User, "hi")], ..ChatRequest::default() }
}

pub(crate) fn streaming() -> ChatRequest {
    ChatRequest { stream: true, ..request() }
}

pub(crate) fn soon() -> Deadline {
    Deadline(Instant::now() + Duration::from_secs(30))
}

/// All chunks, and how it ended.
pub(crate) async fn hear(upstream: &impl Upstream, request: ChatRequest) -> (Vec<Chunk>, Option<Fault>) {
    let mut deltas = upstream.answer(Arc::new(request), soon());
    let mut chunks = Vec::new();
    while let Some(next) = deltas.next().await {
        match next {
            Ok(chunk) => chunks.push(chunk),
            Err(fault) => {
                assert!(deltas.next().await.is_none(), "a fault is the last item");
                return (chunks, Some(fault));
            }
        }
    }
    (chunks, None)
}

/// The text of the first choice.
pub(crate) fn text(chunks: Vec<Chunk>) -> String {
    let mut whole = Completion::default();
    chunks.into_iter().for_each(|chunk| gather_into(&mut whole, chunk));
    whole.choices.into_iter().next().and_then(|choice| choice.text).unwrap_or_default()
}
