//! What a caller says to open a model: where its files are, where to compute, how much at once, packed how; and of a request.
//!
//! Apart because it is public and plain data. It must not know how any of it is done.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use gatewright_types::{DeviceChoice, Quantization};
pub use gatewright_types::{TemplateChoice, YarnReading};

use crate::gguf::GgufFile;

/// Where a model's files are: a Hugging Face folder, or the same files packed into the binary.
#[derive(Clone, Debug)]
pub enum ModelFiles {
    /// A folder with config.json, tokenizer.json, tokenizer_config.json, generation_config.json and *.safetensors; or a GGUF file; or a
    /// folder with one GGUF file and no config.json.
    Folder(PathBuf),
    /// File name, bytes.
    Packed(&'static [(&'static str, &'static [u8])]),
    /// A GGUF file that was opened: what [`crate::Engine::open`] makes of a path to one.
    Gguf(GgufFile),
}

/// How to open a model.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Where to compute.
    pub device: DeviceChoice,
    /// Sequences that run at once; others wait. 0 counts as 1.
    pub max_running: usize,
    /// Requests that may wait; more are refused as [`crate::EngineError::Full`].
    pub max_waiting: usize,
    /// Bytes that keys and values may take. A request waits until its prompt has room; where what is written needs more than there is,
    /// who is least urgent or came last gives its pages up and is computed again later. What could never fit is refused.
    pub kv_bytes: u64,
    /// Of those, what may be kept of prompts that nobody uses, for others to come that begin alike; 0 keeps none, `None` a quarter.
    pub prefix_bytes: Option<u64>,
    /// How a checkpoint's YaRN is read.
    pub yarn: YarnReading,
    /// What weights of 2 or 4 bytes, or in fp8, are packed to while they load; as they are where nobody says.
    pub quantize: Option<Quantization>,
    /// Whose chat template a DeepSeek-R1 model is asked with.
    pub template: TemplateChoice,
    /// LoRA adapters beside the model, by name: folders in PEFT's format. A request whose `model` is such a name is answered with it, any
    /// other by the model alone.
    pub adapters: BTreeMap<String, PathBuf>,
}

/// What a caller says of a request beside the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// In Unix seconds: for templates that print a date and for the seeds of requests that bring none.
    pub now: u64,
    /// When it must be done; what is not done then ends with [`crate::EngineError::Deadline`].
    pub deadline: Option<Instant>,
}

impl EngineOptions {
    /// Bytes for keys and values where nobody says: 8 GiB.
    pub const KV_BYTES: u64 = 8 << 30;
}

impl Default for EngineOptions {
    fn default() -> Self {
        let (device, yarn, template) = (DeviceChoice::default(), YarnReading::default(), TemplateChoice::default());
        let (kv_bytes, adapters) = (Self::KV_BYTES, BTreeMap::new());
        let (max_running, max_waiting, prefix_bytes, quantize) = (8, 64, None, None);
        Self { device, max_running, max_waiting, kv_bytes, prefix_bytes, yarn, quantize, template, adapters }
    }
}
