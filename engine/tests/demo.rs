//! The demo model that is packed into the gateway, through the engine's public door: what the README promises of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::Path;

use futures_util::StreamExt;
use gatewright_engine::{DeviceChoice, Engine, EngineOptions, ModelFiles};
use gatewright_types::{ChatRequest, Delta, FinishReason, Message, Role, Sampling};

#[tokio::test]
async fn the_demo_model_thinks_and_adds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
    let options = EngineOptions { device: DeviceChoice::Cpu, max_running: 1, max_waiting: 0, now: 0 };
    let engine = Engine::open(&ModelFiles::Folder(folder), &options).unwrap();
    let request = ChatRequest {
        messages: vec![Message::text(Role::User, "What is 47 + 85?")],
        sampling: Sampling { temperature: Some(0.0), ..Sampling::default() },
        ..ChatRequest::default()
    };
    let (mut thought, mut text, mut end, mut usage) = (String::new(), String::new(), None, None);
    let mut generation = engine.submit(&request).unwrap();
    while let Some(delta) = generation.next().await {
        match delta.unwrap() {
            Delta::Reasoning { text: t, .. } => thought.push_str(&t),
            Delta::Text { text: t, .. } => text.push_str(&t),
            Delta::Finish { reason, .. } => end = Some(reason),
            Delta::Usage(u) => usage = Some(u),
            other => panic!("{other:?}"),
        }
    }
    assert!(text.contains("132"), "thought {thought:?}, said {text:?}");
    assert!(!thought.is_empty() && !thought.contains("think>") && !text.contains("think>"));
    assert_eq!(end, Some(FinishReason::Stop));
    let usage = usage.unwrap();
    let reasoning = usage.reasoning.unwrap();
    assert!(reasoning > 0 && reasoning < usage.completion);
}
