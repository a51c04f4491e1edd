//! Packs plain numbers into blocks of 32 with one scale, as GGML's reference does it, bit for bit.
//!
//! Apart because only loading needs it. It must not know which tensors are worth it.

use half::f16;
use rayon::prelude::*;

use super::codecs::{Codec, Q4_0, Q8_0, UNIT};
use super::{Packing, Part, unpack};

/// A format that numbers can be packed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Q8,
    Q4,
}

impl Target {
    pub(crate) fn packing(self) -> Packing {
        match self {
            Self::Q8 => Packing::Q8_0,
            Self::Q4 => Packing::Q4_0,
        }
    }

    /// What rows of so many weights become: what is packed already, and rows that do not end with a block, stay as they are.
    pub(crate) fn of(self, now: Packing, width: usize) -> Packing {
        if now.is_plain() && width.is_multiple_of(UNIT) { self.packing() } else { now }
    }
}

/// The part's rows in the wanted format, if they can be.
pub(crate) fn quantize(part: Part, width: usize, target: Target) -> Part {
    if target.of(part.packing, width) == part.packing {
        return part;
    }
    let row_bytes = target.packing().row_bytes(width).unwrap_or(0);
    let mut bytes = vec![0; part.rows * row_bytes];
    bytes.par_chunks_exact_mut(row_bytes.max(1)).enumerate().for_each(|(row, out)| {
        let mut values = vec![0.0; width];
        part.rows_from(row).take(1).for_each(|row| unpack(part.packing, row, &mut values));
        match target {
            Target::Q8 => values.chunks_exact(UNIT).zip(out.chunks_exact_mut(Q8_0::BYTES)).for_each(|(block, out)| q8(block, out)),
            Target::Q4 => values.chunks_exact(UNIT).zip(out.chunks_exact_mut(Q4_0::BYTES)).for_each(|(block, out)| q4(block, out)),
        }
    });
    Part { packing: target.packing(), rows: part.rows, row_bytes, bytes }
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

fn q8(block: &[f32], out: &mut [u8]) {
    let most = block.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let scale = most / 127.0;
    let by = inverse(scale);
    out[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    for (out, x) in out[2..].iter_mut().zip(block) {
        *out = ((x * by).round() as i8).cast_unsigned();
    }
}

fn q4(block: &[f32], out: &mut [u8]) {
    // The first of those that are farthest from 0, with its sign: it becomes -8, the one number that has no opposite.
    let most = block.iter().fold(0.0f32, |most, x| if x.abs() > most.abs() { *x } else { most });
    let scale = most / -8.0;
    let by = inverse(scale);
    out[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    let q = |x: f32| (x * by + 8.5).clamp(0.0, 15.0) as u8;
    let (low, high) = block.split_at(UNIT / 2);
    for (out, (low, high)) in out[2..].iter_mut().zip(low.iter().zip(high)) {
        *out = q(*low) | (q(*high) << 4);
    }
}
