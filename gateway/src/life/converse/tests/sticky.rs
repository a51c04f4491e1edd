//! Conversations that keep their leg, by what clients say of them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::config::facts::{LegFact, LegTarget, ProviderFact, Strategy};
use crate::life::kit::{Kit, post_to};
use crate::upstreams::remote::rig::{Rig, answer, fact, json as body};

/// A gateway whose route `m` has two equal legs.
async fn kit_of(strategy: Strategy) -> (Kit, Rig) {
    let rig = Rig::new(vec![vec![body(&answer("hello"))]]).await;
    let mut kit = Kit::new();
    let names = ["a", "b"];
    for name in names {
        kit.facts.providers.insert(name.to_owned(), ProviderFact { name: name.to_owned(), ..fact(&rig.url) });
    }
    kit.route().legs = names.map(|name| LegFact::new(LegTarget::Provider(name.to_owned()), "x")).into();
    (kit.route().strategy, kit.route().sticky) = (strategy, true);
    (kit, rig)
}

/// Sends it, and gives the leg that answered and the answer.
async fn ask(kit: &mut Kit, path: &str, (asked, headers): (&Value, &[(&str, &str)])) -> (String, Value) {
    let heard = kit.send(post_to(path, &asked.to_string(), headers)).await.whole().await;
    assert_eq!(heard.status, 200, "{}", heard.text);
    (heard.header("x-gatewright-leg").to_owned(), heard.json())
}

/// Conversations that are looked at. That each of them stays by chance is as likely as that all begin with one leg.
const MANY: usize = 20;

#[tokio::test]
async fn a_conversation_keeps_its_leg_whatever_its_client_calls_it() {
    let chat = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    let with = |field: &str, value: Value| {
        let mut body = chat.clone();
        body[field] = value;
        body
    };
    for strategy in [Strategy::Weighted, Strategy::LeastBusy, Strategy::LeastLatency] {
        let (mut kit, _rig) = kit_of(strategy).await;
        let session = "x".repeat(150);
        for named in 0..4 {
            let mut legs = BTreeSet::new();
            for n in 0..MANY {
                let id = format!("{session}{n}");
                let short = format!("c{n}");
                let (path, asked) = match named {
                    0 => ("/v1/chat/completions", chat.clone()),
                    1 => ("/v1/chat/completions", with("prompt_cache_key", json!(id))),
                    2 => ("/v1/chat/completions", with("user", json!(short))),
                    _ => ("/v1/messages", with("metadata", json!({"user_id": id}))),
                };
                let header = [("x-gatewright-conversation", short.as_str())];
                let headers = if named == 0 { &header[..] } else { &[] };
                let (leg, _) = ask(&mut kit, path, (&asked, headers)).await;
                for _ in 0..3 {
                    assert_eq!(ask(&mut kit, path, (&asked, headers)).await.0, leg, "{strategy:?} {named}");
                }
                legs.insert(leg);
            }
            // The fastest so far may be the same one for all.
            assert!(legs.len() == 2 || strategy == Strategy::LeastLatency, "{strategy:?} {named}: {legs:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_follows_another_comes_from_the_same_leg() {
    for strategy in [Strategy::Weighted, Strategy::LeastBusy] {
        let (mut kit, _rig) = kit_of(strategy).await;
        let mut legs = BTreeSet::new();
        for _ in 0..MANY {
            let (leg, first) = ask(&mut kit, "/v1/responses", (&json!({"model": "m", "input": "hi"}), &[])).await;
            let mut before = first["id"].clone();
            for _ in 0..2 {
                let next = json!({"model": "m", "input": "and?", "previous_response_id": before});
                let (again, said) = ask(&mut kit, "/v1/responses", (&next, &[])).await;
                assert_eq!(again, leg, "{strategy:?}");
                before = said["id"].clone();
            }
            legs.insert(leg);
        }
        assert_eq!(legs.len(), 2, "{strategy:?}");
    }
}

#[tokio::test]
async fn where_legs_have_an_order_a_conversation_takes_the_first_and_not_its_backup() {
    let (mut kit, _rig) = kit_of(Strategy::Ordered).await;
    for n in 0..MANY {
        let id = format!("c{n}");
        let heard = kit.chat_with(super::ASK, &[("x-gatewright-conversation", &id)]).await;
        assert_eq!(heard.header("x-gatewright-leg"), "a/x");
    }
}
