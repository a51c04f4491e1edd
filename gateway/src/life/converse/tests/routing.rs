//! Which legs a request goes to, what becomes of it where they are in trouble, and that what must not leave never does.

use std::sync::Arc;
use std::time::Duration;

use super::{ASK, STREAM};
use crate::conditions::Condition;
use crate::config::facts::{BreakerFact, HedgeFact, LegFact, LegTarget, ProviderFact, RetryFact, RouteFact, RuleFact};
use crate::life::kit::{Item, Kit, event, events, says, stream_of};
use crate::money::{Nanos, Price, Rates};
use crate::upstreams::remote::rig::{Rig, Step, answer, fact, json, response};

pub(super) fn condition(text: &str) -> Arc<Condition> {
    Arc::new(Condition::read(text).unwrap())
}

pub(super) fn rule(when: &str, to: Option<&str>) -> RuleFact {
    RuleFact { when: condition(when), to: to.map(str::to_owned), local_only: to.is_none() }
}

/// A server that answers whatever it is asked, and is far away.
pub(super) async fn cloud() -> Rig {
    Rig::new(vec![vec![json(&answer("from the cloud"))]]).await
}

/// One that never says a word.
pub(super) async fn silent() -> Rig {
    Rig::new(vec![vec![Step::Wait(Duration::from_secs(60))]]).await
}

/// A gateway whose route `m` asks the cloud and then the engine.
pub(super) fn kit_of(cloud: &Rig) -> Kit {
    let mut kit = Kit::new();
    kit.facts.providers.insert("cloud".to_owned(), ProviderFact { name: "cloud".to_owned(), ..fact(&cloud.url) });
    let engine = kit.route().legs[0].clone();
    kit.route().legs = vec![LegFact::new(LegTarget::Provider("cloud".to_owned()), "x"), engine];
    kit
}

fn asking(bytes: usize) -> String {
    ASK.replace("hi", &"x".repeat(bytes))
}

#[tokio::test]
async fn a_leg_is_asked_only_where_its_condition_holds() {
    let cloud = cloud().await;
    let mut kit = kit_of(&cloud);
    let when = "tokens < 100 || (\"x-tier\" in request.headers && request.headers[\"x-tier\"] == \"gold\")";
    kit.route().legs[0].when = Some(condition(when));
    kit.script(says("from here"));
    let cases = [
        (asking(40), &[][..], "cloud/x"),
        (asking(4000), &[("x-tier", "tin")][..], "engine/m"),
        (asking(4000), &[("x-tier", "gold")][..], "cloud/x"),
    ];
    for (ask, headers, leg) in cases {
        let heard = kit.chat_with(&ask, headers).await;
        assert_eq!((heard.status, heard.header("x-gatewright-leg")), (200, leg), "{}", heard.text);
    }
}

#[tokio::test]
async fn a_request_that_no_leg_is_for_is_refused_and_nobody_is_asked() {
    let cloud = cloud().await;
    let mut kit = kit_of(&cloud);
    kit.route().legs.iter_mut().for_each(|leg| leg.when = Some(condition("request.stream")));
    let heard = kit.chat(ASK).await;
    assert_eq!((heard.status, heard.json()["error"]["param"].as_str(), cloud.asked()), (400, Some("model"), 0), "{}", heard.text);
    assert_eq!(kit.rows()[0].attempts, 0);
}

#[tokio::test]
async fn a_large_request_goes_to_another_route_and_credentials_are_shown_to_no_condition() {
    let cloud = cloud().await;
    let mut kit = kit_of(&cloud);
    let other = RouteFact::plain("other", vec![kit.route().legs[1].clone()]);
    kit.facts.routes.insert("other".to_owned(), other);
    kit.route().rules = vec![
        rule("\"authorization\" in request.headers || \"x-api-key\" in request.headers", Some("nowhere")),
        rule("tokens > 500 && key == \"-\"", Some("other")),
    ];
    kit.script(says("from here"));
    let heard = kit.chat_with(&asking(8000), &[("authorization", "Bearer secret"), ("x-api-key", "k")]).await;
    assert_eq!((heard.status, heard.header("x-gatewright-leg"), cloud.asked()), (200, "engine/m", 0), "{}", heard.text);
    assert_eq!(kit.chat(&asking(8)).await.header("x-gatewright-leg"), "cloud/x");
}

#[tokio::test]
async fn an_answer_is_cached_apart_for_those_whom_other_legs_answer() {
    let cloud = cloud().await;
    let mut kit = kit_of(&cloud);
    kit.route().cache = Some(Duration::from_secs(60));
    kit.route().legs[0].when = Some(condition("\"x-cloud\" in request.headers"));
    kit.script(says("from here"));
    let header: &[(&str, &str)] = &[("x-cloud", "1")];
    for (headers, text, cache) in [
        (&[][..], "from here", "miss"),
        (header, "from the cloud", "miss"),
        (&[], "from here", "hit"),
        (header, "from the cloud", "hit"),
    ] {
        let heard = kit.chat_with(ASK, headers).await;
        assert!(heard.text.contains(text), "{}", heard.text);
        assert_eq!(heard.header("x-gatewright-cache"), cache);
    }
}

#[tokio::test]
async fn a_condition_that_cannot_be_judged_refuses_the_request_and_is_on_record() {
    for of_leg in [true, false] {
        let cloud = cloud().await;
        let mut kit = kit_of(&cloud);
        let when = "\"x-level\" in request.headers && int(request.headers[\"x-level\"]) > 3";
        match of_leg {
            true => kit.route().legs[1].when = Some(condition(when)),
            false => kit.facts.rules = vec![rule(when, None)],
        }
        assert_eq!(kit.chat_with(ASK, &[("x-level", "2")]).await.status, 200);
        let heard = kit.chat_with(ASK, &[("x-level", "private words")]).await;
        assert_eq!((heard.status, cloud.asked()), (500, 1), "{}", heard.text);
        assert!(heard.text.contains("A condition of this gateway") && !heard.text.contains("x-level"), "{}", heard.text);
        let row = &kit.rows()[1];
        assert_eq!((row.outcome.as_str(), row.attempts), ("internal", 0));
    }
}

#[tokio::test]
async fn what_must_not_leave_never_does_whatever_fails() {
    let local = || RuleFact { local_only: true, ..rule("\"x-secret\" in request.headers", None) };
    let secret: &[(&str, &str)] = &[("x-secret", "1"), ("x-level", "none")];
    let fails = || vec![Item::Fail(gatewright_types::Fault::upstream("e", gatewright_types::FaultKind::Engine, "broken"))];
    type Change = fn(&mut Kit);
    let cases: [(&str, Change, Vec<Vec<Item>>, u16); 5] = [
        ("fail-over and fallbacks", |kit| kit.route().legs[0].fallback = true, vec![fails()], 500),
        (
            "a hedge",
            |kit| {
                kit.route().hedge = Some(HedgeFact { after: Some(Duration::from_millis(1)), percentile: None });
                kit.route().first_token = Some(Duration::from_millis(100));
            },
            // The engine itself is asked a second time.
            vec![vec![Item::Hang], vec![Item::Hang]],
            504,
        ),
        ("a slow stream", |kit| kit.route().first_token = Some(Duration::from_millis(5)), vec![vec![Item::Hang]], 504),
        ("a leg that is not for it", |kit| kit.route().legs[1].when = Some(condition("tokens > 1000")), vec![], 400),
        (
            "a condition that fails",
            |kit| {
                kit.route().rules =
                    vec![rule("int(\"x-level\" in request.headers ? request.headers[\"x-level\"] : \"1\") > 3", Some("far"))]
            },
            vec![],
            500,
        ),
    ];
    for (what, change, scripts, status) in cases {
        let cloud = cloud().await;
        let mut kit = kit_of(&cloud);
        kit.facts.rules = vec![local()];
        let far = RouteFact::plain("far", vec![kit.route().legs[0].clone()]);
        kit.facts.routes.insert("far".to_owned(), far);
        change(&mut kit);
        scripts.into_iter().for_each(|script| kit.script(script));
        let heard = kit.chat_with(STREAM, secret).await;
        assert_eq!((heard.status, cloud.asked()), (status, 0), "{what}: {}", heard.text);
    }
}

#[tokio::test]
async fn what_must_not_leave_stays_while_the_legs_that_stay_are_left_alone() {
    let cloud = cloud().await;
    let mut kit = kit_of(&cloud);
    kit.facts.breaker = BreakerFact { least: 1, ..BreakerFact::DEFAULT };
    kit.facts.rules = vec![rule("\"x-secret\" in request.headers", None)];
    kit.script(vec![Item::Fail(gatewright_types::Fault::upstream("e", gatewright_types::FaultKind::Engine, "broken"))]);
    let secret: &[(&str, &str)] = &[("x-secret", "1")];
    assert_eq!(kit.chat_with(STREAM, secret).await.status, 500);
    let heard = kit.chat_with(STREAM, secret).await;
    assert_eq!((heard.status, cloud.asked()), (503, 0), "{}", heard.text);
    assert!((1..=5).contains(&heard.header("retry-after").parse::<u32>().unwrap()), "{:?}", heard.headers);
    assert_eq!(heard.header("x-gatewright-tries"), "engine/m=skipped");
    // Others go where they may.
    assert_eq!(kit.chat(ASK).await.header("x-gatewright-leg"), "cloud/x");
    let metrics = kit.host().shared.metrics.render();
    assert!(metrics.contains("gatewright_upstream_attempts_total{leg=\"engine/m\",outcome=\"skipped\"} 1"), "{metrics}");
}

#[tokio::test]
async fn the_loser_of_a_hedge_is_let_go_and_what_it_may_have_cost_is_told_apart() {
    let slow = silent().await;
    let mut kit = kit_of(&slow);
    let rate = Nanos(2_000_000_000);
    let price = Price::flat(Rates { input: rate, cached: Nanos(0), written: rate, written_long: rate, output: rate });
    kit.facts.providers.get_mut("cloud").unwrap().prices.insert("x".to_owned(), price);
    kit.route().hedge = Some(HedgeFact { after: Some(Duration::from_millis(1)), percentile: None });
    kit.script(stream_of(&[r#"{"content":"hello"}"#]));
    let heard = kit.chat(STREAM).await;
    assert_eq!((heard.said("content").as_str(), heard.header("x-gatewright-leg")), ("hello", "engine/m"), "{}", heard.text);
    assert_eq!((heard.header("x-gatewright-attempts"), heard.header("x-gatewright-tries")), ("2", "cloud/x=lost; engine/m=spoke"));
    let metrics = kit.host().shared.metrics.render();
    assert!(metrics.contains("gatewright_upstream_lost_cost_nanodollars_total{leg=\"cloud/x\"} "), "{metrics}");
    let row = &kit.rows()[0];
    assert_eq!((row.prompt_tokens, row.completion_tokens, row.cost_nanos), (5, 3, None), "only what answered is used");
    let said: serde_json::Value = serde_json::from_str(&row.verdicts).unwrap();
    assert_eq!((said["tries"][0]["leg"].as_str(), said["tries"][0]["did"].as_str()), (Some("cloud/x"), Some("lost")));
    // `hi` and its message are five tokens, at two dollars a token of this made-up price.
    assert!(said["tries"][0]["lost_nanos"].as_u64().is_some_and(|nanos| nanos > 0), "{said}");
}

#[tokio::test]
async fn retries_are_withheld_where_their_budget_is_spent() {
    let busy = response("503 Down", &[("retry-after", "0")], "");
    let down = Rig::new(vec![vec![busy]]).await;
    let mut kit = kit_of(&down);
    kit.facts.providers.get_mut("cloud").unwrap().attempts = 3;
    kit.facts.retries = RetryFact { percent: 0, least: 0 };
    kit.script(says("from here"));
    let heard = kit.chat(ASK).await;
    assert_eq!((heard.status, down.asked()), (200, 1));
    assert_eq!(heard.header("x-gatewright-tries"), "cloud/x=withheld:upstream-status; engine/m=spoke");
}

#[tokio::test]
async fn a_long_wait_is_filled_in_each_dialect_and_a_failure_after_it_is_an_error_in_the_stream() {
    let messages =
        serde_json::json!({"model": "m", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    for (path, body, keeps, fails) in [
        ("/v1/chat/completions", STREAM.to_owned(), ": keep-alive\n\n", "data: {\"error\""),
        ("/v1/messages", messages.to_string(), "event: ping\ndata: {\"type\":\"ping\"}\n\n", "event: error\n"),
    ] {
        let mut kit = Kit::new();
        kit.facts.limits.keep_alive = Duration::from_millis(10);
        let fault = gatewright_types::Fault::upstream("e", gatewright_types::FaultKind::UpstreamCut, "gone");
        kit.script(vec![Item::Wait(Duration::from_millis(300)), Item::Fail(fault)]);
        let request = axum::http::Request::post(path).header("content-type", "application/json");
        let heard = kit.send(request.body(body.clone().into()).unwrap()).await.whole().await;
        assert_eq!(heard.status, 200);
        assert!(heard.text.starts_with(keeps) && heard.text.contains(fails) && !heard.is_done(), "{}", heard.text);
        let row = &kit.rows()[0];
        assert_eq!((row.outcome.as_str(), row.status), ("upstream-cut", 200));
        // Before that, it is a status.
        let mut kit = Kit::new();
        let fault = gatewright_types::Fault::upstream("e", gatewright_types::FaultKind::UpstreamCut, "gone");
        kit.script(vec![Item::Fail(fault)]);
        let request = axum::http::Request::post(path).header("content-type", "application/json");
        assert_eq!(kit.send(request.body(body.into()).unwrap()).await.whole().await.status, 502);
    }
}

#[tokio::test]
async fn a_stream_that_began_before_its_leg_was_known_tells_it_at_its_end() {
    let mut kit = Kit::new();
    kit.facts.limits.keep_alive = Duration::from_millis(10);
    let mut items = vec![Item::Wait(Duration::from_millis(300))];
    items.extend(stream_of(&[r#"{"content":"hello"}"#]));
    kit.script(items);
    let heard = kit.chat(STREAM).await;
    assert_eq!((heard.header("x-gatewright-leg"), heard.said("content").as_str()), ("", "hello"));
    for comment in [": x-gatewright-leg: engine/m\n", ": x-gatewright-attempts: 1\n", ": x-gatewright-overhead-us: "] {
        assert!(heard.text.contains(comment), "{comment} is not in {}", heard.text);
    }
    // One that knew it tells it in its headers alone.
    let mut kit = Kit::new();
    kit.script(events(&[&event(r#"{"content":"x"}"#), &crate::life::kit::finish("stop")]));
    let heard = kit.chat(STREAM).await;
    assert!(heard.header("x-gatewright-leg") == "engine/m" && !heard.text.contains("x-gatewright-leg"), "{}", heard.text);
    assert!(!heard.header("x-gatewright-overhead-us").is_empty());
}

#[tokio::test]
async fn headers_of_every_dialect_streamed_and_whole_say_who_answered_and_what_it_came_to() {
    let messages = serde_json::json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    let input = serde_json::json!({"input": "hi"});
    for (path, body) in [("/v1/chat/completions", &messages), ("/v1/messages", &messages), ("/v1/responses", &input)] {
        for stream in [true, false] {
            let cloud = cloud().await;
            let mut kit = kit_of(&cloud);
            let rate = Nanos(2_000_000_000);
            let price = Price::flat(Rates { input: rate, cached: Nanos(0), written: rate, written_long: rate, output: rate });
            kit.facts.providers.get_mut("cloud").unwrap().prices.insert("x".to_owned(), price);
            kit.plugin("look", "subscribe:\n  - {phases: [request], channels: [user]}", "return { inspect = function() end }");
            let mut body = body.clone();
            (body["model"], body["stream"]) = ("m".into(), stream.into());
            let request = axum::http::Request::post(path).header("content-type", "application/json");
            let heard = kit.send(request.body(body.to_string().into()).unwrap()).await.whole().await;
            let head =
                ["leg", "attempts", "cache", "overhead-us", "plugins"].map(|name| heard.header(&format!("x-gatewright-{name}")));
            assert_eq!((heard.status, head[0], head[1], head[2]), (200, "cloud/x", "1", "bypass"), "{path}: {}", heard.text);
            assert!(head[3].parse::<u64>().is_ok() && head[4].starts_with("look=pass"), "{head:?}");
            let cost = heard.header("x-gatewright-cost");
            assert!(if stream { heard.text.contains(": x-gatewright-cost: ") } else { !cost.is_empty() }, "{path}: {}", heard.text);
        }
    }
}

#[tokio::test]
async fn refusals_have_the_other_gateways_call_id_too_where_that_is_wanted() {
    for (compat, id) in [(true, "call-1"), (false, "")] {
        let mut kit = Kit::new();
        kit.facts.litellm_headers = compat;
        let unknown = ASK.replace("\"m\"", "\"nothing\"");
        kit.script(vec![Item::Fail(gatewright_types::Fault::upstream("e", gatewright_types::FaultKind::Engine, "broken"))]);
        for (ask, status) in [(unknown.as_str(), 404), ("{", 400), (ASK, 500)] {
            let heard = kit.chat_with(ask, &[("x-request-id", "call-1")]).await;
            assert_eq!((heard.status, heard.header("x-litellm-call-id")), (status, id), "{}", heard.text);
        }
    }
}
