//! A decoder: embedding, layers of attention and a gated feed-forward part, each behind a norm, and the output matrix. What a family has
//! of its own is in its [`Blueprint`].
//!
//! Apart because all families are this. Weights have the names that Hugging Face transformers gives them in all of these families. It
//! must not know one family, requests or text.

use burn::tensor::{Int, Tensor, TensorData};

use super::attention::{Attention, HeadNorms, Pass};
use super::cache::{Columns, Part, Pool};
use super::experts::{Experts, Mixture};
use super::mla::{Latent, LatentAttention};
use super::mlp::Mlp;
use super::rope::{Rope, Spectrum};
use super::{Batch, Bias, Loader, Rows, product, read};
use crate::error::EngineError;
use crate::ops::{EngineBackend, Heads, Linear, Matrix};
use crate::pages::Page;
use crate::weights::Weights;
use crate::weights::adapter::Adapter;

/// What a family makes of a config.json: all that there is to know before weights are loaded.
#[derive(Clone, Debug)]
pub(crate) struct Blueprint {
    pub(crate) vocab: usize,
    pub(crate) hidden: usize,
    /// Width of the feed-forward part, where it is one.
    pub(crate) inner: usize,
    /// Where it is many, and how they are chosen.
    pub(crate) mixture: Option<Mixture>,
    pub(crate) layers: usize,
    pub(crate) attention: Shape,
    /// Of all norms but those in latent attention.
    pub(crate) epsilon: f64,
    pub(crate) rope: Spectrum,
    /// Positions that prompt and answer may have together.
    pub(crate) context: usize,
    pub(crate) output: Output,
    pub(crate) biases: Biases,
    pub(crate) head_norms: Norms,
}

/// How layers attend.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// To keys and values that groups of heads share.
    Grouped(Heads),
    /// To latent vectors that all heads share.
    Latent(Latent),
}

/// Where the output matrix is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// It is the embedding.
    Tied,
    /// It is `lm_head`.
    Own,
}

/// Which products have biases.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Biases {
    /// Queries, keys and values.
    pub(crate) qkv: Bias,
    /// What attention gives.
    pub(crate) out: Bias,
    /// The feed-forward part.
    pub(crate) mlp: Bias,
}

/// Whether each head's queries and keys have a norm of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Norms {
    Yes,
    No,
}

impl Blueprint {
    /// Values that one position has in the caches of all layers.
    pub(crate) fn cached_values(&self) -> usize {
        self.layers * self.columns().count()
    }

    fn columns(&self) -> Columns {
        match self.attention {
            Shape::Grouped(Heads { kv_heads, head_dim, .. }) => Columns { heads: kv_heads, keys: head_dim, values: head_dim },
            Shape::Latent(cut) => cut.columns(),
        }
    }

    fn rotated(&self) -> Heads {
        match self.attention {
            Shape::Grouped(heads) => heads,
            Shape::Latent(cut) => cut.rotated(),
        }
    }
}

struct Layer<B: EngineBackend> {
    before_attention: Tensor<B, 2>,
    attention: Attending<B>,
    before_mlp: Tensor<B, 2>,
    mlp: FeedForward<B>,
}

enum Attending<B: EngineBackend> {
    Grouped(Attention<B>),
    Latent(LatentAttention<B>),
}

enum FeedForward<B: EngineBackend> {
    Dense(Mlp<B>),
    Experts(Experts<B>),
}

/// A loaded model.
pub(crate) struct Decoder<B: EngineBackend> {
    blueprint: Blueprint,
    rope: Rope,
    embedding: Matrix<B>,
    layers: Vec<Layer<B>>,
    norm: Tensor<B, 2>,
    head: Linear<B>,
    device: B::Device,
}

/// One sequence's part of a step.
#[derive(Debug)]
pub(crate) struct Span<'a> {
    /// Its pages, with room for the tokens.
    pub(crate) pages: &'a [Page],
    /// Positions that they hold.
    pub(crate) filled: usize,
    /// The tokens that follow.
    pub(crate) tokens: &'a [u32],
    pub(crate) wanted: Wanted,
    /// Of the sequence, by its place among the model's.
    pub(crate) adapter: Option<usize>,
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

impl<B: EngineBackend> Decoder<B> {
    /// Checks and loads all weights.
    pub(crate) fn load(blueprint: &Blueprint, weights: &Weights, device: &B::Device) -> Result<Self, EngineError> {
        let loader = Loader::<B> { weights, device: device.clone() };
        let (vocab, hidden) = (blueprint.vocab, blueprint.hidden);
        let embedding = loader.matrix("model.embed_tokens.weight", [vocab, hidden])?;
        let head = match blueprint.output {
            Output::Tied => {
                let deltas = loader.deltas(&[("lm_head".to_owned(), vocab)], hidden, None)?;
                Linear { weight: embedding.clone(), bias: None, deltas }
            }
            Output::Own => loader.linear(&[("lm_head".to_owned(), vocab)], hidden, Bias::No)?,
        };
        let layers = (0..blueprint.layers).map(|i| layer(&loader, blueprint, i)).collect::<Result<_, _>>()?;
        weights.adapters().iter().try_for_each(Adapter::check_all_used)?;
        Ok(Self {
            rope: Rope::new(blueprint.rotated(), &blueprint.rope),
            embedding,
            layers,
            norm: loader.row("model.norm.weight", hidden)?,
            head,
            device: device.clone(),
            blueprint: blueprint.clone(),
        })
    }

    /// So many empty pages.
    pub(crate) fn pool(&self, pages: usize) -> Pool<B> {
        Pool::new(self.layers.len(), self.blueprint.columns(), pages, self.device.clone())
    }

    /// Width of a row of logits.
    pub(crate) fn vocab(&self) -> usize {
        self.blueprint.vocab
    }

    /// Runs the spans' tokens, writes to their pages and gives the wanted rows' logits, `[wanted, vocab]` row-major in the spans'
    /// order. `kind` says how they are computed: as what is read, of one span, or as what is written, of any number.
    ///
    /// # Errors
    /// [`EngineError::Step`] if the device fails.
    pub(crate) fn forward(&self, pool: &mut Pool<B>, spans: &[Span<'_>], kind: Rows) -> Result<Vec<f32>, EngineError> {
        let ids: Vec<i64> = spans.iter().flat_map(|s| s.tokens.iter().map(|t| i64::from(*t))).collect();
        let wanted = wanted_rows(spans);
        let rows = ids.len();
        let adapters: Vec<_> = spans.iter().flat_map(|s| s.tokens.iter().map(|_| s.adapter)).collect();
        let kind = Batch { kind, adapters: &adapters };
        let parts: Vec<_> = spans.iter().map(|s| Part::new(s.pages, s.filled, s.tokens.len())).collect();
        if !parts.iter().all(Part::fits) {
            return Err(EngineError::Step("a sequence has no page for what comes next".to_owned()));
        }
        let positions: Vec<usize> = spans.iter().flat_map(|s| (0..s.tokens.len()).map(|i| s.filled + i)).collect();
        let rotation = self.rope.at(positions.iter().copied());
        let mut pass = Pass { kind, rotation, parts: &parts, pool };
        let mut x = self.embedding.select(&ids, &self.device);
        for (i, layer) in self.layers.iter().enumerate() {
            let normed = B::rms_norm(x.clone(), &layer.before_attention, self.blueprint.epsilon);
            x = x + match &layer.attention {
                Attending::Grouped(attention) => attention.forward(normed, i, &mut pass),
                Attending::Latent(attention) => attention.forward(normed, i, &mut pass),
            };
            let normed = B::rms_norm(x.clone(), &layer.before_mlp, self.blueprint.epsilon);
            x = x + match &layer.mlp {
                FeedForward::Dense(mlp) => mlp.forward(normed, kind),
                FeedForward::Experts(experts) => experts.forward(normed, kind)?,
            };
        }
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let adapters = kind.adapters_of(&wanted);
        if wanted.len() < rows {
            x = x.select(0, self.ids(wanted));
        }
        let x = B::rms_norm(x, &self.norm, self.blueprint.epsilon);
        // One row is one row, whatever came before it: the last of a prompt is computed as those of decoding are.
        read(product(x, &self.head, Batch { kind: Rows::Decode, adapters: &adapters }))
    }

    fn ids(&self, ids: Vec<i64>) -> Tensor<B, 1, Int> {
        let n = ids.len();
        Tensor::from_data(TensorData::new(ids, [n]), &self.device)
    }
}

fn wanted_rows(spans: &[Span<'_>]) -> Vec<i64> {
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

fn layer<B: EngineBackend>(loader: &Loader<'_, B>, blueprint: &Blueprint, index: usize) -> Result<Layer<B>, EngineError> {
    let Blueprint { hidden, inner, biases, .. } = *blueprint;
    let name = |part: &str| format!("model.layers.{index}.{part}");
    Ok(Layer {
        before_attention: loader.row(&name("input_layernorm.weight"), hidden)?,
        attention: match blueprint.attention {
            Shape::Grouped(heads) => Attending::Grouped(grouped(loader, &name("self_attn"), blueprint, heads)?),
            Shape::Latent(cut) => Attending::Latent(LatentAttention::load(loader, &name("self_attn"), cut, (hidden, biases))?),
        },
        before_mlp: loader.row(&name("post_attention_layernorm.weight"), hidden)?,
        mlp: match blueprint.mixture {
            Some(mixture) if index >= mixture.dense_layers => {
                FeedForward::Experts(Experts::load(loader, &name("mlp"), mixture, hidden)?)
            }
            _ => FeedForward::Dense(mlp(loader, &name("mlp"), [hidden, inner], biases.mlp)?),
        },
    })
}

fn grouped<B: EngineBackend>(
    loader: &Loader<'_, B>,
    prefix: &str,
    blueprint: &Blueprint,
    heads: Heads,
) -> Result<Attention<B>, EngineError> {
    let Blueprint { hidden, biases, .. } = *blueprint;
    let (q, kv) = (heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim);
    let name = |part: &str| format!("{prefix}.{part}");
    let qkv = [(name("q_proj"), q), (name("k_proj"), kv), (name("v_proj"), kv)];
    let norm = |part: &str| loader.row(&name(part), heads.head_dim);
    let norms = match blueprint.head_norms {
        Norms::Yes => Some(HeadNorms { queries: norm("q_norm.weight")?, keys: norm("k_norm.weight")?, epsilon: blueprint.epsilon }),
        Norms::No => None,
    };
    Ok(Attention {
        heads,
        qkv: loader.linear(&qkv, hidden, biases.qkv)?,
        norms,
        out: loader.linear(&[(name("o_proj"), hidden)], q, biases.out)?,
    })
}

/// A gated feed-forward part between these widths.
pub(super) fn mlp<B: EngineBackend>(
    loader: &Loader<'_, B>,
    prefix: &str,
    [hidden, inner]: [usize; 2],
    bias: Bias,
) -> Result<Mlp<B>, EngineError> {
    let name = |part: &str| format!("{prefix}.{part}");
    Ok(Mlp {
        gate_up: loader.linear(&[(name("gate_proj"), inner), (name("up_proj"), inner)], hidden, bias)?,
        down: loader.linear(&[(name("down_proj"), hidden)], inner, bias)?,
    })
}
