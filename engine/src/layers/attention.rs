//! Grouped-query attention on each sequence's own pages.
//!
//! Apart because it is where rows of several sequences part. It must not know how a sequence came to be.

use burn::tensor::Tensor;

use super::cache::{Part, Pool};
use super::{Batch, product};
use crate::ops::{EngineBackend, Heads, Linear, Rotation};

/// One attention layer's weights.
#[derive(Debug)]
pub(crate) struct Attention<B: EngineBackend> {
    pub(crate) heads: Heads,
    /// Queries, keys and values in one product.
    pub(crate) qkv: Linear<B>,
    pub(crate) norms: Option<HeadNorms<B>>,
    pub(crate) out: Linear<B>,
}

/// Norms of each head's queries and keys, before they are rotated; `[1, head_dim]`.
#[derive(Debug)]
pub(crate) struct HeadNorms<B: EngineBackend> {
    pub(crate) queries: Tensor<B, 2>,
    pub(crate) keys: Tensor<B, 2>,
    pub(crate) epsilon: f64,
}

/// What all layers of one step share: its rows, of one sequence after the other.
pub(crate) struct Pass<'a, B: EngineBackend> {
    pub(crate) kind: Batch<'a>,
    pub(crate) rotation: Rotation,
    pub(crate) parts: &'a [Part<'a>],
    pub(crate) pool: &'a mut Pool<B>,
}

impl<B: EngineBackend> Attention<B> {
    /// `x` `[rows, hidden]`, normalised, to `[rows, hidden]`; the rows' keys and values are written to layer `layer` of each one's
    /// pages.
    pub(crate) fn forward(&self, x: Tensor<B, 2>, layer: usize, pass: &mut Pass<'_, B>) -> Tensor<B, 2> {
        let Heads { heads, kv_heads, head_dim } = self.heads;
        let mut qkv = product(x, &self.qkv, pass.kind);
        if let Some(norms) = &self.norms {
            qkv = norms.apply(qkv, self.heads);
        }
        let qkv = B::rotate(qkv, &pass.rotation);
        let mut mixed = Vec::with_capacity(pass.parts.len());
        let mut row = 0;
        for part in pass.parts {
            let n = part.rows;
            let cut = |from: usize, count: usize| qkv.clone().slice([row..row + n, from * head_dim..(from + count) * head_dim]);
            let columns = |from| cut(from, kv_heads).reshape([n, kv_heads, head_dim]);
            if let Some(kv) = pass.pool.append(layer, part, [columns(heads), columns(heads + kv_heads)]) {
                mixed.push(B::attend(cut(0, heads), &kv));
            }
            row += n;
        }
        product(Tensor::cat(mixed, 0), &self.out, pass.kind)
    }
}

impl<B: EngineBackend> HeadNorms<B> {
    fn apply(&self, qkv: Tensor<B, 2>, heads: Heads) -> Tensor<B, 2> {
        let [rows, width] = qkv.dims();
        let (q, k) = (heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim);
        // A head is a row to the norm.
        let normed = |from: usize, wide: usize, weight: &Tensor<B, 2>| {
            let part = qkv.clone().slice([0..rows, from..from + wide]).reshape([rows * wide / heads.head_dim, heads.head_dim]);
            B::rms_norm(part, weight, self.epsilon).reshape([rows, wide])
        };
        let values = qkv.clone().slice([0..rows, q + k..width]);
        Tensor::cat(vec![normed(0, q, &self.queries), normed(q, k, &self.keys), values], 1)
    }
}
