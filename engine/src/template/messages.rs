//! A request's messages and tools as the plain JSON that chat templates read.
//!
//! Apart because templates have a shape of their own (that of Hugging Face transformers). It must not know Jinja.

use gatewright_types::{ChatRequest, Content, Message, Part, Role, Tool, ToolCall};
use serde_json::{Map, Value, json};

use crate::error::EngineError;

/// How a call's arguments are given to the template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arguments {
    /// Parsed, where they are JSON.
    Object,
    /// As the model wrote them.
    Text,
}

/// Whether some message has calls.
pub(super) fn has_calls(request: &ChatRequest) -> bool {
    request.messages.iter().any(|m| !m.tool_calls.is_empty())
}

/// The messages, oldest first.
///
/// # Errors
/// [`EngineError::Unsupported`] for a content part that is not text.
pub(super) fn messages(request: &ChatRequest, arguments: Arguments) -> Result<Value, EngineError> {
    let messages: Result<Vec<Value>, EngineError> =
        request.messages.iter().enumerate().map(|(i, m)| message(m, arguments, i)).collect();
    messages.map(Value::Array)
}

fn message(message: &Message, arguments: Arguments, index: usize) -> Result<Value, EngineError> {
    let mut out = Map::new();
    let role = match &message.role {
        // Templates know the older word only.
        Role::System | Role::Developer => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
        Role::Other(role) => role,
    };
    out.insert("role".into(), role.into());
    if let Content::Parts(parts) = &message.content
        && let Some(at) = parts.iter().position(|p| matches!(p, Part::Other { .. }))
    {
        let kind = if let Some(Part::Other { kind, .. }) = parts.get(at) { kind.as_str() } else { "other" };
        return Err(EngineError::unsupported(
            format!("messages[{index}].content[{at}]"),
            format!("this model reads text only, not `{kind}` parts"),
        ));
    }
    // Templates add strings to strings: a null stays one only where they look for it, at a message that is nothing but calls.
    let bare = matches!(message.content, Content::Absent | Content::Null) && !message.tool_calls.is_empty();
    out.insert("content".into(), if bare { Value::Null } else { message.content.joined().into() });
    if let Some(reasoning) = &message.reasoning {
        out.insert("reasoning_content".into(), reasoning.as_str().into());
    }
    if !message.tool_calls.is_empty() {
        out.insert("tool_calls".into(), message.tool_calls.iter().map(|c| call(c, arguments)).collect());
    }
    if let Some(id) = &message.tool_call_id {
        out.insert("tool_call_id".into(), id.as_str().into());
    }
    if let Some(name) = &message.name {
        out.insert("name".into(), name.as_str().into());
    }
    Ok(Value::Object(out))
}

fn call(call: &ToolCall, arguments: Arguments) -> Value {
    let text = || Value::String(call.arguments.clone());
    let arguments = match arguments {
        Arguments::Text => text(),
        Arguments::Object => serde_json::from_str(&call.arguments).unwrap_or_else(|_| text()),
    };
    json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": arguments } })
}

/// The tools, or null if there are none or the request says that none may be called.
///
/// # Errors
/// [`EngineError::Unsupported`] for a tool whose JSON cannot be read.
pub(super) fn tools(request: &ChatRequest) -> Result<Value, EngineError> {
    let none = request.tool_choice.as_ref().is_some_and(|choice| choice.get() == "\"none\"");
    if none || request.tools.is_empty() {
        return Ok(Value::Null);
    }
    let tools: Result<Vec<Value>, serde_json::Error> = request.tools.iter().map(tool).collect();
    tools.map(Value::Array).map_err(|e| EngineError::unsupported("tools", format!("cannot be read: {e}")))
}

fn tool(tool: &Tool) -> Result<Value, serde_json::Error> {
    let function = match tool {
        Tool::Other(raw) => return serde_json::from_str(raw.get()),
        Tool::Function(function) => function,
    };
    let mut out = Map::new();
    out.insert("name".into(), function.name.as_str().into());
    if let Some(description) = &function.description {
        out.insert("description".into(), description.as_str().into());
    }
    if let Some(parameters) = &function.parameters {
        out.insert("parameters".into(), serde_json::from_str(parameters.get())?);
    }
    Ok(json!({ "type": "function", "function": out }))
}
