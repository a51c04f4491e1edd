//! Writes the weights as a Hugging Face checkpoint of Qwen2's architecture.
//! Apart, because names and layouts of others live here. It must not know how the weights were trained.

use crate::Failure;
use crate::demo_data::dialogue::{BOS, EOS};
use crate::model::{NORM_EPSILON, Network, ROPE_THETA, Shape};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use tokenizers::Tokenizer;

/// The engine's own template for R1: tools are shown, reasoning of earlier turns is left out, and the model's turn opens with its thought.
const TEMPLATE: &str = concat!("{%- set opens_thought = true -%}\n", include_str!("../../src/template/deepseek_r1.jinja"));
/// How long a conversation may be.
const CONTEXT: usize = 1024;

type Named = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

/// Writes all five files.
pub(crate) fn write<B: Backend>(network: &Network<B>, shape: &Shape, to: Target<'_>) -> Result<(), Failure> {
    std::fs::create_dir_all(to.folder)?;
    to.tokenizer.save(to.folder.join("tokenizer.json"), false)?;
    let ends = [BOS, EOS].map(|text| to.tokenizer.token_to_id(text));
    write_json(to.folder, "config.json", &config(shape, ends))?;
    write_json(to.folder, "generation_config.json", &generation_config(ends))?;
    write_json(to.folder, "tokenizer_config.json", &tokenizer_config())?;
    let tensors = collect(network)?;
    let mut views = Vec::with_capacity(tensors.len());
    for (name, (shape, bytes)) in &tensors {
        views.push((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?));
    }
    let metadata = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
    let bytes = safetensors::serialize(views, Some(metadata))?;
    replace(&to.folder.join("model.safetensors"), &bytes)
}

/// The architecture.
fn config(shape: &Shape, [bos, eos]: [Option<u32>; 2]) -> Value {
    json!({
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "attention_dropout": 0.0,
        "bos_token_id": bos,
        "eos_token_id": eos,
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "initializer_range": 0.05,
        "intermediate_size": shape.intermediate,
        "max_position_embeddings": CONTEXT,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.heads,
        "rms_norm_eps": NORM_EPSILON,
        "rope_theta": ROPE_THETA,
        "sliding_window": null,
        "tie_word_embeddings": true,
        "torch_dtype": "float32",
        "use_cache": true,
        "use_sliding_window": false,
        "vocab_size": shape.vocabulary,
    })
}

/// How to sample when nobody says: R1's own settings.
fn generation_config([bos, eos]: [Option<u32>; 2]) -> Value {
    json!({ "bos_token_id": bos, "eos_token_id": eos, "do_sample": true, "temperature": 0.6, "top_p": 0.95 })
}

/// What belongs to the tokenizer besides its vocabulary.
fn tokenizer_config() -> Value {
    json!({
        "add_bos_token": false,
        "add_eos_token": false,
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": EOS,
        "unk_token": null,
        "clean_up_tokenization_spaces": false,
        "model_max_length": CONTEXT,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": TEMPLATE.trim_end(),
    })
}

/// Where a checkpoint goes, and the tokenizer that belongs to it.
pub(crate) struct Target<'a> {
    /// The folder of the checkpoint.
    pub(crate) folder: &'a Path,
    /// Its tokenizer.
    pub(crate) tokenizer: &'a Tokenizer,
}

/// Writes a file so that it is never seen half written.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let fresh = path.with_extension("fresh");
    std::fs::write(&fresh, bytes)?;
    Ok(std::fs::rename(fresh, path)?)
}

fn write_json(folder: &Path, name: &str, value: &Value) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    replace(&folder.join(name), text.as_bytes())
}

/// All weights by Hugging Face's names; matrices are `[out, in]` there.
fn collect<B: Backend>(network: &Network<B>) -> Result<Named, Failure> {
    let mut all = Named::new();
    let mut put = |name: String, (shape, bytes)| {
        all.insert(name, (shape, bytes));
    };
    put("model.embed_tokens.weight".into(), bytes(network.embedding.val())?);
    put("model.norm.weight".into(), bytes(network.norm.val())?);
    for (index, block) in network.blocks.iter().enumerate() {
        let name = |rest: &str| format!("model.layers.{index}.{rest}");
        put(name("input_layernorm.weight"), bytes(block.input_norm.val())?);
        put(name("post_attention_layernorm.weight"), bytes(block.post_norm.val())?);
        for (rest, matrix) in [
            ("self_attn.q_proj.weight", &block.q),
            ("self_attn.k_proj.weight", &block.k),
            ("self_attn.v_proj.weight", &block.v),
            ("self_attn.o_proj.weight", &block.o),
            ("mlp.gate_proj.weight", &block.gate),
            ("mlp.up_proj.weight", &block.up),
            ("mlp.down_proj.weight", &block.down),
        ] {
            put(name(rest), bytes(matrix.val().transpose())?);
        }
        for (rest, bias) in [
            ("self_attn.q_proj.bias", &block.q_bias),
            ("self_attn.k_proj.bias", &block.k_bias),
            ("self_attn.v_proj.bias", &block.v_bias),
        ] {
            put(name(rest), bytes(bias.val())?);
        }
    }
    Ok(all)
}

/// A tensor's shape and its f32 bytes.
fn bytes<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Result<(Vec<usize>, Vec<u8>), Failure> {
    let shape = tensor.dims().to_vec();
    let values: Vec<f32> = tensor.into_data().convert::<f32>().to_vec().map_err(|e| format!("{e:?}"))?;
    Ok((shape, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
}
