//! What translation between dialects costs, without any network: each dialect in, each dialect out; a small request and a coding agent's,
//! long histories and long streams. Times are per element where there are many, so that what grows with the square of a length is seen:
//! the line of ten times as many would say ten times as much.
//!
//! Requests and streams are written by the dialects themselves, so that a new one is measured as soon as it is in their list. Each
//! operation is looked at once before it is measured, and one that fails ends the run: a failure would pass for a fast one.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gatewright::dialects::{ALL, Asked, Begin, Dialect, DialectRef};
use gatewright_types::{ChatRequest, Chunk, Completion, Delta, Extras, FinishReason, Usage, gather_into};
use serde_json::{Value, json};

const WORDS: &str = "The quick brown fox \"jumps\" over the lazy dog.\n";

/// What is asked: messages as chat completions have them, and how many tools are on offer.
struct Question {
    messages: Vec<Value>,
    tools: usize,
}

impl Question {
    fn functions(&self) -> impl Iterator<Item = Value> {
        let schema = json!({"type": "object", "properties": {"path": {"type": "string", "description": WORDS.repeat(20)}}});
        let about = WORDS.repeat(30);
        (0..self.tools).map(move |i| json!({"name": format!("tool_{i}"), "description": about, "parameters": schema}))
    }

    fn canonical(&self) -> ChatRequest {
        let mut body = json!({"model": "m", "messages": self.messages, "max_tokens": 256, "temperature": 0.5, "stream": true});
        if self.tools > 0 {
            body["tools"] = self.functions().map(|function| json!({"type": "function", "function": function})).collect();
        }
        ALL[0].read(body.to_string().as_bytes(), &Asked::default()).unwrap()
    }

    /// The body of a client of this dialect, which is as it asks upstreams.
    fn body(&self, from: DialectRef) -> Vec<u8> {
        from.write(&self.canonical()).unwrap().into()
    }
}

/// So many messages: a task, then calls of tools and their results, of so many bytes.
fn history(messages: usize, bytes: usize) -> Vec<Value> {
    let text = WORDS.repeat(bytes.div_ceil(WORDS.len()));
    let mut all = vec![json!({"role": "system", "content": text}), json!({"role": "user", "content": text})];
    for i in (0..messages.saturating_sub(2)).step_by(2) {
        let function = json!({"name": "tool_1", "arguments": json!({"path": text}).to_string()});
        let calls = json!([{"id": format!("call_{i}"), "type": "function", "function": function}]);
        all.push(json!({"role": "assistant", "content": "I look.", "reasoning_content": "Hm.", "tool_calls": calls}));
        all.push(json!({"role": "tool", "tool_call_id": format!("call_{i}"), "content": text}));
    }
    all
}

/// Each dialect of chats in, each out: those that can say a question with a tool's call and result, and read it again.
fn pairs() -> impl Iterator<Item = (DialectRef, DialectRef, String)> {
    let question = Question { messages: history(4, 8), tools: 2 };
    let asked = question.canonical();
    let chats = move |dialect: &DialectRef| {
        let again = dialect.write(&asked).and_then(|body| dialect.read(&body, &Asked::default()));
        again.is_ok_and(|again| again.messages.len() >= 4 && again.tools.len() == 2)
    };
    let chats: Vec<DialectRef> = ALL.into_iter().filter(chats).collect();
    assert!(chats.len() >= 3, "chat completions, Responses and Messages: {chats:?}");
    let each = chats.clone();
    each.into_iter().flat_map(move |from| chats.clone().into_iter().map(move |to| (from, to, format!("{from:?} to {to:?}"))))
}

fn begin() -> Begin {
    Begin { id: "id".into(), model: "m".into(), created: 1, include_usage: true, ..Begin::default() }
}

/// A client's body read, and an upstream's written.
fn translate((from, to): (DialectRef, DialectRef), body: &[u8]) -> usize {
    let request = from.read(body, &Asked::default()).unwrap();
    to.write(&request).unwrap().len()
}

fn requests(criterion: &mut Criterion) {
    let sizes = [
        ("1 KB", 2, 512, 0, 1),
        ("1 MB", 200, 3900, 30, 1),
        ("1,000 messages", 1_000, 64, 0, 1_000),
        ("10,000 messages", 10_000, 64, 0, 10_000),
    ];
    for (name, messages, bytes, tools, elements) in sizes {
        let mut group = criterion.benchmark_group(format!("request, {name}"));
        group.throughput(Throughput::Elements(elements));
        let question = Question { messages: history(messages, bytes), tools };
        for (from, to, pair) in pairs() {
            let body = question.body(from);
            // All that was said went on.
            assert!(translate((from, to), &body) * 2 > body.len(), "{pair}");
            group.bench_with_input(BenchmarkId::new(pair, body.len()), &body, |b, body| {
                b.iter(|| translate((from, to), black_box(body)))
            });
        }
        group.finish();
    }
}

/// A stream of so many pieces: thought, words and a call's arguments in equal parts.
fn pieces(count: usize) -> Vec<Chunk> {
    let third = count / 3;
    let (text, choice) = (|| " hello".to_owned(), 0);
    let call = |id: Option<&str>, arguments: &str| Delta::ToolCall {
        choice,
        index: 0,
        id: id.map(str::to_owned),
        name: id.map(|_| "tool_1".to_owned()),
        arguments: arguments.to_owned(),
        extras: Extras::new(),
    };
    let mut all = vec![Chunk::of(vec![Delta::Start { id: "id".into(), model: "m".into(), created: 1 }])];
    all.extend((0..third).map(|_| Chunk::of(vec![Delta::Reasoning { choice, text: text() }])));
    all.extend((0..third).map(|_| Chunk::of(vec![Delta::Text { choice, text: text() }])));
    all.push(Chunk::of(vec![call(Some("call_1"), "{\"path\":\"")]));
    all.extend((0..third).map(|_| Chunk::of(vec![call(None, " hello")])));
    all.push(Chunk::of(vec![call(None, "\"}")]));
    let usage = Usage { prompt: 3, completion: 4, ..Usage::default() };
    all.push(Chunk::of(vec![Delta::Finish { choice, reason: FinishReason::ToolCalls }, Delta::Usage(usage)]));
    all
}

/// The same as an upstream of this dialect sends it: the data of each event.
fn events(dialect: &dyn Dialect, chunks: &[Chunk]) -> Vec<Bytes> {
    let mut writer = dialect.events(begin());
    let mut frames: Vec<Bytes> = chunks.iter().filter_map(|chunk| writer.event(chunk)).collect();
    frames.push(writer.end());
    let text = String::from_utf8(frames.concat()).unwrap();
    text.lines().filter_map(|line| line.strip_prefix("data: ")).map(|data| Bytes::from(data.to_owned())).collect()
}

/// An upstream's stream read, and a client's written.
fn relay((from, to): (DialectRef, DialectRef), events: &[Bytes]) -> usize {
    let (mut reader, mut writer, mut bytes) = (to.reader(), from.events(begin()), 0);
    for data in events {
        if let Some(chunk) = reader.event(data.clone()).unwrap() {
            bytes += writer.event(&chunk).map_or(0, |frame| frame.len());
        }
    }
    bytes + writer.end().len()
}

/// An upstream's stream read, and a client's whole answer written.
fn gather((from, to): (DialectRef, DialectRef), events: &[Bytes]) -> usize {
    let (mut reader, mut whole) = (to.reader(), Completion::default());
    for data in events {
        if let Some(chunk) = reader.event(data.clone()).unwrap() {
            gather_into(&mut whole, chunk);
        }
    }
    from.whole(&whole, &begin()).len()
}

type Ends = fn((DialectRef, DialectRef), &[Bytes]) -> usize;

fn streams(criterion: &mut Criterion) {
    for (kind, run) in [("stream", relay as Ends), ("stream to a whole answer", gather)] {
        for count in [1_000, 10_000, 100_000] {
            let mut group = criterion.benchmark_group(format!("{kind}, {count} chunks"));
            group.throughput(Throughput::Elements(count as u64));
            for (from, to, pair) in pairs() {
                let events = events(to, &pieces(count));
                assert!(run((from, to), &events) > count / 3 * 3 * " hello".len(), "{pair}: not all that was said came");
                group.bench_with_input(BenchmarkId::new(pair, events.len()), &events, |b, events| {
                    b.iter(|| run((from, to), black_box(events)))
                });
            }
            group.finish();
        }
    }
}

/// One answer of many blocks, as a client of Messages sends it back: thought, words and calls by turns.
fn blocks(criterion: &mut Criterion) {
    for count in [1_000, 10_000] {
        let block = |i| match i % 3 {
            0 => json!({"type": "thinking", "thinking": WORDS, "signature": "c2ln"}),
            1 => json!({"type": "text", "text": WORDS}),
            _ => json!({"type": "tool_use", "id": format!("toolu_{i}"), "name": "tool_1", "input": {"path": WORDS}}),
        };
        let answer: Vec<Value> = (0..count).map(block).collect();
        let messages = json!([{"role": "user", "content": "Go."}, {"role": "assistant", "content": answer}, {"role": "user", "content": "On."}]);
        let body = json!({"model": "m", "max_tokens": 9, "messages": messages}).to_string();
        let mut group = criterion.benchmark_group(format!("request, one answer of {count} blocks"));
        group.throughput(Throughput::Elements(count));
        for (from, to, pair) in pairs().filter(|(from, ..)| from.name() == "anthropic_messages") {
            assert!(translate((from, to), body.as_bytes()) * 3 > body.len(), "{pair}");
            group.bench_with_input(BenchmarkId::new(pair, body.len()), &body, |b, body| {
                b.iter(|| translate((from, to), black_box(body.as_bytes())))
            });
        }
        group.finish();
    }
}

fn brief() -> Criterion {
    Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1))
}

criterion_group! { name = benches; config = brief(); targets = requests, blocks, streams }
criterion_main!(benches);
