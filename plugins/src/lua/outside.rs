//! The host functions that wait for the world outside: `fetch.send` and `model.ask`.
//!
//! Apart from `powers` because a call that waits in one is set aside, and others use its thread meanwhile. It must not know what is
//! allowed, nor how anything is fetched or asked (`reach`).

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mlua::{Lua, LuaString, Table, Value};

use super::powers::Desk;
use crate::guest::{Grant, Setup};
use crate::reach::{FetchRequest, FetchResponse, Question, Reach};

/// Headers that one fetch may have.
const MOST_HEADERS: usize = 64;

/// One call that is outside. While it lives, something of its request is in the VM.
struct Errand {
    reach: Reach,
    name: Arc<str>,
    desk: Arc<Desk>,
}

impl Errand {
    fn begin(name: &Arc<str>, desk: &Arc<Desk>) -> Self {
        desk.away.fetch_add(1, Ordering::Relaxed);
        Self { reach: desk.reach(), name: Arc::clone(name), desk: Arc::clone(desk) }
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        self.desk.away.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Something, or nil and why not.
type Said<T> = mlua::Result<(Option<T>, Option<String>)>;

fn no<T>(why: impl Display) -> Said<T> {
    Ok((None, Some(why.to_string())))
}

/// Puts the functions among the globals.
pub(super) fn open(lua: &Lua, (setup, desk): (&Setup, &Arc<Desk>)) -> mlua::Result<()> {
    let globals = lua.globals();
    globals.raw_set("fetch", fetch(lua, setup, desk)?)?;
    globals.raw_set("model", model(lua, setup, desk)?)
}

/// `fetch.send{method=, url=, headers=, body=}`: a table with status, headers and body, or nil and why not.
fn fetch(lua: &Lua, setup: &Setup, desk: &Arc<Desk>) -> mlua::Result<Table> {
    let send = if setup.granted.contains(&Grant::Fetch) {
        let (name, desk, most) = (Arc::clone(&setup.name), Arc::clone(desk), setup.limits.output);
        lua.create_async_function(move |lua: Lua, asked: Table| {
            let errand = Errand::begin(&name, &desk);
            let request = request(&asked, most);
            async move {
                let request = match request {
                    Ok(request) => request,
                    Err(why) => return no(why),
                };
                match errand.reach.fetch(&errand.name, request).await {
                    Ok(response) => Ok((Some(told(&lua, response)?), None)),
                    Err(why) => no(why),
                }
            }
        })?
    } else {
        lua.create_function(|_, _: Value| no::<bool>("denied"))?
    };
    closed(lua, "send", send)
}

/// `model.ask(route, prompt, max_tokens)`: the answer's text, or nil and why not.
fn model(lua: &Lua, setup: &Setup, desk: &Arc<Desk>) -> mlua::Result<Table> {
    let ask = if setup.granted.contains(&Grant::Model) {
        let (name, desk, most) = (Arc::clone(&setup.name), Arc::clone(desk), setup.limits.output);
        lua.create_async_function(move |lua: Lua, (route, prompt, tokens): (LuaString, LuaString, Option<f64>)| {
            let errand = Errand::begin(&name, &desk);
            let question = question((&route, &prompt), tokens, most);
            async move {
                let question = match question {
                    Ok(question) => question,
                    Err(why) => return no(why),
                };
                match errand.reach.ask(&errand.name, question).await {
                    Ok(answer) => Ok((Some(lua.create_string(answer)?), None)),
                    Err(why) => no(why),
                }
            }
        })?
    } else {
        lua.create_function(|_, _: Value| no::<bool>("denied"))?
    };
    closed(lua, "ask", ask)
}

fn closed(lua: &Lua, name: &str, function: mlua::Function) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set(name, function)?;
    table.set_readonly(true);
    Ok(table)
}

/// What a guest wants fetched, read raw: no metatable runs.
fn request(asked: &Table, most: usize) -> Result<FetchRequest, String> {
    let field = |name: &str| asked.raw_get::<Value>(name).map_err(|error| error.to_string());
    let url = match field("url")? {
        Value::String(url) => text(&url, "url")?,
        _ => return Err("`url` is a string".to_owned()),
    };
    let method = match field("method")? {
        Value::Nil => "GET".to_owned(),
        Value::String(method) => text(&method, "method")?,
        _ => return Err("`method` is a string".to_owned()),
    };
    let body = match field("body")? {
        Value::Nil => Vec::new(),
        Value::String(body) if body.as_bytes().len() > most => return Err(format!("limit: a body of more than {most} bytes")),
        Value::String(body) => body.as_bytes().to_vec(),
        _ => return Err("`body` is a string".to_owned()),
    };
    let headers = match field("headers")? {
        Value::Nil => Vec::new(),
        Value::Table(table) => headers(&table)?,
        _ => return Err("`headers` is a table of names and values".to_owned()),
    };
    Ok(FetchRequest { method, url, headers, body })
}

fn headers(table: &Table) -> Result<Vec<(String, String)>, String> {
    let mut headers = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let Ok((Value::String(name), Value::String(value))) = pair else {
            return Err("`headers` is a table of names and values".to_owned());
        };
        if headers.len() >= MOST_HEADERS {
            return Err(format!("limit: more than {MOST_HEADERS} headers"));
        }
        headers.push((text(&name, "headers")?, text(&value, "headers")?));
    }
    Ok(headers)
}

fn question((route, prompt): (&LuaString, &LuaString), tokens: Option<f64>, most: usize) -> Result<Question, String> {
    if prompt.as_bytes().len() > most {
        return Err(format!("limit: a prompt of more than {most} bytes"));
    }
    let tokens = tokens.unwrap_or(0.0);
    if !(tokens >= 0.0 && tokens.fract() == 0.0) {
        return Err("max_tokens is a whole number of 0 or more".to_owned());
    }
    // More than can be said is as good as the most.
    Ok(Question { route: text(route, "route")?, prompt: text(prompt, "prompt")?, max_tokens: tokens as u32 })
}

/// Longest URL, method, name or value, in bytes; prompts have a bound of their own.
const TEXT_BYTES: usize = 16 << 10;

fn text(of: &LuaString, name: &str) -> Result<String, String> {
    let bytes = of.as_bytes();
    if name != "prompt" && bytes.len() > TEXT_BYTES {
        return Err(format!("limit: `{name}` has more than {TEXT_BYTES} bytes"));
    }
    std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| format!("`{name}` is not UTF-8"))
}

/// What came back. Headers of one name are joined by commas.
fn told(lua: &Lua, response: FetchResponse) -> mlua::Result<Table> {
    let headers = lua.create_table()?;
    for (name, value) in response.headers {
        let value = match headers.raw_get::<Option<String>>(name.as_str())? {
            Some(before) => format!("{before}, {value}"),
            None => value,
        };
        headers.raw_set(name, value)?;
    }
    let table = lua.create_table()?;
    table.raw_set("status", response.status)?;
    table.raw_set("headers", headers)?;
    table.raw_set("body", lua.create_string(&response.body)?)?;
    Ok(table)
}
