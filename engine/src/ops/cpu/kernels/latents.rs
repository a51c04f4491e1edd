//! Attention of one row to latent vectors: a head's query is lifted to their space, and what it mixes of them is brought back.
//!
//! Apart because only latent attention needs it. It must not know tensors, nor how many sequences there are.

use rayon::prelude::*;

use super::{Fuse, Fused, PARALLEL, Plain, dot, exponentials, fast};

/// Rows of one width, one behind the other.
#[derive(Clone, Copy)]
pub(in super::super) struct Part<'a> {
    pub(in super::super) values: &'a [f32],
    pub(in super::super) width: usize,
}

impl<'a> Part<'a> {
    fn row(self, index: usize) -> &'a [f32] {
        &self.values[index * self.width..(index + 1) * self.width]
    }
}

/// One row's queries, a row a head; the filled positions' keys, as wide as `rotated`, and latent vectors, as wide as they are; and what
/// leads from heads to them and back, `[heads, queries.width, latents.width]` and `[heads, value, latents.width]`.
pub(in super::super) struct Latents<'a> {
    pub(in super::super) queries: Part<'a>,
    pub(in super::super) rotated: Part<'a>,
    pub(in super::super) lift: [&'a [f32]; 2],
    pub(in super::super) keys: &'a [f32],
    pub(in super::super) latents: Part<'a>,
    pub(in super::super) scale: f32,
}

dispatch!(head, head_as, (a: &Latents<'_>, index: usize, out: &mut [f32]));

/// `out += weight * row`.
#[inline(always)]
fn add<F: Fuse>(out: &mut [f32], weight: f32, row: &[f32]) {
    for (out, x) in out.iter_mut().zip(row) {
        *out = F::fuse(weight, *x, *out);
    }
}

#[inline(always)]
fn head_as<F: Fuse>(a: &Latents<'_>, index: usize, out: &mut [f32]) {
    let rank = a.latents.width;
    let [up, down] = a.lift;
    let (up, down) = (&up[index * a.queries.width * rank..], &down[index * out.len() * rank..]);
    let mut lifted = vec![0.0; rank];
    for (q, row) in a.queries.row(index).iter().zip(up.chunks_exact(rank)) {
        add::<F>(&mut lifted, *q, row);
    }
    let rotated = a.rotated.row(index);
    let vectors = || a.latents.values.chunks_exact(rank);
    let positions = vectors().zip(a.keys.chunks_exact(rotated.len()));
    let score = |(latent, key): (&[f32], &[f32])| (dot::<F>(&lifted, latent) + dot::<F>(rotated, key)) * a.scale;
    let mut weights: Vec<f32> = positions.map(score).collect();
    let sum = exponentials(&mut weights);
    let mut mixed = vec![0.0; rank];
    for (weight, latent) in weights.iter().zip(vectors()) {
        add::<F>(&mut mixed, *weight, latent);
    }
    for (out, row) in out.iter_mut().zip(down.chunks_exact(rank)) {
        *out = dot::<F>(&mixed, row) / sum;
    }
}

/// `[heads, value]`.
pub(in super::super) fn attend(a: &Latents<'_>, value: usize) -> Vec<f32> {
    let heads = a.queries.values.len() / a.queries.width;
    let mut out = vec![0.0; heads * value];
    if a.lift[0].len() + a.lift[1].len() + heads * 2 * a.latents.values.len() < PARALLEL {
        for (index, out) in out.chunks_exact_mut(value).enumerate() {
            head(a, index, out);
        }
    } else {
        out.par_chunks_exact_mut(value).enumerate().for_each(|(index, out)| head(a, index, out));
    }
    out
}
