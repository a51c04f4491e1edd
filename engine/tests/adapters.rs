//! Adapters through the engine's public door: chosen by the request's model, together with others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use gatewright_engine::{DeviceChoice, Engine, EngineOptions, Quantization};
use gatewright_types::{ChatRequest, Delta, Sampling};
use kit::{PROMPT, ask, files, gather, seeded, submit};

fn folder(adapter: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/adapters").join(adapter)
}

fn open(adapters: &[(&str, &str)], quantize: Option<Quantization>) -> Result<Engine, String> {
    let adapters = adapters.iter().map(|(name, of)| ((*name).to_owned(), folder(of))).collect();
    let options =
        EngineOptions { device: DeviceChoice::Cpu, max_running: 8, max_waiting: 8, quantize, adapters, ..EngineOptions::default() };
    Engine::open(&files("tied"), &options).map_err(|e| e.to_string())
}

/// With log probabilities, which show each bit of what was computed.
fn of(model: &str, seed: i64) -> ChatRequest {
    let sampling = Sampling { logprobs: Some(true), top_logprobs: Some(5), ..seeded(seed, 30) };
    ChatRequest { model: model.to_owned(), ..ask(PROMPT, sampling) }
}

/// Without its usage, which tells how much of the prompt was known.
fn words(deltas: &[Delta]) -> String {
    format!("{:?}", deltas.iter().filter(|delta| !matches!(delta, Delta::Usage(_))).collect::<Vec<_>>())
}

#[tokio::test]
async fn the_model_that_a_request_names_answers_alone_and_in_company() {
    for quantize in [None, Some(Quantization::Q8)] {
        let engine = open(&[("one", "tied"), ("other", "tied-head")], quantize).unwrap();
        assert_eq!(engine.adapters(), ["one", "other"]);
        let requests = ["one", "base", "other", "one", "", "other"].map(|model| of(model, 7));
        let mut alone = Vec::new();
        for request in &requests {
            alone.push(words(&gather(submit(&engine, request).unwrap()).await));
        }
        let together = join_all(requests.iter().map(|request| gather(submit(&engine, request).unwrap()))).await;
        let together: Vec<_> = together.iter().map(|deltas| words(deltas)).collect();
        assert!(alone == together, "an answer is not what it is alone");
        assert!(alone[0] == alone[3] && alone[1] == alone[4] && alone[2] == alone[5]);
        assert!(alone[0] != alone[1] && alone[0] != alone[2] && alone[1] != alone[2]);
        // A model that has adapters is itself where none is asked for.
        let bare = open(&[], quantize).unwrap();
        assert!(alone[1] == words(&gather(submit(&bare, &of("one", 7)).unwrap()).await));
    }
}

#[tokio::test]
async fn choices_of_one_request_share_its_adapter() {
    let engine = open(&[("one", "tied")], None).unwrap();
    let request = of("one", 3);
    let many = ChatRequest { sampling: Sampling { n: Some(3), ..request.sampling.clone() }, ..request.clone() };
    let first = |deltas: &[Delta]| kit::read(deltas, 0).0;
    let alone = gather(submit(&engine, &request).unwrap()).await;
    let both = [of("base", 3), many].map(|request| gather(submit(&engine, &request).unwrap()));
    assert_eq!(first(&alone), first(&join_all(both).await[1]));
}

#[test]
fn an_adapter_that_does_not_fit_is_refused_by_its_file_and_tensor() {
    let said = open(&[("one", "llama")], None).unwrap_err();
    assert!(said.contains("adapters/llama/adapter_model.safetensors: tensor `base_model.model.model.layers.0."), "{said}");
    let said = open(&[("one", "nothing")], None).unwrap_err();
    assert!(said.contains("adapters/nothing/adapter_config.json: no such file"), "{said}");
}
