//! Answers that are made in the background: what is told of them at each stage, and who can end them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use gatewright_types::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::config::facts::KeyFact;
use crate::life::kit::{Answer, Heard, Item, Kit, event, events, post_to, says};
use crate::records::Conversation;

async fn send(kit: &mut Kit, method: &str, path: &str) -> Heard {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    kit.send(request).await.whole().await
}

fn asks() -> Value {
    json!({"model": "m", "input": "hi", "background": true})
}

/// Begins one, and gives its path.
async fn begin(kit: &mut Kit) -> String {
    let heard = kit.responses(&asks()).await;
    let (status, told) = (heard.status, heard.json());
    assert_eq!((status, &told["status"], &told["background"]), (200, &json!("queued"), &json!(true)), "{told}");
    assert_eq!(told["store"], true);
    assert_eq!((&told["output"], &told["completed_at"], &told["usage"]), (&json!([]), &Value::Null, &Value::Null));
    format!("/v1/responses/{}", told["id"].as_str().unwrap())
}

fn hangs() -> Vec<Item> {
    let mut items = events(&[&event(r#"{"content":"hel"}"#)]);
    items.push(Item::Hang);
    items
}

async fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..4000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it takes too long");
}

async fn asked(kit: &Kit, alive: usize) {
    let upstream = kit.upstream.clone();
    until(|| upstream.alive.load(Ordering::SeqCst) == alive).await;
}

/// The answer, once it is over.
async fn over(kit: &mut Kit, path: &str) -> Value {
    for _ in 0..4000 {
        let told = kit.get(path).await.json();
        if told["status"] != "in_progress" {
            return told;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it takes too long");
}

#[tokio::test]
async fn it_is_made_while_nobody_waits_and_kept_as_any_other() {
    let mut kit = Kit::new();
    kit.script(says("hello"));
    let path = begin(&mut kit).await;
    let told = over(&mut kit, &path).await;
    assert_eq!((&told["status"], &told["output"][0]["content"][0]["text"]), (&json!("completed"), &json!("hello")));
    assert_eq!((&told["background"], format!("/v1/responses/{}", told["id"].as_str().unwrap())), (&json!(true), path.clone()));
    let again = send(&mut kit, "POST", &format!("{path}/cancel")).await;
    assert_eq!((again.status, again.json()), (200, told.clone()), "what is over stays as it is");
    kit.script(says("y"));
    let follows = json!({"model": "m", "input": "and?", "previous_response_id": told["id"]});
    assert_eq!(kit.responses(&follows).await.status, 200);
    assert_eq!(kit.upstream.asked.lock().unwrap()[1].messages.len(), 3);
    let rows: Vec<_> = kit.rows().into_iter().map(|row| (row.outcome, row.status)).collect();
    assert_eq!(rows, [("ok".to_owned(), 200), ("ok".to_owned(), 200)]);
}

#[tokio::test]
async fn it_can_be_cancelled_and_then_nothing_more_is_asked_for_it() {
    let mut kit = Kit::new();
    kit.script(hangs());
    let path = begin(&mut kit).await;
    asked(&kit, 1).await;
    let begun = kit.get(&path).await.json();
    assert_eq!((&begun["status"], &begun["store"]), (&json!("in_progress"), &json!(true)));
    let id = path.rsplit('/').next().unwrap();
    let follows = kit.responses(&json!({"model": "m", "input": "and?", "previous_response_id": id})).await;
    assert!(follows.status == 400 && follows.text.contains("not complete yet"), "{}", follows.text);
    let watched = kit.send(Request::get(format!("{path}?stream=true")).body(Body::empty()).unwrap()).await;
    let told = send(&mut kit, "POST", &format!("{path}/cancel")).await;
    assert_eq!((told.status, &told.json()["status"], &told.json()["store"]), (200, &json!("cancelled"), &json!(true)));
    assert_eq!(kit.upstream.alive.load(Ordering::SeqCst), 0);
    assert_eq!(kit.get(&path).await.json(), told.json());
    assert_eq!(send(&mut kit, "POST", &format!("{path}/cancel")).await.json(), told.json());
    let seen = watched.whole().await;
    assert_eq!(seen.events().pop().unwrap()["response"], told.json());
    assert!(seen.is_done());
    let outcomes: Vec<String> = kit.rows().into_iter().map(|row| row.outcome).collect();
    assert_eq!(outcomes, ["invalid-request", "hung-up"]);
}

#[tokio::test]
async fn its_stream_may_be_left_and_taken_up_again() {
    let mut kit = Kit::new();
    let mut items = events(&[&event(r#"{"content":"hel"}"#)]);
    items.push(Item::Wait(Duration::from_millis(50)));
    items.extend(events(&[&event(r#"{"content":"lo"}"#), &crate::life::kit::finish("stop")]));
    kit.script(items);
    let mut body = asks();
    body["stream"] = true.into();
    let mut first: Answer = kit.send(post_to("/v1/responses", &body.to_string(), &[])).await;
    assert_eq!((first.status, first.headers["content-type"].to_str().unwrap()), (200, "text/event-stream"));
    let begins = first.frame().await;
    assert!(begins.contains("response.created") && begins.contains("response.in_progress"), "{begins}");
    let at = begins.find("resp_").unwrap();
    let id = begins[at..].split('"').next().unwrap().to_owned();
    drop(first);
    let rest = kit.get(&format!("/v1/responses/{id}?stream=true&starting_after=1")).await;
    let told = rest.events();
    assert_eq!((&told[0]["sequence_number"], &told[0]["type"]), (&json!(2), &json!("response.output_item.added")));
    let end = told.last().unwrap();
    assert_eq!(
        (&end["type"], &end["response"]["output"][0]["content"][0]["text"]),
        (&json!("response.completed"), &json!("hello"))
    );
    assert!(rest.is_done());
    kit.script(says("x"));
    let whole = kit.send(post_to("/v1/responses", &body.to_string(), &[])).await.whole().await;
    let kinds: Vec<Value> = whole.events().iter().map(|event| event["type"].clone()).collect();
    assert_eq!((&kinds[0], kinds.last().unwrap()), (&json!("response.created"), &json!("response.completed")));
}

#[tokio::test]
async fn what_goes_wrong_is_told_by_the_answer() {
    let mut kit = Kit::new();
    kit.script(vec![Item::Fail(Fault::upstream("scripted", FaultKind::UpstreamStatus(500), "it broke"))]);
    let mut cut = events(&[&event(r#"{"content":"hel"}"#)]);
    cut.push(Item::Fail(Fault::upstream("scripted", FaultKind::UpstreamCut, "it broke off")));
    kit.script(cut);
    for message in ["it broke", "it broke off"] {
        let path = begin(&mut kit).await;
        let told = over(&mut kit, &path).await;
        assert_eq!((&told["status"], &told["error"]["message"]), (&json!("failed"), &json!(message)), "{told}");
        assert_eq!(told["store"], true);
    }
    let refused = kit.responses(&json!({"model": "no", "input": "x", "background": true})).await;
    assert_eq!(refused.status, 404, "what is wrong at once is told at once");
}

#[tokio::test]
async fn the_end_of_the_gateway_is_the_end_of_it() {
    let mut kit = Kit::new();
    kit.script(hangs());
    let path = begin(&mut kit).await;
    asked(&kit, 1).await;
    kit.host().shared.background.close().await;
    let told = kit.get(&path).await.json();
    assert_eq!((&told["status"], &told["error"]["code"]), (&json!("failed"), &json!("server_error")));
    assert_eq!(kit.upstream.alive.load(Ordering::SeqCst), 0);
    // As one is left by a process that was killed.
    let body = json!({"id": "resp_old", "status": "in_progress", "error": null, "background": true, "output": []}).to_string();
    let kept = Conversation {
        tenant: "-".into(),
        id: "resp_old".into(),
        at_ms: 1,
        until_ms: u64::MAX,
        body: body.into(),
        before: "[]".into(),
    };
    assert!(kit.host().shared.records.keep(kept, 1 << 20));
    for (method, path) in [("GET", "/v1/responses/resp_old"), ("POST", "/v1/responses/resp_old/cancel")] {
        let told = send(&mut kit, method, path).await.json();
        assert_eq!(told["status"], "failed", "{told}");
    }
    kit.script(says("y"));
    let follows = kit.responses(&json!({"model": "m", "input": "and?", "previous_response_id": "resp_old"})).await;
    assert_eq!(follows.status, 200, "what failed is gone on from: {}", follows.text);
}

#[tokio::test]
async fn it_is_asked_for_and_ended_though_it_holds_the_last_place_and_all_tokens_of_its_key() {
    let mut kit = Kit::new();
    let full = KeyFact { in_flight: Some(1), tokens_per_minute: Some(1), ..super::key("a", "a") };
    kit.facts.keys = vec![full, KeyFact { requests_per_minute: Some(1), ..super::key("b", "b") }];
    kit.facts.limits.in_flight = 1;
    kit.script(hangs());
    let bearer = ("authorization", "Bearer a");
    let begun = kit.send(post_to("/v1/responses", &asks().to_string(), &[bearer])).await.whole().await.json();
    let path = format!("/v1/responses/{}", begun["id"].as_str().unwrap());
    asked(&kit, 1).await;
    let about = |method: &str, rest: &str| {
        Request::builder().method(method).uri(format!("{path}{rest}")).header(bearer.0, bearer.1).body(Body::empty()).unwrap()
    };
    assert_eq!(kit.send(about("GET", "")).await.whole().await.json()["status"], "in_progress");
    assert_eq!(kit.send(about("GET", "/input_items")).await.whole().await.status, 200);
    let watched = kit.send(about("GET", "?stream=true")).await;
    let told = kit.send(about("POST", "/cancel")).await.whole().await;
    assert_eq!((told.status, &told.json()["status"]), (200, &json!("cancelled")), "{}", told.text);
    assert_eq!(watched.whole().await.events().pop().unwrap()["response"], told.json());
    assert_eq!(kit.send(about("DELETE", "")).await.whole().await.status, 200);
    for status in [404, 429] {
        let other = Request::get(&path).header("authorization", "Bearer b").body(Body::empty()).unwrap();
        assert_eq!(kit.send(other).await.whole().await.status, status, "they are requests all the same");
    }
}

#[tokio::test]
async fn it_is_ended_though_what_was_kept_of_it_made_room_for_others() {
    let mut kit = Kit::new();
    kit.script(hangs());
    let path = begin(&mut kit).await;
    asked(&kit, 1).await;
    assert!(kit.host().shared.records.forget(("-", path.rsplit('/').next().unwrap())));
    assert_eq!(kit.get(&path).await.status, 404);
    let told = send(&mut kit, "POST", &format!("{path}/cancel")).await;
    assert_eq!((told.status, &told.json()["status"]), (200, &json!("cancelled")), "{}", told.text);
    assert_eq!(kit.upstream.alive.load(Ordering::SeqCst), 0);
    assert_eq!(kit.get(&path).await.json(), told.json());
}

#[tokio::test]
async fn a_tenant_has_so_many_and_ends_its_own_alone() {
    let mut kit = Kit::new();
    let key = |name: &str| KeyFact { in_flight: None, ..super::key(name, name) };
    kit.facts.keys = vec![key("a"), key("b"), KeyFact { in_flight: Some(1), ..super::key("c", "c") }];
    let post = |who: &str| post_to("/v1/responses", &asks().to_string(), &[("authorization", &format!("Bearer {who}"))]);
    let mut first = None;
    for _ in 0..64 {
        kit.script(hangs());
        let heard = kit.send(post("a")).await.whole().await;
        assert_eq!(heard.status, 200, "{}", heard.text);
        first.get_or_insert(heard.json()["id"].as_str().unwrap().to_owned());
    }
    let over = kit.send(post("a")).await.whole().await;
    assert_eq!((over.status, over.header("retry-after")), (503, "1"));
    kit.script(hangs());
    assert_eq!(kit.send(post("c")).await.whole().await.status, 200);
    assert_eq!(kit.send(post("c")).await.whole().await.status, 429, "each has a seat of its key's");
    asked(&kit, 65).await;
    let path = format!("/v1/responses/{}/cancel", first.unwrap());
    for (who, status) in [("b", 404), ("a", 200)] {
        let request = Request::post(&path).header("authorization", format!("Bearer {who}")).body(Body::empty()).unwrap();
        assert_eq!(kit.send(request).await.whole().await.status, status);
    }
    asked(&kit, 64).await;
    let path = path.strip_suffix("/cancel").unwrap();
    let request = Request::delete(path).header("authorization", "Bearer a").body(Body::empty()).unwrap();
    assert_eq!(kit.send(request).await.whole().await.status, 200);
    kit.host().shared.background.close().await;
}
