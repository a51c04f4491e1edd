//! The engine's operations on Flex, Burn's CPU backend: kernels for what Burn's own operations do too slowly or not reproducibly when a
//! token at a time is decoded.
//!
//! Apart because it reads Flex's storage. It must not know models. Prefill keeps Burn's matrix products, which are at their best there,
//! on packed weights a tile at a time.

mod kernels;

use std::borrow::Cow;
use std::collections::BTreeMap;

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, TensorData, TensorPrimitive};

use super::{EngineBackend, Keep, Lift, Linear, Matrix, Paged, Rotation, Run, Slab, place};
use crate::pages::PAGE;
use kernels::attention::{self, Attend, Pages};
use kernels::latents::{self, Latents, Part};

/// Numbers that are unpacked at a time when many rows are multiplied: 4 MiB.
const TILE: usize = 1 << 20;
/// Numbers that a product of Burn's must have more of, and rows and columns of which it must have more of the one or the other, not to be
/// computed otherwise.
const FEW: usize = 16 * 16;
const SMALL: usize = 64;

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
        let width = x.dims()[1];
        let out = match &linear.weight {
            Matrix::Values(weight) => wide_product(x, weight.clone().transpose()),
            Matrix::Packed(packed) => {
                let outs = packed.rows();
                let tile = (TILE / width.max(1)).max(1);
                let tiles = (0..outs).step_by(tile).map(|first| {
                    let tile = tile.min(outs - first);
                    let mut values = vec![0.0; tile * width];
                    kernels::packed::unpack(packed, first, &mut values);
                    wide_product(x.clone(), fresh(values, [tile, width]).transpose())
                });
                Tensor::cat(tiles.collect(), 1)
            }
        };
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

    fn write(slab: Tensor<Self, 4>, rows: &Tensor<Self, 3>, runs: &[Run]) -> Tensor<Self, 4> {
        let [_, heads, width] = rows.dims();
        let rows = primitive(rows.clone());
        let rows = floats(&rows);
        let mut slab = owned(slab);
        let pages = slab.storage_mut::<f32>();
        for Run { page, at, row, rows: n } in runs {
            for head in 0..heads {
                let page = &mut pages[((page * heads + head) * PAGE + at) * width..][..n * width];
                let rows = rows[row * heads * width..].chunks_exact(heads * width);
                for (kept, row) in page.chunks_exact_mut(width).zip(rows) {
                    kept.copy_from_slice(&row[head * width..(head + 1) * width]);
                }
            }
        }
        tensor(slab)
    }

    fn attend(q: Tensor<Self, 2>, kv: &Paged<'_, Self>) -> Tensor<Self, 2> {
        let [rows, width] = q.dims();
        let (keys, values) = (Held::new(kv, |slab| &slab.keys), Held::new(kv, |slab| &slab.values));
        let q = primitive(q);
        let all = Attend { q: &floats(&q), rows, kv_heads: keys.heads, keys: keys.pages(), values: values.pages(), len: kv.len };
        fresh(attention::attend(&all), [rows, width])
    }

    fn attend_latents(queries: [Tensor<Self, 2>; 2], lift: &Lift<Self>, kv: &Paged<'_, Self>) -> Tensor<Self, 2> {
        let rows = queries[0].dims()[0];
        let ([heads, plain, _], [_, value, _]) = (lift.keys.dims(), lift.values.dims());
        let [queries, rotated] = queries.map(primitive);
        let (up, down) = (primitive(lift.keys.clone()), primitive(lift.values.clone()));
        let (queries, rotated, up, down) = (floats(&queries), floats(&rotated), floats(&up), floats(&down));
        let (keys, latents) = (Held::new(kv, |slab| &slab.keys), Held::new(kv, |slab| &slab.values));
        let all = Latents {
            queries: Part { values: &queries, width: plain },
            rotated: Part { values: &rotated, width: keys.width },
            lift: [&up, &down],
            keys: keys.pages(),
            latents: latents.pages(),
            rows,
            len: kv.len,
            scale: lift.scale as f32,
        };
        fresh(latents::attend(&all, value), [rows, heads * value])
    }

    fn swiglu(gate_up: Tensor<Self, 2>) -> Tensor<Self, 2> {
        let [rows, width] = gate_up.dims();
        let gate_up = primitive(gate_up);
        fresh(kernels::swiglu(&floats(&gate_up), width), [rows, width / 2])
    }
}

/// The slabs that a sequence's pages lie in, held while they are read.
struct Held {
    slabs: BTreeMap<usize, FlexTensor>,
    places: Vec<(usize, usize)>,
    heads: usize,
    width: usize,
}

impl Held {
    fn new(kv: &Paged<'_, Flex>, of: impl Fn(&Slab<Flex>) -> &Tensor<Flex, 4>) -> Self {
        let places: Vec<_> = kv.filled().iter().map(|page| place(*page)).collect();
        let mut held = Self { slabs: BTreeMap::new(), places, heads: 1, width: 1 };
        for run in held.places.chunk_by(|a, b| a.0 == b.0) {
            let at = run[0].0;
            if let Some(Some(slab)) = kv.slabs.get(at) {
                let [_, heads, _, width] = of(slab).dims();
                (held.heads, held.width) = (heads, width);
                held.slabs.entry(at).or_insert_with(|| primitive(of(slab).clone()));
            }
        }
        held
    }

    /// Each page's values, in the sequence's order.
    fn pages(&self) -> Pages<'_> {
        let page = self.heads * PAGE * self.width;
        let slabs: BTreeMap<usize, &[f32]> =
            self.slabs.iter().filter_map(|(at, slab)| Some((*at, slab.as_slice::<f32>()?))).collect();
        let values = self.places.iter().filter_map(|(at, index)| slabs.get(at).map(|slab| &slab[index * page..][..page]));
        Pages { pages: values.collect(), positions: PAGE, width: self.width }
    }
}

/// `x` times `weight`, `[in, out]`. Burn's product takes other ways for one row, for few numbers in all and for small matrices, with sums
/// in another order: such rows get company, so that each is what it is in a whole prompt.
fn wide_product(x: Tensor<Flex, 2>, weight: Tensor<Flex, 2>) -> Tensor<Flex, 2> {
    let ([rows, width], outs) = (x.dims(), weight.dims()[1]);
    let least = (FEW / outs.max(1) + 1).max(if outs <= SMALL { SMALL + 1 } else { 2 });
    if rows >= least {
        return x.matmul(weight);
    }
    let company = Tensor::zeros([least - rows, width], &x.device());
    Tensor::cat(vec![x, company], 0).matmul(weight).slice([0..rows, 0..outs])
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
