//! The APIs that clients and upstreams speak: for each a reader and a writer around the canonical request and its deltas.
//!
//! Apart so that a wire format is known in one folder. A dialect must not know who asks, who answers, or what a policy is. To add
//! one is a folder here and a row in [`ALL`]: paths, refusals, lists of models and providers follow from what it says of itself.
//!
//! A field that only one dialect has travels in the extras of the object it came on, under that dialect's `own` name; whoever
//! writes another dialect leaves it out.

pub mod anthropic_messages;
mod body;
pub(crate) mod efforts;
#[cfg(test)]
mod failing;
mod foreign;
pub(crate) mod ids;
mod kept;
pub(crate) mod length;
mod marks;
mod media;
pub mod openai_chat;
pub mod openai_completions;
pub mod openai_input;
pub mod openai_responses;
mod out;
#[cfg(test)]
mod pairs;
pub(crate) mod recalled;
mod requested;
mod seal;
mod signatures;
mod steering;
pub(crate) mod texts;
mod thread;
mod wire;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use gatewright_types::{ChatRequest, Chunk, Completion, Delta, Extras, Fault, Retry};

pub use self::kept::{Echo, Later, Page, Recalled, Renamed, Stage};
pub(crate) use self::marks::{announces, begins_item, is_note, points_into_text};
pub(crate) use self::media::tokens_of;
pub(crate) use self::openai_responses::said_before;
pub use self::requested::{Asked, Carried};
pub use self::seal::{Seal, Sealer};
pub(crate) use self::steering::{Place, steers, unforced};
pub(crate) use self::thread::{Thread, thread};

/// A row of [`ALL`].
pub type DialectRef = &'static dyn Dialect;

/// All dialects. The first is spoken where nothing tells another.
pub const ALL: [DialectRef; 6] = [
    &openai_chat::OpenAiChat,
    &anthropic_messages::AnthropicMessages,
    &openai_responses::OpenAiResponses,
    &openai_completions::OpenAiCompletions,
    &openai_input::EMBEDDINGS,
    &openai_input::MODERATIONS,
];

/// One API, on both sides.
pub trait Dialect: Send + Sync {
    /// Its name, as [`gatewright_types::Raw`], [`Fault::body`] and its own fields carry it.
    fn name(&self) -> &'static str;

    /// Where clients ask.
    fn path(&self) -> &'static str;

    /// Where clients have a prompt's tokens counted, if they can.
    fn count_path(&self) -> Option<&'static str> {
        None
    }

    /// Headers by which a client tells that it speaks this, on paths that several share.
    fn marks(&self) -> &'static [&'static str] {
        &[]
    }

    /// Headers of a client that an upstream of this dialect wants to see.
    fn kept_headers(&self) -> &'static [&'static str] {
        &[]
    }

    /// A client's body to the canonical request.
    ///
    /// # Errors
    /// It is no JSON, or no request: which field, what was expected and what found.
    fn read(&self, body: &[u8], asked: &Asked<'_>) -> Result<ChatRequest, Fault>;

    /// Whether answers can be kept here and asked for again.
    fn keeps(&self) -> bool {
        false
    }

    /// Ids of kept answers that a body refers to.
    fn recalls(&self, _body: &[u8]) -> Vec<String> {
        Vec::new()
    }

    /// What the answer will say again of a request that the policies have seen.
    fn echo(&self, _request: &ChatRequest) -> Option<Echo> {
        None
    }

    /// A page of the conversation before an answer that was kept.
    ///
    /// # Errors
    /// The page begins after an item that is not there.
    fn items(&self, _kept: &Recalled, _page: &Page) -> Result<Bytes, Fault> {
        Ok(Bytes::new())
    }

    /// The events of an answer that was kept, once more; those after a number alone, where one is given.
    fn replay(&self, _kept: &Recalled, _after: Option<u64>) -> Bytes {
        Bytes::new()
    }

    /// How answers are told of that are made in the background, if they can be.
    fn later(&self) -> Option<&'static dyn Later> {
        None
    }

    /// What is told of an answer that is no longer kept.
    fn forgotten(&self, _id: &str) -> Bytes {
        Bytes::new()
    }

    /// A writer of one streamed answer.
    fn events(&self, begin: Begin) -> Box<dyn WriteEvents>;

    /// The body of a whole answer, gathered from deltas.
    fn whole(&self, answer: &Completion, begin: &Begin) -> Bytes;

    /// The body of a refusal. An upstream's own error body of this dialect is passed on as it is.
    fn envelope(&self, fault: &Fault, request_id: &str) -> Bytes;

    /// The HTTP status of a refusal.
    fn status(&self, fault: &Fault) -> u16 {
        fault.status()
    }

    /// What comes before a request's id in the id of an answer that nobody named.
    fn id_prefix(&self) -> &'static str;

    /// The header that carries a request's id beside `x-request-id`.
    fn id_header(&self) -> Option<&'static str> {
        None
    }

    /// The answer to the question for a prompt's tokens.
    fn counted(&self, tokens: u64) -> Bytes {
        format!("{{\"tokens\":{tokens}}}").into()
    }

    /// One model, as it is listed.
    fn model(&self, model: &Listed<'_>) -> serde_json::Value;

    /// The list of models.
    fn models(&self, models: Vec<serde_json::Value>) -> serde_json::Value;

    /// The dialect whose servers may have this beside it, where no provider speaks it alone: it is asked for in no other words.
    fn beside(&self) -> Option<&'static str> {
        None
    }

    /// Whether an answer is text, which policies can inspect, edit and give in the model's place.
    fn answers_in_text(&self) -> bool {
        true
    }

    /// Whether an answer is blocks of one channel each, so that what was held back of one cannot follow the next.
    fn has_blocks(&self) -> bool {
        false
    }

    /// Where an upstream is asked whose base URL is this.
    fn url(&self, base: &str) -> String;

    /// Headers that an upstream wants to see of whoever holds this key.
    fn credentials(&self, key: Option<&str>) -> Vec<(&'static str, String)>;

    /// Headers of one call, from what the client sent.
    fn call_headers(&self, _request: &ChatRequest) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The body that asks an upstream. A stream is always asked for its usage, whatever the client wants to see.
    ///
    /// # Errors
    /// The request wants something that this dialect cannot say; another leg may.
    fn write(&self, request: &ChatRequest) -> Result<Bytes, Fault>;

    /// What becomes of a request in this dialect's words.
    fn carries(&self, _request: &ChatRequest) -> Carried {
        Carried::default()
    }

    /// A reader of one streamed answer.
    fn reader(&self) -> Box<dyn ReadEvents>;

    /// Reads a whole answer: one chunk with all of it.
    ///
    /// # Errors
    /// [`gatewright_types::FaultKind::UpstreamInvalid`] when it is no answer; the upstream's own error when the body holds one.
    fn read_body(&self, body: Bytes) -> Result<Chunk, Fault>;

    /// What an upstream's error body says, if it is one of this dialect.
    fn said(&self, body: &[u8]) -> Option<Said>;
}

/// Writes the events of one stream, in order.
pub trait WriteEvents: Send {
    /// One chunk as whole frames. `None` when there is nothing to tell the client.
    fn event(&mut self, chunk: &Chunk) -> Option<Bytes>;

    /// The end of a clean stream.
    fn end(&mut self) -> Bytes;

    /// The end of a stream that failed.
    fn fault(&mut self, fault: &Fault, request_id: &str) -> Bytes;

    /// Told before the end of a clean stream.
    fn ends(&mut self, _ended: Ended) {}

    /// After the end, also of one that failed, the whole answer, where it can be kept.
    fn kept(&self) -> Option<Bytes> {
        None
    }

    /// What fills a silence.
    fn keep_alive(&self) -> Bytes {
        Bytes::from_static(b": keep-alive\n\n")
    }
}

/// Reads the events of one stream, in order.
pub trait ReadEvents: Send {
    /// Reads one event's data; `None` is the stream's proper end.
    ///
    /// # Errors
    /// [`gatewright_types::FaultKind::UpstreamInvalid`] when it is not of this dialect; the upstream's own error when the event holds
    /// one.
    fn event(&mut self, data: Bytes) -> Result<Option<Chunk>, Fault>;

    /// Whether what was read last was the end, and said something all the same.
    fn is_over(&self) -> bool {
        false
    }
}

/// How an answer begins: what the door says of it until a [`gatewright_types::Delta::Start`] with more of it comes.
#[derive(Clone, Debug, Default)]
pub struct Begin {
    /// Id of the answer.
    pub id: String,
    /// Model that answers.
    pub model: String,
    /// Unix seconds.
    pub created: u64,
    /// Whether the client asked for usage. Otherwise it is left out, even though the upstream was asked for it.
    pub include_usage: bool,
    /// Seals reasoning that no vendor has signed.
    pub sealer: Option<Sealer>,
    /// Of the request.
    pub echo: Option<Arc<Echo>>,
    /// Of an answer that is over.
    pub ended: Ended,
}

/// What is known of an answer once it is over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ended {
    /// Unix seconds; 0 while it is not.
    pub at: u64,
    /// Whether it is kept.
    pub kept: bool,
}

/// A model on offer.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// What clients ask for.
    pub name: &'a str,
    /// Whose it is.
    pub owner: &'a str,
    /// Unix seconds.
    pub created: u64,
}

/// The parts of an upstream's error that a fault takes over.
#[derive(Debug)]
pub struct Said {
    /// The dialect whose envelope it is, for [`Fault::body`]: several share one.
    pub envelope: &'static str,
    /// For the client.
    pub message: String,
    /// The upstream's code.
    pub code: Option<String>,
    /// The request's field that is to blame.
    pub param: Option<String>,
}

impl fmt::Debug for dyn Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Default for DialectRef {
    fn default() -> Self {
        ALL[0]
    }
}

/// The dialect of a request of this path and with these headers, where no route tells.
pub fn guess(path: &str, has_header: impl Fn(&str) -> bool) -> DialectRef {
    let below = |dialect: &DialectRef| {
        path.strip_prefix(dialect.path()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            || dialect.marks().iter().any(|name| has_header(name))
    };
    ALL.into_iter().find(below).unwrap_or_default()
}

/// The name of a dialect's own field in the extras.
fn own(dialect: &str, field: &str) -> String {
    format!("{dialect}.{field}")
}

/// The field's name, of a name in the extras that is a dialect's own.
pub(crate) fn of_own<'a>(dialect: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(dialect)?.strip_prefix('.')
}

/// Whether a name in the extras is some dialect's own.
fn is_owned(name: &str) -> bool {
    name.contains('.') && ALL.iter().any(|dialect| of_own(dialect.name(), name).is_some())
}

/// What of an answer's fields is a dialect's own: what was answered goes back with it.
pub(crate) fn owned(mut extras: Extras) -> Extras {
    extras.retain(|name, _| is_owned(name));
    extras
}

/// Whether a delta is thought, or a signature on one.
pub(crate) fn is_thought(delta: &Delta) -> bool {
    match delta {
        Delta::Reasoning { .. } => true,
        Delta::Other { delta, .. } => delta.iter().any(|(name, _)| is_owned(name) && name.ends_with(".signature")),
        _ => false,
    }
}

/// Whether trying again helps after an upstream answered with that status: a busy or failing one may recover, one that refuses our
/// credentials, model or balance will not but another may take it, and a bad request is bad everywhere.
pub(crate) fn retry_of(status: u16) -> Retry {
    match status {
        408 | 409 | 425 | 429 | 500..=599 => Retry::Here(None),
        401..=404 | 407 => Retry::Elsewhere,
        400..=499 => Retry::Never,
        _ => Retry::Elsewhere,
    }
}

/// What an answer that is no text is kept as, among a chunk's own fields.
const ANSWER: &str = "answer";

/// Whether a field of a chunk is such an answer.
pub(crate) fn is_answer(name: &str) -> bool {
    name.split_once('.').is_some_and(|(_, field)| field == ANSWER) && is_owned(name)
}

/// The dialect of that name.
pub(crate) fn named(name: &str) -> Option<DialectRef> {
    ALL.into_iter().find(|dialect| dialect.name() == name)
}

/// Adds a field of a dialect's own.
fn keep(extras: &mut Extras, dialect: &str, (field, value): (&str, &serde_json::value::RawValue)) {
    extras.push(own(dialect, field), value.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialect_is_known_by_its_path_or_a_header() {
        let name = |path: &str, header: Option<&str>| guess(path, |name| Some(name) == header).name();
        assert_eq!(name("/v1/messages/batches", None), "anthropic_messages");
        assert_eq!((name("/v1/messagesx", None), name("/v1/nothing", None)), ("openai_chat", "openai_chat"));
        assert_eq!(name("/v1/models", Some("anthropic-version")), "anthropic_messages");
    }
}
