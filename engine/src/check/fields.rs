//! Fields that dialects keep in the request's pocket because the hub has no place of its own for them, read with their bounds.
//!
//! Apart because each is JSON that a stranger wrote. It must not know what the fields mean.

use std::ops::RangeInclusive;

use gatewright_types::Extras;
use serde_json::{Map, Value};

use crate::error::EngineError;

/// A refusal that names the field.
pub(super) fn refuse<T>(param: &str, what: impl std::fmt::Display) -> Result<T, EngineError> {
    Err(EngineError::unsupported(param, format!("`{param}`: {what}")))
}

/// The field's value; a null is no value.
pub(super) fn value(extras: &Extras, name: &str) -> Option<Value> {
    extras.get(name).and_then(|json| serde_json::from_str(json).ok()).filter(|value: &Value| !value.is_null())
}

/// A number within bounds.
pub(super) fn number(extras: &Extras, name: &str, bounds: RangeInclusive<f64>) -> Result<Option<f64>, EngineError> {
    value(extras, name).map(|value| within(value.as_f64(), name, bounds)).transpose()
}

/// A number of the hub's own, within bounds.
pub(super) fn within(value: Option<f64>, name: &str, bounds: RangeInclusive<f64>) -> Result<f64, EngineError> {
    match value.filter(|value| bounds.contains(value)) {
        Some(value) => Ok(value),
        None => refuse(name, format!("must be a number between {} and {}", bounds.start(), bounds.end())),
    }
}

/// Whether a field of the pocket is there and asks for something.
pub(super) fn asks(extras: &Extras, name: &str) -> bool {
    extras.get(name).is_some_and(|json| !matches!(json, "null" | "{}" | "[]" | "false"))
}

/// Nothing is ignored: what is left of an object's fields, once those that are known were taken out, is refused.
pub(super) fn known(name: &str, rest: &Map<String, Value>) -> Result<(), EngineError> {
    match rest.iter().find(|(_, value)| !value.is_null()) {
        Some((field, _)) => refuse(&format!("{name}.{field}"), "the embedded engine does not support it"),
        None => Ok(()),
    }
}
