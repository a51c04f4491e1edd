//! An operator's settings against the schema of a plugin's manifest.
//!
//! Apart because both loading a plugin and looking through a configuration ask. It must not repeat a value: settings may be secrets.

use serde_json::{Map, Value};

use crate::tools;

/// A setting that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongSetting {
    /// Where, a JSON pointer into the settings.
    pub pointer: String,
    /// What is wrong, for people.
    pub message: String,
}

/// Most mistakes that are told at once.
const MOST: usize = 32;

/// The operator's settings with the schema's top-level defaults, checked against the schema.
///
/// # Errors
/// Everything that does not fit.
pub(crate) fn fill(schema: Option<&Value>, given: &Value) -> Result<Value, Vec<WrongSetting>> {
    let settings = filled(schema, given)?;
    let Some(schema) = schema else {
        let none = settings.as_object().is_none_or(Map::is_empty);
        return if none { Ok(settings) } else { Err(wrong("this plugin takes none".to_owned())) };
    };
    let validator = tools::schema(schema);
    let validator = validator.map_err(|error| wrong(format!("the manifest's schema is wrong: {error}")))?;
    let told = |error: jsonschema::ValidationError<'_>| WrongSetting {
        pointer: error.instance_path().to_string(),
        message: error.masked().to_string(),
    };
    let found: Vec<WrongSetting> = validator.iter_errors(&settings).take(MOST).map(told).collect();
    if found.is_empty() { Ok(settings) } else { Err(found) }
}

/// The same, not checked.
///
/// # Errors
/// They are no keys and values.
pub(crate) fn filled(schema: Option<&Value>, given: &Value) -> Result<Value, Vec<WrongSetting>> {
    let mut settings = match given {
        Value::Null => Map::new(),
        Value::Object(map) => map.clone(),
        _ => return Err(wrong("expected keys and values".to_owned())),
    };
    for (key, property) in schema.and_then(|schema| schema.get("properties")?.as_object()).into_iter().flatten() {
        if let (Some(default), false) = (property.get("default"), settings.contains_key(key)) {
            settings.insert(key.clone(), default.clone());
        }
    }
    Ok(Value::Object(settings))
}

fn wrong(message: String) -> Vec<WrongSetting> {
    vec![WrongSetting { pointer: String::new(), message }]
}

/// All of them in one line: `settings.terms[1]: value is not of type "string"`.
pub(crate) fn worded(wrong: &[WrongSetting]) -> String {
    let part = |part: &str| match part.parse::<usize>() {
        Ok(index) => format!("[{index}]"),
        Err(_) => format!(".{}", part.replace("~1", "/").replace("~0", "~")),
    };
    let path = |pointer: &str| pointer.split('/').skip(1).map(part).collect::<String>();
    let line = |wrong: &WrongSetting| format!("settings{}: {}", path(&wrong.pointer), wrong.message);
    wrong.iter().map(line).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_are_filled_and_checked() {
        let schema =
            json!({"type": "object", "additionalProperties": false, "properties": {"a": {"type": "integer", "default": 1}}});
        assert_eq!(fill(Some(&schema), &Value::Null), Ok(json!({"a": 1})));
        assert_eq!(fill(Some(&schema), &json!({"a": 2})), Ok(json!({"a": 2})));
        assert!(fill(Some(&schema), &json!({"a": "x"})).is_err());
        assert!(fill(Some(&schema), &json!({"b": 1})).is_err());
        assert!(fill(None, &json!({"b": 1})).is_err());
        assert_eq!(fill(None, &json!({})), Ok(json!({})));
        let wrong = fill(Some(&schema), &json!({"a": "secret-1", "b": 1})).unwrap_err();
        let told = worded(&wrong);
        assert!(wrong.len() == 2 && told.contains("settings.a: ") && !told.contains("secret-1"), "{told}");
    }
}
