//! What conditions see of a request wherever they are asked, what keeps a plugin's question here, and what is told of the way.

use std::time::Duration;

use super::routing::{cloud, condition, kit_of, rule, silent};
use super::{ASK, STREAM};
use crate::config::facts::{AskFact, HedgeFact, LegFact, ReachFact};
use crate::life::kit::{Item, Kit, says, stream_of};
use crate::upstreams::remote::rig::{Rig, Step, event, last_piece, piece, stream_head};

#[tokio::test]
async fn conditions_of_legs_see_the_model_that_the_client_asked_for() {
    let cloud = cloud().await;
    let mut kit = kit_of(&cloud);
    kit.route().legs[0].when = Some(condition("request.model == \"m\" && request.tools == []"));
    kit.route().legs[1].when = Some(condition("request.model != \"m\""));
    let heard = kit.chat(ASK).await;
    assert_eq!((heard.status, heard.header("x-gatewright-leg")), (200, "cloud/x"), "{}", heard.text);
}

/// A plugin that asks the route `m`, and answers with what came of it.
fn judging(kit: &mut Kit) {
    let source = r#"return { inspect = function()
      local said, why = model.ask("m", "is this bad?", 50)
      return { answer(tostring(said) .. "|" .. tostring(why)) }
    end }"#;
    kit.plugin("judge", "grants: [model]\nsubscribe:\n  - {phases: [request], channels: [user]}", source);
    let fact = kit.facts.plugins.get_mut("judge").unwrap();
    fact.operator.grants = vec!["model".to_owned()];
    fact.operator.limits = [("wall_ms".to_owned(), 20_000)].into();
    fact.reach = ReachFact { asks: Some(AskFact { routes: vec!["m".to_owned()], max_tokens: 1000 }), fetch: None };
}

#[tokio::test]
async fn a_question_of_a_plugins_about_a_request_that_must_not_leave_stays_too() {
    let cloud = cloud().await;
    let mut kit = kit_of(&cloud);
    judging(&mut kit);
    kit.facts.rules = vec![rule("\"x-secret\" in request.headers", None)];
    kit.script(says("from here"));
    let heard = kit.chat_with(ASK, &[("x-secret", "1")]).await;
    assert_eq!((heard.status, cloud.asked()), (200, 0), "{}", heard.text);
    assert!(heard.text.contains("from here|"), "{}", heard.text);
    assert!(kit.chat(ASK).await.text.contains("from the cloud|") && cloud.asked() == 1);
    // Where nothing that stays answers, nobody is asked.
    let mut kit = kit_of(&cloud);
    judging(&mut kit);
    kit.facts.rules = vec![rule("\"x-secret\" in request.headers", None)];
    kit.route().legs.pop();
    let heard = kit.chat_with(ASK, &[("x-secret", "1")]).await;
    assert!(heard.text.contains("denied") && cloud.asked() == 1, "{}", heard.text);
}

#[tokio::test]
async fn a_question_of_a_plugins_is_judged_as_its_callers() {
    let cloud = cloud().await;
    let mut kit = kit_of(&cloud);
    judging(&mut kit);
    kit.route().legs[0].when = Some(condition("key == \"\""));
    kit.route().legs[1].when = Some(condition("key == \"-\" && tenant == \"-\""));
    kit.script(says("from here"));
    let heard = kit.chat(ASK).await;
    assert!(heard.text.contains("from here|") && cloud.asked() == 0, "{}", heard.text);
}

#[tokio::test]
async fn a_second_leg_that_lost_is_no_fallback() {
    let slow = silent().await;
    let mut kit = kit_of(&slow);
    kit.facts.litellm_headers = true;
    kit.route().legs.reverse();
    kit.route().hedge = Some(HedgeFact { after: Some(Duration::from_millis(1)), percentile: None });
    let mut items = vec![Item::Wait(Duration::from_millis(200))];
    items.extend(stream_of(&[r#"{"content":"hello"}"#]));
    kit.script(items);
    let heard = kit.chat(STREAM).await;
    assert_eq!(heard.header("x-gatewright-tries"), "cloud/x=lost; engine/m=spoke", "{}", heard.text);
    assert_eq!((heard.header("x-litellm-attempted-fallbacks"), heard.header("x-litellm-attempted-retries")), ("0", "0"));
}

#[tokio::test]
async fn what_was_not_carried_is_told_at_the_end_of_a_stream_that_began_before() {
    let hosted = serde_json::json!({"model": "m", "stream": true, "input": "hi", "tools": [{"type": "web_search"}]});
    for (wait, early) in [(300, true), (0, false)] {
        let script = vec![
            Step::Wait(Duration::from_millis(wait)),
            stream_head(),
            piece(&event(r#"{"content":"hello"}"#, Some("stop"))),
            piece("data: [DONE]\n\n"),
            last_piece(),
        ];
        let cloud = Rig::new(vec![script]).await;
        let mut kit = kit_of(&cloud);
        kit.facts.limits.keep_alive = Duration::from_millis(if early { 10 } else { 60_000 });
        let heard = kit.chat(&STREAM.replace("\"stream\"", "\"reasoning_effort\":\"high\",\"stream\"")).await;
        let responses = kit.responses(&hosted).await;
        let told = (responses.header("x-gatewright-not-carried"), responses.text.contains(": x-gatewright-not-carried: "));
        assert_eq!(told, ("tools:web_search", false), "known at once, it is told once: {}", responses.text);
        let told = (heard.header("x-gatewright-thinking"), heard.text.contains(": x-gatewright-thinking: effort=high\n"));
        assert_eq!(told, (if early { "" } else { "effort=high" }, early), "{}", heard.text);
    }
}

#[tokio::test]
async fn how_far_a_prompt_is_read_is_told_only_while_the_engine_is_asked() {
    let mut kit = kit_of(&silent().await);
    kit.facts.limits.keep_alive = Duration::from_millis(10);
    let mut legs: Vec<LegFact> = kit.route().legs.drain(..).collect();
    legs.reverse();
    kit.route().legs = legs;
    kit.route().first_token = Some(Duration::from_millis(400));
    kit.script(vec![Item::Hang]);
    let mut answer = kit.send(crate::life::kit::post(STREAM, &[])).await;
    answer.frame().await;
    kit.upstream.asked.lock().unwrap()[0].origin.prefill.tell((512, 4096));
    let mut told = Vec::new();
    while told.last().is_none_or(|frame: &String| !frame.contains("error")) {
        told.push(answer.frame().await);
    }
    let reads = |frame: &String| frame.starts_with(": prefill 512/4096\n\n");
    let last = told.iter().rposition(reads).expect("it was told while it was read");
    assert!(last + 10 < told.len(), "nothing of it while the cloud is asked: {told:?}");
}

#[tokio::test]
async fn how_far_a_prompt_is_read_is_told_while_one_of_two_tries_at_the_engine_goes_on() {
    let mut kit = Kit::new();
    kit.facts.limits.keep_alive = Duration::from_millis(10);
    let engine = kit.route().legs[0].clone();
    kit.route().legs = vec![engine.clone(), engine];
    kit.route().hedge = Some(HedgeFact { after: Some(Duration::from_millis(1)), percentile: None });
    kit.script(vec![Item::Hang]);
    kit.script(vec![Item::Fail(gatewright_types::Fault::upstream("e", gatewright_types::FaultKind::Engine, "broken"))]);
    let mut answer = kit.send(crate::life::kit::post(STREAM, &[])).await;
    answer.frame().await;
    while kit.upstream.asked.lock().unwrap().len() < 2 {
        answer.frame().await;
    }
    // The second one has failed by the next frame but one.
    for _ in 0..3 {
        answer.frame().await;
    }
    kit.upstream.asked.lock().unwrap()[0].origin.prefill.tell((512, 4096));
    let mut told = Vec::new();
    for _ in 0..5 {
        told.push(answer.frame().await);
    }
    assert!(told.iter().any(|frame| frame.starts_with(": prefill 512/4096")), "{told:?}");
}
