//! What config.json and generation_config.json of the same model would say, made of a GGUF file's keys.
//!
//! Apart because keys are named differently there; what follows from them is decided where it is for every other model. It must not
//! know tokens or weights.

use serde_json::{Map, Value as Json, json};

use super::Gguf;

/// Architectures whose names and layouts are known; they are called as their `model_type` is.
const ARCHITECTURES: [&str; 3] = ["llama", "qwen2", "qwen3"];

/// config.json.
pub(super) fn config(gguf: &Gguf) -> Result<Json, String> {
    let file = &gguf.container;
    let arch = file.text("general.architecture")?.ok_or("`general.architecture` is missing")?;
    if !ARCHITECTURES.contains(&arch) {
        return Err(format!("general.architecture `{arch}` is not supported; GGUF files of {} are", ARCHITECTURES.join(", ")));
    }
    if let Some(parts) = file.whole("split.count")?.filter(|parts| *parts > 1) {
        return Err(format!("it is one of {parts} parts; join them (llama-gguf-split --merge)"));
    }
    let key = |name: &str| format!("{arch}.{name}");
    let needs = |name: &str| file.whole(&key(name))?.ok_or_else(|| format!("`{}` is missing", key(name)));
    let (hidden, heads) = (needs("embedding_length")?, needs("attention.head_count")?);
    let head_dim = match file.whole(&key("attention.key_length"))? {
        Some(length) => length,
        None => hidden.checked_div(heads).ok_or_else(|| format!("`{}` is 0", key("attention.head_count")))?,
    };
    for same in ["attention.value_length", "rope.dimension_count"] {
        if let Some(other) = file.whole(&key(same))?.filter(|other| *other != head_dim) {
            return Err(format!("`{}` {other} is not supported where keys are {head_dim} wide", key(same)));
        }
    }
    let vocab = file.tensors.get("token_embd.weight").and_then(|entry| entry.shape.first());
    let epsilon = key("attention.layer_norm_rms_epsilon");
    Ok(json!({
        "model_type": arch,
        "vocab_size": vocab.ok_or("tensor `token_embd.weight` is missing")?,
        "hidden_size": hidden,
        "intermediate_size": needs("feed_forward_length")?,
        "num_hidden_layers": needs("block_count")?,
        "num_attention_heads": heads,
        "num_key_value_heads": file.whole(&key("attention.head_count_kv"))?.unwrap_or(heads),
        "head_dim": head_dim,
        "max_position_embeddings": needs("context_length")?,
        "rms_norm_eps": file.number(&epsilon)?.ok_or_else(|| format!("`{epsilon}` is missing"))?,
        "tie_word_embeddings": !file.tensors.contains_key("output.weight"),
        "attention_bias": file.tensors.contains_key("blk.0.attn_q.bias"),
        "mlp_bias": file.tensors.contains_key("blk.0.ffn_gate.bias"),
        "rope_parameters": rope(gguf, key, head_dim)?,
    }))
}

/// `rope_parameters`. Llama 3.1's scaling is a tensor of factors here.
fn rope(gguf: &Gguf, key: impl Fn(&str) -> String, head_dim: usize) -> Result<Json, String> {
    let file = &gguf.container;
    let mut rope = Map::new();
    let kind = file.text(&key("rope.scaling.type"))?.unwrap_or("none");
    let linear = file.number(&key("rope.scale_linear"))?.filter(|factor| *factor != 1.0);
    let kind = if kind == "none" && linear.is_some() { "linear" } else { kind };
    rope.insert("rope_type".into(), json!(if kind == "none" { "default" } else { kind }));
    if let Some(ext) = file.number(&key("rope.scaling.yarn_ext_factor"))?.filter(|ext| *ext >= 0.0 && *ext != 1.0) {
        return Err(format!("`{}` {ext} is not supported", key("rope.scaling.yarn_ext_factor")));
    }
    let names = [
        ("rope_theta", "rope.freq_base"),
        ("factor", "rope.scaling.factor"),
        ("original_max_position_embeddings", "rope.scaling.original_context_length"),
        ("attn_factor", "rope.scaling.attn_factor"),
        ("beta_fast", "rope.scaling.yarn_beta_fast"),
        ("beta_slow", "rope.scaling.yarn_beta_slow"),
    ];
    for (name, theirs) in names {
        if let Some(number) = file.number(&key(theirs))? {
            rope.insert(name.into(), json!(number));
        }
    }
    if let Some(factor) = linear {
        rope.entry("factor").or_insert(json!(factor));
    }
    // Both are factors of the scores' scale.
    if let Some(beside) = file.number(&key("rope.scaling.yarn_attn_factor"))?.filter(|factor| *factor > 0.0) {
        let first = rope.get("attn_factor").and_then(Json::as_f64).unwrap_or(1.0);
        rope.insert("attn_factor".into(), json!(first * beside));
    }
    if file.tensors.contains_key("rope_freqs.weight") {
        if kind != "none" {
            return Err(format!("rope_freqs.weight beside rope scaling of type `{kind}` is not supported"));
        }
        let factors = gguf.values("rope_freqs.weight", &[head_dim / 2])?;
        rope.insert("rope_type".into(), json!("factors"));
        rope.insert("factors".into(), json!(factors));
    }
    Ok(Json::Object(rope))
}

/// generation_config.json: the ids that end an answer, and what sampling the file advises.
pub(super) fn generation(gguf: &Gguf) -> Result<Json, String> {
    let file = &gguf.container;
    let mut config = Map::new();
    let mut ends = Vec::new();
    for key in ["eos_token_id", "eot_token_id", "eom_token_id"] {
        ends.extend(file.whole(&format!("tokenizer.ggml.{key}"))?);
    }
    config.insert("eos_token_id".into(), json!(ends));
    let advised = [("temperature", "temp"), ("top_p", "top_p"), ("min_p", "min_p"), ("repetition_penalty", "penalty_repeat")];
    for (name, theirs) in advised {
        if let Some(number) = file.number(&format!("general.sampling.{theirs}"))? {
            config.insert(name.into(), json!(number));
        }
    }
    if let Some(k) = file.whole("general.sampling.top_k")? {
        config.insert("top_k".into(), json!(k));
    }
    if config.len() > 1 {
        config.insert("do_sample".into(), json!(true));
    }
    Ok(Json::Object(config))
}
