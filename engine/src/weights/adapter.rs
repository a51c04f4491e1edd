//! An adapter in PEFT's format: adapter_config.json, and adapter_model.safetensors with two small matrices for each that it changes.
//!
//! Apart because it is a checkpoint of its own beside a model's. It must not know backends, nor which matrices a model has: it is asked for
//! each of them by name, and at last whether it was asked for all that it holds.

mod config;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use super::{Weights, stored};
use crate::error::EngineError;
use crate::ops::Keep;
use crate::options::ModelFiles;
use crate::packing::{Packing, Part};
use config::Config;

const FILE: &str = "adapter_model.safetensors";
/// What PEFT puts before a module's name.
const PREFIX: &str = "base_model.model.";
const DOWN: &str = ".lora_A.weight";
const UP: &str = ".lora_B.weight";

/// One adapter, opened.
pub(crate) struct Adapter {
    config: Config,
    weights: Weights,
    /// Tensors that a model has taken.
    taken: RefCell<BTreeSet<String>>,
}

/// What it adds to one matrix `[out, in]`: `up` `[out, rank]` times `down` `[rank, in]` times `scale`.
pub(crate) struct Pair {
    pub(crate) rank: usize,
    pub(crate) scale: f32,
    pub(crate) down: Part,
    pub(crate) up: Part,
}

impl Adapter {
    /// Reads what it is, and checks that its file is whole.
    ///
    /// # Errors
    /// [`EngineError::Load`] that names the file, and what in it this engine does not compute.
    pub(crate) fn open(folder: &Path) -> Result<Self, EngineError> {
        let files = ModelFiles::Folder(folder.to_owned());
        let config = Config::read(&files)?;
        if files.find(FILE)?.is_none() && files.find("adapter_model.bin")?.is_some() {
            let name = files.name("adapter_model.bin");
            return Err(EngineError::load(format!("{name} is pickled Python, which this engine does not read: save it as {FILE}")));
        }
        let mut weights = Weights::of(&files, vec![FILE.to_owned()])?;
        weights.asks = "the model and adapter_config.json ask";
        Ok(Self { config, weights, taken: RefCell::default() })
    }

    /// What it adds to the matrix `[out, in]` of that module, if anything.
    ///
    /// # Errors
    /// [`EngineError::Load`] that names the file and the tensor that is missing or of another shape or type.
    pub(crate) fn pair(&self, module: &str, [out, input]: [usize; 2]) -> Result<Option<Pair>, EngineError> {
        let [down, up] = [DOWN, UP].map(|kind| format!("{PREFIX}{module}{kind}"));
        let has = |name: &String| self.weights.tensors.contains_key(name);
        // In newer transformers these are no modules, so that an adapter that names their likes has none for them.
        let may_be_missing = module.contains(".mlp.experts.") || module.ends_with(".mlp.gate");
        if !self.config.targets(module) || may_be_missing && !has(&down) && !has(&up) {
            return Ok(None);
        }
        let (rank, scale) = self.config.rank_and_scale(module);
        let pair = Pair { rank, scale, down: self.matrix(&down, [rank, input])?, up: self.matrix(&up, [out, rank])? };
        self.taken.borrow_mut().extend([down, up]);
        Ok(Some(pair))
    }

    fn matrix(&self, name: &str, shape: [usize; 2]) -> Result<Part, EngineError> {
        let (shard, dtype, _) = self.weights.find(name, &shape)?;
        match stored::plain(dtype) {
            Some(_) => self.weights.matrix(name, shape),
            None => Err(EngineError::load(format!("{}: tensor `{name}` is {dtype:?}; adapters are F32, BF16 or F16", shard.name))),
        }
    }

    /// Whether the model has taken all that it holds.
    ///
    /// # Errors
    /// [`EngineError::Load`] that names the file and a tensor that belongs to no matrix that adapter_config.json names, or that is of
    /// another kind of adapter.
    pub(crate) fn check_all_used(&self) -> Result<(), EngineError> {
        let taken = self.taken.borrow();
        let mut left: Vec<_> = self.weights.tensors.keys().filter(|name| !taken.contains(*name)).collect();
        left.sort();
        let Some(first) = left.first() else { return Ok(()) };
        let file = self.weights.shards.first().map_or(FILE, |shard| &shard.name);
        let what = match () {
            () if first.contains("lora_magnitude_vector") => "is of DoRA, which is not supported",
            () if first.contains("lora_embedding_") => "changes the embedding, which is not supported",
            () => "belongs to no matrix of this model that adapter_config.json names",
        };
        Err(EngineError::load(format!("{file}: tensor `{first}` {what}")))
    }

    /// Bytes that it takes when it is loaded; matrices that a model absorbs are kept once more with what it adds.
    pub(crate) fn needed(&self, keep: Keep) -> u64 {
        let size = |name: &String| {
            let (_, info) = self.weights.tensors.get(name)?;
            let [rows, width] = info.shape[..] else { return None };
            let packing = stored::plain(info.dtype).filter(|_| keep == Keep::AsStored).unwrap_or(Packing::F32);
            Some((packing.row_bytes(width)? as u64).saturating_mul(rows as u64))
        };
        let absorbed = |name: &String| {
            let module = name.strip_suffix(DOWN).filter(|module| module.ends_with(".kv_b_proj"))?;
            let width = self.weights.tensors.get(name)?.1.shape.get(1)?;
            let rows = self.weights.tensors.get(&format!("{module}{UP}"))?.1.shape.first()?;
            Some((*width as u64).saturating_mul(*rows as u64).saturating_mul(4))
        };
        let names = self.weights.tensors.keys();
        names.fold(0, |sum, name| sum.saturating_add(size(name).unwrap_or(0)).saturating_add(absorbed(name).unwrap_or(0)))
    }
}

impl Pair {
    /// A matrix of so wide rows, with what this adds.
    pub(crate) fn added_to(&self, matrix: &[f32], width: usize) -> Vec<f32> {
        let (down, up) = (self.down.values(width), self.up.values(self.rank));
        let mut sum = matrix.to_vec();
        for (row, up) in sum.chunks_exact_mut(width.max(1)).zip(up.chunks_exact(self.rank.max(1))) {
            for (down, up) in down.chunks_exact(width.max(1)).zip(up) {
                row.iter_mut().zip(down).for_each(|(value, down)| *value += up * self.scale * down);
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests;
