//! Fidelity: what Hugging Face transformers computed on the reference checkpoints (tests/reference/make.py), to 5e-5 in f32.

use safetensors::tensor::SafeTensors;

use super::*;
use crate::fixtures::{self, Cache, EXACT, Paged, Tested, nmse, reference};
use crate::layers::Rows;
use crate::layers::decoder::{Decoder, Wanted};
use crate::weights::Weights;

mod adapters;

/// Of each family; together: tied and untied, all kinds of rope scaling beyond the positions of training, with and without biases and
/// norms of heads, one to four queries a key; latent attention with both kinds of queries, experts in one group and in several, FP8 in
/// whole and partial blocks.
const CHECKPOINTS: [&str; 10] = ["untied", "tied", "wide", "yarn", "llama", "linear", "qwen3", "normed", "latent", "blocks"];
const TOLERANCE: f32 = 5e-5;
const NMSE: f64 = 1e-9;
/// How far ahead of the next a token must be to be the same on every machine.
const GAP: f32 = 1e-3;

struct Reference {
    name: &'static str,
    model: Paged,
    prompt: Vec<u32>,
    logits: Vec<f32>,
    greedy: Vec<u32>,
    gaps: Vec<f32>,
}

fn floats(expected: &SafeTensors<'_>, name: &str) -> Option<Vec<f32>> {
    Some(fixtures::floats(expected.tensor(name).ok()?.data()))
}

fn open_as(name: &'static str, yarn: YarnReading, logits: &str) -> Reference {
    let files = reference(name);
    let blueprint = blueprint(&files, yarn).unwrap();
    let model = Decoder::load(&blueprint, &Weights::open(&files).unwrap(), &fixtures::device()).unwrap();
    let bytes = files.require("expected.safetensors").unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    let ids = |name: &str| {
        let data = expected.tensor(name).unwrap().data();
        data.chunks_exact(8).map(|b| u32::try_from(i64::from_le_bytes(b.try_into().unwrap())).unwrap()).collect()
    };
    let logits = floats(&expected, logits).unwrap();
    let gaps = floats(&expected, "gaps").unwrap_or_else(|| vec![1.0; 64]);
    Reference { name, model: Paged::new(model), prompt: ids("prompt"), logits, greedy: ids("greedy"), gaps }
}

fn open(name: &'static str) -> Reference {
    open_as(name, YarnReading::Checkpoint, "logits")
}

impl Reference {
    fn run(&self, cache: &mut Cache, tokens: &[u32]) -> Vec<f32> {
        self.model.run(cache, tokens)
    }

    fn run_as(&self, kind: Rows, cache: &mut Cache, tokens: &[u32]) -> Vec<f32> {
        self.model.run_as(kind, (cache, tokens), Wanted::All)
    }

    fn vocab(&self) -> usize {
        self.model.model.vocab()
    }

    /// Row `row` of what transformers computed for the prompt.
    fn expected(&self, row: usize) -> &[f32] {
        let vocab = self.vocab();
        &self.logits[row * vocab..(row + 1) * vocab]
    }
}

fn worst(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max)
}

fn assert_close(got: &[f32], want: &[f32], what: &str) {
    let worst = worst(got, want);
    let nmse = nmse(got, want);
    assert!(worst <= TOLERANCE && nmse <= NMSE, "{what}: off by {worst:e}, NMSE {nmse:e}");
}

fn best(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
    u32::try_from(best).unwrap()
}

#[test]
fn the_whole_prompt_at_once() {
    for r in CHECKPOINTS.map(open) {
        assert_close(&r.run(&mut r.model.cache(), &r.prompt), &r.logits, r.name);
    }
}

#[test]
fn the_prompt_in_pieces_and_token_by_token() {
    for r in CHECKPOINTS.map(open) {
        // The second piece crosses the positions of training, 32, where there is scaling; the last begins right behind them.
        for pieces in [vec![7, 30, 1, 21], vec![32, 27], vec![1; 59]] {
            let (mut cache, mut got, mut rest) = (r.model.cache(), Vec::new(), r.prompt.as_slice());
            for n in pieces {
                let (piece, left) = rest.split_at(n);
                got.extend(r.run(&mut cache, piece));
                rest = left;
            }
            assert_close(&got, &r.logits, r.name);
        }
    }
}

/// What is known of a prompt already changes no bit of what is computed of the rest, and what was written before is computed again, many
/// tokens at once, as it was one by one.
#[test]
fn where_a_sequence_is_cut_changes_no_bit() {
    for r in CHECKPOINTS.map(open) {
        let vocab = r.vocab();
        let mut cache = r.model.cache();
        let whole = r.run_as(Rows::Prefill, &mut cache, &r.prompt);
        let written: Vec<f32> = r.greedy.iter().flat_map(|id| r.run_as(Rows::Decode, &mut cache, &[*id])).collect();
        for cut in [1, 16, 32, 48, 57, 58] {
            let mut cache = r.model.cache();
            let mut got = r.run_as(Rows::Prefill, &mut cache, &r.prompt[..cut]);
            got.extend(r.run_as(Rows::Prefill, &mut cache, &r.prompt[cut..]));
            assert!(got == whole, "{}: cut at {cut}", r.name);
            let (first, second) = r.greedy.split_at(cut);
            let mut again = r.run_as(Rows::Decode, &mut cache, first);
            again.extend(r.run_as(Rows::Decode, &mut cache, second));
            assert!(again == written && written.len() == 64 * vocab, "{}: written, cut at {cut}", r.name);
        }
    }
}

#[test]
fn greedy_tokens_are_the_same() {
    for r in CHECKPOINTS.map(open) {
        let mut cache = r.model.cache();
        let logits = r.run(&mut cache, &r.prompt);
        let mut row = logits[logits.len() - r.vocab()..].to_vec();
        assert_eq!(r.greedy.len(), 64);
        for (at, (want, gap)) in r.greedy.iter().zip(&r.gaps).enumerate() {
            assert!(best(&row) == *want || *gap < GAP, "{}: token {at} is {} and not {want}", r.name, best(&row));
            row = r.run(&mut cache, &[*want]);
        }
    }
}

/// Sequences at different positions, decoded in one step: each as if it were alone, bit for bit, and as transformers computes.
#[test]
fn sequences_in_one_step_do_not_mix() {
    for r in CHECKPOINTS.map(open) {
        let starts = [40usize, 3, 25];
        let fill = |n: usize| {
            let mut cache = r.model.cache();
            r.run(&mut cache, &r.prompt[..n]);
            cache
        };
        let (mut together, mut alone) = (starts.map(fill), starts.map(fill));
        for step in 0..12 {
            let tokens = starts.map(|n| [r.prompt[n + step]]);
            let got = r.model.write(&mut together, &tokens);
            for (i, row) in got.chunks_exact(r.vocab()).enumerate() {
                assert_close(row, r.expected(starts[i] + step), r.name);
                let alone = r.run(&mut alone[i], &tokens[i]);
                assert!(!EXACT || row == alone, "{}: not what it is alone", r.name);
            }
        }
    }
}

#[test]
fn the_last_row_of_a_prompt_is_enough() {
    let r = open("untied");
    let mut cache = r.model.cache();
    let mut read = |tokens, wanted| r.model.run_as(Rows::Prefill, (&mut cache, tokens), wanted);
    assert!(read(&r.prompt[..20], Wanted::Nothing).is_empty());
    let got = read(&r.prompt[20..], Wanted::Last);
    assert_close(&got, r.expected(r.prompt.len() - 1), "last");
}

/// transformers passes over `attn_factor`, the switch does as it does; the two differ by far more than rounding.
#[test]
fn yarn_can_be_read_as_transformers_reads_it() {
    let r = open_as("qwen3", YarnReading::Transformers, "theirs");
    let got = r.run(&mut r.model.cache(), &r.prompt);
    assert_close(&got, &r.logits, "theirs");
    assert!(worst(&got, &open("qwen3").logits) > 0.1);
}

/// bf16 is a format of weights here and never one of sums, so this is far below the bound.
#[test]
fn bf16_checkpoints_lose_at_most_twice_what_transformers_loses_in_bf16() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/bf16.json");
    let lost: std::collections::BTreeMap<String, f64> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for name in ["tied", "llama", "qwen3", "latent"] {
        let (r, theirs) = (open(name), lost[name]);
        let ours = nmse(&r.run(&mut r.model.cache(), &r.prompt), &r.logits);
        assert!(theirs > 1e-5 && ours <= 2.0 * theirs, "{name}: NMSE {ours:e}, that of transformers {theirs:e}");
    }
}

/// What config.json says is compared with the file's tensors before anything is made of it.
#[test]
fn sizes_that_no_tensor_has_cost_an_error_and_no_memory() {
    let files = reference("latent");
    let mut blueprint = blueprint(&files, YarnReading::default()).unwrap();
    let Shape::Latent(cut) = &mut blueprint.attention else { panic!() };
    (cut.heads, cut.plain) = (config::MOST, config::MOST);
    let loaded = Decoder::<Tested>::load(&blueprint, &Weights::open(&files).unwrap(), &fixtures::device());
    let said = loaded.err().unwrap().to_string();
    assert!(said.contains("q_b_proj.weight") && said.contains("has shape"), "{said}");
}
