//! The ways in which weights are written, 32 at a time: plain numbers, and blocks of 32 with one scale. The blocks of 256 are in
//! [`super::blocks`].
//!
//! Apart because kernels compile each of them into themselves. It must not know rows. Values are computed in the order that GGML's
//! reference has, without fused steps, so that they are the same bit for bit.

pub(crate) use super::blocks::{Q4K, Q5K, Q6K};

/// Weights that are unpacked at a time.
pub(crate) const UNIT: usize = 32;
/// Bytes of the largest unit that a row may end within: plain numbers only.
pub(crate) const MOST_BYTES: usize = 128;

/// One way.
pub(crate) trait Codec {
    /// Bytes of a block.
    const BYTES: usize;
    /// Units in a block.
    const UNITS: usize;
    /// The weights of one unit of a block.
    fn unpack(block: &[u8], unit: usize, out: &mut [f32; UNIT]);
}

/// Runs code with `$codec` as the type of a [`super::Packing`].
macro_rules! with_codec {
    ($packing:expr, $codec:ident => $body:expr) => {
        match $packing {
            $crate::packing::Packing::F32 => $crate::packing::codecs::with_codec!(@ F32, $codec => $body),
            $crate::packing::Packing::F16 => $crate::packing::codecs::with_codec!(@ F16, $codec => $body),
            $crate::packing::Packing::Bf16 => $crate::packing::codecs::with_codec!(@ Bf16, $codec => $body),
            $crate::packing::Packing::Q4_0 => $crate::packing::codecs::with_codec!(@ Q4_0, $codec => $body),
            $crate::packing::Packing::Q4_1 => $crate::packing::codecs::with_codec!(@ Q4_1, $codec => $body),
            $crate::packing::Packing::Q5_0 => $crate::packing::codecs::with_codec!(@ Q5_0, $codec => $body),
            $crate::packing::Packing::Q5_1 => $crate::packing::codecs::with_codec!(@ Q5_1, $codec => $body),
            $crate::packing::Packing::Q8_0 => $crate::packing::codecs::with_codec!(@ Q8_0, $codec => $body),
            $crate::packing::Packing::Q4K => $crate::packing::codecs::with_codec!(@ Q4K, $codec => $body),
            $crate::packing::Packing::Q5K => $crate::packing::codecs::with_codec!(@ Q5K, $codec => $body),
            $crate::packing::Packing::Q6K => $crate::packing::codecs::with_codec!(@ Q6K, $codec => $body),
        }
    };
    (@ $kind:ident, $codec:ident => $body:expr) => {{
        use $crate::packing::codecs::$kind as $codec;
        $body
    }};
}
pub(crate) use with_codec;

/// A half precision number. Inlined and without a branch, so that many are converted at once.
#[inline(always)]
pub(crate) fn half(bytes: [u8; 2]) -> f32 {
    // By how much the exponents differ.
    const BIAS: i32 = 112 << 23;
    let bits = i32::from(u16::from_le_bytes(bytes));
    let magnitude = (bits & 0x7fff) << 13;
    // The greatest exponent, of what is infinite or no number, stays the greatest; the least one is that of fractions alone.
    let wide = magnitude + if magnitude >= 31 << 23 { 2 * BIAS } else { BIAS };
    let fraction = ((bits & 0x3ff) as f32 * f32::from_bits(0x3380_0000)).to_bits().cast_signed();
    let value = if magnitude < 1 << 23 { fraction } else { wide };
    f32::from_bits(value.cast_unsigned() | ((bits & 0x8000) << 16).cast_unsigned())
}

pub(crate) struct F32;
pub(crate) struct F16;
pub(crate) struct Bf16;
pub(crate) struct Q4_0;
pub(crate) struct Q4_1;
pub(crate) struct Q5_0;
pub(crate) struct Q5_1;
pub(crate) struct Q8_0;

impl Codec for F32 {
    const BYTES: usize = 4 * UNIT;
    const UNITS: usize = 1;

    #[inline(always)]
    fn unpack(block: &[u8], _: usize, out: &mut [f32; UNIT]) {
        for (out, b) in out.iter_mut().zip(block.chunks_exact(4)) {
            *out = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        }
    }
}

impl Codec for F16 {
    const BYTES: usize = 2 * UNIT;
    const UNITS: usize = 1;

    #[inline(always)]
    fn unpack(block: &[u8], _: usize, out: &mut [f32; UNIT]) {
        for (out, b) in out.iter_mut().zip(block.chunks_exact(2)) {
            *out = half([b[0], b[1]]);
        }
    }
}

impl Codec for Bf16 {
    const BYTES: usize = 2 * UNIT;
    const UNITS: usize = 1;

    #[inline(always)]
    fn unpack(block: &[u8], _: usize, out: &mut [f32; UNIT]) {
        for (out, b) in out.iter_mut().zip(block.chunks_exact(2)) {
            *out = f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16);
        }
    }
}

impl Codec for Q8_0 {
    const BYTES: usize = 34;
    const UNITS: usize = 1;

    #[inline(always)]
    fn unpack(block: &[u8], _: usize, out: &mut [f32; UNIT]) {
        let scale = half([block[0], block[1]]);
        for (out, q) in out.iter_mut().zip(&block[2..]) {
            *out = i32::from(q.cast_signed()) as f32 * scale;
        }
    }
}

impl Codec for Q4_0 {
    const BYTES: usize = 18;
    const UNITS: usize = 1;

    #[inline(always)]
    fn unpack(block: &[u8], _: usize, out: &mut [f32; UNIT]) {
        let scale = half([block[0], block[1]]);
        let (low, high) = out.split_at_mut(UNIT / 2);
        for (low, q) in low.iter_mut().zip(&block[2..]) {
            *low = (i32::from(q & 15) - 8) as f32 * scale;
        }
        for (high, q) in high.iter_mut().zip(&block[2..]) {
            *high = (i32::from(q >> 4) - 8) as f32 * scale;
        }
    }
}

impl Codec for Q4_1 {
    const BYTES: usize = 20;
    const UNITS: usize = 1;

    #[inline(always)]
    fn unpack(block: &[u8], _: usize, out: &mut [f32; UNIT]) {
        let (scale, least) = (half([block[0], block[1]]), half([block[2], block[3]]));
        let (low, high) = out.split_at_mut(UNIT / 2);
        for (low, q) in low.iter_mut().zip(&block[4..]) {
            *low = i32::from(q & 15) as f32 * scale + least;
        }
        for (high, q) in high.iter_mut().zip(&block[4..]) {
            *high = i32::from(q >> 4) as f32 * scale + least;
        }
    }
}

/// Numbers of 5 bits: the low four in `fours`, the fifth of each in `fifths`.
#[inline(always)]
fn fives(fifths: &[u8], fours: &[u8], out: &mut [f32; UNIT]) {
    let fifths = u32::from_le_bytes([fifths[0], fifths[1], fifths[2], fifths[3]]);
    let (low, high) = out.split_at_mut(UNIT / 2);
    for (i, ((low, high), q)) in low.iter_mut().zip(high).zip(&fours[..16]).enumerate() {
        *low = (u32::from(q & 15) | ((fifths >> i) & 1) << 4).cast_signed() as f32;
        *high = (u32::from(q >> 4) | ((fifths >> (i + 16)) & 1) << 4).cast_signed() as f32;
    }
}

impl Codec for Q5_0 {
    const BYTES: usize = 22;
    const UNITS: usize = 1;

    #[inline(always)]
    fn unpack(block: &[u8], _: usize, out: &mut [f32; UNIT]) {
        let scale = half([block[0], block[1]]);
        fives(&block[2..6], &block[6..22], out);
        for out in out {
            *out = (*out - 16.0) * scale;
        }
    }
}

impl Codec for Q5_1 {
    const BYTES: usize = 24;
    const UNITS: usize = 1;

    #[inline(always)]
    fn unpack(block: &[u8], _: usize, out: &mut [f32; UNIT]) {
        let (scale, least) = (half([block[0], block[1]]), half([block[2], block[3]]));
        fives(&block[4..8], &block[8..24], out);
        for out in out {
            *out = *out * scale + least;
        }
    }
}
