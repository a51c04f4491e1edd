//! What comes before the first step of a request: its prompt is rendered and tokenised, and it takes its place in the queue.
//!
//! Apart because it takes as long as a stranger's prompt is, and its caller chooses the thread. It must not know steps. What cannot fit
//! the context is refused before it is tokenised; it stops where the reader left.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use gatewright_types::ChatRequest;

use crate::answer::Opening;
use crate::check::Plan;
use crate::engine::Inner;
use crate::error::EngineError;
use crate::options::Terms;
use crate::pages::Salt;
use crate::queue::{Job, Outlet, Seat};
use crate::reasoning::Channel;
use crate::tokens::{THINK_CLOSE, THINK_OPEN};

/// Bytes of a text from which on only one is tokenised at a time.
const LONG: usize = 256 * 1024;

/// What comes first of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    /// A thought that the prompt opened.
    Thought,
    /// The model may open one.
    Open,
    /// The answer itself.
    Answer,
}

/// The work that a submitted request needs before it can be computed. Dropping it gives the request up.
#[must_use = "nothing is computed before this has run"]
pub struct Reading {
    pub(crate) engine: Arc<Inner>,
    pub(crate) request: Arc<ChatRequest>,
    pub(crate) terms: Terms,
    pub(crate) came: Instant,
    pub(crate) plan: Plan,
    /// Part of the salt of what it shares: prompts are the same under one adapter alone.
    pub(crate) adapter: Option<usize>,
    pub(crate) seat: Seat,
    pub(crate) outlet: Outlet,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl Reading {
    /// Renders, tokenises and queues. Blocking: run it off the async threads. What is wrong comes through the stream.
    pub fn run(self) {
        let outlet = self.outlet.clone();
        if let Err(fault) = self.queue_up() {
            // Nothing was sent before, so there is room; and if the reader left, nobody misses it.
            let _ = outlet.try_send(Err(fault));
        }
    }

    fn queue_up(self) -> Result<(), EngineError> {
        let engine = &self.engine;
        let text = engine.template.render(&self.request, (&self.plan.template, self.terms.now))?;
        let least = engine.vocabulary.least_tokens(&text);
        if least > engine.context {
            return Err(EngineError::TooLong { prompt: least, context: engine.context });
        }
        let Some(prompt) = self.encode(&text)? else { return Ok(()) };
        if prompt.is_empty() {
            return Err(EngineError::unsupported("messages", "the conversation renders to nothing"));
        }
        let limit = engine.memory.answer(prompt.len(), self.plan.max_tokens, engine.context)?;
        let guide = engine.grammars.guide(&self.plan.form, self.plan.calls, || !self.outlet.is_closed())?;
        if self.outlet.is_closed() {
            return Ok(());
        }
        let lead = self.lead(&text);
        let opening = Opening {
            channel: if lead == Lead::Thought { Channel::Reasoning } else { Channel::Text },
            stops: self.request.sampling.stop.clone(),
            limit,
            thinking: self.plan.thinking,
            calls: self.plan.calls,
            call_seed: 0,
            thought_due: lead == Lead::Thought || lead == Lead::Open && engine.template.teaches_thought(),
        };
        let opens = engine.vocabulary.think().map(|think| think.open).filter(|_| lead == Lead::Open);
        let guide = guide.map(|guide| guide.after_thought(opens));
        let prefill = self.request.origin.prefill.clone();
        prefill.tell((0, prompt.len()));
        let salt = self.salt();
        let Self { plan, adapter, terms, came, outlet, .. } = self;
        engine.queue.push(self.seat, |number| {
            let seed = plan.seed.unwrap_or(terms.now ^ number.rotate_left(32));
            let opening = Opening { call_seed: fingerprint(&prompt) ^ seed, ..opening };
            Job { prompt, plan, adapter, opening, guide, seed, salt, came, deadline: terms.deadline, prefill, outlet }
        })
    }

    /// Prompts are shared by one tenant's requests alone, under one adapter, and, where a request brings one, by a word of its own.
    fn salt(&self) -> Salt {
        let own = self.plan.cache_salt.clone().unwrap_or_default();
        [self.request.origin.tenant.clone(), own, self.adapter.map_or_else(String::new, |at| at.to_string())].into()
    }

    /// What the prompt leaves to come first.
    fn lead(&self, text: &str) -> Lead {
        let text = text.trim_end();
        match self.engine.vocabulary.think() {
            None => Lead::Answer,
            Some(_) if text.ends_with(THINK_OPEN) => Lead::Thought,
            Some(_) if text.ends_with(THINK_CLOSE) || self.plan.thinking.budget == Some(0) => Lead::Answer,
            Some(_) => Lead::Open,
        }
    }

    /// The prompt's tokens; `None` if nobody waits for them any more.
    fn encode(&self, text: &str) -> Result<Option<Arc<[u32]>>, EngineError> {
        let turn = (text.len() > LONG).then(|| self.engine.long.lock().unwrap_or_else(PoisonError::into_inner));
        if self.outlet.is_closed() {
            return Ok(None);
        }
        let tokens = self.engine.vocabulary.encode(text)?;
        drop(turn);
        Ok(Some(tokens.into()))
    }
}

/// A number that two prompts hardly share (FNV-1a). The ids of calls are made of it: a conversation that goes on must not see one again.
fn fingerprint(prompt: &[u32]) -> u64 {
    prompt.iter().fold(0xcbf2_9ce4_8422_2325, |hash, id| (hash ^ u64::from(*id)).wrapping_mul(0x0100_0000_01b3))
}
