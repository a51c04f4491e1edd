//! Attention of some rows of one sequence to what lies in its pages. A row's result is the same bit for bit whatever other rows are
//! computed with it: a score is a sum in the order of a head's width, and what is mixed is added up in the order of positions.
//!
//! Apart because it walks pages. It must not know tensors, nor how many sequences there are.

use std::ops::Range;

use rayon::prelude::*;

use super::{Fuse, Fused, PARALLEL, Plain, dot, exponentials, fast};

/// Rows of one block: a page of keys is brought near once for all queries of a block.
const ROWS: usize = 4;

/// A sequence's keys, or its values, page by page: `[kv_heads, positions, width]` each.
pub(in super::super) struct Pages<'a> {
    pub(in super::super) pages: Vec<&'a [f32]>,
    /// Of one page.
    pub(in super::super) positions: usize,
    pub(in super::super) width: usize,
}

impl<'a> Pages<'a> {
    /// The first position of each page, and what one head has there of those before `len`.
    pub(super) fn of(&self, head: usize, len: usize) -> impl Iterator<Item = (usize, &'a [f32])> + '_ {
        let page = self.positions * self.width;
        self.pages.iter().zip((0..len).step_by(self.positions)).map(move |(values, first)| {
            let count = self.positions.min(len - first);
            (first, &values[head * page..][..count * self.width])
        })
    }
}

/// Queries `[rows, heads * width]` of the last `rows` of `len` positions.
pub(in super::super) struct Attend<'a> {
    pub(in super::super) q: &'a [f32],
    pub(in super::super) rows: usize,
    pub(in super::super) kv_heads: usize,
    pub(in super::super) keys: Pages<'a>,
    pub(in super::super) values: Pages<'a>,
    pub(in super::super) len: usize,
}

/// What one thread computes at a time: heads that share keys, of some rows.
struct Block {
    rows: Range<usize>,
    heads: Range<usize>,
    kv: usize,
}

impl Block {
    fn queries(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.rows.clone().flat_map(|row| self.heads.clone().map(move |head| (row, head)))
    }
}

impl Attend<'_> {
    fn heads(&self) -> usize {
        self.q.len() / self.rows / self.keys.width
    }

    /// Positions that a row sees.
    fn seen(&self, row: usize) -> usize {
        self.len - self.rows + row + 1
    }

    /// One row's heads are apart, so that there is work for all threads; of several rows those that share keys are together.
    fn blocks(&self) -> Vec<Block> {
        let heads = self.heads();
        let group = heads / self.kv_heads;
        let together = if self.rows == 1 { 1 } else { group };
        let starts = (0..self.rows).step_by(ROWS).flat_map(|row| (0..heads).step_by(together).map(move |head| (row, head)));
        let block = |(row, head): (usize, usize)| Block {
            rows: row..(row + ROWS).min(self.rows),
            heads: head..head + together,
            kv: head / group,
        };
        starts.map(block).collect()
    }
}

dispatch!(block, block_as, (a: &Attend<'_>, b: &Block, out: &mut [f32]));

/// `out` `[queries, width]` of one block.
#[inline(always)]
fn block_as<F: Fuse>(a: &Attend<'_>, b: &Block, out: &mut [f32]) {
    let (width, row_width) = (a.keys.width, a.q.len() / a.rows);
    let most = a.seen(b.rows.end - 1);
    let scale = 1.0 / (width as f32).sqrt();
    let mut weights = vec![0.0; b.queries().count() * most];
    for (first, keys) in a.keys.of(b.kv, most) {
        for (weights, (row, head)) in weights.chunks_exact_mut(most).zip(b.queries()) {
            let q = &a.q[row * row_width + head * width..][..width];
            let seen = a.seen(row).saturating_sub(first);
            for (weight, key) in weights[first..].iter_mut().zip(keys.chunks_exact(width)).take(seen) {
                *weight = dot::<F>(q, key) * scale;
            }
        }
    }
    let sums: Vec<f32> = weights
        .chunks_exact_mut(most)
        .zip(b.queries())
        .map(|(weights, (row, _))| exponentials(&mut weights[..a.seen(row)]))
        .collect();
    let width = a.values.width;
    out.fill(0.0);
    for (first, values) in a.values.of(b.kv, most) {
        for ((out, weights), (row, _)) in out.chunks_exact_mut(width).zip(weights.chunks_exact(most)).zip(b.queries()) {
            let seen = a.seen(row).saturating_sub(first);
            for (weight, value) in weights[first..].iter().zip(values.chunks_exact(width)).take(seen) {
                for (out, value) in out.iter_mut().zip(value) {
                    *out = F::fuse(*weight, *value, *out);
                }
            }
        }
    }
    for (out, sum) in out.chunks_exact_mut(width).zip(sums) {
        out.iter_mut().for_each(|out| *out /= sum);
    }
}

/// `[rows, heads * width]`.
pub(in super::super) fn attend(a: &Attend<'_>) -> Vec<f32> {
    let (width, blocks) = (a.values.width, a.blocks());
    let mut out = vec![0.0; a.rows * a.heads() * width];
    let (mut rest, mut work) = (out.as_mut_slice(), Vec::with_capacity(blocks.len()));
    for b in &blocks {
        let (mine, others) = rest.split_at_mut(b.rows.len() * b.heads.len() * width);
        work.push((b, mine));
        rest = others;
    }
    if a.q.len() * a.len * 2 < PARALLEL {
        work.into_iter().for_each(|(b, out)| block(a, b, out));
    } else {
        work.into_par_iter().for_each(|(b, out)| block(a, b, out));
    }
    if a.rows == 1 {
        return out;
    }
    let mut sorted = vec![0.0; out.len()];
    let queries = blocks.iter().flat_map(Block::queries);
    for ((row, head), mixed) in queries.zip(out.chunks_exact(width)) {
        sorted[(row * a.heads() + head) * width..][..width].copy_from_slice(mixed);
    }
    sorted
}
