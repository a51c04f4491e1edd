//! The operations of a decoder layer: Burn's `Backend` and what this engine computes with kernels of its own.
//!
//! Apart so that layers are written once for all backends. Each operation has a portable default made of Burn's operations; a backend
//! may override it, and a test holds every override to the default. It must not know models or sequences.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod delta;
mod matrix;
mod paged;
pub(crate) mod portable;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

pub(crate) use delta::{Delta, Up};
pub(crate) use matrix::{Keep, Matrix};
pub(crate) use paged::{Paged, Run, SLAB, Slab, place, runs};

/// A matrix product with a weight that stays.
#[derive(Debug)]
pub(crate) struct Linear<B: Backend> {
    /// `[out, in]`, row-major, as checkpoints have it.
    pub(crate) weight: Matrix<B>,
    /// `[1, out]`.
    pub(crate) bias: Option<Tensor<B, 2>>,
    /// What each adapter adds to it, if anything; backends compute without, layers add them ([`crate::layers::lora`]).
    pub(crate) deltas: Vec<Option<Delta<B>>>,
}

/// How an attention layer's width is cut: `heads` queries, then `kv_heads` keys, then as many values, each `head_dim` wide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
}

impl Heads {
    /// Width of queries, keys and values together.
    pub(crate) fn width(self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }
}

/// Cosines and sines of the rotary embedding for the rows of one step: `[rows, head_dim / 2]`, row-major.
#[derive(Debug)]
pub(crate) struct Rotation {
    pub(crate) heads: Heads,
    pub(crate) cos: Vec<f32>,
    pub(crate) sin: Vec<f32>,
}

/// How heads reach latent vectors: what would make keys and values of the vectors is applied to queries and results instead.
#[derive(Debug)]
pub(crate) struct Lift<B: Backend> {
    /// Latent vectors to the part of keys that is not rotated, `[heads, plain, rank]`.
    pub(crate) keys: Tensor<B, 3>,
    /// Latent vectors to values, `[heads, value, rank]`.
    pub(crate) values: Tensor<B, 3>,
    /// What scores are multiplied by.
    pub(crate) scale: f64,
}

/// A Burn backend that the engine runs on. Row `i` of a result depends on row `i` of the input alone, bit for bit, whatever the other rows
/// are and however many (of attention: on the positions that it sees); so neither what is computed together changes what is computed, nor
/// where a prompt is cut. The portable operations promise that as far as Burn's do, and those of GPUs do not.
pub(crate) trait EngineBackend: Backend {
    /// What its kernels take weights as.
    const KEEPS: Keep = Keep::Values;

    /// `x / sqrt(mean(x^2) + epsilon) * weight` for each row; `x` `[rows, width]`, `weight` `[1, width]`.
    fn rms_norm(x: Tensor<Self, 2>, weight: &Tensor<Self, 2>, epsilon: f64) -> Tensor<Self, 2> {
        portable::rms_norm(x, weight, epsilon)
    }

    /// `x` `[rows, in]` to `[rows, out]`, many rows of one sequence.
    fn prefill_linear(x: Tensor<Self, 2>, linear: &Linear<Self>) -> Tensor<Self, 2> {
        portable::linear(x, linear)
    }

    /// The same for one row each of several sequences.
    fn decode_linear(x: Tensor<Self, 2>, linear: &Linear<Self>) -> Tensor<Self, 2> {
        portable::linear(x, linear)
    }

    /// Rotates the queries and keys of `qkv` `[rows, Heads::width]` by position.
    fn rotate(qkv: Tensor<Self, 2>, rotation: &Rotation) -> Tensor<Self, 2> {
        portable::rotate(qkv, rotation)
    }

    /// Writes runs of `rows` `[rows, kv_heads, width]` into the pages of a slab, `[pages, kv_heads, PAGE, width]`.
    fn write(slab: Tensor<Self, 4>, rows: &Tensor<Self, 3>, runs: &[Run]) -> Tensor<Self, 4> {
        portable::write(slab, rows, runs)
    }

    /// Attention of one sequence's queries `[rows, heads * head_dim]` to its filled positions, the last of which is that of the last
    /// row. Gives `[rows, heads * head_dim]`.
    fn attend(q: Tensor<Self, 2>, kv: &Paged<'_, Self>) -> Tensor<Self, 2> {
        portable::attend(q, kv)
    }

    /// Attention of one sequence's queries to the latent vectors of its filled positions, the last of which is that of the last row.
    /// `queries` are the parts that are not rotated and those that are, `[rows, heads * width]` each. Gives `[rows, heads * value]`.
    fn attend_latents(queries: [Tensor<Self, 2>; 2], lift: &Lift<Self>, kv: &Paged<'_, Self>) -> Tensor<Self, 2> {
        portable::attend_latents(queries, lift, kv)
    }

    /// `silu(gate) * up` of `gate_up` `[rows, 2 * width]`.
    fn swiglu(gate_up: Tensor<Self, 2>) -> Tensor<Self, 2> {
        portable::swiglu(gate_up)
    }
}
