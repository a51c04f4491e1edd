//! Faults in this dialect's words, and an upstream's errors as faults.
//!
//! Apart because a stream here tells a failure in two ways of its own: an event, and the answer as it failed. Everything else is worded
//! as in OpenAI's other API. It must not know which room raised a fault.

use std::borrow::Cow;

use bytes::Bytes;
use gatewright_types::Fault;
use serde_json::value::RawValue;

use crate::dialects::out::Out;
use crate::dialects::{Said, openai_chat, openai_chat::fault};

/// The codes that the answer as it failed may have, by OpenAI's document.
const OF_ANSWERS: [&str; 18] = [
    "server_error",
    "rate_limit_exceeded",
    "invalid_prompt",
    "vector_store_timeout",
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "invalid_image_url",
    "image_too_large",
    "image_too_small",
    "image_parse_error",
    "image_content_policy_violation",
    "invalid_image_mode",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
    "image_file_not_found",
];

/// Codes that OpenAI's service sends there all the same, and clients act upon: Codex makes its conversation shorter, or gives up
/// (https://github.com/openai/codex, codex-rs/codex-api/src/sse/responses.rs).
const ACTED_UPON: [&str; 2] = ["context_length_exceeded", "insufficient_quota"];

/// The error body for a client: the envelope that both of OpenAI's APIs have.
pub(super) fn envelope(fault: &Fault) -> Bytes {
    fault::envelope(fault)
}

/// An upstream's error that came where an answer should be: an object, or an event with the fields of one. Its code goes on.
pub(super) fn said(error: Option<&RawValue>) -> Fault {
    let error = error.unwrap_or(RawValue::NULL);
    let mut fault = fault::said(error, &Bytes::new());
    let whole = format!("{{\"error\":{}}}", error.get());
    fault.body = fault::message(whole.as_bytes())
        .and_then(|Said { envelope, code, .. }| Some((envelope, fault::enveloped(&fault, Some(&*code?)))));
    fault
}

/// The code of a fault: an upstream's own, where OpenAI's words are its words; every other one has one here.
fn code(fault: &Fault) -> Cow<'static, str> {
    let body = fault.body.as_ref().filter(|(dialect, _)| *dialect == openai_chat::NAME);
    if let Some(code) = body.and_then(|(_, body)| fault::message(body)?.code) {
        return code.into();
    }
    let (kind, code) = fault::words(&fault.kind);
    code.unwrap_or(kind).into()
}

/// The fields of an `error` event. OpenAI's document has them in the event, Open Responses in an object in it: here are both.
pub(super) fn event(out: &mut Out, fault: &Fault) {
    let code = code(fault);
    let fields = |out: &mut Out| {
        out.text("code", &code);
        out.text("message", &fault.message);
        match &fault.param {
            Some(param) => out.text("param", param),
            None => out.value("param", RawValue::NULL),
        }
    };
    fields(out);
    out.name("error");
    out.open();
    out.text("type", fault::words(&fault.kind).0);
    fields(out);
    out.close();
}

/// The `error` of an answer that failed.
pub(super) fn of_answer(out: &mut Out, fault: &Fault) {
    let own = code(fault);
    let code = match fault::words(&fault.kind).0 {
        _ if OF_ANSWERS.iter().chain(&ACTED_UPON).any(|code| *code == own) => &*own,
        "rate_limit_error" => "rate_limit_exceeded",
        "invalid_request_error" => "invalid_prompt",
        _ => "server_error",
    };
    out.open();
    out.text("code", code);
    out.text("message", &fault.message);
    out.close();
}

#[cfg(test)]
mod tests {
    use gatewright_types::FaultKind;
    use serde_json::{Value, json};

    use super::*;

    fn written(fault: &Fault) -> (Value, Value) {
        let (mut told, mut failed) = (Out::default(), Out::default());
        told.open();
        event(&mut told, fault);
        told.close();
        of_answer(&mut failed, fault);
        let read = |out: Out| serde_json::from_slice(&out.done()).unwrap();
        (read(told), read(failed))
    }

    #[test]
    fn an_event_tells_a_failure_as_both_documents_want_it_and_the_answer_in_openais_words() {
        let (event, failed) = written(&Fault::upstream("u", FaultKind::UpstreamCut, "it broke off").at("input"));
        let mut flat = json!({"code": "upstream_cut", "message": "it broke off", "param": "input"});
        let mut nested = flat.clone();
        nested["type"] = "server_error".into();
        flat["error"] = nested;
        assert_eq!((event, failed), (flat, json!({"code": "server_error", "message": "it broke off"})));
        let code = |kind| written(&Fault::gateway(kind, "m")).1["code"].clone();
        assert_eq!(code(FaultKind::UpstreamStatus(429)), "rate_limit_exceeded");
        assert_eq!(code(FaultKind::ContextLength), "context_length_exceeded");
        assert_eq!(code(FaultKind::InvalidRequest), "invalid_prompt");
        assert_eq!(code(FaultKind::Engine), "server_error");
    }

    #[test]
    fn an_upstreams_own_code_goes_on_where_openai_has_it() {
        let own = |code: &str| {
            let error = json!({"type": "error", "code": code, "message": "m", "param": null}).to_string();
            let fault = said(Some(serde_json::from_str(&error).unwrap()));
            let body: Value = serde_json::from_slice(&envelope(&fault)).unwrap();
            let (event, failed) = written(&fault);
            assert_eq!((&body["error"]["code"], &event["code"]), (&json!(code), &json!(code)));
            (body["error"]["type"].clone(), failed["code"].clone())
        };
        assert_eq!(own("invalid_image_url"), (json!("server_error"), json!("invalid_image_url")));
        assert_eq!(own("insufficient_quota"), (json!("rate_limit_error"), json!("insufficient_quota")));
        let overloaded = Bytes::from_static(b"{\"error\":{\"message\":\"m\",\"code\":\"overloaded_error\"}}");
        let mut theirs = Fault::upstream("u", FaultKind::UpstreamStatus(529), "m");
        theirs.body = Some(("anthropic_messages", overloaded));
        assert_eq!(written(&theirs).0["code"], "upstream_error", "another dialect's words are not OpenAI's");
    }
}
