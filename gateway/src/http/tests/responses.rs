//! The door for clients that speak OpenAI's Responses: streams, refusals, policies on every channel, answers that are kept.

use axum::body::Body;
use axum::http::Request;
use gatewright_types::{Content, Fault, FaultKind, Role};
use serde_json::{Value, json};

use crate::config::facts::KeyFact;
use crate::config::keys::digest;
use crate::life::kit::{Heard, Item, Kit, event, events, post_to, says, stream_of};

async fn send(kit: &mut Kit, method: &str, path: &str) -> Heard {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    kit.send(request).await.whole().await
}

fn ask(text: &str) -> Value {
    json!({"model": "m", "input": text})
}

/// What the upstream was told last: who, and what.
fn told(kit: &Kit) -> Vec<(Role, String)> {
    let asked = kit.upstream.asked.lock().unwrap();
    let messages = &asked.last().unwrap().messages;
    messages.iter().map(|message| (message.role.clone(), message.content.joined().into_owned())).collect()
}

#[tokio::test]
async fn a_whole_answer_and_a_stream_say_the_same() {
    let mut kit = Kit::new();
    for _ in 0..2 {
        kit.script(stream_of(&[r#"{"reasoning_content":"I think."}"#, r#"{"content":"hello"}"#]));
    }
    let whole = kit.responses(&ask("hi")).await;
    assert_eq!((whole.status, whole.header("content-type")), (200, "application/json"));
    let mut body = ask("hi");
    body["stream"] = true.into();
    let streamed = kit.responses(&body).await;
    assert!(streamed.is_done() && streamed.header("content-type") == "text/event-stream");
    let last = streamed.events().pop().unwrap();
    let (whole, last) = (whole.json(), &last["response"]);
    for field in ["object", "status", "model", "usage", "created_at", "completed_at", "tools", "store"] {
        assert_eq!(whole[field], last[field], "{field}");
    }
    assert_eq!(
        (&whole["output"][0]["content"][0]["text"], &whole["output"][1]["content"][0]["text"]),
        (&json!("I think."), &json!("hello"))
    );
    assert_eq!((&whole["usage"]["input_tokens"], &whole["completed_at"]), (&json!(5), &json!(1_700_000_000)));
    assert!(whole["id"].as_str().unwrap().starts_with("resp_") && whole["id"] != last["id"]);
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_told_in_a_header() {
    let mut kit = Kit::new();
    kit.script(says("x"));
    let mut body = ask("hi");
    body["tools"] = json!([{"type": "web_search"}, {"type": "function", "name": "f"}, {"type": "new_thing"}]);
    let heard = kit.responses(&body).await;
    assert_eq!((heard.status, heard.header("x-gatewright-not-carried")), (200, "tools:web_search, tools:new_thing"));
    assert_eq!(kit.upstream.asked.lock().unwrap()[0].tools.len(), 1);
}

#[tokio::test]
async fn refusals_have_openais_envelope_and_a_broken_stream_ends_in_a_failure() {
    let mut kit = Kit::new();
    for (body, status, param) in
        [(json!({"model": "m"}), 400, json!("input")), (json!({"model": "no", "input": "x"}), 404, json!("model"))]
    {
        let heard = kit.responses(&body).await;
        assert_eq!((heard.status, &heard.json()["error"]["param"]), (status, &param));
        assert_eq!(heard.json()["error"]["type"], "invalid_request_error");
    }
    let mut items = events(&[&event(r#"{"content":"hel"}"#)]);
    items.push(Item::Fail(Fault::upstream("scripted", FaultKind::UpstreamCut, "it broke off")));
    kit.script(items);
    let mut body = ask("hi");
    body["stream"] = true.into();
    let heard = kit.responses(&body).await;
    let kinds: Vec<Value> = heard.events().into_iter().rev().take(2).map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, ["response.failed", "error"]);
    assert!(!heard.is_done());
    let id = heard.events()[0]["response"]["id"].as_str().unwrap().to_owned();
    let kept = kit.get(&format!("/v1/responses/{id}")).await.json();
    assert_eq!(kept, heard.events().pop().unwrap()["response"], "what failed is kept as it failed");
    assert_eq!((&kept["status"], &kept["error"]["code"]), (&json!("failed"), &json!("server_error")));
    assert_eq!(kept["store"], true);
    assert_eq!(kept["output"][0]["content"][0]["text"], "hel");
    let wrong = kit.get("/v1/responses").await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn an_answer_is_kept_and_gone_on_from() {
    let mut kit = Kit::new();
    kit.script(stream_of(&[r#"{"reasoning_content":"Ada."}"#, r#"{"content":"Hello Ada."}"#]));
    kit.script(says("You are Ada."));
    kit.script(says("As I said."));
    let mut body = ask("I am Ada");
    (body["stream"], body["instructions"]) = (true.into(), "Be kind.".into());
    let first = kit.responses(&body).await.events().pop().unwrap()["response"].clone();
    let id = first["id"].as_str().unwrap();
    let again = kit.get(&format!("/v1/responses/{id}")).await;
    assert_eq!((again.status, again.json()), (200, first.clone()));
    let mut body = ask("who am I?");
    body["previous_response_id"] = id.into();
    let second = kit.responses(&body).await.json();
    let said = |role: Role, text: &str| (role, text.to_owned());
    let wanted = [said(Role::User, "I am Ada"), said(Role::Assistant, "Hello Ada."), said(Role::User, "who am I?")];
    assert_eq!(told(&kit), wanted, "the first answer's instructions hold for it alone");
    assert_eq!(second["previous_response_id"], id);
    let mut body = ask("again");
    body["previous_response_id"] = second["id"].clone();
    kit.responses(&body).await;
    assert_eq!(told(&kit).len(), 5);
}

#[tokio::test]
async fn what_is_kept_can_be_listed_and_forgotten() {
    let mut kit = Kit::new();
    kit.script(says("x"));
    let input = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]);
    let kept = kit.responses(&json!({"model": "m", "input": input})).await.json();
    let path = format!("/v1/responses/{}", kept["id"].as_str().unwrap());
    let text = |item: &Value| item["content"][0]["text"].as_str().unwrap().to_owned();
    let page = kit.get(&format!("{path}/input_items?order=asc&limit=2")).await.json();
    let shown: Vec<String> = page["data"].as_array().unwrap().iter().map(text).collect();
    assert_eq!((shown, &page["has_more"]), (vec!["a".to_owned(), "b".to_owned()], &json!(true)));
    let after = page["last_id"].as_str().unwrap();
    let rest = kit.get(&format!("{path}/input_items?order=asc&after={after}")).await.json();
    assert_eq!((text(&rest["data"][0]).as_str(), &rest["has_more"]), ("c", &json!(false)));
    let newest = kit.get(&format!("{path}/input_items")).await.json();
    assert_eq!(text(&newest["data"][0]), "c");
    for (query, param) in [("?limit=0", "limit"), ("?order=up", "order"), ("?after=x", "after")] {
        let heard = kit.get(&format!("{path}/input_items{query}")).await;
        assert_eq!((heard.status, &heard.json()["error"]["param"]), (400, &json!(param)));
    }
    kit.script(says("y"));
    let named = json!({"model": "m", "input": [{"type": "item_reference", "id": after}, {"role": "user", "content": "and?"}]});
    assert_eq!(kit.responses(&named).await.status, 200);
    assert_eq!(told(&kit)[0], (Role::Assistant, "b".to_owned()));
    assert_eq!(send(&mut kit, "POST", &format!("{path}/cancel")).await.status, 400);
    let gone = send(&mut kit, "DELETE", &path).await;
    assert_eq!((gone.status, &gone.json()["deleted"]), (200, &json!(true)));
    for (method, path) in [("GET", path.clone()), ("DELETE", path.clone()), ("POST", format!("{path}/cancel"))] {
        assert_eq!(send(&mut kit, method, &path).await.status, 404, "{method}");
    }
}

#[tokio::test]
async fn nothing_is_kept_where_the_client_or_the_operator_does_not_want_it() {
    let mut kit = Kit::new();
    kit.script(says("x"));
    let mut body = ask("hi");
    body["store"] = false.into();
    let heard = kit.responses(&body).await.json();
    assert_eq!(heard["store"], false);
    assert_eq!(kit.get(&format!("/v1/responses/{}", heard["id"].as_str().unwrap())).await.status, 404);
    let mut kit = Kit::new();
    kit.facts.conversations.keep = false;
    kit.script(says("x"));
    let heard = kit.responses(&ask("hi")).await.json();
    assert_eq!(heard["store"], false, "the operator's word counts");
    let mut body = ask("and?");
    body["previous_response_id"] = heard["id"].clone();
    let refused = kit.responses(&body).await;
    assert!(refused.status == 400 && refused.text.contains("keeps no responses"), "{}", refused.text);
    let error = &refused.json()["error"];
    assert_eq!((&error["code"], &error["param"]), (&json!("previous_response_not_found"), &json!("previous_response_id")));
}

#[tokio::test]
async fn what_is_kept_is_streamed_once_more_from_any_event_on() {
    let mut kit = Kit::new();
    let call = r#"{"tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":"{}"}}]}"#;
    let said = [r#"{"reasoning_content":"I think."}"#, r#"{"content":"hello"}"#, call];
    kit.script(stream_of(&said));
    let pretty = "{\"model\":\"m\",\"input\":\"x\",\"stream\":true,\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\n\"type\":\r\n\"object\"}}]}";
    let first = kit.send(post_to("/v1/responses", pretty, &[])).await.whole().await.events();
    let path = format!("/v1/responses/{}?stream=true", first[0]["response"]["id"].as_str().unwrap());
    let again = kit.get(&path).await;
    assert_eq!((again.status, again.header("content-type"), again.is_done()), (200, "text/event-stream", true));
    assert_eq!(again.events(), first);
    let last = first.len() - 1;
    for after in [0, 4, last - 1] {
        assert_eq!(kit.get(&format!("{path}&starting_after={after}")).await.events(), first[after + 1..]);
    }
    let late = kit.get(&format!("{path}&starting_after={}", last + 5)).await.events();
    let [end] = &late[..] else { panic!("the end is always told") };
    assert_eq!((&end["response"], &end["sequence_number"]), (&first[last]["response"], &json!(last + 6)));
    let wrong = kit.get(&format!("{path}&starting_after=x")).await;
    assert_eq!((wrong.status, &wrong.json()["error"]["param"]), (400, &json!("starting_after")));
}

#[tokio::test]
async fn an_answer_that_reached_its_bound_is_kept_for_its_time_and_no_longer() {
    let mut kit = Kit::new();
    kit.facts.conversations.time = std::time::Duration::from_secs(60);
    kit.script(events(&[&event(r#"{"content":"and so"}"#), &crate::life::kit::finish("length")]));
    let kept = kit.responses(&ask("hi")).await.json();
    assert_eq!((&kept["status"], &kept["incomplete_details"]["reason"]), (&json!("incomplete"), &json!("max_output_tokens")));
    let path = format!("/v1/responses/{}", kept["id"].as_str().unwrap());
    kit.clock.advance(59_000);
    assert_eq!(kit.get(&path).await.json(), kept);
    kit.clock.advance(1_000);
    assert_eq!(kit.get(&path).await.status, 404);
    assert_eq!(kit.get(&format!("{path}/input_items")).await.status, 404);
    let mut body = ask("go on");
    body["previous_response_id"] = kept["id"].clone();
    assert_eq!(kit.responses(&body).await.json()["error"]["code"], "previous_response_not_found");
}

#[tokio::test]
async fn what_is_not_served_below_answers_is_not_there() {
    let mut kit = Kit::new();
    let heard = send(&mut kit, "POST", "/v1/responses/compact").await;
    assert!(heard.status == 404 && heard.text.contains("There is no /v1/responses/compact here."), "{}", heard.text);
    for (method, path, allow) in [
        ("POST", "/v1/responses/resp_1", "GET, HEAD, DELETE"),
        ("GET", "/v1/responses/resp_1/cancel", "POST"),
        ("GET", "/v1/responses/input_tokens", "POST"),
    ] {
        let heard = send(&mut kit, method, path).await;
        assert_eq!((heard.status, heard.header("allow")), (405, allow), "{method} {path}");
    }
}

fn key(name: &str) -> KeyFact {
    KeyFact {
        name: name.to_owned(),
        sha256: digest(&format!("gw-{name}")),
        tenant: name.to_owned(),
        team: None,
        models: Vec::new(),
        plugins: Vec::new(),
        revoked: false,
        requests_per_minute: None,
        tokens_per_minute: None,
        in_flight: None,
        priority: Default::default(),
    }
}

#[tokio::test]
async fn another_tenants_answer_is_not_there_and_an_id_is_never_the_clients() {
    let mut kit = Kit::new();
    kit.facts.keys = vec![key("a"), key("b")];
    kit.script(says("x"));
    let headers = |name: &str| [("authorization", format!("Bearer gw-{name}")), ("x-request-id", "mine".to_owned())];
    let post = |name: &str, body: Value| {
        let headers = headers(name);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        post_to("/v1/responses", &body.to_string(), &headers)
    };
    let id = kit.send(post("a", ask("hi"))).await.whole().await.json()["id"].as_str().unwrap().to_owned();
    assert!(!id.contains("mine"));
    let mut follows = ask("and?");
    follows["previous_response_id"] = id.clone().into();
    let refused = kit.send(post("b", follows.clone())).await.whole().await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!("previous_response_not_found")));
    for (name, status) in [("b", 404), ("a", 200), ("none", 401)] {
        let request = Request::get(format!("/v1/responses/{id}")).header("authorization", format!("Bearer gw-{name}"));
        assert_eq!(kit.send(request.body(Body::empty()).unwrap()).await.whole().await.status, status, "{name}");
    }
    kit.script(says("y"));
    assert_eq!(kit.send(post("a", follows)).await.whole().await.status, 200);
}

#[tokio::test]
async fn tokens_are_counted_in_this_dialect() {
    let mut kit = Kit::new();
    let heard = kit.send(post_to("/v1/responses/input_tokens", &ask("12345678").to_string(), &[])).await.whole().await;
    assert_eq!((heard.status, heard.json()), (200, json!({"object": "response.input_tokens", "input_tokens": 6})));
}

#[tokio::test]
async fn text_parts_reach_the_model_as_they_are() {
    let mut kit = Kit::new();
    kit.script(says("x"));
    kit.responses(&json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]})).await;
    let asked = kit.upstream.asked.lock().unwrap();
    assert!(matches!(&asked[0].messages[0].content, Content::Parts(parts) if parts.len() == 1));
}
