//! Controls of a request through the engine's public door: what each does to the answer, and that company changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use futures_util::future::{join, join_all};
use gatewright_types::{ChatRequest, Delta, Sampling};
use kit::{PROMPT, answered, ask, engine, gather, read, seeded, submit, tokens};
use serde_json::Value;

/// The request with more fields, as JSON.
fn with(mut request: ChatRequest, fields: &[(&'static str, &str)]) -> ChatRequest {
    for (name, json) in fields {
        request.extras.push(*name, serde_json::from_str(json).unwrap());
    }
    request
}

/// Thought and text of the first choice.
async fn said(request: &ChatRequest) -> (String, String) {
    let deltas = gather(submit(&engine(1, 0), request).unwrap()).await;
    let (thought, text, ..) = read(&deltas, 0);
    (thought, text)
}

fn greedy(n: u64) -> Sampling {
    Sampling { temperature: Some(0.0), ..tokens(n) }
}

#[tokio::test]
async fn a_bias_makes_and_forbids_a_token() {
    // In the tiny vocabulary the first ids are the visible bytes, from `!` on.
    let (thought, _) = said(&with(ask(PROMPT, greedy(5)), &[("logit_bias", r#"{"32": 100}"#)])).await;
    assert_eq!(thought, "AAAAA");
    // The first of transformers' greedy tokens.
    let (plain, _) = said(&ask(PROMPT, greedy(2))).await;
    assert!(plain.starts_with(" s"));
    assert!(!said(&with(ask(PROMPT, greedy(2)), &[("logit_bias", r#"{"299": -100}"#)])).await.0.starts_with(" s"));
}

#[tokio::test]
async fn penalties_change_a_greedy_answer_and_top_k_of_one_is_greedy() {
    let plain = said(&ask(PROMPT, greedy(40))).await;
    let penalised = [
        ask(PROMPT, Sampling { presence_penalty: Some(2.0), ..greedy(40) }),
        ask(PROMPT, Sampling { frequency_penalty: Some(2.0), ..greedy(40) }),
        with(ask(PROMPT, greedy(40)), &[("repetition_penalty", "1.5")]),
    ];
    for request in penalised {
        assert_ne!(said(&request).await, plain, "{request:?}");
    }
    for field in [("top_k", "1"), ("min_p", "1")] {
        assert_eq!(said(&with(ask(PROMPT, seeded(3, 40)), &[field])).await, plain, "{field:?}");
    }
}

#[tokio::test]
async fn all_controls_at_once_give_one_answer_alone_and_in_company() {
    let sampling = Sampling {
        presence_penalty: Some(0.3),
        frequency_penalty: Some(0.2),
        logprobs: Some(true),
        top_logprobs: Some(2),
        ..seeded(7, 40)
    };
    let fields = [("top_k", "50"), ("min_p", "0.001"), ("repetition_penalty", "1.1"), ("logit_bias", r#"{"40": 1.5}"#)];
    let request = with(ask(PROMPT, sampling), &fields);
    let engine = engine(4, 8);
    let alone = gather(submit(&engine, &request).unwrap()).await;
    let others: Vec<_> = (0..3).map(|seed| submit(&engine, &ask("a", seeded(seed, 60))).unwrap()).collect();
    let again = submit(&engine, &request).unwrap();
    let (again, _) = join(gather(again), join_all(others.into_iter().map(gather))).await;
    assert_eq!(answered(&alone), answered(&again));
}

#[tokio::test]
async fn log_probabilities_come_with_the_text_of_their_tokens() {
    // No thought: of a thought nothing is told.
    let sampling = Sampling { logprobs: Some(true), top_logprobs: Some(3), stop: vec!["zzz".to_owned()], ..seeded(5, 60) };
    let request = with(ask(PROMPT, sampling), &[("logit_bias", r#"{"319": 100}"#)]);
    let deltas = gather(submit(&engine(1, 0), &request).unwrap()).await;
    assert!(!deltas.iter().any(|d| matches!(d, Delta::Logprobs { .. })), "only marks were written");
    let sampling = Sampling {
        logprobs: Some(true),
        top_logprobs: Some(3),
        stop: vec!["zzz".to_owned()],
        temperature: Some(0.0),
        ..tokens(64)
    };
    let deltas = gather(submit(&engine(1, 0), &ask(PROMPT, sampling)).unwrap()).await;
    let (_, text, ..) = read(&deltas, 0);
    assert!(!text.is_empty());
    let mut bytes = Vec::new();
    for (at, delta) in deltas.iter().enumerate() {
        let Delta::Logprobs { value, .. } = delta else { continue };
        assert!(matches!(deltas[at + 1], Delta::Text { .. }), "directly before their text");
        let value: Value = serde_json::from_str(value.get()).unwrap();
        for entry in value["content"].as_array().unwrap() {
            let (logprob, top) = (entry["logprob"].as_f64().unwrap(), entry["top_logprobs"].as_array().unwrap());
            assert_eq!((top.len(), &top[0]["token"], top[0]["logprob"].as_f64().unwrap()), (3, &entry["token"], logprob), "greedy");
            assert!(logprob < 0.0 && top[1]["logprob"].as_f64().unwrap() <= logprob);
            bytes.extend(entry["bytes"].as_array().unwrap().iter().map(|b| u8::try_from(b.as_u64().unwrap()).unwrap()));
        }
    }
    let tokens = String::from_utf8_lossy(&bytes).into_owned();
    assert_eq!(tokens.trim_start_matches('\n'), text);
}

#[tokio::test]
async fn a_budget_closes_the_thought_and_lets_the_answer_follow() {
    let engine = engine(2, 2);
    for (fields, budget) in [(("thinking_budget", "5"), 5), (("reasoning_effort", r#""none""#), 0)] {
        // The tiny model closes its thought by itself only after 22 tokens.
        let request = with(ask(PROMPT, greedy(20)), &[fields]);
        let deltas = gather(submit(&engine, &request).unwrap()).await;
        let (thought, text, _, usage) = read(&deltas, 0);
        let (plain, ..) = read(&gather(submit(&engine, &ask(PROMPT, greedy(20))).unwrap()).await, 0);
        assert!(plain.starts_with(&thought) && thought.len() < plain.len() && !text.is_empty(), "{thought:?}, {text:?}");
        let reasoning = usize::try_from(usage.unwrap().reasoning.unwrap()).unwrap();
        // The line break and the mark that close it; and what its last character still took.
        assert!((budget + 2..budget + 6).contains(&reasoning), "{reasoning}");
    }
}

#[tokio::test]
async fn a_thought_is_left_out_where_it_is_not_wanted() {
    let request = with(ask(PROMPT, greedy(64)), &[("include_reasoning", "false")]);
    let (plain, deltas) = (said(&ask(PROMPT, greedy(64))).await, gather(submit(&engine(1, 0), &request).unwrap()).await);
    let (thought, text, _, usage) = read(&deltas, 0);
    assert_eq!((thought.as_str(), &text), ("", &plain.1));
    assert!(usage.unwrap().reasoning.unwrap() > 20, "it is counted all the same");
}
