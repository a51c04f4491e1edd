//! JSON to Luau values and back: settings, parameters, arguments and results of tools.
//!
//! Apart because `powers`, `actions` and `instance` need it. It must not know what the values mean. Metatables are never followed:
//! guest code does not run while the host reads. `null` becomes `nil`; an empty table becomes `{}`; a table with entries 1..n and
//! nothing else becomes an array.

use mlua::{Lua, Table, Value as Luau};
use serde_json::{Map, Number, Value};

/// Deepest nesting.
const DEEPEST: usize = 32;

/// A JSON value as a read-only Luau value.
///
/// # Errors
/// When the VM's memory does not suffice.
pub(crate) fn to_luau(lua: &Lua, value: &Value) -> mlua::Result<Luau> {
    Ok(match value {
        Value::Null => Luau::Nil,
        Value::Bool(truth) => Luau::Boolean(*truth),
        Value::Number(number) => Luau::Number(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Luau::String(lua.create_string(text)?),
        Value::Array(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            for (index, item) in items.iter().enumerate() {
                table.raw_set(index + 1, to_luau(lua, item)?)?;
            }
            table.set_readonly(true);
            Luau::Table(table)
        }
        Value::Object(map) => {
            let table = lua.create_table_with_capacity(0, map.len())?;
            for (key, item) in map {
                table.raw_set(key.as_str(), to_luau(lua, item)?)?;
            }
            table.set_readonly(true);
            Luau::Table(table)
        }
    })
}

/// A Luau value as JSON, of at most `bytes` bytes (roughly, as text).
///
/// # Errors
/// What cannot be said in JSON, or is too large.
pub(crate) fn from_luau(value: &Luau, bytes: usize) -> Result<Value, String> {
    Reader { left: bytes }.value(value, DEEPEST)
}

struct Reader {
    left: usize,
}

impl Reader {
    fn spend(&mut self, bytes: usize) -> Result<(), String> {
        self.left = self.left.checked_sub(bytes).ok_or("the value is too large")?;
        Ok(())
    }

    fn value(&mut self, value: &Luau, depth: usize) -> Result<Value, String> {
        self.spend(8)?;
        match value {
            Luau::Nil => Ok(Value::Null),
            Luau::Boolean(truth) => Ok(Value::Bool(*truth)),
            Luau::Integer(number) => Ok(Value::Number((*number).into())),
            Luau::Number(number) => number_of(*number),
            Luau::String(text) => self.text(text).map(Value::String),
            Luau::Table(table) => {
                let deeper = depth.checked_sub(1).ok_or("nested too deep")?;
                let length = table.raw_len();
                if length > 0 { self.array(table, length, deeper) } else { self.object(table, deeper) }
            }
            other => Err(format!("a {} has no JSON", other.type_name())),
        }
    }

    fn text(&mut self, text: &mlua::LuaString) -> Result<String, String> {
        let bytes = text.as_bytes();
        self.spend(bytes.len())?;
        std::str::from_utf8(&bytes).map(ToOwned::to_owned).map_err(|_| "a string that is not UTF-8".to_owned())
    }

    fn array(&mut self, table: &Table, length: usize, depth: usize) -> Result<Value, String> {
        self.spend(length)?;
        let mut items = Vec::with_capacity(length);
        for index in 1..=length {
            let item: Luau = table.raw_get(index).map_err(|error| error.to_string())?;
            items.push(self.value(&item, depth)?);
        }
        Ok(Value::Array(items))
    }

    fn object(&mut self, table: &Table, depth: usize) -> Result<Value, String> {
        let mut map = Map::new();
        for pair in table.pairs::<Luau, Luau>() {
            let (key, item) = pair.map_err(|error| error.to_string())?;
            let Luau::String(key) = &key else { return Err("a key that is not a string".into()) };
            map.insert(self.text(key)?, self.value(&item, depth)?);
        }
        Ok(Value::Object(map))
    }
}

fn number_of(number: f64) -> Result<Value, String> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number within 2^53")]
        return Ok(Value::Number((number as i64).into()));
    }
    Number::from_f64(number).map(Value::Number).ok_or_else(|| "a number that JSON does not have".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_goes_in_comes_out() {
        let lua = Lua::new();
        let value = json!({"a": [1, 2.5, "x", true, {"b": {}}], "n": -3});
        assert_eq!(from_luau(&to_luau(&lua, &value).unwrap(), 1000), Ok(value));
    }

    #[test]
    fn hostile_values_are_refused() {
        let lua = Lua::new();
        for code in ["local t = {} t.t = t return t", "return print", "return 0/0", "return {[{}] = 1}", "return '\\xff'"] {
            let value: Luau = lua.load(code).eval().unwrap();
            assert!(from_luau(&value, 1000).is_err(), "{code}");
        }
        let long: Luau = lua.load("return ('x'):rep(2000)").eval().unwrap();
        assert!(from_luau(&long, 1000).is_err());
    }
}
