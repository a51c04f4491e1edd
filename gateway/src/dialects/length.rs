//! That a request is too long for an upstream's model, in the words of all servers.
//!
//! Apart because one code is OpenAI's own, and everybody else says it in a sentence: another leg may hold what this one does not. It must
//! not know who was asked.

use gatewright_types::{Fault, FaultKind, Retry, Side};

/// What servers say, in small letters.
const SAID: [&str; 9] = [
    // OpenAI, DeepSeek, vLLM, Mistral, OpenRouter.
    "maximum context length",
    // OpenAI's Responses.
    "exceeds the context window",
    // Anthropic, Fireworks.
    "prompt is too long",
    // Anthropic, with `max_tokens`.
    "exceed context limit",
    // llama-server.
    "exceeds the available context size",
    // Google.
    "exceeds the maximum number of tokens allowed",
    // xAI.
    "maximum prompt length",
    // TGI, Together.
    "tokens + `max_new_tokens` must be",
    // SGLang.
    "is longer than the model's context length",
];

/// The same fault as one of the request's length, where an upstream's status, code or message says so: nobody is to blame, and another
/// leg may hold it.
pub(crate) fn judged(fault: Fault, status: u16, code: Option<&str>) -> Fault {
    let said = || {
        let message = fault.message.to_ascii_lowercase();
        SAID.iter().any(|words| message.contains(words))
    };
    let kind = match status {
        400 | 422 if code == Some("context_length_exceeded") || said() => FaultKind::ContextLength,
        413 => FaultKind::BodyTooLarge,
        _ => return fault,
    };
    Fault { side: Side::Caller, retry: Retry::Elsewhere, kind, ..fault }
}

/// Whether a leg failed because what it was asked is too long for it.
pub(crate) fn is_of(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::ContextLength | FaultKind::BodyTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_say_of_the_length_of_a_request_is_understood() {
        let judged = |status, code, message: &str| {
            let fault = Fault::upstream("p", FaultKind::UpstreamStatus(status), message).retry(Retry::Never);
            let fault = super::judged(fault, status, code);
            (fault.kind, fault.retry)
        };
        for (status, code, message) in [
            (400, Some("context_length_exceeded"), "Too much."),
            (400, None, "This model's maximum context length is 65536 tokens. However, you requested 70000 tokens"),
            (400, Some("invalid_request_error"), "prompt is too long: 210000 tokens > 200000 maximum"),
            (400, Some("400"), "The input token count (2097153) exceeds the maximum number of tokens allowed (1048576)."),
            (400, Some("400"), "the request exceeds the available context size. try increasing the context size"),
            (422, None, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000"),
        ] {
            assert_eq!(judged(status, code, message), (FaultKind::ContextLength, Retry::Elsewhere), "{message}");
        }
        assert_eq!(judged(413, None, "Request exceeds the maximum size"), (FaultKind::BodyTooLarge, Retry::Elsewhere));
        for (status, message) in [(400, "`temperature` is too high"), (500, "maximum context length"), (429, "prompt is too long")]
        {
            assert_eq!(judged(status, None, message), (FaultKind::UpstreamStatus(status), Retry::Never), "{message}");
        }
    }
}
