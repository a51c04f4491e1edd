//! The gated feed-forward part, SwiGLU (Shazeer, <https://arxiv.org/abs/2002.05202>).
//!
//! Apart because families share it. It must not know weights' names or which layer it is.

use burn::tensor::Tensor;

use super::{Batch, product};
use crate::ops::{EngineBackend, Linear};

/// One layer's weights.
#[derive(Debug)]
pub(crate) struct Mlp<B: EngineBackend> {
    /// Gate and up in one product.
    pub(crate) gate_up: Linear<B>,
    pub(crate) down: Linear<B>,
}

impl<B: EngineBackend> Mlp<B> {
    /// `x` `[rows, hidden]`, normalised, to `[rows, hidden]`.
    pub(crate) fn forward(&self, x: Tensor<B, 2>, rows: Batch<'_>) -> Tensor<B, 2> {
        product(B::swiglu(product(x, &self.gate_up, rows)), &self.down, rows)
    }
}
