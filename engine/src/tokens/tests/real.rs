//! DeepSeek-R1's own tokenizer, which a Python package brings: ids and texts are those of the `tokenizers` library, streamed as whole.
//!
//! Runs where `GATEWRIGHT_TESTS_WITH` names python; `GATEWRIGHT_PYTHON` may name which.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::streamed;
use crate::check::Form;
use crate::check::calls::Callable;
use crate::config::GenerationConfig;
use crate::grammar::{CallFormat, Grammars};
use crate::options::ModelFiles;
use crate::tokens::Vocabulary;

/// What the script of that name in `tests/reference` prints; `None` where no Python is named.
fn python(script: &str) -> Option<Value> {
    let named = std::env::var("GATEWRIGHT_TESTS_WITH").unwrap_or_default();
    if !named.split([',', ' ']).any(|name| name == "python") {
        // Not by `eprintln!`, which the test harness keeps to itself.
        drop(writeln!(std::io::stderr(), "\nSKIPPED: GATEWRIGHT_TESTS_WITH does not name python; {script} was not tried"));
        return None;
    }
    let command = std::env::var("GATEWRIGHT_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(script);
    let out = Command::new(command).arg(script).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Some(serde_json::from_slice(&out.stdout).unwrap())
}

/// Text, its ids, and what they decode to.
type Line = (String, Vec<u32>, String);

/// The vocabulary, and the corpus.
fn real() -> Option<(Vocabulary, Vec<Line>)> {
    let printed = python("tokenizer/encode.py")?;
    let files = ModelFiles::Folder(printed["folder"].as_str().unwrap().into());
    let config = files.json("tokenizer_config.json").unwrap();
    let vocabulary = Vocabulary::read(&files, &config, &GenerationConfig::default()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let ids = |value: &Value| value.as_array().unwrap().iter().map(|id| u32::try_from(id.as_u64().unwrap()).unwrap()).collect();
    let lines = printed["lines"].as_array().unwrap().iter();
    Some((vocabulary, lines.map(|line| (text(&line["text"]), ids(&line["ids"]), text(&line["decoded"]))).collect()))
}

#[test]
fn the_real_tokenizer_encodes_decodes_and_streams_as_its_library_does() {
    let Some((vocabulary, lines)) = real() else { return };
    assert!(lines.len() > 10);
    assert!(vocabulary.think().is_some() && vocabulary.ends(1) && vocabulary.is_byte_level());
    for (text, ids, decoded) in &lines {
        assert_eq!(&vocabulary.encode(text).unwrap(), ids, "{text}");
        assert_eq!(&vocabulary.decode(ids), decoded, "{text}");
        assert_eq!(&streamed(&vocabulary, ids), decoded, "{text}");
        // Each character by tokens of single bytes: no token holds one whole.
        let bytes: Vec<u32> = text.chars().flat_map(|c| c.to_string().into_bytes()).map(|b| byte(&vocabulary, b)).collect();
        assert_eq!(&streamed(&vocabulary, &bytes), text);
        assert_eq!(ids.iter().flat_map(|id| vocabulary.bytes(*id)).collect::<Vec<u8>>(), text.as_bytes());
    }
    // Any ids at all, also such as no text is written with.
    let every = proptest::collection::vec(0..u32::try_from(vocabulary.size()).unwrap(), 0..40);
    let streams = |ids: Vec<u32>| {
        prop_assert_eq!(streamed(&vocabulary, &ids), vocabulary.decode(&ids));
        Ok(())
    };
    TestRunner::new(Config { failure_persistence: None, ..Config::default() }).run(&every, streams).unwrap();
}

/// The token that is this byte.
fn byte(vocabulary: &Vocabulary, wanted: u8) -> u32 {
    (0..1000).find(|id| vocabulary.bytes(*id) == [wanted]).unwrap()
}

#[test]
fn a_forced_call_is_written_with_the_tokens_that_mark_it() {
    let Some((vocabulary, _)) = real() else { return };
    let vocabulary = Arc::new(vocabulary);
    let grammars = Grammars::new(vocabulary.clone(), CallFormat::R1);
    let arguments =
        json!({ "type": "object", "properties": { "a": { "const": 1 } }, "required": ["a"], "additionalProperties": false });
    let tool = Callable { name: "add".into(), arguments, field: "tools[0].function.parameters".into() };
    let mut guide = grammars.guide(&Form { text: None, tools: vec![tool] }, 1, || true).unwrap().unwrap();
    let written = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n{\"a\": 1}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>";
    let ids = vocabulary.encode(written).unwrap();
    for id in ids.iter().chain(vocabulary.eos()) {
        let mut logits = vec![0.0f32; vocabulary.size()];
        guide.keep(&mut logits, &vocabulary).unwrap();
        assert_eq!(logits[*id as usize], 0.0, "{:?}", String::from_utf8_lossy(&vocabulary.bytes(*id)));
        guide.take(*id, &vocabulary).unwrap();
    }
}

#[test]
fn the_rendered_templates_are_those_that_jinja2_makes_today() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/templates");
    let Some(made) = python("templates/make.py") else { return };
    let kept: Value = serde_json::from_slice(&std::fs::read(folder.join("rendered.json")).unwrap()).unwrap();
    assert_eq!(made, kept);
}
