//! What is asked: a client's body to the canonical request, and that to an upstream's body.
//!
//! Reading and writing lose nothing but what has no meaning (order of known fields, `stream: false`): a field that we do not know, a
//! known one that is null, and the spelling that the client chose travel in the extras of their object. Apart because both must
//! agree on the notes below. It must not know which upstream is asked.
//!
//! A spelling is kept as a *note*: an extra of that name whose value is `true`, which no client can send there (it is refused as a
//! wrong type). A note holds no text, so nothing slips past a policy in it, and what a policy changed is written in the client's
//! spelling.

mod fit;
mod messages;
mod read;
mod write;

pub(in crate::dialects) use fit::cannot_be_stilled;
pub(crate) use fit::effort;
pub(super) use fit::{carries, refuse};
pub(in crate::dialects) use read::field;
pub use read::read;
pub use write::write;
pub(super) use write::write_call;
pub(in crate::dialects) use write::write_rest;

use gatewright_types::{Extras, RawJson};
use serde_json::value::RawValue;

/// The value of a note.
const NOTE: &str = "true";

/// Notes that a field came under this name, or, for `type`, that it did not come.
pub(crate) fn note(extras: &mut Extras, name: &'static str) {
    if extras.get(name) != Some(NOTE)
        && let Ok(value) = RawValue::from_string(NOTE.to_owned())
    {
        extras.push(name, value);
    }
}

/// Takes notes of these names back.
pub(crate) fn unnote(extras: &mut Extras, names: &[&str]) {
    extras.retain(|name, json| json != NOTE || !names.contains(&name));
}

/// Whether there is such a note.
fn noted(extras: &Extras, name: &str) -> bool {
    extras.get(name) == Some(NOTE)
}

/// A raw value from text that is known to be JSON; null if it is not.
fn raw_json(text: String) -> RawJson {
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests;
