//! What a request has used so far, and what was done to it: the one place that the stages write to and that settling reads.
//!
//! Apart because the answer's stream, its guards and its seat all know a part of it. It must not know who reads it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use gatewright_plugins::Entry;
use gatewright_types::{ChatRequest, Chunk, Content, Delta, Part, Tool, Usage};

use crate::observe::CacheResult;

/// How an answer came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The model answered.
    #[default]
    Model,
    /// A plugin refused in the middle.
    Blocked,
    /// A plugin answered in the model's place.
    Plugin,
}

/// The figures; read them under [`Meter::read`].
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Tokens of the rounds that are over.
    pub(crate) usage: Usage,
    /// Whether a part of them is a guess.
    pub(crate) estimated: bool,
    /// Whether the answers came out of the cache: then nothing was used.
    pub(crate) cached: bool,
    /// From the head to the first delta with content.
    pub(crate) first_delta: Option<Duration>,
    /// Model calls.
    pub(crate) rounds: u32,
    /// Tries at upstreams.
    pub(crate) attempts: u32,
    /// Who answered last.
    pub(crate) leg: Option<String>,
    /// What the first look into the cache found.
    pub(crate) cache: Option<CacheResult>,
    /// How the answer came about.
    pub(crate) ending: Ending,
    /// The plugin that answered in the model's place.
    pub(crate) answered_by: Option<String>,
    /// What the plugins did, by session.
    pub(crate) entries: Vec<Entry>,
    /// Tools of the gateway's own that were run: name, and how it went (`ok` or `failed`).
    pub(crate) tools: Vec<(String, &'static str)>,
    /// What no plugin inspected, and where: `request:media`.
    pub(crate) uninspected: Vec<&'static str>,
    /// The round that runs: usage as reported, bytes heard.
    pub(super) round: Option<(Option<Usage>, u64)>,
}

/// Figures that the parts of one request share.
#[derive(Debug)]
pub(crate) struct Meter {
    started: Instant,
    figures: Mutex<Figures>,
}

impl Meter {
    pub(super) fn new(started: Instant) -> Self {
        Self { started, figures: Mutex::default() }
    }

    /// Looks at the figures, or changes them. Never call it within itself.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&mut Figures) -> T) -> T {
        look(&mut self.figures.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A model call begins.
    pub(super) fn round_begins(&self) {
        self.read(|figures| {
            figures.rounds += 1;
            figures.round = Some((None, 0));
        });
    }

    /// A piece of a model's answer, as the model gave it.
    pub(super) fn hear(&self, chunk: &Chunk) {
        self.read(|figures| {
            let Some((usage, bytes)) = &mut figures.round else { return };
            for delta in &chunk.deltas {
                match delta {
                    Delta::Usage(reported) => *usage = Some(reported.clone()),
                    other => *bytes += text_bytes(other) as u64,
                }
            }
            if figures.first_delta.is_none() && *bytes > 0 {
                figures.first_delta = Some(self.started.elapsed());
            }
        });
    }

    /// The model call failed: what was not heard is not counted.
    pub(super) fn round_fails(&self, request: &ChatRequest) {
        let silent = |round: &mut (Option<Usage>, u64)| matches!(round, (None, 0));
        self.read(|figures| drop(figures.round.take_if(silent)));
        self.round_ends(request);
    }

    /// The model call is over, or was cut: what it reported counts, else an estimate that is marked as one.
    pub(super) fn round_ends(&self, request: &ChatRequest) {
        self.read(|figures| {
            let Some((usage, bytes)) = figures.round.take() else { return };
            let used = usage.unwrap_or_else(|| {
                figures.estimated = true;
                Usage { prompt: prompt_estimate(request), completion: tokens_of(bytes), ..Usage::default() }
            });
            let total = &mut figures.usage;
            total.prompt += used.prompt;
            total.completion += used.completion;
            total.reasoning = sum(total.reasoning, used.reasoning);
            total.cached = sum(total.cached, used.cached);
            total.extras = used.extras;
        });
    }
}

fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

/// Bytes of text in a delta.
pub(crate) fn text_bytes(delta: &Delta) -> usize {
    match delta {
        Delta::Text { text, .. } | Delta::Reasoning { text, .. } | Delta::Refusal { text, .. } => text.len(),
        Delta::ToolCall { name, arguments, .. } => name.as_ref().map_or(0, String::len) + arguments.len(),
        _ => 0,
    }
}

/// Whether a client would see something of the answer in this chunk.
pub(super) fn has_content(chunk: &Chunk) -> bool {
    let says = |delta: &Delta| match delta {
        Delta::Start { .. } | Delta::ToolResult { .. } | Delta::Usage(_) => false,
        Delta::Finish { .. } | Delta::Logprobs { .. } => true,
        Delta::Other { delta, .. } => !delta.is_empty(),
        Delta::ToolCall { .. } => true,
        text => text_bytes(text) > 0,
    };
    chunk.deltas.iter().any(says)
}

/// A rough number of tokens in so many bytes of text.
fn tokens_of(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}

/// A rough number of tokens in a prompt: a quarter of its text's bytes, and four a message.
pub(super) fn prompt_estimate(request: &ChatRequest) -> u64 {
    let content = |content: &Content| match content {
        Content::Absent | Content::Null => 0,
        Content::Text(text) => text.len(),
        Content::Parts(parts) => parts.iter().map(|part| if let Part::Text { text, .. } = part { text.len() } else { 0 }).sum(),
    };
    let of_message = |message: &gatewright_types::Message| {
        let calls: usize = message.tool_calls.iter().map(|call| call.name.len() + call.arguments.len()).sum();
        16 + content(&message.content) + message.reasoning.as_ref().map_or(0, String::len) + calls
    };
    let of_tool = |tool: &Tool| match tool {
        Tool::Function(tool) => {
            let schema = tool.parameters.as_ref().map_or(0, |schema| schema.get().len());
            tool.name.len() + tool.description.as_ref().map_or(0, String::len) + schema
        }
        Tool::Other(raw) => raw.get().len(),
    };
    let bytes: usize = request.messages.iter().map(of_message).sum::<usize>() + request.tools.iter().map(of_tool).sum::<usize>();
    tokens_of(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatewright_types::{Message, Role};

    fn said(text: &str) -> Chunk {
        Chunk::of(vec![Delta::Text { choice: 0, text: text.to_owned() }])
    }

    #[test]
    fn reported_usage_counts_and_rounds_add_up() {
        let meter = Meter::new(Instant::now());
        for _ in 0..2 {
            meter.round_begins();
            meter.hear(&said("hello"));
            meter.hear(&Chunk::of(vec![Delta::Usage(Usage { prompt: 3, completion: 2, reasoning: Some(1), ..Usage::default() })]));
            meter.round_ends(&ChatRequest::default());
        }
        meter.read(|figures| {
            assert_eq!((figures.usage.prompt, figures.usage.completion, figures.usage.reasoning), (6, 4, Some(2)));
            assert!(!figures.estimated && figures.rounds == 2 && figures.first_delta.is_some());
        });
    }

    #[test]
    fn an_answer_without_usage_is_estimated_and_marked() {
        let request = ChatRequest { messages: vec![Message::text(Role::User, "12345678")], ..ChatRequest::default() };
        let meter = Meter::new(Instant::now());
        meter.round_begins();
        meter.hear(&said("12345678"));
        meter.round_ends(&request);
        meter.read(|figures| {
            assert_eq!((figures.usage.prompt, figures.usage.completion, figures.estimated), (6, 2, true));
        });
    }
}
