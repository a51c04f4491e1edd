//! Components of the contract's first version load and work in this host, and so do those of a later one that need nothing new.
//!
//! `first/` has what was built against 0.1.0. It is never changed to make a test pass: whoever has such a plugin cannot change it either.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use std::sync::Arc;

use gatewright_plugins::{Chain, Host, Operator, Plugin, Source, Verdict};
use kit::{ask, operator, session};

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
