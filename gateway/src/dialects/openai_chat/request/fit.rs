//! A request that was read in another dialect, fitted to this one: messages that were one are made one again, media is spelled as here,
//! and what this dialect has no place for is put where it has.
//!
//! Apart because a request of this dialect needs none of it. It must not know which dialect it was: it sees canonical messages, and
//! media in any spelling.

use std::borrow::Cow;

use gatewright_types::{ChatRequest, Content, Fault, FaultKind, Message, Part, Retry, Role};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::NAME;
use super::raw_json;
use crate::dialects::media::{Media, What};
use crate::dialects::out::Out;
use crate::dialects::{Carried, Place, anthropic_messages, efforts, foreign, is_owned, openai_responses, signatures, steers};

/// The messages as this dialect can say them.
pub(super) fn messages(request: &ChatRequest) -> Cow<'_, [Message]> {
    if is_own(request) {
        return Cow::Borrowed(&request.messages);
    }
    let mut fitted: Vec<Message> = Vec::with_capacity(request.messages.len());
    let mut shown = Vec::new();
    for message in &request.messages {
        let mut message = message.clone();
        spell(&mut message.content);
        for call in message.tool_calls.iter_mut().filter(|call| call.arguments.trim().is_empty()) {
            call.arguments = call.json().to_owned();
        }
        match (&message.role, fitted.last_mut()) {
            (Role::Assistant, Some(last)) if message.continues && last.role == Role::Assistant => {
                join(last, message);
                continue;
            }
            (Role::Tool, _) => {
                shown.append(&mut take_media(&mut message.content));
                answer(&mut message);
            }
            _ => show(&mut fitted, &mut shown),
        }
        // An answer's blocks are cut where it is cited, in the midst of a sentence.
        let between = if message.role == Role::Assistant { "" } else { "\n\n" };
        flatten(&mut message.content, between);
        fitted.push(message);
    }
    show(&mut fitted, &mut shown);
    Cow::Owned(fitted)
}

/// A result of a tool says something here, if only an empty text. That it failed has no field of its own: most say so in their words, and
/// one that says nothing is given some.
fn answer(message: &mut Message) {
    if message.content.joined().is_empty() {
        let said = if anthropic_messages::failed(message) { "The tool failed." } else { "" };
        message.content = Content::Text(said.to_owned());
    }
}

/// What results of tools show: here only a user can show something.
fn show(fitted: &mut Vec<Message>, shown: &mut Vec<Part>) {
    if !shown.is_empty() {
        fitted.push(Message { content: Content::Parts(std::mem::take(shown)), ..Message::text(Role::User, "") });
    }
}

/// The second part of an answer that was one.
fn join(first: &mut Message, second: Message) {
    let parts = |content: Content| match content {
        Content::Absent | Content::Null => Vec::new(),
        Content::Text(text) if text.is_empty() => Vec::new(),
        Content::Text(text) => vec![Part::Text { text, extras: gatewright_types::Extras::new() }],
        Content::Parts(parts) => parts,
    };
    let mut all = parts(std::mem::take(&mut first.content));
    all.extend(parts(second.content));
    first.content = Content::Parts(all);
    flatten(&mut first.content, "");
    first.reasoning = match (first.reasoning.take(), second.reasoning) {
        (Some(first), Some(second)) => Some(first + &second),
        (first, second) => first.or(second),
    };
    first.tool_calls.extend(second.tool_calls);
}

/// Refuses what this dialect has no words for; another leg may have. What a vendor's own tools did within an answer is left out: the
/// answer's words tell of it.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] at the message that has such a part.
pub(in super::super) fn refuse(request: &ChatRequest) -> Result<(), Fault> {
    if is_own(request) {
        return Ok(());
    }
    foreign::refuse(request, NAME)?;
    let said = |message: &&Message| message.role != Role::Assistant;
    for (at, message) in request.messages.iter().enumerate().filter(|(_, message)| said(message)) {
        let Content::Parts(parts) = &message.content else { continue };
        for part in parts {
            let Part::Other { kind, raw } = part else { continue };
            let foreign = is_owned(kind) || matches!(&**kind, "image" | "document");
            if foreign && Media::read(kind, raw).is_none() && words(kind, raw).is_none() {
                let kind = kind.rsplit('.').next().unwrap_or_default();
                let message = format!("The model that would answer takes no such `{kind}` parts.");
                let fault = Fault::caller(FaultKind::InvalidRequest, message).at(format!("messages[{at}].content"));
                return Err(fault.retry(Retry::Elsewhere));
            }
        }
    }
    Ok(())
}

/// What becomes of a request here: what a vendor's own tools did within an answer, and fields that are another dialect's own, have no
/// words.
pub(in super::super) fn carries(request: &ChatRequest) -> Carried {
    let said = request.extras.get("reasoning_effort").and_then(|json| json.strip_prefix('"')?.strip_suffix('"'));
    // A client's text, on its way into a header.
    let said = said.filter(|word| word.len() <= 32);
    let thinking = said.or_else(|| effort(request)).map(|word| format!("effort={word}"));
    let mut carried = Carried { thinking, ..Carried::default() };
    if cannot_be_stilled(request) {
        carried.leaves_out("thinking");
    }
    if is_own(request) {
        return carried;
    }
    signatures::foreign(request, NAME).for_each(|name| carried.leaves_out(name));
    let fields = request.extras.iter().filter(|(name, _)| is_owned(name) && !steers(Place::Request, name));
    // The answer's echo names these one by one.
    let fields = fields.filter(|(name, _)| !openai_responses::is_hosted(name));
    fields.filter_map(|(name, _)| name.rsplit('.').next()).for_each(|name| carried.leaves_out(name));
    openai_responses::left_out(request).for_each(|name| carried.leaves_out(&name));
    foreign::leave_out(request, NAME, &mut carried);
    for message in &request.messages {
        if anthropic_messages::failed(message) {
            carried.leaves_out("is_error");
        }
        let Content::Parts(parts) = &message.content else { continue };
        for part in parts {
            if let Part::Other { kind, .. } = part
                && is_owned(kind)
            {
                carried.leaves_out(kind.rsplit('.').next().unwrap_or_default());
            }
        }
    }
    carried
}

/// Whether a request was read in this dialect.
fn is_own(request: &ChatRequest) -> bool {
    request.spoken == NAME || request.spoken.is_empty()
}

/// Media in this dialect's spelling, and a document of words as the words.
fn spell(content: &mut Content) {
    let Content::Parts(parts) = content else { return };
    // Others than those of an answer were refused before.
    parts.retain(|part| !matches!(part, Part::Other { kind, .. } if is_owned(kind)));
    for part in parts {
        let Part::Other { kind, raw } = part else { continue };
        if matches!(&**kind, "image_url" | "file") {
            // It is spelled as here, and may say more than others can.
            continue;
        }
        let spelled = match Media::read(kind, raw) {
            Some(media) => Some(write(&media)),
            None => words(kind, raw).map(|text| Part::Text { text, extras: gatewright_types::Extras::new() }),
        };
        if let Some(spelled) = spelled {
            *part = spelled;
        }
    }
}

/// What a document says that is nothing but text, under its title and what is said of it.
fn words(kind: &str, raw: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Document {
        title: Option<String>,
        context: Option<String>,
        source: Text,
    }
    #[derive(Deserialize)]
    struct Text {
        #[serde(rename = "type")]
        kind: String,
        data: String,
    }
    let document: Document = serde_json::from_str(raw.get()).ok().filter(|_| kind == "document")?;
    let Document { title, context, source } = document;
    (source.kind == "text").then(|| title.into_iter().chain(context).chain([source.data]).collect::<Vec<_>>().join("\n\n"))
}

fn write(media: &Media<'_>) -> Part {
    let mut out = Out::default();
    let kind = match media.what {
        What::Image => "image_url",
        What::File => "file",
    };
    out.open();
    out.text("type", kind);
    out.name(kind);
    out.open();
    match media.what {
        What::Image => out.text("url", &media.url()),
        What::File => {
            out.text("filename", media.name.as_deref().unwrap_or("document"));
            out.text("file_data", &media.url());
        }
    }
    out.close();
    out.close();
    let json = String::from_utf8(out.done().into()).unwrap_or_default();
    Part::Other { kind: kind.to_owned(), raw: raw_json(json) }
}

fn take_media(content: &mut Content) -> Vec<Part> {
    let Content::Parts(parts) = content else { return Vec::new() };
    parts.extract_if(.., |part| matches!(part, Part::Other { .. })).collect()
}

/// Nothing but texts is one text: many servers of this dialect take lists from users alone.
fn flatten(content: &mut Content, between: &str) {
    let Content::Parts(parts) = &*content else { return };
    let text = |part: &Part| if let Part::Text { text, .. } = part { Some(text.clone()) } else { None };
    if let Some(texts) = parts.iter().map(text).collect::<Option<Vec<_>>>() {
        *content = Content::Text(texts.join(between));
    }
}

/// How much the model may think, as this dialect has words for it; `None` where the request says nothing, or says it in its own words.
pub(crate) fn effort(request: &ChatRequest) -> Option<&str> {
    let thinking = request.thinking.as_ref().filter(|_| request.extras.get("reasoning_effort").is_none())?;
    match (thinking.budget, thinking.effort.as_deref()) {
        // Not every model has a word for it: the rules of one say it, where it has.
        (Some(0), _) => None,
        (_, Some("max")) => Some("high"),
        (_, Some(word)) => Some(word),
        (Some(tokens), None) => Some(efforts::of_budget(tokens)),
        (None, None) => None,
    }
}

/// Whether the model shall not think, and there is no word for that which it is known to take.
pub(in crate::dialects) fn cannot_be_stilled(request: &ChatRequest) -> bool {
    let still = request.thinking.as_ref().is_some_and(|thinking| thinking.budget == Some(0));
    still && request.extras.get("reasoning_effort").is_none()
}
