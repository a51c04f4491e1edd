//! What tests through the engine's public door share: a reference checkpoint, a request, its deltas added up.
//!
//! Apart because several files of tests use it. It must not know what they test.
#![allow(dead_code, reason = "not every file of tests needs all")]

use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;
use gatewright_engine::{DeviceChoice, Engine, EngineError, EngineOptions, Generation, ModelFiles, Terms};
use gatewright_types::{ChatRequest, Delta, FinishReason, Message, Role, Sampling, Usage};

pub(crate) const PROMPT: &str = "What is 47 + 85? Größe, 数学 und 🙂: the quick brown fox.";

pub(crate) fn files(name: &str) -> ModelFiles {
    ModelFiles::Folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name))
}

pub(crate) fn engine(max_running: usize, max_waiting: usize) -> Engine {
    engine_of("untied", max_running, max_waiting)
}

pub(crate) fn engine_of(name: &str, max_running: usize, max_waiting: usize) -> Engine {
    let options = EngineOptions { device: device(), max_running, max_waiting, ..EngineOptions::default() };
    Engine::open(&files(name), &options).unwrap()
}

/// The CPU, or what GATEWRIGHT_TEST_DEVICE names: `bench/cuda-gates` does.
pub(crate) fn device() -> DeviceChoice {
    std::env::var("GATEWRIGHT_TEST_DEVICE").map_or(DeviceChoice::Cpu, |name| name.parse().unwrap())
}

pub(crate) fn ask(text: &str, sampling: Sampling) -> ChatRequest {
    ChatRequest { messages: vec![Message::text(Role::User, text)], sampling, ..ChatRequest::default() }
}

pub(crate) fn tokens(n: u64) -> Sampling {
    Sampling { max_tokens: Some(n), ..Sampling::default() }
}

/// Hot enough that nothing but the seed decides; the tiny models never end by themselves then, or hardly.
pub(crate) fn seeded(seed: i64, n: u64) -> Sampling {
    Sampling { temperature: Some(2.0), top_p: Some(1.0), seed: Some(seed), ..tokens(n) }
}

/// Submits, and does at once what a server would do in a thread of its own.
pub(crate) fn submit(engine: &Engine, request: &ChatRequest) -> Result<Generation, EngineError> {
    let (generation, reading) = engine.submit(Arc::new(request.clone()), Terms::default())?;
    reading.run();
    Ok(generation)
}

pub(crate) async fn gather(generation: Generation) -> Vec<Delta> {
    generation.map(Result::unwrap).collect().await
}

/// All that was answered, but how much of the prompt was known: that depends on who asked before, and nothing else does.
pub(crate) fn answered(deltas: &[Delta]) -> String {
    let plain = deltas.iter().cloned().map(|delta| match delta {
        Delta::Usage(usage) => Delta::Usage(Usage { cached: None, ..usage }),
        other => other,
    });
    format!("{:?}", plain.collect::<Vec<_>>())
}

/// Thought, text and finish of one choice, and the usage.
pub(crate) fn read(deltas: &[Delta], wanted: u32) -> (String, String, Option<FinishReason>, Option<Usage>) {
    let (mut thought, mut text, mut end, mut usage) = (String::new(), String::new(), None, None);
    for delta in deltas {
        match delta {
            Delta::Reasoning { choice, text: t } if *choice == wanted => thought.push_str(t),
            Delta::Text { choice, text: t } if *choice == wanted => text.push_str(t),
            Delta::Finish { choice, reason } if *choice == wanted => end = Some(reason.clone()),
            Delta::Usage(u) => usage = Some(u.clone()),
            _ => {}
        }
    }
    (thought, text, end, usage)
}
