//! Every kernel against the portable operation, at widths that are and are not multiples of the vector's.

use std::sync::Arc;

use burn::tensor::Distribution;

use super::*;
use crate::layers::rope::{Rope, Scaling, Spectrum};
use crate::ops::Heads;
use crate::packing::{self, Packed, Packing};

fn random<const D: usize>(shape: [usize; D]) -> Tensor<Flex, D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Default::default())
}

fn assert_close<const D: usize>(got: Tensor<Flex, D>, want: Tensor<Flex, D>) {
    assert_eq!(got.dims(), want.dims());
    let worst = (got - want).abs().max().into_scalar();
    assert!(worst < 2e-5, "off by {worst:e}");
}

fn linear(out: usize, width: usize) -> Linear<Flex> {
    let bias = out.is_multiple_of(2).then(|| random([1, out]));
    Linear { weight: Matrix::Values(random([out, width]) / (width as f64).sqrt()), bias, deltas: Vec::new() }
}

#[test]
fn norms() {
    for (rows, width) in [(1, 48), (5, 33), (3, 512)] {
        let (x, weight) = (random([rows, width]), random([1, width]));
        assert_close(Flex::rms_norm(x.clone(), &weight, 1e-6), portable::rms_norm(x, &weight, 1e-6));
    }
}

#[test]
fn products() {
    for (rows, width, out) in [(1, 48, 96), (3, 50, 7), (2, 1024, 512), (1, 700, 999), (4, 31, 64)] {
        let (x, linear) = (random([rows, width]), linear(out, width));
        assert_close(Flex::decode_linear(x.clone(), &linear), portable::linear(x, &linear));
    }
}

#[test]
fn a_products_row_does_not_depend_on_the_others() {
    let (x, linear) = (random([7, 800]), linear(600, 800));
    let together = Flex::decode_linear(x.clone(), &linear);
    for row in 0..7 {
        let alone = Flex::decode_linear(x.clone().slice([row..row + 1, 0..800]), &linear);
        assert_eq!(alone.into_data(), together.clone().slice([row..row + 1, 0..600]).into_data());
    }
}

#[test]
fn rotations() {
    let (some, all) = (Heads { heads: 6, kv_heads: 2, head_dim: 8 }, Heads { heads: 3, kv_heads: 0, head_dim: 6 });
    for (heads, positions) in [(some, vec![0]), (some, vec![5, 6, 7]), (some, vec![100, 3]), (all, vec![4, 5])] {
        let rotation = Rope::new(heads, &Spectrum { theta: 10_000.0, scaling: Scaling::None }).at(positions.iter().copied());
        let qkv = random([positions.len(), heads.width()]);
        assert_close(Flex::rotate(qkv.clone(), &rotation), portable::rotate(qkv, &rotation));
    }
}

#[test]
fn writing_and_attending() {
    for (heads, kv_heads, head_dim, len) in [(6, 2, 8, 5), (4, 4, 32, 100), (3, 1, 18, 1), (12, 2, 128, 700)] {
        let kv = LayerKv { keys: random([kv_heads, 1024, head_dim]), values: random([kv_heads, 1024, head_dim]) };
        let rows = random([kv_heads, 1, head_dim]);
        let kept = kv.keys.clone();
        let keys = Flex::write(kv.keys.clone(), rows.clone(), len - 1);
        assert_close(keys.clone(), portable::write(kept.clone(), rows, len - 1));
        assert_eq!(kept.into_data(), kv.keys.clone().into_data(), "a shared cache is copied, not written to");
        let kv = LayerKv { keys, ..kv };
        let q = random([1, heads * head_dim]);
        assert_close(Flex::attend(q.clone(), &kv, len), portable::attend(q, &kv, len));
    }
}

#[test]
fn attending_to_latent_vectors() {
    for (heads, [plain, turned, value], rank, len) in [(3, [5, 2, 7], 33, 1), (4, [16, 8, 12], 40, 90), (8, [64, 32, 64], 256, 300)]
    {
        let lift = Lift { keys: random([heads, plain, rank]), values: random([heads, value, rank]) / 16.0, scale: 0.02 };
        let kv = LayerKv { keys: random([1, 512, turned]), values: random([1, 512, rank]) / (rank as f64).sqrt() };
        let queries = [random([1, heads * plain]), random([1, heads * turned])];
        assert_close(Flex::attend_latents(queries.clone(), &lift, &kv, len), portable::attend_latents(queries, &lift, &kv, len));
    }
}

#[test]
fn gates() {
    let x = random([3, 34]);
    assert_close(Flex::swiglu(x.clone()), portable::swiglu(x));
}

/// A matrix of two parts, the second of which is written otherwise.
fn packed(packing: Packing, out: usize, width: usize) -> Linear<Flex> {
    let parts = vec![packing::tests::random(packing, out, width), packing::tests::random(Packing::Bf16, out / 2, width)];
    Linear {
        weight: Matrix::Packed(Arc::new(Packed::new(width, parts))),
        bias: Some(random([1, out + out / 2])),
        deltas: Vec::new(),
    }
}

#[test]
fn packed_products() {
    for packing in packing::ALL {
        for (rows, width, out) in [(1, 256, 70), (3, 512, 8), (4, 1024, 200), (17, 256, 5)] {
            let (x, linear) = (random([rows, width]) / (width as f64).sqrt(), packed(packing, out, width));
            let want = portable::linear(x.clone(), &linear);
            assert_close(Flex::decode_linear(x.clone(), &linear), want.clone());
            assert_close(Flex::prefill_linear(x, &linear), want);
        }
    }
}

/// Rows that are no multiple of what is unpacked at a time: of plain numbers only.
#[test]
fn packed_products_of_odd_widths() {
    for packing in [Packing::F32, Packing::F16, Packing::Bf16] {
        for (rows, width, out) in [(1, 48, 96), (3, 50, 7), (5, 31, 64)] {
            let (x, linear) = (random([rows, width]) / (width as f64).sqrt(), packed(packing, out, width));
            let want = portable::linear(x.clone(), &linear);
            assert_close(Flex::decode_linear(x.clone(), &linear), want.clone());
            assert_close(Flex::prefill_linear(x, &linear), want);
        }
    }
}

#[test]
fn a_packed_products_row_does_not_depend_on_the_others() {
    for packing in packing::ALL {
        let (x, linear) = (random([7, 768]), packed(packing, 600, 768));
        let together = Flex::decode_linear(x.clone(), &linear);
        for row in 0..7 {
            let alone = Flex::decode_linear(x.clone().slice([row..row + 1, 0..768]), &linear);
            assert_eq!(alone.into_data(), together.clone().slice([row..row + 1, 0..900]).into_data(), "{packing:?}");
        }
    }
}

/// More than one tile of a prompt's product.
#[test]
fn tiles_add_up() {
    let (x, linear) = (random([2, 2048]) / 45.0, packed(Packing::Q8_0, 700, 2048));
    assert_close(Flex::prefill_linear(x.clone(), &linear), portable::linear(x, &linear));
}
