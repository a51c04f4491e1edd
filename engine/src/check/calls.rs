//! Which tools an answer may or must call, and how often.
//!
//! Apart because it is read from three fields at once. It must not know in what format a model writes a call.

use std::collections::HashSet;

use gatewright_types::{ChatRequest, Tool, ToolDefinition};
use serde_json::{Value, json};

use super::fields::{refuse, value};
use super::shape::{MAX_BYTES, Unknown, parsed, schema};
use crate::error::EngineError;

/// Calls of one answer.
const MAX_CALLS: u32 = 128;
/// Functions whose calls one grammar writes. OpenAI takes as many tools.
const MAX_FUNCTIONS: usize = 128;
const CHOICE: &str = "tool_choice";

/// A tool whose calls a grammar can write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Callable {
    pub(crate) name: String,
    /// Schema of the arguments.
    pub(crate) arguments: Value,
    /// The field that the schema stands in.
    pub(crate) field: String,
}

/// What a request says of calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Calls {
    /// Calls that are read out of the text of a choice; 0 leaves it as it is.
    pub(crate) most: u32,
    /// Tools of which one must be called.
    pub(crate) forced: Vec<Callable>,
}

/// What `tool_choice` says.
#[derive(Debug, PartialEq)]
enum Choice {
    Auto,
    None,
    Required,
    Named(String),
}

/// Where no tool is offered, what looks like a call is text.
///
/// # Errors
/// [`EngineError::Unsupported`] that names the field.
pub(super) fn calls(request: &ChatRequest) -> Result<Calls, EngineError> {
    let name = "parallel_tool_calls";
    let most = match value(&request.extras, name) {
        None | Some(Value::Bool(true)) => MAX_CALLS,
        Some(Value::Bool(false)) => 1,
        Some(_) => return refuse(name, "must be true or false"),
    };
    match choice(request)? {
        Choice::None => Ok(Calls::default()),
        Choice::Auto if request.tools.is_empty() => Ok(Calls::default()),
        Choice::Auto => Ok(Calls { most, forced: Vec::new() }),
        Choice::Required => match callable(request, |_| true)? {
            forced if forced.is_empty() => refuse(CHOICE, "a call is required, but no function is offered"),
            forced => Ok(Calls { most, forced }),
        },
        // As in OpenAI's API: the named one, once.
        Choice::Named(wanted) => match callable(request, |name| name == wanted)? {
            forced if forced.is_empty() => refuse(CHOICE, format!("there is no function `{wanted}` among the tools")),
            forced => Ok(Calls { most: 1, forced }),
        },
    }
}

fn choice(request: &ChatRequest) -> Result<Choice, EngineError> {
    let Some(raw) = &request.tool_choice else { return Ok(Choice::Auto) };
    let given = parsed(CHOICE, raw.get())?;
    let named = given.pointer("/function/name").or_else(|| given.get("name")).and_then(Value::as_str);
    match (given.as_str(), named) {
        _ if given.is_null() => Ok(Choice::Auto),
        (Some("auto"), _) => Ok(Choice::Auto),
        (Some("none"), _) => Ok(Choice::None),
        (Some("required"), _) => Ok(Choice::Required),
        (_, Some(name)) if given["type"] == "function" => Ok(Choice::Named(name.to_owned())),
        _ => refuse(CHOICE, "must be auto, none, required or a function by its name"),
    }
}

/// The functions that are wanted, each name once: a grammar of two that are called alike would be that of either. One grammar is made of
/// them all, so that their bounds are those of one schema.
pub(super) fn callable(request: &ChatRequest, wanted: impl Fn(&str) -> bool) -> Result<Vec<Callable>, EngineError> {
    let (mut all, mut names, mut bytes) = (Vec::new(), HashSet::new(), 0);
    for (at, tool) in request.tools.iter().enumerate() {
        let Tool::Function(function) = tool else { continue };
        if !wanted(&function.name) || !names.insert(function.name.as_str()) {
            continue;
        }
        if all.len() == MAX_FUNCTIONS {
            return refuse("tools", format!("{MAX_FUNCTIONS} functions are the most where calls are written by a grammar"));
        }
        let field = format!("tools[{at}].function.parameters");
        bytes += function.name.len() + function.parameters.as_ref().map_or(0, |parameters| parameters.get().len());
        if bytes > MAX_BYTES {
            return refuse(&field, format!("with it the functions have {bytes} bytes, {MAX_BYTES} are the most"));
        }
        let arguments = arguments(&field, function)?;
        all.push(Callable { name: function.name.clone(), arguments, field });
    }
    Ok(all)
}

/// Arguments are an object, whatever the schema leaves open.
fn arguments(field: &str, function: &ToolDefinition) -> Result<Value, EngineError> {
    let strict = value(&function.function_extras, "strict") == Some(Value::Bool(true));
    let unknown = if strict { Unknown::Refused } else { Unknown::PassedOver };
    let mut given = match &function.parameters {
        Some(parameters) => parsed(field, parameters.get())?,
        None => Value::Null,
    };
    if given.is_null() {
        // A function without parameters takes none.
        given = json!({ "type": "object", "properties": {}, "additionalProperties": false });
    }
    if let Value::Object(fields) = &mut given
        && !["type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"].iter().any(|name| fields.contains_key(*name))
    {
        fields.insert("type".to_owned(), "object".into());
    }
    schema(field, given, unknown)
}

#[cfg(test)]
mod tests {
    use gatewright_types::Extras;

    use super::*;

    fn request(choice: &str, tools: &[(&str, Option<&str>)]) -> ChatRequest {
        let tool = |(name, parameters): &(&str, Option<&str>)| {
            let parameters = parameters.map(|json| serde_json::from_str(json).unwrap());
            let (description, function_extras, extras) = (None, Extras::new(), Extras::new());
            Tool::Function(ToolDefinition { name: (*name).to_owned(), description, parameters, function_extras, extras })
        };
        ChatRequest {
            tools: tools.iter().map(tool).collect(),
            tool_choice: Some(serde_json::from_str(choice).unwrap()),
            ..ChatRequest::default()
        }
    }

    fn names(choice: &str) -> Result<(u32, Vec<String>), String> {
        let got = calls(&request(choice, &[("f", Some(r#"{"properties": {}}"#)), ("g", None), ("f", None)]));
        let names = |calls: Calls| (calls.most, calls.forced.into_iter().map(|tool| tool.name).collect());
        got.map(names).map_err(|e| e.to_string())
    }

    #[test]
    fn a_choice_forces_all_or_one_or_none() {
        let named = r#"{"type": "function", "function": {"name": "g"}}"#;
        assert_eq!(names("\"none\""), Ok((0, vec![])));
        assert_eq!(names("\"auto\""), Ok((MAX_CALLS, vec![])));
        assert_eq!(names("\"required\""), Ok((MAX_CALLS, vec!["f".into(), "g".into()])));
        assert_eq!(names(named), Ok((1, vec!["g".into()])));
        assert_eq!(names(r#"{"type": "function", "name": "g"}"#), Ok((1, vec!["g".into()])));
        let mut once = request("\"required\"", &[("f", None)]);
        once.extras.push("parallel_tool_calls", serde_json::from_str("false").unwrap());
        assert_eq!(calls(&once).unwrap().most, 1);
    }

    #[test]
    fn a_choice_that_cannot_be_made_is_refused() {
        assert!(names(r#"{"type": "function", "function": {"name": "h"}}"#).unwrap_err().contains("`h`"));
        assert!(names(r#"{"type": "allowed_tools"}"#).unwrap_err().contains(CHOICE));
        assert!(names("5").unwrap_err().contains(CHOICE));
        assert!(calls(&request("\"required\"", &[])).is_err());
        let odd = calls(&request("\"required\"", &[("f", Some("[1]"))])).unwrap_err();
        assert!(odd.to_string().contains("tools[0].function.parameters"), "{odd}");
    }

    #[test]
    fn functions_that_one_grammar_writes_have_bounds() {
        let names: Vec<String> = (0..=MAX_FUNCTIONS).map(|at| format!("f{at}")).collect();
        let functions: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
        let refused = |tools: &[(&str, Option<&str>)]| match calls(&request("\"required\"", tools)) {
            Err(EngineError::Unsupported { param, message }) if message.contains(&param) => param,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&functions), "tools");
        assert_eq!(calls(&request("\"required\"", &functions[1..])).unwrap().forced.len(), MAX_FUNCTIONS);
        assert_eq!(calls(&request("\"required\"", &[("f", None); 1000])).unwrap().forced.len(), 1, "a name counts once");
        assert!(calls(&request("\"auto\"", &functions)).is_ok(), "no grammar writes these");
        let half = format!(r#"{{"description": {:?}}}"#, "a".repeat(MAX_BYTES / 2));
        assert_eq!(refused(&[("f", Some(&half)), ("g", Some(&half))]), "tools[1].function.parameters");
        assert!(calls(&request("\"required\"", &[("f", Some(&half)), ("f", Some(&half))])).is_ok());
        assert_eq!(refused(&[(&"f".repeat(MAX_BYTES + 1), None)]), "tools[0].function.parameters");
    }

    #[test]
    fn arguments_are_an_object() {
        let got = calls(&request("\"required\"", &[("f", Some(r#"{"properties": {"a": {}}}"#)), ("g", None)])).unwrap();
        assert_eq!(got.forced[0].arguments["type"], "object");
        assert_eq!(got.forced[1].arguments["additionalProperties"], false);
    }
}
