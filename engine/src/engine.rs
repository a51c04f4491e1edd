//! What a caller does with a model: opens it, and submits requests.
//!
//! Apart because it is the public door; behind it, [`crate::step`] computes in a thread of its own. It must not know tensors.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use gatewright_types::ChatRequest;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::answer::MOST_DELTAS;
use crate::check::plan;
use crate::config::GenerationConfig;
use crate::device::{self, Source, Start};
use crate::error::EngineError;
use crate::generation::Generation;
use crate::grammar::Grammars;
use crate::memory::KvMemory;
use crate::models::blueprint;
use crate::options::{EngineOptions, ModelFiles, Terms};
use crate::queue::Queue;
use crate::reading::Reading;
use crate::stats::EngineStats;
use crate::template::ChatTemplate;
use crate::tokens::Vocabulary;

/// Deltas that a request may be ahead of its reader, beside room for one step of each choice.
const AHEAD: usize = 64;

/// One loaded model and the thread that runs it. Cheap to clone; the thread ends with the last clone, when what was submitted is done.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

/// What all clones share.
pub(crate) struct Inner {
    device: String,
    pub(crate) context: usize,
    advised: GenerationConfig,
    pub(crate) template: ChatTemplate,
    pub(crate) vocabulary: Arc<Vocabulary>,
    pub(crate) grammars: Grammars,
    pub(crate) queue: Arc<Queue>,
    pub(crate) memory: KvMemory,
    /// Names of its adapters; elsewhere one is its place here.
    adapters: Vec<String>,
    /// Held while a long text is tokenised: many of them take one core and not all.
    pub(crate) long: Mutex<()>,
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
        let files = &files.resolved()?;
        let blueprint = blueprint(files, options.yarn)?;
        let advised = GenerationConfig::read(files)?;
        let special: Value = files.json("tokenizer_config.json")?;
        let template = ChatTemplate::read(files, &special, options.template)?;
        let vocabulary = Arc::new(Vocabulary::read(files, &special, &advised)?);
        if vocabulary.size() > blueprint.vocab {
            let (has, takes) = (vocabulary.size(), blueprint.vocab);
            return Err(EngineError::Load(format!("{} has {has} tokens, config.json {takes}", files.name("tokenizer.json"))));
        }
        let queue = Arc::new(Queue::new(options.max_running.max(1) + options.max_waiting));
        let context = blueprint.context;
        let memory = KvMemory::new(options, &blueprint)?;
        let (adapters, folders) = options.adapters.clone().into_iter().unzip();
        let weights = Source { files: files.clone(), quantize: options.quantize, adapters: folders };
        let start = Start { weights, blueprint, vocabulary: vocabulary.clone(), queue: queue.clone(), memory };
        let device = device::start(start, options.device)?;
        let grammars = Grammars::new(vocabulary.clone(), template.calls());
        let long = Mutex::default();
        Ok(Self(Arc::new(Inner { device, context, advised, template, vocabulary, grammars, queue, memory, adapters, long })))
    }

    /// What it computes on, for people (`CPU (Flex)`, `CUDA 0`).
    pub fn device(&self) -> &str {
        &self.0.device
    }

    /// Tokens that prompt and answer may have together.
    pub fn context(&self) -> usize {
        self.0.context
    }

    /// Names of the adapters that it can answer with.
    pub fn adapters(&self) -> &[String] {
        &self.0.adapters
    }

    /// What it is at and has done.
    pub fn stats(&self) -> EngineStats {
        self.0.queue.numbers()
    }

    /// Takes one request in: a stream of its deltas, and the work that comes before the first of them, to be run off the async
    /// threads. Reads what concerns the model: messages, tools, sampling, which adapter `model` names, if any, and on whose account it is asked: a prompt that begins as
    /// another of the same tenant, adapter and `cache_salt` did is not computed again so far; how urgent it is, is its own `priority` or
    /// `service_tier`, as far as its origin grants.
    ///
    /// Without `max_tokens` an answer may fill the context, as far as there is memory; without a temperature it is sampled as
    /// generation_config.json advises. The same request with the same `seed` gets the same answer, whoever else is served and whatever
    /// is known of its prompt.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`], [`EngineError::Full`]. What is wrong with the prompt comes through the stream.
    pub fn submit(&self, request: Arc<ChatRequest>, terms: Terms) -> Result<(Generation, Reading), EngineError> {
        let inner = &self.0;
        let plan = plan(&request, &inner.advised, inner.vocabulary.size())?;
        let adapter = inner.adapters.iter().position(|name| *name == request.model);
        let seat = inner.queue.seat()?;
        let (outlet, receiver) = mpsc::channel(AHEAD + MOST_DELTAS * plan.choices as usize);
        let generation = Generation::new(receiver, inner.queue.clone(), request.origin.prefill.clone());
        let came = Instant::now();
        Ok((generation, Reading { engine: inner.clone(), request, terms, came, plan, adapter, seat, outlet }))
    }
}
