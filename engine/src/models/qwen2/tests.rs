//! Fidelity: what Hugging Face transformers computed on the reference checkpoints (tests/reference/make.py), to 5e-5 in f32.

use burn::backend::Flex;
use safetensors::tensor::SafeTensors;

use super::*;
use crate::fixtures::reference;

const CHECKPOINTS: [&str; 3] = ["untied", "tied", "wide"];
const TOLERANCE: f32 = 5e-5;

struct Reference {
    model: Qwen2<Flex>,
    prompt: Vec<u32>,
    logits: Vec<f32>,
    greedy: Vec<u32>,
}

fn open(name: &str) -> Reference {
    let files = reference(name);
    let config = ModelConfig::read(&files).unwrap();
    let model = Qwen2::load(&config, &Weights::open(&files).unwrap(), &Default::default()).unwrap();
    let bytes = files.require("expected.safetensors").unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    let ids = |name: &str| {
        let data = expected.tensor(name).unwrap().data().to_vec();
        data.chunks_exact(8).map(|b| u32::try_from(i64::from_le_bytes(b.try_into().unwrap())).unwrap()).collect()
    };
    let logits = expected.tensor("logits").unwrap().data().to_vec();
    let logits = logits.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    Reference { model, prompt: ids("prompt"), logits, greedy: ids("greedy") }
}

impl Reference {
    fn run(&self, cache: &mut KvCache<Flex>, tokens: &[u32]) -> Vec<f32> {
        let kind = if tokens.len() > 1 { Rows::Prefill } else { Rows::Decode };
        self.model.forward(&mut [Span { cache, tokens, wanted: Wanted::All }], kind).unwrap()
    }

    /// Row `row` of what transformers computed for the prompt.
    fn expected(&self, row: usize) -> &[f32] {
        let vocab = self.model.vocab();
        &self.logits[row * vocab..(row + 1) * vocab]
    }
}

fn assert_close(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let worst = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
    assert!(worst <= TOLERANCE, "{what}: off by {worst:e}");
}

fn best(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
    u32::try_from(best).unwrap()
}

#[test]
fn the_whole_prompt_at_once() {
    for name in CHECKPOINTS {
        let r = open(name);
        assert_close(&r.run(&mut r.model.cache(), &r.prompt), &r.logits, name);
    }
}

#[test]
fn the_prompt_in_pieces_and_token_by_token() {
    for name in CHECKPOINTS {
        let r = open(name);
        for pieces in [vec![7, 30, 1, 21], vec![1; 59]] {
            let (mut cache, mut got, mut rest) = (r.model.cache(), Vec::new(), r.prompt.as_slice());
            for n in pieces {
                let (piece, left) = rest.split_at(n);
                got.extend(r.run(&mut cache, piece));
                rest = left;
            }
            assert_close(&got, &r.logits, name);
        }
    }
}

#[test]
fn greedy_tokens_are_the_same() {
    for name in CHECKPOINTS {
        let r = open(name);
        let mut cache = r.model.cache();
        let logits = r.run(&mut cache, &r.prompt);
        let mut token = best(&logits[logits.len() - r.model.vocab()..]);
        let mut got = vec![token];
        while got.len() < r.greedy.len() {
            token = best(&r.run(&mut cache, &[token]));
            got.push(token);
        }
        assert_eq!(got, r.greedy, "{name}");
    }
}

/// Sequences at different positions, decoded in one step: each as if it were alone, bit for bit, and as transformers computes.
#[test]
fn sequences_in_one_step_do_not_mix() {
    for name in CHECKPOINTS {
        let r = open(name);
        let starts = [40usize, 3, 17];
        let fill = |n: usize| {
            let mut cache = r.model.cache();
            r.run(&mut cache, &r.prompt[..n]);
            cache
        };
        let (mut together, mut alone) = (starts.map(fill), starts.map(fill));
        for step in 0..12 {
            let tokens = starts.map(|n| [r.prompt[n + step]]);
            let caches = together.iter_mut().zip(&tokens);
            let mut spans: Vec<_> = caches.map(|(cache, tokens)| Span { cache, tokens, wanted: Wanted::Last }).collect();
            let got = r.model.forward(&mut spans, Rows::Decode).unwrap();
            for (i, row) in got.chunks_exact(r.model.vocab()).enumerate() {
                assert_close(row, r.expected(starts[i] + step), name);
                assert_eq!(row, r.run(&mut alone[i], &tokens[i]), "{name}: not what it is alone");
            }
        }
    }
}

#[test]
fn the_last_row_of_a_prompt_is_enough() {
    let r = open("untied");
    let mut cache = r.model.cache();
    let mut span = |tokens, wanted| r.model.forward(&mut [Span { cache: &mut cache, tokens, wanted }], Rows::Prefill).unwrap();
    assert!(span(&r.prompt[..20], Wanted::Nothing).is_empty());
    let got = span(&r.prompt[20..], Wanted::Last);
    assert_close(&got, r.expected(r.prompt.len() - 1), "last");
}
