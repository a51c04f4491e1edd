//! A text, or a list of texts, as `prompt` and `input` hold them: each is a message of the canonical request, so that policies see it
//! as they see any prompt.
//!
//! Apart because three APIs take them. What is no text (tokens, media) is kept byte for byte as a part of its own kind, so that nobody
//! takes it for inspected. It must not know what is done with them.

use gatewright_types::{ChatRequest, Content, Extras, Message, Part, Role};
use serde_json::value::RawValue;

use super::out::Out;
use super::wire::{self, Wrong};
use super::{keep, own};

/// The note that a list came, were it of one.
const LIST: &str = "list";
/// Texts in one request: each may be an answer.
const MOST: usize = 4096;
/// The kind of a part that is tokens.
const TOKENS: &str = "tokens";

/// Whether a request asks with tokens, which nobody can read who reads texts.
pub(crate) fn has_tokens(request: &ChatRequest) -> bool {
    let is = |part: &Part| matches!(part, Part::Other { kind, .. } if kind == TOKENS);
    request.messages.iter().any(|message| matches!(&message.content, Content::Parts(parts) if parts.iter().any(is)))
}

/// Reads the field's value into messages.
pub(super) fn read(request: &mut ChatRequest, raw: &RawValue) -> Result<(), Wrong> {
    const EXPECTED: &str = "a string or an array";
    if wire::is_string(raw) {
        request.messages.push(Message::text(Role::User, wire::string(raw)?));
        return Ok(());
    }
    let items = wire::items(raw).map_err(|_| Wrong::kind(EXPECTED, raw))?;
    match items.first() {
        None => return Err(Wrong::says(format!("expected {EXPECTED} with something in it"))),
        Some(first) if first.get().starts_with(|digit: char| digit.is_ascii_digit()) => {
            request.messages.push(of(other(TOKENS, raw)));
            return Ok(());
        }
        Some(_) if items.len() > MOST => return Err(Wrong::says(format!("it has {} items; {MOST} are taken", items.len()))),
        Some(_) => {}
    }
    for (at, value) in items.into_iter().enumerate() {
        request.messages.push(item(value).map_err(|wrong| wrong.item(at))?);
    }
    keep(&mut request.extras, request.spoken, (LIST, RawValue::TRUE));
    Ok(())
}

fn item(raw: &RawValue) -> Result<Message, Wrong> {
    match raw.get().as_bytes().first() {
        Some(b'"') => Ok(Message::text(Role::User, wire::string(raw)?)),
        Some(b'[') => Ok(of(other(TOKENS, raw))),
        Some(b'{') => part(raw).map(of),
        _ => Err(Wrong::kind("a string, an array of tokens or a part", raw)),
    }
}

fn part(raw: &RawValue) -> Result<Part, Wrong> {
    let fields = wire::object(raw)?;
    let field = |wanted: &str| fields.0.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
    let kind = field("type").and_then(|kind| wire::string(kind).ok()).unwrap_or_default();
    match field("text").filter(|text| kind == "text" && wire::is_string(text)) {
        Some(text) => {
            let mut extras = Extras::new();
            let rest = fields.0.iter().filter(|(name, _)| !matches!(&**name, "type" | "text"));
            rest.for_each(|(name, value)| extras.push(&**name, (*value).to_owned()));
            Ok(Part::Text { text: wire::string(text)?, extras })
        }
        None => Ok(other(&kind, raw)),
    }
}

fn other(kind: &str, raw: &RawValue) -> Part {
    Part::Other { kind: kind.to_owned(), raw: raw.to_owned() }
}

fn of(part: Part) -> Message {
    Message { content: Content::Parts(vec![part]), ..Message::text(Role::User, "") }
}

/// Writes these messages as the value of a field, in the form that they came in.
pub(super) fn write<'a>(out: &mut Out, request: &ChatRequest, (name, messages): (&str, impl Iterator<Item = &'a Message>)) {
    let list = request.extras.get(&own(request.wants, LIST)).is_some();
    out.name(name);
    if list {
        out.open_list();
        messages.for_each(|message| write_item(out, message));
        out.close_list();
    } else {
        // One that is none would not be JSON.
        let mut messages = messages.peekable();
        match messages.peek() {
            Some(only) => write_item(out, only),
            None => out.string(""),
        }
    }
}

fn write_item(out: &mut Out, message: &Message) {
    match &message.content {
        Content::Absent | Content::Null => out.string(""),
        Content::Text(text) => out.string(text),
        Content::Parts(parts) => match parts.first() {
            Some(Part::Other { raw, .. }) => out.raw(raw.get()),
            Some(Part::Text { text, extras }) => {
                out.open();
                out.text("type", "text");
                out.text("text", text);
                out.extras(extras, |_, _| true);
                out.close();
            }
            None => out.string(""),
        },
    }
}
