//! Structured answers and forced calls through the engine's public door, on a model whose every answer is noise: what comes out is right
//! because nothing else can.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use futures_util::StreamExt;
use futures_util::future::join_all;
use gatewright_engine::EngineError;
use gatewright_types::{ChatRequest, Delta, Extras, FinishReason, RawJson, Sampling, Tool, ToolDefinition};
use kit::{PROMPT, answered, ask, engine, gather, read, seeded, submit, tokens};
use serde_json::{Value, json};

fn raw(json: &Value) -> RawJson {
    serde_json::value::to_raw_value(json).unwrap()
}

/// A hot request whose thought is closed after a few tokens.
fn hot(seed: i64, n: u64) -> ChatRequest {
    let mut request = ask(PROMPT, seeded(seed, n));
    request.extras.push("thinking_budget", raw(&json!(4)));
    request
}

fn schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["city", "days"],
        "properties": { "city": { "type": "string", "maxLength": 5 }, "days": { "type": "integer", "minimum": 1, "maximum": 99 } },
    })
}

fn formatted(seed: i64, n: u64) -> ChatRequest {
    let format = json!({ "type": "json_schema", "json_schema": { "name": "trip", "strict": true, "schema": schema() } });
    ChatRequest { response_format: Some(raw(&format)), ..hot(seed, n) }
}

fn tool(name: &str) -> Tool {
    let (function_extras, extras) = (Extras::new(), Extras::new());
    Tool::Function(ToolDefinition {
        name: name.into(),
        description: None,
        parameters: Some(raw(&schema())),
        function_extras,
        extras,
    })
}

/// Names and arguments of one choice's calls.
fn calls(deltas: &[Delta], wanted: u32) -> Vec<(String, String)> {
    let mut calls: Vec<(String, String)> = Vec::new();
    for delta in deltas {
        let Delta::ToolCall { choice, index, name, arguments, .. } = delta else { continue };
        if *choice == wanted {
            calls.resize(calls.len().max(*index as usize + 1), Default::default());
            let call = calls.last_mut().unwrap();
            call.0.push_str(name.as_deref().unwrap_or_default());
            call.1.push_str(arguments);
        }
    }
    calls
}

#[track_caller]
fn is_trip(text: &str) {
    let got: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text:?}"));
    assert!(got["city"].as_str().unwrap().chars().count() <= 5 && (1..=99).contains(&got["days"].as_i64().unwrap()), "{text}");
}

#[tokio::test]
async fn each_choice_thinks_freely_and_answers_in_the_schema() {
    let mut request = formatted(3, 600);
    request.sampling.n = Some(3);
    let deltas = gather(submit(&engine(4, 4), &request).unwrap()).await;
    let mut thoughts = Vec::new();
    for choice in 0..3 {
        let (thought, text, end, usage) = read(&deltas, choice);
        is_trip(&text);
        assert_eq!(end, Some(FinishReason::Stop));
        assert!(usage.unwrap().reasoning.unwrap() >= 12, "each has thought its four tokens");
        thoughts.push(thought);
    }
    assert!(thoughts[0] != thoughts[1] && thoughts.iter().any(|thought| !thought.is_empty()), "{thoughts:?}");
}

#[tokio::test]
async fn a_seed_gives_one_structured_answer_alone_and_in_company() {
    let engine = engine(4, 8);
    let alone = gather(submit(&engine, &formatted(11, 600)).unwrap()).await;
    let mut regex = hot(5, 60);
    regex.extras.push("guided_regex", raw(&json!("[a-z]{40}")));
    let others: Vec<_> = [formatted(1, 300), regex, hot(2, 80)].iter().map(|other| submit(&engine, other).unwrap()).collect();
    let again = submit(&engine, &formatted(11, 600)).unwrap();
    let (again, _) = futures_util::future::join(gather(again), join_all(others.into_iter().map(gather))).await;
    assert_eq!(answered(&alone), answered(&again));
    is_trip(&read(&alone, 0).1);
}

#[tokio::test]
async fn a_greedy_answer_follows_an_expression_a_grammar_or_a_list() {
    let engine = engine(2, 2);
    for (field, given) in [
        ("guided_regex", json!("(yes|no), [0-9]{2}")),
        ("guided_grammar", json!("start: word \", \" NUMBER\nword: \"yes\" | \"no\"\nNUMBER: /[0-9]{2}/\n")),
        ("structured_outputs", json!({ "choice": ["yes, 12", "no, 34"] })),
    ] {
        let mut request = ask(PROMPT, Sampling { temperature: Some(0.0), ..tokens(200) });
        request.extras.push("reasoning_effort", raw(&json!("none")));
        request.extras.push(field, raw(&given));
        let (_, text, end, _) = read(&gather(submit(&engine, &request).unwrap()).await, 0);
        let (word, number) = text.split_once(", ").unwrap_or_else(|| panic!("{field}: {text:?}"));
        assert!(["yes", "no"].contains(&word) && number.len() == 2 && number.parse::<u8>().is_ok(), "{field}: {text:?}");
        assert_eq!(end, Some(FinishReason::Stop), "{field}");
    }
}

#[tokio::test]
async fn lines_at_the_start_of_a_structured_answer_are_its_own() {
    // The first one's place may not be free yet when the second comes.
    let engine = engine(1, 1);
    for thinks in [true, false] {
        let mut request = hot(6, 60);
        if !thinks {
            request.extras.take("thinking_budget");
            request.extras.push("reasoning_effort", raw(&json!("none")));
        }
        request.extras.push("guided_regex", raw(&json!("\n\n?[a-z]{3}\n")));
        let (_, text, end, _) = read(&gather(submit(&engine, &request).unwrap()).await, 0);
        assert!(text.starts_with('\n') && text.ends_with('\n') && text.trim().len() == 3, "{text:?}");
        assert_eq!(end, Some(FinishReason::Stop));
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_its_grammar_is_compiled() {
    // Under the bound that bytes tell, above the context of 512 tokens.
    let mut request = ask(&"aé".repeat(400), tokens(10));
    request.extras.push("guided_regex", raw(&json!("[a")));
    let said = submit(&engine(1, 0), &request).unwrap().next().await.unwrap().unwrap_err();
    assert!(matches!(said, EngineError::TooLong { prompt, .. } if prompt > 512), "{said:?}");
}

#[tokio::test]
async fn an_answer_that_is_cut_off_says_so() {
    let mut request = hot(7, 30);
    request.extras.push("guided_regex", raw(&json!("[a-z]{500}")));
    let (_, text, end, usage) = read(&gather(submit(&engine(1, 0), &request).unwrap()).await, 0);
    assert!(!text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase()), "{text}");
    assert_eq!((end, usage.unwrap().completion), (Some(FinishReason::Length), 30));
}

#[tokio::test]
async fn a_thought_that_does_not_end_is_no_answer() {
    // The end token is likelier than all others: a thought may not be left by it, an answer must be whole.
    let mut request = formatted(9, 400);
    request.extras.take("thinking_budget");
    request.extras.push("logit_bias", raw(&json!({ "315": 100, "319": 60 })));
    let deltas = gather(submit(&engine(1, 0), &request).unwrap()).await;
    let (thought, text, end, _) = read(&deltas, 0);
    is_trip(&text);
    assert_eq!((thought.as_str(), end), ("", Some(FinishReason::Stop)));
    let told =
        deltas.iter().find_map(|delta| if let Delta::Other { around, .. } = delta { around.get("stop_reason") } else { None });
    assert_eq!(told, Some("\"empty_thought\""));
}

#[tokio::test]
async fn a_call_that_is_required_is_made() {
    let engine = engine(3, 3);
    let mut request = ChatRequest { tools: vec![tool("trip"), tool("stay")], ..hot(4, 900) };
    request.sampling.n = Some(2);
    request.extras.push("parallel_tool_calls", raw(&json!(false)));
    for choice in [json!("required"), json!({ "type": "function", "function": { "name": "stay" } })] {
        request.tool_choice = Some(raw(&choice));
        let deltas = gather(submit(&engine, &request).unwrap()).await;
        for of in 0..2 {
            let ((_, text, end, _), calls) = (read(&deltas, of), calls(&deltas, of));
            assert_eq!((text.as_str(), end, calls.len()), ("", Some(FinishReason::ToolCalls), 1), "{calls:?}");
            assert!(calls[0].0 == "stay" || (calls[0].0 == "trip" && choice == "required"), "{calls:?}");
            is_trip(&calls[0].1);
        }
    }
}

#[tokio::test]
async fn a_grammar_that_is_none_is_refused_by_name_and_frees_its_place() {
    let engine = engine(1, 0);
    let mut request = hot(1, 10);
    request.extras.push("guided_regex", raw(&json!("[a")));
    let mut refused = submit(&engine, &request).unwrap();
    let said = refused.next().await.unwrap().unwrap_err();
    assert!(
        matches!(&said, EngineError::Unsupported { param, message } if param == "guided_regex" && message.contains("regex")),
        "{said:?}"
    );
    drop(refused);
    assert_eq!(read(&gather(submit(&engine, &hot(1, 10)).unwrap()).await, 0).2, Some(FinishReason::Length));
}
