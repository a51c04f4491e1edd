//! Reading YAML with line numbers: a node that knows where it stands, and complaints that say so.
//!
//! It is apart from the manifest so that the manifest reads as a list of its keys. It must not know any key.

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::{Map, Number, Value};

/// A complaint: `line 12: unknown key ...`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub(crate) struct Complaint {
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// A value, the key path that leads to it, and its line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'a> {
    yaml: &'a MarkedYaml<'a>,
    /// For complaints.
    name: &'a str,
}

/// Largest file, in bytes, and deepest nesting.
const LARGEST: usize = 1 << 20;
const DEEPEST: usize = 64;

/// Parses one document, which complaints call `name`, and hands it to `read`.
///
/// # Errors
/// When it is not one YAML document, or what `read` says.
pub(crate) fn read<T>(text: &str, name: &str, read: impl FnOnce(Node<'_>) -> Result<T, Complaint>) -> Result<T, Complaint> {
    if text.len() > LARGEST {
        return Err(Complaint { line: 1, message: format!("more than {LARGEST} bytes") });
    }
    let documents = MarkedYaml::load_from_str(text)
        .map_err(|error| Complaint { line: error.marker().line(), message: error.info().to_owned() })?;
    match documents.as_slice() {
        [yaml] => read(Node { yaml, name }),
        _ => Err(Complaint { line: 1, message: "expected one YAML document".into() }),
    }
}

impl<'a> Node<'a> {
    /// A complaint at this place.
    pub(crate) fn complain(&self, message: impl Into<String>) -> Complaint {
        Complaint { line: self.line(), message: format!("{}: {}", self.name, message.into()) }
    }

    /// The entries of a mapping whose keys are all in `known`.
    pub(crate) fn entries(&self, known: &[&'a str]) -> Result<Vec<(&'a str, Node<'a>)>, Complaint> {
        let YamlData::Mapping(mapping) = &self.yaml.data else {
            return Err(self.complain("expected keys and values"));
        };
        let mut entries = Vec::with_capacity(mapping.len());
        for (key, yaml) in mapping {
            let place = Node { yaml: key, name: self.name };
            let name = place.text()?;
            let name = known.iter().find(|known| **known == name);
            let name = name.ok_or_else(|| place.complain(format!("unknown key `{}`; known: {}", show(key), known.join(", "))))?;
            entries.push((*name, Node { yaml, name }));
        }
        Ok(entries)
    }

    /// The items of a list; a scalar counts as a list of one.
    pub(crate) fn items(&self) -> Vec<Node<'a>> {
        match &self.yaml.data {
            YamlData::Sequence(items) => items.iter().map(|yaml| Node { yaml, name: self.name }).collect(),
            _ => vec![*self],
        }
    }

    /// Its line, from 1.
    pub(crate) fn line(&self) -> usize {
        self.yaml.span.start.line()
    }

    /// The items of what must be a list.
    pub(crate) fn list(&self) -> Result<Vec<Node<'a>>, Complaint> {
        match &self.yaml.data {
            YamlData::Sequence(_) => Ok(self.items()),
            _ => Err(self.complain("expected a list")),
        }
    }

    /// What one of these words stands for.
    pub(crate) fn word<T: Copy>(&self, known: &[(&str, T)]) -> Result<T, Complaint> {
        let word = self.text()?;
        let value = known.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
        let names = || known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        value.ok_or_else(|| self.complain(format!("`{word}` is none of: {}", names())))
    }

    /// A string.
    pub(crate) fn text(&self) -> Result<&'a str, Complaint> {
        match &self.yaml.data {
            YamlData::Value(Scalar::String(text)) => Ok(text),
            _ => Err(self.complain("expected a string")),
        }
    }

    /// A whole number of at least `least`.
    pub(crate) fn number(&self, least: u64) -> Result<u64, Complaint> {
        match &self.yaml.data {
            YamlData::Value(Scalar::Integer(number)) => u64::try_from(*number)
                .ok()
                .filter(|number| *number >= least)
                .ok_or_else(|| self.complain(format!("at least {least}"))),
            _ => Err(self.complain("expected a whole number")),
        }
    }

    /// The value as JSON.
    pub(crate) fn json(&self) -> Result<Value, Complaint> {
        self.json_within(DEEPEST)
    }

    fn json_within(&self, depth: usize) -> Result<Value, Complaint> {
        let Some(deeper) = depth.checked_sub(1) else {
            return Err(self.complain("nested too deep"));
        };
        Ok(match &self.yaml.data {
            YamlData::Value(Scalar::Null) => Value::Null,
            YamlData::Value(Scalar::Boolean(truth)) => Value::Bool(*truth),
            YamlData::Value(Scalar::Integer(number)) => Value::Number((*number).into()),
            YamlData::Value(Scalar::FloatingPoint(number)) => {
                Value::Number(Number::from_f64(number.0).ok_or_else(|| self.complain("not a number that JSON has"))?)
            }
            YamlData::Value(Scalar::String(text)) => Value::String(text.clone().into_owned()),
            YamlData::Sequence(items) => {
                let items = items.iter().map(|yaml| Node { yaml, name: self.name }.json_within(deeper));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            YamlData::Mapping(mapping) => {
                let mut map = Map::new();
                for (key, yaml) in mapping {
                    let key = Node { yaml: key, name: self.name }.text()?;
                    map.insert(key.to_owned(), Node { yaml, name: self.name }.json_within(deeper)?);
                }
                Value::Object(map)
            }
            _ => return Err(self.complain("tags, aliases and bad values are not read")),
        })
    }
}

fn show(yaml: &MarkedYaml<'_>) -> String {
    match &yaml.data {
        YamlData::Value(Scalar::String(text)) => text.clone().into_owned(),
        _ => "?".into(),
    }
}
