//! What a request recalls: the answer that it follows, and items of kept answers that it only names.
//!
//! Apart because it is found out before the request is read, for what was kept must be fetched first. It must not know where answers are
//! kept. An item's id holds that of its answer, so that none needs a list of its own.

use serde_json::value::RawValue;

use super::{get, text};
use crate::dialects::openai_responses::{PREFIX, PREVIOUS, page};
use crate::dialects::{Asked, Recalled, wire};

/// Answers that one request may recall.
const MOST: usize = 32;
/// Whether a body may recall anything is seen by these words in it.
const WORDS: [&[u8]; 2] = [b"previous_response_id", b"item_reference"];

/// Ids of the answers that a body recalls. What is wrong with it is said when it is read.
pub(in super::super) fn recalls(body: &[u8]) -> Vec<String> {
    let mut ids = Vec::new();
    if !WORDS.iter().any(|word| memchr::memmem::find(body, word).is_some()) {
        return ids;
    }
    let Ok(fields) = serde_json::from_slice::<wire::Fields<'_>>(body) else { return ids };
    ids.extend(text(&fields, PREVIOUS).ok().flatten());
    let items = get(&fields, "input").and_then(|raw| wire::items(raw).ok()).unwrap_or_default();
    for item in items.into_iter().filter(|raw| raw.get().contains("item_reference")) {
        let named = wire::object(item).ok().filter(|fields| is_reference(fields));
        let id = named.and_then(|fields| text(&fields, "id").ok().flatten());
        if let Some(id) = id.as_deref().and_then(answer_of).filter(|id| !ids.contains(id) && ids.len() < MOST) {
            ids.push(id);
        }
    }
    ids
}

/// Whether an item is only a name of one.
pub(super) fn is_reference(fields: &wire::Fields<'_>) -> bool {
    get(fields, "type").is_some_and(|kind| kind.get() == "\"item_reference\"")
}

/// The answer whose item has this id.
fn answer_of(item: &str) -> Option<String> {
    let (_, rest) = item.split_once('_')?;
    let (core, _) = rest.rsplit_once('_')?;
    Some(format!("{PREFIX}{core}"))
}

/// The items of an answer that was kept, the conversation before it first.
pub(super) fn items_of(kept: &Recalled) -> Vec<&RawValue> {
    let mut items: Vec<&RawValue> = serde_json::from_str(&kept.conversation).unwrap_or_default();
    items.extend(output(kept).and_then(|raw| wire::items(raw).ok()).unwrap_or_default());
    items
}

fn output(kept: &Recalled) -> Option<&RawValue> {
    get(&serde_json::from_str(&kept.body).ok()?, "output")
}

/// The item of this id, among what was recalled.
pub(super) fn item<'a>(asked: &Asked<'a>, id: &str) -> Option<&'a RawValue> {
    let answer = answer_of(id)?;
    let kept = asked.recalled.iter().find(|kept| kept.id == answer)?;
    if let Some(number) = page::number(id) {
        let before: Vec<&'a RawValue> = serde_json::from_str(&kept.conversation).ok()?;
        return before.get(number).copied();
    }
    let has_id =
        |item: &&RawValue| wire::object(item).is_ok_and(|fields| text(&fields, "id").ok().flatten().as_deref() == Some(id));
    let output = wire::items(output(kept)?).ok()?;
    output.into_iter().find(has_id)
}
