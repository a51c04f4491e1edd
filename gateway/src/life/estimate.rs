//! How many tokens a prompt has, about: for who asks for that alone, for limits before anybody has counted, and where nobody tells.
//!
//! Apart because it is a guess, and everything else that is counted here was reported. It must not know who answers: each model counts in
//! its own way.

use gatewright_types::{ChatRequest, Content, Part, Tool};

use crate::dialects::tokens_of as tokens_of_media;

/// A rough number of tokens in so many bytes of text.
pub(crate) fn tokens_of(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}

/// A part of a message, in bytes of text.
fn of_part(part: &Part) -> usize {
    match part {
        Part::Text { text, .. } => text.len(),
        Part::Other { kind, raw } => usize::try_from(tokens_of_media(kind, raw)).unwrap_or_default().saturating_mul(4),
    }
}

/// A rough number of tokens in a prompt: a quarter of its text's bytes, four a message, and media as vendors count it.
pub(crate) fn prompt_estimate(request: &ChatRequest) -> u64 {
    let content = |content: &Content| match content {
        Content::Absent | Content::Null => 0,
        Content::Text(text) => text.len(),
        Content::Parts(parts) => parts.iter().map(of_part).sum(),
    };
    let of_message = |message: &gatewright_types::Message| {
        let calls: usize = message.tool_calls.iter().map(|call| call.name.len() + call.arguments.len()).sum();
        16 + content(&message.content) + message.reasoning.as_ref().map_or(0, String::len) + calls
    };
    let of_tool = |tool: &Tool| match tool {
        Tool::Function(tool) => {
            let schema = tool.parameters.as_ref().map_or(0, |schema| schema.get().len());
            tool.name.len() + tool.description.as_ref().map_or(0, String::len) + schema
        }
        Tool::Other(raw) => raw.get().len(),
    };
    let bytes: usize = request.messages.iter().map(of_message).sum::<usize>() + request.tools.iter().map(of_tool).sum::<usize>();
    tokens_of(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::{Asked, Dialect as _, anthropic_messages::AnthropicMessages};

    #[test]
    fn a_document_counts_as_what_it_says_and_an_image_as_one() {
        let asks = |blocks: serde_json::Value| {
            let body = serde_json::json!({"model": "m", "messages": [{"role": "user", "content": blocks}]}).to_string();
            prompt_estimate(&AnthropicMessages.read(body.as_bytes(), &Asked::default()).unwrap())
        };
        let source = serde_json::json!({"type": "text", "media_type": "text/plain", "data": "x".repeat(40_000)});
        assert_eq!(asks(serde_json::json!([{"type": "document", "source": source}])), 10_004);
        let image = serde_json::json!({"type": "image", "source": {"type": "url", "url": "https://h/x.png"}});
        let result =
            serde_json::json!({"type": "tool_result", "tool_use_id": "a", "content": [image, {"type": "text", "text": "1234"}]});
        assert_eq!(asks(serde_json::json!([result])), 1605);
    }
}
