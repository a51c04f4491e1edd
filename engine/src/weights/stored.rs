//! Matrices as they shall be held: as the file has them, or packed while they load; and the memory that this takes.
//!
//! Apart because it is decided here, once, what becomes of a matrix. It must not know backends' tensors.

use gatewright_types::Quantization;
use safetensors::tensor::Dtype;

use super::Weights;
use crate::error::EngineError;
use crate::layers::decoder::Output;
use crate::ops::Keep;
use crate::packing::quantize::{Target, quantize};
use crate::packing::{Packing, Part};

/// What is known of a model before its weights are loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) keep: Keep,
    /// Layers that are loaded; a file may have more.
    pub(crate) layers: usize,
    /// Whether the output matrix is the embedding; a file may have one beside it.
    pub(crate) output: Output,
}

/// The packing of plain numbers.
pub(super) fn plain(dtype: Dtype) -> Option<Packing> {
    match dtype {
        Dtype::F32 => Some(Packing::F32),
        Dtype::F16 => Some(Packing::F16),
        Dtype::BF16 => Some(Packing::Bf16),
        _ => None,
    }
}

impl Weights {
    /// What matrices of plain numbers or fp8 are packed to while they load.
    pub(crate) fn quantized(mut self, wanted: Option<Quantization>) -> Self {
        self.wanted = wanted;
        self
    }

    /// A matrix `[out, in]`, as it shall be held.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub(crate) fn matrix(&self, name: &str, shape: [usize; 2]) -> Result<Part, EngineError> {
        let part = match &self.gguf {
            Some(gguf) => {
                let part = gguf.part(name, &shape)?;
                self.progress.inc(part.bytes());
                part
            }
            None => self.stored(name, shape)?,
        };
        Ok(match self.target(name) {
            Some(target) => quantize(part, shape[1], target),
            None => part,
        })
    }

    fn stored(&self, name: &str, shape: [usize; 2]) -> Result<Part, EngineError> {
        if let Some(packing) = self.tensors.get(name).and_then(|(_, info)| plain(info.dtype)) {
            let (shard, _, bytes) = self.find(name, &shape)?;
            self.progress.inc(bytes.len() as u64);
            let fault = || EngineError::load(format!("{}: tensor `{name}` is not as long as its shape", shard.name));
            return Part::new(packing, shape, bytes.to_vec()).ok_or_else(fault);
        }
        Ok(Part::of_values(&self.tensor(name, &shape)?, shape[1]))
    }

    /// Four bits are too few for what stands at both ends of a model; and a router is small, and one bit of it chooses another expert.
    fn target(&self, name: &str) -> Option<Target> {
        if name.ends_with(".mlp.gate.weight") {
            return None;
        }
        let ends = ["model.embed_tokens.weight", "lm_head.weight", "token_embd.weight", "output.weight"];
        self.wanted.map(|wanted| match wanted {
            Quantization::Q4 if !ends.contains(&name) => Target::Q4,
            Quantization::Q8 | Quantization::Q4 => Target::Q8,
        })
    }

    /// Bytes that the weights take when they are loaded, and beside them the largest one while it is.
    pub(crate) fn needed(&self, extent: Extent) -> u64 {
        let (mut all, mut most) = (0u64, 0);
        let mut count = |name: &str, shape: &[usize], packing: Packing| {
            if !extent.loads(name) {
                return;
            }
            // Which latent attention absorbs, as numbers.
            let absorbed = name.ends_with(".kv_b_proj.weight");
            let held = match (shape, extent.keep) {
                _ if absorbed => Packing::F32,
                ([_, width], Keep::AsStored) => self.target(name).map_or(packing, |target| target.of(packing, *width)),
                _ => Packing::F32,
            };
            let (first, rows) = shape.split_last().map_or((0, 1), |(width, rows)| (*width, rows.iter().product::<usize>()));
            let bytes = (held.row_bytes(first).unwrap_or(0) as u64).saturating_mul(rows as u64);
            (all, most) = (all.saturating_add(bytes), bytes.max(most));
        };
        match &self.gguf {
            Some(gguf) => gguf.tensors().for_each(|(name, shape, packing)| count(name, shape, packing)),
            None => self.tensors.iter().for_each(|(name, (_, info))| {
                count(name, &info.shape, plain(info.dtype).unwrap_or(Packing::F32));
            }),
        }
        let adapters = self.adapters.iter().map(|adapter| adapter.needed(extent.keep));
        adapters.fold(all.saturating_add(most), u64::saturating_add)
    }
}

impl Extent {
    fn loads(&self, name: &str) -> bool {
        let layer = name.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.')?.0.parse::<usize>().ok());
        let own = name == "lm_head.weight" && self.output == Output::Tied;
        // What fp8 is scaled by is not kept beside its values.
        let scales = name.ends_with("_scale_inv");
        !own && !scales && layer.is_none_or(|layer| layer < self.layers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::reference;

    /// bf16, 2 layers: 17,408 weights in their matrices, 10,240 in the embedding, which is the output matrix too, 256 in vectors.
    #[test]
    fn memory_is_counted_as_weights_are_held() {
        let needed = |keep, wanted, layers| {
            let weights = Weights::open(&reference("tied")).unwrap().quantized(wanted);
            weights.needed(Extent { keep, layers, output: Output::Tied })
        };
        let (matrices, ends, vectors) = (17_408, 10_240, 256 * 4);
        assert_eq!(needed(Keep::Values, None, 2), 4 * (matrices + 2 * ends) + vectors);
        assert_eq!(needed(Keep::AsStored, None, 2), 2 * (matrices + 2 * ends) + vectors);
        assert_eq!(needed(Keep::AsStored, Some(Quantization::Q8), 2), (matrices + 2 * ends) / 32 * 34 + vectors);
        assert_eq!(needed(Keep::AsStored, Some(Quantization::Q4), 2), matrices / 32 * 18 + 2 * ends / 32 * 34 + vectors);
        // What is there and not loaded is not counted: here the second layer, elsewhere one that predicts further tokens.
        assert_eq!(needed(Keep::AsStored, None, 1), 2 * (matrices / 2 + 2 * ends) + vectors - 112 * 4);
    }

    #[test]
    fn what_is_counted_is_what_the_parts_take() {
        for (name, wanted) in ["latent", "blocks"]
            .into_iter()
            .flat_map(|name| [None, Some(Quantization::Q8), Some(Quantization::Q4)].map(|wanted| (name, wanted)))
        {
            let files = reference(name);
            let blueprint = crate::models::blueprint(&files, Default::default()).unwrap();
            let weights = Weights::open(&files).unwrap().quantized(wanted);
            let extent = Extent { keep: Keep::AsStored, layers: blueprint.layers, output: blueprint.output };
            let loaded = weights.tensors.iter().filter(|(name, _)| !name.ends_with("_scale_inv") && extent.loads(name));
            let bytes: Vec<u64> = loaded
                .map(|(name, (_, info))| match info.shape[..] {
                    [rows, width] if !name.ends_with(".kv_b_proj.weight") => weights.matrix(name, [rows, width]).unwrap().bytes(),
                    _ => 4 * weights.tensor(name, &info.shape).unwrap().len() as u64,
                })
                .collect();
            assert_eq!(weights.needed(extent), bytes.iter().sum::<u64>() + bytes.iter().max().unwrap(), "{name}, {wanted:?}");
        }
    }

    #[test]
    fn a_matrix_is_held_in_the_format_that_is_wanted() {
        let name = "model.layers.0.mlp.up_proj.weight";
        let packing = |wanted, name: &str, shape| {
            Weights::open(&reference("tied")).unwrap().quantized(wanted).matrix(name, shape).unwrap().packing()
        };
        assert_eq!(packing(None, name, [64, 32]), Packing::Bf16);
        assert_eq!(packing(Some(Quantization::Q8), name, [64, 32]), Packing::Q8_0);
        assert_eq!(packing(Some(Quantization::Q4), name, [64, 32]), Packing::Q4_0);
        assert_eq!(packing(Some(Quantization::Q4), "model.embed_tokens.weight", [320, 32]), Packing::Q8_0);
        let latent = Weights::open(&reference("latent")).unwrap().quantized(Some(Quantization::Q4));
        assert_eq!(latent.target("model.layers.1.mlp.gate.weight"), None, "a router");
        assert_eq!(latent.target("model.layers.1.mlp.gate_proj.weight"), Some(Target::Q4));
    }
}
