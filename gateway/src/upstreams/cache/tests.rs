//! The cache's promises: the same answer again, to the same tenant only, one call for many, and no damage that stops the gateway.

mod keeping;
mod sharing;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use gatewright_types::{ChatRequest, Chunk, Delta, Extras, Fault, FinishReason, Message, Raw, Role, Usage};
use serde_json::value::RawValue;

use super::{Cache, CacheKey, CacheScope, Leader, Look};
use crate::clock::FixedClock;
use crate::config::facts::CacheFact;
use crate::upstreams::Deltas;

const HOUR: Duration = Duration::from_secs(3600);
const LEG: [u8; 32] = [7; 32];

fn fact() -> CacheFact {
    CacheFact { max_bytes: 64 << 20, max_entry_bytes: 1 << 20, across_tenants: false }
}

fn open(folder: &Path) -> (Cache, Arc<FixedClock>) {
    let clock = Arc::new(FixedClock::at(1_000_000));
    {
        let cache = Cache::new(&folder.join("cache"), &fact(), clock.clone());
        cache.ready();
        (cache, clock)
    }
}

fn request(text: &str) -> ChatRequest {
    ChatRequest { model: "m".to_owned(), messages: vec![Message::text(Role::User, text)], ..ChatRequest::default() }
}

fn key(cache: &Cache, text: &str) -> CacheKey {
    cache.key(&CacheScope { tenant: Some("ada"), leg: &LEG }, &request(text))
}

fn text(text: &str) -> Chunk {
    Chunk::of(vec![Delta::Text { choice: 0, text: text.to_owned() }])
}

fn finish(reason: FinishReason) -> Chunk {
    Chunk::of(vec![Delta::Finish { choice: 0, reason }])
}

fn answer(words: &[&str]) -> Vec<Chunk> {
    words.iter().map(|word| text(word)).chain([finish(FinishReason::Stop)]).collect()
}

fn deltas(chunks: Vec<Chunk>) -> Deltas {
    Box::pin(stream::iter(chunks.into_iter().map(Ok)))
}

fn lead(look: Look) -> Leader {
    match look {
        Look::Miss(leader) => leader,
        other => unreachable!("{other:?}"),
    }
}

/// What is found at once; a miss is `None`.
async fn found(cache: &Cache, key: CacheKey) -> Option<Vec<Chunk>> {
    match cache.look(key) {
        Look::Hit(deltas) | Look::Shared(deltas) => Some(deltas.map(Result::unwrap).collect().await),
        Look::Miss(_) => None,
    }
}

async fn store(cache: &Cache, key: CacheKey, chunks: Vec<Chunk>) {
    let stored = lead(cache.look(key)).record(deltas(chunks), HOUR);
    let _: Vec<Result<Chunk, Fault>> = stored.collect().await;
}

/// Waits until what was stored is in the folder.
fn settle(cache: &Cache) {
    let start = std::time::Instant::now();
    while !cache.0.known.lock().is_empty() {
        assert!(start.elapsed().as_secs() < 30, "the writer does not get on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn written(chunks: &[Chunk]) -> Vec<String> {
    chunks.iter().map(|chunk| serde_json::to_string(chunk).unwrap()).collect()
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn extras(name: &str, json: &str) -> Extras {
    let mut extras = Extras::new();
    extras.push(name, raw(json));
    extras
}

/// An answer with one of everything.
fn everything() -> Vec<Chunk> {
    let call = |id: Option<&str>, arguments: &str| Delta::ToolCall {
        choice: 0,
        index: 0,
        id: id.map(str::to_owned),
        name: id.map(|_| "calculator".to_owned()),
        arguments: arguments.to_owned(),
        extras: extras("kept", "1e2"),
    };
    let mut first = Chunk::of(vec![Delta::Start { id: "chatcmpl-1".to_owned(), model: "m-1".to_owned(), created: 17 }]);
    first.extras = extras("system_fingerprint", "\"fp\"");
    first.raw = Some(Raw::Event("openai_chat", Bytes::from_static(b"{}")));
    vec![
        first,
        Chunk::of(vec![Delta::Reasoning { choice: 0, text: "think \"é\u{1f600}\n".to_owned() }]),
        Chunk::of(vec![Delta::Text { choice: 0, text: "say".to_owned() }, Delta::Refusal { choice: 1, text: "no".to_owned() }]),
        Chunk::of(vec![Delta::Logprobs { choice: 0, value: raw("{\"content\": [ 1.50 ]}") }]),
        Chunk::of(vec![Delta::Other {
            choice: 0,
            delta: extras("signature", "\"c2ln\""),
            around: extras("odd", "{\"b\":1, \"a\":2}"),
        }]),
        Chunk::of(vec![call(Some("call_1"), "{\"expr")]),
        Chunk::of(vec![call(None, "ession\":1}")]),
        Chunk::of(vec![
            Delta::Finish { choice: 0, reason: FinishReason::ToolCalls },
            Delta::Finish { choice: 1, reason: FinishReason::Stop },
            Delta::Usage(Usage { prompt: 3, completion: 5, reasoning: Some(2), extras: extras("x", "null"), ..Usage::default() }),
        ]),
    ]
}
