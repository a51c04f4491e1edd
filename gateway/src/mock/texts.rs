//! What is beside chats: completions by the script's rules, embeddings and moderations that follow from the text, and an echo of
//! whatever else is sent.
//!
//! Apart because these are the mock's smaller languages. It must not wait or send.

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::question::{Question, tokens};

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Completion,
    Embedding,
    Moderation,
}

impl Wanted {
    /// Of a path that is none of a chat.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path.rsplit('/').next()? {
            "completions" => Some(Self::Completion),
            "embeddings" => Some(Self::Embedding),
            "moderations" => Some(Self::Moderation),
            _ => None,
        }
    }
}

/// The texts of `prompt` or `input`.
fn texts(body: &Value) -> Vec<String> {
    let value = if body["prompt"].is_null() { &body["input"] } else { &body["prompt"] };
    let text = |value: &Value| value.as_str().or(value["text"].as_str()).map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        other => vec![text(other)],
    }
}

impl Question {
    /// Reads a request's body; `None` if it is not JSON.
    pub(super) fn read_texts(body: &[u8]) -> Option<Self> {
        let mut question = Self::read(body)?;
        question.user = texts(&serde_json::from_slice(body).ok()?).join("\n");
        question.prompt_tokens = tokens(question.user.chars().count());
        question.choices = 1;
        Some(question)
    }
}

impl Answer<'_> {
    /// Events of a completion, without `[DONE]`.
    pub(super) fn completion_events(&self) -> Vec<String> {
        let choice = |text: &str, finish: Value| json!([{"text": text, "index": 0, "logprobs": null, "finish_reason": finish}]);
        let mut events: Vec<Value> = self.pieces(&self.then.text).iter().map(|text| choice(text, Value::Null)).collect();
        events.push(choice("", self.finish().into()));
        let mut events: Vec<String> =
            events.into_iter().map(|choices| Value::Object(self.completion(choices)).to_string()).collect();
        if self.question.include_usage {
            let mut last = self.completion(json!([]));
            last.insert("usage".to_owned(), self.usage());
            events.push(Value::Object(last).to_string());
        }
        events
    }

    /// The body of a whole completion.
    pub(super) fn completion_body(&self) -> String {
        let text = self.joined(&self.then.text).unwrap_or_default();
        let choices = json!([{"text": text, "index": 0, "logprobs": null, "finish_reason": self.finish()}]);
        let mut body = self.completion(choices);
        body.insert("usage".to_owned(), self.usage());
        Value::Object(body).to_string()
    }

    fn completion(&self, choices: Value) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("id".to_owned(), format!("cmpl-mock-{}", self.call).into());
        fields.insert("object".to_owned(), "text_completion".into());
        fields.insert("created".to_owned(), 1_700_000_000.into());
        fields.insert("model".to_owned(), self.question.model.as_str().into());
        fields.extend(self.then.extra.clone());
        fields.insert("choices".to_owned(), choices);
        fields
    }
}

/// A vector for each text: how long it is, and 1.
pub(super) fn embeddings(question: &Question, body: &[u8]) -> Value {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let data = texts(&body).into_iter().enumerate();
    let data: Vec<Value> =
        data.map(|(index, text)| json!({"object": "embedding", "index": index, "embedding": [text.chars().count(), 1]})).collect();
    let usage = json!({"prompt_tokens": question.prompt_tokens, "total_tokens": question.prompt_tokens});
    json!({"object": "list", "data": data, "model": question.model, "usage": usage})
}

/// What a text is judged for.
const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

/// Flagged is what says `flag`, for everything.
pub(super) fn moderations(question: &Question, body: &[u8]) -> Value {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let judge = |text: &String| {
        let flagged = text.contains("flag");
        let each =
            |value: Value| CATEGORIES.map(|name| (name.to_owned(), value.clone())).into_iter().collect::<Map<String, Value>>();
        json!({"flagged": flagged, "categories": each(flagged.into()), "category_scores": each(f64::from(u8::from(flagged)).into()),
            "category_applied_input_types": each(json!(["text"]))})
    };
    let results: Vec<Value> = texts(&body).iter().map(judge).collect();
    json!({"id": "modr-mock", "model": question.model, "results": results})
}

/// What came, told back.
pub(super) fn echo(head: &http::request::Parts, body: &[u8]) -> Value {
    let header = |name: &str| head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let path = head.uri.path_and_query().map(|path| path.as_str().to_owned());
    json!({"method": head.method.as_str(), "path": path, "bytes": body.len(), "content_type": header("content-type"),
        "authorization": header("authorization"), "text": String::from_utf8_lossy(body)})
}
