//! A client's body as fields, and what is said of one that is none or has a wrong one.
//!
//! Apart because all dialects whose bodies are JSON objects complain alike. It must not know any field's name.

use gatewright_types::{Fault, FaultKind};

use super::wire::{Fields, Wrong};

/// The fields of a body.
///
/// # Errors
/// [`FaultKind::InvalidJson`] with line and column; [`FaultKind::InvalidRequest`] when it is JSON, but no object.
pub(super) fn fields(body: &[u8]) -> Result<Fields<'_>, Fault> {
    let text = std::str::from_utf8(body).map_err(|error| not_utf8(body, &error))?;
    serde_json::from_str(text).map_err(|error| not_json(text, &error))
}

/// The fault of a field of a wrong type, with its path.
pub(super) fn invalid(wrong: Wrong) -> Fault {
    let message = format!("Invalid type for '{}': {}.", wrong.path, wrong.message);
    Fault::caller(FaultKind::InvalidRequest, message).at(wrong.path)
}

/// The fault of a field that is not there.
pub(super) fn missing(name: &str) -> Fault {
    Fault::caller(FaultKind::InvalidRequest, format!("Missing required parameter: '{name}'.")).at(name)
}

/// The fault of a conversation that has no message.
pub(super) fn no_messages() -> Fault {
    let message = "Invalid 'messages': empty array. Expected an array with at least one message.";
    Fault::caller(FaultKind::InvalidRequest, message).at("messages")
}

fn not_json(text: &str, error: &serde_json::Error) -> Fault {
    if error.is_data() {
        // JSON, but the outermost value is no object.
        return Fault::caller(FaultKind::InvalidRequest, "The body must be a JSON object.");
    }
    let what = error.to_string();
    let what = what.rsplit_once(" at line").map_or(&*what, |(what, _)| what);
    let position = if text.trim().is_empty() {
        "it is empty".to_owned()
    } else {
        format!("{what} at line {}, column {}", error.line(), error.column())
    };
    Fault::caller(FaultKind::InvalidJson, format!("The body of your request is not valid JSON: {position}."))
}

fn not_utf8(body: &[u8], error: &std::str::Utf8Error) -> Fault {
    let before = body.get(..error.valid_up_to()).unwrap_or_default();
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
    let message = format!("The body of your request is not valid JSON: not UTF-8 at line {line}, column {column}.");
    Fault::caller(FaultKind::InvalidJson, message)
}
