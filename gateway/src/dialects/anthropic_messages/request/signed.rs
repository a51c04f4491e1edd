//! Who signed which part of a message's thought: kept beside it while it is one text among others, and put back where it is unchanged.
//!
//! Apart because here, and nowhere else, a signature meets what it signs. A vendor's goes back byte for byte, on the very text that it came
//! with. Our own seal is verified and taken off: thought under a seal that is not true is dropped. It must not know who answers.

use std::borrow::Cow;

use gatewright_types::Message;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{REDACTED, SIGNED, keep, own, raw_json};
use crate::dialects::anthropic_messages::{BLOCK, NAME, SIGNATURE, Signature};
use crate::dialects::out::Out;
use crate::dialects::seal::is_seal;
use crate::dialects::{Sealer, of_own, wire};

/// One block of thought.
#[derive(Default)]
pub(super) struct Thought<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) signature: Option<&'a RawValue>,
    /// What the vendor shows to nobody.
    pub(super) redacted: Option<&'a RawValue>,
}

/// The thought of one message.
#[derive(Default)]
pub(super) struct Signed {
    text: String,
    any: bool,
    /// The parts, as JSON.
    parts: Out,
    vendors: bool,
    redacted: bool,
}

impl Signed {
    /// Adds a block.
    pub(super) fn add(&mut self, thought: Thought<'_>, sealer: Option<&Sealer>) {
        let signature = thought.signature.map(wire::lenient);
        if let Some(seal) = signature.as_deref().filter(|signature| is_seal(signature)) {
            if sealer.is_some_and(|sealer| sealer.knows(&thought.text, seal)) {
                self.say(&thought.text, None);
            }
            return;
        }
        match thought.redacted {
            Some(data) => {
                (self.vendors, self.redacted) = (true, true);
                self.parts.open();
                self.parts.value("redacted", data);
                self.parts.close();
            }
            None => self.say(&thought.text, thought.signature),
        }
    }

    fn say(&mut self, text: &str, signature: Option<&RawValue>) {
        self.any = true;
        self.text.push_str(text);
        self.parts.open();
        self.parts.number("bytes", text.len());
        if let Some(signature) = signature {
            self.vendors = true;
            self.parts.value("signature", signature);
        }
        self.parts.close();
    }

    /// Puts all of it on the message.
    pub(super) fn put(self, message: &mut Message) {
        if self.vendors {
            let parts = String::from_utf8(self.parts.done().into()).unwrap_or_default();
            let json = format!("{{\"sum\":\"{}\",\"parts\":[{parts}]}}", sum(&self.text));
            keep(&mut message.extras, if self.redacted { REDACTED } else { SIGNED }, &raw_json(json));
        }
        // What its vendor shows nothing of is no text of anybody's.
        if self.any && !self.text.is_empty() {
            message.reasoning = Some(self.text);
        }
    }
}

fn sum(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

#[derive(Deserialize)]
struct Note<'a> {
    sum: String,
    #[serde(borrow)]
    parts: Vec<NotePart<'a>>,
}

#[derive(Deserialize)]
struct NotePart<'a> {
    #[serde(default)]
    bytes: usize,
    #[serde(borrow, default)]
    signature: Option<&'a RawValue>,
    #[serde(borrow, default)]
    redacted: Option<&'a RawValue>,
}

/// Writes the blocks of thought that a vendor has signed, where the thought is what was signed.
pub(super) fn write(out: &mut Out, message: &Message) {
    if note(message).is_none() {
        return answered(out, message);
    }
    let Some(note) = note(message).and_then(|json| serde_json::from_str::<Note<'_>>(json).ok()) else { return };
    let text = message.reasoning.as_deref().unwrap_or_default();
    if note.sum != sum(text) {
        return;
    }
    let mut from = 0usize;
    for part in note.parts {
        let Some(until) = from.checked_add(part.bytes) else { return };
        let said = text.get(from..until).unwrap_or_default();
        from = until;
        if let Some(data) = part.redacted {
            out.open();
            out.text("type", "redacted_thinking");
            out.value("data", data);
            out.close();
        } else if let Some(signature) = part.signature {
            block(out, said, signature);
        }
    }
}

/// The same for an answer that goes back within a request: its signatures are as they came.
fn answered(out: &mut Out, message: &Message) {
    let text = message.reasoning.as_deref().unwrap_or_default();
    let named = |wanted: &'static str| message.extras.iter().filter(move |(name, _)| of_own(NAME, name) == Some(wanted));
    for (_, block) in named(BLOCK).filter(|(_, block)| is_redacted(block)) {
        out.raw(block.get());
    }
    let signed: Vec<Signature<'_>> = named(SIGNATURE).filter_map(|(_, value)| Signature::read(value)).collect();
    let (mut from, whole) = (0, signed.iter().map(|signature| signature.bytes).sum::<usize>() == text.len());
    for Signature { signature, bytes } in signed.into_iter().filter(|_| whole) {
        block(out, text.get(from..from + bytes).unwrap_or_default(), signature);
        from += bytes;
    }
}

fn is_redacted(block: &RawValue) -> bool {
    let Ok(fields) = wire::object(block) else { return false };
    let kinds: Vec<_> = fields.0.iter().filter(|(name, _)| name == "type").map(|(_, kind)| wire::lenient(kind)).collect();
    kinds == ["redacted_thinking"]
}

fn block(out: &mut Out, text: &str, signature: &RawValue) {
    out.open();
    out.text("type", "thinking");
    out.text("thinking", text);
    out.value("signature", signature);
    out.close();
}

fn note(message: &Message) -> Option<&str> {
    own(&message.extras, SIGNED).or_else(|| own(&message.extras, REDACTED))
}

/// Whether the thought of a message goes back to its vendor.
pub(super) fn is_signed(message: &Message) -> bool {
    note(message).is_some() || own(&message.extras, SIGNATURE).is_some()
}

/// Whether the same holds of what is in it: it was signed, and nobody changed it since.
pub(super) fn goes_back(message: &Message) -> bool {
    let mut out = Out::default();
    write(&mut out, message);
    !out.done().is_empty()
}
