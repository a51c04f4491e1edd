//! What the mock understands of a request: enough to choose a rule and to fill in its blanks.
//!
//! Apart because it is the mock's own, tolerant reading. It must not refuse what it does not know.

use serde_json::Value;

/// What was asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Question {
    pub(super) model: String,
    /// Text of the last user message.
    pub(super) user: String,
    /// Text of the last message, if it is a tool's.
    pub(super) tool_result: Option<String>,
    /// Names of the tools on offer.
    pub(super) tools: Vec<String>,
    /// Those of them that Responses offer in a way of its own.
    pub(super) own_tools: Vec<OwnTool>,
    /// The one of them that the rule looked for.
    pub(super) offered: String,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) choices: u32,
    pub(super) prompt_tokens: u64,
    pub(super) headers: Vec<(String, String)>,
}

/// A tool of Responses that takes a text, or is in a namespace.
#[derive(Clone, Debug)]
pub(super) struct OwnTool {
    /// The name that scripts know it by: `<namespace>__<name>`.
    pub(super) called: String,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) takes_text: bool,
}

/// Choices at most.
const MAX_CHOICES: u64 = 16;

impl Question {
    /// Reads a request's body; `None` if it is not JSON.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let no_messages = Vec::new();
        let messages = body["messages"].as_array().unwrap_or(&no_messages);
        let role = |message: &&Value, role: &str| message["role"] == role;
        let user = messages.iter().rev().find(|m| role(m, "user")).map(|m| text(&m["content"])).unwrap_or_default();
        let tools = body["tools"].as_array().into_iter().flatten();
        let characters: usize = messages.iter().map(|m| text(&m["content"]).chars().count()).sum();
        Some(Self {
            model: body["model"].as_str().unwrap_or_default().to_owned(),
            user,
            tool_result: messages.last().filter(|m| role(m, "tool")).map(|m| text(&m["content"])),
            tools: tools.filter_map(|tool| tool["function"]["name"].as_str().map(str::to_owned)).collect(),
            own_tools: Vec::new(),
            offered: String::new(),
            stream: body["stream"] == true,
            include_usage: body["stream_options"]["include_usage"] == true,
            choices: u32::try_from(body["n"].as_u64().unwrap_or(1).clamp(1, MAX_CHOICES)).unwrap_or(1),
            prompt_tokens: tokens(characters),
            headers: Vec::new(),
        })
    }

    /// Puts the question's parts into a text: `{{user}}`, `{{tool}}`, `{{model}}`, `{{offered}}` (the tool that the
    /// rule looked for), and `{{expression}}`, the longest stretch of the user's text that looks like arithmetic.
    pub(super) fn fill(&self, text: &str) -> String {
        if !text.contains("{{") {
            return text.to_owned();
        }
        // One pass, so that what a user writes is never filled in itself.
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            filled.push_str(before);
            let Some((name, behind)) = after.split_once("}}") else {
                filled.push_str("{{");
                rest = after;
                continue;
            };
            match name {
                "user" => filled.push_str(&self.user),
                "tool" => filled.push_str(self.tool_result.as_deref().unwrap_or_default()),
                "offered" => filled.push_str(&self.offered),
                "model" => filled.push_str(&self.model),
                "expression" => filled.push_str(expression(&self.user)),
                other => filled.extend(["{{", other, "}}"]),
            }
            rest = behind;
        }
        filled.push_str(rest);
        filled
    }
}

/// As many tokens as a real model might count: four characters each.
pub(super) fn tokens(characters: usize) -> u64 {
    characters.div_ceil(4) as u64
}

/// The text of a content, whole or in parts.
pub(super) fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

fn expression(text: &str) -> &str {
    let arithmetic = |c: char| c.is_ascii_digit() || "+-*/%^(). ".contains(c);
    let stretches = text.split(|c: char| !arithmetic(c)).map(|part| part.trim_matches([' ', '.']));
    stretches.filter(|part| part.contains(|c: char| c.is_ascii_digit())).max_by_key(|part| part.len()).unwrap_or("0")
}
