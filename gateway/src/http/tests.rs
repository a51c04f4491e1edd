//! The door, through the real router: what clients are told when things go well, and when they do not.

mod background;
mod faults;
mod messages;
mod pass;
mod responses;
mod texts;
mod thought;

use axum::body::Body;
use axum::http::Request;
use futures_util::{FutureExt, StreamExt};
use gatewright_types::{Fault, FaultKind, Retry};

use super::sse_out::EventBody;
use crate::config::facts::KeyFact;
use crate::config::keys::digest;
use crate::dialects::openai_chat::write::{Begin, EventWriter};
use crate::life::kit::{Answer, Item, Kit, USAGE, body_of, event, events, finish, post, says, stream_of};
use crate::life::{Head, live};

const ASK: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
const STREAM: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
const STREAM_USAGE: &str =
    r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}"#;
const BODY: &str = r#"{"id":"c-9","object":"chat.completion","created":1,"model":"m-1","odd":[1, 2],
  "choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],
  "usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3}}"#;

fn key(name: &str, text: &str) -> KeyFact {
    KeyFact {
        name: name.to_owned(),
        sha256: digest(text),
        tenant: name.to_owned(),
        team: None,
        models: Vec::new(),
        plugins: Vec::new(),
        revoked: false,
        priority: Default::default(),
        requests_per_minute: None,
        tokens_per_minute: None,
        in_flight: None,
    }
}

#[tokio::test]
async fn a_whole_answer_that_nobody_touched_is_passed_on_byte_for_byte() {
    let mut kit = Kit::new();
    kit.script(body_of(BODY));
    let heard = kit.chat_with(ASK, &[("x-request-id", "mine-1")]).await;
    assert_eq!((heard.status, heard.text.as_str()), (200, BODY));
    assert_eq!(heard.header("x-request-id"), "mine-1");
    assert_eq!(heard.header("x-gatewright-cache"), "bypass");
    assert_eq!(heard.header("x-gatewright-leg"), "engine/m");
    let rows = kit.rows();
    let row = &rows[0];
    assert_eq!((row.outcome.as_str(), row.status, row.prompt_tokens, row.completion_tokens), ("ok", 200, 2, 1));
    assert!(!row.estimated);
}

#[tokio::test]
async fn a_stream_is_passed_on_byte_for_byte_and_ends_in_done() {
    let mut kit = Kit::new();
    let (hello, end) = (event(r#"{"role":"assistant","content":"hello"}"#), finish("stop"));
    kit.script(events(&[&hello, &end, USAGE]));
    let heard = kit.chat(STREAM).await;
    assert_eq!(heard.text, format!("data: {hello}\n\ndata: {end}\n\ndata: [DONE]\n\n"));
    assert_eq!(heard.header("content-type"), "text/event-stream");
    assert!(kit.upstream.asked.lock().unwrap()[0].include_usage, "usage is asked of the upstream always");
    assert_eq!(kit.rows()[0].prompt_tokens, 5);
}

#[tokio::test]
async fn usage_is_told_to_a_client_that_asked() {
    let mut kit = Kit::new();
    kit.script(stream_of(&[r#"{"content":"x"}"#]));
    let heard = kit.chat(STREAM_USAGE).await;
    assert_eq!(heard.events().last().unwrap()["usage"]["total_tokens"], 8);
}

#[tokio::test]
async fn a_fault_before_the_first_word_is_a_status_for_streams_too() {
    for ask in [ASK, STREAM] {
        let mut kit = Kit::new();
        let wait = Retry::Here(Some(std::time::Duration::from_millis(2500)));
        kit.script(vec![Item::Fail(Fault::upstream("scripted", FaultKind::UpstreamStatus(429), "slow down").retry(wait))]);
        let heard = kit.chat(ask).await;
        assert_eq!((heard.status, heard.header("retry-after")), (429, "3"));
        assert_eq!(heard.json()["error"]["message"], "slow down");
        let rows = kit.rows();
        assert_eq!((rows[0].outcome.as_str(), rows[0].status), ("upstream-status", 429));
        assert_eq!(rows[0].prompt_tokens, 0);
    }
}

#[tokio::test]
async fn an_upstream_that_dies_in_the_middle_ends_in_an_error_event_and_no_done() {
    let mut kit = Kit::new();
    let mut items = events(&[&event(r#"{"content":"hel"}"#)]);
    items.push(Item::Fail(Fault::upstream("scripted", FaultKind::UpstreamCut, "the upstream ended in the middle")));
    kit.script(items);
    let heard = kit.chat(STREAM).await;
    assert_eq!((heard.status, heard.said("content").as_str()), (200, "hel"));
    assert!(!heard.is_done());
    assert_eq!(heard.events().last().unwrap()["error"]["code"], "upstream_cut");
    let rows = kit.rows();
    assert_eq!((rows[0].outcome.as_str(), rows[0].status, rows[0].estimated), ("upstream-cut", 200, true));
}

#[tokio::test]
async fn a_client_that_hangs_up_drops_the_upstream_and_leaves_an_estimate() {
    let mut kit = Kit::new();
    let mut items = events(&[&event(r#"{"content":"hello there"}"#)]);
    items.push(Item::Hang);
    kit.script(items);
    let mut answer = kit.send(post(STREAM, &[])).await;
    assert!(answer.frame().await.contains("hello there"));
    let alive = kit.upstream.alive.clone();
    assert_eq!(alive.load(std::sync::atomic::Ordering::SeqCst), 1);
    drop(answer);
    assert_eq!(alive.load(std::sync::atomic::Ordering::SeqCst), 0);
    let rows = kit.rows();
    assert_eq!((rows[0].outcome.as_str(), rows[0].status, rows[0].estimated), ("hung-up", 200, true));
    assert_eq!(rows[0].completion_tokens, 3);
}

#[tokio::test]
async fn keys_are_asked_for_and_never_repeated() {
    let mut kit = Kit::new();
    let revoked = KeyFact { revoked: true, ..key("old", "gw-old") };
    let narrow = KeyFact { models: vec!["other-*".to_owned()], ..key("narrow", "gw-narrow") };
    kit.facts.keys = vec![key("a", "gw-a"), revoked, narrow];
    kit.script(says("x"));
    for (header, status, code) in [
        ("", 401, "invalid_api_key"),
        ("Bearer gw-stranger", 401, "invalid_api_key"),
        ("Bearer gw-old", 401, "invalid_api_key"),
        ("Bearer gw-narrow", 403, "permission_denied"),
    ] {
        let heard = kit.chat_with(ASK, &[("authorization", header)]).await;
        assert_eq!((heard.status, heard.json()["error"]["code"].as_str().unwrap()), (status, code), "{header}");
        assert!(!heard.text.contains("gw-") && !heard.header("x-request-id").is_empty());
    }
    assert_eq!(kit.chat_with(ASK, &[("authorization", "Bearer gw-a")]).await.status, 200);
    let unreadable = Request::get("/v1/models/%ff").body(Body::empty()).unwrap();
    assert_eq!(kit.send(unreadable).await.whole().await.status, 401, "who asks is asked first");
    let listed = Request::get("/v1/models").header("authorization", "Bearer gw-narrow").body(Body::empty()).unwrap();
    assert_eq!(kit.send(listed).await.whole().await.json()["data"], serde_json::json!([]));
    // Strangers leave no row; a key that may not do what it asks does.
    let rows: Vec<_> = kit.rows().into_iter().map(|row| (row.key, row.status)).collect();
    assert_eq!(rows, [("narrow".to_owned(), 403), ("a".to_owned(), 200)]);
}

#[tokio::test]
async fn a_key_over_its_limit_is_told_when_to_come_again() {
    let mut kit = Kit::new();
    kit.facts.keys = vec![KeyFact { requests_per_minute: Some(1), ..key("a", "gw-a") }];
    kit.script(says("x"));
    let bearer = [("authorization", "Bearer gw-a")];
    let first = kit.chat_with(ASK, &bearer).await;
    assert_eq!((first.status, first.header("x-ratelimit-remaining-requests")), (200, "0"));
    let second = kit.chat_with(ASK, &bearer).await;
    assert_eq!((second.status, second.header("x-ratelimit-limit-requests")), (429, "1"));
    assert!((59..=60).contains(&second.header("retry-after").parse::<u64>().unwrap()));
    assert_eq!(second.json()["error"]["code"], "rate_limit_exceeded");
}

#[tokio::test]
async fn bad_requests_get_the_right_status_and_envelope() {
    let mut kit = Kit::new();
    kit.facts.limits.body_bytes = 200;
    let long = format!(r#"{{"model":"m","messages":[],"x":"{}"}}"#, "y".repeat(300));
    for (body, status) in [
        ("{", 400),
        (r#"{"model":3}"#, 400),
        (r#"{"model":"no","messages":[{"role":"user","content":"x"}]}"#, 404),
        (long.as_str(), 413),
    ] {
        let heard = kit.chat(body).await;
        assert_eq!(heard.status, status, "{body}");
        assert!(heard.json()["error"]["message"].is_string() && !heard.header("x-request-id").is_empty());
    }
    for (request, status) in [
        (Request::get("/v1/models/%ff"), 404),
        (Request::get("/v1/chat/completions"), 405),
        (Request::get("/v1/nothing"), 404),
        (Request::get("/v1/models/nothing"), 404),
    ] {
        let heard = kit.send(request.body(Body::empty()).unwrap()).await.whole().await;
        assert_eq!(heard.status, status);
        assert!(heard.json()["error"]["message"].is_string() && !heard.header("x-request-id").is_empty());
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let mut kit = Kit::new();
    kit.facts.limits.body_time = std::time::Duration::from_millis(20);
    let never = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let request = Request::post("/v1/chat/completions").body(never).unwrap();
    assert_eq!(kit.send(request).await.whole().await.status, 408);
}

#[tokio::test]
async fn bodies_that_come_in_have_a_bound_together() {
    let mut kit = Kit::new();
    (kit.facts.limits.body_bytes, kit.facts.limits.bodies_bytes) = (1 << 20, 1 << 20);
    let piece = || Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b' '; 700 << 10]));
    let endless = futures_util::stream::iter([piece()]).chain(futures_util::stream::pending());
    let host = kit.host();
    let mut first = Box::pin(live(host, Head::default(), endless));
    assert!((&mut first).now_or_never().is_none());
    let large = format!("{ASK}{}", " ".repeat(700 << 10));
    let second = kit.chat(&large).await;
    assert_eq!(second.status, 503);
    assert_eq!((second.header("retry-after"), &second.json()["error"]["type"]), ("1", &"server_error".into()));
    kit.script(says("x"));
    assert_eq!(kit.chat(ASK).await.status, 200, "the usual request needs none of the room");
    drop(first);
    kit.script(says("x"));
    assert_eq!(kit.chat(&large).await.status, 200);
}

#[tokio::test]
async fn the_process_has_a_bound_of_requests_in_flight() {
    let mut kit = Kit::new();
    kit.facts.limits.in_flight = 1;
    let mut items = events(&[&event(r#"{"content":"x"}"#)]);
    items.push(Item::Hang);
    kit.script(items);
    kit.script(says("y"));
    let first = kit.send(post(STREAM, &[])).await;
    let second = kit.chat(ASK).await;
    assert_eq!((second.status, second.header("retry-after")), (503, "1"));
    drop(first);
    assert_eq!(kit.chat(ASK).await.status, 200);
}

#[tokio::test]
async fn answers_are_cached_where_the_route_says_so_unless_the_client_forbids_it() {
    let mut kit = Kit::new();
    kit.route().cache = Some(std::time::Duration::from_secs(60));
    kit.script(stream_of(&[r#"{"reasoning_content":"think "}"#, r#"{"content":"cached"}"#]));
    kit.script(says("fresh"));
    let first = kit.chat(STREAM).await;
    assert_eq!((first.header("x-gatewright-cache"), first.said("content").as_str()), ("miss", "cached"));
    let second = kit.chat(STREAM).await;
    assert_eq!((second.header("x-gatewright-cache"), second.said("reasoning_content").as_str()), ("hit", "think "));
    assert!(second.is_done());
    let whole = kit.chat(ASK).await;
    assert_eq!(whole.header("x-gatewright-cache"), "hit");
    assert_eq!(whole.json()["choices"][0]["message"]["content"], "cached");
    let third = kit.chat_with(ASK, &[("cache-control", "no-store")]).await;
    assert_eq!(
        (third.header("x-gatewright-cache"), third.json()["choices"][0]["message"]["content"].as_str()),
        ("bypass", Some("fresh"))
    );
    let caches: Vec<String> = kit.rows().into_iter().map(|row| row.cache).collect();
    assert_eq!(caches, ["miss", "hit", "hit", "bypass"]);
}

#[tokio::test]
async fn long_silences_are_filled_with_comments() {
    let mut kit = Kit::new();
    let mut items = events(&[&event(r#"{"content":"x"}"#)]);
    items.push(Item::Hang);
    kit.script(items);
    let head = Head { request_id: "r".to_owned(), ..Head::default() };
    let body = futures_util::stream::once(async { Ok::<_, ()>(bytes::Bytes::from_static(STREAM.as_bytes())) });
    let settled = live(kit.host(), head, body).await.unwrap();
    let writer = EventWriter::new(Begin::default());
    let body = Body::new(EventBody::new(settled, Box::new(writer), std::time::Duration::from_millis(5)));
    let mut answer = Answer { status: 200, headers: axum::http::HeaderMap::new(), body };
    assert!(answer.frame().await.starts_with("data: "));
    assert_eq!((answer.frame().await, answer.frame().await), (": keep-alive\n\n".to_owned(), ": keep-alive\n\n".to_owned()));
    // What an engine of ours says of the prompt is told for as long as it reads it: see `converse`.
    let origin = kit.upstream.asked.lock().unwrap()[0].origin.clone();
    assert_eq!((origin.tenant.is_empty(), origin.priority), (false, None));
    origin.prefill.tell((512, 4096));
    let told = [answer.frame().await, answer.frame().await];
    assert!(told.iter().all(|frame| frame == ": keep-alive\n\n"), "{told:?}");
}

#[tokio::test]
async fn a_request_is_as_urgent_as_its_key_grants_and_shares_with_its_tenant() {
    let mut kit = Kit::new();
    let low = KeyFact { priority: gatewright_types::Priority::Low, tenant: "t".to_owned(), ..key("low", "gw-low") };
    kit.facts.keys = vec![low, key("plain", "gw-plain")];
    for text in ["gw-low", "gw-plain"] {
        kit.script(says("x"));
        kit.chat_with(ASK, &[("authorization", &format!("Bearer {text}"))]).await;
    }
    let asked: Vec<_> = kit.upstream.asked.lock().unwrap().iter().map(|one| one.origin.clone()).collect();
    let of = |at: usize| (asked[at].tenant.as_str(), asked[at].priority.map(gatewright_types::Priority::as_str));
    assert_eq!((of(0), of(1)), (("t", Some("low")), ("plain", Some("normal"))));
}

#[tokio::test]
async fn models_are_listed_as_clients_know_them() {
    let mut kit = Kit::new();
    let list = Request::get("/v1/models").body(Body::empty()).unwrap();
    let heard = kit.send(list).await.whole().await;
    assert_eq!(heard.json()["data"][0]["id"], "m");
    let one = Request::get("/v1/models/m").body(Body::empty()).unwrap();
    assert_eq!(kit.send(one).await.whole().await.json()["object"], "model");
}
