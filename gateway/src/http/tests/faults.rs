//! Every way in which an upstream fails, as one table: what each is to a client of each dialect, whole and streamed, whatever the
//! upstream speaks. Nothing hangs past its limit, nothing is passed off as a clean end, nothing is counted twice.
//!
//! A new client dialect is a row of [`CLIENTS`], a new one of upstreams a row of [`SPEECHES`], a new fault one of [`table`].

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::config::facts::{ProviderFact, ProviderKind};
use crate::life::kit::{Heard, Kit, post_to};
use crate::records::Row;
use crate::upstreams::remote::rig::{self, Rig, Step, last_piece, piece, response, stream_head};

/// What an upstream says on a good day: `x`, of 5 and 3 tokens.
struct Speech {
    kind: ProviderKind,
    /// A whole answer of this text.
    whole: fn(&str) -> String,
    /// Events up to the text, one that says this text, and those after it, each a frame of its own; the last is a mark that some
    /// servers leave out.
    opening: fn() -> Vec<String>,
    says: fn(&str) -> String,
    closing: fn() -> Vec<String>,
    /// The body of a refusal.
    error: &'static str,
}

fn frame(event: &Value) -> String {
    match event["type"].as_str() {
        Some(name) => format!("event: {name}\ndata: {event}\n\n"),
        None => format!("data: {event}\n\n"),
    }
}

fn chat_event(choices: &Value) -> String {
    frame(&json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}))
}

const SPEECHES: [Speech; 2] = [
    Speech {
        kind: ProviderKind::OpenAi,
        whole: |text| {
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}})
            .to_string()
        },
        opening: || vec![chat_event(&json!([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]))],
        says: |text| chat_event(&json!([{"index": 0, "delta": {"content": text}, "finish_reason": null}])),
        closing: || {
            vec![
                chat_event(&json!([{"index": 0, "delta": {}, "finish_reason": "stop"}])),
                frame(&json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}})),
                "data: [DONE]\n\n".to_owned(),
            ]
        },
        error: r#"{"error":{"message":"it is too much","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}"#,
    },
    Speech {
        kind: ProviderKind::Anthropic,
        whole: |text| {
            json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
                "content": [{"type": "text", "text": text}], "usage": {"input_tokens": 5, "output_tokens": 3}})
            .to_string()
        },
        opening: || {
            vec![
                frame(
                    &json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
                    "content": [], "usage": {"input_tokens": 5, "output_tokens": 1}}}),
                ),
                frame(&json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
            ]
        },
        says: |text| frame(&json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})),
        closing: || {
            vec![
                frame(&json!({"type": "content_block_stop", "index": 0})),
                frame(&json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}})),
                frame(&json!({"type": "message_stop"})),
            ]
        },
        error: r#"{"type":"error","error":{"type":"rate_limit_error","message":"it is too much"}}"#,
    },
];

/// How a client asks, and how it understands what it gets.
struct Client {
    path: &'static str,
    asks: fn() -> Value,
    /// The text of a whole answer.
    text: fn(&Value) -> String,
    /// The text of an event.
    piece: fn(&Value) -> String,
    /// Whether a stream came to its proper end.
    ended: fn(&Heard) -> bool,
    /// The word of an error, and whether its envelope is the dialect's.
    error: fn(&Value) -> String,
    /// The words for unreachable, late, cut, unreadable, busy.
    words: [&'static str; 5],
}

fn words(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

const CLIENTS: [Client; 2] = [
    Client {
        path: "/v1/chat/completions",
        asks: || json!({"model": "rig/m", "messages": [{"role": "user", "content": "hi"}]}),
        text: |body| words(&body["choices"][0]["message"]["content"]),
        piece: |event| words(&event["choices"][0]["delta"]["content"]),
        ended: Heard::is_done,
        error: |body| words(&body["error"]["code"]),
        words: ["upstream_unreachable", "upstream_timeout", "upstream_cut", "upstream_invalid", "rate_limit_exceeded"],
    },
    Client {
        path: "/v1/messages",
        asks: || json!({"model": "rig/m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}),
        text: |body| words(&body["content"][0]["text"]),
        piece: |event| words(&event["delta"]["text"]),
        ended: |heard| heard.text.contains("event: message_stop"),
        error: |body| if body["type"] == "error" { words(&body["error"]["type"]) } else { String::new() },
        words: ["api_error", "timeout_error", "api_error", "api_error", "rate_limit_error"],
    },
];

/// What a fault is to a client.
#[derive(Clone)]
enum End {
    /// An answer of this text, as if nothing had been.
    Clean(String),
    /// No answer: a status, and which of the client's words for it.
    Refused(u16, usize),
    /// A part of an answer, and an error in place of its end.
    Broken(&'static str, usize),
}
use End::{Broken, Clean, Refused};

const UNREACHABLE: usize = 0;
const LATE: usize = 1;
const CUT: usize = 2;
const UNREADABLE: usize = 3;
const BUSY: usize = 4;

/// What only the time for a whole answer ends.
const SLOW: &str = "slow body";
const DRIPPING: &str = "endless and slow";

/// Where an upstream is.
#[derive(Clone)]
enum Place {
    /// It plays this.
    Rig(Vec<Step>),
    /// Nobody listens there.
    Nowhere,
    /// TLS is spoken with a server that speaks none.
    NoTls,
}

struct Case {
    name: &'static str,
    place: Place,
    stream: bool,
    end: End,
}

fn x() -> End {
    Clean("x".to_owned())
}

fn stream(frames: impl IntoIterator<Item = String>) -> Vec<Step> {
    let pieces = frames.into_iter().map(|frame| piece(&frame));
    [stream_head()].into_iter().chain(pieces).chain([last_piece()]).collect()
}

/// The frames of an answer of `x`.
fn good(speech: &Speech) -> Vec<String> {
    [(speech.opening)(), vec![(speech.says)("x")], (speech.closing)()].concat()
}

/// A stream that said `x`, and what comes then.
fn after_x(speech: &Speech, then: Vec<Step>) -> Vec<Step> {
    let said = [(speech.opening)(), vec![(speech.says)("x")]].concat();
    let pieces = said.iter().map(|frame| piece(frame));
    [stream_head()].into_iter().chain(pieces).chain(then).collect()
}

fn json_head(length: usize) -> Step {
    Step::Send(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"))
}

/// Faults that come before an answer, whatever was asked for.
fn before(speech: &Speech) -> Vec<(&'static str, Place, End)> {
    const HTML: &str = "<html>stack trace</html>";
    let html = [("content-type", "text/html")];
    let kind = [("content-type", "application/json")];
    let after = [("content-type", "application/json"), ("retry-after", "7")];
    let rig = |step: Step| Place::Rig(vec![step]);
    vec![
        ("refused", Place::Nowhere, Refused(502, UNREACHABLE)),
        ("reset", rig(Step::Reset), Refused(502, UNREACHABLE)),
        ("closed without an answer", rig(Step::Close), Refused(502, UNREACHABLE)),
        ("no TLS where it should be", Place::NoTls, Refused(502, UNREACHABLE)),
        ("slow headers", rig(Step::Wait(Duration::from_secs(60))), Refused(504, LATE)),
        ("429 with Retry-After", rig(response("429 Slow", &after, speech.error)), Refused(429, BUSY)),
        ("429 without Retry-After", rig(response("429 Slow", &kind, speech.error)), Refused(429, BUSY)),
        ("200 with an error", rig(response("200 OK", &kind, speech.error)), Refused(429, BUSY)),
        ("200 with a page", rig(response("200 OK", &html, HTML)), Refused(502, UNREADABLE)),
        ("200 with JSON of something else", rig(response("200 OK", &kind, r#"{"ok":true}"#)), Refused(502, UNREADABLE)),
        ("200 with nothing", rig(response("200 OK", &kind, "")), Refused(502, UNREADABLE)),
        ("truncated JSON", rig(response("200 OK", &kind, "{\"id\":\"x\",\"choices\":[")), Refused(502, UNREADABLE)),
        ("JSON that breaks off", Place::Rig(vec![json_head(100), Step::Send("{\"id\":".into()), Step::Close]), Refused(502, CUT)),
        (
            "invalid UTF-8 in JSON",
            Place::Rig(vec![json_head(9), Step::Bytes(b"{\"a\":\"\xff\"}".to_vec())]),
            Refused(502, UNREADABLE),
        ),
        (SLOW, Place::Rig(slow(&(speech.whole)("x"))), Refused(504, LATE)),
    ]
}

/// A body that comes byte by byte, never silent for long and never done in time.
fn slow(body: &str) -> Vec<Step> {
    let drip = body.bytes().flat_map(|byte| [Step::Bytes(vec![byte]), Step::Wait(Duration::from_millis(100))]);
    [json_head(body.len())].into_iter().chain(drip).collect()
}

/// Faults of a stream.
fn streams(speech: &Speech) -> Vec<(&'static str, Vec<Step>, End)> {
    let said = |then: Vec<Step>| after_x(speech, then);
    let rest = (speech.closing)();
    let unmarked = good(speech)[..good(speech).len() - 1].to_vec();
    let twice = good(speech).into_iter().flat_map(|frame| [": hi\n\n".to_owned(), frame.replacen("data:", ": within\ndata:", 1)]);
    let lines = good(speech).into_iter().map(|frame| frame.replace("\",\"", "\",\ndata: \""));
    let doubled = [(speech.opening)(), vec![(speech.says)("x"), (speech.says)("x")], rest.clone(), rest.clone()].concat();
    let drips = (0..100).flat_map(|_| [piece(&(speech.says)("")), Step::Wait(Duration::from_millis(100))]).collect();
    let large = "y".repeat(10 << 20);
    let tens = [(speech.opening)(), vec![(speech.says)(&large)], rest.clone()].concat();
    vec![
        ("as it should be", stream(good(speech)), x()),
        ("stall", said(vec![Step::Wait(Duration::from_secs(60))]), Broken("x", LATE)),
        ("reset in the middle", said(vec![Step::Wait(Duration::from_millis(30)), Step::Reset]), Broken("x", CUT)),
        ("truncated events", said(vec![piece("data: {\"choices\":[{\"ind"), last_piece()]), Broken("x", CUT)),
        ("ended without an end", said(vec![last_piece()]), Broken("x", CUT)),
        ("no JSON in the middle", said(vec![piece("data: {oops}\n\n"), last_piece()]), Broken("x", UNREADABLE)),
        ("invalid UTF-8", said(vec![Step::Bytes(b"b\r\ndata: \"\xff\"\n\n\r\n".to_vec())]), Broken("x", UNREADABLE)),
        ("an error in the middle", said(vec![piece(&format!("data: {}\n\n", speech.error)), last_piece()]), Broken("x", BUSY)),
        ("data in lines", stream(lines), x()),
        ("CRLF", stream(good(speech).into_iter().map(|frame| frame.replace('\n', "\r\n"))), x()),
        ("comments", stream(twice), x()),
        ("all in one piece", stream([good(speech).concat()]), x()),
        ("byte by byte", stream(good(speech).concat().chars().map(String::from)), x()),
        ("no mark at the end", stream(unmarked), x()),
        ("an end twice, and a piece twice", stream(doubled), Clean("xx".to_owned())),
        ("ten megabytes at once", stream(tens), Clean(large)),
        ("endless", said(vec![Step::Forever(chunked(&format!("{}{}", (speech.says)(""), comment())))]), Broken("x", UNREADABLE)),
        ("endless comments", vec![stream_head(), Step::Forever(chunked(&comment()))], Refused(502, UNREADABLE)),
        (DRIPPING, said(drips), Broken("x", LATE)),
        ("no content type", vec![response("200 OK", &[], &good(speech).concat())], x()),
        ("a whole answer", vec![response("200 OK", &[("content-type", "application/json")], &(speech.whole)("x"))], x()),
    ]
}

/// Long enough that a bound is soon reached.
fn comment() -> String {
    format!(": {}\n\n", "wait ".repeat(10_000))
}

fn chunked(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn table(speech: &Speech) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (name, place, end) in before(speech) {
        let case = |stream| Case { name, place: place.clone(), stream, end: end.clone() };
        cases.extend([case(false), case(true)]);
    }
    let page = || response("503 Down", &[("content-type", "text/html")], "<html>stack trace</html>");
    for stream in [false, true] {
        cases.push(Case { name: "5xx with HTML", place: Place::Rig(vec![page()]), stream, end: Refused(502, usize::MAX) });
    }
    let plain = response("200 OK", &[("content-type", "text/plain")], &(speech.whole)("x"));
    cases.push(Case { name: "JSON that is called text", place: Place::Rig(vec![plain]), stream: false, end: x() });
    let streams = streams(speech).into_iter();
    cases.extend(streams.map(|(name, script, end)| Case { name, place: Place::Rig(script), stream: true, end }));
    cases
}

async fn play(case: Case, speech: &Speech, client: &Client) {
    let name = format!("{}, {:?} asked by {}, stream {}", case.name, speech.kind, client.path, case.stream);
    let silent = Rig::new(vec![vec![Step::Wait(Duration::from_secs(60))]]).await;
    let (rig, url) = match case.place {
        Place::Rig(script) => {
            let rig = Rig::new(vec![script]).await;
            let url = rig.url.clone();
            (Some(rig), url)
        }
        Place::Nowhere => {
            let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            (None, format!("http://{closed}/v1"))
        }
        Place::NoTls => (None, silent.url.replace("http://", "https://")),
    };
    let mut kit = Kit::new();
    // Room for what is large, and an end of what has none.
    kit.facts.limits.answer_bytes = 12 << 20;
    let mut fact = ProviderFact { kind: speech.kind, ..rig::fact(&url) };
    if ![SLOW, DRIPPING].contains(&case.name) {
        fact.timeouts.total = Duration::from_secs(60);
    }
    kit.facts.providers.insert("rig".to_owned(), fact);
    let mut ask = (client.asks)();
    ask["stream"] = case.stream.into();
    let began = Instant::now();
    let heard = kit.send(post_to(client.path, &ask.to_string(), &[])).await.whole().await;
    assert!(began.elapsed() < Duration::from_secs(40), "{name}: {:?}", began.elapsed());
    let rows = kit.rows();
    assert_eq!(rows.len(), 1, "{name}");
    check(&name, (&heard, &rows[0]), (&case.end, client, case.stream));
    if let Some(rig) = rig {
        assert_eq!((rig.asked(), rows[0].attempts), (1, 1), "{name}");
    }
    assert!(!heard.text.contains("stack trace"), "{name}: {}", heard.text);
    let wait = if case.name == "429 with Retry-After" { "7" } else { "" };
    assert_eq!(heard.header("retry-after"), wait, "{name}");
}

fn check(name: &str, (heard, row): (&Heard, &Row), (end, client, stream): (&End, &Client, bool)) {
    let told = if heard.text.len() < 2000 { heard.text.as_str() } else { "much" };
    let word = |which: &usize| client.words.get(*which).copied();
    let events = if stream && heard.status == 200 { heard.events() } else { Vec::new() };
    let said: String = events.iter().map(client.piece).collect();
    let used = (row.prompt_tokens, row.completion_tokens, row.estimated);
    match end {
        Clean(text) => {
            let said = if stream { said } else { (client.text)(&heard.json()) };
            assert!(said == *text, "{name}: {told}");
            assert!(!stream || (client.ended)(heard), "{name}: {told}");
            assert_eq!((row.outcome.as_str(), used), ("ok", (5, 3, false)), "{name}");
            let ends = ["event: message_stop", "[DONE]", "\"finish_reason\":\"stop\"", "event: content_block_stop"];
            let most = ends.iter().map(|end| heard.text.matches(end).count()).max();
            assert!(heard.status == 200 && most <= Some(1), "{name}: {told}");
        }
        Refused(status, which) => {
            assert_eq!(heard.status, *status, "{name}: {told}");
            let error = (client.error)(&heard.json());
            assert!(!error.is_empty() && word(which).is_none_or(|word| word == error), "{name}: {told}");
            assert_eq!(used, (0, 0, false), "{name}: nothing was used");
            assert_ne!(row.outcome, "ok", "{name}");
        }
        Broken(text, which) => {
            assert_eq!((heard.status, said.as_str()), (200, *text), "{name}: {told}");
            let error = events.last().map(client.error).unwrap_or_default();
            assert_eq!(Some(error.as_str()), word(which), "{name}: {told}");
            assert!(!(client.ended)(heard), "{name}: {told}");
            assert_eq!((row.status, row.completion_tokens), (200, 1), "{name}");
            assert!(row.outcome != "ok" && row.estimated && row.prompt_tokens > 0, "{name}: {row:?}");
        }
    }
}

/// Plays all cases and tells of all that went wrong.
async fn play_all(speech: &Speech, client: &Client) {
    let mut cases = table(speech);
    let mut wrong = Vec::new();
    while !cases.is_empty() {
        // Most of their time they wait.
        let some: Vec<Case> = cases.drain(..cases.len().min(12)).collect();
        let played = some.into_iter().map(|case| AssertUnwindSafe(play(case, speech, client)).catch_unwind());
        wrong.extend(join_all(played).await.into_iter().filter_map(Result::err));
    }
    assert!(wrong.is_empty(), "{} cases went wrong", wrong.len());
}

#[tokio::test]
async fn each_fault_of_chat_completions_has_its_result_in_chat_completions() {
    play_all(&SPEECHES[0], &CLIENTS[0]).await;
}

#[tokio::test]
async fn each_fault_of_chat_completions_has_its_result_in_messages() {
    play_all(&SPEECHES[0], &CLIENTS[1]).await;
}

#[tokio::test]
async fn each_fault_of_messages_has_its_result_in_chat_completions() {
    play_all(&SPEECHES[1], &CLIENTS[0]).await;
}

#[tokio::test]
async fn each_fault_of_messages_has_its_result_in_messages() {
    play_all(&SPEECHES[1], &CLIENTS[1]).await;
}
