//! The items of a conversation that was kept, a page at a time.
//!
//! Apart because here alone they have ids: made of the answer's own and their place, so that they need not be kept. It must not know where
//! the conversation comes from.

use bytes::Bytes;
use gatewright_types::{Fault, FaultKind};
use serde_json::value::RawValue;

use super::PREFIX;
use crate::dialects::out::Out;
use crate::dialects::{Page, Recalled, wire};

/// What stands before the number of an item that came before its answer.
const BEFORE: char = 'i';

/// The number in the id of an item that came before its answer.
pub(super) fn number(id: &str) -> Option<usize> {
    id.rsplit_once('_')?.1.strip_prefix(BEFORE)?.parse().ok()
}

/// One item, with an id.
struct Numbered<'a> {
    id: String,
    raw: &'a RawValue,
    has_own: bool,
}

fn numbered<'a>((at, raw): (usize, &'a RawValue), core: &str) -> Numbered<'a> {
    let fields = wire::object(raw).ok();
    let text = |name: &str| {
        let found = fields.as_ref()?.0.iter().find(|(field, _)| field == name);
        found.and_then(|(_, raw)| wire::string(raw).ok())
    };
    let prefix = match text("type").as_deref() {
        Some("message") => "msg",
        Some("reasoning") => "rs",
        Some("function_call") => "fc",
        Some("function_call_output") => "fco",
        Some("custom_tool_call") => "ctc",
        Some("custom_tool_call_output") => "ctco",
        _ => "item",
    };
    let own = text("id");
    let has_own = own.is_some();
    Numbered { id: own.unwrap_or_else(|| format!("{prefix}_{core}_{BEFORE}{at}")), raw, has_own }
}

/// The id of the item at this place: its own, or one that is made of the place.
pub(super) fn id(item: (usize, &RawValue), core: &str) -> String {
    numbered(item, core).id
}

/// A page of them.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] when there is no item of the id after which the page shall begin.
pub(super) fn page(kept: &Recalled, page: &Page) -> Result<Bytes, Fault> {
    let core = kept.id.strip_prefix(PREFIX).unwrap_or(&kept.id);
    let items: Vec<&RawValue> = serde_json::from_str(&kept.conversation).unwrap_or_default();
    let mut items: Vec<Numbered<'_>> = items.into_iter().enumerate().map(|item| numbered(item, core)).collect();
    if page.newest_first {
        items.reverse();
    }
    let from = match &page.after {
        None => 0,
        Some(after) => {
            let found = items.iter().position(|item| item.id == *after);
            let missing = || Fault::caller(FaultKind::InvalidRequest, "Invalid 'after': there is no item of that id.").at("after");
            found.ok_or_else(missing)? + 1
        }
    };
    let rest = items.get(from..).unwrap_or_default();
    let shown = rest.get(..page.limit).unwrap_or(rest);
    let mut out = Out::with_room(1024);
    out.open();
    out.text("object", "list");
    out.name("data");
    out.open_list();
    shown.iter().for_each(|item| item.write(&mut out));
    out.close_list();
    for (name, item) in [("first_id", shown.first()), ("last_id", shown.last())] {
        match item {
            Some(item) => out.text(name, &item.id),
            None => out.value(name, RawValue::NULL),
        }
    }
    out.number("has_more", rest.len() > shown.len());
    out.close();
    Ok(out.done())
}

impl Numbered<'_> {
    fn write(&self, out: &mut Out) {
        match self.raw.get().strip_prefix('{').filter(|_| !self.has_own) {
            Some(rest) => {
                out.open();
                out.text("id", &self.id);
                if rest.trim_start() != "}" {
                    out.raw(rest);
                } else {
                    out.close();
                }
            }
            None => out.raw(self.raw.get()),
        }
    }
}

/// What is told of an answer that is forgotten.
pub(super) fn forgotten(id: &str) -> Bytes {
    let mut out = Out::default();
    out.open();
    out.text("id", id);
    out.text("object", "response");
    out.number("deleted", true);
    out.close();
    out.done()
}
