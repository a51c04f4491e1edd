//! Tools on offer, and which of them to call.
//!
//! A namespace is a part of each name in it, and a tool that takes a text is a function with that text as its one argument: so all
//! models can call them. How the client knows each travels on the tool. What only its vendor can run is kept aside. Apart because the
//! canonical request has functions alone. It must not know items.

use std::collections::{HashMap, HashSet};

use gatewright_types::{ChatRequest, Extras, RawJson, Tool, ToolDefinition};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::{get, must, raw_json, text};
use crate::dialects::Renamed;
use crate::dialects::openai_responses::{CALLED, CUSTOM, HOSTED, ITEM_ID, NAMESPACE, TOOL_CHOICE, keep, keep_value, own, own_text};
use crate::dialects::out::Out;
use crate::dialects::wire::{self, Wrong};

/// The longest name that every upstream takes.
const LONGEST: usize = 64;

/// Reads the tools on offer into the request.
pub(super) fn tools(request: &mut ChatRequest, raw: &RawValue) -> Result<(), Wrong> {
    let (mut hosted, mut taken) = (Vec::new(), HashSet::new());
    for (at, item) in wire::items(raw)?.into_iter().enumerate() {
        offer(request, item, (&mut hosted, &mut taken)).map_err(|wrong| wrong.item(at))?;
    }
    if !hosted.is_empty() {
        let list = hosted.iter().map(|raw| raw.get()).collect::<Vec<_>>().join(",");
        keep(&mut request.extras, HOSTED, &raw_json(format!("[{list}]")));
    }
    Ok(())
}

/// Those that only their vendor runs, and names that are taken.
type Seen<'s, 'a> = (&'s mut Vec<&'a RawValue>, &'s mut HashSet<String>);

fn offer<'a>(request: &mut ChatRequest, raw: &'a RawValue, (hosted, taken): Seen<'_, 'a>) -> Result<(), Wrong> {
    let fields = wire::object(raw)?;
    let missing = || Wrong::says("expected the type of the tool, such as 'function', but it is missing").within("type");
    match &*text(&fields, "type")?.ok_or_else(missing)? {
        "function" | "custom" => add(request, &fields, None, taken),
        "namespace" => {
            let about = json!({ "name": must(&fields, "name")?, "description": text(&fields, "description")?.unwrap_or_default() });
            let inner = get(&fields, "tools").map(wire::items).transpose().map_err(|wrong| wrong.within("tools"))?;
            for (at, tool) in inner.unwrap_or_default().into_iter().enumerate() {
                let read = wire::object(tool).and_then(|fields| add(request, &fields, Some(&about), taken));
                read.map_err(|wrong| wrong.item(at).within("tools"))?;
            }
            Ok(())
        }
        _ => {
            hosted.push(raw);
            Ok(())
        }
    }
}

fn add(
    request: &mut ChatRequest,
    fields: &wire::Fields<'_>,
    namespace: Option<&Value>,
    taken: &mut HashSet<String>,
) -> Result<(), Wrong> {
    let takes_text = get(fields, "type").is_some_and(|kind| kind.get() == "\"custom\"");
    let (name, description) = (must(fields, "name")?, text(fields, "description")?);
    let called = called(taken, &name, namespace.and_then(|about| about["name"].as_str()));
    taken.insert(called.clone());
    let mut extras = Extras::new();
    if let Some(about) = namespace {
        keep_value(&mut extras, NAMESPACE, about);
    }
    if called != name {
        keep_value(&mut extras, CALLED, &name);
    }
    let mut tool = ToolDefinition { name: called, description, parameters: None, function_extras: Extras::new(), extras };
    if takes_text {
        let format = get(fields, "format");
        keep(&mut tool.extras, CUSTOM, format.unwrap_or(RawValue::NULL));
        tool.description = with_format(tool.description, format);
        tool.parameters = to_raw_value(&one_text()).ok();
    } else {
        tool.parameters = get(fields, "parameters").map(ToOwned::to_owned);
        if let Some(strict) = get(fields, "strict") {
            tool.function_extras.push("strict", strict.to_owned());
        }
    }
    for (name, value) in &fields.0 {
        let typed = ["type", "name", "description", "parameters", "strict", "format", NAMESPACE, CUSTOM, ITEM_ID];
        if !typed.contains(&&**name) && !wire::is_null(value) {
            keep(&mut tool.extras, name, value);
        }
    }
    request.tools.push(Tool::Function(tool));
    Ok(())
}

/// The arguments of a function that stands for a tool that takes a text.
fn one_text() -> Value {
    let input = json!({ "type": "string", "description": "The input, as it is." });
    json!({ "type": "object", "properties": { "input": input }, "required": ["input"], "additionalProperties": false })
}

/// The text in such arguments; arguments of another shape are the text themselves.
pub(in super::super) fn text_of_tool(arguments: &str) -> String {
    input(arguments).unwrap_or_else(|| arguments.to_owned())
}

/// The text in the beginning of such arguments, as far as it came.
pub(in super::super) fn text_of_cut(arguments: &str) -> String {
    /// What the beginning of a character may take: it is written as two escapes at most.
    const LONGEST: usize = 12;
    let beginnings = (0..LONGEST).map_while(|less| arguments.len().checked_sub(less)).filter_map(|end| arguments.get(..end));
    let cut = |beginning: &str| input(&format!("{beginning}\"}}"));
    let silent = || "{\"input\":\"".starts_with(&arguments.split_whitespace().collect::<String>()).then(String::new);
    input(arguments).or_else(|| beginnings.clone().find_map(cut)).or_else(silent).unwrap_or_else(|| arguments.to_owned())
}

fn input(arguments: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Input {
        input: String,
    }
    serde_json::from_str::<Input>(arguments).ok().map(|Input { input }| input)
}

/// A description that tells the model of the grammar, which its function cannot.
fn with_format(description: Option<String>, format: Option<&RawValue>) -> Option<String> {
    let Some(told) = grammar(format.map_or("null", |raw| raw.get())) else { return description };
    Some(description.map_or_else(|| told.clone(), |text| format!("{text}\n\n{told}")))
}

/// The same without it, as the client wrote it.
pub(in super::super) fn without_format<'a>(description: &'a str, format: &str) -> Option<&'a str> {
    let Some(told) = grammar(format) else { return Some(description) };
    let text = description.strip_suffix(&*told).unwrap_or(description);
    Some(text.strip_suffix("\n\n").unwrap_or(text)).filter(|text| !text.is_empty())
}

/// What the model is told of a format.
fn grammar(format: &str) -> Option<String> {
    let format: Value = serde_json::from_str(format).ok()?;
    let syntax = format["syntax"].as_str().unwrap_or("following");
    Some(format!("The input must match this {syntax} grammar:\n{}", format["definition"].as_str()?))
}

/// The name that stands for one in a namespace: of letters and of a length that all upstreams take.
pub(in super::super) fn joined_name(space: &str, name: &str) -> String {
    let joint = if space.ends_with("__") { "" } else { "__" };
    let joined = format!("{space}{joint}{name}");
    let fit = |letter: char| if letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-') { letter } else { '_' };
    let called: String = joined.chars().map(fit).collect();
    if called.len() > LONGEST { marked(called, &joined) } else { called }
}

/// A name that is told from others by a sum.
fn marked(mut called: String, joined: &str) -> String {
    called.truncate(LONGEST - 9);
    called.push('_');
    called.push_str(&blake3::hash(joined.as_bytes()).to_hex()[..8]);
    called
}

/// The name under which the model knows a tool: one of its own.
fn called(taken: &HashSet<String>, name: &str, namespace: Option<&str>) -> String {
    let Some(space) = namespace else { return name.to_owned() };
    let called = joined_name(space, name);
    if taken.contains(&called) { marked(called, &format!("{space}/{name}")) } else { called }
}

/// The tools that the client knows otherwise than the model.
pub(in super::super) fn renamed(tools: &[Tool]) -> Vec<Renamed> {
    let functions = tools.iter().filter_map(|tool| if let Tool::Function(tool) = tool { Some(tool) } else { None });
    let renamed = |tool: &ToolDefinition| {
        let space: Option<Value> = own(&tool.extras, NAMESPACE).and_then(|json| serde_json::from_str(json).ok());
        let name = own_text(&tool.extras, CALLED);
        let takes_text = own(&tool.extras, CUSTOM).is_some();
        (space.is_some() || name.is_some() || takes_text).then(|| Renamed {
            called: tool.name.clone(),
            name: name.unwrap_or_else(|| tool.name.clone()),
            namespace: space.and_then(|space| space["name"].as_str().map(str::to_owned)),
            takes_text,
        })
    };
    functions.filter_map(renamed).collect()
}

/// The model's names by those of the client: name and namespace.
pub(super) type Known<'a> = HashMap<(&'a str, Option<&'a str>), &'a str>;

/// The same by the client's names; of two alike, the first.
pub(super) fn known(tools: &[Renamed]) -> Known<'_> {
    tools.iter().rev().map(|tool| ((&*tool.name, tool.namespace.as_deref()), &*tool.called)).collect()
}

/// Reads which tool to call: a word, a tool, or those among which to choose. What functions alone cannot say is kept as it came.
pub(super) fn choice(request: &mut ChatRequest, raw: &RawValue) -> Result<(), Wrong> {
    if wire::is_string(raw) {
        if !matches!(&*wire::text(raw)?, "auto" | "none" | "required") {
            return Err(Wrong::says("expected one of 'auto', 'none' or 'required', or an object"));
        }
        // A word on no function may be one on tools that only their vendor runs; elsewhere it is an error.
        match request.tools.is_empty() {
            true => keep(&mut request.extras, TOOL_CHOICE, raw),
            false => request.tool_choice = Some(raw.to_owned()),
        }
        return Ok(());
    }
    let fields = wire::object(raw).map_err(|_| Wrong::kind("a string or an object", raw))?;
    match &*must(&fields, "type")? {
        "function" | "custom" => {
            let called = offered(&known(&renamed(&request.tools)), &fields)?;
            let choice = json!({ "type": "function", "function": { "name": called } });
            request.tool_choice = to_raw_value(&choice).ok();
        }
        "allowed_tools" => {
            allowed(request, &fields)?;
            keep(&mut request.extras, TOOL_CHOICE, raw);
        }
        // One that only its vendor runs.
        _ => keep(&mut request.extras, TOOL_CHOICE, raw),
    }
    Ok(())
}

/// Whether a request wants, or may only have, tools called that only their vendor runs.
pub(in super::super) fn asks_for_hosted(request: &ChatRequest) -> bool {
    let said: Option<Value> = own(&request.extras, TOOL_CHOICE).and_then(|json| serde_json::from_str(json).ok());
    let Some(said) = said else { return false };
    let is_function = |tool: &Value| matches!(tool["type"].as_str(), Some("function" | "custom"));
    match said["type"].as_str() {
        None => said == "required" && own(&request.extras, HOSTED).is_some(),
        Some("allowed_tools") => said["tools"].as_array().is_some_and(|tools| !tools.iter().all(is_function)),
        Some(_) => true,
    }
}

/// The model's name for a tool that the client names.
fn offered(known: &Known<'_>, fields: &wire::Fields<'_>) -> Result<String, Wrong> {
    let (name, namespace) = (must(fields, "name")?, text(fields, "namespace")?);
    let called = known.get(&(&*name, namespace.as_deref())).map(|called| (*called).to_owned());
    Ok(called.unwrap_or(name))
}

/// Only some of the tools may be called: only those are offered.
fn allowed(request: &mut ChatRequest, fields: &wire::Fields<'_>) -> Result<(), Wrong> {
    let mode = text(fields, "mode")?.unwrap_or_else(|| "auto".to_owned());
    let list = get(fields, "tools").map(wire::items).transpose().map_err(|wrong| wrong.within("tools"))?;
    let renamed = renamed(&request.tools);
    let (known, mut names) = (known(&renamed), HashSet::new());
    for (at, raw) in list.unwrap_or_default().into_iter().enumerate() {
        let fields = wire::object(raw).map_err(|wrong| wrong.item(at).within("tools"))?;
        if get(&fields, "name").is_some() {
            names.insert(offered(&known, &fields).map_err(|wrong| wrong.item(at).within("tools"))?);
        }
    }
    request.tools.retain(|tool| matches!(tool, Tool::Function(tool) if names.contains(&tool.name)));
    request.tool_choice = to_raw_value(if mode == "required" { "required" } else { "auto" }).ok();
    Ok(())
}

/// `{type: json_schema, name, schema, strict, description}` and its like, as the canonical request has them; a plain text is none.
pub(super) fn format(raw: &RawValue) -> Result<Option<RawJson>, Wrong> {
    let fields = wire::object(raw)?;
    match &*must(&fields, "type")? {
        "text" => Ok(None),
        "json_schema" => {
            let mut out = Out::default();
            out.open();
            out.text("type", "json_schema");
            out.name("json_schema");
            out.open();
            fields
                .0
                .iter()
                .filter(|(name, raw)| name != "type" && !wire::is_null(raw))
                .for_each(|(name, raw)| out.field(name, raw.get()));
            out.close();
            out.close();
            Ok(Some(raw_json(String::from_utf8(out.done().into()).unwrap_or_default())))
        }
        _ => Ok(Some(raw.to_owned())),
    }
}
