//! The JSON Schema of `gatewright.yaml`, and the complaints that it has about a document.
//!
//! Apart because it is the only file that knows JSON Schema. It must not know what names refer to: see `resolve`.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::complaint::{Complaint, nearest};
use super::raw::Root;
use super::yaml::{Document, escape, readable};

/// The schema, draft 2020-12.
pub fn schema() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Root>().to_value()
}

/// Puts what a key with nothing behind it means: a section or a list of names without anything in it is empty.
pub(crate) fn settle_empty(document: &mut Document) {
    const SECTIONS: [&str; 5] = ["providers", "models", "routes", "plugins", "keys"];
    let Some(root) = document.value.as_object_mut() else { return };
    root.retain(|_, value| !value.is_null());
    for section in SECTIONS {
        for entry in root.get_mut(section).and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
            if entry.is_null() {
                *entry = Value::Object(Map::new());
            }
        }
    }
}

/// All that the schema has against a document, and the document without the parts at fault, so that the meaning of the rest can
/// still be judged.
pub(crate) fn judge(document: &Document) -> (Vec<Complaint>, Value) {
    const PASSES: usize = 8;
    let schema = schema();
    let validator = match jsonschema::draft202012::new(&schema) {
        Ok(validator) => validator,
        Err(error) => return (vec![Complaint::of_file(format!("the schema itself is wrong: {error}"))], Value::Null),
    };
    let findings = |error| Finding { schema: &schema, document, error }.complaints();
    let complaints = validator.iter_errors(&document.value).flat_map(findings).collect();
    let mut rest = document.value.clone();
    // Each pass cuts at least one part out of a bounded document; what needs more than a few passes is not worth judging.
    for _ in 0..PASSES {
        let faults: Vec<String> = validator.iter_errors(&rest).flat_map(|error| faults(&error)).collect();
        if faults.is_empty() {
            return (complaints, rest);
        }
        faults.iter().for_each(|pointer| cut(&mut rest, pointer));
    }
    (complaints, Value::Object(Map::new()))
}

/// Pointers of the parts that an error is about.
fn faults(error: &jsonschema::ValidationError<'_>) -> Vec<String> {
    let at = error.instance_path().as_str();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            unexpected.iter().map(|key| format!("{at}/{}", escape(key))).collect()
        }
        _ => vec![at.to_owned()],
    }
}

/// Takes a part out of its object; an item of a list takes the list with it.
pub(super) fn cut(value: &mut Value, pointer: &str) {
    let Some((above, last)) = pointer.rsplit_once('/') else {
        *value = Value::Object(Map::new());
        return;
    };
    match value.pointer_mut(above) {
        Some(Value::Object(object)) => {
            object.remove(&last.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(_)) => cut(value, above),
        _ => {}
    }
}

struct Finding<'a> {
    schema: &'a Value,
    document: &'a Document,
    error: jsonschema::ValidationError<'a>,
}

impl Finding<'_> {
    fn complaints(&self) -> Vec<Complaint> {
        if let ValidationErrorKind::AdditionalProperties { unexpected } = self.error.kind() {
            return unexpected.iter().map(|key| self.unknown(key)).collect();
        }
        let path = self.error.instance_path().as_str();
        vec![Complaint { mark: self.document.mark(path), path: readable(path), message: self.message(), hint: self.hint() }]
    }

    fn unknown(&self, key: &str) -> Complaint {
        let above = self.error.instance_path().as_str();
        let known = self.schema_part(1).and_then(|object| object.get("properties")).and_then(Value::as_object);
        Complaint {
            mark: self.document.key_mark(&format!("{above}/{}", escape(key))),
            path: readable(above),
            message: format!("unknown key `{key}`"),
            hint: known.and_then(|known| nearest(key, known.keys().map(String::as_str))),
        }
    }

    /// The part of the schema that was not met, less this many parts at the end of its path.
    fn schema_part(&self, less: usize) -> Option<&Value> {
        let mut path = self.error.schema_path().as_str();
        for _ in 0..less {
            path = path.rsplit_once('/')?.0;
        }
        self.schema.pointer(path)
    }

    fn message(&self) -> String {
        let found = self.error.instance();
        match self.error.kind() {
            ValidationErrorKind::Required { property } => format!("`{}` is missing", property.as_str().unwrap_or_default()),
            ValidationErrorKind::Type { kind: TypeKind::Single(wanted) } => {
                format!("expected {}, found {}", name_of(&wanted.to_string()), describe(found))
            }
            ValidationErrorKind::Enum { options } => format!("expected {}, found {}", alternatives(options), describe(found)),
            ValidationErrorKind::Minimum { limit } => format!("{found} is less than {limit}"),
            ValidationErrorKind::Maximum { limit } => format!("{found} is more than {limit}"),
            ValidationErrorKind::MinItems { limit } => format!("at least {limit} must be given"),
            // Other kinds cannot come up with this schema; a secret is never quoted.
            other => format!("it does not fit the schema ({})", other.keyword()),
        }
    }

    fn hint(&self) -> Option<String> {
        if let ValidationErrorKind::Enum { options } = self.error.kind() {
            let options = options.as_array()?.iter().filter_map(Value::as_str);
            return nearest(self.error.instance().as_str()?, options).filter(|hint| hint.starts_with("did"));
        }
        let examples = self.schema_part(1)?.get("examples")?.as_array()?;
        let examples: Vec<String> = examples.iter().map(|example| format!("`{}`", example.as_str().unwrap_or("[...]"))).collect();
        Some(format!("for example {}", examples.join(", ")))
    }
}

fn name_of(kind: &str) -> &'static str {
    match kind {
        "object" => "keys and values",
        "array" => "a list",
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "nothing",
    }
}

/// A value, for people; texts are not quoted, since they may be secrets.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(value) => format!("the number {value}"),
        Value::String(value) if value.len() <= 16 && !value.contains("sk-") => format!("`{value}`"),
        Value::String(_) => "another text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "keys and values".to_owned(),
    }
}

fn alternatives(options: &Value) -> String {
    let options: Vec<_> =
        options.as_array().into_iter().flatten().map(|option| format!("`{}`", option.as_str().unwrap_or("?"))).collect();
    options.join(" or ")
}
