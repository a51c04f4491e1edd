//! The engine's operations, made of Burn's: what every backend can do, and what kernels are tested against.
//!
//! Apart because it is the reference. It must not know any one backend.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData, activation};

use super::{Lift, Linear, Paged, Rotation, Run, Slab, place};
use crate::pages::PAGE;

pub(crate) fn rms_norm<B: Backend>(x: Tensor<B, 2>, weight: &Tensor<B, 2>, epsilon: f64) -> Tensor<B, 2> {
    let mean = (x.clone() * x.clone()).mean_dim(1);
    x / mean.add_scalar(epsilon).sqrt() * weight.clone()
}

pub(crate) fn linear<B: Backend>(x: Tensor<B, 2>, linear: &Linear<B>) -> Tensor<B, 2> {
    let weight = linear.weight.values(&x.device());
    let out = x.matmul(weight.transpose());
    match &linear.bias {
        Some(bias) => out + bias.clone(),
        None => out,
    }
}

/// `x * cos + rotate_half(x) * sin` for queries and keys, as Hugging Face transformers lays heads out: the halves of a head are the two
/// parts of each rotated pair.
pub(crate) fn rotate<B: Backend>(qkv: Tensor<B, 2>, rotation: &Rotation) -> Tensor<B, 2> {
    let [rows, width] = qkv.dims();
    let device = qkv.device();
    let heads = rotation.heads;
    let (half, turned) = (heads.head_dim / 2, heads.heads + heads.kv_heads);
    let table = |values: &[f32]| Tensor::<B, 3>::from_data(TensorData::new(values.to_vec(), [rows, 1, half]), &device);
    let (cos, sin) = (table(&rotation.cos), table(&rotation.sin));
    let x = qkv.clone().slice([0..rows, 0..turned * heads.head_dim]).reshape([rows, turned, heads.head_dim]);
    let first = x.clone().slice([0..rows, 0..turned, 0..half]);
    let second = x.slice([0..rows, 0..turned, half..heads.head_dim]);
    let x = Tensor::cat(vec![first.clone() * cos.clone() - second.clone() * sin.clone(), second * cos + first * sin], 2);
    let x = x.reshape([rows, turned * heads.head_dim]);
    if heads.kv_heads == 0 {
        return x;
    }
    Tensor::cat(vec![x, qkv.slice([0..rows, turned * heads.head_dim..width])], 1)
}

pub(crate) fn write<B: Backend>(slab: Tensor<B, 4>, rows: &Tensor<B, 3>, runs: &[Run]) -> Tensor<B, 4> {
    let [_, heads, width] = rows.dims();
    runs.iter().fold(slab, |slab, run| {
        let Run { page, at, row, rows: n } = *run;
        let rows = rows.clone().slice([row..row + n, 0..heads, 0..width]).swap_dims(0, 1).reshape([1, heads, n, width]);
        slab.slice_assign([page..page + 1, 0..heads, at..at + n, 0..width], rows)
    })
}

/// The filled positions of keys or of values one behind the other, `[kv_heads, len, width]`.
pub(crate) fn gathered<B: Backend>(kv: &Paged<'_, B>, of: impl Fn(&Slab<B>) -> &Tensor<B, 4>) -> Tensor<B, 3> {
    let pages: Vec<_> = kv.filled().iter().map(|page| place(*page)).collect();
    let mut parts = Vec::new();
    for run in pages.chunk_by(|a, b| a.0 == b.0) {
        let (slab, first) = run[0];
        let Some(Some(slab)) = kv.slabs.get(slab) else { continue };
        let (slab, n) = (of(slab).clone(), run.len());
        let [_, heads, _, width] = slab.dims();
        // Where memory is not scarce they mostly lie so, and need no list of their places.
        let in_order = run.iter().zip(first..).all(|((_, page), at)| *page == at);
        parts.push(if in_order {
            slab.slice([first..first + n, 0..heads, 0..PAGE, 0..width])
        } else {
            let places: Vec<i64> = run.iter().map(|(_, page)| *page as i64).collect();
            let places = Tensor::<B, 1, Int>::from_data(TensorData::new(places, [n]), &slab.device());
            slab.select(0, places)
        });
    }
    let all = Tensor::cat(parts, 0);
    let [pages, heads, _, width] = all.dims();
    all.swap_dims(0, 1).reshape([heads, pages * PAGE, width]).slice([0..heads, 0..kv.len, 0..width])
}

pub(crate) fn attend<B: Backend>(q: Tensor<B, 2>, kv: &Paged<'_, B>) -> Tensor<B, 2> {
    let [rows, width] = q.dims();
    let [keys, values] = [gathered(kv, |slab| &slab.keys), gathered(kv, |slab| &slab.values)];
    let [kv_heads, len, head_dim] = keys.dims();
    let group = width / head_dim / kv_heads;
    let by_group = |all: Tensor<B, 3>| all.reshape([kv_heads, 1, len, head_dim]);
    let q = q.reshape([rows, kv_heads, group, head_dim]).permute([1, 2, 0, 3]).mul_scalar((head_dim as f64).powf(-0.5));
    let mut scores = q.matmul(by_group(keys).swap_dims(2, 3));
    if rows > 1 {
        let mask = causal(rows, len);
        scores = scores.clone() + Tensor::from_data(TensorData::new(mask, [1, 1, rows, len]), &scores.device());
    }
    let mixed = activation::softmax(scores, 3).matmul(by_group(values));
    mixed.permute([2, 0, 1, 3]).reshape([rows, width])
}

pub(crate) fn attend_latents<B: Backend>(queries: [Tensor<B, 2>; 2], lift: &Lift<B>, kv: &Paged<'_, B>) -> Tensor<B, 2> {
    let ([heads, plain, rank], [_, value, _]) = (lift.keys.dims(), lift.values.dims());
    let [latents, keys] = [gathered(kv, |slab| &slab.values), gathered(kv, |slab| &slab.keys)];
    let [_, len, turned] = keys.dims();
    let [queries, rotated] = queries;
    let [rows, _] = queries.dims();
    let by_head = |q: Tensor<B, 2>, width: usize| q.reshape([rows, heads, width]).swap_dims(0, 1);
    // All rows of all heads look at the same vectors: one product for all.
    let lifted = by_head(queries, plain).matmul(lift.keys.clone()).reshape([heads * rows, rank]);
    let rotated = by_head(rotated, turned).reshape([heads * rows, turned]);
    let (latents, keys) = (latents.reshape([len, rank]), keys.reshape([len, turned]));
    let scores = lifted.matmul(latents.clone().transpose()) + rotated.matmul(keys.transpose());
    let mut scores = scores.mul_scalar(lift.scale).reshape([heads, rows, len]);
    if rows > 1 {
        let mask = causal(rows, len);
        scores = scores.clone() + Tensor::from_data(TensorData::new(mask, [1, rows, len]), &scores.device());
    }
    let mixed = activation::softmax(scores, 2).reshape([heads * rows, len]).matmul(latents).reshape([heads, rows, rank]);
    mixed.matmul(lift.values.clone().swap_dims(1, 2)).swap_dims(0, 1).reshape([rows, heads * value])
}

/// 0 where a row may look, minus infinity where it may not; the last row sees all `len` positions.
fn causal(rows: usize, len: usize) -> Vec<f32> {
    let first = len - rows;
    (0..rows).flat_map(|row| (0..len).map(move |at| if at <= first + row { 0.0 } else { f32::NEG_INFINITY })).collect()
}

pub(crate) fn swiglu<B: Backend>(gate_up: Tensor<B, 2>) -> Tensor<B, 2> {
    let [rows, width] = gate_up.dims();
    let gate = gate_up.clone().slice([0..rows, 0..width / 2]);
    activation::silu(gate) * gate_up.slice([0..rows, width / 2..width])
}
