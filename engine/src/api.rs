//! What the gateway may call: open a model, submit a request, read its deltas. SKELETON: answers nothing.

use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use gatewright_types::{ChatRequest, Delta};

/// Where a model's files are: a Hugging Face folder, or the same files packed into the binary.
#[derive(Clone, Debug)]
pub enum ModelFiles {
    /// A folder with config.json, tokenizer.json, tokenizer_config.json, generation_config.json and *.safetensors.
    Folder(PathBuf),
    /// File name, bytes.
    Packed(&'static [(&'static str, &'static [u8])]),
}

/// Where to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first CUDA device that works, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// That CUDA device, or an error that says what is missing.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", n)) => n.parse().map(Self::Cuda).map_err(|_| format!("`{n}` is not a device number; use cuda:0")),
            _ => Err(format!("unknown device `{text}`; use auto, cpu, cuda or cuda:N")),
        }
    }
}

/// How to open a model.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Where to compute.
    pub device: DeviceChoice,
    /// Sequences that run at once; others wait.
    pub max_running: usize,
    /// Requests that may wait; more are refused as [`EngineError::Full`].
    pub max_waiting: usize,
    /// Unix seconds, for templates that print a date, and for seeds of requests that bring none.
    pub now: u64,
}

/// What the engine cannot do, and what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// A file is missing or wrong.
    #[error("{0}")]
    Load(String),
    /// The device cannot be used.
    #[error("{0}")]
    Device(String),
    /// The request asks for what this model or engine cannot do; which field.
    #[error("{message}")]
    Unsupported {
        /// The request's field.
        param: String,
        /// For the client.
        message: String,
    },
    /// The prompt does not fit the context.
    #[error("the prompt has {prompt} tokens, the model's context {context}")]
    TooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens of the context.
        context: usize,
    },
    /// Too many requests wait.
    #[error("the engine's queue is full")]
    Full,
    /// A step failed on the device.
    #[error("{0}")]
    Step(String),
}

/// One loaded model and the thread that runs it. Cheap to clone; the thread ends with the last clone.
#[derive(Clone, Debug)]
pub struct Engine {
    device: Arc<str>,
}

impl Engine {
    /// Loads a model. Blocking: call it off the async threads.
    ///
    /// # Errors
    /// [`EngineError::Load`], [`EngineError::Device`].
    pub fn open(files: &ModelFiles, options: &EngineOptions) -> Result<Self, EngineError> {
        let _ = (files, options);
        Ok(Self { device: "none".into() })
    }

    /// What it computes on, for people (`CPU (Flex)`, `CUDA 0`).
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Renders, tokenises and queues one request. Reads only what concerns the model: messages, tools, sampling.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`], [`EngineError::TooLong`], [`EngineError::Full`].
    pub fn submit(&self, request: &ChatRequest) -> Result<Generation, EngineError> {
        let _ = request;
        Err(EngineError::Full)
    }
}

/// The deltas of one request: `Text`, `Reasoning`, `Finish` per choice, then `Usage`. Dropping it frees the sequence.
#[derive(Debug)]
pub struct Generation(());

impl Stream for Generation {
    type Item = Result<Delta, EngineError>;
    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(None)
    }
}
