//! What a request wants the text of its answer to be: JSON, or what a regular expression, a grammar or a list allows.
//!
//! Apart because each API says it in words of its own: OpenAI's `response_format`, vLLM's `structured_outputs` and the older `guided_*`,
//! SGLang's `regex` and `json_schema`. It must not know how a shape is kept, nor whether it can be: that shows when it is compiled.

use gatewright_types::ChatRequest;
use serde_json::{Map, Value, json};

use super::fields::{known, refuse};
use crate::error::EngineError;

/// Bytes of a schema, an expression or a list. OpenAI takes schemas of 120,000 characters.
pub(super) const MAX_BYTES: usize = 128 * 1024;
/// Bytes of a field as it is written, looked at before it is read: escapes and white space may double what is in it.
const MAX_WRITTEN: usize = 2 * MAX_BYTES;
/// Bytes of a grammar: what its terminals cost to compile grows with the square of their number.
const MAX_LARK: usize = 32 * 1024;
/// White space between two pieces of JSON at most: a model that is left free may write it without end.
const SPACE: &str = r"[\x20\x0A\x0D\x09]{1,32}";

/// What a text must be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// JSON that this schema allows.
    Json(Value),
    /// What the expression matches, all of it.
    Regex(String),
    /// A word of this grammar, in llguidance's variant of Lark.
    Lark(String),
    /// One of these.
    Choice(Vec<String>),
}

/// A shape, and the field that asks for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) field: String,
    pub(crate) shape: Shape,
}

/// What is done with a keyword of a schema that cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    Refused,
    /// OpenAI's `strict: false`.
    PassedOver,
}

#[derive(Clone, Copy)]
enum Kind {
    Json,
    Regex,
    Lark,
    Choice,
}

/// Fields of the pocket, and what each holds.
const FIELDS: [(&str, Kind); 6] = [
    ("guided_json", Kind::Json),
    ("guided_regex", Kind::Regex),
    ("guided_grammar", Kind::Lark),
    ("guided_choice", Kind::Choice),
    ("json_schema", Kind::Json),
    ("regex", Kind::Regex),
];
const STRUCTURED: &str = "structured_outputs";

/// The one shape that the request asks for, if any.
///
/// # Errors
/// [`EngineError::Unsupported`] that names the field.
pub(super) fn shape(request: &ChatRequest) -> Result<Option<Wanted>, EngineError> {
    let mut all = Vec::new();
    if let Some(format) = &request.response_format {
        all.extend(response_format(parsed("response_format", format.get())?)?);
    }
    for (name, kind) in FIELDS {
        if let Some(given) = request.extras.get(name) {
            all.extend(read(name, parsed(name, given)?, kind)?);
        }
    }
    if let Some(given) = request.extras.get(STRUCTURED) {
        all.extend(structured(parsed(STRUCTURED, given)?)?);
    }
    let mut all = all.into_iter();
    match (all.next(), all.next()) {
        (Some(_), Some(second)) => refuse(&second.field, "an answer can have one shape only, and another field asks for one"),
        (first, _) => Ok(first),
    }
}

/// A schema that says how it is to be read: white space within bounds, keywords that cannot be kept.
pub(super) fn guided(mut schema: Value, unknown: Unknown) -> Value {
    if let Value::Object(fields) = &mut schema {
        let how = json!({ "whitespace_pattern": SPACE, "lenient": unknown == Unknown::PassedOver });
        fields.entry("x-guidance").or_insert(how);
    }
    schema
}

/// A schema, given as it is or as a text.
pub(super) fn schema(name: &str, given: Value, unknown: Unknown) -> Result<Value, EngineError> {
    let given = match &given {
        Value::String(text) => parsed(name, text)?,
        _ => given,
    };
    if !given.is_object() && !given.is_boolean() {
        return refuse(name, "must be a JSON schema");
    }
    bounded(name, given.to_string().len(), MAX_BYTES)?;
    Ok(guided(given, unknown))
}

/// A field's JSON.
pub(super) fn parsed(name: &str, json: &str) -> Result<Value, EngineError> {
    bounded(name, json.len(), MAX_WRITTEN)?;
    match serde_json::from_str(json) {
        Ok(value) => Ok(value),
        Err(e) => refuse(name, format!("cannot be read: {e}")),
    }
}

fn response_format(given: Value) -> Result<Option<Wanted>, EngineError> {
    let name = "response_format";
    let unknown = |given: &Value| if given["strict"] == true { Unknown::Refused } else { Unknown::PassedOver };
    let (field, given, unknown) = match given["type"].as_str() {
        _ if given.is_null() => return Ok(None),
        Some("text") => return Ok(None),
        Some("json_object") => ("response_format.schema", given.get("schema").cloned(), unknown(&given)),
        Some("json_schema") if given["json_schema"].is_object() => {
            ("response_format.json_schema.schema", given["json_schema"].get("schema").cloned(), unknown(&given["json_schema"]))
        }
        Some("json_schema") => return refuse(name, "`json_schema` must be an object with a `schema`"),
        _ => return refuse(name, "its type must be text, json_object or json_schema"),
    };
    let given = given.filter(|schema| !schema.is_null()).unwrap_or_else(|| json!({ "type": "object" }));
    Ok(Some(Wanted { field: field.to_owned(), shape: Shape::Json(schema(field, given, unknown)?) }))
}

fn structured(given: Value) -> Result<Option<Wanted>, EngineError> {
    let mut fields = match given {
        Value::Null => return Ok(None),
        Value::Object(fields) => fields,
        _ => return refuse(STRUCTURED, "must be an object"),
    };
    let mut all = Vec::new();
    for (name, kind) in [("json", Kind::Json), ("regex", Kind::Regex), ("grammar", Kind::Lark), ("choice", Kind::Choice)] {
        let given = fields.remove(name).unwrap_or_default();
        all.extend(read(&format!("{STRUCTURED}.{name}"), given, kind)?);
    }
    if fields.remove("json_object").unwrap_or_default() == true {
        let shape = Shape::Json(guided(json!({ "type": "object" }), Unknown::Refused));
        all.push(Wanted { field: format!("{STRUCTURED}.json_object"), shape });
    }
    let rest: Map<String, Value> = fields.into_iter().filter(|(_, value)| *value != false).collect();
    known(STRUCTURED, &rest)?;
    match all.len() {
        0 | 1 => Ok(all.pop()),
        _ => refuse(STRUCTURED, "can ask for one shape only"),
    }
}

fn read(name: &str, given: Value, kind: Kind) -> Result<Option<Wanted>, EngineError> {
    let shape = match (kind, given) {
        (_, Value::Null) => return Ok(None),
        (Kind::Json, given) => Shape::Json(schema(name, given, Unknown::PassedOver)?),
        (Kind::Regex, Value::String(text)) => Shape::Regex(text),
        (Kind::Lark, Value::String(text)) => Shape::Lark(text),
        (Kind::Choice, Value::Array(all)) if !all.is_empty() => {
            let texts = all.into_iter().map(|one| one.as_str().filter(|text| !text.is_empty()).map(str::to_owned));
            match texts.collect() {
                Some(texts) => Shape::Choice(texts),
                None => return refuse(name, "must be a list of texts"),
            }
        }
        (Kind::Choice, _) => return refuse(name, "must be a list of texts"),
        _ => return refuse(name, "must be a text"),
    };
    let (bytes, most) = match &shape {
        Shape::Json(_) => (0, MAX_BYTES),
        Shape::Regex(text) => (text.len(), MAX_BYTES),
        Shape::Lark(text) => (text.len(), MAX_LARK),
        Shape::Choice(texts) => (texts.iter().map(|text| text.len() + 4).sum(), MAX_BYTES),
    };
    bounded(name, bytes, most)?;
    Ok(Some(Wanted { field: name.to_owned(), shape }))
}

fn bounded(name: &str, bytes: usize, most: usize) -> Result<(), EngineError> {
    if bytes > most { refuse(name, format!("has {bytes} bytes, {most} are the most")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use gatewright_types::RawJson;

    use super::*;

    fn raw(json: &str) -> RawJson {
        serde_json::from_str(json).unwrap()
    }

    fn asked(format: Option<&str>, fields: &[(&'static str, &str)]) -> Result<Option<Wanted>, String> {
        let mut request = ChatRequest { response_format: format.map(raw), ..ChatRequest::default() };
        fields.iter().for_each(|(name, json)| request.extras.push(*name, raw(json)));
        shape(&request).map_err(|e| match e {
            EngineError::Unsupported { param, message } if message.contains(&param) => param,
            other => panic!("{other:?}"),
        })
    }

    fn one(name: &'static str, json: &str) -> Result<Option<Wanted>, String> {
        asked(None, &[(name, json)])
    }

    fn lenient(wanted: Result<Option<Wanted>, String>) -> Value {
        let Ok(Some(Wanted { shape: Shape::Json(schema), .. })) = wanted else { panic!("{wanted:?}") };
        schema["x-guidance"]["lenient"].clone()
    }

    #[test]
    fn each_api_has_its_words() {
        for text in [None, Some("null"), Some(r#"{"type": "text"}"#)] {
            assert_eq!(asked(text, &[]), Ok(None));
        }
        let object = asked(Some(r#"{"type": "json_object"}"#), &[]).unwrap().unwrap();
        assert!(matches!(object.shape, Shape::Json(schema) if schema["type"] == "object"));
        let strict = r#"{"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": {"type": "string"}}}"#;
        assert_eq!(lenient(asked(Some(strict), &[])), false);
        assert_eq!(lenient(asked(Some(&strict.replace("true", "false")), &[])), true);
        assert_eq!(lenient(one("guided_json", r#""{\"type\": \"object\"}""#)), true);
        let shape = |name, json: &str| one(name, json).unwrap().unwrap().shape;
        assert_eq!(shape("guided_regex", r#""a+""#), Shape::Regex("a+".into()));
        assert_eq!(shape("guided_grammar", r#""start: \"a\"""#), Shape::Lark("start: \"a\"".into()));
        assert_eq!(shape("structured_outputs", r#"{"choice": ["a", "b"]}"#), Shape::Choice(vec!["a".into(), "b".into()]));
        assert_eq!(
            shape("structured_outputs", r#"{"regex": "b", "json": null, "disable_fallback": false}"#),
            Shape::Regex("b".into())
        );
        assert!(matches!(shape("structured_outputs", r#"{"json_object": true}"#), Shape::Json(_)));
        assert_eq!(one("structured_outputs", "{}"), Ok(None));
        assert_eq!(one("structured_outputs", "null"), Ok(None));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let format = |json: &str| asked(Some(json), &[]).unwrap_err();
        assert_eq!(format(r#"{"type": "structural_tag"}"#), "response_format");
        assert_eq!(format(r#"{"type": "json_schema"}"#), "response_format");
        assert_eq!(format(r#"{"type": "json_schema", "json_schema": {"schema": 5}}"#), "response_format.json_schema.schema");
        assert_eq!(one("guided_json", "\"{\"").unwrap_err(), "guided_json");
        assert_eq!(one("guided_regex", "5").unwrap_err(), "guided_regex");
        assert_eq!(one("guided_choice", "[]").unwrap_err(), "guided_choice");
        assert_eq!(one("guided_choice", "[1]").unwrap_err(), "guided_choice");
        assert_eq!(one("structured_outputs", r#"{"structural_tag": "x"}"#).unwrap_err(), "structured_outputs.structural_tag");
        assert_eq!(one("structured_outputs", r#"{"regex": "a", "choice": ["b"]}"#).unwrap_err(), "structured_outputs");
        assert_eq!(asked(Some(r#"{"type": "json_object"}"#), &[("guided_regex", "\"a\"")]).unwrap_err(), "guided_regex");
        let long = format!("{:?}", "a".repeat(MAX_BYTES + 1));
        assert_eq!(one("guided_regex", &long).unwrap_err(), "guided_regex");
        assert_eq!(one("guided_grammar", &format!("{:?}", "a".repeat(MAX_LARK + 1))).unwrap_err(), "guided_grammar");
        let written = format!("{}7", " ".repeat(MAX_WRITTEN));
        assert!(matches!(parsed("it", &written), Err(EngineError::Unsupported { message, .. }) if message.contains("bytes")));
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert_eq!(one("guided_json", &deep).unwrap_err(), "guided_json", "what cannot be read is not passed over");
    }
}
