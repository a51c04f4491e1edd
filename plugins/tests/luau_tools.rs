//! Tools of a Luau plugin, through the whole host: declared, called, refused, stopped, and what they give back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use gatewright_plugins::ToolFailure;
use kit::{chain, session};

const TOOLS: &str = "return { tools = {
    { name = 'echo', description = 'says it again', read_only = true,
      parameters = { type = 'object', properties = { text = { type = 'string' } }, required = { 'text' } },
      call = function(ctx, args) return { said = args.text, by = ctx.tenant } end },
    { name = 'refuse', parameters = '{\"type\":\"object\"}', call = function() return nil, 'try_later', 'in a while' end },
    { name = 'spin', parameters = '{\"type\":\"object\"}', call = function() while true do end end },
} }";

#[tokio::test(flavor = "multi_thread")]
async fn declared_tools_are_offered_and_called() {
    let chain = chain(TOOLS);
    let tools = chain.tools();
    assert_eq!(tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["test__echo", "test__refuse", "test__spin"]);
    assert!(tools[0].read_only && !tools[1].read_only);
    let mut session = session(&chain).await;
    let said = session.call_tool("test__echo", r#"{"text":"hi"}"#).await.unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&said).unwrap(), serde_json::json!({"said": "hi", "by": "t1"}));
    assert!(matches!(session.call_tool("test__echo", "{}").await, Err(ToolFailure::BadArguments(_))));
    assert_eq!(session.call_tool("test__refuse", "").await, Err(ToolFailure::TryLater("in a while".into())));
    assert!(matches!(session.call_tool("test__spin", "{}").await, Err(ToolFailure::Internal(why)) if why.starts_with("cpu limit")));
    assert!(matches!(session.call_tool("test__nothing", "{}").await, Err(ToolFailure::Denied(_))));
    assert!(session.call_tool("test__echo", r#"{"text":"again"}"#).await.is_ok());
}

const RESULTS: &str = "local calls = 0
return { tools = {
    { name = 'sum', parameters = { type = 'object' },
      result = { type = 'object', properties = { sum = { type = 'integer' } }, required = { 'sum' } },
      call = function(ctx, args) calls += 1 return { sum = args.bad or calls } end },
    { name = 'word', parameters = { type = 'object' }, result = { type = 'string', maxLength = 5 }, call = function() return 'hello' end },
    { name = 'long', parameters = { type = 'object' }, call = function() return string.rep('x', 2e6) end },
    { name = 'large', parameters = { type = 'object' }, result = { type = 'string' }, call = function() return string.rep('x', 3e5) end },
} }";

#[tokio::test(flavor = "multi_thread")]
async fn results_of_tools_fit_their_schema_and_their_size_or_are_errors_of_the_plugin() {
    let chain = chain(RESULTS);
    let mut session = session(&chain).await;
    for calls in [1, 2] {
        assert_eq!(session.call_tool("test__sum", "{}").await.unwrap(), format!("{{\"sum\":{calls}}}"));
    }
    let wrong = session.call_tool("test__sum", r#"{"bad": "a secret"}"#).await.unwrap_err();
    let why = "contract: the result of `sum` does not fit its schema: `/properties/sum/type`";
    assert!(matches!(&wrong, ToolFailure::Internal(told) if told.starts_with(why)), "{wrong}");
    assert_eq!(session.call_tool("test__sum", "{}").await.unwrap(), r#"{"sum":1}"#, "what failed is gone with all that it knew");
    assert_eq!(session.call_tool("test__word", "{}").await.unwrap(), r#""hello""#);
    for (tool, why) in [("test__long", "output limit"), ("test__large", "more than 262144 bytes")] {
        let refused = session.call_tool(tool, "{}").await.unwrap_err();
        assert!(matches!(&refused, ToolFailure::Internal(told) if told.contains(why)), "{tool}: {refused}");
    }
    assert_eq!(chain.plugins()[0].spent().errors, 3);
}
