//! What a Luau plugin gives back, read into the contract's terms: actions, what it declares, results of tools.
//!
//! Fields are read raw: no metatable runs while the host reads. Offsets turn from Luau's (1-based, inclusive) into the
//! contract's (0-based, exclusive end) here and nowhere else. Apart because a plugin may give back anything, and its form is checked
//! here. It must not know events or VMs.

use mlua::{Function, LuaString, Table, Value};

use super::json;
use crate::api::ToolFailure;
use crate::guest::{ACTION_BYTES, Action, GuestError, GuestErrorKind, ToolSpec};

/// Reads what `inspect` returned: a list of actions; nothing; or nil and why it failed.
pub(super) fn read(answer: &Value, why: &Value, output: usize) -> Result<Vec<Action>, GuestError> {
    match (answer, why) {
        (Value::Nil, Value::Nil) => Ok(Vec::new()),
        (Value::Nil, Value::String(why)) => Err(GuestError::new(GuestErrorKind::Guest, why.to_string_lossy())),
        (Value::Table(list), _) => {
            let length = list.raw_len();
            let mut reader = Reader { left: output, output };
            reader.spend(length.saturating_mul(ACTION_BYTES))?;
            (1..=length).map(|index| reader.action(&entry(list, index)?)).collect()
        }
        _ => Err(contract("inspect returns a list of actions, nothing, or nil and a message")),
    }
}

/// Reads the `tools` that a plugin declares; nil for none.
pub(super) fn tools(list: &Value, output: usize) -> Result<Vec<ToolSpec>, GuestError> {
    let list = match list {
        Value::Nil => return Ok(Vec::new()),
        Value::Table(list) => list,
        _ => return Err(contract("tools is a list")),
    };
    let mut reader = Reader { left: output, output };
    let mut specs = Vec::new();
    for index in 1..=list.raw_len() {
        let tool = entry(list, index)?;
        specs.push(ToolSpec {
            name: reader.text(&tool, "name")?,
            description: reader.optional(&tool, "description")?.unwrap_or_default(),
            parameters: reader.schema(&tool, "parameters")?.unwrap_or_else(|| "null".to_owned()),
            result: reader.schema(&tool, "result")?,
            read_only: matches!(field(&tool, "read_only")?, Value::Boolean(true)),
        });
    }
    Ok(specs)
}

/// Reads what `prefilter` returned: a list of patterns; or nil and why it failed.
pub(super) fn prefilter(answer: &Value, why: &Value, output: usize) -> Result<Vec<String>, GuestError> {
    let list = match (answer, why) {
        (Value::Nil, Value::String(why)) => return Err(GuestError::new(GuestErrorKind::Guest, why.to_string_lossy())),
        (Value::Table(list), _) => list,
        _ => return Err(contract("prefilter returns a list of patterns, or nil and a message")),
    };
    let mut reader = Reader { left: output, output };
    let pattern = |index| match list.raw_get(index) {
        Ok(Value::String(pattern)) => reader.string(&pattern),
        _ => Err(contract(format!("prefilter: entry {index} is not a string"))),
    };
    (1..=list.raw_len()).map(pattern).collect()
}

/// How a tool's result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A string is the text itself.
    Text,
    /// JSON, for there is a schema that it has to fit.
    Json,
}

/// The function of the tool of this name, and the form of its results.
pub(super) fn tool(list: &Value, name: &str) -> Result<(Function, Form), GuestError> {
    let Value::Table(list) = list else { return Err(contract("tools is a list")) };
    for index in 1..=list.raw_len() {
        let tool = entry(list, index)?;
        if matches!(field(&tool, "name")?, Value::String(found) if *found.as_bytes() == *name.as_bytes()) {
            let form = if field(&tool, "result")?.is_nil() { Form::Text } else { Form::Json };
            return match field(&tool, "call")? {
                Value::Function(call) => Ok((call, form)),
                _ => Err(contract(format!("tool {name} has no function `call`"))),
            };
        }
    }
    Err(contract(format!("tool {name} is not declared")))
}

/// Reads what a tool's `call` returned: a value; or nil, a kind of failure and a message.
pub(super) fn result(answer: &[Value; 3], form: Form, output: usize) -> Result<Result<String, ToolFailure>, GuestError> {
    let mut reader = Reader { left: output, output };
    match answer {
        [Value::Nil, Value::String(kind), message] => {
            let message = match message {
                Value::String(message) => reader.string(message)?,
                _ => String::new(),
            };
            Ok(Err(match reader.string(kind)?.replace('-', "_").as_str() {
                "bad_arguments" => ToolFailure::BadArguments(message),
                "denied" => ToolFailure::Denied(message),
                "try_later" => ToolFailure::TryLater(message),
                "internal" => ToolFailure::Internal(message),
                other => return Err(contract(format!("a failure is bad_arguments, denied, try_later or internal, not {other}"))),
            }))
        }
        [Value::Nil, ..] => Err(contract("a tool returns a value, or nil, a kind of failure and a message")),
        [Value::String(text), ..] if form == Form::Text => reader.string(text).map(Ok),
        [value, ..] => {
            json::from_luau(value, output).map(|value| Ok(value.to_string())).map_err(|why| contract(format!("result: {why}")))
        }
    }
}

fn contract(message: impl Into<String>) -> GuestError {
    GuestError::new(GuestErrorKind::Contract, message)
}

fn entry(list: &Table, index: usize) -> Result<Table, GuestError> {
    match list.raw_get(index) {
        Ok(Value::Table(table)) => Ok(table),
        _ => Err(contract(format!("entry {index} is not a table"))),
    }
}

fn field(table: &Table, name: &str) -> Result<Value, GuestError> {
    table.raw_get(name).map_err(|error| GuestError::new(GuestErrorKind::Memory, error.to_string()))
}

struct Reader {
    left: usize,
    output: usize,
}

impl Reader {
    fn spend(&mut self, bytes: usize) -> Result<(), GuestError> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or_else(|| GuestError::new(GuestErrorKind::Output, format!("more than {} bytes", self.output)))?;
        Ok(())
    }

    fn string(&mut self, text: &LuaString) -> Result<String, GuestError> {
        let bytes = text.as_bytes();
        self.spend(bytes.len())?;
        std::str::from_utf8(&bytes).map(ToOwned::to_owned).map_err(|_| contract("a string that is not UTF-8"))
    }

    fn text(&mut self, table: &Table, name: &str) -> Result<String, GuestError> {
        self.optional(table, name)?.ok_or_else(|| contract(format!("`{name}` is missing")))
    }

    /// A JSON Schema, as text: given as text, or as what becomes it. `None` where there is none.
    fn schema(&mut self, table: &Table, name: &str) -> Result<Option<String>, GuestError> {
        match field(table, name)? {
            Value::Nil => Ok(None),
            Value::String(text) => self.string(&text).map(Some),
            value => match json::from_luau(&value, self.left) {
                Ok(schema) => Ok(Some(schema.to_string())),
                Err(why) => Err(contract(format!("{name}: {why}"))),
            },
        }
    }

    fn optional(&mut self, table: &Table, name: &str) -> Result<Option<String>, GuestError> {
        match field(table, name)? {
            Value::Nil => Ok(None),
            Value::String(text) => self.string(&text).map(Some),
            _ => Err(contract(format!("`{name}` is not a string"))),
        }
    }

    fn action(&mut self, action: &Table) -> Result<Action, GuestError> {
        let kind = self.text(action, "kind")?;
        Ok(match kind.as_str() {
            "edit" => Action::Edit {
                segment: number(action, "segment")?,
                start: place(action, "start")?,
                end: number(action, "stop")?,
                text: self.text(action, "text")?,
            },
            "hold" => Action::Hold { segment: number(action, "segment")?, start: place(action, "start")? },
            "block" => Action::Block {
                code: self.optional(action, "code")?.unwrap_or_else(|| "blocked".into()),
                message: self.optional(action, "message")?.unwrap_or_default(),
            },
            "answer" => Action::Answer(self.text(action, "text")?),
            "reask" => Action::Reask { route: self.optional(action, "route")?, instruction: self.optional(action, "instruction")? },
            "set" => {
                let value =
                    json::from_luau(&field(action, "value")?, self.left).map_err(|why| contract(format!("value: {why}")))?;
                let value = value.to_string();
                self.spend(value.len())?;
                Action::Set { pointer: self.text(action, "pointer")?, value }
            }
            "note" => Action::Note { key: self.text(action, "key")?, value: self.text(action, "value")? },
            _ => return Err(contract("an action is edit, hold, block, answer, reask, set or note")),
        })
    }
}

/// A whole number from 0.
fn number(table: &Table, name: &str) -> Result<u32, GuestError> {
    let value = match field(table, name)? {
        Value::Number(number) => number,
        Value::Integer(number) => number as f64,
        _ => return Err(contract(format!("`{name}` is not a number"))),
    };
    if value.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&value) {
        return Err(contract(format!("`{name}` is not a whole number from 0")));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Ok(value as u32)
}

/// A 1-based place, as the contract's 0-based offset.
fn place(table: &Table, name: &str) -> Result<u32, GuestError> {
    number(table, name)?.checked_sub(1).ok_or_else(|| contract(format!("`{name}` counts from 1")))
}
