//! Weights as files keep them: plain numbers of two or four bytes, and blocks of small whole numbers with scales of their own (the block
//! formats of GGML, <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).
//!
//! Apart because files are read into these and kernels compute with them. It must not know files, tensors' names or backends.

mod blocks;
pub(crate) mod codecs;
pub(crate) mod quantize;

use std::fmt;

use codecs::{Codec, UNIT, with_codec};

/// How a row of weights is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Packing {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4K,
    Q5K,
    Q6K,
}

/// All of them.
pub(crate) const ALL: [Packing; 11] = [
    Packing::F32,
    Packing::F16,
    Packing::Bf16,
    Packing::Q4_0,
    Packing::Q4_1,
    Packing::Q5_0,
    Packing::Q5_1,
    Packing::Q8_0,
    Packing::Q4K,
    Packing::Q5K,
    Packing::Q6K,
];

impl Packing {
    /// As GGML names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q8_0 => "Q8_0",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
        }
    }

    /// Whether each weight is a number of its own.
    pub(crate) fn is_plain(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::Bf16)
    }

    /// Weights that are written together, and in how many bytes.
    fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            _ => with_codec!(self, C => (C::UNITS * UNIT, C::BYTES)),
        }
    }

    /// Bytes of a row of so many weights; `None` if it does not end with a block, or is longer than memory.
    pub(crate) fn row_bytes(self, width: usize) -> Option<usize> {
        let (weights, bytes) = self.block();
        if width.is_multiple_of(weights) { (width / weights).checked_mul(bytes) } else { None }
    }
}

/// Rows of weights that are written in one way.
pub(crate) struct Part {
    packing: Packing,
    rows: usize,
    row_bytes: usize,
    bytes: Vec<u8>,
}

impl Part {
    /// Rows one after the other; `None` if there are not as many bytes as such rows take.
    pub(crate) fn new(packing: Packing, [rows, width]: [usize; 2], bytes: Vec<u8>) -> Option<Self> {
        let row_bytes = packing.row_bytes(width)?;
        (rows.checked_mul(row_bytes)? == bytes.len()).then_some(Self { packing, rows, row_bytes, bytes })
    }

    /// Plain numbers.
    pub(crate) fn of_values(values: &[f32], width: usize) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { packing: Packing::F32, rows: values.len().checked_div(width).unwrap_or(0), row_bytes: width * 4, bytes }
    }

    pub(crate) fn packing(&self) -> Packing {
        self.packing
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// How many bytes it takes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// These of its rows, in this order.
    pub(crate) fn reordered(&self, order: &[usize]) -> Self {
        let row = |index: &usize| self.bytes.get(index * self.row_bytes..).and_then(|rest| rest.get(..self.row_bytes));
        let bytes: Vec<u8> = order.iter().filter_map(row).flatten().copied().collect();
        Self { rows: order.len(), bytes, ..*self }
    }

    /// The bytes of rows from this one on.
    pub(crate) fn rows_from(&self, first: usize) -> std::slice::ChunksExact<'_, u8> {
        self.bytes.get(first * self.row_bytes..).unwrap_or_default().chunks_exact(self.row_bytes.max(1))
    }

    /// Its weights in row-major order, as numbers.
    pub(crate) fn values(&self, width: usize) -> Vec<f32> {
        let mut values = vec![0.0; self.rows * width];
        for (row, out) in self.rows_from(0).zip(values.chunks_exact_mut(width.max(1))) {
            unpack(self.packing, row, out);
        }
        values
    }
}

/// A matrix `[out, in]` of parts, one below the other: products that are made together may be written differently.
pub(crate) struct Packed {
    width: usize,
    parts: Vec<Part>,
}

impl Packed {
    /// All parts are as wide.
    pub(crate) fn new(width: usize, parts: Vec<Part>) -> Self {
        Self { width, parts }
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(crate) fn rows(&self) -> usize {
        self.parts.iter().map(Part::rows).sum()
    }

    /// One row as numbers; `out` is as wide. Nothing happens past the end.
    pub(crate) fn row(&self, mut index: usize, out: &mut [f32]) {
        for part in &self.parts {
            if index < part.rows {
                return part.rows_from(index).take(1).for_each(|row| unpack(part.packing, row, out));
            }
            index -= part.rows;
        }
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = self.parts.iter().map(|part| (part.packing, part.rows)).collect();
        f.debug_struct("Packed").field("width", &self.width).field("parts", &kinds).finish()
    }
}

/// A row's weights as numbers, rounded as its format defines it and never otherwise.
pub(crate) fn unpack(packing: Packing, row: &[u8], out: &mut [f32]) {
    with_codec!(packing, C => unpack_as::<C>(row, out));
}

/// The same for one format. Into memory, where many are written at once, and not into registers one by one.
#[inline(always)]
pub(crate) fn unpack_as<C: Codec>(row: &[u8], out: &mut [f32]) {
    // Hidden from the compiler: loops whose length it knows it unrolls, and of what is unrolled it makes no vectors.
    let mut blocks = row.chunks_exact(std::hint::black_box(C::BYTES));
    let mut outs = out.chunks_exact_mut(C::UNITS * UNIT);
    for (block, out) in blocks.by_ref().zip(outs.by_ref()) {
        for (unit, out) in out.as_chunks_mut::<UNIT>().0.iter_mut().enumerate() {
            C::unpack(block, unit, out);
        }
    }
    // Of plain numbers, which may end anywhere: with zeros behind them.
    let (rest, out) = (blocks.remainder(), outs.into_remainder());
    let (mut values, mut padded) = ([0.0; UNIT], [0; codecs::MOST_BYTES]);
    if let (false, Some(padded)) = (rest.is_empty(), padded.get_mut(..C::BYTES)) {
        padded[..rest.len()].copy_from_slice(rest);
        C::unpack(padded, 0, &mut values);
        out.copy_from_slice(&values[..out.len()]);
    }
}

#[cfg(test)]
pub(crate) mod tests;
