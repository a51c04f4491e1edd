//! Faults in this dialect's words, and an upstream's errors as faults.
//!
//! Apart because this is the only place where this dialect's error envelope is made. It must not know which room raised a fault: all
//! it words is the fault's kind.

use bytes::Bytes;
use gatewright_types::{Fault, FaultKind};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::NAME;
use crate::dialects::out::Out;
use crate::dialects::{Said, length, retry_of, wire};

/// The error body for a client: `{"type": "error", "error": {"type", "message"}, "request_id"}`.
pub(super) fn envelope(fault: &Fault, request_id: &str) -> Bytes {
    if let Some((dialect, body)) = &fault.body
        && *dialect == NAME
    {
        return body.clone();
    }
    let mut out = Out::with_room(256);
    out.open();
    out.text("type", "error");
    out.name("error");
    out.open();
    out.text("type", word(&fault.kind));
    match &fault.param {
        Some(param) if !fault.message.contains(&**param) => out.text("message", &format!("{param}: {}", fault.message)),
        _ => out.text("message", &fault.message),
    }
    out.close();
    if !request_id.is_empty() {
        out.text("request_id", request_id);
    }
    out.close();
    out.done()
}

/// The type of a fault of what is overloaded.
const OVERLOADED: &str = "overloaded_error";

/// The type, in Anthropic's words.
fn word(kind: &FaultKind) -> &'static str {
    const REQUEST: &str = "invalid_request_error";
    const SERVER: &str = "api_error";
    match kind {
        FaultKind::InvalidJson | FaultKind::InvalidRequest | FaultKind::UnknownAnswer | FaultKind::MethodNotAllowed => REQUEST,
        FaultKind::ClientTimeout | FaultKind::ContextLength | FaultKind::Blocked { .. } => REQUEST,
        FaultKind::BodyTooLarge => "request_too_large",
        FaultKind::Unauthenticated => "authentication_error",
        FaultKind::Forbidden => "permission_error",
        FaultKind::NotFound | FaultKind::UnknownModel => "not_found_error",
        FaultKind::RateLimited => "rate_limit_error",
        FaultKind::Overloaded => OVERLOADED,
        FaultKind::UpstreamTimeout => "timeout_error",
        FaultKind::UpstreamStatus(429) => "rate_limit_error",
        FaultKind::UpstreamStatus(503 | 529) => OVERLOADED,
        FaultKind::UpstreamStatus(404) => "not_found_error",
        FaultKind::UpstreamStatus(402) => "billing_error",
        FaultKind::UpstreamStatus(400 | 405..=499) => REQUEST,
        FaultKind::UpstreamStatus(_) | FaultKind::UpstreamInvalid | FaultKind::UpstreamCut => SERVER,
        FaultKind::UpstreamUnreachable | FaultKind::PluginFailed { .. } | FaultKind::ToolLoop => SERVER,
        FaultKind::Engine | FaultKind::Internal => SERVER,
    }
}

/// The HTTP status of a refusal: of what is overloaded, the one that clients of this dialect know for it.
pub(super) fn http_status(fault: &Fault) -> u16 {
    match word(&fault.kind) {
        OVERLOADED => status(OVERLOADED),
        _ => fault.status(),
    }
}

/// What an error body of this dialect says, if it is one.
pub(super) fn message(body: &[u8]) -> Option<Said> {
    let text = std::str::from_utf8(body).ok()?;
    let fields: wire::Fields<'_> = serde_json::from_str(text).ok()?;
    let (kind, message) = error(&fields.0)?;
    Some(Said { envelope: NAME, message, code: Some(kind), param: None })
}

/// Type and message of an error.
fn error(fields: &[(std::borrow::Cow<'_, str>, &RawValue)]) -> Option<(String, String)> {
    let get = |fields: &[(std::borrow::Cow<'_, str>, &RawValue)], wanted: &str| {
        fields.iter().find(|(name, _)| name == wanted).and_then(|(_, raw)| wire::string(raw).ok())
    };
    let (_, raw) = fields.iter().find(|(name, _)| name == "error")?;
    let inner = wire::object(raw).ok()?;
    Some((get(&inner.0, "type").unwrap_or_default(), get(&inner.0, "message")?))
}

/// The HTTP status that an error of this type has.
fn status(kind: &str) -> u16 {
    match kind {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "timeout_error" => 504,
        OVERLOADED => 529,
        _ => 500,
    }
}

/// An upstream's error that came where an answer should be: in a body of status 200 or as an event.
pub(super) fn said_in(fields: &SmallVec<[(std::borrow::Cow<'_, str>, &RawValue); 12]>, whole: &Bytes) -> Fault {
    let said = error(fields);
    let status = status(said.as_ref().map_or("", |(kind, _)| kind));
    let message = said.as_ref().map_or("The upstream reported an error without a message.", |(_, message)| message);
    let fault = Fault::upstream("", FaultKind::UpstreamStatus(status), message).retry(retry_of(status));
    let mut fault = length::judged(fault, status, None);
    if said.is_some() {
        fault.body = Some((NAME, whole.clone()));
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(fault: &Fault) -> serde_json::Value {
        serde_json::from_slice(&envelope(fault, "req-1")).unwrap()
    }

    #[test]
    fn a_fault_becomes_the_envelope_that_clients_know() {
        let fault = Fault::caller(FaultKind::InvalidRequest, "expected a number").at("max_tokens");
        let wanted = serde_json::json!({"type": "error", "request_id": "req-1",
            "error": {"type": "invalid_request_error", "message": "max_tokens: expected a number"}});
        assert_eq!(value(&fault), wanted);
        let word = |kind| value(&Fault::gateway(kind, "x"))["error"]["type"].as_str().map(str::to_owned).unwrap();
        assert_eq!(word(FaultKind::Unauthenticated), "authentication_error");
        assert_eq!(
            (word(FaultKind::UnknownModel), word(FaultKind::Forbidden)),
            ("not_found_error".into(), "permission_error".into())
        );
        assert_eq!(
            (word(FaultKind::RateLimited), word(FaultKind::Overloaded)),
            ("rate_limit_error".into(), "overloaded_error".into())
        );
        assert_eq!(word(FaultKind::Blocked { plugin: "p".into(), code: "c".into() }), "invalid_request_error");
        let status = |kind| http_status(&Fault::gateway(kind, "x"));
        for kind in [FaultKind::Overloaded, FaultKind::UpstreamStatus(503), FaultKind::UpstreamStatus(529)] {
            assert_eq!((word(kind.clone()), status(kind)), ("overloaded_error".into(), 529));
        }
        assert_eq!((status(FaultKind::RateLimited), status(FaultKind::UpstreamStatus(500))), (429, 502));
    }

    #[test]
    fn an_upstreams_own_error_passes_through_untouched_and_is_understood() {
        let body =
            Bytes::from_static(br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"odd":[1 ,2]}"#);
        let said = message(&body).unwrap();
        assert_eq!((said.message.as_str(), said.code.as_deref()), ("Overloaded", Some("overloaded_error")));
        let fields: wire::Fields<'_> = serde_json::from_slice(&body).unwrap();
        let fault = said_in(&fields.0, &body);
        assert_eq!((fault.kind.clone(), envelope(&fault, "r")), (FaultKind::UpstreamStatus(529), body.clone()));
        assert!(matches!(fault.retry, gatewright_types::Retry::Here(_)));
    }
}
