//! Products with packed weights: a strip of a row is unpacked into the nearest cache and multiplied there with each row of x; no weight is
//! converted as a whole.
//!
//! Apart because formats are compiled into it one by one. It must not know tensors. Activations stay f32, and each result is summed in an
//! order that depends on the width alone.

#[cfg(target_arch = "x86_64")]
mod fused;

use rayon::prelude::*;

use super::{BLOCK, Fuse, Fused, PARALLEL, Plain, fast, folded, transposed};
use crate::packing::codecs::{Codec, UNIT, with_codec};
use crate::packing::{Packed, Part, unpack_as};

/// Weights in a strip: a multiple of every block's.
const STRIP: usize = 1024;

/// Rows of one part that one thread takes at a time: `out` `[block, rows of x]`, the part's rows from `first` on.
struct Task<'a> {
    part: &'a Part,
    first: usize,
    x: &'a [f32],
    width: usize,
    out: &'a mut [f32],
}

dispatch!(run, run_as, (task: Task<'_>));

/// By the fastest way there is for it; each gives the same, bit for bit.
fn compute(task: Task<'_>) {
    let Task { part, first, x, width, out } = task;
    #[cfg(target_arch = "x86_64")]
    if fused::block(part.packing(), part.rows_from(first), fused::Rows { values: x, width }, out) {
        return;
    }
    run(Task { part, first, x, width, out });
}

#[inline(always)]
fn run_as<F: Fuse>(task: Task<'_>) {
    with_codec!(task.part.packing(), C => block_as::<F, C>(task));
}

#[inline(always)]
fn block_as<F: Fuse, C: Codec>(task: Task<'_>) {
    let rows = task.x.len() / task.width;
    let mut values = [0.0; STRIP];
    let mut sums = vec![[0.0; UNIT]; rows];
    for (out, weight) in task.out.chunks_exact_mut(rows).zip(task.part.rows_from(task.first)) {
        sums.fill([0.0; UNIT]);
        let mut at = 0;
        for strip in weight.chunks(STRIP / (C::UNITS * UNIT) * C::BYTES) {
            let end = task.width.min(at + STRIP);
            unpack_as::<C>(strip, &mut values[..end - at]);
            // What an earlier strip has left is not multiplied, not even with 0.
            values[end - at..(end - at).next_multiple_of(UNIT)].fill(0.0);
            for (sums, x) in sums.iter_mut().zip(task.x.chunks_exact(task.width)) {
                *sums = add::<F>(&values, &x[at..end], *sums);
            }
            at = end;
        }
        for (out, sums) in out.iter_mut().zip(&sums) {
            *out = folded(*sums);
        }
    }
}

/// The sums and the products of as many values as there are of `x`. The sums are only ever taken all at once: so they stay in registers.
#[inline(always)]
fn add<F: Fuse>(values: &[f32], x: &[f32], mut sums: [f32; UNIT]) -> [f32; UNIT] {
    let (x, rest) = x.as_chunks::<UNIT>();
    let (values, _) = values.as_chunks::<UNIT>();
    for (values, x) in values.iter().zip(x) {
        for (sum, (value, x)) in sums.iter_mut().zip(values.iter().zip(x)) {
            *sum = F::fuse(*value, *x, *sum);
        }
    }
    if let (false, Some(values)) = (rest.is_empty(), values.get(x.len())) {
        let mut padded = [0.0; UNIT];
        padded[..rest.len()].copy_from_slice(rest);
        for (sum, (value, x)) in sums.iter_mut().zip(values.iter().zip(&padded)) {
            *sum = F::fuse(*value, *x, *sum);
        }
    }
    sums
}

/// `x` `[rows, width]` times the matrix transposed, plus `bias` `[out]`: `[rows, out]`.
pub(in crate::ops::cpu) fn product(matrix: &Packed, x: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let (width, outs) = (matrix.width(), matrix.rows());
    let rows = x.len() / width;
    let mut columns = vec![0.0; rows * outs];
    let mut left = columns.as_mut_slice();
    let mut tasks = Vec::new();
    for part in matrix.parts() {
        for first in (0..part.rows()).step_by(BLOCK) {
            let (out, after) = left.split_at_mut(BLOCK.min(part.rows() - first) * rows);
            tasks.push(Task { part, first, x, width, out });
            left = after;
        }
    }
    if rows * outs * width < PARALLEL {
        tasks.into_iter().for_each(compute);
    } else {
        tasks.into_par_iter().for_each(compute);
    }
    for (column, bias) in columns.chunks_exact_mut(rows.max(1)).zip(bias.unwrap_or_default()) {
        column.iter_mut().for_each(|out| *out += bias);
    }
    transposed(columns, rows)
}

/// The numbers of rows `first..` of the matrix, as many as `out` has room for.
pub(in crate::ops::cpu) fn unpack(matrix: &Packed, first: usize, out: &mut [f32]) {
    let width = matrix.width();
    out.par_chunks_mut(BLOCK * width).enumerate().for_each(|(block, out)| {
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            matrix.row(first + block * BLOCK + row, out);
        }
    });
}
