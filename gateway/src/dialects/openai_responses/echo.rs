//! What an answer says again of its request, and what is kept of that with it: as the policies left it, not as it came.
//!
//! Apart because every answer has all of these fields, whether the client set them or not. It must not know what is answered.

use gatewright_types::{ChatRequest, Content, Tool, ToolDefinition};
use serde_json::Value;
use serde_json::value::RawValue;

use super::request::{renamed, without_format};
use super::{
    BACKGROUND, CUSTOM, ENCRYPTED, HOSTED, INCLUDE, INSTRUCTIONS, NAME, NAMESPACE, PREVIOUS, REASONING, STORE, TOOL_CHOICE, items,
    own, own_text,
};
use crate::dialects::out::Out;
use crate::dialects::{Echo, Renamed, of_own};

/// The echo of a request.
pub(super) fn of(request: &ChatRequest) -> Echo {
    let tools = renamed(&request.tools);
    let hosted: Vec<Value> = own(&request.extras, HOSTED).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let kinds = hosted.iter().filter_map(|tool| tool["type"].as_str());
    let wanted: Vec<String> = own(&request.extras, INCLUDE).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let conversation = (own(&request.extras, STORE) == Some("true")).then(|| {
        let mut out = Out::with_room(1024);
        items::list(&mut out, &request.messages, (&tools, items::For::Keeping));
        text_of(out).into()
    });
    Echo {
        fields: fields(request, (&tools, &hosted)),
        conversation,
        left_out: kinds.map(|kind| format!("tools:{kind}")).collect(),
        seals: wanted.iter().any(|name| name == ENCRYPTED),
        tools,
    }
}

fn text_of(out: Out) -> String {
    String::from_utf8(out.done().into()).unwrap_or_default()
}

/// The fields, without the braces around them: those before the word on whether the answer is kept, which is known later, and those
/// after it.
fn fields(request: &ChatRequest, (renamed, hosted): (&[Renamed], &[Value])) -> [String; 2] {
    let mut out = Out::with_room(512);
    out.open();
    or(&mut out, BACKGROUND, (own(&request.extras, BACKGROUND), "false"));
    for name in ["conversation", "prompt"] {
        out.value(name, RawValue::NULL);
    }
    instructions(&mut out, request);
    let sampling = &request.sampling;
    count(&mut out, "max_output_tokens", sampling.max_tokens);
    for name in ["max_tool_calls", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", PREVIOUS] {
        or(&mut out, name, (own(&request.extras, name), "null"));
    }
    or(&mut out, "metadata", (own(&request.extras, "metadata"), "{}"));
    or(&mut out, "parallel_tool_calls", (request.extras.get("parallel_tool_calls"), "true"));
    reasoning(&mut out, request);
    or(&mut out, "service_tier", (own(&request.extras, "service_tier").filter(|tier| *tier != "\"auto\""), "\"default\""));
    let before = text_of(out).split_off(1);
    let mut out = Out::with_room(512);
    out.open();
    let numbers = [
        ("temperature", sampling.temperature, 1.0),
        ("top_p", sampling.top_p, 1.0),
        ("presence_penalty", sampling.presence_penalty, 0.0),
        ("frequency_penalty", sampling.frequency_penalty, 0.0),
    ];
    for (name, number, usual) in numbers {
        out.name(name);
        out.float(number.unwrap_or(usual));
    }
    out.number("top_logprobs", sampling.top_logprobs.unwrap_or_default());
    text(&mut out, request);
    choice(&mut out, request, renamed);
    tools(&mut out, &request.tools, hosted);
    or(&mut out, "truncation", (own(&request.extras, "truncation"), "\"disabled\""));
    or(&mut out, "user", (request.extras.get("user"), "null"));
    [before, text_of(out).split_off(1)]
}

/// A field that is raw JSON, or what it is where nobody said.
fn or(out: &mut Out, name: &str, (said, usual): (Option<&str>, &str)) {
    out.name(name);
    out.raw(said.unwrap_or(usual));
}

fn count(out: &mut Out, name: &str, number: Option<u64>) {
    match number {
        Some(number) => out.number(name, number),
        None => out.value(name, RawValue::NULL),
    }
}

fn instructions(out: &mut Out, request: &ChatRequest) {
    let message = request.messages.iter().find(|message| own(&message.extras, INSTRUCTIONS).is_some());
    match message.map(|message| &message.content) {
        Some(Content::Text(text)) => out.text("instructions", text),
        _ => out.value("instructions", RawValue::NULL),
    }
}

fn reasoning(out: &mut Out, request: &ChatRequest) {
    let said: Value = own(&request.extras, REASONING).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    out.name("reasoning");
    out.open();
    // A plugin may have set another.
    or(out, "effort", (request.extras.get("reasoning_effort"), "null"));
    or(out, "summary", (Some(&said["summary"].to_string()), "null"));
    out.close();
}

/// How the answer shall be.
pub(super) fn text(out: &mut Out, request: &ChatRequest) {
    out.name("text");
    out.open();
    out.name("format");
    let format: Value = request.response_format.as_ref().and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    match (format["type"].as_str(), &format["json_schema"]) {
        (Some("json_schema"), Value::Object(schema)) => {
            let field = |name: &str| schema.get(name).unwrap_or(&Value::Null).to_string();
            out.open();
            out.text("type", "json_schema");
            for name in ["name", "description", "schema", "strict"] {
                out.field(name, &field(name));
            }
            out.close();
        }
        (Some(_), _) => out.raw(&format.to_string()),
        (None, _) => out.raw(r#"{"type":"text"}"#),
    }
    request.extras.get("verbosity").into_iter().for_each(|word| out.field("verbosity", word));
    out.close();
}

/// Which tool to call, under the client's name for it.
pub(super) fn choice(out: &mut Out, request: &ChatRequest, renamed: &[Renamed]) {
    let found: Value = request.tool_choice.as_ref().and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    out.name("tool_choice");
    if let Some(said) = own(&request.extras, TOOL_CHOICE) {
        return out.raw(said);
    }
    match (found["function"]["name"].as_str(), found.as_str()) {
        (Some(called), _) => {
            let known = renamed.iter().find(|tool| tool.called == called);
            out.open();
            out.text("type", if known.is_some_and(|tool| tool.takes_text) { "custom" } else { "function" });
            items::name(out, called, known);
            out.close();
        }
        (None, Some(word)) => out.string(word),
        (None, None) => out.string("auto"),
    }
}

/// The tools as the client offered them: those of a namespace together.
pub(super) fn tools(out: &mut Out, offered: &[Tool], hosted: &[Value]) {
    let functions = offered.iter().filter_map(|tool| if let Tool::Function(tool) = tool { Some(tool) } else { None });
    let functions: Vec<&ToolDefinition> = functions.collect();
    out.name("tools");
    out.open_list();
    for group in functions.chunk_by(|a, b| own(&a.extras, NAMESPACE) == own(&b.extras, NAMESPACE)) {
        let space = group.first().and_then(|tool| own(&tool.extras, NAMESPACE)).and_then(|json| json.strip_suffix('}'));
        match space {
            None => group.iter().for_each(|tool| definition(out, tool)),
            Some(open) => {
                out.raw(open);
                out.text("type", "namespace");
                out.name("tools");
                out.open_list();
                group.iter().for_each(|tool| definition(out, tool));
                out.close_list();
                out.close();
            }
        }
    }
    hosted.iter().for_each(|tool| out.raw(&tool.to_string()));
    out.close_list();
}

fn definition(out: &mut Out, tool: &ToolDefinition) {
    let name = own_text(&tool.extras, super::CALLED).unwrap_or_else(|| tool.name.clone());
    let custom = own(&tool.extras, CUSTOM);
    out.open();
    out.text("type", if custom.is_some() { "custom" } else { "function" });
    out.text("name", &name);
    match tool.description.as_deref().and_then(|text| without_format(text, custom.unwrap_or_default())) {
        Some(text) => out.text("description", text),
        None => out.value("description", RawValue::NULL),
    }
    match custom {
        Some("null") => out.field("format", r#"{"type":"text"}"#),
        Some(format) => out.field("format", format),
        None => {
            let schema = tool.parameters.as_ref().map(|schema| schema.get());
            or(out, "parameters", (schema, "null"));
            or(out, "strict", (tool.function_extras.get("strict"), "null"));
        }
    }
    let noted = [NAMESPACE, CUSTOM, super::CALLED];
    for (name, value) in tool.extras.iter() {
        if let Some(field) = of_own(NAME, name).filter(|field| !noted.contains(field)) {
            out.field(field, value.get());
        }
    }
    out.close();
}
