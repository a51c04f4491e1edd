//! Attacks that wait for the world outside: a server and a model that never answer, or answer at once and as much as they may.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatewright_plugins::{Ask, Fetch, FetchRequest, FetchResponse, Notes, Question, Reach, ServiceError};

use super::attack::{Attack, End};
use super::kit::wat::{self, Wat, module, with};

/// Keeps those waiting who name `never`; others get `LARGE` bytes.
#[derive(Debug)]
struct Outside;

const LARGE: usize = 1 << 20;

async fn answer(name: &str) -> String {
    match name {
        "never" => std::future::pending().await,
        "late" => tokio::time::sleep(Duration::from_millis(80)).await,
        _ => {}
    }
    "x".repeat(LARGE)
}

#[async_trait]
impl Fetch for Outside {
    async fn send(&self, _: &str, request: FetchRequest, _: &Notes) -> Result<FetchResponse, ServiceError> {
        Ok(FetchResponse { status: 200, headers: Vec::new(), body: answer(&request.url).await.into_bytes() })
    }
}

#[async_trait]
impl Ask for Outside {
    async fn ask(&self, _: &str, question: Question, _: &Notes) -> Result<String, ServiceError> {
        Ok(answer(&question.route).await)
    }
}

/// The way there, for one request.
pub(super) fn reach() -> Reach {
    Reach::default().with_fetch(Arc::new(Outside)).with_ask(Arc::new(Outside))
}

/// What is waited for ends at the wall clock.
const LUAU_WAITS: &[(&str, &str)] = &[
    ("a fetch without an end", "fetch.send({ url = 'never' })"),
    ("a question without an end", "model.ask('never', 'x', 1)"),
    ("a fetch that is late", "fetch.send({ url = 'late' }) return { edit(s, 1, 3, 'too late') }"),
    ("one behind the other", "fetch.send({ url = 'at once' }) fetch.send({ url = 'never' })"),
    ("a fetch with much in hand", "local t = table.create(1e5, 'x') fetch.send({ url = 'never' }) return { answer(t[1]) }"),
];

/// What waits nowhere, or in vain.
const LUAU: &[(&str, &str, &str)] = &[
    ("fetches over and over", "while true do fetch.send({ url = 'at once' }) end", ""),
    ("questions over and over", "while true do model.ask('at once', 'x') end", ""),
    ("a body that is too long", "fetch.send({ url = 'at once', body = string.rep('x', 2e6) }) return {}", "none"),
    ("an address that is too long", "fetch.send({ url = string.rep('x', 2e6) }) return {}", "none"),
    ("a prompt that is too long", "model.ask('at once', string.rep('x', 2e6)) return {}", "none"),
    ("a route that is no text", "model.ask('\\xff', 'x') return {}", "none"),
    ("tokens that are none", "for _, n in { -1, 0/0, 1/0, 1.5 } do model.ask('at once', 'x', n) end return {}", "none"),
    (
        "headers without an end",
        "local h = {} for i = 1, 1e4 do h['a' .. i] = 'b' end fetch.send({ url = 'x', headers = h }) return {}",
        "none",
    ),
    ("fields that are code", "fetch.send(setmetatable({}, { __index = function() while true do end end })) return {}", "none"),
    ("a table that is none", "fetch.send('x')", "trap"),
    (
        "a fetch in a coroutine",
        "local c = coroutine.create(function() fetch.send({ url = 'never' }) end) coroutine.resume(c) return {}",
        "none",
    ),
    ("a fetch in pcall", "pcall(fetch.send, { url = 'never' }) return {}", "none"),
    (
        "a fetch where values are compared",
        "table.sort({ 3, 2, 1 }, function(a, b) fetch.send({ url = 'never' }) return a < b end)",
        "trap",
    ),
];

/// Calls `send` or `ask` with a name of five letters at 200, over and over.
fn calls(host: &str, name: &str, (given, call): (&str, &str)) -> Wat {
    let core = format!(
        "(import \"host\" \"f\" (func $f (param {given})))
         (data (i32.const 200) \"{name}\")
         (func (export \"inspect\") (param i32) (result i32) (loop {call} (br 0)) unreachable)"
    );
    with(host, module(core)).pages(128)
}

const SEND: (&str, &str) = (
    "i32 i32 i32 i32 i32 i32 i32 i32 i32",
    "(call $f (i32.const 200) (i32.const 0) (i32.const 200) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 600))",
);
const QUESTION: (&str, &str) = (
    "i32 i32 i32 i32 i32 i32",
    "(call $f (i32.const 200) (i32.const 5) (i32.const 200) (i32.const 5) (i32.const 1) (i32.const 600))",
);
const HEADERS: (&str, &str) = (
    SEND.0,
    "(call $f (i32.const 200) (i32.const 0) (i32.const 200) (i32.const 5) (i32.const 8192) (i32.const 0x7ffffff) (i32.const 0) (i32.const 0) (i32.const 600))",
);

/// All of them.
pub(super) fn attacks() -> Vec<Attack> {
    let luau = |name: &str, evil: &str, end| {
        let code = format!("return {{ inspect = function(ctx, event) local s = event.segments[1] {evil} end }}");
        Attack::luau(format!("outside: {name}"), code, end).granted()
    };
    let wasm = |name: &str, wat, end| Attack::wasm(format!("outside: {name}"), wat, end).granted();
    let waits = End::Error("wall clock limit");
    let end = |end: &'static str| if end == "none" { End::Harmless } else { End::Error(end) };
    let short = |attack: Attack| attack.limited(&[("wall_ms", 40), ("cpu_us", 200_000)]);
    let mut attacks: Vec<_> = LUAU_WAITS.iter().map(|(name, evil)| short(luau(name, evil, waits))).collect();
    attacks.extend(LUAU.iter().map(|(name, evil, said)| short(luau(name, evil, end(said)))));
    attacks.extend([
        short(wasm("a fetch without an end", calls(&wat::fetch(), "never", SEND), waits)),
        short(wasm("a question without an end", calls(&wat::model(), "never", QUESTION), waits)),
        wasm("fetches over and over", calls(&wat::fetch(), "at on", SEND), End::Error("")),
        wasm("questions over and over", calls(&wat::model(), "at on", QUESTION), End::Error("")),
        short(wasm("headers without an end", calls(&wat::fetch(), "never", HEADERS), End::Error(""))),
    ]);
    attacks
}
