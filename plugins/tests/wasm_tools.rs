//! Tools of a WASM plugin, through the whole host: declared, called, refused, stopped. The component is `tools.wat`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use std::sync::Arc;

use gatewright_plugins::{Chain, Host, Plugin, Source, ToolFailure};
use kit::{operator, session};

fn plugin() -> Arc<Plugin> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plugin.yaml"), "name: test\nversion: 0.0.1\nentry: plugin.wasm\n").unwrap();
    std::fs::write(folder.path().join("plugin.wasm"), include_str!("tools.wat")).unwrap();
    Host::new(4).load(&Source::Folder(folder.path().to_owned()), &operator()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_declared_and_called() {
    let chain = Chain::new(vec![plugin()]);
    let tools = chain.tools();
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["test__echo", "test__refuse", "test__spins"]);
    assert!(tools[0].read_only && tools[0].description == "Gives back what it is told.");
    assert!(tools[0].parameters.contains("\"required\":[\"say\"]"));
    let mut session = session(&chain).await;
    for said in [r#"{"say": "hello"}"#, r#"{"say": "é 🇩🇪", "more": [1, 2]}"#] {
        assert_eq!(session.call_tool("test__echo", said).await.unwrap(), said);
    }
    let refused = session.call_tool("test__refuse", r#"{"say": "please"}"#).await.unwrap_err();
    assert!(matches!(&refused, ToolFailure::Denied(why) if why == "not today"), "{refused}");
    let wrong = session.call_tool("test__echo", r#"{"say": 1}"#).await.unwrap_err();
    assert!(matches!(wrong, ToolFailure::BadArguments(_)), "{wrong}");
    assert!(matches!(session.call_tool("test__none", "{}").await, Err(ToolFailure::Denied(_))));
    assert_eq!(chain.plugins()[0].spent().errors, 0, "a tool that says no has not failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_ends_is_stopped_and_the_next_call_is_served() {
    let chain = Chain::new(vec![plugin()]);
    let mut session = session(&chain).await;
    let stopped = session.call_tool("test__spins", r#"{"say": "x"}"#).await.unwrap_err();
    assert!(matches!(&stopped, ToolFailure::Internal(why) if why.contains("cpu limit")), "{stopped}");
    assert_eq!(chain.plugins()[0].spent().errors, 1);
    let said = r#"{"say": "still there"}"#;
    assert_eq!(session.call_tool("test__echo", said).await.unwrap(), said);
}
