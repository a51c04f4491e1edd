//! Script text -> rules; mistakes are named with their line.
//!
//! Apart because it alone knows YAML here. It must not know what a rule does.

use std::time::Duration;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::Value;

use super::script::{Call, Fault, Rule, Said, Script, Then, When};

/// What is wrong with a script, and in which line (from 1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ScriptError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

type Read<T> = Result<T, ScriptError>;
type Node<'a> = &'a MarkedYaml<'a>;

fn wrong<T>(node: Node<'_>, what: impl std::fmt::Display) -> Read<T> {
    Err(ScriptError { line: node.span.start.line(), what: what.to_string() })
}

pub(super) fn script(yaml: &str) -> Read<Script> {
    let documents = MarkedYaml::load_from_str(yaml)
        .map_err(|error| ScriptError { line: error.marker().line(), what: error.info().to_owned() })?;
    let [document] = documents.as_slice() else {
        return Err(ScriptError { line: 1, what: "a script is one YAML document with `rules:`".to_owned() });
    };
    let mut script = Script::default();
    each_field(document, |name, node| {
        match name {
            "models" => script.models = list(node, text)?,
            "rules" => script.rules = list(node, rule)?,
            _ => return unknown(&["models", "rules"]),
        }
        Ok(Known::Yes)
    })?;
    Ok(script)
}

/// Whether a field is known, and if not, which ones are.
enum Known {
    Yes,
    No(&'static [&'static str]),
}

const fn unknown(fields: &'static [&'static str]) -> Read<Known> {
    Ok(Known::No(fields))
}

/// Calls `read` with each field of a mapping; names that it does not know are errors.
fn each_field<'a>(node: Node<'a>, mut read: impl FnMut(&str, Node<'a>) -> Read<Known>) -> Read<()> {
    let YamlData::Mapping(fields) = &node.data else { return wrong(node, "here must be fields (`name: value`)") };
    for (key, value) in fields {
        let Some(name) = key.data.as_str() else { return wrong(key, "the name of a field must be a text") };
        if let Known::No(fields) = read(name, value)? {
            return wrong(key, format_args!("unknown field `{name}`; here may be: {}", fields.join(", ")));
        }
    }
    Ok(())
}

fn rule(node: Node<'_>) -> Read<Rule> {
    let mut rule = Rule::default();
    each_field(node, |name, node| {
        match name {
            "when" => rule.when = when(node)?,
            "then" => rule.then = then(node)?,
            _ => return unknown(&["when", "then"]),
        }
        Ok(Known::Yes)
    })?;
    Ok(rule)
}

fn when(node: Node<'_>) -> Read<When> {
    let mut when = When::default();
    each_field(node, |name, node| {
        match name {
            "model" => when.model = Some(text(node)?),
            "contains" => when.contains = Some(text(node)?),
            "header" => each_field(node, |name, node| {
                when.headers.push((name.to_owned(), text(node)?));
                Ok(Known::Yes)
            })?,
            "nth" => when.nth = one_or_more(node, number)?,
            "has_tool_result" => when.has_tool_result = Some(truth(node)?),
            "offers" => when.offers = Some(text(node)?),
            "stream" => when.stream = Some(truth(node)?),
            _ => return unknown(&["model", "contains", "header", "nth", "has_tool_result", "offers", "stream"]),
        }
        Ok(Known::Yes)
    })?;
    Ok(when)
}

fn then(node: Node<'_>) -> Read<Then> {
    let mut then = Then::default();
    each_field(node, |name, node| {
        match name {
            "reasoning" => then.reasoning = said(node)?,
            "text" | "chunks" => then.text = said(node)?,
            "refusal" => then.refusal = said(node)?,
            "tool_calls" => then.tool_calls = list(node, call)?,
            "chunk_chars" => then.chunk_chars = Some(size(node)?.max(1)),
            "delay_ms" => each_field(node, |name, node| {
                match name {
                    "first" => then.first_delay = Duration::from_millis(number(node)?),
                    "between" => then.between_delay = Duration::from_millis(number(node)?),
                    _ => return unknown(&["first", "between"]),
                }
                Ok(Known::Yes)
            })?,
            "usage" => each_field(node, |name, node| {
                if !["prompt", "completion", "reasoning", "cached"].contains(&name) {
                    return unknown(&["prompt", "completion", "reasoning", "cached"]);
                }
                then.usage.insert(name.to_owned(), number(node)?);
                Ok(Known::Yes)
            })?,
            "finish_reason" => then.finish_reason = Some(text(node)?),
            "extra" => match json(node)? {
                Value::Object(fields) => then.extra = fields,
                _ => return wrong(node, "`extra` must be fields"),
            },
            "fault" => then.fault = Some(fault(node)?),
            _ => {
                return unknown(&[
                    "reasoning",
                    "text",
                    "chunks",
                    "refusal",
                    "tool_calls",
                    "chunk_chars",
                    "delay_ms",
                    "usage",
                    "finish_reason",
                    "extra",
                    "fault",
                ]);
            }
        }
        Ok(Known::Yes)
    })?;
    Ok(then)
}

fn call(node: Node<'_>) -> Read<Call> {
    let (mut name, mut arguments) = (None, Said::Whole("{}".to_owned()));
    each_field(node, |field, node| {
        match field {
            "name" => name = Some(text(node)?),
            "arguments" => {
                arguments = match &node.data {
                    YamlData::Mapping(_) => Said::Whole(json(node)?.to_string()),
                    _ => said(node)?,
                }
            }
            _ => return unknown(&["name", "arguments"]),
        }
        Ok(Known::Yes)
    })?;
    match name {
        Some(name) => Ok(Call { name, arguments }),
        None => wrong(node, "a tool call needs a `name`"),
    }
}

fn fault(node: Node<'_>) -> Read<Fault> {
    let (mut status, mut body, mut retry_after, mut other) = (None, None, None, None);
    each_field(node, |name, node| {
        match name {
            "status" => {
                status = Some(
                    u16::try_from(number(node)?)
                        .ok()
                        .filter(|s| (200..600).contains(s))
                        .map_or_else(|| wrong(node, "no HTTP status"), Ok)?,
                )
            }
            "body" => body = Some(if node.data.as_str().is_some() { text(node)? } else { json(node)?.to_string() }),
            "retry_after" => retry_after = Some(json(node)?.to_string().trim_matches('"').to_owned()),
            "refuse" => other = truth(node)?.then_some(Fault::Refuse),
            "cut_after_chunks" => other = Some(Fault::Cut(size(node)?)),
            "stall_after_chunks" => other = Some(Fault::Stall(size(node)?)),
            "garbage_after_chunks" => other = Some(Fault::Garbage(size(node)?)),
            _ => {
                return unknown(&[
                    "status",
                    "body",
                    "retry_after",
                    "refuse",
                    "cut_after_chunks",
                    "stall_after_chunks",
                    "garbage_after_chunks",
                ]);
            }
        }
        Ok(Known::Yes)
    })?;
    match (status, other) {
        (Some(status), None) => Ok(Fault::Status { status, body, retry_after }),
        (None, Some(other)) if body.is_none() && retry_after.is_none() => Ok(other),
        _ => wrong(node, "a fault is either a `status` (with `body`, `retry_after`) or one of the other kinds"),
    }
}

fn said(node: Node<'_>) -> Read<Said> {
    Ok(match &node.data {
        YamlData::Sequence(_) => Said::Pieces(list(node, text)?),
        _ => Said::Whole(text(node)?),
    })
}

fn list<'a, T>(node: Node<'a>, read: impl Fn(Node<'a>) -> Read<T>) -> Read<Vec<T>> {
    let YamlData::Sequence(items) = &node.data else { return wrong(node, "here must be a list (`- ...`)") };
    items.iter().map(read).collect()
}

fn one_or_more<'a, T>(node: Node<'a>, read: impl Fn(Node<'a>) -> Read<T>) -> Read<Vec<T>> {
    match &node.data {
        YamlData::Sequence(_) => list(node, read),
        _ => Ok(vec![read(node)?]),
    }
}

fn text(node: Node<'_>) -> Read<String> {
    node.data
        .as_str()
        .map_or_else(|| wrong(node, "here must be a text (numbers and words like `true` in quotes)"), |text| Ok(text.to_owned()))
}

fn number(node: Node<'_>) -> Read<u64> {
    let number = node.data.as_integer().and_then(|n| u64::try_from(n).ok());
    number.map_or_else(|| wrong(node, "here must be a whole number, 0 or more"), Ok)
}

fn size(node: Node<'_>) -> Read<usize> {
    number(node).map(|n| usize::try_from(n).unwrap_or(usize::MAX))
}

fn truth(node: Node<'_>) -> Read<bool> {
    node.data.as_bool().map_or_else(|| wrong(node, "here must be `true` or `false`"), Ok)
}

fn json(node: Node<'_>) -> Read<Value> {
    Ok(match &node.data {
        YamlData::Value(Scalar::Null) => Value::Null,
        YamlData::Value(Scalar::Boolean(truth)) => Value::Bool(*truth),
        YamlData::Value(Scalar::Integer(number)) => Value::from(*number),
        YamlData::Value(Scalar::FloatingPoint(number)) => Value::from(number.into_inner()),
        YamlData::Value(Scalar::String(text)) => Value::from(&**text),
        YamlData::Sequence(items) => Value::Array(items.iter().map(json).collect::<Read<_>>()?),
        YamlData::Mapping(_) => {
            let mut fields = serde_json::Map::new();
            each_field(node, |name, node| {
                fields.insert(name.to_owned(), json(node)?);
                Ok(Known::Yes)
            })?;
            Value::Object(fields)
        }
        _ => return wrong(node, "here must be a plain value"),
    })
}
