//! What is said of a text, such as where it is taken from: as an upstream of this dialect says it, and as one of chat completions does.
//!
//! Apart because the two differ in where the fields stand. It must not know the text, nor whether a policy changed it: what no longer
//! fits was dropped before.

use gatewright_types::{Extras, RawJson};
use serde_json::value::RawValue;

use crate::dialects::openai_responses::{ANNOTATION, NAME};
use crate::dialects::out::Out;
use crate::dialects::{of_own, wire};

/// All that a pocket says of a text, in this dialect's words.
pub(super) fn of(extras: &Extras) -> Vec<RawJson> {
    let mut all = Vec::new();
    for (name, value) in extras.iter() {
        if of_own(NAME, name) == Some(ANNOTATION) {
            all.push(value.to_owned());
        } else if name == "annotations" {
            all.extend(wire::items(value).unwrap_or_default().into_iter().filter_map(of_chat));
        }
    }
    all
}

/// `{type: url_citation, url_citation: {...}}` with its fields where they are here; of another kind, none.
fn of_chat(annotation: &RawValue) -> Option<RawJson> {
    const KIND: &str = "url_citation";
    let fields = wire::object(annotation).ok()?;
    let find = |wanted: &str| fields.0.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
    if wire::string(find("type")?).ok()? != KIND {
        return None;
    }
    let mut out = Out::default();
    out.open();
    out.text("type", KIND);
    for (name, value) in wire::object(find(KIND)?).ok()?.0.iter().filter(|(name, _)| name != "type") {
        out.field(name, value.get());
    }
    out.close();
    serde_json::from_slice(&out.done()).ok()
}
