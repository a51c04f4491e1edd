//! Products of few rows with weights in Q8_0 and in bf16, on CPUs with AVX2 and FMA: weights go from memory into sums in registers.
//!
//! Apart because the compiler, left to itself, makes vectors of such loops in one build and none in the next. It must not know matrices. It
//! gives bit for bit what [`super`] gives: the same operations in the same order.

use std::arch::x86_64::*;
use std::slice::ChunksExact;

use super::fast;
use crate::packing::Packing;
use crate::packing::codecs::{UNIT, half};

/// Rows of x up to which unpacking a weight for each of them costs less than keeping it.
const FEW: usize = 4;

/// The rows of x, one behind the other.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) values: &'a [f32],
    pub(super) width: usize,
}

/// `out` `[weights, rows of x]`, if it can be made so.
pub(super) fn block(packing: Packing, weights: ChunksExact<'_, u8>, x: Rows<'_>, out: &mut [f32]) -> bool {
    let known = matches!(packing, Packing::Q8_0 | Packing::Bf16);
    if !known || x.values.len() > FEW * x.width || !x.width.is_multiple_of(UNIT) || !fast() {
        return false;
    }
    #[allow(unsafe_code, reason = "code for CPU features that are looked for at run time")]
    // SAFETY: `fast` saw that this CPU has AVX2 and FMA.
    unsafe {
        with_avx2(packing, weights, x, out);
    }
    true
}

#[target_feature(enable = "avx2,fma")]
fn with_avx2(packing: Packing, weights: ChunksExact<'_, u8>, x: Rows<'_>, out: &mut [f32]) {
    let rows = x.values.len() / x.width;
    for (out, weight) in out.chunks_exact_mut(rows).zip(weights) {
        for (out, x) in out.iter_mut().zip(x.values.chunks_exact(x.width)) {
            *out = if packing == Packing::Q8_0 { q8_0(weight, x) } else { bf16(weight, x) };
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn q8_0(weight: &[u8], x: &[f32]) -> f32 {
    let mut sums = [_mm256_setzero_ps(); 4];
    for (block, x) in weight.as_chunks::<34>().0.iter().zip(x.as_chunks::<UNIT>().0) {
        let scale = _mm256_set1_ps(half([block[0], block[1]]));
        let parts = block[2..].as_chunks::<8>().0.iter().zip(x.as_chunks::<8>().0);
        for (sum, (q, x)) in sums.iter_mut().zip(parts) {
            let q = _mm256_cvtepi8_epi32(_mm_cvtsi64_si128(i64::from_le_bytes(*q)));
            *sum = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(q), scale), eight(x), *sum);
        }
    }
    folded(sums)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn bf16(weight: &[u8], x: &[f32]) -> f32 {
    let mut sums = [_mm256_setzero_ps(); 4];
    for (block, x) in weight.as_chunks::<64>().0.iter().zip(x.as_chunks::<UNIT>().0) {
        let parts = block.as_chunks::<8>().0.as_chunks::<2>().0.iter().zip(x.as_chunks::<8>().0);
        for (sum, ([low, high], x)) in sums.iter_mut().zip(parts) {
            let halves = _mm_set_epi64x(i64::from_le_bytes(*high), i64::from_le_bytes(*low));
            let values = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(halves)));
            *sum = _mm256_fmadd_ps(values, eight(x), *sum);
        }
    }
    folded(sums)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn eight(x: &[f32; 8]) -> __m256 {
    _mm256_setr_ps(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7])
}

/// The sum of 32, in the order of [`super::folded`].
#[inline]
#[target_feature(enable = "avx2,fma")]
fn folded(sums: [__m256; 4]) -> f32 {
    let eight = _mm256_add_ps(_mm256_add_ps(sums[0], sums[2]), _mm256_add_ps(sums[1], sums[3]));
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}
