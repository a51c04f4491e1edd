//! Qwen2, the architecture of DeepSeek-R1-Distill-Qwen: weight names and the order of layers
//! (<https://arxiv.org/abs/2407.10671>; names as in Hugging Face transformers' `Qwen2ForCausalLM`).
//!
//! Apart because it is one family. It must not know requests or text.

use burn::tensor::{Int, Tensor, TensorData};

use crate::config::ModelConfig;
use crate::error::EngineError;
use crate::layers::attention::{Attention, Pass};
use crate::layers::cache::KvCache;
use crate::layers::mlp::Mlp;
use crate::layers::rope::Rope;
use crate::layers::{Bias, Loader, Rows, product};
use crate::ops::{EngineBackend, Heads, Linear};
use crate::weights::Weights;

struct Layer<B: EngineBackend> {
    before_attention: Tensor<B, 2>,
    attention: Attention<B>,
    before_mlp: Tensor<B, 2>,
    mlp: Mlp<B>,
}

/// A loaded model.
pub(crate) struct Qwen2<B: EngineBackend> {
    config: ModelConfig,
    heads: Heads,
    rope: Rope,
    embedding: Tensor<B, 2>,
    layers: Vec<Layer<B>>,
    norm: Tensor<B, 2>,
    head: Linear<B>,
    device: B::Device,
}

/// One sequence's part of a step.
pub(crate) struct Span<'a, B: EngineBackend> {
    pub(crate) cache: &'a mut KvCache<B>,
    /// The tokens that follow what the cache holds.
    pub(crate) tokens: &'a [u32],
    pub(crate) wanted: Wanted,
}

/// Which of a span's rows get logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// None: more of the prompt comes.
    Nothing,
    /// The last one.
    Last,
    /// Each one.
    #[cfg_attr(not(test), expect(dead_code, reason = "the fidelity tests compare every position"))]
    All,
}

impl<B: EngineBackend> Qwen2<B> {
    /// Checks and loads all weights. The output matrix is the embedding if config.json ties them.
    pub(crate) fn load(config: &ModelConfig, weights: &Weights, device: &B::Device) -> Result<Self, EngineError> {
        let heads = Heads { heads: config.num_attention_heads, kv_heads: config.kv_heads(), head_dim: config.head_dim() };
        let loader = Loader::<B> { weights, device: device.clone() };
        let embedding = loader.matrix("model.embed_tokens.weight", [config.vocab_size, config.hidden_size])?;
        let head = if config.tie_word_embeddings {
            Linear { weight: embedding.clone(), bias: None }
        } else {
            loader.linear(&[("lm_head".to_owned(), config.vocab_size)], config.hidden_size, Bias::No)?
        };
        let layers: Result<Vec<_>, _> = (0..config.num_hidden_layers).map(|i| layer(&loader, config, i)).collect();
        Ok(Self {
            config: config.clone(),
            heads,
            rope: Rope::new(heads, config.rope_theta()),
            embedding,
            layers: layers?,
            norm: loader.row("model.norm.weight", config.hidden_size)?,
            head,
            device: device.clone(),
        })
    }

    /// An empty cache for one sequence.
    pub(crate) fn cache(&self) -> KvCache<B> {
        KvCache::new(self.layers.len(), self.heads, self.device.clone())
    }

    /// Width of a row of logits.
    pub(crate) fn vocab(&self) -> usize {
        self.config.vocab_size
    }

    /// Runs the spans' tokens, appends to their caches and gives the wanted rows' logits, `[wanted, vocab]` row-major in the spans'
    /// order. `kind` says what the spans are: one of any length, or any number of one token each.
    ///
    /// # Errors
    /// [`EngineError::Step`] if the device fails.
    pub(crate) fn forward(&self, spans: &mut [Span<'_, B>], kind: Rows) -> Result<Vec<f32>, EngineError> {
        let ids: Vec<i64> = spans.iter().flat_map(|s| s.tokens.iter().map(|t| i64::from(*t))).collect();
        let wanted = wanted_rows(spans);
        let rows = ids.len();
        let positions: Vec<usize> = spans.iter().flat_map(|s| (0..s.tokens.len()).map(|i| s.cache.len() + i)).collect();
        let rotation = self.rope.at(positions.iter().copied());
        let mut caches: Vec<_> = spans.iter_mut().map(|s| (&mut *s.cache, s.tokens.len())).collect();
        let mut pass = Pass { kind, rotation, caches: &mut caches };
        let mut x = self.embedding.clone().select(0, self.ids(ids));
        for (i, layer) in self.layers.iter().enumerate() {
            let normed = B::rms_norm(x.clone(), &layer.before_attention, self.config.rms_norm_eps);
            x = x + layer.attention.forward(normed, i, &mut pass);
            let normed = B::rms_norm(x.clone(), &layer.before_mlp, self.config.rms_norm_eps);
            x = x + layer.mlp.forward(normed, kind);
        }
        for (cache, n) in caches {
            cache.advance(n);
        }
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        if wanted.len() < rows {
            x = x.select(0, self.ids(wanted));
        }
        let x = B::rms_norm(x, &self.norm, self.config.rms_norm_eps);
        // One row is one row, whatever came before it: the last of a prompt is computed as those of decoding are.
        let logits = product(x, &self.head, Rows::Decode);
        let data = logits.try_into_data().map_err(|e| EngineError::Step(format!("the device failed: {e}")))?;
        data.into_vec().map_err(|e| EngineError::Step(format!("logits are not f32: {e:?}")))
    }

    fn ids(&self, ids: Vec<i64>) -> Tensor<B, 1, Int> {
        let n = ids.len();
        Tensor::from_data(TensorData::new(ids, [n]), &self.device)
    }
}

fn wanted_rows<B: EngineBackend>(spans: &[Span<'_, B>]) -> Vec<i64> {
    let mut wanted = Vec::new();
    let mut row = 0i64;
    for span in spans {
        let end = row + span.tokens.len() as i64;
        match span.wanted {
            Wanted::Nothing => {}
            Wanted::Last => wanted.push(end - 1),
            Wanted::All => wanted.extend(row..end),
        }
        row = end;
    }
    wanted
}

fn layer<B: EngineBackend>(loader: &Loader<'_, B>, config: &ModelConfig, index: usize) -> Result<Layer<B>, EngineError> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let heads = Heads { heads: config.num_attention_heads, kv_heads: config.kv_heads(), head_dim: config.head_dim() };
    let (q, kv) = (heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim);
    let name = |part: &str| format!("model.layers.{index}.{part}");
    let qkv = [(name("self_attn.q_proj"), q), (name("self_attn.k_proj"), kv), (name("self_attn.v_proj"), kv)];
    Ok(Layer {
        before_attention: loader.row(&name("input_layernorm.weight"), hidden)?,
        attention: Attention {
            heads,
            qkv: loader.linear(&qkv, hidden, Bias::Yes)?,
            out: loader.linear(&[(name("self_attn.o_proj"), hidden)], q, Bias::No)?,
        },
        before_mlp: loader.row(&name("post_attention_layernorm.weight"), hidden)?,
        mlp: Mlp {
            gate_up: loader.linear(&[(name("mlp.gate_proj"), inner), (name("mlp.up_proj"), inner)], hidden, Bias::No)?,
            down: loader.linear(&[(name("mlp.down_proj"), hidden)], inner, Bias::No)?,
        },
    })
}

#[cfg(test)]
mod tests;
