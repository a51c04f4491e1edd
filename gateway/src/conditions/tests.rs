//! Conditions as operators write them, well and badly.

use gatewright_types::{ChatRequest, Message, Role, Tool, ToolDefinition};
use proptest::prelude::*;

use super::*;
use crate::dialects::openai_chat::request;

fn read(text: &str) -> Condition {
    Condition::read(text).unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"))
}

#[test]
fn a_request_is_seen_by_its_size_its_caller_its_shape_and_its_notes() {
    let body = serde_json::json!({
        "model": "gpt-4.1", "stream": true, "max_tokens": 100, "metadata": {"tier": "gold", "n": 3},
        "tools": [{"type": "function", "function": {"name": "find", "parameters": {}}}, {"type": "web_search"}],
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}],
    });
    let request = request::read(body.to_string().as_bytes()).unwrap();
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let (notes, headers) = (pairs(&[("sensitivity", "high"), ("local-only", "true")]), pairs(&[("x-tier", "1")]));
    let seen = Seen {
        request: Some(&request),
        tokens: Some(|_| 9000),
        notes: &notes,
        headers: &headers,
        route: "fast",
        key: "alice",
        tenant: "research",
        team: "papers",
        conversation: "c-1",
        dialect: "openai",
        ..Seen::default()
    };
    for holds in [
        r#"request.model.startsWith("gpt") && tokens > 8000"#,
        r#"has(notes.sensitivity) && notes.sensitivity == "high""#,
        r#""local-only" in notes && notes["local-only"] == "true""#,
        r#"key == "alice" && tenant == "research" && team in ["papers", "code"] && route == "fast""#,
        r#"request.stream && request.images && request.messages == 1 && request.max_tokens <= 100"#,
        r#"size(request.tools) == 2 && request.tools.exists(t, t == "find") && "web_search" in request.tools"#,
        r#"has(request.metadata.tier) && request.metadata.tier == "gold" && !has(request.metadata.n)"#,
        r#""x-tier" in request.headers && int(request.headers["x-tier"]) >= 1"#,
        r#"conversation != "" && dialect == "openai""#,
        "tokens > 100 ? !(tokens < 100) : false",
    ] {
        assert_eq!(read(holds).holds(&seen), Ok(true), "{holds}");
    }
    for fails in ["tokens > 10000", "has(notes.other)", "request.tools.all(t, t.startsWith(\"f\"))", "key == 3"] {
        assert_eq!(read(fails).holds(&seen), Ok(false), "{fails}");
    }
    assert!(read(r#""a" in request.headers"#).names_headers() && !read("tokens > 1").names_headers());
}

#[test]
fn what_is_wrong_is_told_when_it_is_read_with_its_place() {
    for (text, at, part) in [
        ("tokens >", Some((1, 9)), "not an expression of CEL"),
        ("token > 5", Some((1, 1)), "nothing is named `token`"),
        ("tokens > 5 &&\n requst.stream", Some((2, 2)), "nothing is named `requst`"),
        ("request.size > 5", None, "a request has no `size`"),
        ("tokens > 5 && size(request) > 1", None, "`request` alone is nothing"),
        ("key.matches(\"a.*\")", None, "no function `matches`"),
        ("request.tools.exists(a, request.tools.exists(b, a == b))", None, "a loop within a loop"),
        ("tokens + 1", None, "a condition is true or false, and this is a int"),
        ("notes.sensitivity == \"high\"", None, "a request without `sensitivity` could not be judged"),
        ("request.tools[0] == \"x\"", None, "a list is not as long as that"),
        ("key > 5", None, "`>` is not for string and int"),
        ("1 / 0 == 1", None, "division by zero"),
    ] {
        let mistakes = Condition::read(text).expect_err(text);
        assert!(mistakes[0].message.contains(part), "{text}: {mistakes:?}");
        if at.is_some() {
            assert_eq!(mistakes[0].at, at, "{text}: {mistakes:?}");
        }
    }
    assert_eq!(Condition::read("token > 5").unwrap_err()[0].hint.as_deref(), Some("did you mean `tokens`?"));
    assert!(Condition::read(&format!("\"{}\" == key", "x".repeat(LONGEST))).unwrap_err()[0].message.contains("bytes"));
    let deep = [
        "(".repeat(900) + "tokens",
        "[".repeat(900),
        format!("{}key == key", "key + ".repeat(150)),
        format!("{}1", "-".repeat(1000)),
    ];
    for deep in deep.into_iter().chain([format!("key{} == 1", ".a".repeat(400)), "true ? true : ".repeat(70) + "true"]) {
        assert!(Condition::read(&deep).is_err(), "{deep}");
    }
    read(&format!("{}tokens > 1{}", "(".repeat(20), ")".repeat(20)));
}

#[test]
fn one_that_cannot_be_evaluated_says_so_and_repeats_nothing_of_the_request() {
    let notes = vec![("level".to_owned(), "very secret".to_owned())];
    let seen = Seen { notes: &notes, ..Seen::default() };
    let condition = read(r#"has(notes.level) && int(notes.level) > 3"#);
    let undecided = condition.holds(&seen).unwrap_err().to_string();
    assert!(undecided.contains("int(notes.level) > 3") && !undecided.contains("very secret"), "{undecided}");
}

#[test]
fn what_a_large_request_costs_is_bounded() {
    let tools = (0..256).map(|n| {
        let (name, description, parameters) = (format!("tool-{n}"), None, None);
        let (function_extras, extras) = Default::default();
        gatewright_types::Tool::Function(ToolDefinition { name, description, parameters, function_extras, extras })
    });
    let messages = vec![Message::text(Role::User, "x".repeat(1 << 20)); 8];
    let request = gatewright_types::ChatRequest { tools: tools.collect(), messages, ..Default::default() };
    let seen = Seen { request: Some(&request), ..Seen::default() };
    let text = ["request.tools.exists(t, t == \"none\")"; 20].join(" || ");
    let began = std::time::Instant::now();
    assert_eq!(read(&text).holds(&seen), Ok(false));
    // 5,120 turns of a loop: much less than a second, on any machine.
    assert!(began.elapsed() < std::time::Duration::from_secs(20));
}

proptest! {
    #[test]
    fn no_text_does_harm(text in ".{0,80}", words in prop::collection::vec(0usize..14, 0..24)) {
        const WORDS: [&str; 14] =
            ["tokens", "notes", "request.tools", ".exists(t, ", ")", "(", "&&", "==", "\"a\"", "1", "!", "[", "]", "has(notes.a)"];
        let made = words.into_iter().map(|word| WORDS[word]).collect::<Vec<_>>().join(" ");
        for text in [text, made] {
            if let Ok(condition) = Condition::read(&text) {
                let _ = condition.holds(&Seen::default());
            }
        }
    }
}

#[test]
fn a_loop_does_not_count_tokens_in_every_round() {
    let counted = |request: &ChatRequest| request.origin.prefill.told().map_or(0, |(times, _)| times);
    // A request has one thing that can be counted on behind a shared borrow.
    let tokens: fn(&ChatRequest) -> u64 = |request| {
        let times = request.origin.prefill.told().map_or(0, |(times, _)| times);
        request.origin.prefill.tell((times + 1, 100));
        times as u64
    };
    let (request, list) = (ChatRequest::default(), vec![("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
    let seen = Seen { request: Some(&request), tokens: Some(tokens), notes: &list, ..Seen::default() };
    assert_eq!(read("notes.all(name, tokens == 0 && tokens < 1)").holds(&seen), Ok(true));
    assert_eq!(counted(&request), 1);
}

#[test]
fn the_clients_model_and_tools_are_seen_whatever_the_request_was_made_of_them() {
    let tool = |name: &str| {
        let (description, parameters, function_extras, extras) = Default::default();
        Tool::Function(ToolDefinition { name: name.to_owned(), description, parameters, function_extras, extras })
    };
    let request = ChatRequest { model: "leg".into(), tools: vec![tool("theirs"), tool("ours")], ..ChatRequest::default() };
    let seen = Seen { request: Some(&request), model: Some("m"), tools: Some(1), ..Seen::default() };
    assert_eq!(read(r#"request.model == "m" && request.tools == ["theirs"]"#).holds(&seen), Ok(true));
}
