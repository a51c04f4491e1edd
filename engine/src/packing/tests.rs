//! Each format as GGML's own package reads and writes it (tests/reference/make_gguf.py).

use half::f16;
use safetensors::tensor::SafeTensors;

use super::codecs::half;
use super::quantize::{Target, quantize};
use super::*;

/// Rows of any weights of about the size of 1.
pub(crate) fn random(packing: Packing, rows: usize, width: usize) -> Part {
    let mut state = 0x2545_f491_4f6c_dd1d_u64 ^ (rows * 31 + width) as u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u32
    };
    let mut bytes: Vec<u8> = (0..rows * packing.row_bytes(width).unwrap()).map(|_| next() as u8).collect();
    let (scales, size): (&[usize], f32) = match packing {
        Packing::F32 | Packing::F16 | Packing::Bf16 => (&[], 0.0),
        Packing::Q4_1 | Packing::Q5_1 => (&[0, 2], 0.05),
        Packing::Q4K | Packing::Q5K => (&[0, 2], 0.002),
        Packing::Q6K => (&[208], 0.0005),
        Packing::Q4_0 | Packing::Q5_0 => (&[0], 0.1),
        Packing::Q8_0 => (&[0], 0.01),
    };
    for block in bytes.chunks_exact_mut(packing.block().1) {
        let value = (next() as f32 / u32::MAX as f32 - 0.5) * 3.0;
        match packing {
            Packing::F32 => block.copy_from_slice(&value.to_le_bytes()),
            Packing::F16 => block.copy_from_slice(&f16::from_f32(value).to_le_bytes()),
            Packing::Bf16 => block.copy_from_slice(&half::bf16::from_f32(value).to_le_bytes()),
            _ => {
                for at in scales {
                    block[*at..at + 2].copy_from_slice(&f16::from_f32(size * (value + 2.0)).to_le_bytes());
                }
            }
        }
    }
    Part::new(packing, [rows, width], bytes).unwrap()
}

fn fixture() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/gguf/blocks.safetensors")).unwrap()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

#[test]
fn blocks_are_unpacked_as_ggmls_package_does_bit_for_bit() {
    let bytes = fixture();
    let all = SafeTensors::deserialize(&bytes).unwrap();
    for packing in ALL.into_iter().filter(|packing| !matches!(packing, Packing::F32 | Packing::F16)) {
        let tensor = |what: &str| all.tensor(&format!("{}.{what}", packing.name().to_lowercase())).unwrap().data().to_vec();
        let want = floats(&tensor("values"));
        let got = Part::new(packing, [1, want.len()], tensor("blocks")).unwrap().values(want.len());
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&got), bits(&want), "{}", packing.name());
    }
}

#[test]
fn half_precision_is_converted_bit_for_bit() {
    for bits in 0..=u16::MAX {
        let want = f16::from_bits(bits).to_f32();
        let got = half(bits.to_le_bytes());
        assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{bits:#x}");
    }
}

#[test]
fn numbers_are_packed_as_ggmls_package_does_bit_for_bit() {
    let bytes = fixture();
    let all = SafeTensors::deserialize(&bytes).unwrap();
    let numbers = floats(all.tensor("numbers").unwrap().data());
    for (target, name) in [(Target::Q8, "q8_0.made"), (Target::Q4, "q4_0.made")] {
        let made = quantize(Part::of_values(&numbers, 32), 32, target);
        assert_eq!(made.packing(), target.packing());
        assert_eq!(made.bytes, all.tensor(name).unwrap().data(), "{name}");
    }
}

#[test]
fn what_packing_loses_is_bounded() {
    let plain = random(Packing::F32, 64, 256);
    let values = plain.values(256);
    let power: f32 = values.iter().map(|v| v * v).sum();
    for (target, most) in [(Target::Q8, 5e-5), (Target::Q4, 1e-2)] {
        let back = quantize(Part::of_values(&values, 256), 256, target).values(256);
        let error: f32 = values.iter().zip(&back).map(|(a, b)| (a - b) * (a - b)).sum();
        assert!(error / power < most, "{target:?}: NMSE {:e}", error / power);
    }
}

#[test]
fn what_cannot_be_packed_stays() {
    let odd = quantize(random(Packing::Bf16, 3, 48), 48, Target::Q8);
    assert_eq!(odd.packing(), Packing::Bf16);
    let packed = quantize(random(Packing::Q6K, 3, 256), 256, Target::Q4);
    assert_eq!(packed.packing(), Packing::Q6K);
}

#[test]
fn rows_end_with_blocks_and_parts_with_rows() {
    assert_eq!(Packing::Q4K.row_bytes(512), Some(288));
    assert_eq!(Packing::Q4K.row_bytes(320), None);
    assert_eq!(Packing::F32.row_bytes(usize::MAX), None);
    assert!(Part::new(Packing::Q8_0, [2, 32], vec![0; 68]).is_some());
    assert!(Part::new(Packing::Q8_0, [2, 32], vec![0; 67]).is_none());
    let (first, second) = (random(Packing::Q8_0, 2, 64), random(Packing::Bf16, 3, 64));
    let all: Vec<f32> = [&first, &second].iter().flat_map(|part| part.values(64)).collect();
    let packed = Packed::new(64, vec![first, second]);
    assert_eq!(packed.rows(), 5);
    for (index, want) in all.chunks_exact(64).enumerate() {
        let mut row = [0.0; 64];
        packed.row(index, &mut row);
        assert_eq!(row, want);
    }
}
