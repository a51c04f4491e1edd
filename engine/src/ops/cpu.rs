//! The engine's operations on Flex, Burn's CPU backend: kernels for what Burn's own operations do too slowly or not reproducibly when a
//! token at a time is decoded.
//!
//! Apart because it reads Flex's storage. It must not know models. Prefill keeps Burn's matrix products, which are at their best there,
//! on packed weights a tile at a time.

mod kernels;

use std::borrow::Cow;

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, TensorData, TensorPrimitive};

use super::{EngineBackend, Keep, LayerKv, Lift, Linear, Matrix, Rotation, portable};
use kernels::latents::{self, Latents, Part};

/// Numbers that are unpacked at a time when many rows are multiplied: 4 MiB.
const TILE: usize = 1 << 20;

impl EngineBackend for Flex {
    const KEEPS: Keep = Keep::AsStored;

    fn rms_norm(x: Tensor<Self, 2>, weight: &Tensor<Self, 2>, epsilon: f64) -> Tensor<Self, 2> {
        let shape = x.dims();
        let (mut x, weight) = (owned(x), primitive(weight.clone()));
        let width = shape[1].max(1);
        kernels::rms_norm(x.storage_mut::<f32>(), &floats(&weight)[..width], epsilon as f32);
        tensor(x)
    }

    fn prefill_linear(x: Tensor<Self, 2>, linear: &Linear<Self>) -> Tensor<Self, 2> {
        let Matrix::Packed(packed) = &linear.weight else {
            return portable::linear(x, linear);
        };
        let (width, outs) = (packed.width(), packed.rows());
        let rows = (TILE / width.max(1)).max(1);
        let tiles = (0..outs).step_by(rows).map(|first| {
            let rows = rows.min(outs - first);
            let mut tile = vec![0.0; rows * width];
            kernels::packed::unpack(packed, first, &mut tile);
            x.clone().matmul(fresh(tile, [rows, width]).transpose())
        });
        let out = Tensor::cat(tiles.collect(), 1);
        match &linear.bias {
            Some(bias) => out + bias.clone(),
            None => out,
        }
    }

    fn decode_linear(x: Tensor<Self, 2>, linear: &Linear<Self>) -> Tensor<Self, 2> {
        let [rows, width] = x.dims();
        let x = primitive(x);
        let x = floats(&x);
        let bias = linear.bias.clone().map(primitive);
        let bias = bias.as_ref().map(floats);
        let (values, out) = match &linear.weight {
            Matrix::Packed(packed) => (kernels::packed::product(packed, &x, bias.as_deref()), packed.rows()),
            Matrix::Values(weight) => {
                let ([out, _], weight) = (weight.dims(), primitive(weight.clone()));
                let product = kernels::Product { weight: &floats(&weight), x: &x, width, bias: bias.as_deref() };
                (kernels::product(&product), out)
            }
        };
        fresh(values, [rows, out])
    }

    fn rotate(qkv: Tensor<Self, 2>, rotation: &Rotation) -> Tensor<Self, 2> {
        let mut qkv = owned(qkv);
        kernels::rotate(qkv.storage_mut::<f32>(), rotation);
        tensor(qkv)
    }

    fn write(cache: Tensor<Self, 3>, rows: Tensor<Self, 3>, at: usize) -> Tensor<Self, 3> {
        let ([_, n, width], [_, capacity, _]) = (rows.dims(), cache.dims());
        let rows = primitive(rows);
        let mut cache = owned(cache);
        let heads = cache.storage_mut::<f32>().chunks_exact_mut(capacity * width);
        for (head, rows) in heads.zip(floats(&rows).chunks_exact(n * width)) {
            head[at * width..(at + n) * width].copy_from_slice(rows);
        }
        tensor(cache)
    }

    fn attend(q: Tensor<Self, 2>, kv: &LayerKv<Self>, len: usize) -> Tensor<Self, 2> {
        let [rows, width] = q.dims();
        if rows > 1 {
            return portable::attend(q, kv, len);
        }
        let [_, capacity, head_dim] = kv.keys.dims();
        let (q, keys, values) = (primitive(q), primitive(kv.keys.clone()), primitive(kv.values.clone()));
        let (q, keys, values) = (floats(&q), floats(&keys), floats(&values));
        let one = kernels::Attend { q: &q, keys: &keys, values: &values, capacity, head_dim, len };
        fresh(kernels::attend(&one), [1, width])
    }

    fn attend_latents(queries: [Tensor<Self, 2>; 2], lift: &Lift<Self>, kv: &LayerKv<Self>, len: usize) -> Tensor<Self, 2> {
        if queries[0].dims()[0] > 1 {
            return portable::attend_latents(queries, lift, kv, len);
        }
        let ([heads, plain, rank], [_, value, _], [_, _, turned]) = (lift.keys.dims(), lift.values.dims(), kv.keys.dims());
        let [queries, rotated] = queries.map(primitive);
        let (up, down) = (primitive(lift.keys.clone()), primitive(lift.values.clone()));
        let (keys, latents) = (primitive(kv.keys.clone()), primitive(kv.values.clone()));
        let (queries, rotated, up, down) = (floats(&queries), floats(&rotated), floats(&up), floats(&down));
        let (keys, latents) = (floats(&keys), floats(&latents));
        let one = Latents {
            queries: Part { values: &queries, width: plain },
            rotated: Part { values: &rotated, width: turned },
            lift: [&up, &down],
            keys: &keys[..len * turned],
            latents: Part { values: &latents[..len * rank], width: rank },
            scale: lift.scale as f32,
        };
        fresh(latents::attend(&one, value), [1, heads * value])
    }

    fn swiglu(gate_up: Tensor<Self, 2>) -> Tensor<Self, 2> {
        let [rows, width] = gate_up.dims();
        let gate_up = primitive(gate_up);
        fresh(kernels::swiglu(&floats(&gate_up), width), [rows, width / 2])
    }
}

fn primitive<const D: usize>(tensor: Tensor<Flex, D>) -> FlexTensor {
    tensor.into_primitive().tensor()
}

fn tensor<const D: usize>(primitive: FlexTensor) -> Tensor<Flex, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn fresh<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<Flex, D> {
    tensor(FlexTensor::from_data(TensorData::new(values, shape)))
}

/// The tensor as one whole buffer, to be written to: in place if nobody else holds it.
fn owned<const D: usize>(tensor: Tensor<Flex, D>) -> FlexTensor {
    let shared = primitive(tensor);
    let whole = shared.layout().start_offset() == 0 && shared.is_contiguous();
    if whole && shared.bytes().len() == shared.layout().num_elements() * size_of::<f32>() { shared } else { shared.to_contiguous() }
}

/// The values in row-major order, without a copy if they lie so.
fn floats(tensor: &FlexTensor) -> Cow<'_, [f32]> {
    match tensor.as_slice::<f32>() {
        Some(values) => Cow::Borrowed(values),
        None => Cow::Owned(tensor.to_contiguous().storage::<f32>().to_vec()),
    }
}

#[cfg(test)]
mod tests;
