//! What an adapter adds to a product: a product to a few columns, and products from them (LoRA, Hu et al.,
//! <https://arxiv.org/abs/2106.09685>).
//!
//! Apart because a product with a weight has any number of these beside it. It must not know whose rows are multiplied, nor files.

use burn::tensor::backend::Backend;

use super::Linear;

/// Of one adapter and one product.
#[derive(Debug)]
pub(crate) struct Delta<B: Backend> {
    /// To the few columns of all parts, one behind the other.
    pub(crate) down: Linear<B>,
    /// From them to the product's columns, part by part.
    pub(crate) up: Vec<Up<B>>,
}

/// Of one part of a product.
#[derive(Debug)]
pub(crate) enum Up<B: Backend> {
    /// So many columns that the adapter leaves alone.
    Nothing(usize),
    /// From as many columns as this is wide, the next ones, multiplied by `scale` before.
    From { rank: usize, scale: f32, linear: Linear<B> },
}
