//! What tokenizer.json and tokenizer_config.json of the same model would say, made of a GGUF file's keys.
//!
//! Apart because a GGUF file names how text is cut before it is tokenised and does not spell it out; here it is spelt. It must not know
//! weights.

use serde_json::{Map, Value as Json, json};

use super::Gguf;

/// How Qwen 2 cuts text.
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// How Llama 3 cuts text: up to three digits together.
const LLAMA3: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Token types of GGML.
const CONTROL: i128 = 3;
const USER_DEFINED: i128 = 4;

/// What comes before merging.
struct Cut {
    pattern: &'static str,
    /// Whether text is brought to Unicode's form C first.
    normalizer: Json,
    /// Whether a piece that is a token is that token, whatever the merges say.
    whole_pieces: Json,
}

fn cut(pre: &str) -> Result<Cut, String> {
    match pre {
        // R1's distills are tokenised as the models that they were made of.
        "qwen2" | "deepseek-r1-qwen" => Ok(Cut { pattern: QWEN2, normalizer: json!({"type": "NFC"}), whole_pieces: json!(false) }),
        "llama-bpe" | "llama3" | "llama-v3" => Ok(Cut { pattern: LLAMA3, normalizer: Json::Null, whole_pieces: json!(true) }),
        other => Err(format!("tokenizer.ggml.pre `{other}` is not supported; qwen2, deepseek-r1-qwen and llama-bpe are")),
    }
}

/// tokenizer.json.
pub(super) fn tokenizer(gguf: &Gguf) -> Result<Json, String> {
    let file = &gguf.container;
    match file.text("tokenizer.ggml.model")? {
        Some("gpt2") => {}
        Some(other) => return Err(format!("tokenizer.ggml.model `{other}` is not supported; byte-level BPE (`gpt2`) is")),
        None => return Err("`tokenizer.ggml.model` is missing: the file has no tokenizer".to_owned()),
    }
    let cut = cut(file.text("tokenizer.ggml.pre")?.ok_or("`tokenizer.ggml.pre` is missing: how text is cut is not known")?)?;
    let tokens = file.texts("tokenizer.ggml.tokens", &gguf.bytes)?;
    let kinds = file.wholes("tokenizer.ggml.token_type", &gguf.bytes)?;
    if kinds.len() != tokens.len() {
        return Err(format!("there are {} tokens and {} types of tokens", tokens.len(), kinds.len()));
    }
    let merges: Result<Vec<_>, _> = file.texts("tokenizer.ggml.merges", &gguf.bytes)?.into_iter().map(merge).collect();
    let vocab: Map<String, Json> = tokens.iter().enumerate().map(|(id, token)| ((*token).to_owned(), json!(id))).collect();
    if vocab.len() != tokens.len() {
        return Err(format!("{} of {} tokens are there twice", tokens.len() - vocab.len(), tokens.len()));
    }
    let added = tokens.iter().zip(&kinds).enumerate().filter(|(_, (_, kind))| matches!(**kind, CONTROL | USER_DEFINED));
    let added: Vec<_> = added
        .map(|(id, (token, kind))| {
            json!({"id": id, "content": token, "special": *kind == CONTROL, "normalized": false,
                   "single_word": false, "lstrip": false, "rstrip": false})
        })
        .collect();
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
    let split = json!({"type": "Split", "pattern": {"Regex": cut.pattern}, "behavior": "Isolated", "invert": false});
    Ok(json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": cut.normalizer,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocab, "merges": merges?, "ignore_merges": cut.whole_pieces},
    }))
}

/// Two tokens with a space between; no token of such a vocabulary has one.
fn merge(text: &str) -> Result<[&str; 2], String> {
    text.split_once(' ').map(|(first, second)| [first, second]).ok_or_else(|| format!("merge `{text}` is not of two tokens"))
}

/// tokenizer_config.json: special tokens by their text, and the chat template.
pub(super) fn config(gguf: &Gguf) -> Result<Json, String> {
    let file = &gguf.container;
    let tokens = file.texts("tokenizer.ggml.tokens", &gguf.bytes)?;
    let mut config = Map::new();
    let names = [("bos_token", "bos"), ("eos_token", "eos"), ("unk_token", "unknown"), ("pad_token", "padding")];
    for (name, theirs) in names {
        let key = format!("tokenizer.ggml.{theirs}_token_id");
        if let Some(id) = file.whole(&key)? {
            let token = tokens.get(id).ok_or_else(|| format!("`{key}` is {id}; there are {} tokens", tokens.len()))?;
            config.insert(name.into(), json!(token));
        }
    }
    let template =
        file.text("tokenizer.chat_template")?.ok_or("`tokenizer.chat_template` is missing: the file has no chat template")?;
    config.insert("chat_template".into(), json!(template));
    Ok(Json::Object(config))
}
