//! The engine through its public door, on a reference checkpoint: what a request gets, alone and in company.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use gatewright_engine::{DeviceChoice, Engine, EngineError, EngineOptions, ModelFiles, Terms};
use gatewright_types::{Delta, FinishReason, Sampling};
use kit::{PROMPT, answered, ask, engine, engine_of, files, gather, read, seeded, submit, tokens};

#[tokio::test]
async fn greedy_text_is_that_of_transformers() {
    let deltas = gather(submit(&engine(2, 2), &ask(PROMPT, tokens(64))).unwrap()).await;
    let (thought, text, end, usage) = read(&deltas, 0);
    // What transformers' 64 greedy ids decode to, split at the `</think>` that is among them.
    let tokenizer = tokenizers::Tokenizer::from_file(match files("untied") {
        ModelFiles::Folder(folder) => folder.join("tokenizer.json"),
        _ => unreachable!(),
    });
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/untied/expected.safetensors")).unwrap();
    let expected = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let ids = expected.tensor("greedy").unwrap().data().to_vec();
    let ids: Vec<u32> = ids.chunks_exact(8).map(|b| u32::from_le_bytes(b[..4].try_into().unwrap())).collect();
    let tokenizer = tokenizer.unwrap();
    let close = tokenizer.token_to_id("</think>").unwrap();
    let at = ids.iter().position(|id| *id == close).unwrap();
    let decode = |ids: &[u32]| tokenizer.decode(ids, true).unwrap();
    assert_eq!(thought, decode(&ids[..at]).trim_matches('\n'));
    assert_eq!(text, decode(&ids[at + 1..]).trim_start_matches('\n'));
    assert_eq!(end, Some(FinishReason::Length));
    let usage = usage.unwrap();
    assert_eq!((usage.prompt, usage.completion, usage.reasoning), (59, 64, Some(at as u64 + 1)));
    assert!(matches!(deltas.last(), Some(Delta::Usage(_))));
}

#[tokio::test]
async fn a_seed_gives_one_answer_alone_and_in_company() {
    // With experts, other rows bring other experts.
    for name in ["untied", "latent", "blocks"] {
        alone_and_in_company(&engine_of(name, 4, 8)).await;
    }
}

async fn alone_and_in_company(engine: &Engine) {
    let alone = gather(submit(engine, &ask(PROMPT, seeded(7, 40))).unwrap()).await;
    let long = "word ".repeat(80);
    let company = [ask("a", seeded(1, 60)), ask(&long, seeded(2, 30)), ask("b", tokens(50))];
    let others: Vec<_> = company.iter().map(|r| submit(engine, r).unwrap()).collect();
    let again = gather(submit(engine, &ask(PROMPT, seeded(7, 40))).unwrap()).await;
    assert_eq!(answered(&alone), answered(&again));
    let other_seed = gather(submit(engine, &ask(PROMPT, seeded(8, 40))).unwrap()).await;
    assert_ne!(read(&alone, 0).0, read(&other_seed, 0).0);
    for other in others {
        assert!(matches!(gather(other).await.last(), Some(Delta::Usage(_))));
    }
}

#[tokio::test]
async fn choices_are_drawn_apart_and_counted_together() {
    let request = ask(PROMPT, Sampling { n: Some(3), ..seeded(5, 20) });
    let deltas = gather(submit(&engine(2, 2), &request).unwrap()).await;
    let all: Vec<_> = (0..3).map(|c| read(&deltas, c)).collect();
    assert!(all.iter().all(|(_, _, end, _)| end.is_some()));
    assert!(all[0].0 != all[1].0 && all[1].0 != all[2].0);
    let usage = all[0].3.clone().unwrap();
    assert_eq!(usage.prompt, 59);
    assert!(usage.completion <= 60 && usage.completion > 20);
    let alone = gather(submit(&engine(1, 0), &ask(PROMPT, seeded(5, 20))).unwrap()).await;
    assert_eq!(read(&alone, 0).0, all[0].0, "the first choice is what a request for one gets");
}

#[tokio::test]
async fn two_requests_run_in_turn() {
    let engine = engine(2, 2);
    let mut first = submit(&engine, &ask("a", seeded(1, 400))).unwrap();
    let mut second = submit(&engine, &ask("b", seeded(2, 5))).unwrap();
    // The short one is through while the long one, which nobody reads, has hundreds to go.
    while let Some(delta) = second.next().await {
        delta.unwrap();
    }
    let mut left = 0;
    while let Some(delta) = first.next().await {
        delta.unwrap();
        left += 1;
    }
    assert!(left > 100, "{left}");
}

#[tokio::test]
async fn a_reader_that_stalls_holds_up_nobody_and_goes_on_when_it_reads() {
    let engine = engine(1, 4);
    let stalled = submit(&engine, &ask("a", seeded(1, 400))).unwrap();
    let waiting = submit(&engine, &ask("b", seeded(2, 5))).unwrap();
    for generation in [waiting, stalled] {
        let deltas = tokio::time::timeout(Duration::from_secs(60), gather(generation)).await.unwrap();
        assert!(matches!(deltas.last(), Some(Delta::Usage(_))));
    }
}

#[tokio::test]
async fn the_queue_is_bounded_and_dropping_makes_room() {
    let engine = engine(1, 1);
    let first = submit(&engine, &ask("a", seeded(1, 400))).unwrap();
    // Neither ends before it is read.
    let second = submit(&engine, &ask("b", seeded(2, 400))).unwrap();
    let full = submit(&engine, &ask("c", tokens(3)));
    assert!(matches!(full, Err(EngineError::Full { retry_after }) if retry_after >= Duration::from_secs(1)));
    drop(first);
    assert!(matches!(gather(second).await.last(), Some(Delta::Usage(_))));
    let third = loop {
        match submit(&engine, &ask("c", tokens(3))) {
            Ok(generation) => break generation,
            Err(EngineError::Full { .. }) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(matches!(gather(third).await.last(), Some(Delta::Usage(_))));
}

#[tokio::test]
async fn what_was_submitted_is_done_after_the_engine_is_dropped() {
    let engine = engine(1, 2);
    let (a, b) = (submit(&engine, &ask("a", seeded(1, 200))).unwrap(), submit(&engine, &ask("b", seeded(2, 5))).unwrap());
    drop(engine);
    assert!(matches!(gather(a).await.last(), Some(Delta::Usage(_))));
    assert!(matches!(gather(b).await.last(), Some(Delta::Usage(_))));
}

#[tokio::test]
async fn a_prompt_too_long_is_refused_and_a_long_one_fills_the_context() {
    let engine = engine(1, 1);
    let refused = submit(&engine, &ask(&"🙂".repeat(300), tokens(5))).unwrap().next().await.unwrap();
    assert!(matches!(refused, Err(EngineError::TooLong { context: 512, prompt }) if prompt > 512));
    let deltas = gather(submit(&engine, &ask(&"🙂".repeat(100), seeded(1, 10_000))).unwrap()).await;
    let (_, _, end, usage) = read(&deltas, 0);
    let usage = usage.unwrap();
    assert!(end == Some(FinishReason::Stop) || usage.prompt + usage.completion == 512, "{usage:?}");
}

#[tokio::test]
async fn a_text_that_cannot_fit_is_refused_before_it_is_tokenised() {
    // One token a byte; that it is not counted shows in the number, which is only the least that it could be.
    let refused = submit(&engine(1, 0), &ask(&"~".repeat(32 << 20), tokens(5))).unwrap().next().await.unwrap();
    assert!(
        matches!(refused, Err(EngineError::TooLong { context: 512, prompt }) if prompt > 512 && prompt < 8 << 20),
        "{refused:?}"
    );
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_queued() {
    let engine = engine(1, 0);
    let (generation, reading) = engine.submit(Arc::new(ask("a", tokens(5))), Terms::default()).unwrap();
    assert!(
        matches!(engine.submit(Arc::new(ask("b", tokens(5))), Terms::default()), Err(EngineError::Full { .. })),
        "its place is taken from the start"
    );
    drop(generation);
    reading.run();
    // Its place is free at once: it never was in the queue, from which the thread would have to sweep it.
    assert!(matches!(gather(submit(&engine, &ask("b", tokens(5))).unwrap()).await.last(), Some(Delta::Usage(_))));
}

#[tokio::test]
async fn an_answer_that_memory_could_never_hold_is_refused_by_name() {
    // The tiny checkpoint takes 256 bytes a position: this is room for half of its context.
    let options = EngineOptions { device: DeviceChoice::Cpu, kv_bytes: 256 * 256, ..EngineOptions::default() };
    let engine = Engine::open(&files("untied"), &options).unwrap();
    let refused = submit(&engine, &ask("a", tokens(400))).unwrap().next().await.unwrap();
    assert!(matches!(refused, Err(EngineError::Unsupported { param, .. }) if param == "max_tokens"));
    assert!(matches!(gather(submit(&engine, &ask("a", seeded(1, 20))).unwrap()).await.last(), Some(Delta::Usage(_))));
}

#[tokio::test]
async fn a_prompt_that_begins_as_another_of_its_tenant_is_not_read_again_so_far() {
    let engine = engine(2, 2);
    let of = |tenant: &str, salt: Option<&str>| {
        let mut request = ask(PROMPT, seeded(7, 20));
        request.origin.tenant = tenant.to_owned();
        salt.into_iter().for_each(|salt| request.extras.push("cache_salt", serde_json::from_str(salt).unwrap()));
        request
    };
    let mut all = Vec::new();
    // 59 tokens of a prompt are three pages and a part of one.
    for (tenant, salt, cached) in
        [("a", None, 0), ("a", None, 48), ("b", None, 0), ("a", Some("\"x\""), 0), ("a", Some("\"x\""), 48)]
    {
        let deltas = gather(submit(&engine, &of(tenant, salt)).unwrap()).await;
        assert_eq!(read(&deltas, 0).3.unwrap().cached, Some(cached), "{tenant} {salt:?}");
        all.push(answered(&deltas));
    }
    assert!(all.iter().all(|one| *one == all[0]));
    assert_eq!(engine.stats().cached_tokens, 96);
}

#[tokio::test]
async fn a_deadline_ends_what_waits_and_what_runs() {
    let engine = engine(1, 4);
    let by = |ms| Terms { deadline: Some(std::time::Instant::now() + Duration::from_millis(ms)), ..Terms::default() };
    let (stalled, reading) = engine.submit(Arc::new(ask("a", seeded(1, 400))), by(1000)).unwrap();
    reading.run();
    // Nothing runs: nobody reads. The thread wakes all the same.
    let ended = async {
        while engine.stats().running + engine.stats().waiting > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    let all: Vec<_> = stalled.collect().await;
    assert!(matches!(all.last(), Some(Err(EngineError::Deadline { .. }))));
    let (runs, reading) = engine.submit(Arc::new(ask("c", seeded(1, 400))), by(0)).unwrap();
    reading.run();
    let all: Vec<_> = runs.collect().await;
    assert!(matches!(all.last(), Some(Err(EngineError::Deadline { .. }))));
}

#[tokio::test]
async fn how_far_a_prompt_is_read_is_told() {
    let engine = engine(1, 1);
    let (mut generation, reading) = engine.submit(Arc::new(ask(PROMPT, tokens(3))), Terms::default()).unwrap();
    assert_eq!(generation.progress(), None);
    reading.run();
    assert!(generation.progress().is_some_and(|(_, all)| all == 59));
    assert!(generation.next().await.is_some_and(|first| first.is_ok()));
    assert_eq!(generation.progress(), Some((59, 59)));
}

#[tokio::test]
async fn unsupported_fields_are_refused_by_name() {
    let mut request = ask("a", Sampling::default());
    request.extras.push("ebnf", serde_json::from_str("\"a+\"").unwrap());
    let refused = submit(&engine(1, 1), &request).unwrap_err();
    assert!(matches!(refused, EngineError::Unsupported { param, .. } if param == "ebnf"));
}

#[test]
fn a_bad_checkpoint_is_refused_by_name() {
    let open = |files: &ModelFiles| {
        let options = EngineOptions { device: DeviceChoice::Cpu, max_running: 1, max_waiting: 1, ..EngineOptions::default() };
        Engine::open(files, &options).unwrap_err().to_string()
    };
    let copy = |leave_out: &str| {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/tied")).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != leave_out {
                std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
            }
        }
        folder
    };
    for missing in ["config.json", "tokenizer.json", "tokenizer_config.json", "model-00002-of-00002.safetensors"] {
        let folder = copy(missing);
        let said = open(&ModelFiles::Folder(folder.path().to_owned()));
        assert!(said.contains(missing) && said.contains("no such file"), "{said}");
    }
    let folder = copy("");
    let shard = folder.path().join("model-00001-of-00002.safetensors");
    let whole = std::fs::read(&shard).unwrap();
    std::fs::write(&shard, &whole[..whole.len() - 100]).unwrap();
    let said = open(&ModelFiles::Folder(folder.path().to_owned()));
    assert!(said.contains("model-00001-of-00002.safetensors") && said.contains("cut short"), "{said}");
    let text = String::from_utf8_lossy(&whole).into_owned();
    assert!(text.contains("mlp.up_proj"));
    let at = whole.windows(11).position(|w| w == b"mlp.up_proj").unwrap();
    let mut renamed = whole.clone();
    renamed[at + 4..at + 11].copy_from_slice(b"xx_proj");
    std::fs::write(&shard, &renamed).unwrap();
    let said = open(&ModelFiles::Folder(folder.path().to_owned()));
    assert!(said.contains("mlp.up_proj.weight") && said.contains("missing"), "{said}");
    let config = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
    std::fs::write(&shard, &whole).unwrap();
    std::fs::write(folder.path().join("config.json"), config.replace("\"intermediate_size\": 64", "\"intermediate_size\": 60"))
        .unwrap();
    let said = open(&ModelFiles::Folder(folder.path().to_owned()));
    assert!(said.contains("mlp.gate_proj.weight") && said.contains("[60, 32]"), "{said}");
    std::fs::write(folder.path().join("config.json"), config.replace("\"qwen2\"", "\"gpt5\"")).unwrap();
    assert!(open(&ModelFiles::Folder(folder.path().to_owned())).contains("model_type `gpt5`"));
    let quantised = r#""quantization_config": {"quant_method": "fp8"}, "vocab_size""#;
    std::fs::write(folder.path().join("config.json"), config.replace("\"vocab_size\"", quantised)).unwrap();
    let said = open(&ModelFiles::Folder(folder.path().to_owned()));
    assert!(said.contains("config.json") && said.contains("quantization_config (`fp8`)"), "{said}");
    // Of as many bytes, so that only the type is wrong.
    let at = whole.windows(6).position(|w| w == b"\"BF16\"").unwrap();
    let mut typed = whole.clone();
    typed[at..at + 6].copy_from_slice(b"\"I16\" ");
    std::fs::write(&shard, &typed).unwrap();
    std::fs::write(folder.path().join("config.json"), &config).unwrap();
    let said = open(&ModelFiles::Folder(folder.path().to_owned()));
    assert!(said.contains("model-00001-of-00002.safetensors: tensor `model.") && said.contains("is I16"), "{said}");
    std::fs::write(&shard, &whole).unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), "{").unwrap();
    assert!(open(&ModelFiles::Folder(folder.path().to_owned())).contains("tokenizer.json"));
}

#[test]
fn fp8_of_which_something_is_missing_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/blocks")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let open = || {
        let options = EngineOptions { device: DeviceChoice::Cpu, ..EngineOptions::default() };
        Engine::open(&ModelFiles::Folder(folder.path().to_owned()), &options).map(drop).map_err(|e| e.to_string())
    };
    open().unwrap();
    let file = |name: &str| folder.path().join(name);
    let config = std::fs::read_to_string(file("config.json")).unwrap();
    std::fs::write(file("config.json"), config.replace("quantization_config", "passed_over")).unwrap();
    let said = open().unwrap_err();
    assert!(said.contains("model.safetensors: tensor `model.layers.0.") && said.contains("F8_E4M3"), "{said}");
    std::fs::write(file("config.json"), config.replace("128,", "64,")).unwrap();
    let said = open().unwrap_err();
    assert!(said.contains(".weight_scale_inv` has shape [2, 2]") && said.contains("[3, 2]"), "{said}");
    std::fs::write(file("config.json"), &config).unwrap();
    let mut renamed = std::fs::read(file("model.safetensors")).unwrap();
    let name = b"layers.1.self_attn.o_proj.weight_scale_inv";
    let at = renamed.windows(name.len()).position(|w| w == name).unwrap();
    renamed[at + name.len() - 3..at + name.len()].copy_from_slice(b"xxx");
    std::fs::write(file("model.safetensors"), renamed).unwrap();
    let said = open().unwrap_err();
    assert!(said.contains("`model.layers.1.self_attn.o_proj.weight_scale_inv` is missing in"), "{said}");
}

#[tokio::test]
async fn every_family_is_opened_and_answers() {
    for name in ["tied", "llama", "qwen3", "latent", "blocks"] {
        let deltas = gather(submit(&engine_of(name, 1, 0), &ask(PROMPT, seeded(1, 8))).unwrap()).await;
        assert!(matches!(deltas.last(), Some(Delta::Usage(_))), "{name}");
    }
}

#[tokio::test]
async fn a_packed_model_and_a_sharded_folder_answer_alike() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/tied");
    let packed: Vec<(&'static str, &'static [u8])> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name: &'static str = entry.file_name().into_string().unwrap().leak();
            (name, &*std::fs::read(entry.path()).unwrap().leak())
        })
        .collect();
    let options = EngineOptions { device: DeviceChoice::Cpu, max_running: 1, max_waiting: 1, ..EngineOptions::default() };
    let mut said = Vec::new();
    for files in [files("tied"), ModelFiles::Packed(packed.leak())] {
        let engine = Engine::open(&files, &options).unwrap();
        assert_eq!(engine.device(), "CPU (Flex)");
        said.push(format!("{:?}", gather(submit(&engine, &ask("hello", seeded(3, 30))).unwrap()).await));
    }
    assert_eq!(said[0], said[1]);
}
