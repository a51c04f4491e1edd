//! Faults in this dialect's words, and an upstream's errors as faults.
//!
//! Apart because this is the only place where a client's error envelope is made. It must not know which room raised a fault: all
//! it words is the fault's kind.

use std::borrow::Cow;

use bytes::Bytes;
use gatewright_types::{Fault, FaultKind};
use serde_json::value::RawValue;

use super::NAME;
use crate::dialects::out::Out;
use crate::dialects::{Said, length, retry_of, wire};

/// The error body for a client: `{"error": {"message", "type", "param", "code"}}`. An upstream's own error body of this dialect is
/// passed on as it is.
pub fn envelope(fault: &Fault) -> Bytes {
    if let Some((dialect, body)) = &fault.body
        && *dialect == NAME
    {
        return body.clone();
    }
    enveloped(fault, words(&fault.kind).1)
}

/// The envelope of a fault that has this code.
pub(crate) fn enveloped(fault: &Fault, code: Option<&str>) -> Bytes {
    let mut out = Out::with_room(256);
    out.open();
    out.name("error");
    out.open();
    out.text("message", &fault.message);
    out.text("type", words(&fault.kind).0);
    for (name, text) in [("param", fault.param.as_deref()), ("code", code)] {
        match text {
            Some(text) => out.text(name, text),
            None => out.value(name, RawValue::NULL),
        }
    }
    out.close();
    out.close();
    out.done()
}

/// Type and code, in OpenAI's words where it has one.
pub(crate) fn words(kind: &FaultKind) -> (&'static str, Option<&'static str>) {
    const REQUEST: &str = "invalid_request_error";
    const SERVER: &str = "server_error";
    const RATE: &str = "rate_limit_error";
    match kind {
        FaultKind::InvalidJson | FaultKind::InvalidRequest | FaultKind::NotFound | FaultKind::MethodNotAllowed => (REQUEST, None),
        FaultKind::UnknownAnswer => (REQUEST, Some("previous_response_not_found")),
        FaultKind::BodyTooLarge => (REQUEST, Some("body_too_large")),
        FaultKind::ClientTimeout => (REQUEST, Some("request_timeout")),
        FaultKind::ContextLength => (REQUEST, Some("context_length_exceeded")),
        FaultKind::Unauthenticated => (REQUEST, Some("invalid_api_key")),
        FaultKind::Forbidden => (REQUEST, Some("permission_denied")),
        FaultKind::UnknownModel => (REQUEST, Some("model_not_found")),
        FaultKind::RateLimited => (RATE, Some("rate_limit_exceeded")),
        FaultKind::Blocked { .. } => (REQUEST, Some("content_filter")),
        FaultKind::Overloaded => (SERVER, Some("overloaded")),
        FaultKind::PluginFailed { .. } => (SERVER, Some("plugin_failed")),
        FaultKind::ToolLoop => (SERVER, Some("tool_loop_limit")),
        FaultKind::UpstreamUnreachable => (SERVER, Some("upstream_unreachable")),
        FaultKind::UpstreamTimeout => (SERVER, Some("upstream_timeout")),
        FaultKind::UpstreamStatus(429) => (RATE, Some("rate_limit_exceeded")),
        FaultKind::UpstreamStatus(400 | 402 | 404..=499) => (REQUEST, None),
        FaultKind::UpstreamStatus(_) => (SERVER, Some("upstream_error")),
        FaultKind::UpstreamInvalid => (SERVER, Some("upstream_invalid")),
        FaultKind::UpstreamCut => (SERVER, Some("upstream_cut")),
        FaultKind::Engine => (SERVER, Some("engine_error")),
        FaultKind::Internal => (SERVER, Some("internal_error")),
    }
}

/// What an error body of this dialect says, if it is one.
pub(crate) fn message(body: &[u8]) -> Option<Said> {
    let text = std::str::from_utf8(body).ok()?;
    let fields: wire::Fields<'_> = serde_json::from_str(text).ok()?;
    let (_, error) = fields.0.into_iter().find(|(name, _)| name == "error")?;
    let Error { message, code, param, .. } = Error::of(error);
    Some(Said { envelope: NAME, message: message?, code: code.map(Cow::into_owned), param })
}

/// What an `error` value says.
struct Error<'a> {
    message: Option<String>,
    code: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    param: Option<String>,
}

impl<'a> Error<'a> {
    fn of(error: &'a RawValue) -> Self {
        let mut said = Self { message: wire::string(error).ok(), code: None, kind: None, param: None };
        for (name, value) in wire::object(error).into_iter().flat_map(|fields| fields.0) {
            match &*name {
                "message" => said.message = wire::string(value).ok(),
                "type" => said.kind = wire::text(value).ok(),
                "param" => said.param = wire::string(value).ok(),
                "code" if !wire::is_null(value) => said.code = Some(wire::text(value).unwrap_or(Cow::Borrowed(value.get()))),
                _ => {}
            }
        }
        said
    }

    /// The HTTP status that it stands for: some servers send it as the code, the others' words are known.
    fn status(&self) -> u16 {
        let code = self.code.as_deref().unwrap_or_default();
        if let Some(status) = code.parse().ok().filter(|status| (400..600).contains(status)) {
            return status;
        }
        match (code, self.kind.as_deref().unwrap_or_default()) {
            ("rate_limit_exceeded" | "insufficient_quota", _) | (_, "rate_limit_error" | "rate_limit_exceeded") => 429,
            ("invalid_api_key", _) | (_, "authentication_error") => 401,
            ("model_not_found", _) => 404,
            ("context_length_exceeded" | "invalid_prompt" | "invalid_encrypted_content", _) => 400,
            (_, "invalid_request_error") => 400,
            _ => 500,
        }
    }
}

/// An upstream's error that came where an answer should be: in a body of status 200 or as an event. `whole` is the object around it.
pub(crate) fn said(error: &RawValue, whole: &Bytes) -> Fault {
    let said = Error::of(error);
    let status = said.status();
    let message = said.message.unwrap_or_else(|| "The upstream reported an error without a message.".to_owned());
    let fault = Fault::upstream("", FaultKind::UpstreamStatus(status), message).retry(retry_of(status));
    let mut fault = length::judged(fault, status, said.code.as_deref());
    fault.param = said.param;
    if wire::object(error).is_ok() {
        fault.body = Some((NAME, whole.clone()));
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(fault: &Fault) -> serde_json::Value {
        serde_json::from_slice(&envelope(fault)).unwrap()
    }

    #[test]
    fn a_fault_becomes_the_envelope_that_clients_know() {
        let fault = Fault::caller(FaultKind::InvalidRequest, "no \"good\"").at("messages[2].content");
        let wanted = serde_json::json!({"error": {"message": "no \"good\"", "type": "invalid_request_error",
            "param": "messages[2].content", "code": null}});
        assert_eq!(value(&fault), wanted);
        let code = |kind| value(&Fault::gateway(kind, "x"))["error"]["code"].as_str().map(str::to_owned);
        assert_eq!(code(FaultKind::Unauthenticated).as_deref(), Some("invalid_api_key"));
        assert_eq!(code(FaultKind::UnknownModel).as_deref(), Some("model_not_found"));
        assert_eq!(code(FaultKind::RateLimited).as_deref(), Some("rate_limit_exceeded"));
        assert_eq!(code(FaultKind::Blocked { plugin: "p".into(), code: "c".into() }).as_deref(), Some("content_filter"));
        assert_eq!(code(FaultKind::ContextLength).as_deref(), Some("context_length_exceeded"));
    }

    #[test]
    fn an_upstreams_own_error_passes_through_untouched() {
        let body = Bytes::from_static(br#"{"error":{"message":"m","odd":[1 ,2]},"more":1}"#);
        let mut fault = Fault::upstream("x", FaultKind::UpstreamStatus(400), "m");
        fault.body = Some((NAME, body.clone()));
        assert_eq!(envelope(&fault), body);
    }

    #[test]
    fn the_envelope_reads_as_async_openais_error() {
        let fault = Fault::caller(FaultKind::UnknownModel, "no such model").at("model");
        let error: async_openai::error::ApiError = serde_json::from_value(value(&fault)["error"].clone()).unwrap();
        assert_eq!((error.code.as_deref(), error.param.as_deref()), (Some("model_not_found"), Some("model")));
    }

    #[test]
    fn an_upstreams_words_become_a_status() {
        let status = |json: &'static str| {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            said(raw, &Bytes::from_static(json.as_bytes())).kind
        };
        assert_eq!(status(r#"{"message":"m","code":429}"#), FaultKind::UpstreamStatus(429));
        assert_eq!(status(r#"{"message":"m","code":"503"}"#), FaultKind::UpstreamStatus(503));
        assert_eq!(status(r#"{"message":"m","type":"invalid_request_error"}"#), FaultKind::UpstreamStatus(400));
        assert_eq!(status(r#""just words""#), FaultKind::UpstreamStatus(500));
    }
}
