//! The same rules in Anthropic's Messages: what is understood of a request, and the events and bodies that answer it.
//!
//! Apart because it is the mock's second language, from its own few lines. It must not wait or send.

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::question::{Question, text, tokens};

/// What a thought of the mock is signed with.
const SIGNATURE: &str = "bW9jayBzaWduYXR1cmU=";

impl Question {
    /// Reads a request's body; `None` if it is not JSON.
    pub(super) fn read_messages(body: &[u8]) -> Option<Self> {
        let mut question = Self::read(body)?;
        let body: Value = serde_json::from_slice(body).ok()?;
        let no_messages = Vec::new();
        let messages = body["messages"].as_array().unwrap_or(&no_messages);
        let result = |message: &Value| {
            let blocks = message["content"].as_array()?;
            blocks.iter().rev().find(|block| block["type"] == "tool_result").map(|block| text(&block["content"]))
        };
        // Results of tools come from the user too.
        let said = messages.iter().rev().filter(|message| message["role"] == "user").map(|message| text(&message["content"]));
        question.user = said.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        question.tool_result = messages.last().and_then(result);
        question.tools =
            body["tools"].as_array().into_iter().flatten().filter_map(|tool| tool["name"].as_str().map(str::to_owned)).collect();
        question.prompt_tokens += tokens(text(&body["system"]).chars().count());
        question.choices = 1;
        Some(question)
    }
}

impl Answer<'_> {
    /// Type and data of each event, in order.
    pub(super) fn message_events(&self) -> Vec<(&'static str, String)> {
        let mut message = self.message(json!([]));
        message.insert("stop_reason".to_owned(), Value::Null);
        message.insert("usage".to_owned(), json!({"input_tokens": self.message_usage()["input_tokens"], "output_tokens": 1}));
        let mut events = Events(vec![("message_start", json!({"message": message}))]);
        let thought = self.pieces(&self.then.reasoning);
        if !thought.is_empty() {
            events.block(json!({"type": "thinking", "thinking": "", "signature": ""}), |delta| {
                thought.iter().for_each(|piece| delta(json!({"type": "thinking_delta", "thinking": piece})));
                delta(json!({"type": "signature_delta", "signature": SIGNATURE}));
            });
        }
        for said in [&self.then.text, &self.then.refusal] {
            let pieces = self.pieces(said);
            if !pieces.is_empty() {
                events.block(json!({"type": "text", "text": ""}), |delta| {
                    pieces.iter().for_each(|piece| delta(json!({"type": "text_delta", "text": piece})));
                });
            }
        }
        for (index, call) in self.then.tool_calls.iter().enumerate() {
            let name = self.question.fill(&call.name);
            events.block(json!({"type": "tool_use", "id": self.call_id(index), "name": name, "input": {}}), |delta| {
                self.pieces(&call.arguments)
                    .iter()
                    .for_each(|piece| delta(json!({"type": "input_json_delta", "partial_json": piece})));
            });
        }
        let delta = json!({"stop_reason": self.stop(), "stop_sequence": null});
        events.0.push(("message_delta", json!({"delta": delta, "usage": self.message_usage()})));
        events.0.push(("message_stop", json!({})));
        events.0.into_iter().map(|(kind, data)| (kind, typed(kind, data).to_string())).collect()
    }

    /// The body of a whole answer.
    pub(super) fn message_body(&self) -> String {
        let mut content = Vec::new();
        if let Some(thought) = self.joined(&self.then.reasoning) {
            content.push(json!({"type": "thinking", "thinking": thought, "signature": SIGNATURE}));
        }
        let texts = [&self.then.text, &self.then.refusal].into_iter().filter_map(|said| self.joined(said));
        content.extend(texts.map(|text| json!({"type": "text", "text": text})));
        for (index, call) in self.then.tool_calls.iter().enumerate() {
            let arguments = self.joined(&call.arguments).unwrap_or_default();
            let input: Value = serde_json::from_str(&arguments).unwrap_or_else(|_| json!({}));
            content.push(
                json!({"type": "tool_use", "id": self.call_id(index), "name": self.question.fill(&call.name), "input": input}),
            );
        }
        Value::Object(self.message(content.into())).to_string()
    }

    fn message(&self, content: Value) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("id".to_owned(), format!("msg_mock_{}", self.call).into());
        fields.insert("type".to_owned(), "message".into());
        fields.insert("role".to_owned(), "assistant".into());
        fields.insert("model".to_owned(), self.question.model.as_str().into());
        fields.extend(self.then.extra.clone());
        fields.insert("content".to_owned(), content);
        fields.insert("stop_reason".to_owned(), self.stop().into());
        fields.insert("stop_sequence".to_owned(), Value::Null);
        fields.insert("usage".to_owned(), self.message_usage());
        fields
    }

    fn stop(&self) -> &str {
        match self.finish() {
            "stop" => "end_turn",
            "length" => "max_tokens",
            "tool_calls" => "tool_use",
            "content_filter" => "refusal",
            other => other,
        }
    }

    fn message_usage(&self) -> Value {
        let usage = self.usage();
        let count = |value: &Value| value.as_u64().unwrap_or_default();
        let cached = count(&usage["prompt_tokens_details"]["cached_tokens"]);
        json!({
            "input_tokens": count(&usage["prompt_tokens"]).saturating_sub(cached),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": cached,
            "output_tokens": count(&usage["completion_tokens"]),
        })
    }
}

/// Events while they are put together.
struct Events(Vec<(&'static str, Value)>);

impl Events {
    fn block(&mut self, block: Value, pieces: impl FnOnce(&mut dyn FnMut(Value))) {
        let index = self.0.iter().filter(|(kind, _)| *kind == "content_block_start").count();
        self.0.push(("content_block_start", json!({"index": index, "content_block": block})));
        pieces(&mut |delta| self.0.push(("content_block_delta", json!({"index": index, "delta": delta}))));
        self.0.push(("content_block_stop", json!({"index": index})));
    }
}

/// An event's data begins with its type.
fn typed(kind: &str, data: Value) -> Value {
    let mut fields = Map::new();
    fields.insert("type".to_owned(), kind.into());
    if let Value::Object(rest) = data {
        fields.extend(rest);
    }
    Value::Object(fields)
}
