//! Tensors of a GGUF file under the names, and in the order of rows, that Hugging Face transformers has.
//!
//! Apart because these are habits of the tool that writes such files. It must not know what a tensor is for.

use super::Gguf;
use crate::packing::Part;

/// Within a layer: transformers' name, GGUF's.
const OF_LAYER: [(&str, &str); 11] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// GGUF's name; a name without a counterpart stays.
fn theirs(name: &str) -> String {
    let known = match name {
        "model.embed_tokens.weight" => Some("token_embd.weight".to_owned()),
        "model.norm.weight" => Some("output_norm.weight".to_owned()),
        "lm_head.weight" => Some("output.weight".to_owned()),
        _ => name.strip_prefix("model.layers.").and_then(|rest| {
            let (layer, rest) = rest.split_once('.')?;
            let (stem, kind) = rest.rsplit_once('.')?;
            let (_, stem) = OF_LAYER.iter().find(|(ours, _)| *ours == stem)?;
            Some(format!("blk.{layer}.{stem}.{kind}"))
        }),
    };
    known.unwrap_or_else(|| name.to_owned())
}

impl Gguf {
    pub(super) fn part(&self, name: &str, shape: &[usize]) -> Result<Part, String> {
        let own = theirs(name);
        let entry = self.container.tensors.get(&own).ok_or_else(|| format!("tensor `{own}` is missing"))?;
        if entry.shape != shape {
            return Err(format!("tensor `{own}` has shape {:?}; the file's keys ask for {shape:?}", entry.shape));
        }
        let bytes = self.bytes.get(entry.place.clone()).unwrap_or_default();
        let [rows, width] = match *shape {
            [rows, width] => [rows, width],
            [width] => [1, width],
            _ => return Err(format!("tensor `{own}` has {} dimensions", shape.len())),
        };
        let bytes = match self.interleaved(name)? {
            // A bias has a number where a matrix has a row.
            Some(head) => straight(bytes, shape.first().map_or(0, |rows| bytes.len() / rows.max(&1)), head),
            None => bytes.to_vec(),
        };
        Part::new(entry.packing, [rows, width], bytes).ok_or_else(|| format!("tensor `{own}` is not as long as its shape"))
    }

    /// A tensor's numbers.
    pub(super) fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        Ok(self.part(name, shape)?.values(shape.last().copied().unwrap_or(0)))
    }

    /// Rows of a head, of tensors whose heads are written for a rotation of neighbours: Llama's queries and keys. Qwen's are not.
    fn interleaved(&self, name: &str) -> Result<Option<usize>, String> {
        if self.container.text("general.architecture")? != Some("llama") {
            return Ok(None);
        }
        let Some(part) = ["self_attn.q_proj", "self_attn.k_proj"].iter().position(|part| name.contains(part)) else {
            return Ok(None);
        };
        let heads = self.container.whole("llama.attention.head_count")?.unwrap_or(0);
        let heads = if part == 0 { heads } else { self.container.whole("llama.attention.head_count_kv")?.unwrap_or(heads) };
        let rows = self.container.tensors.get(&theirs(name)).and_then(|entry| entry.shape.first()).copied().unwrap_or(0);
        match rows.checked_div(heads) {
            Some(head) if head > 0 && head * heads == rows && head.is_multiple_of(2) => Ok(Some(head)),
            _ => Err(format!("tensor `{}` of {rows} rows does not divide into {heads} heads", theirs(name))),
        }
    }
}

/// Puts rows that are pairs of neighbours back to where the first halves of all pairs come before the second ones, head by head.
fn straight(bytes: &[u8], row: usize, head: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for head in bytes.chunks_exact((row * head).max(1)) {
        for half in 0..2 {
            let rows = head.chunks_exact(row.max(1)).skip(half).step_by(2);
            rows.for_each(|row| out.extend_from_slice(row));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_transformers() {
        assert_eq!(theirs("model.layers.12.self_attn.q_proj.bias"), "blk.12.attn_q.bias");
        assert_eq!(theirs("model.layers.0.post_attention_layernorm.weight"), "blk.0.ffn_norm.weight");
        assert_eq!(theirs("lm_head.weight"), "output.weight");
        assert_eq!(theirs("model.layers.0.mlp.gate.weight"), "model.layers.0.mlp.gate.weight");
    }

    #[test]
    fn rows_of_a_head_are_put_back() {
        assert_eq!(straight(&[0, 3, 1, 4, 2, 5, 10, 13, 11, 14, 12, 15], 1, 6), [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15]);
    }
}
