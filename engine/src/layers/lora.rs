//! Adapters at work: each row of a step has what its own adapter adds to a product, whoever else is in the step.
//!
//! Apart because products are made everywhere and this once. It must not know files, requests or which product it is. A row's sum is the
//! product and what the adapter adds, both of which depend on that row alone where rows are decoded; so it is the same bit for bit alone
//! and in company.

use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};

use super::Rows;
use crate::ops::{Delta, EngineBackend, Linear, Up};

/// The rows of a step: what they are, and the adapter of each, by its place among the model's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch<'a> {
    pub(crate) kind: Rows,
    pub(crate) adapters: &'a [Option<usize>],
}

impl Batch<'_> {
    /// The adapters of some of its rows.
    pub(super) fn adapters_of(&self, rows: &[i64]) -> Vec<Option<usize>> {
        rows.iter().map(|row| usize::try_from(*row).ok().and_then(|row| *self.adapters.get(row)?)).collect()
    }

    fn rows_of(&self, adapter: usize) -> Vec<i64> {
        let rows = self.adapters.iter().enumerate().filter(|(_, of)| **of == Some(adapter));
        rows.map(|(row, _)| row as i64).collect()
    }
}

/// The product for that kind of rows, with what adapters add to it.
pub(crate) fn product<B: EngineBackend>(x: Tensor<B, 2>, linear: &Linear<B>, batch: Batch<'_>) -> Tensor<B, 2> {
    if linear.deltas.is_empty() {
        return plain(x, linear, batch.kind);
    }
    let mut out = plain(x.clone(), linear, batch.kind);
    for (adapter, delta) in linear.deltas.iter().enumerate() {
        let (Some(delta), rows) = (delta, batch.rows_of(adapter)) else { continue };
        if rows.len() == batch.adapters.len() {
            out = out + added(x.clone(), delta, batch.kind);
        } else if !rows.is_empty() {
            let n = rows.len();
            let ids = Tensor::<B, 1, Int>::from_data(TensorData::new(rows, [n]), &x.device());
            let added = added(x.clone().select(0, ids.clone()), delta, batch.kind);
            out = out.select_assign(0, ids, added, IndexingUpdateOp::Add);
        }
    }
    out
}

fn plain<B: EngineBackend>(x: Tensor<B, 2>, linear: &Linear<B>, kind: Rows) -> Tensor<B, 2> {
    match kind {
        Rows::Prefill => B::prefill_linear(x, linear),
        Rows::Decode => B::decode_linear(x, linear),
    }
}

/// What one adapter adds.
fn added<B: EngineBackend>(x: Tensor<B, 2>, delta: &Delta<B>, kind: Rows) -> Tensor<B, 2> {
    let (rows, device) = (x.dims()[0], x.device());
    let few = plain(x, &delta.down, kind);
    let mut at = 0;
    let parts = delta.up.iter().map(|up| match up {
        Up::Nothing(width) => Tensor::zeros([rows, *width], &device),
        Up::From { rank, scale, linear } => {
            let part = few.clone().slice([0..rows, at..at + rank]).mul_scalar(*scale);
            at += rank;
            plain(part, linear, kind)
        }
    });
    Tensor::cat(parts.collect(), 1)
}
