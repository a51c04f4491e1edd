//! Policies on every channel: what reaches the client and the upstream when a plugin redacts, blocks, answers or fails.

use gatewright_tests::{Gateway, Mock, Request, read_stream};
use serde_json::json;

/// A key of the form that OpenAI gives out; made up here.
const KEY: &str = "sk-proj-Zx81QwErTyUiOp1234567890AbCdEf";

const LEAKS: &str = r#"
rules:
  - when: {contains: leak}
    then:
      reasoning: ["They want the key. It is s", "k-proj-", "Zx81", "QwErTy", "UiOp12", "34567890", "AbCdEf", ". I should not."]
      text: ["Here: ", "sk-pro", "j-Zx81QwEr", "TyUiOp1234", "567890AbC", "dEf", ". Done."]
  - when: {contains: tool}
    then:
      tool_calls: [{name: send, arguments: ['{"to": "a@b.c", "text": "sk-pr', 'oj-Zx81QwErTyUiOp12345', '67890AbCdEf"}']}]
"#;

const SECRETS: &str = "plugins:\n  secrets: {}\n";

#[test]
fn a_secret_split_over_chunks_is_redacted_in_thought_and_text() {
    let mock = Mock::playing(LEAKS).unwrap();
    let direct = read_stream(&Request::stream("mock", "leak it").send(&mock.url).unwrap().body).unwrap();
    assert!(direct.reasoning.contains(KEY) && direct.text.contains(KEY), "the mock does not leak: {direct:?}");

    let gateway = Gateway::with(&mock.config(SECRETS)).unwrap();
    let response = Request::stream("mock/mock", "leak it").send(&gateway.url).unwrap();
    assert_eq!(response.status, 200, "{}", response.body);
    let answer = read_stream(&response.body).unwrap();
    assert!(
        !response.body.contains("Zx81QwErTy") && !answer.reasoning.contains("Zx81") && !answer.text.contains("Zx81"),
        "{answer:?}"
    );
    assert!(answer.reasoning.starts_with("They want the key. It is [redacted") && answer.reasoning.ends_with(". I should not."));
    assert!(answer.text.starts_with("Here: [redacted") && answer.text.ends_with(". Done."), "{answer:?}");
    assert!(answer.done && answer.finish.as_deref() == Some("stop"));
}

#[test]
fn a_secret_is_redacted_in_a_whole_answer_and_in_tool_arguments() {
    let mock = Mock::playing(LEAKS).unwrap();
    let gateway = Gateway::with(&mock.config(SECRETS)).unwrap();
    let whole = Request::ask("mock/mock", "leak it").send(&gateway.url).unwrap();
    let message = &whole.json()["choices"][0]["message"];
    assert!(message["reasoning_content"].as_str().unwrap().contains("[redacted"), "{}", whole.body);
    assert!(message["content"].as_str().unwrap().contains("[redacted") && !whole.body.contains("Zx81"), "{}", whole.body);
    let verdict = whole.header("x-gatewright-plugins").unwrap_or_default();
    assert!(verdict.contains("secrets"), "no verdict header: {:?}", whole.headers);

    let tools = json!([{"type": "function", "function": {"name": "send", "parameters": {"type": "object"}}}]);
    for stream in [false, true] {
        let body =
            json!({"model": "mock/mock", "stream": stream, "tools": tools, "messages": [{"role": "user", "content": "tool"}]});
        let response = Request::chat(&body).send(&gateway.url).unwrap();
        assert!(response.body.contains("[redacted") && !response.body.contains("Zx81"), "{}", response.body);
        let arguments = match stream {
            true => read_stream(&response.body).unwrap().calls[0].1.clone(),
            false => {
                response.json()["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"].as_str().unwrap().to_owned()
            }
        };
        let parsed: serde_json::Value = serde_json::from_str(&arguments).unwrap();
        assert_eq!(parsed["to"], "a@b.c");
    }
}

#[test]
fn a_secret_in_a_prompt_does_not_reach_the_upstream() {
    let mock = Mock::playing("rules: []").unwrap();
    let gateway = Gateway::with(&mock.config(SECRETS)).unwrap();
    let response = Request::ask("mock/mock", &format!("my key is {KEY}, keep it")).send(&gateway.url).unwrap();
    assert_eq!(response.status, 200, "{}", response.body);
    let seen = mock.seen().unwrap().to_string();
    assert!(seen.contains("[redacted") && !seen.contains(KEY), "{seen}");
}

const DENIES: &str = "plugins:\n  topic-deny:\n    settings: {terms: [forbidden city, mockturtle]}\n";

#[test]
fn a_denied_topic_is_refused_before_the_model_is_asked() {
    let mock = Mock::playing("rules: []").unwrap();
    let gateway = Gateway::with(&mock.config(DENIES)).unwrap();
    for evasion in
        ["the Forbidden City", "f o r b i d d e n  c i t y", "f0rb1dden-c1ty", "ｆｏｒｂｉｄｄｅｎ ｃｉｔｙ", "fоrbiddеn city"]
    {
        let response = Request::ask("mock/mock", &format!("Tell me about {evasion} please")).send(&gateway.url).unwrap();
        assert_eq!(response.status, 400, "{evasion}: {}", response.body);
        assert_eq!(response.json()["error"]["code"], "content_filter", "{}", response.body);
    }
    assert_eq!(mock.count().unwrap(), 0);
    assert_eq!(Request::ask("mock/mock", "Tell me about gardens").send(&gateway.url).unwrap().status, 200);
}

#[test]
fn a_denied_topic_in_the_middle_of_a_stream_ends_it_properly() {
    let script =
        "rules:\n  - then: {text: ['We went ', 'to see the ', 'mock', 'turtle', ' and it sang.'], delay_ms: {between: 50}}\n";
    let mock = Mock::playing(script).unwrap();
    let gateway = Gateway::with(&mock.config(DENIES)).unwrap();
    let response = Request::stream("mock/mock", "go on").send(&gateway.url).unwrap();
    assert_eq!(response.status, 200, "{}", response.body);
    let answer = read_stream(&response.body).unwrap();
    assert_eq!(answer.finish.as_deref(), Some("content_filter"), "{}", response.body);
    assert!(
        answer.done && answer.error.is_none() && !answer.text.contains("turtle") && !answer.text.contains("sang"),
        "{answer:?}"
    );
    let whole = Request::ask("mock/mock", "go on").send(&gateway.url).unwrap();
    assert_eq!((whole.status, whole.json()["error"]["code"].as_str()), (400, Some("content_filter")), "{}", whole.body);
}

#[test]
fn a_shadow_policy_is_recorded_and_changes_nothing() {
    let mock = Mock::playing(LEAKS).unwrap();
    let gateway = Gateway::with(&mock.config("plugins:\n  secrets: {mode: shadow}\n")).unwrap();
    let response = Request::ask("mock/mock", "leak it").send(&gateway.url).unwrap();
    assert!(response.body.matches(KEY).count() == 2, "{}", response.body);
    assert!(response.header("x-gatewright-plugins").unwrap_or_default().contains("shadow"), "{:?}", response.headers);
}

fn plugin(gateway_config: &str, source: &str) -> (Gateway, Mock) {
    let mock = Mock::playing("rules:\n  - then: {text: ['one ', 'two ', 'three']}\n").unwrap();
    let folder = tempfile::tempdir().unwrap().keep();
    std::fs::write(folder.join("main.luau"), source).unwrap();
    let manifest = "name: own\nversion: 0.1.0\nentry: main.luau\nwindow: 16\n\
                    subscribe: {phases: [request, chunk, response], channels: [user, assistant, reasoning]}\n";
    std::fs::write(folder.join("plugin.yaml"), manifest).unwrap();
    let config = format!("plugins:\n  own:\n    folder: {}\n{gateway_config}", folder.display());
    (Gateway::with(&mock.config(&config)).unwrap(), mock)
}

#[test]
fn a_plugin_that_hangs_refuses_the_request_and_the_next_one_is_served() {
    let source = "return { inspect = function(ctx, event)\n\
                  if string.find(event.segments[1].text, 'hang') then while true do pcall(function() while true do end end) end end\n\
                  return {} end }";
    let (gateway, mock) = plugin("", source);
    let hung = Request::ask("mock/mock", "hang please").send(&gateway.url).unwrap();
    assert_eq!(hung.status, 500, "{}", hung.body);
    assert!(hung.json()["error"]["message"].is_string(), "{}", hung.body);
    assert_eq!(mock.count().unwrap(), 0);
    let next = Request::ask("mock/mock", "hello").send(&gateway.url).unwrap();
    assert_eq!(
        (next.status, next.json()["choices"][0]["message"]["content"].as_str()),
        (200, Some("one two three")),
        "{}",
        next.body
    );
}

#[test]
fn on_error_open_lets_the_request_go_on_and_says_so() {
    let (gateway, _mock) = plugin("    on_error: open\n", "return { inspect = function() error('no') end }");
    let response = Request::ask("mock/mock", "hello").send(&gateway.url).unwrap();
    assert_eq!(response.status, 200, "{}", response.body);
    assert!(response.header("x-gatewright-plugins").unwrap_or_default().contains("error"), "{:?}", response.headers);
}

#[test]
fn a_plugin_may_answer_in_the_models_place() {
    let source = "return { inspect = function(ctx, event) if event.phase == 'request' then\n\
                  return { answer('Not today.') } end return {} end }";
    let (gateway, mock) = plugin("", source);
    let whole = Request::ask("mock/mock", "hello").send(&gateway.url).unwrap();
    assert_eq!(
        (whole.status, whole.json()["choices"][0]["message"]["content"].as_str()),
        (200, Some("Not today.")),
        "{}",
        whole.body
    );
    let streamed = read_stream(&Request::stream("mock/mock", "hello").send(&gateway.url).unwrap().body).unwrap();
    assert_eq!((streamed.text.as_str(), streamed.done), ("Not today.", true));
    assert_eq!(mock.count().unwrap(), 0);
}
