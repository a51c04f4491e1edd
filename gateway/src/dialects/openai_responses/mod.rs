//! OpenAI's Responses API (Open Responses), as clients speak it and as upstreams answer it.
//!
//! `request` reads and writes what is asked, `echo` keeps of it what the answer says again, `delta` reads answers, `write` writes them,
//! `fault` words refusals. A conversation is items here and messages there: what only this dialect has travels in extras under names of its own. Apart so that
//! another API is another folder. It must not know HTTP, sockets, time, or where answers are kept.

mod delta;
mod echo;
mod fault;
mod ids;
mod items;
mod later;
mod page;
mod request;
mod sealed;
mod write;

#[cfg(test)]
mod golden;

use std::borrow::Cow;

use bytes::Bytes;
use gatewright_types::{ChatRequest, Choice, Chunk, Completion, Extras, Fault, Message};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{
    Asked, Begin, Carried, Dialect, Echo, Later, Listed, Page, Place, ReadEvents, Recalled, Renamed, Said, WriteEvents, openai_chat,
};

/// The name of this dialect, as [`gatewright_types::Raw`] and [`gatewright_types::Fault::body`] carry it.
pub const NAME: &str = "openai_responses";

/// The request's own instructions, among its messages. The value is always `true`.
const INSTRUCTIONS: &str = "instructions";
/// Tools that whoever answers runs itself, a list: other dialects do not have them.
const HOSTED: &str = "hosted_tools";

/// Whether a field of a request holds tools that OpenAI would run.
pub(super) fn is_hosted(field: &str) -> bool {
    super::own(NAME, HOSTED) == field
}
/// The kinds of items of a conversation that no other dialect has.
fn unknown_items(request: &ChatRequest) -> impl Iterator<Item = String> + '_ {
    #[derive(serde::Deserialize)]
    struct Item {
        #[serde(rename = "type")]
        kind: String,
    }
    let extras = request.messages.iter().flat_map(|message| message.extras.iter());
    let beside = extras.filter(|(name, _)| super::of_own(NAME, name).is_some_and(|name| matches!(name, AFTER | BEFORE)));
    let kinds = beside.filter_map(|(_, raw)| serde_json::from_str::<Item>(raw.get()).ok().map(|item| item.kind));
    // A client's text, on its way into a header.
    kinds
        .filter(|kind| kind.len() <= 64 && kind.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-')))
}

/// What of a request only this dialect has words for, by names that are fit for a header: kinds of items, and what steers the answer.
pub(crate) fn left_out(request: &ChatRequest) -> impl Iterator<Item = String> + '_ {
    let said = |name: &str| own(&request.extras, name);
    let steering = [
        ("tool_choice", request::asks_for_hosted(request)),
        ("max_tool_calls", said("max_tool_calls").is_some()),
        ("truncation", said("truncation").is_some_and(|word| word != "\"disabled\"")),
        ("service_tier", said("service_tier").is_some_and(|tier| !matches!(tier, "\"auto\"" | "\"default\""))),
        ("prompt_cache_key", said("prompt_cache_key").is_some()),
        ("prompt_cache_retention", said("prompt_cache_retention").is_some()),
        ("safety_identifier", said("safety_identifier").is_some()),
        (ENCRYPTED, sealed::has(request)),
    ];
    let steering = steering.into_iter().filter(|(_, there)| *there).map(|(name, _)| name.to_owned());
    steering.chain(unknown_items(request))
}

/// Gives a field that OpenAI's chat completions have too to a server of that dialect which takes it, by its name; other servers refuse
/// all that they do not know.
pub(crate) fn share(request: &mut Cow<'_, ChatRequest>, name: &str) {
    if SHARED.contains(&name) && own(&request.extras, name).is_some() {
        let extras = &mut request.to_mut().extras;
        if let Some(value) = extras.take(&super::own(NAME, name)) {
            extras.push(name, value);
        }
    }
}

/// A provider's seals on what it answers are noted as its own.
pub(crate) fn stamp(chunk: &mut Chunk, provider: &str) {
    sealed::stamp(chunk, provider);
}

/// A request as this provider may have it: without what others have sealed.
pub(crate) fn withhold<'a>(request: Cow<'a, ChatRequest>, provider: &str) -> Cow<'a, ChatRequest> {
    sealed::withhold(request, provider)
}

/// What a provider of this dialect is not shown, by the name of it.
pub(crate) fn withheld(request: &ChatRequest, provider: &str) -> Option<&'static str> {
    sealed::has_others(request, provider).then_some(ENCRYPTED)
}

/// Fields on how to serve that OpenAI's chat completions have too, each a text.
const SHARED: [&str; 4] = ["service_tier", "prompt_cache_key", "prompt_cache_retention", "safety_identifier"];

/// Whether the answer is kept: always there, as `true` or `false`.
const STORE: &str = "store";
/// Whether the answer is made while nobody waits: there where it is, as `true`.
const BACKGROUND: &str = "background";
/// The answer that this one follows.
const PREVIOUS: &str = "previous_response_id";
/// How the model shall reason, as the client gave it.
const REASONING: &str = "reasoning";
/// What else the client wants to see.
const INCLUDE: &str = "include";
/// Among the latter: thought that its vendor has sealed.
const ENCRYPTED: &str = "reasoning.encrypted_content";
/// Which tool to call, as the client said it, where the canonical request cannot say it.
const TOOL_CHOICE: &str = "tool_choice";
/// Of a tool: the namespace that it is in, `{name, description}`. Of a call of a tool that nobody declared: its name.
const NAMESPACE: &str = "namespace";
/// Of a tool, or of a call of one that nobody declared: the client's name for it, where the model has another.
const CALLED: &str = "name";
/// Of a tool that takes a text: the format of it, or null. Of a call of one that nobody declared: `true`.
const CUSTOM: &str = "custom";
/// Items of kinds that we do not know, which stood after a message or before the first one.
const AFTER: &str = "item_after";
const BEFORE: &str = "item_before";
/// Of a message or a call that was kept before: the id that it was told with, and that of the thought before it.
const ITEM_ID: &str = "item_id";
const THOUGHT_ID: &str = "thought_id";
/// Thought that its vendor has sealed, see `sealed`.
const SEALED: &str = "sealed";
/// Of a message: its thought goes back in the open. The value is always `true`.
const OPEN: &str = "open";
/// Of an answer: what comes next is the summary of a thought. The value is always `true`.
const SUMMARY: &str = "summary";
/// Of an answer: an item that no other dialect has, whole.
const ITEM: &str = "item";
/// Of an answer: a message begins; its phase, or `true` where it has none that is known. Of a message: its phase.
const PHASE: &str = "phase";
/// The phases that are known.
const PHASES: [&str; 2] = ["commentary", "final_answer"];
/// Of a message that has another: that is a text like any other, and no note.
const OTHER_PHASE: &str = "other_phase";
/// Of an answer: something is said of the text that came last. Of a text: all that is said of it, a list.
const ANNOTATION: &str = "annotation";
const ANNOTATIONS: &str = "annotations";
/// What comes before the core of an answer's id.
const PREFIX: &str = "resp_";

/// The field that a phase is kept under.
fn phase_field(phase: &str) -> &'static str {
    if PHASES.contains(&phase) { PHASE } else { OTHER_PHASE }
}

/// The phase of a message, JSON.
fn phase(extras: &Extras) -> Option<&str> {
    // Of an answer of ours the first may only say that there is none.
    [PHASE, OTHER_PHASE].into_iter().find_map(|field| own(extras, field).filter(|phase| phase.starts_with('"')))
}

/// Whether an item of an answer begins with a field.
pub(super) fn begins_item(field: &str) -> bool {
    announces(field) || super::of_own(NAME, field) == Some(ITEM)
}

/// Whether a field only says what kind of text comes next.
pub(super) fn announces(field: &str) -> bool {
    super::of_own(NAME, field).is_some_and(|field| matches!(field, PHASE | SUMMARY))
}

/// Whether a field is a note of ours that holds no text but a word.
pub(super) fn is_note(field: &str) -> bool {
    super::of_own(NAME, field) == Some(PHASE)
}

/// Whether a field of a message, or of what is within one, is a word that its reader knows, or an id of ours: no client writes a text there.
pub(super) fn is_known_note(place: Place, field: &str) -> bool {
    super::of_own(NAME, field).is_some_and(|field| match place {
        Place::Request => false,
        Place::Message => matches!(field, PHASE | ITEM_ID | THOUGHT_ID),
        Place::Within => field == ITEM_ID,
    })
}

/// Whether a field says where in a text something is.
pub(super) fn is_annotation(field: &str) -> bool {
    super::of_own(NAME, field).is_some_and(|field| matches!(field, ANNOTATION | ANNOTATIONS))
}

/// The row of this dialect.
#[derive(Clone, Copy)]
pub struct OpenAiResponses;

impl Dialect for OpenAiResponses {
    fn name(&self) -> &'static str {
        NAME
    }

    fn path(&self) -> &'static str {
        "/v1/responses"
    }

    fn count_path(&self) -> Option<&'static str> {
        Some("/v1/responses/input_tokens")
    }

    fn read(&self, body: &[u8], asked: &Asked<'_>) -> Result<ChatRequest, Fault> {
        request::read(body, asked)
    }

    fn keeps(&self) -> bool {
        true
    }

    fn recalls(&self, body: &[u8]) -> Vec<String> {
        request::recalls(body)
    }

    fn echo(&self, request: &ChatRequest) -> Option<Echo> {
        Some(echo::of(request))
    }

    fn items(&self, kept: &Recalled, page: &Page) -> Result<Bytes, Fault> {
        page::page(kept, page)
    }

    fn replay(&self, kept: &Recalled, after: Option<u64>) -> Bytes {
        write::replay(kept, after)
    }

    fn later(&self) -> Option<&'static dyn Later> {
        Some(&later::InBackground)
    }

    fn forgotten(&self, id: &str) -> Bytes {
        page::forgotten(id)
    }

    fn events(&self, begin: Begin) -> Box<dyn WriteEvents> {
        Box::new(write::Events::new(begin))
    }

    fn whole(&self, answer: &Completion, begin: &Begin) -> Bytes {
        write::whole(answer, begin)
    }

    fn envelope(&self, fault: &Fault, _: &str) -> Bytes {
        fault::envelope(fault)
    }

    fn id_prefix(&self) -> &'static str {
        PREFIX
    }

    fn counted(&self, tokens: u64) -> Bytes {
        format!("{{\"object\":\"response.input_tokens\",\"input_tokens\":{tokens}}}").into()
    }

    fn model(&self, model: &Listed<'_>) -> Value {
        json!({ "id": model.name, "object": "model", "created": model.created, "owned_by": model.owner })
    }

    fn models(&self, models: Vec<Value>) -> Value {
        json!({ "object": "list", "data": models })
    }

    fn has_blocks(&self) -> bool {
        true
    }

    fn url(&self, base: &str) -> String {
        format!("{base}/responses")
    }

    fn credentials(&self, key: Option<&str>) -> Vec<(&'static str, String)> {
        openai_chat::OpenAiChat.credentials(key)
    }

    fn write(&self, request: &ChatRequest) -> Result<Bytes, Fault> {
        request::write(request)
    }

    fn carries(&self, request: &ChatRequest) -> Carried {
        request::carries(request)
    }

    fn reader(&self) -> Box<dyn ReadEvents> {
        Box::new(delta::Reader::default())
    }

    fn read_body(&self, body: Bytes) -> Result<Chunk, Fault> {
        delta::read_body(&body)
    }

    fn said(&self, body: &[u8]) -> Option<Said> {
        openai_chat::OpenAiChat.said(body)
    }
}

/// An answer as the messages that its client would send back, where items are in it that no other dialect has: each stays where it stood.
pub(crate) fn said_before(said: &Choice) -> Option<Vec<Message>> {
    #[derive(serde::Deserialize)]
    struct Whole<'a> {
        #[serde(borrow)]
        output: &'a RawValue,
    }
    said.message_extras.iter().find(|(name, _)| super::of_own(NAME, name) == Some(ITEM))?;
    // How it ended is nothing that was said.
    let answer = Completion { choices: vec![Choice { finish: None, ..said.clone() }], ..Completion::default() };
    let whole = write::whole(&answer, &Begin { id: format!("{PREFIX}0"), ..Begin::default() });
    let Whole { output } = serde_json::from_slice(&whole).ok()?;
    let body = json!({ "model": NAME, "input": output }).to_string();
    request::read(body.as_bytes(), &Asked::default()).ok().map(|request| request.messages)
}

/// Marks a message whose thought goes back in the open, to servers that want it so.
pub(crate) fn keep_open(extras: &mut Extras) {
    if own(extras, OPEN).is_none() {
        keep(extras, OPEN, RawValue::TRUE);
    }
}

/// Takes out what a request says of thought in this dialect's words, for models that do not think.
pub(crate) fn forget_thought(extras: &mut Extras) {
    extras.take(&super::own(NAME, REASONING));
    let wanted: Option<Vec<String>> = own(extras, INCLUDE).and_then(|json| serde_json::from_str(json).ok());
    if let Some(mut wanted) = wanted {
        wanted.retain(|name| name != ENCRYPTED);
        extras.take(&super::own(NAME, INCLUDE));
        keep_value(extras, INCLUDE, &wanted);
    }
}

/// The field of this dialect's own in a pocket.
fn own<'a>(extras: &'a Extras, field: &str) -> Option<&'a str> {
    extras.get(&super::own(NAME, field))
}

/// Puts a field of this dialect's own into a pocket.
fn keep(extras: &mut Extras, field: &str, value: &RawValue) {
    super::keep(extras, NAME, (field, value));
}

/// The same, of a value that can be written as JSON.
fn keep_value(extras: &mut Extras, field: &str, value: &impl serde::Serialize) {
    if let Ok(value) = serde_json::value::to_raw_value(value) {
        keep(extras, field, &value);
    }
}

/// How the client knows the tool that is called, where a call says so itself.
fn known_of(extras: &Extras, called: &str) -> Option<Renamed> {
    let (name, namespace) = (own_text(extras, CALLED), own_text(extras, NAMESPACE));
    let takes_text = own(extras, CUSTOM).is_some();
    let says = name.is_some() || namespace.is_some() || takes_text;
    says.then(|| Renamed { called: called.to_owned(), name: name.unwrap_or_else(|| called.to_owned()), namespace, takes_text })
}

/// The text of a field of this dialect's own.
fn own_text(extras: &Extras, field: &str) -> Option<String> {
    serde_json::from_str(own(extras, field)?).ok()
}
