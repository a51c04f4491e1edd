//! Reads a stream of server-sent events as a client does, for the tests: strict, whole, and keeping what was sent.
//!
//! Apart from the gateway's own reader because a test that used that would share its mistakes. It must not know what a test expects.

use serde_json::Value;

use crate::child::Broken;

/// One event's data.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// A JSON object.
    Json(Value),
    /// The end mark `[DONE]`.
    Done,
    /// A comment line (keep-alive, verdicts), without the colon.
    Comment(String),
}

/// A streamed answer, added up for choice 0.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Visible text.
    pub text: String,
    /// Thought.
    pub reasoning: String,
    /// Name and arguments of each tool call.
    pub calls: Vec<(String, String)>,
    /// The last finish reason.
    pub finish: Option<String>,
    /// Error event, if one came.
    pub error: Option<Value>,
    /// Usage, if it came.
    pub usage: Option<Value>,
    /// Whether `[DONE]` came, as the last event.
    pub done: bool,
    /// Number of JSON events.
    pub events: usize,
    /// Comments, in order.
    pub comments: Vec<String>,
}

/// Splits a body into frames.
///
/// # Errors
/// A line that is not one of an event stream, or data that is not JSON.
pub fn frames(body: &str) -> Result<Vec<Frame>, Broken> {
    let mut frames = Vec::new();
    for line in body.lines().filter(|l| !l.is_empty()) {
        if let Some(comment) = line.strip_prefix(':') {
            frames.push(Frame::Comment(comment.trim().to_owned()));
        } else if let Some(data) = line.strip_prefix("data: ") {
            frames.push(if data == "[DONE]" { Frame::Done } else { Frame::Json(serde_json::from_str(data)?) });
        } else {
            return Err(format!("not a line of an event stream: {line}").into());
        }
    }
    Ok(frames)
}

/// Adds a whole stream up.
///
/// # Errors
/// As [`frames`], or an event after `[DONE]`.
pub fn read_stream(body: &str) -> Result<Answer, Broken> {
    let mut answer = Answer::default();
    for frame in frames(body)? {
        if answer.done && !matches!(frame, Frame::Comment(_)) {
            return Err("something came after [DONE]".into());
        }
        match frame {
            Frame::Done => answer.done = true,
            Frame::Comment(comment) => answer.comments.push(comment),
            Frame::Json(event) => add(&mut answer, &event),
        }
    }
    Ok(answer)
}

fn add(answer: &mut Answer, event: &Value) {
    answer.events += 1;
    if let Some(error) = event.get("error") {
        answer.error = Some(error.clone());
    }
    if let Some(usage) = event.get("usage").filter(|u| u.is_object()) {
        answer.usage = Some(usage.clone());
    }
    let choice = &event["choices"][0];
    let delta = &choice["delta"];
    answer.text.push_str(delta["content"].as_str().unwrap_or_default());
    answer.reasoning.push_str(delta["reasoning_content"].as_str().unwrap_or_default());
    if let Some(finish) = choice["finish_reason"].as_str() {
        answer.finish = Some(finish.to_owned());
    }
    for call in delta["tool_calls"].as_array().into_iter().flatten() {
        let index = usize::try_from(call["index"].as_u64().unwrap_or_default()).unwrap_or_default();
        while answer.calls.len() <= index && index < 64 {
            answer.calls.push(Default::default());
        }
        if let Some((name, arguments)) = answer.calls.get_mut(index) {
            name.push_str(call["function"]["name"].as_str().unwrap_or_default());
            arguments.push_str(call["function"]["arguments"].as_str().unwrap_or_default());
        }
    }
}
