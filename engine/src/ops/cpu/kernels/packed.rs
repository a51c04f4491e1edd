//! Products with packed weights: each unit of 32 is unpacked in registers and multiplied at once; no weight is converted as a whole.
//!
//! Apart because formats are compiled into it one by one. It must not know tensors. Activations stay f32, and each result is summed in an
//! order that depends on the width alone.

use rayon::prelude::*;

use super::{BLOCK, Fuse, Fused, PARALLEL, Plain, fast, folded, transposed};
use crate::packing::codecs::{Codec, MOST_BYTES, UNIT, whole, with_codec};
use crate::packing::{Packed, Part};

/// Rows of one part that one thread takes at a time: `out` `[block, rows of x]`, the part's rows from `first` on.
struct Task<'a> {
    part: &'a Part,
    first: usize,
    x: &'a [f32],
    width: usize,
    out: &'a mut [f32],
}

dispatch!(run, run_as, (task: Task<'_>));

#[inline(always)]
fn run_as<F: Fuse>(task: Task<'_>) {
    with_codec!(task.part.packing(), C => block_as::<F, C>(task));
}

#[inline(always)]
fn block_as<F: Fuse, C: Codec>(task: Task<'_>) {
    let rows = task.x.len() / task.width;
    for (out, weight) in task.out.chunks_exact_mut(rows).zip(task.part.from_row(task.first)) {
        // Two rows of x share the work of unpacking; more would not fit the registers.
        let mut pairs = out.chunks_exact_mut(2);
        let mut xs = task.x.chunks_exact(2 * task.width);
        for (out, x) in pairs.by_ref().zip(xs.by_ref()) {
            let (first, second) = x.split_at(task.width);
            out.copy_from_slice(&row_as::<F, C, 2>(weight, [first, second]));
        }
        if let [out] = pairs.into_remainder() {
            [*out] = row_as::<F, C, 1>(weight, [xs.remainder()]);
        }
    }
}

#[inline(always)]
fn row_as<F: Fuse, C: Codec, const N: usize>(weight: &[u8], x: [&[f32]; N]) -> [f32; N] {
    let mut sums = [[0.0f32; UNIT]; N];
    let blocks = weight.chunks_exact(C::BYTES);
    let rest = blocks.remainder();
    let mut at = 0;
    for block in blocks {
        for unit in 0..C::UNITS {
            let mut values = [0.0; UNIT];
            C::unpack(block, unit, &mut values);
            for (sums, x) in sums.iter_mut().zip(&x) {
                add::<F>(&values, &x[at..at + UNIT], sums);
            }
            at += UNIT;
        }
    }
    if !rest.is_empty() {
        let (mut values, mut padded) = ([0.0; UNIT], [0; MOST_BYTES]);
        C::unpack(whole::<C>(rest, &mut padded), 0, &mut values);
        for (sums, x) in sums.iter_mut().zip(&x) {
            add::<F>(&values, &x[at..], sums);
        }
    }
    sums.map(folded)
}

#[inline(always)]
fn add<F: Fuse>(values: &[f32; UNIT], x: &[f32], sums: &mut [f32; UNIT]) {
    for ((sum, value), x) in sums.iter_mut().zip(values).zip(x) {
        *sum = F::fuse(*value, *x, *sum);
    }
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
        tasks.into_iter().for_each(run);
    } else {
        tasks.into_par_iter().for_each(run);
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
