//! Components of the contract's first version load and work in this host, and so do those of a later one that need nothing new.
//!
//! `first/` has what was written against 0.1.0. It is never changed to make a test pass: whoever has such a plugin cannot change it either.
//! The functions of the host at 0.1.0 are called one by one in `src/wasm/tests/powers.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use std::sync::Arc;

use gatewright_plugins::{Chain, Host, Operator, Plugin, Source, Verdict};
use kit::{ask, operator, session, wat};

const FILTER: &str = include_str!("first/filter.wat");
const TOOLS: &str = include_str!("first/tools.wat");
const SETTINGS: &str = r#"{"word":"teapot"}"#;

fn load(code: &str) -> Arc<Plugin> {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "name: test\nversion: 0.0.1\nentry: plugin.wasm\ngrants: [settings]\nsubscribe: {phases: request, channels: user}\n\
                    settings: {type: object}\n";
    std::fs::write(folder.path().join("plugin.yaml"), manifest).unwrap();
    std::fs::write(folder.path().join("plugin.wasm"), code).unwrap();
    let operator = Operator { settings: serde_json::from_str(SETTINGS).unwrap(), ..operator() };
    Host::new(4).load(&Source::Folder(folder.path().to_owned()), &operator).unwrap()
}

/// What the filter answers: its settings, by the host's function.
async fn answer(code: &str) -> Verdict {
    ask(&Chain::new(vec![load(code)]), "hello").await.0
}

async fn echo(code: &str) -> String {
    let mut session = session(&Chain::new(vec![load(code)])).await;
    session.call_tool("test__echo", r#"{"say": "hello"}"#).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_of_the_first_version_works() {
    assert!(FILTER.matches("@0.1.0").count() == 3 && TOOLS.matches("@0.1.0").count() == 2, "built against the first version");
    assert_eq!(answer(FILTER).await, Verdict::Answer { plugin: "test".into(), text: SETTINGS.into() });
    assert_eq!(echo(TOOLS).await, r#"{"say": "hello"}"#);
}

/// The filter, and what its matches begin with: `tea`.
fn with_prefilter(code: &str) -> String {
    let open = code.trim_end().strip_suffix(')').unwrap();
    let prefilter = r#"(core module $more
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (data (i32.const 256) "tea")
    (func (export "patterns") (result i32)
      (i32.store (i32.const 64) (i32.const 256)) (i32.store (i32.const 68) (i32.const 3))
      (i32.store8 (i32.const 16) (i32.const 0)) (i32.store (i32.const 20) (i32.const 64)) (i32.store (i32.const 24) (i32.const 1))
      (i32.const 16)))
  (core instance $more (instantiate $more))
  (alias core export $more "memory" (core memory $more-memory))
  (alias core export $more "realloc" (core func $more-realloc))
  (alias core export $more "patterns" (core func $core-patterns))
  (func $patterns (result (result (list string) (error string)))
    (canon lift (core func $core-patterns) (memory $more-memory) (realloc (core func $more-realloc))))
  (instance $prefilter (export "patterns" (func $patterns)))
  (export "gatewright:plugin/prefilter@0.1.0" (instance $prefilter)))"#;
    format!("{open}\n  {prefilter}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefilter_of_the_first_version_is_asked() {
    let chain = Chain::new(vec![load(&with_prefilter(FILTER))]);
    assert_eq!(ask(&chain, "coffee").await.0, Verdict::Pass);
    assert_eq!(ask(&chain, "tea").await.0, Verdict::Answer { plugin: "test".into(), text: SETTINGS.into() });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_later_version_has_and_this_host_lacks_is_a_trap_when_it_is_called() {
    let imports = wat::metrics().replace("metrics@0.1.0", "metrics@0.1.9").replace("\"count\"", "\"forget\"");
    let core = "(import \"host\" \"f\" (func $f (param i32 i32 i64 i32)))
        (func (export \"inspect\") (param i32) (result i32)
          (call $f (i32.const 200) (i32.const 4) (i64.const 1) (i32.const 600)) unreachable)";
    let code = wat::with(&imports, wat::module(core)).code();
    match ask(&Chain::new(vec![load(std::str::from_utf8(&code).unwrap())]), "x").await.0 {
        Verdict::Failed { reason, .. } => {
            assert_eq!(reason, "trap: it calls `gatewright:plugin/metrics@0.1.9#forget`, which this gateway does not have");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_of_a_later_version_works_if_it_needs_nothing_new() {
    let later = |code: &str| {
        // And with host functions that are not there yet, which it does not call.
        let import = "(component
            (import \"gatewright:plugin/later@0.1.9\" (instance (export \"do\" (func (param \"text\" string)))))
            (import \"gatewright:plugin/metrics@0.1.9\" (instance (export \"forget\" (func (param \"name\" string)))))";
        code.replace("@0.1.0", "@0.1.9").replacen("(component", import, 1)
    };
    assert_eq!(answer(&later(FILTER)).await, Verdict::Answer { plugin: "test".into(), text: SETTINGS.into() });
    assert_eq!(echo(&later(TOOLS)).await, r#"{"say": "hello"}"#);
}
