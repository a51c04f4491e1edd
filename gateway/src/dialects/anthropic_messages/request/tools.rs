//! Tools on offer, which of them to call, and the format of the answer: what both dialects have, in other shapes.
//!
//! Apart because the canonical request has these in OpenAI's shape. It must not know messages.

use gatewright_types::{ChatRequest, Extras, RawJson, Tool, ToolDefinition};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::{keep, raw_json};
use crate::dialects::anthropic_messages::NAME;
use crate::dialects::foreign;
use crate::dialects::out::Out;
use crate::dialects::wire::{self, Wrong};

/// The tools on offer.
pub(super) fn tools(raw: &RawValue) -> Result<Vec<Tool>, Wrong> {
    let items = wire::items(raw)?;
    items.into_iter().enumerate().map(|(i, item)| tool(item).map_err(|wrong| wrong.item(i))).collect()
}

fn tool(raw: &RawValue) -> Result<Tool, Wrong> {
    let fields = wire::object(raw)?;
    let kind = fields.0.iter().find(|(name, _)| name == "type").map(|(_, kind)| *kind);
    if kind.is_some_and(|kind| !matches!(kind.get(), "\"custom\"" | "null")) {
        return Ok(Tool::Other(raw.to_owned()));
    }
    let (mut name, mut description, mut parameters, mut extras) = (None, None, None, Extras::new());
    for (field, value) in fields.0 {
        let wrong = |wrong: Wrong| wrong.within(&field);
        match &*field {
            "name" => name = Some(wire::string(value).map_err(wrong)?),
            "description" if !wire::is_null(value) => description = Some(wire::string(value).map_err(wrong)?),
            "input_schema" => parameters = Some(value.to_owned()),
            _ => keep(&mut extras, &field, value),
        }
    }
    let name = name.ok_or_else(|| Wrong::says("expected a string, but it is missing").within("name"))?;
    Ok(Tool::Function(ToolDefinition { name, description, parameters, function_extras: Extras::new(), extras }))
}

/// `{type: auto | any | tool | none, name, disable_parallel_tool_use}`.
pub(super) fn choice(request: &mut ChatRequest, raw: &RawValue) -> Result<(), Wrong> {
    let (mut kind, mut name) = (None, None);
    for (field, value) in wire::object(raw)?.0 {
        let wrong = |wrong: Wrong| wrong.within(&field);
        match &*field {
            "type" => kind = Some(wire::string(value).map_err(wrong)?),
            "name" => name = Some(wire::string(value).map_err(wrong)?),
            "disable_parallel_tool_use" if value.get() == "true" => {
                request.extras.push("parallel_tool_calls", raw_json("false".to_owned()));
            }
            _ => {}
        }
    }
    let choice = match (kind.as_deref(), name) {
        (Some("auto"), _) => json!("auto"),
        (Some("any"), _) => json!("required"),
        (Some("none"), _) => json!("none"),
        (Some("tool"), Some(name)) => json!({ "type": "function", "function": { "name": name } }),
        (Some("tool"), None) => return Err(Wrong::says("expected a string, but it is missing").within("name")),
        _ => return Err(Wrong::says("expected one of 'auto', 'any', 'tool' or 'none'").within("type")),
    };
    request.tool_choice = to_raw_value(&choice).ok();
    Ok(())
}

/// `{type: json_schema, schema}` in OpenAI's shape.
pub(super) fn format(raw: &RawValue) -> RawJson {
    let found: Value = serde_json::from_str(raw.get()).unwrap_or_default();
    match found.get("schema") {
        Some(schema) => {
            let format = json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": schema, "strict": true } });
            to_raw_value(&format).unwrap_or_else(|_| raw.to_owned())
        }
        None => raw.to_owned(),
    }
}

/// The schema that an answer shall have, if any.
pub(super) fn schema(request: &ChatRequest) -> Option<Value> {
    let mut format: Value = serde_json::from_str(request.response_format.as_ref()?.get()).ok()?;
    format.get_mut("json_schema")?.get_mut("schema").map(Value::take)
}

/// Writes the tools, and which of them to call.
pub(super) fn write(out: &mut Out, request: &ChatRequest) {
    let tools = foreign::sayable(request, NAME);
    if tools.is_empty() {
        return;
    }
    out.name("tools");
    out.open_list();
    for tool in tools {
        match tool {
            Tool::Other(raw) => out.raw(raw.get()),
            Tool::Function(tool) => write_tool(out, tool),
        }
    }
    out.close_list();
    write_choice(out, request);
}

fn write_tool(out: &mut Out, tool: &ToolDefinition) {
    out.open();
    out.text("name", &tool.name);
    tool.description.iter().for_each(|text| out.text("description", text));
    match &tool.parameters {
        Some(schema) => out.value("input_schema", schema),
        None => {
            out.name("input_schema");
            out.raw(r#"{"type":"object"}"#);
        }
    }
    out.own(NAME, &tool.extras, |_| true);
    out.close();
}

fn write_choice(out: &mut Out, request: &ChatRequest) {
    let one_at_a_time = request.extras.get("parallel_tool_calls") == Some("false");
    let choice: Value = request.tool_choice.as_ref().and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default();
    let name = choice["function"]["name"].as_str();
    let kind = match (choice.as_str(), name) {
        (Some("none"), _) => "none",
        (Some("required"), _) => "any",
        (_, Some(_)) => "tool",
        (Some(_), _) => "auto",
        _ if one_at_a_time => "auto",
        _ => return,
    };
    out.name("tool_choice");
    out.open();
    out.text("type", kind);
    name.into_iter().for_each(|name| out.text("name", name));
    if one_at_a_time && kind != "none" {
        out.name("disable_parallel_tool_use");
        out.raw("true");
    }
    out.close();
}
