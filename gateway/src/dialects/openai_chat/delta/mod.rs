//! What is answered: events of a stream and whole bodies to chunks of deltas.
//!
//! Apart from writing because it is lenient: whatever an upstream sends is kept, typed where we know the field and raw where we do
//! not. It must not know which upstream it was: faults name none, whoever asked fills that in.

mod calls;
mod choice;
pub(in crate::dialects) mod usage;

use std::borrow::Cow;

use bytes::Bytes;
use gatewright_types::{Chunk, Delta, Extras, Fault, FaultKind, Raw};
use serde::de::{DeserializeSeed, MapAccess};
use serde_json::value::RawValue;

use self::calls::Numbers;
use self::choice::ChoiceIn;
use super::{NAME, fault};
use crate::dialects::wire::{self, ListInto, ObjectInto, Take};

/// Reads one event's data on its own; see [`Reader::event`].
///
/// # Errors
/// As [`Reader::event`].
pub fn read_event(data: Bytes) -> Result<Option<Chunk>, Fault> {
    Reader::default().event(data)
}

/// Reads a whole answer: one chunk with all of it.
///
/// # Errors
/// [`FaultKind::UpstreamInvalid`] when it is no answer; the upstream's own error when the body holds one.
pub fn read_body(body: Bytes) -> Result<Chunk, Fault> {
    let (mut chunk, respelled, choices) = read(&body, Form::Body { start: true }, &mut Numbers::default())?;
    if !choices {
        return Err(unreadable("the body has no `choices`", &body));
    }
    chunk.raw = (!respelled).then_some(Raw::Body(NAME, body));
    Ok(chunk)
}

/// Reads the events of one stream, in order.
#[derive(Debug, Default)]
pub struct Reader {
    started: bool,
    numbers: Numbers,
}

impl Reader {
    /// Reads one event's data; `None` is `[DONE]`. The first chunk that names
    /// its id or model begins with a [`Delta::Start`].
    ///
    /// # Errors
    /// [`FaultKind::UpstreamInvalid`] when it is not JSON of this dialect; the upstream's own error when the event holds one.
    pub fn event(&mut self, data: Bytes) -> Result<Option<Chunk>, Fault> {
        if data.trim_ascii() == b"[DONE]" {
            return Ok(None);
        }
        let (mut chunk, respelled, _) = read(&data, Form::Event { start: !self.started }, &mut self.numbers)?;
        self.started |= matches!(chunk.deltas.first(), Some(Delta::Start { .. }));
        chunk.raw = (!respelled).then_some(Raw::Event(NAME, data));
        Ok(Some(chunk))
    }
}

/// What is read, and whether it opens the answer.
#[derive(Clone, Copy)]
enum Form {
    Event { start: bool },
    Body { start: bool },
}

/// One chunk or body while it is parsed.
#[derive(Default)]
struct Answer<'a> {
    id: Option<Cow<'a, str>>,
    model: Option<Cow<'a, str>>,
    created: Option<u64>,
    error: Option<&'a RawValue>,
    usage: Option<&'a RawValue>,
    choices: Option<Vec<ChoiceIn<'a>>>,
    extras: Extras,
}

impl<'de> Take<'de> for Answer<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "object" => return wire::skip(map),
            "choices" => {
                let mut choices = Vec::with_capacity(1);
                map.next_value_seed(ListInto(&mut choices))?;
                self.choices = Some(choices);
                return Ok(());
            }
            "id" | "model" | "created" | "error" | "usage" => {}
            _ => return wire::keep(map, name, &mut self.extras),
        }
        let raw: &'de RawValue = map.next_value()?;
        match name {
            _ if wire::is_null(raw) => {}
            "id" => self.id = wire::text(raw).ok(),
            "model" => self.model = wire::text(raw).ok(),
            // Some servers send it with a fraction.
            "created" => self.created = wire::float(raw).ok().map(|seconds| seconds as u64),
            "error" => self.error = Some(raw),
            _ => self.usage = Some(raw),
        }
        Ok(())
    }
}

/// The chunk, whether a spelling or a number in it is not the one that we emit, and whether it had choices.
fn read(data: &Bytes, form: Form, numbers: &mut Numbers) -> Result<(Chunk, bool, bool), Fault> {
    let text = std::str::from_utf8(data).map_err(|_| unreadable("it is not UTF-8", data))?;
    let mut answer = Answer::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let read = ObjectInto(&mut answer).deserialize(&mut json).and_then(|()| json.end());
    // The error's own words may quote the answer.
    read.map_err(|error| unreadable(&format!("{:?} error at column {}", error.classify(), error.column()), data))?;
    if let Some(error) = answer.error {
        return Err(fault::said(error, data));
    }
    let mut chunk = Chunk { deltas: Vec::with_capacity(2), extras: answer.extras, raw: None };
    let (Form::Event { start } | Form::Body { start }) = form;
    let (id, model) = (answer.id.unwrap_or_default(), answer.model.unwrap_or_default());
    if start && !(id.is_empty() && model.is_empty()) {
        let created = answer.created.unwrap_or_default();
        chunk.deltas.push(Delta::Start { id: id.into_owned(), model: model.into_owned(), created });
    }
    let mut respelled = false;
    let had_choices = answer.choices.is_some();
    for (position, choice) in answer.choices.into_iter().flatten().enumerate() {
        respelled |= choice.respelled();
        respelled |= !choice.into_deltas(position, (form, &mut *numbers), &mut chunk.deltas);
    }
    if let Some(usage) = answer.usage.and_then(usage::read) {
        chunk.deltas.push(Delta::Usage(usage));
    }
    Ok((chunk, respelled, had_choices))
}

/// As much of what cannot be read as is quoted, bytes.
const MAX_QUOTE: usize = 64 << 10;

/// What the upstream sent cannot be read. An operator who lets answers be logged sees the beginning of it, the client does not.
pub(in crate::dialects) fn unreadable(why: &str, data: &[u8]) -> Fault {
    let beginning = String::from_utf8_lossy(data.get(..data.len().min(MAX_QUOTE)).unwrap_or_default());
    Fault::upstream("", FaultKind::UpstreamInvalid, "The upstream's answer could not be read.").detail(why).quote(beginning)
}

#[cfg(test)]
mod tests;
