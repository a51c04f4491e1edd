//! Declared tools: their names as the model sees them, and the check of arguments against their schema.
//!
//! It must not know how a tool is called (`session`) or run (the sandboxes).

use jsonschema::Validator;
use serde_json::Value;

use crate::api::{DeclaredTool, ToolFailure};
use crate::guest::ToolSpec;

/// Between the plugin's name and the tool's.
const SEPARATOR: &str = "__";
/// Longest full name: what providers accept.
const NAME_BYTES: usize = 64;
/// Most tools of one plugin.
const MOST: usize = 128;

/// A tool that passed the checks.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) declared: DeclaredTool,
    /// Its own name, without the plugin's.
    pub(crate) own: String,
    schema: Validator,
}

/// Checks what a plugin declares.
///
/// # Errors
/// When a name or a schema is wrong, or a name is there twice.
pub(crate) fn check(plugin: &str, specs: &[ToolSpec]) -> Result<Vec<Tool>, String> {
    if specs.len() > MOST {
        return Err(format!("more than {MOST} tools"));
    }
    let mut tools: Vec<Tool> = Vec::with_capacity(specs.len());
    for spec in specs {
        if tools.iter().any(|tool| tool.own == spec.name) {
            return Err(format!("tool `{}` is declared twice", spec.name));
        }
        tools.push(tool(plugin, spec)?);
    }
    Ok(tools)
}

fn tool(plugin: &str, spec: &ToolSpec) -> Result<Tool, String> {
    let name = format!("{plugin}{SEPARATOR}{}", spec.name);
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if spec.name.is_empty() || name.len() > NAME_BYTES || !spec.name.bytes().all(good) {
        return Err(format!("tool `{name}`: a name is made of A-Z, a-z, 0-9, _ and -, at most {NAME_BYTES} with the plugin's"));
    }
    let parameters: Value =
        serde_json::from_str(&spec.parameters).map_err(|error| format!("tool `{name}`: parameters are not JSON: {error}"))?;
    if !parameters.is_object() {
        return Err(format!("tool `{name}`: parameters are not a JSON Schema object"));
    }
    let schema = jsonschema::validator_for(&parameters).map_err(|error| format!("tool `{name}`: parameters: {error}"))?;
    let declared = DeclaredTool {
        name,
        description: spec.description.clone(),
        parameters: spec.parameters.clone(),
        read_only: spec.read_only,
    };
    Ok(Tool { declared, own: spec.name.clone(), schema })
}

impl Tool {
    /// Checks arguments against the schema.
    ///
    /// # Errors
    /// [`ToolFailure::BadArguments`] with what is wrong and where, for the model.
    pub(crate) fn accept(&self, arguments: &str) -> Result<(), ToolFailure> {
        // A model that calls a tool without arguments may send nothing at all.
        let text = if arguments.trim().is_empty() { "{}" } else { arguments };
        let value: Value = serde_json::from_str(text).map_err(|error| ToolFailure::BadArguments(format!("not JSON: {error}")))?;
        match self.schema.validate(&value) {
            Ok(()) => Ok(()),
            Err(error) => {
                let mut message = format!("{error} at {:?}", error.instance_path().to_string());
                message.truncate(message.floor_char_boundary(512));
                Err(ToolFailure::BadArguments(message))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    fn spec(name: &str, parameters: &str) -> ToolSpec {
        ToolSpec { name: name.into(), description: String::new(), parameters: parameters.into(), read_only: true }
    }

    const SCHEMA: &str = r#"{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}"#;

    #[test]
    fn names_and_schemas_are_checked() {
        assert_eq!(check("calc", &[spec("add", SCHEMA)]).unwrap()[0].declared.name, "calc__add");
        for wrong in
            [spec("", SCHEMA), spec("a b", SCHEMA), spec(&"a".repeat(64), SCHEMA), spec("a", "[]"), spec("a", "{\"type\":3}")]
        {
            assert!(check("calc", std::slice::from_ref(&wrong)).is_err(), "{wrong:?}");
        }
        assert!(check("calc", &[spec("a", SCHEMA), spec("a", SCHEMA)]).is_err());
    }

    #[test]
    fn arguments_are_checked() {
        let tools = check("calc", &[spec("add", SCHEMA)]).unwrap();
        assert_eq!(tools[0].accept("{\"n\":1}"), Ok(()));
        for wrong in ["", "{", "{\"n\":\"x\"}", "[]"] {
            assert!(matches!(tools[0].accept(wrong), Err(ToolFailure::BadArguments(_))), "{wrong}");
        }
    }
}
