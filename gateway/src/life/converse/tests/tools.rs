//! Tools: the gateway's own, run here, and the client's, passed on.

use std::time::Duration;

use gatewright_plugins::Mode;
use serde_json::Value;

use super::{ASK, REDACT, STREAM};
use crate::config::facts::ToolLoopFact;
use crate::life::kit::{Item, Kit, event, events, finish, says, stream_of};

/// A tool that adds two numbers.
const ADD: &str = r#"
return { tools = { {
  name = "add", description = "adds", read_only = true,
  parameters = { type = "object", properties = { a = { type = "number" }, b = { type = "number" } }, required = { "a", "b" } },
  call = function(ctx, arguments) return tostring(arguments.a + arguments.b) end } } }"#;

fn with_tools() -> Kit {
    with(ADD)
}

/// The same with this code for `calc`.
fn with(code: &str) -> Kit {
    let mut kit = Kit::new();
    kit.plugin("calc", "", code);
    kit.route().tools = Some(ToolLoopFact { max_rounds: 3, max_time: std::time::Duration::from_secs(5) });
    kit
}

fn call(index: u32, name: &str, arguments: &str) -> String {
    let call = serde_json::json!([{ "index": index, "id": format!("t{index}"), "type": "function",
        "function": { "name": name, "arguments": arguments } }]);
    event(&format!(r#"{{"tool_calls":{call}}}"#))
}

fn calls(list: &[String]) -> Vec<Item> {
    let mut list: Vec<&str> = list.iter().map(String::as_str).collect();
    let finish = finish("tool_calls");
    list.push(&finish);
    list.push(crate::life::kit::USAGE);
    events(&list)
}

#[tokio::test]
async fn the_gateway_runs_its_own_tools_and_asks_again() {
    for ask in [ASK, STREAM] {
        let mut kit = with_tools();
        let split = event(r#"{"tool_calls":[{"index":0,"function":{"arguments":":2,\"b\":3}"}}]}"#);
        kit.script(calls(&[event(r#"{"content":"Let me see. "}"#), call(0, "calc__add", "{\"a\""), split]));
        kit.script(stream_of(&[r#"{"content":"It is 5."}"#]));
        let heard = kit.chat(ask).await;
        assert_eq!(heard.status, 200, "{}", heard.text);
        assert!(!heard.text.contains("tool_calls"), "the client does not see our calls: {}", heard.text);
        let text = match ask {
            STREAM => heard.said("content"),
            _ => heard.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned(),
        };
        assert_eq!(text, "Let me see. It is 5.");
        {
            let asked = kit.upstream.asked.lock().unwrap();
            assert_eq!((asked.len(), asked[0].tools.len(), asked[1].messages.len()), (2, 1, 3));
            assert_eq!(asked[1].messages[1].tool_calls[0].arguments, "{\"a\":2,\"b\":3}");
            assert_eq!(asked[1].messages[2].content.joined(), "5");
        }
        let row = &kit.rows()[0];
        assert_eq!((row.rounds, row.prompt_tokens, row.completion_tokens), (2, 10, 6));
        assert!(row.verdicts.contains(r#""tools":[{"name":"calc__add","did":"ok"}]"#), "{}", row.verdicts);
    }
}

#[tokio::test]
async fn the_clients_own_calls_go_to_the_client_and_ours_beside_them_are_left_out() {
    let mut kit = with_tools();
    kit.script(calls(&[call(0, "calc__add", "{\"a\":1,\"b\":1}"), call(1, "theirs", "{}")]));
    let ask = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}],
        "tools":[{"type":"function","function":{"name":"theirs","parameters":{"type":"object"}}}]}"#;
    let heard = kit.chat(ask).await;
    let calls: Vec<Value> = heard
        .events()
        .iter()
        .filter_map(|e| e["choices"][0]["delta"]["tool_calls"][0].as_object().cloned().map(Value::Object))
        .collect();
    assert_eq!(calls.len(), 1);
    assert_eq!((calls[0]["index"].as_u64(), calls[0]["function"]["name"].as_str()), (Some(0), Some("theirs")));
    assert_eq!(heard.finish().as_deref(), Some("tool_calls"));
    assert_eq!(kit.upstream.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_result_that_does_not_fit_its_schema_never_reaches_the_model() {
    let typed = ADD.replace("call = function", "result = { type = 'integer' }, call = function");
    let mut kit = with(&typed.replace("tostring(", "'a secret ' .. ("));
    kit.script(calls(&[call(0, "calc__add", "{\"a\":1,\"b\":1}")]));
    kit.script(stream_of(&[r#"{"content":"I cannot."}"#]));
    assert_eq!(kit.chat(ASK).await.status, 200);
    let told = kit.upstream.asked.lock().unwrap()[1].messages[2].content.joined().into_owned();
    assert!(told.contains("contract: the result of `add` does not fit its schema: `/type`") && !told.contains("secret"), "{told}");
    let row = &kit.rows()[0];
    assert!(row.verdicts.contains("does not fit its schema") && !row.verdicts.contains("secret"), "{}", row.verdicts);
}

#[tokio::test]
async fn a_tool_loop_is_bounded_and_its_failures_are_shown_to_the_model() {
    let mut kit = with_tools();
    kit.script(calls(&[call(0, "calc__add", "{\"a\":1}")]));
    kit.script(calls(&[call(0, "calc__nothing", "{}")]));
    kit.script(calls(&[call(0, "calc__add", "{\"a\":1,\"b\":1}")]));
    let heard = kit.chat(ASK).await;
    assert_eq!((heard.status, heard.json()["error"]["code"].as_str().unwrap()), (500, "tool_loop_limit"));
    let asked = kit.upstream.asked.lock().unwrap();
    assert!(asked[1].messages[2].content.joined().starts_with("bad arguments"));
    assert!(asked[2].messages[4].content.joined().contains("no tool named"));
}

#[tokio::test]
async fn arguments_and_results_of_tools_go_through_the_other_plugins() {
    let mut kit = with_tools();
    kit.plugin(
        "redact",
        "subscribe:\n  - {phases: [tool-result], channels: [tool-output]}",
        r#"
return { inspect = function(ctx, event) return { edit(event.segments[1], 1, #event.segments[1].text, "hidden") } end }"#,
    );
    kit.script(calls(&[call(0, "calc__add", "{\"a\":1,\"b\":1}")]));
    kit.script(says("done"));
    assert_eq!(kit.chat(ASK).await.status, 200);
    assert_eq!(kit.upstream.asked.lock().unwrap()[1].messages[2].content.joined(), "hidden");
}

#[tokio::test]
async fn arguments_of_the_clients_tools_are_held_until_they_are_complete() {
    let mut kit = Kit::new();
    kit.plugin("redact", "subscribe:\n  - {phases: [chunk], channels: [tool-args]}", REDACT);
    let more = |text: &str| event(&format!(r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":"{text}"}}}}]}}"#));
    kit.script(calls(&[call(0, "theirs", "{\"k\":\"sk-1"), more("23"), more("456\\\"}")]));
    let heard = kit.chat(STREAM).await;
    let text: String = heard
        .events()
        .iter()
        .filter_map(|e| e["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(text, "{\"k\":\"[redacted]\"}");
    assert_eq!(heard.finish().as_deref(), Some("tool_calls"));
}

/// Edits arguments of tools: every 1 is a 2. Refuses a 9.
const ONES: &str = r#"
return { inspect = function(ctx, event)
  local actions = {}
  for _, segment in event.segments do
    if string.find(segment.text, "9", 1, true) then return { block("nine", "no nines") } end
    local at = string.find(segment.text, "1", 1, true)
    while at do
      table.insert(actions, edit(segment, at, at, "2"))
      at = string.find(segment.text, "1", at + 1, true)
    end
  end
  return actions
end }"#;

#[tokio::test]
async fn another_plugin_may_edit_or_refuse_the_arguments_of_our_tools() {
    for (arguments, status) in [("{\"a\":1,\"b\":1}", 200), ("{\"a\":9,\"b\":1}", 400)] {
        let mut kit = with_tools();
        kit.plugin("ones", "subscribe:\n  - {phases: [tool-call], channels: [tool-args]}", ONES);
        kit.script(calls(&[call(0, "calc__add", arguments)]));
        kit.script(says("done"));
        let heard = kit.chat(ASK).await;
        assert_eq!(heard.status, status, "{}", heard.text);
        let asked = kit.upstream.asked.lock().unwrap();
        if status == 200 {
            assert_eq!(asked[1].messages[1].tool_calls[0].arguments, "{\"a\":2,\"b\":2}");
            assert_eq!(asked[1].messages[2].content.joined(), "4");
        } else {
            assert_eq!((asked.len(), heard.json()["error"]["message"].as_str()), (1, Some("no nines")));
        }
    }
}

#[tokio::test]
async fn a_tool_loop_is_bounded_in_time() {
    // Time is up before the tool is called, or while a large call runs on another thread: whichever sees it first says so.
    for arguments in ["{\"a\":1,\"b\":1}".to_owned(), format!("{{\"a\":1,\"b\":1,\"c\":\"{}\"}}", "x".repeat(40_000))] {
        let mut kit = with_tools();
        kit.route().tools = Some(ToolLoopFact { max_rounds: 3, max_time: Duration::from_millis(20) });
        let mut items = calls(&[call(0, "calc__add", &arguments)]);
        items.insert(0, Item::Wait(Duration::from_millis(60)));
        kit.script(items);
        let heard = kit.chat(ASK).await;
        assert_eq!((heard.status, heard.json()["error"]["code"].as_str()), (500, Some("tool_loop_limit")));
        assert!(heard.text.contains("longer than their time"), "{}", heard.text);
        assert_eq!(kit.upstream.asked.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_request_is_refused_while_no_instance_of_a_plugin_is_free_but_a_shadow_does_without() {
    for mode in [Mode::Enforce, Mode::Shadow] {
        let mut kit = Kit::new();
        kit.plugin("redact", "subscribe:\n  - {phases: [request], channels: all}", REDACT);
        kit.facts.plugins.get_mut("redact").unwrap().operator.mode = mode;
        let mut busy = Vec::new();
        // As many as the kit's host has instances.
        for _ in 0..4 {
            let mut items = events(&[&event(r#"{"content":"x"}"#)]);
            items.push(Item::Hang);
            kit.script(items);
            busy.push(kit.send(crate::life::kit::post(STREAM, &[])).await);
        }
        kit.script(says("x"));
        let heard = kit.chat(ASK).await;
        if mode == Mode::Enforce {
            assert_eq!((heard.status, heard.header("retry-after")), (503, "1"), "{}", heard.text);
        } else {
            assert_eq!(heard.status, 200, "{}", heard.text);
            assert!(heard.header("x-gatewright-plugins").contains("redact=shadow:error"), "{:?}", heard.headers);
        }
    }
}

#[tokio::test]
async fn a_tool_of_the_clients_takes_the_name_from_ours() {
    let mut kit = with_tools();
    kit.script(calls(&[call(0, "calc__add", "{\"a\":1,\"b\":1}")]));
    let ask = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}],
        "tools":[{"type":"function","function":{"name":"calc__add","description":"mine"}}]}"#;
    let heard = kit.chat(ask).await;
    assert_eq!(heard.finish().as_deref(), Some("tool_calls"));
    assert!(heard.text.contains("calc__add"));
    let asked = kit.upstream.asked.lock().unwrap();
    assert_eq!((asked.len(), asked[0].tools.len()), (1, 1));
}

#[tokio::test]
async fn calls_that_are_numbered_from_one_are_as_many_as_were_made() {
    let mut kit = with_tools();
    kit.script(calls(&[call(1, "calc__add", "{\"a\":1,\"b\":1}")]));
    kit.script(says("2"));
    assert_eq!(kit.chat(ASK).await.status, 200);
    {
        let asked = kit.upstream.asked.lock().unwrap();
        assert_eq!((asked[1].messages.len(), asked[1].messages[1].tool_calls.len()), (3, 1));
    }
    let mut kit = Kit::new();
    kit.script(calls(&[call(1, "theirs", "{}")]));
    let heard = kit.chat(ASK).await;
    assert_eq!(heard.json()["choices"][0]["message"]["tool_calls"].as_array().map(Vec::len), Some(1), "{}", heard.text);
}

#[tokio::test]
async fn what_goes_to_and_from_tools_unheard_is_on_the_record_and_so_is_why_a_tool_failed() {
    let mut kit = Kit::new();
    kit.plugin("calc", "", &ADD.replace("tostring(arguments.a + arguments.b)", "error('no')"));
    kit.route().tools = Some(ToolLoopFact { max_rounds: 3, max_time: Duration::from_secs(5) });
    kit.script(calls(&[call(0, "calc__add", "{\"a\":1,\"b\":1}")]));
    kit.script(says("done"));
    let heard = kit.chat(ASK).await;
    assert_eq!(heard.status, 200);
    let verdicts = &kit.rows()[0].verdicts;
    for word in
        ["tool-call:tool-args", "tool-result:tool-output", r#""did":"failed""#, r#""did":"error""#, r#""phase":"tool-call""#]
    {
        assert!(verdicts.contains(word), "{word} is not in {verdicts}");
    }
}

#[tokio::test]
async fn fields_of_a_call_are_kept_with_arguments_that_nobody_changed() {
    for (key, kept) in [("fine", true), ("sk-123456", false)] {
        let mut kit = Kit::new();
        kit.plugin("redact", "subscribe:\n  - {phases: [chunk], channels: [tool-args]}", REDACT);
        let one = serde_json::json!([{ "index": 0, "id": "t0", "type": "function", "extra_content": { "signature": "s1" },
            "function": { "name": "theirs", "arguments": format!("{{\"k\":\"{key}\"}}") } }]);
        kit.script(calls(&[event(&format!(r#"{{"tool_calls":{one}}}"#))]));
        let heard = kit.chat(STREAM).await;
        assert_eq!(heard.text.contains(r#""extra_content":{"signature":"s1"}"#), kept, "{}", heard.text);
        assert!(!heard.text.contains("sk-1") && heard.text.contains("answer:other"), "{}", heard.text);
    }
}

#[tokio::test]
async fn what_an_upstream_ran_itself_before_it_called_a_tool_of_ours_goes_back_to_it_where_it_stood() {
    use crate::dialects::Dialect;
    use crate::dialects::openai_responses::OpenAiResponses;
    let output = serde_json::json!([
        {"type": "reasoning", "id": "rs_a", "summary": [{"type": "summary_text", "text": "First."}], "encrypted_content": "gA"},
        {"type": "web_search_call", "id": "ws_a", "status": "completed"},
        {"type": "reasoning", "id": "rs_b", "summary": [{"type": "summary_text", "text": "Then."}], "encrypted_content": "gB"},
        {"type": "message", "id": "msg_a", "role": "assistant", "phase": "commentary", "content": [{"type": "output_text", "text": "I add."}]},
        {"type": "function_call", "id": "fc_a", "call_id": "c", "name": "calc__add", "arguments": "{\"a\":2,\"b\":3}"},
    ]);
    let mut kit = with_tools();
    let body = serde_json::json!({"id": "resp_up", "model": "m-1", "created_at": 1, "status": "completed", "output": output});
    kit.script(vec![Item::Say(OpenAiResponses.read_body(bytes::Bytes::from(body.to_string())).unwrap())]);
    kit.script(says("It is 5."));
    let heard = kit.chat(ASK).await;
    assert_eq!(heard.status, 200, "{}", heard.text);
    let asked = OpenAiResponses.write(&kit.upstream.asked.lock().unwrap()[1]).unwrap();
    let asked: Value = serde_json::from_slice(&asked).unwrap();
    let tell = |item: &Value| {
        let word = ["encrypted_content", "id", "phase", "arguments", "output"].into_iter().find_map(|field| item[field].as_str());
        format!("{} {}", item["type"].as_str().unwrap(), word.unwrap_or("-"))
    };
    let items: Vec<String> = asked["input"].as_array().unwrap().iter().map(tell).collect();
    let wanted = [
        "message -",
        "reasoning gA",
        "web_search_call ws_a",
        "reasoning gB",
        "message commentary",
        "function_call {\"a\":2,\"b\":3}",
        "function_call_output 5",
    ];
    assert_eq!(items, wanted);
}
