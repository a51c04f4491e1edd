//! What tokenizer.json and tokenizer_config.json of the same model would say, made of a GGUF file's keys.
//!
//! Apart because a GGUF file names how text is cut before it is tokenised and does not spell it out; here it is spelt. It must not know
//! weights.

use serde_json::{Map, Value as Json, json};

use super::Gguf;
use crate::tools;

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
    let kinds = file.wholes("tokenizer.ggml.token_type", tokens.len(), &gguf.bytes)?;
    let merges: Result<Vec<_>, _> = file.texts("tokenizer.ggml.merges", &gguf.bytes)?.into_iter().map(merge).collect();
    let vocab: Map<String, Json> = tokens.iter().enumerate().map(|(id, token)| ((*token).to_owned(), json!(id))).collect();
    if vocab.len() != tokens.len() {
        return Err(format!("{} of {} tokens are there twice", tokens.len() - vocab.len(), tokens.len()));
    }
    let added = tokens.iter().zip(&kinds).enumerate().filter(|(_, (_, kind))| matches!(**kind, CONTROL | USER_DEFINED));
    let added: Vec<_> = added
        .map(|(id, (token, kind))| {
            // What is special is left out of the text, where calls are read; DeepSeek's own tokenizer.json has their marks as plain ones.
            let special = *kind == CONTROL && !tools::MARKS.contains(token);
            json!({"id": id, "content": token, "special": special, "normalized": false,
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

#[cfg(test)]
mod tests {
    use tokenizers::Tokenizer;

    use super::*;
    use crate::gguf::container::Container;
    use crate::weights::files::Blob;

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
    }

    fn pair(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
        [&text(key)[..], &kind.to_le_bytes(), value].concat()
    }

    fn list(kind: u32, all: &[Vec<u8>]) -> Vec<u8> {
        [&kind.to_le_bytes()[..], &(all.len() as u64).to_le_bytes(), &all.concat()].concat()
    }

    /// A file with a tokenizer of these tokens and types, and nothing else.
    fn file(tokens: &[&str], kinds: &[i32]) -> Gguf {
        let tokens: Vec<_> = tokens.iter().map(|token| text(token)).collect();
        let kinds: Vec<_> = kinds.iter().map(|kind| kind.to_le_bytes().to_vec()).collect();
        let pairs = [
            pair("tokenizer.ggml.model", 8, &text("gpt2")),
            pair("tokenizer.ggml.pre", 8, &text("qwen2")),
            pair("tokenizer.ggml.tokens", 9, &list(8, &tokens)),
            pair("tokenizer.ggml.token_type", 9, &list(5, &kinds)),
            pair("tokenizer.ggml.merges", 9, &list(8, &[])),
        ];
        let head = [b"GGUF\x03\0\0\0".as_slice(), &0u64.to_le_bytes(), &(pairs.len() as u64).to_le_bytes()].concat();
        let bytes = [head, pairs.concat()].concat();
        Gguf { path: "model.gguf".into(), container: Container::read(&bytes).unwrap(), bytes: Blob::Made(bytes) }
    }

    #[test]
    fn marks_of_calls_are_text_and_other_marks_are_not() {
        let mut tokens = vec!["f", "<｜User｜>"];
        tokens.extend(tools::MARKS);
        let kinds: Vec<i32> = [1, 3].into_iter().chain(tools::MARKS.map(|_| 3)).collect();
        let json = tokenizer(&file(&tokens, &kinds)).unwrap();
        let read = Tokenizer::from_bytes(json.to_string()).unwrap();
        let ids: Vec<u32> = (0..).take(tokens.len()).collect();
        assert_eq!(read.decode(&ids, true).unwrap(), format!("f{}", tools::MARKS.concat()));
        assert_eq!(read.encode_fast(tokens.concat(), false).unwrap().get_ids(), ids, "each is one token all the same");
    }

    #[test]
    fn types_are_as_many_as_tokens() {
        let said = tokenizer(&file(&["a", "b"], &[1, 1, 1])).unwrap_err();
        assert!(said.contains("tokenizer.ggml.token_type") && said.contains("has 3 numbers where 2 belong"), "{said}");
    }
}
