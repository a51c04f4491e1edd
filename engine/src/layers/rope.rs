//! Rotary position embedding: the angles of a step's rows (Su et al., <https://arxiv.org/abs/2104.09864>).
//!
//! Apart because positions are all that it needs. The rounding is that of Hugging Face transformers: all in f32. It must not know
//! sequences or weights.

use crate::ops::{Heads, Rotation};

/// Frequencies of one model.
#[derive(Clone, Debug)]
pub(crate) struct Rope {
    heads: Heads,
    frequencies: Vec<f32>,
}

impl Rope {
    /// Frequencies `theta^(-2i / head_dim)`.
    pub(crate) fn new(heads: Heads, theta: f64) -> Self {
        let half = heads.head_dim / 2;
        let frequency = |i: usize| 1.0 / (theta as f32).powf((2 * i) as f32 / heads.head_dim as f32);
        Self { heads, frequencies: (0..half).map(frequency).collect() }
    }

    /// The rotation of rows at these positions.
    pub(crate) fn at(&self, positions: impl Iterator<Item = usize> + Clone) -> Rotation {
        let angles = positions.flat_map(|p| self.frequencies.iter().map(move |f| p as f32 * f));
        Rotation { heads: self.heads, cos: angles.clone().map(f32::cos).collect(), sin: angles.map(f32::sin).collect() }
    }
}
