//! How urgent a request says it is, and with whom it shares: vLLM's `priority` (a number, the lower the earlier) and `cache_salt`, and
//! OpenAI's `service_tier`.
//!
//! Apart because none of it changes an answer. It must not know what is made of it.

use gatewright_types::{ChatRequest, Priority};
use serde_json::Value;

use super::fields::{refuse, value};
use crate::error::EngineError;

/// Bytes of a salt.
const MAX_SALT: usize = 256;

/// What the request asks for, or what its origin is; never more than its origin grants. A `priority` counts more than a tier.
///
/// # Errors
/// [`EngineError::Unsupported`] that names the field.
pub(super) fn priority(request: &ChatRequest) -> Result<Priority, EngineError> {
    let tier = match value(&request.extras, "service_tier").as_ref().map(Value::as_str) {
        None => None,
        Some(Some("priority")) => Some(Priority::High),
        Some(Some("default" | "scale" | "standard_only")) => Some(Priority::Normal),
        Some(Some("flex")) => Some(Priority::Low),
        Some(Some("auto")) => None,
        Some(_) => return refuse("service_tier", "must be auto, default, flex or priority"),
    };
    let asked = match value(&request.extras, "priority") {
        None => None,
        Some(Value::Number(number)) => match number.as_i64() {
            Some(whole) => Some(Priority::of(whole)),
            None => return refuse("priority", "must be a whole number of 64 bits"),
        },
        Some(Value::String(word)) => match word.parse() {
            Ok(priority) => Some(priority),
            Err(said) => return refuse("priority", said),
        },
        Some(_) => return refuse("priority", "must be a whole number, or low, normal or high"),
    };
    let granted = request.origin.priority;
    let asked = asked.or(tier).or(granted).unwrap_or_default();
    Ok(granted.map_or(asked, |granted| asked.max(granted)))
}

/// # Errors
/// [`EngineError::Unsupported`] that names the field.
pub(super) fn cache_salt(request: &ChatRequest) -> Result<Option<String>, EngineError> {
    match value(&request.extras, "cache_salt") {
        None => Ok(None),
        Some(Value::String(salt)) if !salt.is_empty() && salt.len() <= MAX_SALT => Ok(Some(salt)),
        Some(_) => refuse("cache_salt", "must be a text of 1 to 256 bytes"),
    }
}

#[cfg(test)]
mod tests {
    use gatewright_types::Origin;

    use super::*;

    fn of(granted: Option<Priority>, fields: &[(&str, &str)]) -> Result<Priority, String> {
        let mut request = ChatRequest { origin: Origin { priority: granted, ..Origin::default() }, ..ChatRequest::default() };
        fields.iter().for_each(|(name, json)| request.extras.push(*name, serde_json::from_str(json).unwrap()));
        priority(&request).map_err(|error| error.to_string())
    }

    #[test]
    fn a_request_may_ask_for_less_than_it_is_granted_and_not_for_more() {
        assert_eq!(of(None, &[]), Ok(Priority::Normal));
        assert_eq!(of(None, &[("priority", "-3")]), Ok(Priority::High));
        assert_eq!(of(None, &[("priority", "\"low\""), ("service_tier", "\"priority\"")]), Ok(Priority::Low));
        assert_eq!(of(None, &[("service_tier", "\"flex\"")]), Ok(Priority::Low));
        let normal = Some(Priority::Normal);
        assert_eq!(of(normal, &[("priority", "-1")]), Ok(Priority::Normal));
        assert_eq!(of(normal, &[("priority", "1")]), Ok(Priority::Low));
        assert_eq!(of(Some(Priority::High), &[("service_tier", "\"auto\"")]), Ok(Priority::High));
        assert_eq!(of(Some(Priority::Low), &[]), Ok(Priority::Low));
    }

    #[test]
    fn what_is_no_priority_is_refused_by_name() {
        assert!(of(None, &[("priority", "\"urgent\"")]).unwrap_err().contains("`priority`"));
        for json in ["[1]", "0.5", "5.0", "1e3", "9223372036854775808"] {
            assert!(of(None, &[("priority", json)]).unwrap_err().contains("`priority`"), "{json}");
        }
        assert!(of(None, &[("service_tier", "\"gold\"")]).unwrap_err().contains("`service_tier`"));
        let mut request = ChatRequest::default();
        request.extras.push("cache_salt", serde_json::from_str("\"\"").unwrap());
        assert!(cache_salt(&request).is_err());
    }
}
