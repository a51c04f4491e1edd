//! Requests, read and written: what is kept, and how mistakes are told.

use gatewright_types::{ChatRequest, Content, Fault, FaultKind, Part, Role, Tool};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{read, write};

fn parse(value: &Value) -> ChatRequest {
    read(value.to_string().as_bytes()).unwrap()
}

fn fault(body: &str) -> Fault {
    read(body.as_bytes()).unwrap_err()
}

fn back(request: &ChatRequest) -> Value {
    serde_json::from_slice(&write(request)).unwrap()
}

fn asks(more: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}]{more}}}"#)
}

#[test]
fn invalid_json_is_told_with_its_position() {
    let fault = fault("{\n  \"model\": \"m\",\n  \"messages\": [}\n}");
    assert_eq!(fault.kind, FaultKind::InvalidJson);
    assert!(fault.message.contains("line 3, column 16"), "{}", fault.message);
    for body in ["", "  ", "{", "{\"model\":\"m\"} x", "{\"a\":tru}", "nul"] {
        assert_eq!(self::fault(body).kind, FaultKind::InvalidJson, "{body}");
    }
    let not_utf8 = read(b"{\n\"model\": \"\xFF\"}").unwrap_err();
    assert!(not_utf8.kind == FaultKind::InvalidJson && not_utf8.message.contains("line 2, column 11"), "{}", not_utf8.message);
}

#[test]
fn a_wrong_type_is_told_with_its_path_and_what_was_found() {
    let cases = [
        (asks(r#","temperature":"hot""#), "temperature", "a number, but got a string"),
        (asks(r#","max_tokens":1.5"#), "max_tokens", "a whole number, but got 1.5"),
        (asks(r#","n":-1"#), "n", "a whole number, but got -1"),
        (asks(r#","stream":"yes""#), "stream", "a boolean, but got a string"),
        (asks(r#","stop":["a",1]"#), "stop[1]", "a string, but got a number"),
        (asks(r#","stop":true"#), "stop", "a string or an array of strings, but got a boolean"),
        (asks(r#","tools":{}"#), "tools", "an array, but got an object"),
        (asks(r#","tools":[{"type":"function","function":{}}]"#), "tools[0].function.name", "a string, but it is missing"),
        (asks(r#","stream_options":{"include_usage":1}"#), "stream_options.include_usage", "a boolean, but got 1"),
        (r#"{"model":7,"messages":[]}"#.into(), "model", "a string, but got a number"),
        (r#"{"model":"m","messages":"hi"}"#.into(), "messages", "an array, but got a string"),
        (
            r#"{"model":"m","messages":[{"role":"user"},{"role":"user","content":7}]}"#.into(),
            "messages[1].content",
            "but got a number",
        ),
        (r#"{"model":"m","messages":[{"content":"x"}]}"#.into(), "messages[0].role", "it is missing"),
        (
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}"#.into(),
            "messages[0].content[0].text",
            "missing",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":["x"]}]}"#.into(),
            "messages[0].content[0]",
            "an object, but got a string",
        ),
        (
            r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"arguments":{}}}]}]}"#.into(),
            "messages[0].tool_calls[0].function.arguments",
            "a string, but got an object",
        ),
        (r#"{"model":"m","messages":[{"role":"user","content":"\ud800"}]}"#.into(), "messages[0].content", "valid Unicode"),
    ];
    for (body, param, said) in cases {
        let fault = fault(&body);
        assert_eq!((fault.kind, fault.param.as_deref()), (FaultKind::InvalidRequest, Some(param)), "{body}");
        assert!(fault.message.contains(said), "{body}: {}", fault.message);
    }
    assert_eq!(fault("[1]").kind, FaultKind::InvalidRequest);
    assert_eq!(fault("\"text\"").kind, FaultKind::InvalidRequest);
}

#[test]
fn what_must_be_there_is_asked_for_by_name() {
    assert_eq!(fault(r#"{"messages":[]}"#).param.as_deref(), Some("model"));
    assert_eq!(fault(r#"{"model":"m"}"#).param.as_deref(), Some("messages"));
    assert_eq!(fault(r#"{"model":"m","messages":[]}"#).param.as_deref(), Some("messages"));
}

#[test]
fn the_canonical_request_has_every_typed_field() {
    let request = parse(&json!({
        "model": "m", "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 5, "temperature": 0, "seed": 7,
        "stop": ["a", "b"], "n": 2, "logprobs": true, "top_logprobs": 3, "top_p": 0.5,
        "tools": [{"type": "function", "function": {"name": "t", "parameters": {}}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]},
            {"role": "assistant", "reasoning": "why", "tool_calls": [{"id": "1", "type": "function",
                "function": {"name": "t", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "r"}]
    }));
    assert!(request.stream && request.include_usage);
    assert_eq!((request.sampling.max_tokens, request.sampling.seed, request.sampling.n), (Some(5), Some(7), Some(2)));
    assert_eq!(request.sampling.stop, ["a", "b"]);
    assert!(matches!(&request.tools[0], Tool::Function(tool) if tool.name == "t"));
    let [user, assistant, tool] = &request.messages[..] else { panic!() };
    assert!(matches!(&user.content, Content::Parts(parts) if matches!(&parts[1], Part::Other { kind, .. } if kind == "image_url")));
    assert_eq!((assistant.reasoning.as_deref(), &assistant.content), (Some("why"), &Content::Absent));
    assert_eq!(assistant.tool_calls[0].arguments, "{}");
    assert_eq!((tool.role.clone(), tool.tool_call_id.as_deref()), (Role::Tool, Some("1")));
}

#[test]
fn a_policys_edit_is_written_in_the_clients_spelling_and_wins_over_what_it_replaces() {
    let mut request = parse(&json!({
        "model": "m", "max_completion_tokens": 9, "stop": "x", "temperature": null,
        "messages": [{"role": "assistant", "content": "c", "reasoning": "secret", "refusal": null}]
    }));
    request.sampling.max_tokens = Some(3);
    request.sampling.temperature = Some(0.5);
    request.sampling.stop = vec!["y".into()];
    request.messages[0].reasoning = Some("***".into());
    request.messages[0].refusal = Some("no".into());
    let wanted = json!({
        "model": "m", "max_completion_tokens": 3, "stop": "y", "temperature": 0.5,
        "messages": [{"role": "assistant", "content": "c", "reasoning": "***", "refusal": "no"}]
    });
    assert_eq!(back(&request), wanted);
}

#[test]
fn no_text_hides_behind_a_second_spelling() {
    let request = parse(&json!({"model": "m", "messages": [
        {"role": "assistant", "content": "c", "reasoning": "one", "reasoning_content": "two"}]}));
    assert_eq!(request.messages[0].reasoning.as_deref(), Some("twoone"));
    assert!(request.messages[0].extras.iter().all(|(_, value)| !value.get().contains("one")));
    let twice = read(br#"{"model":"m","messages":[{"role":"user","content":"a","content":"b"}]}"#).unwrap();
    assert_eq!(back(&twice)["messages"], json!([{"role": "user", "content": "b"}]));
    assert!(!String::from_utf8_lossy(&write(&twice)).contains("\"a\""));
}

#[test]
fn unknown_values_keep_their_bytes() {
    let body = asks(r#","odd":{"a" : 1.50, "b":[ 1e2 ,"\u0041"]}"#);
    let written = write(&read(body.as_bytes()).unwrap());
    assert!(String::from_utf8_lossy(&written).contains(r#""odd":{"a" : 1.50, "b":[ 1e2 ,"\u0041"]}"#));
}

#[test]
fn a_stream_is_always_asked_for_its_usage() {
    assert_eq!(
        back(&parse(&json!({"model": "m", "stream": true, "messages": [{"role": "user"}]})))["stream_options"],
        json!({"include_usage": true})
    );
    let told = parse(&json!({"model": "m", "stream": true, "messages": [{"role": "user"}],
        "stream_options": {"include_usage": false, "x": 1}}));
    assert!(!told.include_usage);
    assert_eq!(back(&told)["stream_options"], json!({"x": 1, "include_usage": true}));
}

/// Any JSON, for fields that we do not know.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z\"\\\\é☃\n]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map("[a-z_]{1,6}", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn text() -> impl Strategy<Value = Value> {
    "[a-z\"\\\\é☃\n\t\u{1F600}]{0,12}".prop_map(Value::from)
}

/// A field that may be missing, null or a value.
fn maybe(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    prop_oneof![2 => Just(None), 1 => Just(Some(Value::Null)), 4 => value.prop_map(Some)].boxed()
}

type Field = (&'static str, BoxedStrategy<Option<Value>>);

fn object(fields: Vec<Field>) -> BoxedStrategy<Value> {
    let (names, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    (values, maybe(any_json()))
        .prop_map(move |(values, unknown)| {
            let known = names.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
            Value::Object(known.chain(unknown.map(|value| ("x_unknown".to_owned(), value))).collect())
        })
        .boxed()
}

fn must(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    value.prop_map(Some).boxed()
}

fn list(item: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
    proptest::collection::vec(item, 0..3).prop_map(Value::from).boxed()
}

fn call() -> BoxedStrategy<Value> {
    let function = object(vec![("name", must(text())), ("arguments", must(text()))]);
    object(vec![("id", maybe(text())), ("type", must(Just(json!("function")))), ("function", must(function))])
}

fn message() -> BoxedStrategy<Value> {
    let part = prop_oneof![
        object(vec![("type", must(Just(json!("text")))), ("text", must(text()))]),
        object(vec![("type", must(Just(json!("image_url")))), ("image_url", must(any_json()))]),
    ];
    object(vec![
        ("role", must(prop_oneof![Just(json!("user")), Just(json!("assistant")), Just(json!("developer")), Just(json!("oracle"))])),
        ("content", maybe(prop_oneof![text(), list(part)])),
        ("reasoning_content", maybe(text())),
        ("refusal", maybe(text())),
        ("name", maybe(text())),
        ("tool_call_id", maybe(text())),
        ("tool_calls", maybe(list(call()))),
    ])
}

fn tool() -> BoxedStrategy<Value> {
    let function = vec![("name", must(text())), ("description", maybe(text())), ("parameters", maybe(any_json()))];
    object(vec![("type", must(Just(json!("function")))), ("function", must(object(function)))])
}

fn request() -> BoxedStrategy<Value> {
    let whole = || (0u32..5000).prop_map(Value::from);
    // Halves are exact in binary, and a whole number is written without a point.
    let half = || (-8i32..8).prop_map(|n| Value::from(f64::from(n) + 0.5));
    object(vec![
        ("model", must(text())),
        ("messages", must(proptest::collection::vec(message(), 1..4).prop_map(Value::from))),
        ("tools", maybe(list(tool()))),
        ("tool_choice", maybe(any_json())),
        ("response_format", maybe(any_json())),
        ("max_tokens", maybe(whole())),
        ("max_completion_tokens", maybe(whole())),
        ("temperature", maybe(half())),
        ("top_p", maybe(half())),
        ("seed", maybe(any::<i64>().prop_map(Value::from))),
        ("n", maybe(whole())),
        ("stop", maybe(prop_oneof![text(), list(text())])),
        ("logprobs", maybe(any::<bool>().prop_map(Value::from))),
        ("top_logprobs", maybe(whole())),
        ("presence_penalty", maybe(half())),
        ("frequency_penalty", maybe(half())),
    ])
}

proptest! {
    #[test]
    fn nothing_is_lost_between_a_client_and_an_upstream(body in request()) {
        prop_assert_eq!(back(&parse(&body)), body);
    }

    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = read(&body);
    }
}

#[test]
fn arguments_of_white_space_are_no_json_for_anybody() {
    use crate::dialects::{Asked, Dialect as _, openai_responses::OpenAiResponses};
    let call = |arguments: &str| json!({"type": "function_call", "call_id": "a", "name": "f", "arguments": arguments});
    let result = json!({"type": "function_call_output", "call_id": "a", "output": "1"});
    for arguments in ["", " \n"] {
        let body = json!({"model": "m", "input": [{"role": "user", "content": "q"}, call(arguments), result]});
        let request = OpenAiResponses.read(body.to_string().as_bytes(), &Asked::default()).unwrap();
        assert_eq!(back(&request)["messages"][1]["tool_calls"][0]["function"]["arguments"], "{}");
    }
}
