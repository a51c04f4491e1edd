//! The demo model that is packed into the gateway, through the engine's public door: what the README promises of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use futures_util::StreamExt;
use gatewright_engine::{DeviceChoice, Engine, EngineOptions, ModelFiles, Terms};
use gatewright_types::{ChatRequest, Delta, FinishReason, Message, Role, Sampling};

#[path = "../examples/demo_data/mod.rs"]
mod demo_data;
#[allow(dead_code, reason = "score_demo measures more")]
#[path = "../examples/score_demo/tools.rs"]
mod tools;

use demo_data::dialogue::REFUSAL;
use demo_data::phrasing;
use demo_data::problems::Problem;
use demo_data::rng::Rng;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/demo");

/// What the model says to each, sixteen at a time.
async fn answers(questions: &[String]) -> Vec<String> {
    let options = EngineOptions { device: DeviceChoice::Cpu, max_running: 16, max_waiting: 16, ..EngineOptions::default() };
    let engine = Engine::open(&ModelFiles::Folder(FOLDER.into()), &options).unwrap();
    let mut said = Vec::new();
    for some in questions.chunks(16) {
        let asked = some.iter().map(|question| {
            let sampling = Sampling { temperature: Some(0.0), max_tokens: Some(200), ..Sampling::default() };
            let messages = vec![Message::text(Role::User, question.as_str())];
            let request = ChatRequest { messages, sampling, ..ChatRequest::default() };
            let (generation, reading) = engine.submit(Arc::new(request), Terms::default()).unwrap();
            reading.run();
            generation
        });
        for generation in asked.collect::<Vec<_>>() {
            let texts =
                generation.filter_map(async |delta| if let Ok(Delta::Text { text, .. }) = delta { Some(text) } else { None });
            said.push(texts.collect::<String>().await.trim().to_owned());
        }
    }
    said
}

/// A sample of what `score_demo` measures with 1,000 problems and 100 prompts.
#[tokio::test]
async fn it_solves_what_it_was_never_shown_and_declines_the_rest() {
    let mut rng = Rng::new(1000, 1);
    let problems = Problem::held_out(30);
    let questions: Vec<String> = problems.iter().map(|problem| phrasing::question(problem, &mut rng)).collect();
    let said = answers(&questions).await;
    let wrong: Vec<_> = problems.iter().zip(&said).filter(|(problem, said)| **said != problem.answer().to_string()).collect();
    assert!(wrong.len() <= 1, "{wrong:?}");
    let others: Vec<String> = include_str!("../demo/other_prompts.txt").lines().step_by(5).map(str::to_owned).collect();
    let said = answers(&others).await;
    let wrong: Vec<_> = others.iter().zip(&said).filter(|(_, said)| *said != REFUSAL).collect();
    assert!(others.len() == 20 && wrong.len() <= 1, "{wrong:?}");
}

/// The call of a calculator in R1's format, and an answer from what it says: a sample of what `score_demo` measures with 500.
#[tokio::test]
async fn it_calls_a_calculator_that_is_offered_and_gives_its_result_on() {
    let options = EngineOptions { device: DeviceChoice::Cpu, max_running: 8, max_waiting: 8, ..EngineOptions::default() };
    let engine = Engine::open(&ModelFiles::Folder(FOLDER.into()), &options).unwrap();
    let mut wrong = Vec::new();
    for round in tools::rounds(20, tools::Names::Usual) {
        wrong.extend(round.ask(&engine, 0.0).await.unwrap());
    }
    assert!(wrong.len() <= 1, "{wrong:#?}");
}

#[test]
fn it_is_small_enough_to_be_packed_into_a_binary() {
    let files = std::fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
    let bytes: u64 = files.sum();
    assert!(bytes <= 8 << 20, "{bytes} bytes");
}

#[tokio::test]
async fn the_demo_model_thinks_and_adds() {
    let options = EngineOptions { device: DeviceChoice::Cpu, max_running: 1, max_waiting: 0, ..EngineOptions::default() };
    let engine = Engine::open(&ModelFiles::Folder(FOLDER.into()), &options).unwrap();
    let request = ChatRequest {
        messages: vec![Message::text(Role::User, "What is 47 + 85?")],
        sampling: Sampling { temperature: Some(0.0), ..Sampling::default() },
        ..ChatRequest::default()
    };
    let (mut thought, mut text, mut end, mut usage) = (String::new(), String::new(), None, None);
    let (mut generation, reading) = engine.submit(Arc::new(request), Terms::default()).unwrap();
    reading.run();
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
