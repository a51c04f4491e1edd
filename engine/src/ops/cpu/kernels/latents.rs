//! Attention of some rows to latent vectors: a head's query is lifted to their space, and what it mixes of them is brought back. A row's
//! result is the same whatever other rows are computed with it.
//!
//! Apart because only latent attention needs it. It must not know tensors, nor how many sequences there are.

use rayon::prelude::*;

use super::attention::Pages;
use super::{Fuse, Fused, PARALLEL, Plain, dot, exponentials, fast};

/// Queries, one behind the other, of each row all heads.
#[derive(Clone, Copy)]
pub(in super::super) struct Part<'a> {
    pub(in super::super) values: &'a [f32],
    pub(in super::super) width: usize,
}

impl<'a> Part<'a> {
    fn at(self, index: usize) -> &'a [f32] {
        &self.values[index * self.width..(index + 1) * self.width]
    }
}

/// Queries of the last `rows` of `len` positions; the positions' keys, as wide as `rotated`, and latent vectors; and what leads from heads
/// to them and back, `[heads, queries.width, latents.width]` and `[heads, value, latents.width]`.
pub(in super::super) struct Latents<'a> {
    pub(in super::super) queries: Part<'a>,
    pub(in super::super) rotated: Part<'a>,
    pub(in super::super) lift: [&'a [f32]; 2],
    pub(in super::super) keys: Pages<'a>,
    pub(in super::super) latents: Pages<'a>,
    pub(in super::super) rows: usize,
    pub(in super::super) len: usize,
    pub(in super::super) scale: f32,
}

impl Latents<'_> {
    fn heads(&self) -> usize {
        self.queries.values.len() / self.queries.width / self.rows
    }
}

dispatch!(head, head_as, (a: &Latents<'_>, index: usize, out: &mut [f32]));

/// `out += weight * row`.
#[inline(always)]
fn add<F: Fuse>(out: &mut [f32], weight: f32, row: &[f32]) {
    for (out, x) in out.iter_mut().zip(row) {
        *out = F::fuse(weight, *x, *out);
    }
}

/// One head of all rows, `out` `[rows, value]`: what leads to the vectors and back is brought near once for all.
#[inline(always)]
fn head_as<F: Fuse>(a: &Latents<'_>, index: usize, out: &mut [f32]) {
    let (rank, value) = (a.latents.width, out.len() / a.rows);
    let [up, down] = a.lift;
    let (up, down) = (&up[index * a.queries.width * rank..], &down[index * value * rank..]);
    for (row, out) in out.chunks_exact_mut(value).enumerate() {
        let (query, seen) = (row * a.heads() + index, a.len - a.rows + row + 1);
        let mut lifted = vec![0.0; rank];
        for (q, row) in a.queries.at(query).iter().zip(up.chunks_exact(rank)) {
            add::<F>(&mut lifted, *q, row);
        }
        let rotated = a.rotated.at(query);
        let mut weights = Vec::with_capacity(seen);
        for ((_, latents), (_, keys)) in a.latents.of(0, seen).zip(a.keys.of(0, seen)) {
            let positions = latents.chunks_exact(rank).zip(keys.chunks_exact(rotated.len()));
            weights.extend(positions.map(|(latent, key)| (dot::<F>(&lifted, latent) + dot::<F>(rotated, key)) * a.scale));
        }
        let sum = exponentials(&mut weights);
        let mut mixed = vec![0.0; rank];
        let vectors = a.latents.of(0, seen).flat_map(|(_, latents)| latents.chunks_exact(rank));
        for (weight, latent) in weights.iter().zip(vectors) {
            add::<F>(&mut mixed, *weight, latent);
        }
        for (out, row) in out.iter_mut().zip(down.chunks_exact(rank)) {
            *out = dot::<F>(&mixed, row) / sum;
        }
    }
}

/// `[rows, heads * value]`.
pub(in super::super) fn attend(a: &Latents<'_>, value: usize) -> Vec<f32> {
    let heads = a.heads();
    let mut out = vec![0.0; heads * a.rows * value];
    if (a.lift[0].len() + a.lift[1].len() + heads * 2 * a.len * a.latents.width) * a.rows < PARALLEL {
        for (index, out) in out.chunks_exact_mut(a.rows * value).enumerate() {
            head(a, index, out);
        }
    } else {
        out.par_chunks_exact_mut(a.rows * value).enumerate().for_each(|(index, out)| head(a, index, out));
    }
    if a.rows == 1 {
        return out;
    }
    let of = |row: usize, head: usize| &out[(head * a.rows + row) * value..][..value];
    (0..a.rows).flat_map(|row| (0..heads).flat_map(move |head| of(row, head))).copied().collect()
}
