//! A configuration as text: block style for keys, sections apart, lists on one line, texts quoted where YAML would read them otherwise.
//!
//! Apart because it is the other direction of `yaml`. It must not know what the keys mean.

use serde_json::Value;

/// YAML that reads as this value.
pub(super) fn yaml(value: &Value) -> String {
    let mut text = String::new();
    block(&mut text, value, 0);
    text
}

fn block(text: &mut String, value: &Value, depth: usize) {
    let Value::Object(object) = value else {
        text.push_str(&flow(value));
        text.push('\n');
        return;
    };
    for (key, value) in object {
        if depth == 0 && value.is_object() && !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&"  ".repeat(depth));
        text.push_str(&scalar(key));
        text.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push('\n');
                block(text, value, depth + 1);
            }
            other => {
                text.push(' ');
                text.push_str(&flow(other));
                text.push('\n');
            }
        }
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(object) => {
            let parts: Vec<String> = object.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value))).collect();
            format!("{{{}}}", parts.join(", "))
        }
        other => other.to_string(),
    }
}

/// A text as it stands in YAML: plain where it can only be itself, else as JSON writes it, which YAML reads too.
fn scalar(text: &str) -> String {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '/' || c == '$');
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./${}".contains(c));
    let braces = text.contains(['{', '}']);
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    // A length of time is no number.
    let span = text.strip_suffix("ms").or(text.strip_suffix('s')).is_some_and(|number| number.parse::<u64>().is_ok());
    match (first || span) && rest && !braces && !words.contains(&text.to_ascii_lowercase().as_str()) {
        true => text.to_owned(),
        false => Value::from(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::yaml::read;
    use super::yaml;

    #[test]
    fn what_is_written_reads_as_what_it_was() {
        let value = json!({
            "providers": {"openai": {}, "a b": {"base_url": "http://h:1/v1", "api_key": "${KEY}", "headers": {"x": "1.5"}}},
            "routes": {"gpt-4": {"legs": ["openai/gpt-4", "x/y: z"], "weights": [1, 2], "sticky": true, "cache": "1h"}, "no": {"legs": ["#"]}},
            "prices": {"m": {"input": 0.55, "output": 2}}, "empty": [], "nothing": "", "odd": "a\n\"b\" \\ é '",
        });
        let text = yaml(&value);
        assert_eq!(read(&text).unwrap().value, value, "{text}");
        assert!(text.contains("\n  gpt-4:\n    legs: [openai/gpt-4, \"x/y: z\"]\n"), "{text}");
    }
}
