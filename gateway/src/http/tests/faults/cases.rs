//! The table of faults: what an upstream does, and what that is to a client.
//!
//! Apart because a new fault is a row here, whatever dialects there are. It must not know how a case is played.

use std::time::Duration;

use super::clients::{BUSY, CUT, DOWN, LATE, UNREACHABLE, UNREADABLE};
use super::speeches::Speech;
use crate::upstreams::remote::rig::{self, Step, last_piece, piece, response, stream_head};

/// What a fault is to a client.
#[derive(Clone)]
pub(super) enum End {
    /// An answer of this text, as if nothing had been.
    Clean(String),
    /// No answer: a status, and which of the client's words for it.
    Refused(u16, usize),
    /// A part of an answer, and an error in place of its end.
    Broken(&'static str, usize),
}
use End::{Broken, Clean, Refused};

/// Where an upstream is.
#[derive(Clone)]
pub(super) enum Place {
    /// It plays this.
    Rig(Vec<Step>),
    /// Nobody listens there.
    Nowhere,
    /// TLS is spoken with a server that says nothing.
    Silent,
    /// With one that answers in plain text.
    Plain,
    /// With one whose certificate is signed by itself.
    SelfSigned,
}

/// What ends a case, where its script does not: all other limits are out of reach.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    None,
    Connect,
    FirstByte,
    Idle,
    Total,
    /// A megabyte.
    Bytes,
}

/// Who is asked after a fault, and answers as it should be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Nobody,
    /// The same leg.
    Same,
    /// The route's next one.
    Next,
}

#[derive(Clone)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) stream: bool,
    pub(super) limit: Limit,
    pub(super) then: Then,
    pub(super) end: End,
}

impl Case {
    /// A whole answer is wanted of that place.
    fn of(name: &'static str, place: Place, end: End) -> Self {
        Self { name, place, stream: false, limit: Limit::None, then: Then::Nobody, end }
    }

    fn rig(name: &'static str, script: Vec<Step>, end: End) -> Self {
        Self::of(name, Place::Rig(script), end)
    }

    fn streamed(self) -> Self {
        Self { stream: true, ..self }
    }

    fn within(self, limit: Limit) -> Self {
        Self { limit, ..self }
    }

    /// Asked again, it is as if nothing had been.
    fn then(self, then: Then) -> Self {
        Self { then, end: x(), ..self }
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");
const PAGE: &str = "<html>stack trace</html>";
const AGES: Step = Step::Wait(Duration::from_secs(60));

fn x() -> End {
    Clean("x".to_owned())
}

pub(super) fn stream(frames: impl IntoIterator<Item = String>) -> Vec<Step> {
    let pieces = frames.into_iter().map(|frame| piece(&frame));
    [stream_head()].into_iter().chain(pieces).chain([last_piece()]).collect()
}

/// The frames of an answer of `x`.
pub(super) fn good(speech: &Speech) -> Vec<String> {
    [(speech.opening)(), vec![(speech.says)("x")], (speech.closing)()].concat()
}

/// A stream of these frames, and what comes then.
fn begun(frames: &[String], then: Vec<Step>) -> Vec<Step> {
    let pieces = frames.iter().map(|frame| piece(frame));
    [stream_head()].into_iter().chain(pieces).chain(then).collect()
}

fn json_head(length: usize) -> Step {
    Step::Send(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"))
}

/// The same, with a byte in it that is in no text: of all that is wrong, the encoding.
fn spoiled(text: &str) -> Vec<u8> {
    assert_eq!(text.matches('~').count(), 1, "{text}");
    text.bytes().map(|byte| if byte == b'~' { 0xff } else { byte }).collect()
}

fn data(event: &str) -> Step {
    piece(&format!("data: {event}\n\n"))
}

/// Refusals, and what is none and no answer.
fn refusals(speech: &Speech) -> Vec<Case> {
    let html = [("content-type", "text/html")];
    let after = [JSON, ("retry-after", "7")];
    let case =
        |name, status: &str, headers: &[(&str, &str)], (body, end)| Case::rig(name, vec![response(status, headers, body)], end);
    let (busy, unreadable) = (Refused(429, BUSY), Refused(502, UNREADABLE));
    vec![
        case("429 with Retry-After", "429 Slow", &after, (speech.error, busy.clone())),
        case("429 without Retry-After", "429 Slow", &[JSON], (speech.error, busy.clone())),
        case("5xx with HTML", "503 Down", &html, (PAGE, Refused(502, DOWN))),
        case("200 with an error", "200 OK", &[JSON], (speech.error, busy)),
        case("200 with a page", "200 OK", &html, (PAGE, unreadable.clone())),
        case("200 with JSON of something else", "200 OK", &[JSON], (r#"{"ok":true}"#, unreadable.clone())),
        case("200 with nothing", "200 OK", &[JSON], ("", unreadable.clone())),
        case("truncated JSON", "200 OK", &[JSON], ("{\"id\":\"x\",\"choices\":[", unreadable)),
    ]
}

/// Faults that come before an answer, whatever was asked for.
fn before(speech: &Speech) -> Vec<Case> {
    let whole = (speech.whole)("x");
    let wrong = spoiled(&(speech.whole)("~"));
    let half = Step::Send(whole[..whole.len() / 2].to_owned());
    let late = Refused(504, LATE);
    let unreachable = || Refused(502, UNREACHABLE);
    let mut cases = vec![
        Case::of("refused", Place::Nowhere, unreachable()),
        Case::rig("reset", vec![Step::Reset], unreachable()),
        Case::rig("closed without an answer", vec![Step::Close], unreachable()),
        Case::of("silence for TLS", Place::Silent, unreachable()).within(Limit::Connect),
        Case::of("plain text for TLS", Place::Plain, unreachable()),
        Case::of("a certificate of its own", Place::SelfSigned, unreachable()),
        Case::rig("slow headers", vec![AGES], late.clone()).within(Limit::FirstByte),
        Case::rig("JSON that breaks off", vec![json_head(whole.len()), half.clone(), Step::Close], Refused(502, CUT)),
        Case::rig("a stall in JSON", vec![json_head(whole.len()), half, AGES], late.clone()).within(Limit::Idle),
        Case::rig("invalid UTF-8 in JSON", vec![json_head(wrong.len()), Step::Bytes(wrong)], Refused(502, UNREADABLE)),
        Case::rig("slow body", slow(&whole), late).within(Limit::Total),
    ];
    cases.extend(refusals(speech));
    cases
}

/// A body that comes byte by byte, never silent for long and never done in time.
fn slow(body: &str) -> Vec<Step> {
    let drip = body.bytes().flat_map(|byte| [Step::Bytes(vec![byte]), Step::Wait(Duration::from_millis(100))]);
    [json_head(body.len())].into_iter().chain(drip).collect()
}

/// Streams that break.
fn broken(speech: &Speech) -> Vec<Case> {
    let frames = [(speech.opening)(), vec![(speech.says)("x")]].concat();
    let case = |name, then, which| Case::rig(name, begun(&frames, then), Broken("x", which));
    let next = (speech.says)("y");
    let wrong = spoiled(&(speech.says)("~"));
    let wrong = [format!("{:x}\r\n", wrong.len()).into_bytes(), wrong, b"\r\n".to_vec()].concat();
    let drips = (0..100).flat_map(|_| [piece(&(speech.says)("")), Step::Wait(Duration::from_millis(100))]).collect();
    let endless = Step::Forever(chunked(&format!("{}{}", (speech.says)(""), comment())));
    let mut cases = vec![
        case("stall", vec![AGES], LATE).within(Limit::Idle),
        case("reset in the middle", vec![Step::Wait(Duration::from_millis(30)), Step::Reset], CUT),
        case("truncated events", vec![piece(&next[..next.len() / 2]), last_piece()], CUT),
        case("ended without an end", vec![last_piece()], CUT),
        case("no JSON in the middle", vec![data("{oops}"), last_piece()], UNREADABLE),
        case("invalid UTF-8", vec![Step::Bytes(wrong), last_piece()], UNREADABLE),
        case("endless and slow", drips, LATE).within(Limit::Total),
        case("endless", vec![endless], UNREADABLE).within(Limit::Bytes),
    ];
    cases.extend(speech.failures.iter().map(|failure| case("an error in the middle", vec![data(failure), last_piece()], BUSY)));
    if !speech.may_lack_end {
        let (closing, unmarked) = ((speech.closing)(), frames.clone());
        let unmarked = [unmarked, closing[..closing.len() - 1].to_vec()].concat();
        cases.push(Case::rig("all but the end", stream(unmarked), Broken("x", CUT)));
    }
    cases
}

/// Streams that are odd, and say all the same what they have to say.
fn odd(speech: &Speech) -> Vec<Case> {
    let (good, x_said) = (good(speech), (speech.says)("x"));
    let (opening, closing) = ((speech.opening)(), (speech.closing)());
    let (end, rest) = closing.split_last().unwrap();
    let case = |name, script| Case::rig(name, script, x());
    let commented = good.iter().flat_map(|frame| [": hi\n\n".to_owned(), frame.replacen("data:", ": within\ndata:", 1)]);
    let lines = good.iter().map(|frame| frame.replace("\",\"", "\",\ndata: \""));
    let twice = [opening, vec![x_said.clone(), x_said], rest.to_vec(), rest.to_vec(), vec![end.clone()]].concat();
    let more = [good.clone(), vec!["data: [DONE]\n\n".to_owned()], good.clone()].concat();
    let mut cases = vec![
        case("as it should be", stream(good.clone())),
        case("data in lines", stream(lines)),
        case("CRLF", stream(good.iter().map(|frame| frame.replace('\n', "\r\n")))),
        case("comments", stream(commented)),
        case("all in one piece", stream([good.concat()])),
        case("byte by byte", stream(good.concat().chars().map(String::from))),
        case("an end, and more", stream(more)),
        case("an end, then silence", begun(&good, vec![AGES])),
        case("no content type", vec![response("200 OK", &[], &good.concat())]),
        case("a whole answer", vec![response("200 OK", &[JSON], &(speech.whole)("x"))]),
        Case::rig("a piece twice, and what follows", stream(twice), Clean("xx".to_owned())),
    ];
    if speech.may_lack_end {
        cases.push(case("no mark at the end", stream(good[..good.len() - 1].to_vec())));
    }
    cases
}

/// Long enough that a bound is soon reached.
fn comment() -> String {
    format!(": {}\n\n", "wait ".repeat(10_000))
}

fn chunked(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// All faults, of one try each.
pub(super) fn table(speech: &Speech) -> Vec<Case> {
    let both = before(speech).into_iter().flat_map(|case| [case.clone(), case.streamed()]);
    let streams = broken(speech).into_iter().chain(odd(speech)).map(Case::streamed);
    let events = good(speech).concat();
    let plain = response("200 OK", &[("content-type", "text/plain")], &(speech.whole)("x"));
    let comments = vec![stream_head(), Step::Forever(chunked(&comment()))];
    let error = vec![stream_head(), data(speech.failures[0]), last_piece()];
    let unreadable = Refused(502, UNREADABLE);
    let others = [
        Case::rig("JSON that is called text", vec![plain], x()),
        Case::rig("events for a whole answer", stream(good(speech)), unreadable.clone()),
        Case::rig("events that are called JSON", vec![response("200 OK", &[JSON], &events)], unreadable.clone()).streamed(),
        Case::rig("endless comments", comments, unreadable).within(Limit::Bytes).streamed(),
        Case::rig("an error first", error, Refused(429, BUSY)).streamed(),
    ];
    both.chain(streams).chain(others).collect()
}

/// Large ones, which are no faults while no limit says so.
pub(super) fn large(speech: &Speech) -> Vec<Case> {
    let text = "y".repeat(10 << 20);
    let frames = |says: &str| [(speech.opening)(), vec![(speech.says)(says)], (speech.closing)()].concat();
    let said = [(speech.opening)(), vec![(speech.says)("x"), (speech.says)(&text)]].concat();
    let whole = (speech.whole)(&text);
    vec![
        Case::rig("ten megabytes at once", stream(frames(&text)), Clean(text.clone())).streamed(),
        Case::rig("ten megabytes, and the bound is one", stream(said), Broken("x", UNREADABLE)).within(Limit::Bytes).streamed(),
        Case::rig("ten megabytes of JSON", vec![rig::json(&whole)], Clean(text)),
        Case::rig("ten megabytes of JSON, and the bound is one", vec![rig::json(&whole)], Refused(502, UNREADABLE))
            .within(Limit::Bytes),
    ]
}

/// Faults after which another try comes out well.
pub(super) fn again(speech: &Speech) -> Vec<Case> {
    const SAME: [&str; 5] = ["reset", "closed without an answer", "429 without Retry-After", "5xx with HTML", "200 with an error"];
    let soon = vec![response("429 Slow", &[JSON, ("retry-after", "1")], speech.error)];
    let soon = Case::rig("429 with Retry-After of a second", soon, x()).then(Then::Same);
    let same = before(speech).into_iter().filter(|case| SAME.contains(&case.name)).map(|case| case.then(Then::Same)).chain([soon]);
    let next = before(speech).into_iter().map(|case| case.then(Then::Next));
    let both = same.chain(next).flat_map(|case| [case.clone(), case.streamed()]);
    let opened = |name, then: Vec<Step>| Case::rig(name, begun(&(speech.opening)(), then), x()).streamed().then(Then::Next);
    let opened = [
        opened("a reset before the first word", vec![Step::Wait(Duration::from_millis(30)), Step::Reset]),
        opened("an end before the first word", vec![last_piece()]),
        opened("a stall before the first word", vec![AGES]).within(Limit::Idle),
        opened("an error before the first word", vec![data(speech.failures[0]), last_piece()]),
        opened("no JSON before the first word", vec![data("{oops}"), last_piece()]),
    ];
    both.chain(opened).collect()
}
