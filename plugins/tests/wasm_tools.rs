//! Tools of a WASM plugin, through the whole host: declared, called, refused, stopped. The component is `first/tools.wat`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use std::sync::Arc;

use gatewright_plugins::{Chain, Host, LoadError, Plugin, Source, ToolFailure};
use kit::{operator, session};

const TOOLS: &str = include_str!("first/tools.wat");

fn load(code: &str) -> Result<Arc<Plugin>, LoadError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plugin.yaml"), "name: test\nversion: 0.0.1\nentry: plugin.wasm\n").unwrap();
    std::fs::write(folder.path().join("plugin.wasm"), code).unwrap();
    Host::new(4).load(&Source::Folder(folder.path().to_owned()), &operator())
}

fn plugin() -> Arc<Plugin> {
    load(TOOLS).unwrap()
}

/// The component with one schema more, for the results of one of its tools.
fn with_schema(tool: &str, schema: &str) -> String {
    let hex = |text: &str| text.bytes().map(|byte| format!("\\{byte:02x}")).collect::<String>();
    let (name, length) = (tool.len(), schema.len());
    let results = format!(
        r#"(core module $more
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (data (i32.const 256) "{}")
    (data (i32.const 320) "{}")
    (func (export "schemas") (result i32)
      (i32.store (i32.const 64) (i32.const 256)) (i32.store (i32.const 68) (i32.const {name}))
      (i32.store (i32.const 72) (i32.const 320)) (i32.store (i32.const 76) (i32.const {length}))
      (i32.store (i32.const 16) (i32.const 64)) (i32.store (i32.const 20) (i32.const 1))
      (i32.const 16)))
  (core instance $more (instantiate $more))
  (alias core export $more "memory" (core memory $more-memory))
  (alias core export $more "realloc" (core func $more-realloc))
  (alias core export $more "schemas" (core func $core-schemas))
  (func $schemas (result (list (tuple string string)))
    (canon lift (core func $core-schemas) (memory $more-memory) (realloc (core func $more-realloc))))
  (instance $results (export "schemas" (func $schemas)))
  (export "gatewright:plugin/results@0.1.1" (instance $results)))"#,
        hex(tool),
        hex(schema)
    );
    let open = TOOLS.trim_end().strip_suffix(')').unwrap();
    format!("{open}\n  {results}")
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

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_schema_of_results_is_an_error_of_the_plugin() {
    let code = with_schema("echo", r#"{"type":"object","properties":{"say":{"maxLength":5}}}"#);
    let chain = Chain::new(vec![load(&code).unwrap()]);
    assert!(chain.tools()[0].result.as_ref().unwrap().contains("maxLength") && chain.tools()[1].result.is_none());
    let mut session = session(&chain).await;
    let short = r#"{"say": "hello"}"#;
    assert_eq!(session.call_tool("test__echo", short).await.unwrap(), short);
    let long = session.call_tool("test__echo", r#"{"say": "a secret"}"#).await.unwrap_err();
    assert!(
        matches!(&long, ToolFailure::Internal(why) if why.contains("contract") && why.contains("/properties/say/maxLength")),
        "{long}"
    );
    assert!(!long.to_string().contains("secret"), "{long}");
    assert_eq!(chain.plugins()[0].spent().errors, 1);
    assert_eq!(session.call_tool("test__echo", short).await.unwrap(), short, "a fresh instance");
    let strange = load(&with_schema("none", "{}")).unwrap_err().to_string();
    assert!(strange.contains("`none`, which is no tool of it"), "{strange}");
}
