//! A conversation with a model, over the router that clients are served by: what was said so far, and one answer at a time, as it comes.
//!
//! Apart from the command because it has no terminal. It must not know who answers, nor how words are shown.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures_util::StreamExt;
use http::{Request, header};
use serde_json::{Value, json};
use tower_service::Service;

use crate::upstreams::sse::{Bounds, EventReader};

/// Bounds of one answer, bytes.
const BOUNDS: Bounds = Bounds { event: 16 << 20, total: 256 << 20 };
/// Largest refusal that is read.
const REFUSAL: usize = 64 << 10;
/// Longest wait for the beginning of an answer: a model may read a long conversation first.
const PATIENCE: Duration = Duration::from_secs(600);

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Thought.
    Reasoning(String),
    /// Speech, or a refusal.
    Text(String),
    /// A tool is called that nobody here runs: its name.
    Call(String),
    /// It ended in another way than by itself: the finish reason.
    Ended(String),
}

/// A conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    router: Router,
    model: String,
    system: Option<String>,
    messages: Vec<Value>,
}

impl Conversation {
    /// With a model, by a route's name or as `provider/model`.
    pub(crate) fn new(router: Router, model: String, system: Option<String>) -> Self {
        Self { router, model, system, messages: Vec::new() }
    }

    /// Forgets all that was said.
    pub(crate) fn clear(&mut self) {
        self.messages.clear();
    }

    /// Asks, and tells each piece of the answer as it comes. A question whose answer was given up, or never came, is as if it had not been
    /// asked.
    ///
    /// # Errors
    /// What the gateway says of it, in its own words.
    pub(crate) async fn ask(&mut self, text: &str, mut tell: impl FnMut(Said)) -> Result<(), String> {
        let question = json!({"role": "user", "content": text});
        let system = self.system.iter().map(|text| json!({"role": "system", "content": text}));
        let messages: Vec<Value> = system.chain(self.messages.iter().cloned()).chain([question.clone()]).collect();
        let body = json!({"model": self.model, "stream": true, "messages": messages});
        let request = Request::post("/v1/chat/completions").header(header::CONTENT_TYPE, "application/json");
        let request = request.body(Body::from(body.to_string())).map_err(|error| error.to_string())?;
        // It never fails, and is always ready.
        let asked = tokio::time::timeout(PATIENCE, self.router.call(request)).await;
        let Ok(response) = asked.map_err(|_| format!("no answer within {} seconds", PATIENCE.as_secs()))?;
        if !response.status().is_success() {
            let body = axum::body::to_bytes(response.into_body(), REFUSAL).await.map_err(|error| error.to_string())?;
            return Err(complaint(&serde_json::from_slice(&body).unwrap_or_default()));
        }
        let mut answer = String::new();
        let mut pieces = response.into_body().into_data_stream();
        let mut events = EventReader::new(BOUNDS);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| format!("the answer broke off: {error}"))?;
            events.push(piece).map_err(|error| error.to_string())?;
            while let Some(event) = events.next().map_err(|error| error.to_string())? {
                let Ok(chunk) = serde_json::from_slice::<Value>(&event) else { continue };
                if chunk.get("error").is_some() {
                    return Err(complaint(&chunk));
                }
                for said in said(&chunk) {
                    if let Said::Text(text) = &said {
                        answer.push_str(text);
                    }
                    tell(said);
                }
            }
        }
        // Thought is not told again: models are made to be told what they said.
        self.messages.extend([question, json!({"role": "assistant", "content": answer})]);
        Ok(())
    }
}

/// What a chunk says.
fn said(chunk: &Value) -> Vec<Said> {
    let choice = &chunk["choices"][0];
    let text = |name: &str| choice["delta"][name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let calls = choice["delta"]["tool_calls"].as_array().into_iter().flatten();
    let calls = calls.filter_map(|call| call["function"]["name"].as_str().map(|name| Said::Call(name.to_owned())));
    let finish = choice["finish_reason"].as_str().filter(|reason| !["stop", "tool_calls"].contains(reason));
    let reasoning = text("reasoning_content").map(Said::Reasoning);
    let spoken = text("content").into_iter().chain(text("refusal")).map(Said::Text);
    reasoning.into_iter().chain(spoken).chain(calls).chain(finish.map(|reason| Said::Ended(reason.to_owned()))).collect()
}

fn complaint(body: &Value) -> String {
    body["error"]["message"].as_str().unwrap_or("the gateway refused, and did not say why").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_a_chunk_is_told() {
        let chunk = json!({"choices": [{"delta": {"reasoning_content": "hm", "content": "", "refusal": "no",
            "tool_calls": [{"function": {"name": "f", "arguments": "{"}}, {"function": {"arguments": "}"}}]}, "finish_reason": "length"}]});
        let expected =
            [Said::Reasoning("hm".into()), Said::Text("no".into()), Said::Call("f".into()), Said::Ended("length".into())];
        assert_eq!(said(&chunk), expected);
        for quiet in [json!({"choices": []}), json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}), json!(null)] {
            assert_eq!(said(&quiet), []);
        }
    }
}
