//! Multi-head latent attention (DeepSeek-V2, <https://arxiv.org/abs/2405.04434>) with absorbed weights: a position is kept as one latent
//! vector and one rotated key, which all heads share.
//!
//! Apart because it is attention of another kind. It must not know how a sequence came to be. Prompts are read in this form too: with the
//! pieces in which they are read, keys and values made of all latent vectors for each piece would cost as much and need memory.

use burn::tensor::{Tensor, TensorData};

use super::attention::Pass;
use super::cache::Columns;
use super::decoder::Biases;
use super::{Bias, Loader, product};
use crate::error::EngineError;
use crate::ops::{EngineBackend, Heads, Lift, Linear};

/// Of its norms, whatever config.json says: so it is in DeepSeek's own code and in Hugging Face transformers.
const EPSILON: f64 = 1e-6;

/// How it is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latent {
    pub(crate) heads: usize,
    /// Width that queries are squeezed through, where they are.
    pub(crate) query_rank: Option<usize>,
    /// Width of a latent vector.
    pub(crate) rank: usize,
    /// Width of the part of a head's query and key that is not rotated.
    pub(crate) plain: usize,
    /// Width of the part that is.
    pub(crate) turned: usize,
    /// Width of a head's value.
    pub(crate) value: usize,
    /// What scores are multiplied by.
    pub(crate) scale: f64,
    pub(crate) pairs: Pairs,
}

/// Which rows of a checkpoint's weights are rotated as a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pairs {
    /// Each and the next.
    Neighbours,
    /// One of each half.
    Halves,
}

impl Latent {
    /// What is rotated: all heads' queries, and behind them the one key.
    pub(crate) fn rotated(&self) -> Heads {
        Heads { heads: self.heads + 1, kv_heads: 0, head_dim: self.turned }
    }

    /// What a position keeps.
    pub(crate) fn columns(&self) -> Columns {
        Columns { heads: 1, keys: self.turned, values: self.rank }
    }

    /// The checkpoint's rows of queries in the order that they are kept in: what is not rotated of all heads, then what is.
    fn query_order(&self) -> Vec<usize> {
        let Self { heads, plain, turned, pairs, .. } = *self;
        let first = move |head: usize| head * (plain + turned);
        let still = (0..heads).flat_map(|head| (0..plain).map(move |i| first(head) + i));
        still.chain((0..heads).flat_map(|head| (0..turned).map(move |i| first(head) + plain + pairs.source(i, turned)))).collect()
    }

    /// The same of the latent vector and the key.
    fn key_order(&self) -> Vec<usize> {
        (0..self.rank).chain((0..self.turned).map(|i| self.rank + self.pairs.source(i, self.turned))).collect()
    }
}

impl Pairs {
    /// The checkpoint's row of what is kept at `at`: [`EngineBackend::rotate`] takes one of each half.
    fn source(self, at: usize, width: usize) -> usize {
        let half = width / 2;
        match self {
            Self::Halves => at,
            Self::Neighbours if at < half => 2 * at,
            Self::Neighbours => 2 * (at - half) + 1,
        }
    }
}

/// One layer's weights.
#[derive(Debug)]
pub(crate) struct LatentAttention<B: EngineBackend> {
    cut: Latent,
    queries: Queries<B>,
    /// A row to its latent vector and its key.
    down: Linear<B>,
    norm: Tensor<B, 2>,
    lifts: Lifts<B>,
    out: Linear<B>,
}

#[derive(Debug)]
enum Queries<B: EngineBackend> {
    Whole(Linear<B>),
    Squeezed { down: Linear<B>, norm: Tensor<B, 2>, up: Linear<B> },
}

impl<B: EngineBackend> LatentAttention<B> {
    /// Loads `<prefix>.q_a_proj` and so on, of a model so wide.
    pub(super) fn load(
        loader: &Loader<'_, B>,
        prefix: &str,
        cut: Latent,
        (hidden, biases): (usize, Biases),
    ) -> Result<Self, EngineError> {
        let name = |part: &str| format!("{prefix}.{part}");
        let rows = (cut.heads * (cut.plain + cut.turned), || cut.query_order());
        let queries = match cut.query_rank {
            None => Queries::Whole(loader.reordered(&name("q_proj"), rows, hidden, Bias::No)?),
            Some(rank) => Queries::Squeezed {
                down: loader.linear(&[(name("q_a_proj"), rank)], hidden, biases.qkv)?,
                norm: loader.row(&name("q_a_layernorm.weight"), rank)?,
                up: loader.reordered(&name("q_b_proj"), rows, rank, Bias::No)?,
            },
        };
        Ok(Self {
            queries,
            down: loader.reordered(&name("kv_a_proj_with_mqa"), (cut.rank + cut.turned, || cut.key_order()), hidden, biases.qkv)?,
            norm: loader.row(&name("kv_a_layernorm.weight"), cut.rank)?,
            lifts: Lifts::load(loader, &name("kv_b_proj"), &cut)?,
            out: loader.linear(&[(name("o_proj"), hidden)], cut.heads * cut.value, biases.out)?,
            cut,
        })
    }

    /// `x` `[rows, hidden]`, normalised, to `[rows, hidden]`; the rows' latent vectors and keys are written to layer `layer` of each
    /// one's pages.
    pub(crate) fn forward(&self, x: Tensor<B, 2>, layer: usize, pass: &mut Pass<'_, B>) -> Tensor<B, 2> {
        let Latent { heads, rank, plain, turned, .. } = self.cut;
        let rows = x.dims()[0];
        let kv = product(x.clone(), &self.down, pass.kind);
        let latents = B::rms_norm(kv.clone().slice([0..rows, 0..rank]), &self.norm, EPSILON);
        let queries = match &self.queries {
            Queries::Whole(queries) => product(x, queries, pass.kind),
            Queries::Squeezed { down, norm, up } => product(B::rms_norm(product(x, down, pass.kind), norm, EPSILON), up, pass.kind),
        };
        let (still, moving) = (heads * plain, heads * turned);
        let parts = vec![queries.clone().slice([0..rows, still..still + moving]), kv.slice([0..rows, rank..rank + turned])];
        let rotated = B::rotate(Tensor::cat(parts, 1), &pass.rotation);
        let mut mixed = Vec::with_capacity(pass.parts.len());
        let mut row = 0;
        for part in pass.parts {
            let n = part.rows;
            let of = row..row + n;
            let keys = rotated.clone().slice([of.clone(), moving..moving + turned]).reshape([n, 1, turned]);
            let latents = latents.clone().slice([of.clone(), 0..rank]).reshape([n, 1, rank]);
            if let Some(kv) = pass.pool.append(layer, part, [keys, latents]) {
                let queries = [queries.clone().slice([of.clone(), 0..still]), rotated.clone().slice([of, 0..moving])];
                mixed.push(B::attend_latents(queries, self.lifts.of(pass.kind.adapters.get(row)), &kv));
            }
            row += n;
        }
        product(Tensor::cat(mixed, 0), &self.out, pass.kind)
    }
}

/// How heads reach latent vectors, without an adapter and with each that changes it: what is absorbed cannot be added to.
#[derive(Debug)]
struct Lifts<B: EngineBackend> {
    plain: Lift<B>,
    adapted: Vec<Option<Lift<B>>>,
}

impl<B: EngineBackend> Lifts<B> {
    fn load(loader: &Loader<'_, B>, name: &str, cut: &Latent) -> Result<Self, EngineError> {
        let shape = [cut.heads * (cut.plain + cut.value), cut.rank];
        let matrix = loader.weights.tensor(&format!("{name}.weight"), &shape)?;
        let adapted = loader.weights.adapters().iter().map(|adapter| {
            let pair = adapter.pair(name, shape)?;
            Ok(pair.map(|pair| lift(&loader.device, &pair.added_to(&matrix, cut.rank), cut)))
        });
        Ok(Self { adapted: adapted.collect::<Result<_, EngineError>>()?, plain: lift(&loader.device, &matrix, cut) })
    }

    /// For a row with this adapter.
    fn of(&self, adapter: Option<&Option<usize>>) -> &Lift<B> {
        let own = adapter.copied().flatten().and_then(|adapter| self.adapted.get(adapter)?.as_ref());
        own.unwrap_or(&self.plain)
    }
}

/// A head's rows of the matrix are those of its key, then those of its value.
fn lift<B: EngineBackend>(device: &B::Device, matrix: &[f32], cut: &Latent) -> Lift<B> {
    let Latent { heads, rank, plain, value, scale, .. } = *cut;
    let (mut keys, mut values) = (Vec::with_capacity(heads * plain * rank), Vec::with_capacity(heads * value * rank));
    for head in matrix.chunks_exact((plain + value) * rank) {
        let (key, rest) = head.split_at(plain * rank);
        keys.extend_from_slice(key);
        values.extend_from_slice(rest);
    }
    let place = |data, width| Tensor::from_data(TensorData::new(data, [heads, width, rank]), device);
    Lift { keys: place(keys, plain), values: place(values, value), scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_come_to_lie_in_two_halves() {
        let cut = |pairs| Latent { heads: 2, query_rank: None, rank: 3, plain: 2, turned: 4, value: 1, scale: 1.0, pairs };
        assert_eq!(cut(Pairs::Neighbours).query_order(), [0, 1, 6, 7, 2, 4, 3, 5, 8, 10, 9, 11]);
        assert_eq!(cut(Pairs::Halves).query_order(), [0, 1, 6, 7, 2, 3, 4, 5, 8, 9, 10, 11]);
        assert_eq!(cut(Pairs::Neighbours).key_order(), [0, 1, 2, 3, 5, 4, 6]);
        assert_eq!(cut(Pairs::Halves).key_order(), [0, 1, 2, 3, 4, 5, 6]);
    }
}
