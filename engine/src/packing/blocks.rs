//! Blocks of 256 weights in which each 16 or 32 have a scale, and scales have a scale: GGML's "K" formats.
//!
//! Apart because of their layouts. It must not know rows.

use super::codecs::{Codec, UNIT, half};

pub(crate) struct Q4K;
pub(crate) struct Q5K;
pub(crate) struct Q6K;

/// Scale and least value of one unit, which are 6 bits each in 12 bytes.
#[inline(always)]
fn scale_and_least(scales: &[u8], unit: usize) -> (f32, f32) {
    let (scale, least) = match unit {
        0..4 => (scales[unit] & 63, scales[unit + 4] & 63),
        _ => {
            let (low, high) = (scales[unit + 4], |at: usize| (scales[at] >> 6) << 4);
            ((low & 15) | high(unit - 4), (low >> 4) | high(unit))
        }
    };
    (f32::from(scale), f32::from(least))
}

impl Codec for Q4K {
    const BYTES: usize = 144;
    const UNITS: usize = 8;

    #[inline(always)]
    fn unpack(block: &[u8], unit: usize, out: &mut [f32; UNIT]) {
        let (scale, least) = scale_and_least(&block[4..16], unit);
        let (scale, least) = (half([block[0], block[1]]) * scale, half([block[2], block[3]]) * least);
        let shift = 4 * (unit % 2);
        for (out, q) in out.iter_mut().zip(&block[16 + UNIT * (unit / 2)..][..UNIT]) {
            *out = i32::from((q >> shift) & 15) as f32 * scale - least;
        }
    }
}

impl Codec for Q5K {
    const BYTES: usize = 176;
    const UNITS: usize = 8;

    #[inline(always)]
    fn unpack(block: &[u8], unit: usize, out: &mut [f32; UNIT]) {
        let (scale, least) = scale_and_least(&block[4..16], unit);
        let (scale, least) = (half([block[0], block[1]]) * scale, half([block[2], block[3]]) * least);
        let shift = 4 * (unit % 2);
        let low = &block[48 + UNIT * (unit / 2)..][..UNIT];
        for ((out, low), fifth) in out.iter_mut().zip(low).zip(&block[16..48]) {
            *out = i32::from(((low >> shift) & 15) | (((fifth >> unit) & 1) << 4)) as f32 * scale - least;
        }
    }
}

impl Codec for Q6K {
    const BYTES: usize = 210;
    const UNITS: usize = 8;

    #[inline(always)]
    fn unpack(block: &[u8], unit: usize, out: &mut [f32; UNIT]) {
        let scale = half([block[208], block[209]]);
        let (half, quarter) = (unit / 4, unit % 4);
        let low = &block[64 * half + UNIT * (quarter % 2)..][..UNIT];
        let high = &block[128 + UNIT * half..][..UNIT];
        let scales = [block[192 + 2 * unit], block[193 + 2 * unit]].map(|s| scale * f32::from(s.cast_signed()));
        let (shift, place) = (4 * (quarter / 2), 2 * quarter);
        for (i, ((out, low), high)) in out.iter_mut().zip(low).zip(high).enumerate() {
            let q = ((low >> shift) & 15) | (((high >> place) & 3) << 4);
            *out = (i32::from(q) - 32) as f32;
            *out *= scales[usize::from(i >= 16)];
        }
    }
}
