//! Declared tools: their names as the model sees them, and the check of arguments and results against their schemas.
//!
//! The checks run on the host's time, with schemas of the plugin's and arguments of the model's: `weight` and two sizes bound it.
//! Apart because both sandboxes' tools are checked alike. It must not know how a tool is called (`session`) or run (the sandboxes).

mod weight;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::api::{DeclaredTool, ToolFailure};
use crate::guest::ToolSpec;

/// Between the plugin's name and the tool's.
const SEPARATOR: &str = "__";
/// Longest full name: what providers accept.
const NAME_BYTES: usize = 64;
/// Most tools of one plugin.
const MOST: usize = 128;
/// Largest schema, in bytes.
const SCHEMA_BYTES: usize = 64 << 10;
/// Largest arguments, in bytes.
const ARGUMENT_BYTES: usize = 256 << 10;

/// A tool that passed the checks.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) declared: DeclaredTool,
    /// Its own name, without the plugin's.
    pub(crate) own: String,
    schema: Validator,
    /// Of what it gives back, where that is JSON.
    result: Option<Validator>,
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
    let schema = compiled(&spec.parameters).map_err(|why| format!("tool `{name}`: parameters: {why}"))?;
    let result = spec.result.as_deref().map(compiled).transpose().map_err(|why| format!("tool `{name}`: result: {why}"))?;
    let declared = DeclaredTool {
        name,
        description: spec.description.clone(),
        parameters: spec.parameters.clone(),
        result: spec.result.clone(),
        read_only: spec.read_only,
    };
    Ok(Tool { declared, own: spec.name.clone(), schema, result })
}

/// A schema that is given as text.
fn compiled(text: &str) -> Result<Validator, String> {
    if text.len() > SCHEMA_BYTES {
        return Err(format!("more than {SCHEMA_BYTES} bytes"));
    }
    let parsed: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    if !parsed.is_object() {
        return Err("not a JSON Schema object".to_owned());
    }
    schema(&parsed)
}

/// A schema of a stranger's, which is light enough to check values with.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn schema(schema: &Value) -> Result<Validator, String> {
    weight::check(schema)?;
    // An engine that does not backtrack.
    let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
    options.build(schema).map_err(|error| error.to_string())
}

impl Tool {
    /// Checks arguments against the schema.
    ///
    /// # Errors
    /// [`ToolFailure::BadArguments`] with what is wrong and where, for the model.
    pub(crate) fn accept(&self, arguments: &str) -> Result<(), ToolFailure> {
        // A model that calls a tool without arguments may send nothing at all.
        let text = if arguments.trim().is_empty() { "{}" } else { arguments };
        if text.len() > ARGUMENT_BYTES {
            return Err(ToolFailure::BadArguments(format!("more than {ARGUMENT_BYTES} bytes")));
        }
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

    /// Checks a result against its schema, if it has one.
    ///
    /// # Errors
    /// Which part of the schema it does not fit, without anything of the result itself.
    pub(crate) fn accept_result(&self, text: &str) -> Result<(), String> {
        let Some(schema) = &self.result else { return Ok(()) };
        let wrong = |why: String| format!("the result of `{}` does not fit its schema: {why}", self.own);
        // As long as arguments may be: schema and result are the plugin's, and the check is on the host's time.
        if text.len() > ARGUMENT_BYTES {
            return Err(wrong(format!("more than {ARGUMENT_BYTES} bytes")));
        }
        let value: Value = serde_json::from_str(text).map_err(|_| wrong("not JSON".to_owned()))?;
        schema.validate(&value).map_err(|error| wrong(format!("`{}`", error.schema_path())))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    fn spec(name: &str, parameters: &str) -> ToolSpec {
        ToolSpec { name: name.into(), description: String::new(), parameters: parameters.into(), result: None, read_only: true }
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
    fn what_would_take_the_hosts_time_is_refused() {
        let bomb = (0..40).fold(String::from(r#""d40":{}"#), |all, at| {
            format!(r##"{all},"d{at}":{{"allOf":[{{"$ref":"#/$defs/d{next}"}},{{"$ref":"#/$defs/d{next}"}}]}}"##, next = at + 1)
        });
        let defs = |defs: &str| format!(r##"{{"type":"object","properties":{{"a":{{"$ref":"#/$defs/d0"}}}},"$defs":{{{defs}}}}}"##);
        for (schema, why) in [
            (defs(&bomb), "subschemas"),
            (defs(r##""d0":{"anyOf":[{"$ref":"#/$defs/d0"},{"items":{"$ref":"#/$defs/d0"}}]}"##), "refers to itself"),
            (defs(r##""d0":{"$dynamicRef":"#x"}"##), "$dynamicRef"),
            (r#"{"properties":{"a":{"$ref":"https://example.com/x"}}}"#.to_owned(), "`$ref`"),
            (r#"{"properties":{"a":{"pattern":"(a)\\1"}}}"#.to_owned(), "regex"),
            (format!(r#"{{"description":"{}"}}"#, "x".repeat(SCHEMA_BYTES)), "bytes"),
        ] {
            let said = check("calc", &[spec("add", &schema)]).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        let shared = defs(
            r##""d0":{"type":"object","properties":{"b":{"$ref":"#/$defs/d1"},"c":{"$ref":"#/$defs/d1"}}},"d1":{"type":"string"}"##,
        );
        let tools = check("calc", &[spec("add", &shared)]).unwrap();
        assert_eq!(tools[0].accept(r#"{"a":{"b":"x","c":"y"}}"#), Ok(()));
        assert!(tools[0].accept(r#"{"a":{"b":1}}"#).is_err());
        let long = format!(r#"{{"a":{{"b":"{}"}}}}"#, "x".repeat(ARGUMENT_BYTES));
        assert!(tools[0].accept(&long).unwrap_err().to_string().contains("more than"));
    }

    #[test]
    fn results_are_checked_without_being_told() {
        let with = |result: &str| ToolSpec { result: Some(result.into()), ..spec("add", SCHEMA) };
        for (wrong, why) in [("[]", "result: not a JSON"), ("{", "result: not JSON"), (r#"{"type":3}"#, "result: ")] {
            let said = check("calc", &[with(wrong)]).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        let tools = check("calc", &[with(r#"{"type":"object","properties":{"sum":{"type":"integer"}}}"#), spec("any", SCHEMA)]);
        let tools = tools.unwrap();
        assert_eq!(tools[0].accept_result(r#"{"sum":3}"#), Ok(()));
        assert_eq!(tools[1].accept_result("any text"), Ok(()));
        for (wrong, why) in
            [("secret", "not JSON"), (r#"{"sum":"secret"}"#, "`/properties/sum/type`"), (r#"["secret"]"#, "`/type`")]
        {
            let said = tools[0].accept_result(wrong).unwrap_err();
            assert!(said.contains(why) && !said.contains("secret"), "{said}");
        }
        let long = tools[0].accept_result(&"1".repeat(ARGUMENT_BYTES + 1)).unwrap_err();
        assert!(long.contains("more than 262144 bytes"), "{long}");
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
