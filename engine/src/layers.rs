//! The parts that decoder models are built of. Weights are only read; all that is written is in the [`cache::Pool`].
//!
//! Apart because families share them. They must not know a family's weight names or who asks.

pub(crate) mod attention;
pub(crate) mod cache;
pub(crate) mod decoder;
pub(crate) mod experts;
pub(crate) mod lora;
pub(crate) mod mla;
pub(crate) mod mlp;
pub(crate) mod rope;

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};

use crate::error::EngineError;
use crate::ops::{Delta, EngineBackend, Keep, Linear, Matrix, Up};
use crate::packing::{Packed, Packing, Part};
use crate::weights::Weights;
use crate::weights::adapter::Pair;
pub(crate) use lora::{Batch, product};

/// Puts weights on a device.
pub(crate) struct Loader<'a, B: EngineBackend> {
    pub(crate) weights: &'a Weights,
    pub(crate) device: B::Device,
}

impl<B: EngineBackend> Loader<'_, B> {
    /// A vector as `[1, width]`.
    pub(crate) fn row(&self, name: &str, width: usize) -> Result<Tensor<B, 2>, EngineError> {
        Ok(self.place(self.weights.tensor(name, &[width])?, [1, width]))
    }

    /// A matrix as the backend keeps it.
    pub(crate) fn matrix(&self, name: &str, shape: [usize; 2]) -> Result<Matrix<B>, EngineError> {
        Ok(self.keep(vec![self.weights.matrix(name, shape)?], shape[1]))
    }

    /// Several matrices `[out, in]` of the same `in`, one below the other, with their biases if `biased`: one product for all.
    pub(crate) fn linear(&self, parts: &[(String, usize)], input: usize, bias: Bias) -> Result<Linear<B>, EngineError> {
        let (mut weight, mut biases) = (Vec::new(), Vec::new());
        for (name, out) in parts {
            weight.push(self.weights.matrix(&format!("{name}.weight"), [*out, input])?);
            if bias == Bias::Yes {
                biases.extend(self.weights.tensor(&format!("{name}.bias"), &[*out])?);
            }
        }
        let out: usize = parts.iter().map(|(_, out)| out).sum();
        let bias = (bias == Bias::Yes).then(|| self.place(biases, [1, out]));
        Ok(Linear { weight: self.keep(weight, input), bias, deltas: self.deltas(parts, input, None)? })
    }

    /// What each adapter adds to the product of these parts, whose rows are in the order that is given, if one is.
    pub(crate) fn deltas(
        &self,
        parts: &[(String, usize)],
        input: usize,
        order: Option<&[usize]>,
    ) -> Result<Vec<Option<Delta<B>>>, EngineError> {
        let mut deltas = Vec::new();
        for adapter in self.weights.adapters() {
            let pairs = parts.iter().map(|(name, out)| adapter.pair(name, [*out, input]));
            let pairs: Vec<Option<Pair>> = pairs.collect::<Result<_, _>>()?;
            let outs = parts.iter().map(|(_, out)| *out);
            deltas.push(pairs.iter().any(Option::is_some).then(|| self.delta(pairs.into_iter().zip(outs), input, order)));
        }
        Ok(deltas)
    }

    fn delta(&self, parts: impl Iterator<Item = (Option<Pair>, usize)>, input: usize, order: Option<&[usize]>) -> Delta<B> {
        let (mut down, mut up) = (Vec::new(), Vec::new());
        let alone = |weight| Linear { weight, bias: None, deltas: Vec::new() };
        for (pair, out) in parts {
            let Some(pair) = pair else {
                up.push(Up::Nothing(out));
                continue;
            };
            let rows = match order {
                Some(order) => pair.up.reordered(order),
                None => pair.up,
            };
            up.push(Up::From { rank: pair.rank, scale: pair.scale, linear: alone(self.keep(vec![rows], pair.rank)) });
            down.push(pair.down);
        }
        Delta { down: alone(self.keep(down, input)), up }
    }

    fn keep(&self, parts: Vec<Part>, width: usize) -> Matrix<B> {
        let plain = parts.iter().all(|part| part.packing() == Packing::F32);
        if B::KEEPS == Keep::AsStored && !plain {
            return Matrix::Packed(Arc::new(Packed::new(width, parts)));
        }
        let rows = parts.iter().map(Part::rows).sum();
        let mut values = Vec::with_capacity(rows * width);
        // One after the other, so that each is there twice for a moment only.
        for part in parts {
            values.extend(part.values(width));
        }
        Matrix::Values(self.place(values, [rows, width]))
    }

    /// One matrix `[out, in]` and its bias if `bias` says so, with their rows in this order, which is asked for when a matrix of so many
    /// was found: before, they are only what config.json says.
    pub(crate) fn reordered(
        &self,
        name: &str,
        (out, order): (usize, impl FnOnce() -> Vec<usize>),
        input: usize,
        bias: Bias,
    ) -> Result<Linear<B>, EngineError> {
        let weight = self.weights.matrix(&format!("{name}.weight"), [out, input])?;
        let order = order();
        let weight = weight.reordered(&order);
        let bias = match bias {
            Bias::Yes => {
                let values = self.weights.tensor(&format!("{name}.bias"), &[out])?;
                Some(self.place(order.iter().map(|row| values[*row]).collect(), [1, out]))
            }
            Bias::No => None,
        };
        let deltas = self.deltas(&[(name.to_owned(), out)], input, Some(&order))?;
        Ok(Linear { weight: self.keep(vec![weight], input), bias, deltas })
    }

    fn place(&self, values: Vec<f32>, shape: [usize; 2]) -> Tensor<B, 2> {
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }
}

/// Whether a product has a bias; config.json says it with a boolean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(from = "bool")]
pub(crate) enum Bias {
    Yes,
    #[default]
    No,
}

impl From<bool> for Bias {
    fn from(wanted: bool) -> Self {
        if wanted { Self::Yes } else { Self::No }
    }
}

/// What the rows of a step are; kernels and the promise of [`EngineBackend`] depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// Of a prompt.
    Prefill,
    /// Of what was written, of any number of sequences.
    Decode,
}

/// A tensor's values, row-major, where the CPU can read them.
///
/// # Errors
/// [`EngineError::Step`] if the device fails.
pub(crate) fn read<B: EngineBackend>(x: Tensor<B, 2>) -> Result<Vec<f32>, EngineError> {
    let data = x.try_into_data().map_err(|e| EngineError::Step(format!("the device failed: {e}")))?;
    data.into_vec().map_err(|e| EngineError::Step(format!("values are not f32: {e:?}")))
}
