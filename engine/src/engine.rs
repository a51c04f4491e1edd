//! What a caller does with a model: opens it, and submits requests.
//!
//! Apart because it is the public door; behind it, [`crate::step`] computes in a thread of its own. It must not know tensors.

use std::sync::Arc;

use gatewright_types::ChatRequest;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::answer::{MOST_DELTAS, Opening};
use crate::check::plan;
use crate::config::{GenerationConfig, ModelConfig};
use crate::device::{self, Start};
use crate::error::EngineError;
use crate::generation::Generation;
use crate::options::{EngineOptions, ModelFiles};
use crate::queue::{Job, Queue};
use crate::reasoning::Channel;
use crate::template::ChatTemplate;
use crate::tokens::{THINK_OPEN, Vocabulary};

/// Deltas that a request may be ahead of its reader, beside room for one step of each choice.
const AHEAD: usize = 64;

/// One loaded model and the thread that runs it. Cheap to clone; the thread ends with the last clone, when what was submitted is done.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

struct Inner {
    device: String,
    context: usize,
    advised: GenerationConfig,
    template: ChatTemplate,
    vocabulary: Arc<Vocabulary>,
    queue: Arc<Queue>,
    now: u64,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("device", &self.device).field("context", &self.context).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Engine {
    /// Loads a model. Blocking: call it off the async threads.
    ///
    /// # Errors
    /// [`EngineError::Load`] with the file or tensor that is missing or wrong, [`EngineError::Device`].
    pub fn open(files: &ModelFiles, options: &EngineOptions) -> Result<Self, EngineError> {
        let config = ModelConfig::read(files)?;
        let advised = GenerationConfig::read(files)?;
        let special: Value = files.json("tokenizer_config.json")?;
        let template = ChatTemplate::read(files, &special, options.now)?;
        let vocabulary = Arc::new(Vocabulary::read(files, &special, &advised)?);
        if vocabulary.size() > config.vocab_size {
            let (has, takes) = (vocabulary.size(), config.vocab_size);
            return Err(EngineError::Load(format!("{} has {has} tokens, config.json {takes}", files.name("tokenizer.json"))));
        }
        let queue = Arc::new(Queue::new(options.max_running.max(1) + options.max_waiting));
        let context = config.max_position_embeddings;
        let start = Start { files: files.clone(), config, vocabulary: vocabulary.clone(), queue: queue.clone() };
        let device = device::start(start, options)?;
        Ok(Self(Arc::new(Inner { device, context, advised, template, vocabulary, queue, now: options.now })))
    }

    /// What it computes on, for people (`CPU (Flex)`, `CUDA 0`).
    pub fn device(&self) -> &str {
        &self.0.device
    }

    /// Tokens that prompt and answer may have together.
    pub fn context(&self) -> usize {
        self.0.context
    }

    /// Renders, tokenises and queues one request. Reads only what concerns the model: messages, tools, sampling.
    ///
    /// Without `max_tokens` an answer may fill the context; without a temperature it is sampled as generation_config.json advises. The
    /// same request with the same `seed` gets the same answer, whoever else is served.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`], [`EngineError::TooLong`], [`EngineError::Full`].
    pub fn submit(&self, request: &ChatRequest) -> Result<Generation, EngineError> {
        let inner = &*self.0;
        let plan = plan(request, &inner.advised)?;
        let text = inner.template.render(request)?;
        let prompt: Arc<[u32]> = inner.vocabulary.encode(&text)?.into();
        if prompt.is_empty() {
            return Err(EngineError::unsupported("messages", "the conversation renders to nothing"));
        }
        let left = inner.context.saturating_sub(prompt.len());
        if left == 0 {
            return Err(EngineError::TooLong { prompt: prompt.len(), context: inner.context });
        }
        let thinking = inner.vocabulary.think().is_some() && text.trim_end().ends_with(THINK_OPEN);
        let opening = Opening {
            channel: if thinking { Channel::Reasoning } else { Channel::Text },
            stops: request.sampling.stop.clone(),
            limit: plan.max_tokens.map_or(left, |most| most.min(left)),
        };
        let (outlet, receiver) = mpsc::channel(AHEAD + MOST_DELTAS * plan.choices as usize);
        inner.queue.push(|number| {
            let seed = plan.seed.unwrap_or(inner.now ^ number.rotate_left(32));
            Job { prompt, plan, opening, seed, outlet }
        })?;
        Ok(Generation::new(receiver, inner.queue.clone()))
    }
}
