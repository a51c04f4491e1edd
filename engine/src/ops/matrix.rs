//! A matrix of weights on a device: numbers of the backend, or packed as a file has it.
//!
//! Apart because who loads it and who multiplies with it share it. It must not know what it is a part of.

use std::sync::Arc;

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

use crate::packing::Packed;

/// What a backend's kernels take weights as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// As numbers of the backend: what is packed in a file is unpacked when it is loaded.
    Values,
    /// As files have them.
    AsStored,
}

/// `[out, in]`, row-major. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Matrix<B: Backend> {
    Values(Tensor<B, 2>),
    /// Of backends that keep weights as they are stored.
    Packed(Arc<Packed>),
}

impl<B: Backend> From<Tensor<B, 2>> for Matrix<B> {
    fn from(values: Tensor<B, 2>) -> Self {
        Self::Values(values)
    }
}

impl<B: Backend> Matrix<B> {
    /// As numbers, all of them.
    pub(crate) fn values(&self, device: &B::Device) -> Tensor<B, 2> {
        match self {
            Self::Values(values) => values.clone(),
            Self::Packed(packed) => picked(packed, 0..packed.rows(), device),
        }
    }

    /// Some rows, in this order, as numbers.
    pub(crate) fn select(&self, rows: &[i64], device: &B::Device) -> Tensor<B, 2> {
        match self {
            Self::Values(values) => {
                let ids = Tensor::<B, 1, Int>::from_data(TensorData::new(rows.to_vec(), [rows.len()]), device);
                values.clone().select(0, ids)
            }
            Self::Packed(packed) => picked(packed, rows.iter().map(|row| usize::try_from(*row).unwrap_or(usize::MAX)), device),
        }
    }
}

fn picked<B: Backend>(packed: &Packed, rows: impl ExactSizeIterator<Item = usize>, device: &B::Device) -> Tensor<B, 2> {
    let shape = [rows.len(), packed.width()];
    let mut values = vec![0.0f32; shape[0] * shape[1]];
    for (row, out) in rows.zip(values.chunks_exact_mut(packed.width().max(1))) {
        packed.row(row, out);
    }
    Tensor::from_data(TensorData::new(values, shape), device)
}
