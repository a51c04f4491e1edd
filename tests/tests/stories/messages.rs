//! Anthropic's Messages from end to end: a client of it before upstreams of both dialects, and a client of OpenAI's before Anthropic.

use gatewright_tests::{Gateway, Mock, Request, Setup, read_stream};
use serde_json::{Value, json};

const SCRIPT: &str = r#"
rules:
  - when: {has_tool_result: true}
    then: {text: "It is {{tool}}."}
  - when: {contains: weather}
    then:
      reasoning: ["I need ", "the weather."]
      tool_calls: [{name: weather, arguments: ['{"city": ', '"Oslo"}']}]
  - then:
      reasoning: ["I ", "think."]
      text: ["Hel", "lo."]
      usage: {prompt: 5, completion: 4, cached: 2}
"#;

fn gateway(mock: &Mock) -> Gateway {
    let claude = format!("  claude:\n    dialect: anthropic\n    base_url: {}\n    api_key: sk-ant-1\n    attempts: 1\n", mock.url);
    Gateway::with(&mock.config(&claude)).unwrap()
}

fn messages(gateway: &Gateway, body: &Value) -> (u16, String) {
    let response = Request::post("/v1/messages?beta=true", body.to_string()).send(&gateway.url).unwrap();
    (response.status, response.body)
}

/// All text of one field of a stream's deltas.
fn pieces(body: &str, field: &str) -> String {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let events = data.map(|data| serde_json::from_str::<Value>(data).unwrap());
    events.filter_map(|event| event["delta"][field].as_str().map(str::to_owned)).collect()
}

#[test]
fn a_client_of_messages_is_answered_by_upstreams_of_both_dialects() {
    let mock = Mock::playing(SCRIPT).unwrap();
    let gateway = gateway(&mock);
    for model in ["mock/m", "claude/m"] {
        let thinking = json!({"type": "enabled", "budget_tokens": 1024});
        let ask =
            json!({"model": model, "max_tokens": 2000, "thinking": thinking, "messages": [{"role": "user", "content": "hello"}]});
        let (status, body) = messages(&gateway, &ask);
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (status, &answer["content"][0]["thinking"], &answer["content"][1]["text"]),
            (200, &json!("I think."), &json!("Hello."))
        );
        let usage = &answer["usage"];
        assert_eq!(
            (&usage["input_tokens"], &usage["cache_read_input_tokens"], &usage["output_tokens"]),
            (&json!(3), &json!(2), &json!(4))
        );
        let mut streamed = ask.clone();
        streamed["stream"] = true.into();
        let (_, body) = messages(&gateway, &streamed);
        assert_eq!((pieces(&body, "thinking"), pieces(&body, "text")), ("I think.".to_owned(), "Hello.".to_owned()));
        assert!(
            !pieces(&body, "signature").is_empty() && body.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"),
            "{body}"
        );
    }
}

#[test]
fn a_client_of_openais_is_answered_by_anthropic_with_a_tools_way_there_and_back() {
    let mock = Mock::playing(SCRIPT).unwrap();
    let gateway = gateway(&mock);
    let answer = read_stream(&Request::stream("claude/m", "hello").send(&gateway.url).unwrap().body).unwrap();
    assert_eq!((answer.text.as_str(), answer.reasoning.as_str(), answer.done), ("Hello.", "I think.", true));
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]);
    let ask = json!([{"role": "user", "content": "weather?"}]);
    let body = json!({"model": "claude/m", "messages": ask, "tools": tools});
    let whole = Request::chat(&body).send(&gateway.url).unwrap().json();
    let message = &whole["choices"][0]["message"];
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], r#"{"city":"Oslo"}"#, "{whole}");
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
    let result = json!({"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "rain"});
    let body = json!({"model": "claude/m", "messages": [ask[0], message, result], "tools": tools});
    assert_eq!(Request::chat(&body).send(&gateway.url).unwrap().json()["choices"][0]["message"]["content"], "It is rain.");
    let seen = mock.seen().unwrap();
    let last = seen["requests"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["path"], &last["headers"]["x-api-key"]), (&json!("/v1/messages"), &json!("sk-ant-1")));
    assert_eq!(last["body"]["messages"][2]["content"][0]["type"], "tool_result");
}

#[test]
fn anthropics_key_alone_adds_anthropic_and_the_root_answers_a_knock() {
    let mock = Mock::playing(SCRIPT).unwrap();
    let env = [("ANTHROPIC_API_KEY", "sk-ant-2"), ("ANTHROPIC_BASE_URL", &mock.url)];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let gateway = Gateway::start(&Setup { env, ..Setup::default() }).unwrap();
    let ask = json!({"model": "anthropic/claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]});
    let (status, body) = messages(&gateway, &ask);
    assert!(status == 200 && body.contains("Hello."), "{body}");
    let knock = Request::get("/").method("HEAD").send(&gateway.url).unwrap();
    assert_eq!((knock.status, knock.body.as_str()), (200, ""));
}
