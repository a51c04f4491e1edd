//! A rule and a question -> the JSON that is sent, as events or as a whole.
//!
//! Apart because it is pure: tests compare it byte for byte. It must not wait or send.

use serde_json::{Map, Value, json};

use super::question::{Question, tokens};
use super::script::{Call, Said, Then};

/// Characters a chunk where the script does not say.
const CHUNK_CHARS: usize = 8;
/// Unix seconds of every answer, so that they are the same each time.
pub(super) const CREATED: u64 = 1_700_000_000;

/// One answer being made.
pub(super) struct Answer<'a> {
    pub(super) question: &'a Question,
    pub(super) then: &'a Then,
    /// Number of the request: makes the ids.
    pub(super) call: u64,
}

impl Answer<'_> {
    /// The data of each event in order, without `[DONE]`.
    pub(super) fn events(&self) -> Vec<String> {
        let mut events = Vec::new();
        for choice in 0..self.question.choices {
            let mut delta =
                |delta: Value| events.push(self.chunk(json!([{"index": choice, "delta": delta, "finish_reason": null}])));
            delta(json!({"role": "assistant", "content": ""}));
            for (field, said) in
                [("reasoning_content", &self.then.reasoning), ("content", &self.then.text), ("refusal", &self.then.refusal)]
            {
                for piece in self.pieces(said) {
                    delta(json!({field: piece}));
                }
            }
            for (index, call) in self.then.tool_calls.iter().enumerate() {
                let function = json!({"name": self.question.fill(&call.name), "arguments": ""});
                delta(
                    json!({"tool_calls": [{"index": index, "id": self.call_id(index), "type": "function", "function": function}]}),
                );
                for piece in self.pieces(&call.arguments) {
                    delta(json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}));
                }
            }
        }
        for choice in 0..self.question.choices {
            events.push(self.chunk(json!([{"index": choice, "delta": {}, "finish_reason": self.finish()}])));
        }
        if self.question.include_usage {
            let mut chunk = self.envelope("chat.completion.chunk", json!([]));
            chunk.insert("usage".to_owned(), self.usage());
            events.push(Value::Object(chunk).to_string());
        }
        events
    }

    /// The body of a whole answer.
    pub(super) fn whole(&self) -> String {
        let choice = |index: u32| {
            let mut message = Map::new();
            message.insert("role".to_owned(), "assistant".into());
            let content = self.joined(&self.then.text);
            message.insert("content".to_owned(), content.map_or(Value::Null, Value::from));
            if let Some(text) = self.joined(&self.then.reasoning) {
                message.insert("reasoning_content".to_owned(), text.into());
            }
            message.insert("refusal".to_owned(), self.joined(&self.then.refusal).map_or(Value::Null, Value::from));
            if !self.then.tool_calls.is_empty() {
                let calls = self.then.tool_calls.iter().enumerate().map(|(index, call)| {
                    let function = json!({"name": self.question.fill(&call.name), "arguments": self.joined(&call.arguments).unwrap_or_default()});
                    json!({"id": self.call_id(index), "type": "function", "function": function})
                });
                message.insert("tool_calls".to_owned(), calls.collect());
            }
            json!({"index": index, "message": message, "logprobs": null, "finish_reason": self.finish()})
        };
        let mut body = self.envelope("chat.completion", (0..self.question.choices).map(choice).collect());
        body.insert("usage".to_owned(), self.usage());
        Value::Object(body).to_string()
    }

    fn envelope(&self, object: &str, choices: Value) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("id".to_owned(), format!("chatcmpl-mock-{}", self.call).into());
        fields.insert("object".to_owned(), object.into());
        fields.insert("created".to_owned(), CREATED.into());
        fields.insert("model".to_owned(), self.question.model.as_str().into());
        fields.extend(self.then.extra.clone());
        fields.insert("choices".to_owned(), choices);
        fields
    }

    fn chunk(&self, choices: Value) -> String {
        Value::Object(self.envelope("chat.completion.chunk", choices)).to_string()
    }

    pub(super) fn call_id(&self, index: usize) -> String {
        format!("call_mock_{}_{index}", self.call)
    }

    pub(super) fn finish(&self) -> &str {
        let usual = if self.then.tool_calls.is_empty() { "stop" } else { "tool_calls" };
        self.then.finish_reason.as_deref().unwrap_or(usual)
    }

    pub(super) fn pieces(&self, said: &Said) -> Vec<String> {
        match said {
            Said::Nothing => Vec::new(),
            Said::Pieces(pieces) => pieces.iter().map(|piece| self.question.fill(piece)).collect(),
            Said::Whole(text) => self.cut(&self.question.fill(text)),
        }
    }

    /// A text in pieces of so many characters.
    pub(super) fn cut(&self, text: &str) -> Vec<String> {
        let text: Vec<char> = text.chars().collect();
        text.chunks(self.then.chunk_chars.unwrap_or(CHUNK_CHARS)).map(|piece| piece.iter().collect()).collect()
    }

    pub(super) fn joined(&self, said: &Said) -> Option<String> {
        match said {
            Said::Nothing => None,
            Said::Pieces(pieces) => Some(pieces.iter().map(|piece| self.question.fill(piece)).collect()),
            Said::Whole(text) => Some(self.question.fill(text)),
        }
    }

    pub(super) fn usage(&self) -> Value {
        let characters = |said: &Said| self.joined(said).map_or(0, |text| text.chars().count());
        let told = |kind: &str, counted: u64| self.then.usage.get(kind).copied().unwrap_or(counted);
        let reasoning = tokens(characters(&self.then.reasoning));
        let calls: usize =
            self.then.tool_calls.iter().map(|Call { name, arguments }| name.chars().count() + characters(arguments)).sum();
        let spoken = tokens(characters(&self.then.text) + characters(&self.then.refusal) + calls);
        let prompt = told("prompt", self.question.prompt_tokens);
        let completion = told("completion", (reasoning + spoken) * u64::from(self.question.choices));
        json!({
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": told("cached", 0)},
            "completion_tokens_details": {"reasoning_tokens": told("reasoning", reasoning * u64::from(self.question.choices))},
        })
    }
}
