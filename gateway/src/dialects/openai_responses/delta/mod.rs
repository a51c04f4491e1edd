//! What is answered: events of a stream and whole bodies to chunks of deltas.
//!
//! A whole answer is items that were not told before, so that both are read alike. Nothing passes as it came, for ids and echoes are the
//! gateway's own. Apart from writing because it is lenient: what was not told in pieces is told when it is whole. It must not know which
//! upstream it was: faults name none, whoever asked fills that in.

mod item;

use bytes::Bytes;
use gatewright_types::{Chunk, Delta, Fault, FaultKind, FinishReason, RawJson, Usage};
use serde::Deserialize;
use serde_json::value::RawValue;

use self::item::Items;
use super::fault;
use super::sealed::Shown;
use crate::dialects::{ReadEvents, wire};

/// Reads the events of one stream, in order.
#[derive(Default)]
pub(super) struct Reader {
    items: Items,
    over: bool,
}

/// An event, as far as we know its fields.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", default)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(default)]
    output_index: u64,
    #[serde(default)]
    content_index: u64,
    #[serde(default)]
    summary_index: u64,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(borrow, default)]
    logprobs: Option<&'a RawValue>,
    /// OpenAI's document has an error's fields in its event, Open Responses an object; some servers send that without a type.
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    annotation: Option<&'a RawValue>,
}

/// An answer, as far as we know its fields.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(default)]
    id: String,
    #[serde(default)]
    model: String,
    #[serde(default)]
    created_at: f64,
    #[serde(default)]
    status: Option<String>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(default)]
    incomplete_details: Option<Incomplete>,
    #[serde(borrow, default)]
    output: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

impl ReadEvents for Reader {
    fn event(&mut self, data: Bytes) -> Result<Option<Chunk>, Fault> {
        if data.trim_ascii() == b"[DONE]" {
            return Ok(None);
        }
        let event: Event<'_> = serde_json::from_slice(&data).map_err(|error| unreadable(&error, &data))?;
        if let Some(error) = event.error.filter(|raw| !wire::is_null(raw)) {
            return Err(fault::said(Some(error)));
        }
        let mut deltas = Vec::new();
        let said = || event.delta.filter(|raw| wire::is_string(raw)).map(wire::lenient).filter(|text| !text.is_empty());
        let at = event.output_index;
        let part = (at, event.content_index);
        match &*event.kind {
            "response.created" => deltas.extend(event.response.and_then(|raw| answer(raw).ok()).map(|answer| start(&answer))),
            "response.output_text.delta" => {
                if let Some(text) = said() {
                    self.items.says(part, Delta::Text { choice: 0, text }, &mut deltas);
                }
                deltas.extend(event.logprobs.and_then(logprobs));
            }
            "response.refusal.delta" => {
                if let Some(text) = said() {
                    self.items.says(part, Delta::Refusal { choice: 0, text }, &mut deltas);
                }
            }
            "response.output_text.annotation.added" => {
                event.annotation.into_iter().for_each(|annotation| self.items.annotation(part, annotation, &mut deltas));
            }
            "response.reasoning_text.delta" | "response.reasoning.delta" => {
                self.items.think((at, Shown::Text), said().unwrap_or_default(), &mut deltas);
            }
            "response.reasoning_summary_text.delta" => {
                self.items.think((at, Shown::Summary), said().unwrap_or_default(), &mut deltas);
            }
            "response.reasoning_summary_part.added" if event.summary_index > 0 => {
                self.items.think((at, Shown::Summary), "\n\n".to_owned(), &mut deltas);
            }
            "response.output_item.added" => deltas.extend(event.item.and_then(|item| self.items.begin(at, item))),
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                deltas.extend(said().and_then(|text| self.items.piece(at, &text)));
            }
            "response.output_item.done" => event.item.into_iter().for_each(|item| self.items.done(at, item, &mut deltas)),
            "response.completed" | "response.incomplete" => {
                self.over = true;
                let answer = event.response.and_then(|raw| answer(raw).ok());
                deltas.extend(answer.iter().flat_map(|answer| self.end(answer)));
            }
            "error" => return Err(fault::said(Some(serde_json::from_slice(&data).map_err(|error| unreadable(&error, &data))?))),
            "response.failed" => return Err(fault::said(event.response.and_then(|raw| answer(raw).ok()?.error))),
            _ => {}
        }
        Ok(Some(Chunk::of(deltas)))
    }

    fn is_over(&self) -> bool {
        self.over
    }
}

impl Reader {
    fn end(&self, answer: &Answer<'_>) -> Vec<Delta> {
        let reason = answer.incomplete_details.as_ref().and_then(|why| why.reason.as_deref());
        let reason = match (answer.status.as_deref(), reason) {
            (_, Some("max_output_tokens")) => FinishReason::Length,
            (_, Some("content_filter")) => FinishReason::ContentFilter,
            (Some("incomplete"), _) => FinishReason::Length,
            _ if self.items.any_call() => FinishReason::ToolCalls,
            _ => FinishReason::Stop,
        };
        let finish = Delta::Finish { choice: 0, reason };
        answer.usage.and_then(usage).map(Delta::Usage).into_iter().chain([finish]).collect()
    }
}

fn answer(raw: &RawValue) -> Result<Answer<'_>, serde_json::Error> {
    serde_json::from_str(raw.get())
}

fn start(answer: &Answer<'_>) -> Delta {
    Delta::Start { id: answer.id.clone(), model: answer.model.clone(), created: answer.created_at as u64 }
}

/// The tokens' probabilities, as the canonical answer has them.
fn logprobs(list: &RawValue) -> Option<Delta> {
    let any = wire::items(list).is_ok_and(|items| !items.is_empty());
    let value: RawJson =
        any.then(|| RawValue::from_string(format!("{{\"content\":{},\"refusal\":null}}", list.get())).ok()).flatten()?;
    Some(Delta::Logprobs { choice: 0, value })
}

/// Reads a whole answer: one chunk with all of it.
///
/// # Errors
/// [`FaultKind::UpstreamInvalid`] when it is no answer; the upstream's own error when the body holds one.
pub(super) fn read_body(body: &Bytes) -> Result<Chunk, Fault> {
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|error| unreadable(&error, body))?;
    if let Some(error) = answer.error.filter(|raw| !wire::is_null(raw)) {
        return Err(fault::said(Some(error)));
    }
    let Some(output) = &answer.output else {
        return Err(unreadable(&"the body has no `output`", body));
    };
    let mut reader = Reader::default();
    let mut deltas = vec![start(&answer)];
    for (at, item) in (0u64..).zip(output) {
        reader.items.done(at, item, &mut deltas);
    }
    deltas.extend(reader.end(&answer));
    Ok(Chunk::of(deltas))
}

/// More tokens than any answer has.
const MOST: f64 = (1u64 << 40) as f64;

/// The tokens, each kind once.
fn usage(raw: &RawValue) -> Option<Usage> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct In {
        input_tokens: f64,
        output_tokens: f64,
        input_tokens_details: Option<Details>,
        output_tokens_details: Option<Details>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Details {
        cached_tokens: Option<f64>,
        cache_write_tokens: Option<f64>,
        reasoning_tokens: Option<f64>,
    }
    let read: In = serde_json::from_str::<Option<In>>(raw.get()).ok()??;
    let count = |number: f64| number.min(MOST) as u64;
    let input = read.input_tokens_details.unwrap_or_default();
    Some(Usage {
        prompt: count(read.input_tokens),
        completion: count(read.output_tokens),
        reasoning: read.output_tokens_details.and_then(|details| details.reasoning_tokens).map(count),
        cached: input.cached_tokens.map(count),
        cache_written: input.cache_write_tokens.map(count).filter(|tokens| *tokens > 0),
        ..Usage::default()
    })
}

/// As much of what cannot be read as is quoted, bytes.
const MAX_QUOTE: usize = 64 << 10;

fn unreadable(why: &dyn std::fmt::Display, data: &[u8]) -> Fault {
    let beginning = String::from_utf8_lossy(data.get(..data.len().min(MAX_QUOTE)).unwrap_or_default());
    // Its own words may quote the answer.
    let why = why.to_string();
    let why = why.rsplit_once(" at line").map_or(&*why, |(_, place)| place);
    Fault::upstream("", FaultKind::UpstreamInvalid, "The upstream's answer could not be read.").detail(why).quote(beginning)
}

#[cfg(test)]
mod tests;
