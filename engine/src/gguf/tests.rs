//! Whole files of each family against what transformers computes with their weights (tests/reference/make_gguf.py), and files that lie.

use std::path::Path;

use gatewright_types::Quantization;
use proptest::prelude::*;
use safetensors::tensor::SafeTensors;

use super::*;
use crate::config::GenerationConfig;
use crate::fixtures::{self, EXACT, Paged, Tested, nmse};
use crate::layers::decoder::Decoder;
use crate::memory::KvMemory;
use crate::models::blueprint;
use crate::options::{EngineOptions, ModelFiles, YarnReading};
use crate::tokens::Vocabulary;
use crate::weights::Weights;

const FAMILIES: [&str; 3] = ["qwen2", "llama", "qwen3"];

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/gguf").join(file)
}

fn files(name: &str) -> ModelFiles {
    ModelFiles::Folder(path(&format!("{name}.gguf"))).resolved().unwrap()
}

fn decoder(files: &ModelFiles, wanted: Option<Quantization>) -> Result<Decoder<Tested>, EngineError> {
    let blueprint = blueprint(files, YarnReading::Checkpoint)?;
    KvMemory::new(&EngineOptions::default(), &blueprint)?;
    Decoder::load(&blueprint, &Weights::open(files)?.quantized(wanted), &fixtures::device())
}

fn vocabulary(files: &ModelFiles) -> Result<Vocabulary, EngineError> {
    Vocabulary::read(files, &files.json("tokenizer_config.json")?, &GenerationConfig::read(files)?)
}

fn paged(files: &ModelFiles, wanted: Option<Quantization>) -> Paged {
    Paged::new(decoder(files, wanted).unwrap())
}

fn expected(name: &str) -> (Vec<u32>, Vec<f32>) {
    let bytes = std::fs::read(path(&format!("{name}.safetensors"))).unwrap();
    let all = SafeTensors::deserialize(&bytes).unwrap();
    let ids =
        all.tensor("prompt").unwrap().data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect::<Vec<_>>();
    let logits = fixtures::floats(all.tensor("logits").unwrap().data());
    (ids.into_iter().map(|id| u32::try_from(id).unwrap()).collect(), logits)
}

fn assert_close(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len());
    let worst = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
    assert!(worst <= 5e-5 && nmse(got, want) <= 1e-9, "{what}: off by {worst:e}, NMSE {:e}", nmse(got, want));
}

#[test]
fn logits_are_those_of_transformers_with_the_same_weights() {
    for name in FAMILIES {
        let ((prompt, logits), model) = (expected(name), paged(&files(name), None));
        assert_close(&model.run(&mut model.cache(), &prompt), &logits, name);
        let mut cache = model.cache();
        let one_by_one: Vec<f32> = prompt.iter().flat_map(|token| model.run(&mut cache, &[*token])).collect();
        assert_close(&one_by_one, &logits, name);
    }
}

#[test]
fn sequences_in_one_step_do_not_mix() {
    for name in FAMILIES {
        let ((prompt, _), model) = (expected(name), paged(&files(name), None));
        let fill = |n: usize| {
            let mut cache = model.cache();
            model.run(&mut cache, &prompt[..n]);
            cache
        };
        let starts = [9usize, 2, 5, 4, 7];
        let (mut together, mut alone) = (starts.map(fill), starts.map(fill));
        let tokens = starts.map(|n| [prompt[n]]);
        let got = model.write(&mut together, &tokens);
        for (i, row) in got.chunks_exact(model.model.vocab()).enumerate() {
            let alone = model.run(&mut alone[i], &tokens[i]);
            assert!(!EXACT || row == alone, "{name}");
        }
    }
}

#[test]
fn what_quantising_while_loading_costs_is_bounded() {
    // Numbers of random weights, which are harder than a trained model's: every step of a sum is as large as any.
    let ((prompt, logits), files) = (expected("qwen3"), files("qwen3"));
    for (wanted, most) in [(Quantization::Q8, 2e-3), (Quantization::Q4, 0.3)] {
        let model = paged(&files, Some(wanted));
        let off = nmse(&model.run(&mut model.cache(), &prompt), &logits);
        assert!(off > 1e-7 && off < most, "{wanted:?}: NMSE {off:e}");
    }
}

#[test]
fn tokens_are_those_of_transformers() {
    for name in FAMILIES {
        let vocabulary = vocabulary(&files(name)).unwrap();
        let text = std::fs::read_to_string(path(&format!("{name}.json"))).unwrap();
        for (text, ids) in serde_json::from_str::<Vec<(String, Vec<u32>)>>(&text).unwrap() {
            assert_eq!(vocabulary.encode(&text).unwrap(), ids, "{name}: {text:?}");
        }
        assert_eq!((vocabulary.size(), vocabulary.ends(315)), (320, true));
        assert_eq!(vocabulary.think().map(|think| (think.open, think.close)), Some((318, 319)));
    }
}

/// All that opening a model does with a file's bytes.
fn opened(bytes: Vec<u8>) -> Result<(), EngineError> {
    let files = ModelFiles::Gguf(GgufFile::open("model.gguf".into(), Blob::Made(bytes))?);
    decoder(&files, None)?;
    vocabulary(&files).map(drop)
}

fn bytes() -> Vec<u8> {
    std::fs::read(path("llama.gguf")).unwrap()
}

#[test]
fn a_file_that_is_cut_short_is_refused_wherever() {
    let whole = bytes();
    assert!(opened(whole.clone()).is_ok());
    // Behind the last tensor there may be padding.
    let most = whole.len() - 32;
    for end in (0..400).chain((400..most).step_by(997)).chain([most]) {
        let said = opened(whole[..end].to_vec()).unwrap_err().to_string();
        assert!(said.starts_with("model.gguf: "), "{said}");
    }
}

#[test]
fn what_is_not_supported_is_named() {
    let changed = |from: &[u8], to: &[u8]| {
        let mut bytes = bytes();
        let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to);
        opened(bytes).unwrap_err().to_string()
    };
    assert!(changed(b"GGUF", b"GGML").contains("not a GGUF file"));
    assert!(changed(b"GGUF\x03\0\0\0", b"GGUF\x01\0\0\0").contains("version 1"));
    assert!(changed(b"GGUF\x03\0\0\0", b"GGUF\0\0\0\x03").contains("big-endian"));
    // Behind a key: the kind of a text, its length.
    assert!(
        changed(b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0llama", b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0gemma")
            .contains("general.architecture `gemma`")
    );
    assert!(changed(b"llama-bpe", b"llama-xyz").contains("tokenizer.ggml.pre `llama-xyz`"));
    assert!(changed(b"llama.block_count", b"llama.block_cxxxx").contains("`llama.block_count` is missing"));
    assert!(changed(b"blk.1.ffn_up.weight", b"blk.1.ffn_xx.weight").contains("tensor `blk.1.ffn_up.weight` is missing"));
    // The name, two dimensions, the type: 2 is Q4_0, 20 is IQ4_NL.
    let head = [b"blk.1.ffn_up.weight\x02\0\0\0".as_slice(), &64u64.to_le_bytes(), &96u64.to_le_bytes()].concat();
    let said = changed(&[&head[..], b"\x02"].concat(), &[&head[..], b"\x14"].concat());
    assert!(said.contains("tensor `blk.1.ffn_up.weight`: is of GGML's type 20"), "{said}");
    // A width that is not that of the model; lengths that no file has.
    let wide = [b"blk.1.ffn_up.weight\x02\0\0\0".as_slice(), &96u64.to_le_bytes(), &64u64.to_le_bytes()].concat();
    assert!(changed(&head, &wide).contains("has shape [64, 96]"));
    let huge = [b"blk.1.ffn_up.weight\x02\0\0\0".as_slice(), &64u64.to_le_bytes(), &u64::MAX.to_le_bytes()].concat();
    assert!(changed(&head, &huge).contains("does not fit Q4_0"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is written over the part that says what there is: an error or a model, never a panic, never more memory than a file has.
    #[test]
    fn a_mutated_file_is_an_error_or_a_model(changes in proptest::collection::vec((0usize..8_300, any::<u8>()), 1..12)) {
        let mut bytes = bytes();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        let _ = opened(bytes);
    }

    /// The same in numbers: lengths, counts, kinds and offsets lie at the ends of names.
    #[test]
    fn lengths_that_lie_are_errors_or_a_model(name in 0usize..200, skip in 0usize..24, number in any::<u64>(), shift in 0u32..64) {
        let mut bytes = bytes();
        let names: Vec<usize> = bytes.windows(6).enumerate().filter(|(_, w)| [&b"llama."[..], b"blk.0.", b"blk.1.", b"tokeni", b"genera"].contains(w)).map(|(at, _)| at).collect();
        let at = names[name % names.len()];
        let end = bytes[at..].iter().position(|b| *b < b' ').unwrap_or(0) + at + skip;
        if let Some(place) = bytes.get_mut(end..end + 8) {
            place.copy_from_slice(&(number >> shift).to_le_bytes());
        }
        let _ = opened(bytes);
    }
}
