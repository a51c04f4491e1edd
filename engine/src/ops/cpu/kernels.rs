//! Arithmetic on slices: products, norms, attention. Each result is summed in a fixed order that depends on the widths alone,
//! so that it is the same bit for bit whatever else is computed beside it and on however many threads.
//!
//! Apart because it is plain slices. It must not know tensors. The same code is compiled twice, for AVX2 with FMA and for any CPU.

use rayon::prelude::*;

use crate::ops::Rotation;

/// Multiplications that are worth a second thread.
const PARALLEL: usize = 256 * 1024;
/// Rows of a weight that one thread takes at a time.
const BLOCK: usize = 64;

/// `x` `[rows, width]` times `weight` `[out, width]` transposed, plus `bias` `[out]`.
pub(super) struct Product<'a> {
    pub(super) weight: &'a [f32],
    pub(super) x: &'a [f32],
    pub(super) width: usize,
    pub(super) bias: Option<&'a [f32]>,
}

/// `a * b + c`, rounded once or twice.
trait Fuse {
    fn fuse(a: f32, b: f32, c: f32) -> f32;
}

/// For CPUs that have the instruction; for others it is a slow call.
struct Fused;

impl Fuse for Fused {
    #[inline(always)]
    fn fuse(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

struct Plain;

impl Fuse for Plain {
    #[inline(always)]
    fn fuse(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

/// Whether the fast code may be called.
fn fast() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// Compiles a kernel twice and calls the one that this CPU can run.
macro_rules! dispatch {
    ($name:ident, $inner:ident, ($($arg:ident: $kind:ty),*)) => {
        fn $name($($arg: $kind),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn with_avx2($($arg: $kind),*) {
                $inner::<Fused>($($arg),*);
            }
            #[cfg(target_arch = "x86_64")]
            if fast() {
                #[allow(unsafe_code, reason = "code for CPU features that are looked for at run time")]
                // SAFETY: `fast` saw that this CPU has AVX2 and FMA.
                return unsafe { with_avx2($($arg),*) };
            }
            $inner::<Plain>($($arg),*);
        }
    };
}

pub(super) mod attention;
pub(super) mod latents;
pub(super) mod packed;

dispatch!(product_block, product_block_as, (p: &Product<'_>, first: usize, out: &mut [f32]));
dispatch!(norm_row, norm_row_as, (row: &mut [f32], weight: &[f32], epsilon: f32));

/// The sum of products, in 32 sums that are added up in a fixed order.
#[inline(always)]
fn dot<F: Fuse>(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 32];
    let (a_parts, b_parts) = (a.chunks_exact(32), b.chunks_exact(32));
    let rest = a_parts.remainder().iter().zip(b_parts.remainder());
    let tail = rest.fold(0.0, |sum, (a, b)| F::fuse(*a, *b, sum));
    for (a, b) in a_parts.zip(b_parts) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum = F::fuse(*a, *b, *sum);
        }
    }
    folded(sums) + tail
}

/// The sum of 32, in a fixed order.
#[inline(always)]
fn folded(mut sums: [f32; 32]) -> f32 {
    for half in [16, 8, 4, 2, 1] {
        for i in 0..half {
            sums[i] += sums[i + half];
        }
    }
    sums[0]
}

/// `out` `[block, rows]`: rows `first..` of the weight, each with every row of `x`.
#[inline(always)]
fn product_block_as<F: Fuse>(p: &Product<'_>, first: usize, out: &mut [f32]) {
    let rows = p.x.len() / p.width;
    let weights = p.weight.chunks_exact(p.width).skip(first);
    for (i, (out, weight)) in out.chunks_exact_mut(rows).zip(weights).enumerate() {
        let bias = p.bias.map_or(0.0, |bias| bias[first + i]);
        for (out, x) in out.iter_mut().zip(p.x.chunks_exact(p.width)) {
            *out = dot::<F>(x, weight) + bias;
        }
    }
}

/// `[rows, out]`.
pub(super) fn product(p: &Product<'_>) -> Vec<f32> {
    let (rows, outs) = (p.x.len() / p.width, p.weight.len() / p.width);
    let mut columns = vec![0.0; rows * outs];
    if rows * p.weight.len() < PARALLEL {
        product_block(p, 0, &mut columns);
    } else {
        let blocks = columns.par_chunks_mut(BLOCK * rows).enumerate();
        blocks.for_each(|(i, out)| product_block(p, i * BLOCK, out));
    }
    transposed(columns, rows)
}

/// `[out, rows]` to `[rows, out]`.
fn transposed(columns: Vec<f32>, rows: usize) -> Vec<f32> {
    if rows == 1 {
        return columns;
    }
    let outs = columns.len().checked_div(rows).unwrap_or(0);
    (0..rows).flat_map(|row| (0..outs).map(move |out| (row, out))).map(|(row, out)| columns[out * rows + row]).collect()
}

/// Scores to what they weigh, before it is divided by the sum that is given back.
#[inline(always)]
fn exponentials(scores: &mut [f32]) -> f32 {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in scores {
        *score = (*score - most).exp();
        sum += *score;
    }
    sum
}

#[inline(always)]
fn norm_row_as<F: Fuse>(row: &mut [f32], weight: &[f32], epsilon: f32) {
    let scale = 1.0 / (dot::<F>(row, row) / row.len() as f32 + epsilon).sqrt();
    for (x, weight) in row.iter_mut().zip(weight) {
        *x = *x * scale * weight;
    }
}

/// Each row of `x` in place.
pub(super) fn rms_norm(x: &mut [f32], weight: &[f32], epsilon: f32) {
    for row in x.chunks_exact_mut(weight.len()) {
        norm_row(row, weight, epsilon);
    }
}

/// Queries and keys of each row of `qkv` in place.
pub(super) fn rotate(qkv: &mut [f32], rotation: &Rotation) {
    let heads = rotation.heads;
    let half = heads.head_dim / 2;
    let tables = rotation.cos.chunks_exact(half).zip(rotation.sin.chunks_exact(half));
    for (row, (cos, sin)) in qkv.chunks_exact_mut(heads.width()).zip(tables) {
        for head in row.chunks_exact_mut(heads.head_dim).take(heads.heads + heads.kv_heads) {
            let (first, second) = head.split_at_mut(half);
            for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(cos.iter().zip(sin)) {
                (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
            }
        }
    }
}

/// `silu(gate) * up` of rows that are `width` wide.
pub(super) fn swiglu(gate_up: &[f32], width: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(gate_up.len() / 2);
    for row in gate_up.chunks_exact(width) {
        let (gate, up) = row.split_at(width / 2);
        out.extend(gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u));
    }
    out
}
