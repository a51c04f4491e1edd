//! Writes a random checkpoint of Qwen2.5-0.5B's shape, for `bench` and `bench/beside-mistralrs`; its tokenizer is that of the folder named:
//! `cargo run --release -p gatewright-engine --example random_checkpoint -- <folder> [f32|bf16] [tokenizer's folder]`
//!
//! Apart because nothing can be downloaded where speed is measured. It must not be needed by anything.

use std::collections::HashMap;
use std::path::Path;

use half::bf16;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

const LAYERS: usize = 24;
const HIDDEN: usize = 896;
const INNER: usize = 4864;
const KV: usize = 128;
const VOCAB: usize = 151_936;
const SPECIAL: &str = "tokenizer_config.json";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: random_checkpoint <folder> [f32|bf16] [tokenizer's folder]")?;
    let kind = arguments.next().unwrap_or_else(|| "bf16".to_owned());
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/tied");
    let tokenizer = arguments.next().unwrap_or_else(|| own.to_owned());
    let dtype = if kind == "f32" { Dtype::F32 } else { Dtype::BF16 };
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    for file in ["tokenizer.json", "generation_config.json"] {
        std::fs::copy(Path::new(&tokenizer).join(file), folder.join(file))?;
    }
    // Not all that read it know that a token may be an object.
    let mut special: serde_json::Value = serde_json::from_slice(&std::fs::read(Path::new(&tokenizer).join(SPECIAL))?)?;
    for token in ["bos_token", "eos_token"] {
        if let Some(content) = special[token].get("content").cloned() {
            special[token] = content;
        }
    }
    std::fs::write(folder.join(SPECIAL), special.to_string())?;
    let config = serde_json::json!({
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": VOCAB, "hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
        "num_attention_heads": 14, "num_key_value_heads": 2, "max_position_embeddings": 32_768, "rms_norm_eps": 1e-6,
        "rope_theta": 1e6, "tie_word_embeddings": true, "hidden_act": "silu",
        "use_sliding_window": false, "sliding_window": 32_768, "max_window_layers": LAYERS, "torch_dtype": dtype_name(dtype),
    });
    std::fs::write(folder.join("config.json"), config.to_string())?;
    // All tensors are views of the same numbers: how fast they are read does not depend on what they are.
    let numbers = numbers(dtype);
    let size = if dtype == Dtype::F32 { 4 } else { 2 };
    let mut views = HashMap::new();
    for (name, shape) in tensors() {
        let bytes = size * shape.iter().product::<usize>();
        views.insert(name, TensorView::new(dtype, shape, &numbers[..bytes])?);
    }
    serialize_to_file(views, None, &folder.join("model.safetensors"))?;
    Ok(())
}

fn dtype_name(dtype: Dtype) -> &'static str {
    if dtype == Dtype::F32 { "float32" } else { "bfloat16" }
}

/// Names and shapes.
fn tensors() -> Vec<(String, Vec<usize>)> {
    let mut all =
        vec![("model.embed_tokens.weight".to_owned(), vec![VOCAB, HIDDEN]), ("model.norm.weight".to_owned(), vec![HIDDEN])];
    for layer in 0..LAYERS {
        let parts = [
            ("input_layernorm.weight", vec![HIDDEN]),
            ("post_attention_layernorm.weight", vec![HIDDEN]),
            ("self_attn.q_proj.weight", vec![HIDDEN, HIDDEN]),
            ("self_attn.q_proj.bias", vec![HIDDEN]),
            ("self_attn.k_proj.weight", vec![KV, HIDDEN]),
            ("self_attn.k_proj.bias", vec![KV]),
            ("self_attn.v_proj.weight", vec![KV, HIDDEN]),
            ("self_attn.v_proj.bias", vec![KV]),
            ("self_attn.o_proj.weight", vec![HIDDEN, HIDDEN]),
            ("mlp.gate_proj.weight", vec![INNER, HIDDEN]),
            ("mlp.up_proj.weight", vec![INNER, HIDDEN]),
            ("mlp.down_proj.weight", vec![HIDDEN, INNER]),
        ];
        all.extend(parts.map(|(part, shape)| (format!("model.layers.{layer}.{part}"), shape)));
    }
    all
}

fn numbers(dtype: Dtype) -> Vec<u8> {
    let mut state = 1u64;
    let values = (0..VOCAB * HIDDEN).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1u32 << 24) as f32 - 0.5) * 0.1
    });
    match dtype {
        Dtype::F32 => values.flat_map(f32::to_le_bytes).collect(),
        _ => values.flat_map(|value| bf16::from_f32(value).to_le_bytes()).collect(),
    }
}
