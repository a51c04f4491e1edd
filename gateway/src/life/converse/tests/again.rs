//! A model that is asked again: elsewhere, with an instruction, streamed and whole, and what is paid for it.

use super::*;
use crate::config::facts::{AskFact, ProviderFact, ReachFact};
use crate::life::kit::finish;
use crate::upstreams::quirks::{Quirks, Reasoning};
use crate::upstreams::remote::rig;

/// Asks again where the answer says `bad`: by `reask(...)` as given.
fn again(wish: &str) -> String {
    format!(
        r#"return {{ inspect = function(ctx, event)
          for _, segment in event.segments do
            if string.find(segment.text, "bad", 1, true) then return {{ reask({wish}) }} end
          end
        end }}"#
    )
}

const CHUNKS: &str = "window: 64\nsubscribe:\n  - {phases: [chunk], channels: [assistant]}";
const WHOLE: &str = "subscribe:\n  - {phases: [response], channels: [assistant]}";

fn with_other(kit: &mut Kit) {
    let mut other = kit.route().clone();
    other.name = "other".to_owned();
    kit.facts.routes.insert("other".to_owned(), other);
}

/// The text of the message, whichever way the answer came.
fn text(ask: &str, heard: &crate::life::kit::Heard) -> String {
    if ask == STREAM {
        heard.said("content")
    } else {
        heard.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn an_answer_that_nobody_saw_is_asked_for_again_with_an_instruction() {
    for (manifest, ask) in [(CHUNKS, STREAM), (CHUNKS, ASK), (WHOLE, STREAM), (WHOLE, ASK)] {
        let mut kit = Kit::new();
        kit.plugin("judge", manifest, &again(r#"nil, "Be good.""#));
        kit.script(stream_of(&[r#"{"role":"assistant","content":""}"#, r#"{"content":"this is "}"#, r#"{"content":"bad"}"#]));
        kit.script(stream_of(&[r#"{"role":"assistant","content":"this is "}"#, r#"{"content":"good"}"#]));
        let heard = kit.chat(ask).await;
        assert_eq!((heard.status, text(ask, &heard).as_str()), (200, "this is good"), "{manifest} {ask}: {}", heard.text);
        assert!(!heard.text.contains("bad"));
        let asked = kit.upstream.asked.lock().unwrap().clone();
        assert_eq!((asked.len(), asked[1].messages.len()), (2, 2));
        assert_eq!(asked[1].messages[1].role, gatewright_types::Role::System);
        assert_eq!(asked[1].messages[1].content.joined(), "Be good.");
        if ask == ASK {
            assert!(heard.header("x-gatewright-plugins").contains("reask:assistant"), "{:?}", heard.headers);
        }
        let row = &kit.rows()[0];
        assert_eq!((row.outcome.as_str(), row.rounds), ("ok", 2));
        assert_eq!((row.completion_tokens > 3, row.verdicts.contains(r#""did":"reask""#)), (true, true), "{}", row.verdicts);
    }
}

#[tokio::test]
async fn the_client_gets_one_bill_and_one_id() {
    let mut kit = Kit::new();
    kit.plugin("judge", WHOLE, &again(r#"nil, "Be good.""#));
    for text in ["bad", "good"] {
        kit.script(stream_of(&[&format!(r#"{{"content":"{text}"}}"#)]));
    }
    let heard = kit
        .chat(r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}"#)
        .await;
    let bills: Vec<_> = heard.events().into_iter().filter(|event| event["usage"].is_object()).collect();
    assert_eq!(bills.len(), 1, "{}", heard.text);
    assert_eq!(bills[0]["usage"]["completion_tokens"], 6);
    let ids: std::collections::BTreeSet<String> = heard.events().iter().map(|event| event["id"].to_string()).collect();
    assert_eq!((ids.len(), heard.is_done()), (1, true), "{}", heard.text);
    assert_eq!(kit.rows()[0].completion_tokens, 6);
}

#[tokio::test]
async fn an_answer_is_asked_for_elsewhere_where_the_key_may_go() {
    for ask in [STREAM, ASK] {
        let mut kit = Kit::new();
        kit.plugin("judge", CHUNKS, &again(r#""other""#));
        with_other(&mut kit);
        kit.script(says("bad"));
        kit.script(says("good"));
        assert_eq!(text(ask, &kit.chat(ask).await), "good");
    }
    let mut kit = Kit::new();
    kit.plugin("judge", CHUNKS, &again(r#""nowhere""#));
    kit.script(says("bad"));
    assert_eq!(kit.chat(STREAM).await.status, 404);
}

/// Other plugins there see the request before their model is asked, and its answer.
#[tokio::test]
async fn the_plugins_of_the_other_route_see_request_and_answer() {
    let mut kit = Kit::new();
    kit.plugin("judge", CHUNKS, &again(r#""other""#));
    kit.plugin("redact", EVERYWHERE, REDACT);
    kit.facts.default_plugins = vec!["judge".to_owned()];
    with_other(&mut kit);
    kit.facts.routes.get_mut("other").unwrap().plugins = Some(vec!["redact".to_owned()]);
    kit.script(says("bad"));
    kit.script(says("it is sk-654321"));
    let heard = kit.chat(r#"{"model":"m","messages":[{"role":"user","content":"mine is sk-123456"}]}"#).await;
    assert_eq!(heard.json()["choices"][0]["message"]["content"], "it is [redacted]");
    let asked = kit.upstream.asked.lock().unwrap()[1].messages[0].content.joined().into_owned();
    assert_eq!(asked, "mine is [redacted]");
    let verdicts = kit.rows().remove(0).verdicts;
    assert!(verdicts.contains("reask") && verdicts.contains("redact"), "{verdicts}");
}

/// What was there before they saw it is not kept: what they left is another conversation.
#[tokio::test]
async fn what_plugins_of_another_route_saw_later_is_not_kept() {
    for (there, kept) in [("redact", 404), ("judge", 200)] {
        let mut kit = Kit::new();
        kit.plugin("judge", CHUNKS, &again(r#""other""#));
        kit.plugin("redact", EVERYWHERE, REDACT);
        kit.facts.default_plugins = vec!["judge".to_owned()];
        with_other(&mut kit);
        kit.facts.routes.get_mut("other").unwrap().plugins = Some(vec![there.to_owned()]);
        kit.script(says("bad"));
        kit.script(says("good"));
        let heard = kit.responses(&serde_json::json!({"model": "m", "input": "mine is sk-123456"})).await;
        assert_eq!(heard.status, 200, "{}", heard.text);
        assert_eq!(heard.json()["store"], kept == 200, "{there}: it says what is true");
        let path = format!("/v1/responses/{}", heard.json()["id"].as_str().unwrap());
        assert_eq!(kit.get(&path).await.status, kept, "{there}");
    }
}

/// It belongs to an answer that nobody got.
#[tokio::test]
async fn thought_of_an_answer_that_was_dropped_is_not_put_back() {
    let mut kit = Kit::new();
    let quirks = Quirks { reasoning: Reasoning::WithCalls, ..Quirks::default() };
    kit.facts.providers.insert("strict".to_owned(), ProviderFact { quirks, ..rig::fact("http://127.0.0.1:9") });
    kit.plugin("judge", CHUNKS, &again(r#"nil, "Be good.""#));
    kit.script(stream_of(&[r#"{"reasoning_content":"dropped, "}"#, r#"{"content":"bad"}"#]));
    let call = r#"{"tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":"{}"}}]}"#;
    kit.script(events(&[&event(r#"{"reasoning_content":"given"}"#), &event(call), &finish("tool_calls")]));
    let heard = kit.chat(ASK).await;
    assert_eq!(heard.json()["choices"][0]["message"]["reasoning_content"], "given", "{}", heard.text);
    kit.script(says("good"));
    let call = r#"{"id":"t","type":"function","function":{"name":"f","arguments":"{}"}}"#;
    let history = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}},{{"role":"assistant","content":null,"tool_calls":[{call}]}},
            {{"role":"tool","tool_call_id":"t","content":"x"}}]}}"#
    );
    assert_eq!(kit.chat(&history).await.status, 200);
    let asked = kit.upstream.asked.lock().unwrap()[2].messages[1].reasoning.clone();
    assert_eq!(asked.as_deref(), Some("given"));
}

#[tokio::test]
async fn it_is_too_late_once_something_was_sent_and_twice_is_enough() {
    let mut kit = Kit::new();
    kit.plugin("judge", "window: 1\nsubscribe:\n  - {phases: [chunk], channels: [assistant]}", &again(r#"nil, "x""#));
    kit.script(stream_of(&[r#"{"content":"so far, "}"#, r#"{"content":"bad"}"#]));
    let heard = kit.chat(STREAM).await;
    assert!(heard.said("content").starts_with("so far") && heard.text.contains("plugin_failed"), "{}", heard.text);
    for _ in 0..3 {
        kit.script(says("bad"));
    }
    let heard = kit.chat(ASK).await;
    assert_eq!((heard.status, heard.json()["error"]["code"].as_str().unwrap()), (500, "plugin_failed"));
    assert_eq!(kit.upstream.asked.lock().unwrap().len(), 4);
}

/// Lets `judge` ask the route `m`.
fn may_ask(kit: &mut Kit, max_tokens: u64) {
    let fact = kit.facts.plugins.get_mut("judge").unwrap();
    fact.operator.grants = vec!["model".to_owned()];
    fact.operator.limits = [("wall_ms".to_owned(), 20_000)].into();
    fact.reach = ReachFact { asks: Some(AskFact { routes: vec!["m".to_owned()], max_tokens }), fetch: None };
}

#[tokio::test]
async fn a_plugin_asks_a_model_past_all_plugins_and_within_its_budget() {
    let source = r#"return { inspect = function(ctx, event)
      local first, why = model.ask("m", "is this bad? " .. event.segments[1].text, 50)
      local _, second = model.ask("m", "again", 50)
      local _, elsewhere = model.ask("other", "x")
      return { answer(tostring(first) .. "|" .. tostring(second) .. "|" .. tostring(elsewhere)) }
    end }"#;
    let mut kit = Kit::new();
    kit.plugin("judge", "grants: [model]\nsubscribe:\n  - {phases: [request], channels: [user]}", source);
    may_ask(&mut kit, 20);
    with_other(&mut kit);
    let body = r#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"no"},"finish_reason":"stop"}],"usage":{"prompt_tokens":15,"completion_tokens":4,"total_tokens":19}}"#;
    kit.script(body_of(body));
    let heard = kit.chat(ASK).await;
    let said = heard.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    assert_eq!(said, "no|limit: 20 tokens in one request|denied");
    let asked = kit.upstream.asked.lock().unwrap().clone();
    assert_eq!((asked.len(), asked[0].messages.len(), asked[0].messages[0].content.joined().as_ref()), (1, 1, "is this bad? hi"));
    assert!(asked[0].sampling.max_tokens.is_some_and(|most| most < 20), "{:?}", asked[0].sampling);
    assert_eq!(asked[0].origin.tenant, "-", "on the account of who asks: it holds words of theirs");
    let metrics = kit.host().shared.metrics.render();
    assert!(metrics.contains(r#"gatewright_plugin_questions_total{plugin="judge",outcome="ok"} 1"#), "{metrics}");
    assert!(metrics.contains(r#"gatewright_plugin_tokens_total{plugin="judge",kind="completion"} 4"#), "{metrics}");
    let row = &kit.rows()[0];
    assert_eq!((row.prompt_tokens, row.completion_tokens, row.rounds, row.estimated), (15, 4, 0, false));
}

#[tokio::test]
async fn a_question_that_takes_too_long_is_given_up_and_counted() {
    let source = r#"return { inspect = function() model.ask("m", "x") end }"#;
    let mut kit = Kit::new();
    kit.plugin("judge", "grants: [model]\nsubscribe:\n  - {phases: [request], channels: [user]}", source);
    may_ask(&mut kit, 1000);
    kit.facts.plugins.get_mut("judge").unwrap().operator.limits = [("wall_ms".to_owned(), 50)].into();
    kit.script(vec![Item::Hang]);
    let heard = kit.chat(ASK).await;
    assert_eq!((heard.status, heard.json()["error"]["code"].as_str().unwrap()), (500, "plugin_failed"));
    assert_eq!(kit.upstream.alive.load(std::sync::atomic::Ordering::SeqCst), 0);
    let row = &kit.rows()[0];
    assert_eq!((row.prompt_tokens > 0, row.estimated), (true, true));
}
