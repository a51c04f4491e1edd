//! Every dialect to every other, by tables: calls of tools come out whole, in whatever shape they go in and as the clients of each dialect
//! put them together, and tokens, each once.
//!
//! Apart because it is about pairs: what is read in one dialect, written in another and read there again must say the same. A new dialect
//! is a row of [`SPEAKERS`]. It must not say how a dialect writes; that is in its goldens.

mod chat;
mod messages;
mod responses;

use bytes::Bytes;
use gatewright_types::{Chunk, Completion, Usage, gather_into};
use serde_json::{Value, json};

use super::anthropic_messages::AnthropicMessages;
use super::openai_chat::OpenAiChat;
use super::openai_responses::OpenAiResponses;
use super::{Begin, DialectRef};
use crate::upstreams::sse::{Bounds, EventReader};

/// A dialect, how its servers send what the tables are about, and how its clients take it.
struct Speaker {
    dialect: DialectRef,
    calls: fn() -> Vec<Calling>,
    usage: fn() -> Vec<Counting>,
    /// Whether a client of it knows each call by what begins it.
    begins: fn(&[Value]) -> bool,
    /// The calls of a stream's events.
    streamed: fn(&[Value]) -> Made,
    /// The calls of a whole answer.
    whole: fn(&Value) -> Made,
}

/// A name, events, and what was called in them.
type Calling = (&'static str, Vec<Value>, Made);

/// Events, and the tokens that they tell: prompt, completion, cached, reasoning, written.
type Counting = (Vec<Value>, [u64; 5]);

/// Calls that were made: id, name, arguments.
type Made = Vec<(String, String, String)>;

const SPEAKERS: [Speaker; 3] = [
    Speaker {
        dialect: &OpenAiChat,
        calls: chat::calls,
        usage: chat::usage,
        begins: chat::begins,
        streamed: chat::streamed,
        whole: chat::whole,
    },
    Speaker {
        dialect: &AnthropicMessages,
        calls: messages::calls,
        usage: messages::usage,
        begins: messages::begins,
        streamed: messages::streamed,
        whole: messages::whole,
    },
    Speaker {
        dialect: &OpenAiResponses,
        calls: responses::calls,
        usage: responses::usage,
        begins: responses::begins,
        streamed: responses::streamed,
        whole: responses::whole,
    },
];

fn made(calls: &[[&str; 3]]) -> Made {
    calls.iter().map(|call| call.map(str::to_owned).into()).collect()
}

fn one() -> Made {
    made(&[["a", "f", r#"{"x":1}"#]])
}

fn none() -> Made {
    made(&[["a", "f", "{}"]])
}

fn two() -> Made {
    made(&[["a", "f", r#"{"x":1}"#], ["b", "g", r#"{"y":[2]}"#]])
}

/// The chunks of these events.
fn heard(dialect: DialectRef, events: &[Value]) -> Vec<Chunk> {
    let mut reader = dialect.reader();
    events.iter().filter_map(|event| reader.event(Bytes::from(event.to_string())).unwrap()).collect()
}

fn gathered(chunks: &[Chunk]) -> Completion {
    let mut whole = Completion::default();
    chunks.iter().for_each(|chunk| gather_into(&mut whole, chunk.clone()));
    whole
}

/// The events that a client of that dialect is sent.
fn written(dialect: DialectRef, chunks: &[Chunk]) -> Vec<Value> {
    let mut writer = dialect.events(Begin { include_usage: true, ..Begin::default() });
    let mut bytes: Vec<u8> = chunks.iter().filter_map(|chunk| writer.event(chunk)).flatten().collect();
    bytes.extend_from_slice(&writer.end());
    let mut events = EventReader::new(Bounds { event: 1 << 20, total: 1 << 20 });
    events.push(Bytes::from(bytes)).unwrap();
    let data = std::iter::from_fn(|| events.next().unwrap());
    data.filter(|data| &data[..] != b"[DONE]").map(|data| serde_json::from_slice(&data).unwrap()).collect()
}

fn check(name: &str, found: &Made, wanted: &Made) {
    let read = |calls: &Made| -> Vec<Value> {
        let call = |(id, name, arguments): &(String, String, String)| {
            // As clients do: what is no JSON is an error to them, an empty text above all.
            let arguments: Value = serde_json::from_str(arguments).unwrap_or_else(|_| format!("no JSON: {arguments}").into());
            json!([id, name, arguments])
        };
        calls.iter().map(call).collect()
    };
    assert_eq!(read(found), read(wanted), "{name}");
}

/// The calls that we know of, which say nothing where they have no arguments.
fn known(answer: &Completion) -> Made {
    let calls = answer.choices[0].tool_calls.iter();
    calls.map(|call| (call.id.clone(), call.name.clone(), call.json().to_owned())).collect()
}

#[test]
fn calls_reach_the_clients_of_every_dialect_whole_whatever_shape_they_come_in() {
    for from in &SPEAKERS {
        for (name, events, made) in (from.calls)() {
            let chunks = heard(from.dialect, &events);
            check(name, &known(&gathered(&chunks)), &made);
            let touched: Vec<Chunk> = chunks.iter().map(|chunk| Chunk { raw: None, ..chunk.clone() }).collect();
            for to in &SPEAKERS {
                let name = format!("{name}: {:?} to {:?}", from.dialect, to.dialect);
                let events = written(to.dialect, &chunks);
                // Who speaks the client's own dialect is passed on as it speaks.
                if from.dialect.name() == to.dialect.name() {
                    check(&name, &known(&gathered(&heard(to.dialect, &events))), &made);
                } else {
                    check(&name, &(to.streamed)(&events), &made);
                    assert!((to.begins)(&events), "{name}: {events:?}");
                }
                let events = written(to.dialect, &touched);
                check(&format!("{name}, rewritten"), &(to.streamed)(&events), &made);
                check(&format!("{name}, read again"), &known(&gathered(&heard(to.dialect, &events))), &made);
                let body = to.dialect.whole(&gathered(&chunks), &Begin::default());
                check(&format!("{name}, whole"), &(to.whole)(&serde_json::from_slice(&body).unwrap()), &made);
                check(&format!("{name}, whole, read again"), &known(&gathered(&[to.dialect.read_body(body).unwrap()])), &made);
            }
        }
    }
}

fn tokens(usage: &Usage) -> [u64; 5] {
    let Usage { prompt, completion, cached, reasoning, cache_written, .. } = usage;
    [*prompt, *completion, cached.unwrap_or_default(), reasoning.unwrap_or_default(), cache_written.unwrap_or_default()]
}

#[test]
fn tokens_add_up_in_every_dialect_each_once() {
    for from in &SPEAKERS {
        for (events, wanted) in (from.usage)() {
            let chunks = heard(from.dialect, &events);
            let answer = gathered(&chunks);
            assert_eq!(tokens(answer.usage.as_ref().unwrap()), wanted, "{events:?}");
            for to in &SPEAKERS {
                // Of the parts, each dialect tells those that it has words for; the sums are the same in all.
                let same = |found: Usage, how: &str| {
                    let name = format!("{:?} to {:?}, {how}: {events:?}", from.dialect, to.dialect);
                    let found = tokens(&found);
                    assert_eq!(found[..3], wanted[..3], "{name}");
                    let told = found[3..].iter().zip(&wanted[3..]).all(|(found, wanted)| found == wanted || *found == 0);
                    assert!(told, "{name}: {found:?}");
                };
                let streamed = gathered(&heard(to.dialect, &written(to.dialect, &chunks)));
                same(streamed.usage.unwrap_or_default(), "streamed");
                let body = to.dialect.whole(&answer, &Begin::default());
                same(gathered(&[to.dialect.read_body(body).unwrap()]).usage.unwrap_or_default(), "whole");
            }
        }
    }
}
