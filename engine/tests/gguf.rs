//! GGUF files and quantised weights through the engine's public door.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use std::path::{Path, PathBuf};

use gatewright_engine::{DeviceChoice, Engine, EngineOptions, ModelFiles, Quantization};
use gatewright_types::Delta;
use kit::{PROMPT, answered, ask, files, gather, read, seeded, submit, tokens};

fn gguf(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/gguf").join(format!("{name}.gguf"))
}

fn open(files: &ModelFiles, quantize: Option<Quantization>) -> Result<Engine, String> {
    let options = EngineOptions { device: DeviceChoice::Cpu, max_running: 4, max_waiting: 4, quantize, ..EngineOptions::default() };
    Engine::open(files, &options).map_err(|e| e.to_string())
}

#[tokio::test]
async fn a_file_of_each_family_answers_with_its_own_template_and_tokens() {
    for name in ["qwen2", "llama", "qwen3"] {
        let engine = open(&ModelFiles::Folder(gguf(name)), None).unwrap();
        assert_eq!(engine.context(), 512, "{name}");
        let deltas = gather(submit(&engine, &ask("Hi", tokens(12))).unwrap()).await;
        let usage = read(&deltas, 0).3.unwrap();
        // BOS, User, "Hi", Assistant, <think> and the line's end: as the template writes it, BOS once.
        assert_eq!(usage.prompt, 7, "{name}");
        assert!(matches!(deltas.last(), Some(Delta::Usage(_))), "{name}");
    }
}

#[tokio::test]
async fn a_folder_may_hold_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let here = ModelFiles::Folder(folder.path().to_owned());
    assert!(open(&here, None).unwrap_err().contains("config.json: no such file"));
    std::fs::copy(gguf("llama"), folder.path().join("model-Q4_0.gguf")).unwrap();
    let engine = open(&here, None).unwrap();
    let by_folder = gather(submit(&engine, &ask(PROMPT, seeded(3, 20))).unwrap()).await;
    let engine = open(&ModelFiles::Folder(gguf("llama")), None).unwrap();
    let by_file = gather(submit(&engine, &ask(PROMPT, seeded(3, 20))).unwrap()).await;
    assert_eq!(format!("{by_folder:?}"), format!("{by_file:?}"));
    std::fs::copy(gguf("qwen2"), folder.path().join("other.gguf")).unwrap();
    let said = open(&here, None).unwrap_err();
    assert!(said.contains("2 GGUF files") && said.contains("model-Q4_0.gguf") && said.contains("other.gguf"), "{said}");
    std::fs::write(folder.path().join("empty.gguf"), "").unwrap();
    let said = open(&ModelFiles::Folder(folder.path().join("empty.gguf")), None).unwrap_err();
    assert!(said.contains("empty.gguf") && said.contains("cut short"), "{said}");
}

#[tokio::test]
async fn quantised_weights_answer_the_same_alone_and_in_company() {
    for (files, quantize) in [
        (files("tied"), Some(Quantization::Q8)),
        (files("linear"), Some(Quantization::Q4)),
        (files("latent"), Some(Quantization::Q8)),
        (files("blocks"), Some(Quantization::Q4)),
        (ModelFiles::Folder(gguf("qwen2")), None),
    ] {
        let engine = open(&files, quantize).unwrap();
        let alone = gather(submit(&engine, &ask(PROMPT, seeded(7, 30))).unwrap()).await;
        let company = [ask("a", seeded(1, 40)), ask("other", seeded(2, 20)), ask("b", tokens(30))];
        let others: Vec<_> = company.iter().map(|r| submit(&engine, r).unwrap()).collect();
        let again = gather(submit(&engine, &ask(PROMPT, seeded(7, 30))).unwrap()).await;
        assert_eq!(answered(&alone), answered(&again), "{quantize:?}");
        for other in others {
            gather(other).await;
        }
    }
}

#[tokio::test]
async fn quantising_changes_what_a_model_computes() {
    let mut said = Vec::new();
    for quantize in [None, Some(Quantization::Q8), Some(Quantization::Q4)] {
        let engine = open(&files("tied"), quantize).unwrap();
        said.push(format!("{:?}", gather(submit(&engine, &ask(PROMPT, seeded(7, 60))).unwrap()).await));
    }
    assert!(said[0] != said[2] && said[1] != said[2]);
}
