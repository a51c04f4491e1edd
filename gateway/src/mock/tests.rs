//! The mock against a plain socket: what it sends is what its script says, byte for byte.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Mock, Script};

async fn mock(script: &str) -> Mock {
    super::start(([127, 0, 0, 1], 0).into(), Script::parse(script).unwrap()).await.unwrap()
}

/// Sends one request and reads until the mock closes. Returns head and body; the body's chunks are joined.
async fn ask(mock: &Mock, body: &Value) -> (String, String) {
    ask_at(mock, "/v1/chat/completions", body).await
}

async fn ask_at(mock: &Mock, path: &str, body: &Value) -> (String, String) {
    let mut socket = TcpStream::connect(mock.addr()).await.unwrap();
    let body = body.to_string();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: m\r\nx-test: yes\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    socket.write_all((head + &body).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is cut ends in an error; what came before it counts.
    let _ = socket.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let Some((head, rest)) = answer.split_once("\r\n\r\n") else { return (answer, String::new()) };
    if !head.to_lowercase().contains("transfer-encoding: chunked") {
        return (head.to_owned(), rest.to_owned());
    }
    let (mut body, mut rest) = (String::new(), rest);
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    (head.to_owned(), body)
}

fn question(text: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": text}]})
}

fn streamed(text: &str) -> Value {
    let mut question = question(text);
    question["stream"] = true.into();
    question
}

/// The values of one field of the deltas, in order.
fn deltas(body: &str, field: &str) -> Vec<String> {
    let events = body.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    let values = events.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    values.filter_map(|value| value["choices"][0]["delta"][field].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn without_a_rule_it_echoes_whole_and_streamed() {
    let mock = mock("models: [a, b]").await;
    let (head, body) = ask(&mock, &question("Hello there")).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(
        body,
        r#"{"id":"chatcmpl-mock-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":3,"total_tokens":6,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}"#
    );
    let (head, body) = ask(&mock, &streamed("Hello there")).await;
    assert!(head.contains("text/event-stream"), "{head}");
    assert_eq!(deltas(&body, "content"), ["", "Hello th", "ere"]);
    assert!(body.contains(r#""delta":{},"finish_reason":"stop"}]}"#) && body.ends_with("\n\ndata: [DONE]\n\n"), "{body}");
    assert!(!body.contains("usage"), "only when it is asked for");
    let seen = mock.requests();
    assert_eq!((seen.len(), &seen[1]["body"]["stream"], &seen[0]["headers"]["x-test"]), (2, &json!(true), &json!("yes")));
    assert_eq!(mock.counts().requests, 2);
}

#[tokio::test]
async fn pieces_reasoning_calls_usage_and_extras_come_as_written() {
    let mock = mock(
        r#"
rules:
  - when: {contains: KEY, header: {X-Test: "yes"}}
    then:
      reasoning: ["s", "k-"]
      text: "abcdef"
      chunk_chars: 4
      usage: {prompt: 7, completion: 5, reasoning: 2, cached: 1}
      finish_reason: length
      extra: {system_fingerprint: fp, nested: {a: [1, true, null]}}
  - when: {offers: calc, has_tool_result: false}
    then: {tool_calls: [{name: "{{offered}}", arguments: {expression: "{{expression}}"}}], chunk_chars: 10}
"#,
    )
    .await;
    let mut asked = streamed("the key");
    asked["stream_options"] = json!({"include_usage": true});
    asked["n"] = json!(2);
    let (_, body) = ask(&mock, &asked).await;
    assert_eq!(deltas(&body, "reasoning_content"), ["s", "k-", "s", "k-"]);
    assert_eq!(deltas(&body, "content"), ["", "abcd", "ef", "", "abcd", "ef"]);
    assert!(body.contains(r#""system_fingerprint":"fp","nested":{"a":[1,true,null]},"choices":[{"index":1"#), "{body}");
    assert!(body.contains(r#""choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12"#), "{body}");
    let mut asked = streamed("what is 12 * (3+4)?");
    asked["tools"] = json!([{"type": "function", "function": {"name": "calculator__evaluate"}}]);
    let (_, body) = ask(&mock, &asked).await;
    assert!(body.contains(r#""tool_calls":[{"index":0,"id":"call_mock_2_0","type":"function","function":{"name":"calculator__evaluate","arguments":""}}]"#), "{body}");
    let (_, body) = ask(&mock, &{
        asked["stream"] = false.into();
        asked
    })
    .await;
    assert!(
        body.contains(r#""arguments":"{\"expression\":\"12 * (3+4)\"}""#) && body.contains(r#""finish_reason":"tool_calls""#),
        "{body}"
    );
}

/// Types and data of a stream's named events.
fn named(body: &str) -> Vec<(String, Value)> {
    let events = body.split("\n\n").filter_map(|event| event.strip_prefix("event: ")?.split_once("\ndata: "));
    events.map(|(kind, data)| (kind.to_owned(), serde_json::from_str(data).unwrap())).collect()
}

#[tokio::test]
async fn responses_are_told_whole_and_in_events_that_add_up_to_the_same() {
    let mock = mock(
        r#"
rules:
  - when: {offers: crm__find}
    then:
      reasoning: [I, " think"]
      text: [a, b]
      tool_calls: [{name: "{{offered}}", arguments: {a: 1}}, {name: patch, arguments: {input: "*** Begin"}}]
      usage: {prompt: 7, completion: 5, reasoning: 2, cached: 1}
"#,
    )
    .await;
    let tools = json!([{"type": "web_search"}, {"type": "custom", "name": "patch"},
        {"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "find"}]}]);
    let mut asked = json!({"model": "m", "input": "hello", "tools": tools, "stream": true});
    let (head, body) = ask_at(&mock, "/v1/responses", &asked).await;
    assert!(head.contains("text/event-stream"), "{head}");
    let events = named(&body);
    assert!(events.iter().enumerate().all(|(at, (kind, data))| data["type"] == *kind && data["sequence_number"] == at), "{body}");
    let of = |kind: &str, field: &str| {
        let values = events.iter().filter(|(found, _)| found == kind).map(|(_, data)| data[field].as_str().unwrap_or_default());
        values.collect::<String>()
    };
    assert_eq!(
        (of("response.reasoning_text.delta", "delta"), of("response.output_text.delta", "delta")),
        ("I think".into(), "ab".into())
    );
    assert_eq!(of("response.function_call_arguments.delta", "delta"), r#"{"a":1}"#);
    assert_eq!(of("response.custom_tool_call_input.delta", "delta"), "*** Begin");
    let (kind, last) = &events[events.len() - 1];
    let output = &last["response"]["output"];
    assert_eq!((&**kind, &output[1]["content"][0]["text"]), ("response.completed", &json!("ab")));
    assert_eq!(
        (&output[2]["name"], &output[2]["namespace"], &output[2]["arguments"]),
        (&json!("find"), &json!("crm"), &json!("{\"a\":1}"))
    );
    assert_eq!((&output[3]["type"], &output[3]["input"]), (&json!("custom_tool_call"), &json!("*** Begin")));
    let done: Vec<&Value> =
        events.iter().filter(|(kind, _)| kind == "response.output_item.done").map(|(_, data)| &data["item"]).collect();
    assert_eq!(done, output.as_array().unwrap().iter().collect::<Vec<_>>());
    assert_eq!(
        last["response"]["usage"],
        json!({"input_tokens": 7, "input_tokens_details": {"cached_tokens": 1}, "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 12})
    );
    asked["stream"] = false.into();
    let (_, body) = ask_at(&mock, "/v1/responses", &asked).await;
    let whole: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&whole["status"], whole["output"].as_array().unwrap().len()), (&json!("completed"), 4), "{body}");
}

#[tokio::test]
async fn responses_know_results_refusals_and_answers_that_are_too_long() {
    let script = "rules:\n  - when: {has_tool_result: true}\n    then: {refusal: 'No {{tool}}.'}\n  - then: {text: cut, finish_reason: length}";
    let mock = mock(script).await;
    let back = json!([{"role": "user", "content": "x"}, {"type": "custom_tool_call_output", "call_id": "c", "output": "way"}]);
    let (_, body) = ask_at(&mock, "/v1/responses", &json!({"model": "m", "input": back})).await;
    assert!(body.contains(r#""content":[{"type":"refusal","refusal":"No way."}]"#), "{body}");
    let (_, body) = ask_at(&mock, "/v1/responses", &json!({"model": "m", "input": "x"})).await;
    assert!(
        body.contains(r#""status":"incomplete""#) && body.contains(r#""incomplete_details":{"reason":"max_output_tokens"}"#),
        "{body}"
    );
}

#[tokio::test]
async fn faults_are_played_on_the_occasions_that_are_named() {
    let mock = mock(
        r#"
rules:
  - when: {nth: [1, 2], contains: busy}
    then: {fault: {status: 429, body: {error: {message: busy}}, retry_after: 3}}
  - when: {contains: refuse}
    then: {fault: {refuse: true}}
  - when: {contains: cut}
    then: {text: [a, b, c], fault: {cut_after_chunks: 2}}
  - when: {contains: garbage}
    then: {text: [a, b], fault: {garbage_after_chunks: 2}}
"#,
    )
    .await;
    for _ in 0..2 {
        let (head, body) = ask(&mock, &question("busy")).await;
        assert!(head.starts_with("HTTP/1.1 429") && head.contains("retry-after: 3"), "{head}");
        assert_eq!(body, r#"{"error":{"message":"busy"}}"#);
    }
    assert!(ask(&mock, &question("busy")).await.0.starts_with("HTTP/1.1 200"));
    assert_eq!(ask(&mock, &question("refuse")).await.0, "");
    let (_, body) = ask(&mock, &streamed("cut")).await;
    assert_eq!(deltas(&body, "content"), ["", "a"]);
    assert!(!body.contains("[DONE]"));
    let (_, body) = ask(&mock, &streamed("garbage")).await;
    assert!(body.contains("data: {\"id\": nonsense\n\n") && body.ends_with("data: [DONE]\n\n"), "{body}");
}

#[tokio::test]
async fn a_fault_is_told_in_the_language_that_was_asked_in() {
    let mock = mock("rules: [{then: {fault: {status: 503}}}]").await;
    let said = r#""message":"failed by the script""#;
    for (path, begins) in [
        ("/v1/chat/completions", r#"{"error":{"#),
        ("/v1/responses", r#"{"error":{"#),
        ("/v1/messages", r#"{"type":"error","error":{"type":"api_error","#),
    ] {
        let (head, body) = ask_at(&mock, path, &question("x")).await;
        assert!(head.starts_with("HTTP/1.1 503") && body.starts_with(begins) && body.contains(said), "{path}: {body}");
    }
}

#[tokio::test]
async fn a_fault_waits_as_long_as_an_answer_would() {
    let mock = mock(
        "rules:\n  - when: {contains: busy}\n    then: {delay_ms: {first: 120}, fault: {status: 503}}\n  - then: {delay_ms: {first: 120}, fault: {refuse: true}}",
    )
    .await;
    for (text, status) in [("busy", "HTTP/1.1 503"), ("x", "")] {
        let asked = std::time::Instant::now();
        assert!(ask(&mock, &question(text)).await.0.starts_with(status));
        assert!(asked.elapsed() >= Duration::from_millis(120), "{text}: {:?}", asked.elapsed());
    }
}

#[test]
fn the_readme_names_every_field_and_its_script_is_sound() {
    let readme = include_str!("README.md");
    let script = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(Script::parse(script).unwrap().rules.len(), 6);
    for wrong in
        ["x: 1", "rules: [{x: 1}]", "rules: [{when: {x: 1}}]", "rules: [{then: {x: 1}}]", "rules: [{then: {fault: {x: 1}}}]"]
    {
        let said = Script::parse(wrong).unwrap_err().what;
        let (_, fields) = said.split_once("here may be: ").unwrap();
        let missing: Vec<_> = fields
            .split(", ")
            .filter(|field| !readme.contains(&format!("{field}:")) && !readme.contains(&format!("`{field}`")))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}

#[tokio::test]
async fn a_stall_and_a_hang_up_are_counted() {
    let mock = mock("rules: [{then: {text: [a, b], fault: {stall_after_chunks: 2}}}]").await;
    let asked = tokio::time::timeout(Duration::from_millis(300), ask(&mock, &streamed("x"))).await;
    assert!(asked.is_err(), "it must not end");
    let start = std::time::Instant::now();
    while mock.counts().hung_up != 1 {
        assert!(start.elapsed().as_secs() < 5);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(mock.counts().open, 0);
}

#[tokio::test]
async fn the_tours_script_is_sound_and_leaks_a_key_in_pieces() {
    assert!(!Script::tour().rules.is_empty());
    let mock = super::start(([127, 0, 0, 1], 0).into(), Script::tour()).await.unwrap();
    let (_, body) = ask(&mock, &streamed("Please leak the key")).await;
    let key = "sk-proj-Zx81QwErTyUiOp1234567890AbCdEf";
    for field in ["reasoning_content", "content"] {
        let pieces = deltas(&body, field);
        assert!(pieces.concat().contains(key), "{pieces:?}");
        assert!(pieces.iter().all(|piece| !piece.contains("sk-proj-")), "{pieces:?}");
    }
}

#[test]
fn mistakes_in_a_script_are_named_with_their_line() {
    for (script, line, what) in [
        ("rules:\n  - when: {modl: x}", 2, "unknown field `modl`; here may be: model, contains"),
        ("rules:\n  - then:\n      text: 5", 3, "here must be a text"),
        ("rules:\n  - then: {fault: {status: 5}}", 2, "no HTTP status"),
        ("rules:\n  - then: {fault: {status: 500, refuse: true}}", 2, "either a `status`"),
        ("rules:\n  - then: {tool_calls: [{arguments: {}}]}", 2, "needs a `name`"),
        ("rules: 5", 1, "must be a list"),
        ("rules: [\n", 2, ""),
        ("", 1, "one YAML document"),
    ] {
        let error = Script::parse(script).unwrap_err();
        assert!(error.line == line && error.what.contains(what), "{script:?}: {error}");
    }
}
