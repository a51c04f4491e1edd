//! Thought that its vendor has sealed: what of a message's thought it is, and the vendor's own word for it, byte for byte.
//!
//! Apart because here, and nowhere else, a vendor's seal meets the text that it came with: it goes back on that very text, and is dropped
//! where a policy changed it. It must not know who answers, nor our own envelopes.

use gatewright_types::Extras;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{NAME, SEALED, keep_value};
use crate::dialects::of_own;

/// A seal, and what it is on.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Sealed {
    /// Where the text begins in the thought.
    at: usize,
    bytes: usize,
    sum: String,
    /// What the vendor shows of it.
    pub(super) shown: Shown,
    /// The vendor's word.
    pub(super) word: Box<RawValue>,
}

/// What is shown of a thought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Shown {
    /// The thought itself.
    #[default]
    Text,
    /// A summary of it.
    Summary,
}

fn sum(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

impl Sealed {
    /// A vendor's word on this text, which begins there in the thought.
    pub(super) fn new((at, text): (usize, &str), shown: Shown, word: &RawValue) -> Self {
        Self { at, bytes: text.len(), sum: sum(text), shown, word: word.to_owned() }
    }

    /// All that are in a pocket.
    pub(super) fn all(extras: &Extras) -> Vec<Self> {
        let named = extras.iter().filter(|(name, _)| of_own(NAME, name) == Some(SEALED));
        named.filter_map(|(_, value)| serde_json::from_str(value.get()).ok()).collect()
    }

    /// Puts it into a pocket.
    pub(super) fn put(&self, extras: &mut Extras) {
        keep_value(extras, SEALED, self);
    }

    /// Whether it is on this text.
    pub(super) fn is_on(&self, text: &str) -> bool {
        self.bytes == text.len() && self.sum == sum(text)
    }
}

/// A thought in the pieces that were sealed, and those between them. What was changed has no seal any more.
pub(super) fn pieces<'a>(text: &'a str, extras: &Extras) -> Vec<(&'a str, Option<Sealed>)> {
    let (mut from, mut pieces) = (0, Vec::new());
    for sealed in Sealed::all(extras) {
        let until = sealed.at.saturating_add(sealed.bytes);
        let Some(said) = text.get(sealed.at..until).filter(|said| sealed.at >= from && sealed.is_on(said)) else { continue };
        pieces.extend(text.get(from..sealed.at).map(|between| (between, None)));
        pieces.push((said, Some(sealed)));
        from = until;
    }
    pieces.extend(text.get(from..).map(|rest| (rest, None)));
    pieces.retain(|(text, sealed)| !text.is_empty() || sealed.is_some());
    pieces
}
