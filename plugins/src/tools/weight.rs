//! How many subschemas a schema comes to once every reference in it is followed: what a check may cost for each value.
//!
//! It is apart because it bounds an engine that has no bound of its own: a few references to references make 2^40 checks. It must not
//! know what a schema says.

use std::collections::HashMap;

use serde_json::Value;

/// Most subschemas, references followed.
const MOST: u64 = 1024;
/// Deepest nesting, references followed.
const DEEPEST: u32 = 256;

/// Checks that a schema is light, and refers to nothing but its own parts.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    let draft = schema.get("$schema").and_then(Value::as_str).unwrap_or_default();
    if draft.contains("draft-04") {
        return Err(format!("`$schema` {draft:?} is not supported"));
    }
    let mut scale = Scale { root: schema, known: HashMap::new(), depth: 0 };
    match scale.weigh(schema)? {
        0..=MOST => Ok(()),
        _ => Err(format!("more than {MOST} subschemas, with every `$ref` followed")),
    }
}

struct Scale<'a> {
    root: &'a Value,
    /// By the text of a reference; `None` while it is being weighed.
    known: HashMap<&'a str, Option<u64>>,
    depth: u32,
}

impl<'a> Scale<'a> {
    /// Every object in it counts as a subschema.
    fn weigh(&mut self, schema: &'a Value) -> Result<u64, String> {
        if self.depth > DEEPEST {
            return Err(format!("nested more than {DEEPEST} deep, with every `$ref` followed"));
        }
        self.depth += 1;
        let weight = match schema {
            Value::Object(keys) => {
                keys.iter().try_fold(1, |sum: u64, (key, value)| Ok(sum.saturating_add(self.entry(key, value)?)))
            }
            Value::Array(items) => items.iter().try_fold(0, |sum: u64, item| Ok(sum.saturating_add(self.weigh(item)?))),
            _ => Ok(0),
        };
        self.depth -= 1;
        weight
    }

    fn entry(&mut self, key: &str, value: &'a Value) -> Result<u64, String> {
        match (key, value) {
            ("$ref", Value::String(target)) => self.follow(target),
            // What is referred to is known only while something is checked, or is meant from elsewhere.
            ("$dynamicRef" | "$recursiveRef", Value::String(_)) => Err(format!("`{key}` is not supported")),
            ("$id", Value::String(_)) if self.depth > 1 => Err("`$id` inside of it is not supported".to_owned()),
            _ => self.weigh(value),
        }
    }

    fn follow(&mut self, target: &'a str) -> Result<u64, String> {
        match self.known.get(target) {
            Some(Some(weight)) => return Ok(*weight),
            Some(None) => return Err(format!("`$ref` {target:?} refers to itself")),
            None => {}
        }
        let found = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let found = found.ok_or_else(|| format!("`$ref` {target:?} is no part of it, such as `#/$defs/name`"))?;
        self.known.insert(target, None);
        let weight = self.weigh(found)?;
        self.known.insert(target, Some(weight));
        Ok(weight)
    }
}
