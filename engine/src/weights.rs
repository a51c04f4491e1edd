//! Tensors of a checkpoint by name, from one safetensors file, a sharded index or a GGUF file.
//!
//! Apart because every model family reads its weights through it. It must not know what the names mean, nor any backend.

pub(crate) mod adapter;
pub(crate) mod files;
pub(crate) mod fp8;
pub(crate) mod stored;

use std::collections::{BTreeMap, HashMap};

use gatewright_types::Quantization;
use indicatif::{ProgressBar, ProgressStyle};
use safetensors::tensor::{Dtype, SafeTensors, TensorInfo};
use serde::Deserialize;

use crate::config;
use crate::error::EngineError;
use crate::gguf::GgufFile;
use crate::options::ModelFiles;
use crate::packing::unpack;
use adapter::Adapter;
use files::Blob;
use fp8::Blocks;

/// A checkpoint below this many bytes loads without a progress bar.
const QUIET_BYTES: u64 = 512 << 20;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// What config.json says of how weights are kept.
#[derive(Deserialize)]
struct Kept {
    quantization_config: Option<Blocks>,
}

struct Shard {
    name: String,
    bytes: Blob,
    start: usize,
}

/// All tensors of a checkpoint. Values are converted when asked for; the files stay mapped until this is dropped.
pub(crate) struct Weights {
    shards: Vec<Shard>,
    tensors: HashMap<String, (usize, TensorInfo)>,
    /// In place of both.
    gguf: Option<GgufFile>,
    wanted: Option<Quantization>,
    /// How matrices in fp8 are scaled.
    blocks: Option<Blocks>,
    /// Who asks for tensors of some shape, for people.
    asks: &'static str,
    adapters: Vec<Adapter>,
    progress: ProgressBar,
}

impl Weights {
    /// Opens a GGUF file, or `model.safetensors.index.json` and its shards, or else `model.safetensors`; checks that no file is cut
    /// short.
    pub(crate) fn open(files: &ModelFiles) -> Result<Self, EngineError> {
        if let ModelFiles::Gguf(file) = files {
            let mut weights = Self::of(files, Vec::new())?;
            (weights.gguf, weights.progress) = (Some(file.clone()), progress(file.len() as u64));
            return Ok(weights);
        }
        let index_name = "model.safetensors.index.json";
        let names: Vec<String> = match files.find(index_name)? {
            None => vec!["model.safetensors".to_owned()],
            Some(bytes) => {
                let index: Index =
                    serde_json::from_slice(&bytes).map_err(|e| EngineError::load(format!("{}: {e}", files.name(index_name))))?;
                let names: std::collections::BTreeSet<String> = index.weight_map.into_values().collect();
                names.into_iter().collect()
            }
        };
        if let Some(name) = names.iter().find(|name| name.contains(['/', '\\'])) {
            return Err(EngineError::load(format!("{}: `{name}` is not a file name", files.name(index_name))));
        }
        let Kept { quantization_config: blocks } = files.json(config::FILE)?;
        let mut weights = Self::of(files, names)?;
        let total = weights.shards.iter().map(|s| s.bytes.len() as u64).sum();
        (weights.blocks, weights.progress) = (blocks, progress(total));
        Ok(weights)
    }

    /// Those of these safetensors files, without a word to anybody.
    fn of(files: &ModelFiles, names: Vec<String>) -> Result<Self, EngineError> {
        let mut shards = Vec::new();
        let mut tensors = HashMap::new();
        for name in names {
            let bytes = files.require(&name)?;
            let name = files.name(&name);
            let (header, metadata) = SafeTensors::read_metadata(&bytes)
                .map_err(|e| EngineError::load(format!("{name}: not a whole safetensors file (cut short?): {e}")))?;
            for (tensor, info) in metadata.tensors() {
                tensors.insert(tensor, (shards.len(), info.clone()));
            }
            shards.push(Shard { name, bytes, start: header + 8 });
        }
        let (asks, adapters, progress) = ("config.json asks", Vec::new(), ProgressBar::hidden());
        Ok(Self { shards, tensors, gguf: None, wanted: None, blocks: None, asks, adapters, progress })
    }

    /// With adapters beside them; a number means the one at that place.
    pub(crate) fn adapted(mut self, adapters: Vec<Adapter>) -> Self {
        self.adapters = adapters;
        self
    }

    pub(crate) fn adapters(&self) -> &[Adapter] {
        &self.adapters
    }

    /// The tensor's values in row-major order, converted from f32, bf16, f16 or blocks of fp8.
    ///
    /// # Errors
    /// [`EngineError::Load`] that names the tensor and its file, if it is missing or of another shape or type.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EngineError> {
        if let Some(gguf) = &self.gguf {
            let part = gguf.part(name, shape)?;
            self.progress.inc(part.bytes());
            return Ok(part.values(shape.last().copied().unwrap_or(0)));
        }
        let (shard, dtype, bytes) = self.find(name, shape)?;
        let fault = |what: String| EngineError::load(format!("{}: tensor `{name}` {what}", shard.name));
        self.progress.inc(bytes.len() as u64);
        if let Some(packing) = stored::plain(dtype) {
            let mut values = vec![0.0; shape.iter().product()];
            unpack(packing, bytes, &mut values);
            return Ok(values);
        }
        match dtype {
            Dtype::F8_E4M3 => {
                let unsaid = || fault("is F8_E4M3, and config.json has no quantization_config that says how".into());
                let blocks = self.blocks.ok_or_else(unsaid)?;
                let &[rows, columns] = shape else { return Err(fault("is F8_E4M3, but no matrix".into())) };
                let scales = self.tensor(&format!("{name}_scale_inv"), &blocks.scales([rows, columns]))?;
                Ok(blocks.values(bytes, columns, &scales))
            }
            other => Err(fault(format!("is {other:?}; this engine reads F32, BF16, F16, and F8_E4M3 in blocks"))),
        }
    }

    /// The tensor's type and bytes, and the file that they are in.
    fn find(&self, name: &str, shape: &[usize]) -> Result<(&Shard, Dtype, &[u8]), EngineError> {
        let Some((shard, info)) = self.tensors.get(name).and_then(|(s, i)| Some((self.shards.get(*s)?, i))) else {
            let files: Vec<&str> = self.shards.iter().map(|s| s.name.as_str()).collect();
            return Err(EngineError::load(format!("tensor `{name}` is missing in {}", files.join(", "))));
        };
        let fault = |what: String| EngineError::load(format!("{}: tensor `{name}` {what}", shard.name));
        if info.shape != shape {
            return Err(fault(format!("has shape {:?}; {} for {shape:?}", info.shape, self.asks)));
        }
        let (from, to) = info.data_offsets;
        let bytes = shard.bytes.get(shard.start + from..shard.start + to).ok_or_else(|| fault("lies outside the file".into()))?;
        Ok((shard, info.dtype, bytes))
    }
}

/// Drawn on stderr if that is a terminal (indicatif looks), and only for checkpoints that take a while.
fn progress(total: u64) -> ProgressBar {
    if total < QUIET_BYTES {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("loading weights {bar:40} {bytes}/{total_bytes} {eta}");
    let bar = ProgressBar::new(total);
    style.map_or_else(|_| ProgressBar::hidden(), |style| bar.with_style(style))
}

impl Drop for Weights {
    fn drop(&mut self) {
        self.progress.finish_and_clear();
    }
}
