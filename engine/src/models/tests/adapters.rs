//! Adapters against what PEFT computes with them (tests/reference/make_adapters.py), alone and in one step with others.

use std::path::Path;

use gatewright_types::Quantization;

use super::*;
use crate::fixtures::adapter;
use crate::weights::adapter::Adapter;

/// An adapter, and the model that it is of.
const ADAPTERS: [(&str, &str); 7] = [
    ("untied", "untied"),
    ("tied", "tied"),
    ("tied-head", "tied"),
    ("llama", "llama"),
    ("normed", "normed"),
    ("latent", "latent"),
    ("llama-gguf", "gguf/llama.gguf"),
];

fn read(path: &Path, name: &str) -> Vec<u8> {
    SafeTensors::deserialize(&std::fs::read(path).unwrap()).unwrap().tensor(name).unwrap().data().to_vec()
}

fn ids(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(8).map(|b| u32::try_from(i64::from_le_bytes(b.try_into().unwrap())).unwrap()).collect()
}

/// A model with adapters, and the prompt that they were asked.
fn model(base: &str, adapters: &[&str], quantize: Option<Quantization>) -> (Paged, Vec<u32>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
    let expected = if base.contains('/') {
        folder.join(base).with_extension("safetensors")
    } else {
        folder.join(base).join("expected.safetensors")
    };
    let files = ModelFiles::Folder(folder.join(base)).resolved().unwrap();
    let adapters = adapters.iter().map(|name| Adapter::open(&adapter(name)).unwrap()).collect();
    let weights = Weights::open(&files).unwrap().quantized(quantize).adapted(adapters);
    let blueprint = blueprint(&files, YarnReading::Checkpoint).unwrap();
    (Paged::new(Decoder::load(&blueprint, &weights, &fixtures::device()).unwrap()), ids(&read(&expected, "prompt")))
}

/// What PEFT computed with an adapter.
fn expected(name: &str, what: &str) -> Vec<u8> {
    read(&adapter(name).join("expected.safetensors"), what)
}

fn logits(name: &str) -> Vec<f32> {
    fixtures::floats(&expected(name, "logits"))
}

#[test]
fn logits_are_those_of_peft_whole_in_pieces_and_token_by_token() {
    for (name, base) in ADAPTERS {
        let ((model, prompt), want) = (model(base, &[name], None), logits(name));
        assert_close(&model.run(&mut model.wearing(Some(0)), &prompt), &want, name);
        for pieces in [vec![prompt.len() / 2, prompt.len() - prompt.len() / 2], vec![1; prompt.len()]] {
            let (mut cache, mut got, mut rest) = (model.wearing(Some(0)), Vec::new(), prompt.as_slice());
            for n in pieces {
                let (piece, left) = rest.split_at(n);
                got.extend(model.run(&mut cache, piece));
                rest = left;
            }
            assert_close(&got, &want, name);
        }
    }
}

#[test]
fn greedy_tokens_are_those_of_peft() {
    for (name, base) in ADAPTERS {
        let (model, prompt) = model(base, &[name], None);
        let mut cache = model.wearing(Some(0));
        let logits = model.run(&mut cache, &prompt);
        let mut row = logits[logits.len() - model.model.vocab()..].to_vec();
        let (greedy, gaps) = (ids(&expected(name, "greedy")), fixtures::floats(&expected(name, "gaps")));
        assert_eq!(greedy.len(), 64);
        for (at, (want, gap)) in greedy.iter().zip(&gaps).enumerate() {
            assert!(best(&row) == *want || *gap < GAP, "{name}: token {at} is {} and not {want}", best(&row));
            row = model.run(&mut cache, &[*want]);
        }
    }
}

/// Sequences with different adapters and with none, decoded in one step: each as if it were alone, bit for bit, and as PEFT and
/// transformers compute.
#[test]
fn adapters_in_one_step_do_not_mix() {
    for (base, adapters) in [("tied", vec!["tied", "tied-head"]), ("latent", vec!["latent"]), ("untied", vec!["untied"])] {
        let (model, prompt) = model(base, &adapters, None);
        let mut want: Vec<_> = adapters.iter().map(|name| logits(name)).collect();
        want.push(open(base.to_owned().leak()).logits);
        // The last of them is the model's own.
        let worn: Vec<Option<usize>> = [0, 1, 2, 0, 1, 2].map(|of| Some(of).filter(|of| *of < adapters.len())).into();
        let starts = [40usize, 3, 25, 11, 30, 7];
        let fill = |i: usize| {
            let mut cache = model.wearing(worn[i]);
            model.run(&mut cache, &prompt[..starts[i]]);
            cache
        };
        let (mut together, mut alone): (Vec<_>, Vec<_>) = ((0..6).map(fill).collect(), (0..6).map(fill).collect());
        for step in 0..8 {
            let tokens = starts.map(|n| [prompt[n + step]]);
            let got = model.write(&mut together, &tokens);
            for (i, row) in got.chunks_exact(model.model.vocab()).enumerate() {
                let want = &want[worn[i].unwrap_or(adapters.len())];
                assert_close(row, &want[(starts[i] + step) * model.model.vocab()..][..model.model.vocab()], base);
                let alone = model.run(&mut alone[i], &tokens[i]);
                assert!(!EXACT || row == alone, "{base}: {:?} is not what it is alone", worn[i]);
            }
        }
    }
}

/// What an adapter adds is not quantised: it is as large as it was, and only the model under it has lost something.
#[test]
fn a_quantised_model_wears_them_too() {
    let cases = [("tied-head", "tied", Quantization::Q8, 5e-3), ("tied-head", "tied", Quantization::Q4, 0.3)];
    for (name, base, quantize, most) in cases.into_iter().chain([("latent", "latent", Quantization::Q8, 5e-3)]) {
        let (model, prompt) = model(base, &[name], Some(quantize));
        let off = nmse(&model.run(&mut model.wearing(Some(0)), &prompt), &logits(name));
        let without = nmse(&model.run(&mut model.cache(), &prompt), &logits(name));
        assert!(off < most && without > 2.0 * most, "{name}, {quantize:?}: NMSE {off:e}, without {without:e}");
    }
}
