//! What is asked: a client's body to the canonical request, and that to an upstream's body.
//!
//! A message here mixes what has messages of its own there: results of tools stand among a user's words, and an answer's thought, words
//! and calls in any order. Each such run becomes messages of which all but the first are marked as continuing, so that writing makes
//! them one again. Thought is text as everybody's; beside it travels who signed which part of it, and a sum: what a policy changed is
//! not sent under another's signature. Apart because both ways must agree on this. It must not know which upstream is asked.

mod adapt;
mod messages;
mod read;
mod signed;
mod thought;
mod tools;
mod turns;
mod write;

pub use adapt::Thinks;
pub(crate) use adapt::{adapt, asks_for_thought, forget_thought};
pub(super) use read::read;
pub(super) use turns::input;
pub(super) use write::{carries, write};

use gatewright_types::{Extras, RawJson};
use serde_json::value::RawValue;

use super::{BESIDE, BLOCK, CITATIONS, NAME, PIECE, SIGNATURE};
use crate::dialects::wire::Wrong;

/// A system message that stood among the others. The value is always `true`.
const INLINE: &str = "inline";
/// Who signed which part of a message's thought.
const SIGNED: &str = "signed";
/// The same, where some of it is shown to nobody, policies among them.
const REDACTED: &str = "redacted_thinking";
/// How the model shall think, as the client gave it.
const THINKING: &str = "thinking";
/// Whose request it is.
const METADATA: &str = "metadata";
/// How the answer shall be, but for its format.
const OUTPUT: &str = "output_config";

/// The field of this dialect's own in a pocket.
fn own<'a>(extras: &'a Extras, field: &str) -> Option<&'a str> {
    extras.get(&super::super::own(NAME, field))
}

/// Puts a field of this dialect's own into a pocket.
fn keep(extras: &mut Extras, field: &str, value: &RawValue) {
    super::super::keep(extras, NAME, (field, value));
}

/// Notes of our own on messages. They lie where a message's unknown fields do, and a client may not write them.
const NOTES: [&str; 8] = [INLINE, SIGNED, REDACTED, SIGNATURE, BLOCK, PIECE, BESIDE, CITATIONS];
/// What comes before the name of a client's header among a request's fields.
const HEADER: &str = "header.";

/// Puts a field that a client's message or request has, and we do not know, into a pocket.
///
/// # Errors
/// It has the name of a note of our own.
fn keep_unknown(extras: &mut Extras, field: &str, value: &RawValue) -> Result<(), Wrong> {
    if NOTES.contains(&field) || field.starts_with(HEADER) {
        return Err(Wrong::says("no field of that name is taken here"));
    }
    keep(extras, field, value);
    Ok(())
}

/// A raw value from text that is known to be JSON; null if it is not.
fn raw_json(text: String) -> RawJson {
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests;
