//! What is asked: a client's body to the canonical request, and that to an upstream's body.
//!
//! `fields` reads the request's own fields, `turns` its items, `parts` what they hold, `tools` what may be called, `recall` what was kept
//! of it before; `write` writes, `carries` tells what that leaves out. Apart because both ways must agree on the notes of this dialect's own. It must not know who answers.

mod carries;
mod fields;
mod parts;
mod recall;
mod tools;
mod turns;
mod write;

pub(super) use carries::carries;
pub(super) use fields::read;
pub(super) use recall::recalls;
pub(super) use tools::{asks_for_hosted, joined_name, renamed, text_of_cut, text_of_tool, without_format};
pub(super) use write::write;

use gatewright_types::{Fault, FaultKind, RawJson};
use serde_json::value::RawValue;

use crate::dialects::wire;

/// A raw value from text that is known to be JSON; null if it is not.
fn raw_json(text: String) -> RawJson {
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// The fault of a field that is wrong, with its path.
fn invalid(wrong: wire::Wrong) -> Fault {
    Fault::caller(FaultKind::InvalidRequest, format!("Invalid '{}': {}.", wrong.path, wrong.message)).at(wrong.path)
}

/// An object's field, the last of that name; null is none.
pub(super) fn get<'a>(fields: &wire::Fields<'a>, name: &str) -> Option<&'a RawValue> {
    fields.0.iter().rev().find(|(field, _)| field == name).map(|(_, raw)| *raw).filter(|raw| !wire::is_null(raw))
}

/// A text field of an object.
pub(super) fn text(fields: &wire::Fields<'_>, name: &str) -> Result<Option<String>, wire::Wrong> {
    get(fields, name).map(wire::string).transpose().map_err(|wrong| wrong.within(name))
}

/// The same, where it must be there.
fn must(fields: &wire::Fields<'_>, name: &str) -> Result<String, wire::Wrong> {
    text(fields, name)?.ok_or_else(|| wire::Wrong::says("expected a string, but it is missing").within(name))
}

#[cfg(test)]
mod tests;
