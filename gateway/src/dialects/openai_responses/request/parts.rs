//! What a message or a result holds: texts, images, files, refusals.
//!
//! Apart because messages and results of tools share it. Media is kept in a spelling that all dialects read, what has none as it came,
//! under a kind of this dialect's own. It must not look into the data.

use gatewright_types::{Content, Extras, Message, Part};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::{get, must, text};
use crate::dialects::openai_responses::{ANNOTATIONS, NAME, keep};
use crate::dialects::own;
use crate::dialects::wire::{self, Wrong};

/// A string, or parts of which each is a text or media. A refusal among them goes to the message.
pub(super) fn content(message: &mut Message, raw: &RawValue) -> Result<(), Wrong> {
    if wire::is_string(raw) {
        message.content = Content::Text(wire::string(raw)?);
        return Ok(());
    }
    let items = wire::items(raw).map_err(|_| Wrong::kind("a string or an array of content parts", raw))?;
    let mut parts = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        match part(item).map_err(|wrong| wrong.item(at))? {
            Held::Part(part) => parts.push(part),
            Held::Refusal(text) => message.refusal.get_or_insert_default().push_str(&text),
        }
    }
    message.content = Content::Parts(parts);
    Ok(())
}

enum Held {
    Part(Part),
    Refusal(String),
}

fn part(raw: &RawValue) -> Result<Held, Wrong> {
    let fields = wire::object(raw)?;
    let missing = || Wrong::says("expected the kind of the part, such as 'input_text', but it is missing").within("type");
    let kind = text(&fields, "type")?.ok_or_else(missing)?;
    let spelled = match &*kind {
        "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text" => {
            let mut extras = Extras::new();
            // What is said of an answer's text belongs to it.
            let said = get(&fields, "annotations").filter(|list| wire::items(list).is_ok_and(|items| !items.is_empty()));
            said.into_iter().for_each(|list| keep(&mut extras, ANNOTATIONS, list));
            return Ok(Held::Part(Part::Text { text: must(&fields, "text")?, extras }));
        }
        "refusal" => return Ok(Held::Refusal(must(&fields, "refusal")?)),
        "input_image" => image(&fields)?,
        "input_file" => file(&fields)?,
        // Spelled alike everywhere.
        "input_audio" => return Ok(Held::Part(Part::Other { kind, raw: raw.to_owned() })),
        _ => None,
    };
    Ok(Held::Part(spelled.unwrap_or_else(|| Part::Other { kind: own(NAME, &kind), raw: raw.to_owned() })))
}

fn spelled(kind: &str, value: &serde_json::Value) -> Option<Part> {
    Some(Part::Other { kind: kind.to_owned(), raw: to_raw_value(value).ok()? })
}

/// An image by its address; one by its file's id has no other spelling.
fn image(fields: &wire::Fields<'_>) -> Result<Option<Part>, Wrong> {
    let Some(url) = text(fields, "image_url")? else { return Ok(None) };
    let mut inner = json!({ "url": url });
    if let Some(detail) = text(fields, "detail")? {
        inner["detail"] = detail.into();
    }
    Ok(spelled("image_url", &json!({ "type": "image_url", "image_url": inner })))
}

fn file(fields: &wire::Fields<'_>) -> Result<Option<Part>, Wrong> {
    let name = text(fields, "filename")?;
    if let Some(data) = text(fields, "file_data")? {
        let inner = json!({ "filename": name.unwrap_or_else(|| "document".to_owned()), "file_data": data });
        return Ok(spelled("file", &json!({ "type": "file", "file": inner })));
    }
    let Some(url) = text(fields, "file_url")? else { return Ok(None) };
    let mut document = json!({ "type": "document", "source": { "type": "url", "url": url } });
    if let Some(name) = name {
        document["title"] = name.into();
    }
    Ok(spelled("document", &document))
}

/// All text of a list of parts, joined.
pub(super) fn joined(fields: &wire::Fields<'_>, name: &str) -> Result<String, Wrong> {
    let Some(raw) = get(fields, name) else { return Ok(String::new()) };
    let mut all = String::new();
    for (at, item) in wire::items(raw).map_err(|wrong| wrong.within(name))?.into_iter().enumerate() {
        let read = wire::object(item).and_then(|fields| text(&fields, "text"));
        all.push_str(&read.map_err(|wrong| wrong.item(at).within(name))?.unwrap_or_default());
    }
    Ok(all)
}
