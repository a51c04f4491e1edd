//! The door for clients that speak Anthropic's Messages: keys, envelopes, lists of models, counts of tokens.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::config::facts::KeyFact;
use crate::config::keys::digest;
use crate::life::kit::{Item, Kit, anthropic, body_of, event, events, post_to, says, stream_of};
use gatewright_types::{Fault, FaultKind, Retry};

fn ask() -> Value {
    json!({"model": "m", "max_tokens": 9, "thinking": {"type": "adaptive"}, "messages": [{"role": "user", "content": "hi"}]})
}

fn streaming() -> Value {
    json!({"model": "m", "max_tokens": 9, "stream": true, "thinking": {"type": "adaptive"}, "messages": [{"role": "user", "content": "hi"}]})
}

#[tokio::test]
async fn a_whole_answer_of_another_dialect_is_a_message() {
    let mut kit = Kit::new();
    kit.script(body_of(
        r#"{"id":"c-9","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","reasoning_content":"I think.","content":"hello"},
        "finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":2}}}"#,
    ));
    let heard = kit.messages(&ask(), &[("x-request-id", "mine-1")]).await;
    assert_eq!((heard.status, heard.header("request-id"), heard.header("x-request-id")), (200, "mine-1", "mine-1"));
    let body = heard.json();
    assert_eq!((&body["type"], &body["role"], &body["model"]), (&json!("message"), &json!("assistant"), &json!("m-1")));
    assert_eq!((&body["content"][0]["thinking"], &body["content"][1]["text"]), (&json!("I think."), &json!("hello")));
    assert_eq!((&body["usage"]["input_tokens"], &body["usage"]["cache_read_input_tokens"]), (&json!(3), &json!(2)));
    assert_eq!(kit.rows()[0].prompt_tokens, 5);
}

#[tokio::test]
async fn a_vendors_stream_passes_byte_for_byte() {
    let mut kit = Kit::new();
    let list = [
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude", "odd": [1]}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hé"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"input_tokens": 5, "output_tokens": 3}}),
        json!({"type": "message_stop"}),
    ];
    kit.script(anthropic(&list));
    let heard = kit.messages(&streaming(), &[]).await;
    let wanted: String =
        list.iter().map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())).collect();
    assert_eq!((heard.text.as_str(), heard.header("content-type")), (wanted.as_str(), "text/event-stream"));
    assert_eq!(kit.rows()[0].prompt_tokens, 5);
}

#[tokio::test]
async fn reasoning_goes_round_and_comes_back_unsealed() {
    let mut kit = Kit::new();
    kit.script(stream_of(&[r#"{"reasoning_content":"I think."}"#, r#"{"content":"hello"}"#]));
    kit.script(says("again"));
    let heard = kit.messages(&streaming(), &[]).await;
    let thinking = json!({"type": "thinking", "thinking": heard.pieces("thinking"), "signature": heard.pieces("signature")});
    let again = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [thinking,
        {"type": "text", "text": "hello"}]}, {"role": "user", "content": "and?"}]});
    assert_eq!(kit.messages(&again, &[]).await.status, 200);
    let asked = kit.upstream.asked.lock().unwrap();
    assert_eq!(asked[1].messages[1].reasoning.as_deref(), Some("I think."));
    assert!(asked[1].messages[1].extras.is_empty(), "nothing of the seal goes to an upstream");
}

/// The key `gw-a`.
fn key() -> KeyFact {
    KeyFact {
        name: "a".to_owned(),
        sha256: digest("gw-a"),
        tenant: "a".to_owned(),
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
async fn both_headers_open_the_door_and_refusals_are_in_this_dialect() {
    let mut kit = Kit::new();
    kit.facts.keys = vec![KeyFact { requests_per_minute: Some(2), ..key() }];
    for headers in [&[][..], &[("x-api-key", "gw-stranger")][..]] {
        let heard = kit.messages(&ask(), headers).await;
        assert_eq!((heard.status, &heard.json()["error"]["type"]), (401, &json!("authentication_error")));
        assert_eq!(heard.json()["request_id"].as_str(), Some(heard.header("request-id")));
    }
    kit.script(says("x"));
    kit.script(says("y"));
    assert_eq!(kit.messages(&ask(), &[("x-api-key", "gw-a")]).await.status, 200);
    assert_eq!(kit.messages(&ask(), &[("authorization", "Bearer gw-a")]).await.status, 200);
    let heard = kit.messages(&ask(), &[("x-api-key", "gw-a")]).await;
    assert_eq!((heard.status, &heard.json()["error"]["type"]), (429, &json!("rate_limit_error")));
    assert!(!heard.header("retry-after").is_empty());
}

#[tokio::test]
async fn what_goes_wrong_has_anthropics_types() {
    let mut kit = Kit::new();
    for (body, status, kind) in [
        (json!({"model": "m"}), 400, "invalid_request_error"),
        (json!({"model": "no", "messages": [{"role": "user", "content": "x"}]}), 404, "not_found_error"),
    ] {
        let heard = kit.messages(&body, &[]).await;
        assert_eq!(
            (heard.status, heard.json()["error"]["type"].as_str(), heard.json()["type"].as_str()),
            (status, Some(kind), Some("error"))
        );
    }
    let wait = Retry::Here(Some(std::time::Duration::from_secs(2)));
    kit.script(vec![Item::Fail(Fault::upstream("scripted", FaultKind::UpstreamStatus(529), "busy").retry(wait))]);
    let heard = kit.messages(&streaming(), &[]).await;
    assert_eq!((heard.status, &heard.json()["error"]["type"]), (529, &json!("overloaded_error")));
    let mut items = events(&[&event(r#"{"content":"hel"}"#)]);
    items.push(Item::Fail(Fault::upstream("scripted", FaultKind::UpstreamCut, "it broke off")));
    kit.script(items);
    let heard = kit.messages(&streaming(), &[]).await;
    assert!(heard.text.contains("event: error\n") && !heard.text.contains("message_stop"), "{}", heard.text);
    let wrong = kit.send(Request::get("/v1/messages").body(Body::empty()).unwrap()).await.whole().await;
    assert_eq!((wrong.status, wrong.header("allow"), &wrong.json()["type"]), (405, "POST", &json!("error")));
    let nothing = kit.send(Request::get("/v1/messages/batches").body(Body::empty()).unwrap()).await.whole().await;
    assert_eq!((nothing.status, &nothing.json()["error"]["type"]), (404, &json!("not_found_error")));
}

#[tokio::test]
async fn tokens_are_counted_without_asking_anyone() {
    let mut kit = Kit::new();
    let body = json!({"model": "m", "system": "12345678", "messages": [{"role": "user", "content": "12345678"}]}).to_string();
    let heard = kit.send(post_to("/v1/messages/count_tokens?beta=true", &body, &[])).await.whole().await;
    assert_eq!((heard.status, heard.json()), (200, json!({"input_tokens": 12})));
    let unknown = body.replace("\"m\"", "\"no\"");
    assert_eq!(kit.send(post_to("/v1/messages/count_tokens", &unknown, &[])).await.whole().await.status, 404);
    assert!(kit.upstream.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn counting_tokens_is_held_to_the_keys_limits() {
    let mut kit = Kit::new();
    let one = KeyFact { requests_per_minute: Some(1), ..key() };
    kit.facts.keys = vec![one];
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let asked = post_to("/v1/messages/count_tokens", &ask().to_string(), &[("x-api-key", "gw-a")]);
        statuses.push(kit.send(asked).await.whole().await.status);
    }
    assert_eq!(statuses, [200, 429]);
}

#[tokio::test]
async fn models_are_listed_in_the_shape_that_the_client_knows() {
    let mut kit = Kit::new();
    let get = |path: &str| Request::get(path).header("anthropic-version", "2023-06-01").body(Body::empty()).unwrap();
    let list = kit.send(get("/v1/models")).await.whole().await.json();
    let model = json!({"type": "model", "id": "m", "display_name": "m", "created_at": "2023-11-14T22:13:20Z"});
    assert_eq!(list, json!({"first_id": "m", "last_id": "m", "has_more": false, "data": [model.clone()]}));
    assert_eq!(kit.send(get("/v1/models/m")).await.whole().await.json(), model);
    assert_eq!(kit.send(get("/v1/models/no")).await.whole().await.json()["error"]["type"], "not_found_error");
}
