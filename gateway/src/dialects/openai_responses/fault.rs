//! Faults in this dialect's words.
//!
//! Apart because a stream here tells a failure in two ways of its own: an event, and the answer as it failed. Everything else is worded
//! as in OpenAI's other API. It must not know which room raised a fault.

use bytes::Bytes;
use gatewright_types::Fault;
use serde_json::value::RawValue;

use crate::dialects::openai_chat::fault;
use crate::dialects::out::Out;

/// The error body for a client: the envelope that both of OpenAI's APIs have.
pub(super) fn envelope(fault: &Fault) -> Bytes {
    fault::envelope(fault)
}

/// The code of a fault: every one has one here.
fn code(fault: &Fault) -> &'static str {
    let (kind, code) = fault::words(&fault.kind);
    code.unwrap_or(kind)
}

/// The fields of an `error` event.
pub(super) fn event(out: &mut Out, fault: &Fault) {
    out.text("code", code(fault));
    out.text("message", &fault.message);
    match &fault.param {
        Some(param) => out.text("param", param),
        None => out.value("param", RawValue::NULL),
    }
}

/// The `error` of an answer that failed.
pub(super) fn of_answer(out: &mut Out, fault: &Fault) {
    out.open();
    out.text("code", code(fault));
    out.text("message", &fault.message);
    out.close();
}
