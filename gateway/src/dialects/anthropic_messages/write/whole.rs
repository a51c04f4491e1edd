//! A whole answer, gathered from deltas, in this dialect's shape.
//!
//! Apart from events only by shape. Where the upstream's own body is untouched, nobody comes here: it is passed on as it is. It must
//! not know who answered, or in how many pieces.

use bytes::Bytes;
use gatewright_types::{Choice, Completion, Extras, Usage};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{is_stop, write_stop, write_usage};
use crate::dialects::anthropic_messages::{
    BLOCK, CITATIONS, NAME, PIECE, SIGNATURE, Signature, USAGE, call_id, ended, own, request,
};
use crate::dialects::out::Out;
use crate::dialects::{Begin, of_own, wire};

/// The body of a whole answer. For a single chunk whose [`gatewright_types::Raw::Body`] is of this dialect, send that instead.
pub(in super::super) fn whole(answer: &Completion, begin: &Begin) -> Bytes {
    let mut out = Out::with_room(1024);
    out.open();
    out.text("id", &answer.id);
    out.text("type", "message");
    out.text("role", "assistant");
    out.text("model", &answer.model);
    out.name("content");
    out.open_list();
    let nobody = Choice::default();
    let choice = answer.choices.first().unwrap_or(&nobody);
    content(&mut out, choice, (begin, &answer.id));
    out.close_list();
    write_stop(&mut out, ended(choice.finish.as_ref(), choice.tool_calls.iter()), &choice.extras);
    out.name("usage");
    write_usage(&mut out, answer.usage.as_ref().unwrap_or(&Usage::default()));
    out.own(NAME, &answer.extras, |field| field != USAGE);
    out.own(NAME, &choice.extras, |field| !is_stop(field) && own(&answer.extras, field).is_none());
    out.close();
    out.done()
}

fn content(out: &mut Out, choice: &Choice, (begin, id): (&Begin, &str)) {
    thought(out, choice.reasoning.as_deref().unwrap_or_default(), (&choice.message_extras, begin));
    let mut citations = blocks(out, &choice.message_extras);
    for text in [&choice.text, &choice.refusal].into_iter().flatten().filter(|text| !text.is_empty()) {
        out.open();
        out.text("type", "text");
        out.text("text", text);
        if !citations.is_empty() {
            out.name(CITATIONS);
            out.open_list();
            citations.drain(..).for_each(|citation| out.raw(citation.get()));
            out.close_list();
        }
        out.close();
    }
    for (at, call) in choice.tool_calls.iter().enumerate() {
        out.open();
        out.text("type", "tool_use");
        out.text("id", &if call.id.is_empty() { call_id(id, at) } else { call.id.clone() });
        out.text("name", &call.name);
        out.name("input");
        request::input(out, &call.arguments);
        out.own(NAME, &call.extras, |_| true);
        out.close();
    }
}

/// A piece of a block that has no channel.
#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(default)]
    partial_json: String,
    #[serde(borrow, default)]
    citation: Option<&'a RawValue>,
}

/// Writes the blocks that only this dialect has, with the pieces that came after them; gives what the text is taken from.
fn blocks<'a>(out: &mut Out, extras: &'a Extras) -> Vec<&'a RawValue> {
    let (mut blocks, mut citations): (Vec<(&RawValue, String)>, Vec<&RawValue>) = (Vec::new(), Vec::new());
    for (name, value) in extras.iter() {
        match of_own(NAME, name) {
            Some(BLOCK) => blocks.push((value, String::new())),
            Some(CITATIONS) => citations.extend(wire::items(value).unwrap_or_default()),
            Some(PIECE) => {
                let Ok(piece) = serde_json::from_str::<Piece<'_>>(value.get()) else { continue };
                citations.extend(piece.citation);
                if let Some((_, input)) = blocks.last_mut() {
                    input.push_str(&piece.partial_json);
                }
            }
            _ => {}
        }
    }
    for (block, input) in blocks {
        match wire::object(block) {
            Ok(fields) if !input.is_empty() => {
                out.open();
                for (name, value) in fields.0.iter().filter(|(name, _)| name != "input") {
                    out.field(name, value.get());
                }
                out.name("input");
                request::input(out, &input);
                out.close();
            }
            _ => out.raw(block.get()),
        }
    }
    citations
}

/// The thought in the blocks that a vendor has signed, where it is what was signed; else in one under our own seal.
fn thought(out: &mut Out, text: &str, (extras, begin): (&Extras, &Begin)) {
    let signatures = extras.iter().filter(|(name, _)| of_own(NAME, name) == Some(SIGNATURE));
    let signatures: Vec<Signature<'_>> = signatures.filter_map(|(_, value)| Signature::read(value)).collect();
    if signatures.iter().map(|signature| signature.bytes).sum::<usize>() == text.len() {
        let mut from = 0;
        for Signature { signature, bytes } in signatures {
            let said = text.get(from..from + bytes).unwrap_or_default();
            from += bytes;
            block(out, said, signature.get());
        }
        return;
    }
    if text.is_empty() {
        return;
    }
    let seal = begin.sealer.clone().map(|mut sealer| {
        sealer.add(text);
        sealer.seal()
    });
    block(out, text, &format!("\"{}\"", seal.unwrap_or_default()));
}

fn block(out: &mut Out, text: &str, signature: &str) {
    out.open();
    out.text("type", "thinking");
    out.text("thinking", text);
    out.field("signature", signature);
    out.close();
}
