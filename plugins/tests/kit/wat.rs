//! WASM guests of a test, written as text around a few lines: no compiler would let through what they do.

use gatewright_plugins::{Host, Operator, Plugin, Source};
use std::sync::Arc;

/// A guest; the rest is usual.
#[derive(Clone, Debug)]
pub struct Wat {
    /// Host functions, lowered as `$f`.
    pub imports: String,
    pub core: String,
    pub pages: u32,
    /// The body of its allocator, in the place of one that only ever goes up.
    allocator: Option<String>,
    /// What runs after its answer was read.
    after: bool,
}

/// The allocator of the guests, from its locals to its end.
const ALLOCATOR: [&str; 2] = ["      (local $at i32)", "      (local.get $at)))"];
const LIFTED: &str = "(canon lift (core func $inspect) (memory $mem) (realloc (core func $realloc)))";

/// A guest with this core module.
pub fn module(core: impl Into<String>) -> Wat {
    Wat { imports: String::new(), core: core.into(), pages: 2, allocator: None, after: false }
}

/// A guest whose `inspect` is this body, which leaves the address of its answer.
pub fn body(body: &str) -> Wat {
    module(format!("(func (export \"inspect\") (param $event i32) (result i32) {body})"))
}

/// A guest that answers with these actions, as the words that they are in memory: kind, then up to six.
pub fn actions(actions: &[[u32; 7]]) -> Wat {
    let bytes: String = actions.iter().flatten().flat_map(|word| word.to_le_bytes()).map(|byte| format!("\\{byte:02x}")).collect();
    let count = actions.len();
    module(format!(
        "(data (i32.const 8192) \"{bytes}\") (data (i32.const 1024) \"text\")
         (func (export \"inspect\") (param i32) (result i32) {})",
        list(8192, count as u32)
    ))
}

/// An answer of so many actions that lie there.
pub fn list(address: u32, count: u32) -> String {
    format!("(i32.store (i32.const 20) (i32.const {address})) (i32.store (i32.const 24) (i32.const {count})) (i32.const 16)")
}

/// A guest with host functions.
pub fn with(imports: &str, wat: Wat) -> Wat {
    Wat { imports: imports.to_owned(), ..wat }
}

impl Wat {
    pub fn pages(self, pages: u32) -> Self {
        Self { pages, ..self }
    }

    /// With this body for an allocator.
    pub fn allocator(self, body: &str) -> Self {
        Self { allocator: Some(body.to_owned()), ..self }
    }

    /// With this code once its answer was read.
    pub fn after(self, body: &str) -> Self {
        Self { core: format!("{} (func (export \"after\") (param i32) {body})", self.core), after: true, ..self }
    }

    pub fn code(&self) -> Vec<u8> {
        let with = if self.imports.is_empty() { "" } else { "(with \"host\" (instance (export \"f\" (func $f))))" };
        let mut text = include_str!("../../src/wasm/tests/guest.wat").to_owned();
        if let Some(allocator) = &self.allocator {
            let (before, rest) = text.split_once(ALLOCATOR[0]).expect("an allocator");
            let (_, after) = rest.split_once(ALLOCATOR[1]).expect("its end");
            text = format!("{before}{allocator}))\n{after}");
        }
        if self.after {
            assert!(text.contains(LIFTED), "guest.wat has changed");
            let lifted = LIFTED.replace("(realloc", "(post-return (core func $after)) (realloc");
            let alias = "(alias core export $guest \"after\" (core func $after))\n  (type $said";
            text = text.replace(LIFTED, &lifted).replacen("(type $said", alias, 1);
        }
        text.replace("{PAGES}", &self.pages.to_string())
            .replace("{IMPORTS}", &self.imports)
            .replace("{CORE}", &self.core)
            .replace("{WITH}", with)
            .into_bytes()
    }
}

/// Replaces every `bad` by `good`, as the Luau redactors of the tests do.
pub fn redactor() -> Wat {
    module(
        r#"(data (i32.const 1024) "good")
        (func (export "inspect") (param $event i32) (result i32)
          (local $segment i32) (local $end i32) (local $count i32) (local $text i32) (local $at i32) (local $action i32)
          (local.set $segment (i32.load offset=84 (local.get $event)))
          (local.set $end (i32.add (local.get $segment) (i32.mul (i32.load offset=88 (local.get $event)) (i32.const 32))))
          (block $done (loop $segments
            (br_if $done (i32.ge_u (local.get $segment) (local.get $end)))
            (local.set $text (i32.load offset=8 (local.get $segment)))
            (local.set $at (i32.load offset=16 (local.get $segment)))
            (block $over (loop $search
              (br_if $over (i32.gt_u (i32.add (local.get $at) (i32.const 3)) (i32.load offset=12 (local.get $segment))))
              (if (i32.and
                    (i32.eq (i32.load16_u (i32.add (local.get $text) (local.get $at))) (i32.const 0x6162))
                    (i32.eq (i32.load8_u offset=2 (i32.add (local.get $text) (local.get $at))) (i32.const 0x64)))
                (then
                  (local.set $action (i32.add (i32.const 2048) (i32.mul (local.get $count) (i32.const 28))))
                  (i32.store (local.get $action) (i32.const 0))
                  (i32.store offset=4 (local.get $action) (i32.load (local.get $segment)))
                  (i32.store offset=8 (local.get $action) (local.get $at))
                  (local.set $at (i32.add (local.get $at) (i32.const 3)))
                  (i32.store offset=12 (local.get $action) (local.get $at))
                  (i32.store offset=16 (local.get $action) (i32.const 1024))
                  (i32.store offset=20 (local.get $action) (i32.const 4))
                  (local.set $count (i32.add (local.get $count) (i32.const 1))))
                (else (local.set $at (i32.add (local.get $at) (i32.const 1)))))
              (br $search)))
            (local.set $segment (i32.add (local.get $segment) (i32.const 32)))
            (br $segments)))
          (i32.store (i32.const 20) (i32.const 2048)) (i32.store (i32.const 24) (local.get $count)) (i32.const 16))"#,
    )
    .pages(16)
}

/// Loads a WASM plugin with a manifest of `name: test` and what `more` adds.
pub fn load(host: &Host, more: &str, wat: &Wat, operator: &Operator) -> Arc<Plugin> {
    try_load(host, more, &wat.code(), operator).unwrap()
}

/// The same of any bytes.
pub fn try_load(host: &Host, more: &str, code: &[u8], operator: &Operator) -> Result<Arc<Plugin>, String> {
    let folder = tempfile::tempdir().unwrap();
    let manifest = format!("name: test\nversion: 0.0.1\nentry: plugin.wasm\n{more}");
    std::fs::write(folder.path().join("plugin.yaml"), manifest).unwrap();
    std::fs::write(folder.path().join("plugin.wasm"), code).unwrap();
    host.load(&Source::Folder(folder.path().to_owned()), operator).map_err(|error| error.to_string())
}

/// An interface of the contract, and one function of it as `$f`: interface, types and function, its name.
fn import(interface: &str, inside: &str, name: &str) -> String {
    format!(
        r#"(import "gatewright:plugin/{interface}@0.1.0" (instance $host
            (alias outer 1 $host-error (type $e)) (export "host-error" (type $he (eq $e))) {inside}))
          (core func $f (canon lower (func $host "{name}") (memory $mem) (realloc (core func $realloc))))"#
    )
}

/// `log.write`: `(param i32 i32 i32 i32)`: level, text, result.
pub fn log() -> String {
    let inside = r#"(type $level' (enum "debug" "info" "warn" "error")) (export "level" (type $level (eq $level')))
        (export "write" (func (param "at" $level) (param "text" string) (result (result (error $he)))))"#;
    import("log", inside, "write")
}

/// `settings.get`: `(param i32)`: result.
pub fn settings() -> String {
    import("settings", r#"(export "get" (func (result (result string (error $he)))))"#, "get")
}

/// `store.get`: `(param i32 i32 i32)`: key, result.
pub fn store_get() -> String {
    let inside = r#"(type $bytes (list u8)) (type $maybe (option $bytes))
        (export "get" (func (param "key" string) (result (result $maybe (error $he)))))"#;
    import("store", inside, "get")
}

/// `store.put`: `(param i32 i32 i32 i32 i32 i32)`: key, value, seconds, result.
pub fn store_put() -> String {
    let inside = r#"(type $bytes (list u8))
        (export "put" (func (param "key" string) (param "value" $bytes) (param "ttl-seconds" u32) (result (result (error $he)))))"#;
    import("store", inside, "put")
}

/// `metrics.count`: `(param i32 i32 i64 i32)`: name, by, result.
pub fn metrics() -> String {
    import("metrics", r#"(export "count" (func (param "name" string) (param "by" u64) (result (result (error $he)))))"#, "count")
}

/// `fetch.send`: `(param i32 i32 i32 i32 i32 i32 i32 i32 i32)`: method, URL, headers, body, result.
pub fn fetch() -> String {
    let inside = r#"(type $header (tuple string string)) (type $headers (list $header)) (type $bytes (list u8))
        (type $request' (record (field "method" string) (field "url" string) (field "headers" $headers) (field "body" $bytes)))
        (export "request" (type $request (eq $request')))
        (type $response' (record (field "status" u16) (field "headers" $headers) (field "body" $bytes)))
        (export "response" (type $response (eq $response')))
        (export "send" (func (param "req" $request) (result (result $response (error $he)))))"#;
    import("fetch", inside, "send")
}

/// `model.ask`: `(param i32 i32 i32 i32 i32 i32)`: route, prompt, tokens, result.
pub fn model() -> String {
    let inside = r#"(export "ask" (func (param "route" string) (param "prompt" string) (param "max-tokens" u32)
        (result (result string (error $he)))))"#;
    import("model", inside, "ask")
}
