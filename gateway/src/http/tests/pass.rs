//! Paths that pass through unread: what goes up, what comes down, and what is refused.

use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;

use crate::conditions::Condition;
use crate::config::facts::{KeyFact, PassFact, ProviderFact, ProviderKind, RuleFact};
use crate::life::kit::{Heard, Kit};
use crate::upstreams::remote::rig::{self, KEY, Rig, Step, last_piece, piece, response};

fn passing(rig: &Rig, paths: &[&str]) -> ProviderFact {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    ProviderFact { pass: Some(PassFact { paths, plugins: None }), ..rig::fact(&rig.url) }
}

async fn kit(script: Vec<Step>) -> (Kit, Rig) {
    let rig = Rig::new(vec![script]).await;
    let mut kit = Kit::new();
    kit.facts.providers.insert("rig".to_owned(), passing(&rig, &["files*", "rerank"]));
    (kit, rig)
}

fn upload(path: &str) -> Request<Body> {
    let body = "--b\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\nbytes\r\n--b--\r\n";
    Request::post(path)
        .header("content-type", "multipart/form-data; boundary=b")
        .header("content-length", body.len())
        .header("authorization", "Bearer clients-own")
        .header("x-api-key", "clients-own")
        .header("cookie", "c=clients-own")
        .header("connection", "x-odd")
        .header("x-odd", "clients-own")
        .header("openai-beta", "b=1")
        .body(Body::from(body))
        .unwrap()
}

async fn send(kit: &mut Kit, request: Request<Body>) -> Heard {
    kit.send(request).await.whole().await
}

#[tokio::test]
async fn bytes_pass_both_ways_with_the_providers_key_and_leave_a_record() {
    let headers =
        [("content-type", "application/pdf"), ("set-cookie", "a=b"), ("x-odd", "1"), ("content-disposition", "attachment")];
    let (mut kit, rig) = kit(vec![response("201 Made", &headers, "%PDF-\u{1}")]).await;
    let heard = send(&mut kit, upload("/v1/files/file-1/content?purpose=x")).await;
    assert_eq!((heard.status, heard.text.as_str()), (201, "%PDF-\u{1}"));
    assert_eq!((heard.header("content-type"), heard.header("content-disposition")), ("application/pdf", "attachment"));
    assert_eq!((heard.header("set-cookie"), heard.header("x-odd"), heard.header("x-gatewright-inspected")), ("", "", "none"));
    assert!(!heard.header("x-request-id").is_empty() && heard.header("x-gatewright-leg") == "rig/files/file-1/content");
    let sent = rig.requests.lock().unwrap()[0].clone();
    let low = sent.to_lowercase();
    assert!(sent.starts_with("POST /v1/files/file-1/content?purpose=x HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains(KEY) && !sent.contains("clients-own") && !low.contains("x-api-key"), "{sent}");
    assert!(low.contains("content-type: multipart/form-data; boundary=b") && low.contains("openai-beta: b=1"), "{sent}");
    assert!(sent.ends_with("\r\nbytes\r\n--b--\r\n") && low.matches("content-type").count() == 1, "{sent}");
    let rows = kit.rows();
    assert_eq!((rows[0].outcome.as_str(), rows[0].leg.as_deref(), rows[0].attempts), ("ok", Some("rig/files/file-1/content"), 1));
    assert!(rows[0].verdicts.contains(r#"{"what":"all","why":"unheard"}"#), "{}", rows[0].verdicts);
}

#[tokio::test]
async fn what_is_not_let_through_is_not_there() {
    let (mut kit, rig) = kit(vec![rig::json("{}")]).await;
    let stray = ["/v1/batches", "/v1/files/../chat/completions", "/v1/files/%2e%2e/chat", "/v1/files//x", "/v1/", "/files"];
    for path in stray {
        let heard = send(&mut kit, Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(heard.status, 404, "{path}");
    }
    let other = Request::get("/v1/files").header("x-gatewright-provider", "other").body(Body::empty()).unwrap();
    assert_eq!(send(&mut kit, other).await.status, 404);
    kit.facts.providers.insert("rig".to_owned(), passing(&rig, &["*"]));
    assert_eq!(send(&mut kit, upload("/v1/chat/completions/")).await.status, 404, "a chat is never passed unread");
    assert_eq!(rig.asked(), 0);
    let named = Request::get("/v1/files").header("x-gatewright-provider", "rig").body(Body::empty()).unwrap();
    assert_eq!((send(&mut kit, named).await.status, rig.asked()), (200, 1));
}

#[tokio::test]
async fn what_is_not_served_below_kept_answers_passes_where_the_operator_lets_it() {
    let (mut kit, rig) = kit(vec![rig::json("{}")]).await;
    kit.facts.providers.insert("rig".to_owned(), passing(&rig, &["responses/compact"]));
    let heard = send(&mut kit, upload("/v1/responses/compact")).await;
    assert_eq!((heard.status, heard.header("x-gatewright-inspected"), rig.asked()), (200, "none", 1));
    assert_eq!(send(&mut kit, upload("/v1/responses/other")).await.status, 404);
    assert_eq!((send(&mut kit, upload("/v1/responses/resp_1")).await.status, rig.asked()), (405, 1));
}

#[tokio::test]
async fn keys_and_limits_hold() {
    let (mut kit, rig) = kit(vec![rig::json("{}")]).await;
    let models = |models: &[&str]| models.iter().map(|model| (*model).to_owned()).collect();
    kit.facts.keys = vec![
        KeyFact { requests_per_minute: Some(1), ..super::key("one", "one") },
        KeyFact { models: models(&["m"]), ..super::key("two", "two") },
        KeyFact { models: models(&["rig/files*"]), ..super::key("three", "three") },
    ];
    let get =
        |key: &str, path: &str| Request::get(path).header("authorization", format!("Bearer {key}")).body(Body::empty()).unwrap();
    for (key, path, status) in [
        ("nobody", "/v1/files", 401),
        ("one", "/v1/files", 200),
        ("one", "/v1/files", 429),
        ("two", "/v1/files", 403),
        ("three", "/v1/files", 200),
        ("three", "/v1/rerank", 403),
    ] {
        assert_eq!(send(&mut kit, get(key, path)).await.status, status, "{key} {path}");
    }
    assert_eq!(rig.asked(), 2);
    let outcomes: Vec<String> = kit.rows().into_iter().map(|row| row.outcome).collect();
    assert_eq!(outcomes, ["ok", "rate-limited", "forbidden", "ok", "forbidden"]);
}

#[tokio::test]
async fn an_enforced_policy_lets_nothing_pass_and_a_shadow_does() {
    for (mode, status) in [(gatewright_plugins::Mode::Enforce, 400), (gatewright_plugins::Mode::Shadow, 200)] {
        let (mut kit, rig) = kit(vec![rig::json("{}")]).await;
        kit.plugin("policy", "subscribe:\n  - {phases: [request], channels: [user]}", "return { inspect = function() end }");
        kit.facts.plugins.get_mut("policy").unwrap().operator.mode = mode;
        let heard = send(&mut kit, upload("/v1/rerank")).await;
        assert_eq!((heard.status, rig.asked()), (status, usize::from(status == 200)), "{}", heard.text);
        assert!(status == 200 || heard.json()["error"]["code"] == "content_filter");
        assert_eq!(kit.rows()[0].outcome, if status == 200 { "ok" } else { "blocked" });
    }
}

#[tokio::test]
async fn what_must_not_leave_does_not_pass() {
    let when = "\"x-secret\" in request.headers && int(request.headers[\"x-secret\"]) > 0";
    let rule = |when: &str, to: Option<&str>| RuleFact {
        when: std::sync::Arc::new(Condition::read(when).unwrap()),
        to: to.map(str::to_owned),
        local_only: to.is_none(),
    };
    for local in [false, true] {
        let (mut kit, rig) = kit(vec![rig::json("{}")]).await;
        kit.facts.rules = vec![rule("true", Some("elsewhere")), rule(when, None)];
        kit.facts.providers.get_mut("rig").unwrap().local = local;
        let mut asked = 0;
        for (secret, status) in [("0", 200), ("1", 400), ("unread", 500)] {
            let heard = send(&mut kit, Request::get("/v1/files").header("x-secret", secret).body(Body::empty()).unwrap()).await;
            let status = if local { 200 } else { status };
            asked += usize::from(status == 200);
            assert_eq!((heard.status, rig.asked()), (status, asked), "{local} {secret}: {}", heard.text);
        }
        let outcomes: Vec<String> = kit.rows().into_iter().map(|row| row.outcome).collect();
        assert_eq!(outcomes, if local { ["ok"; 3] } else { ["ok", "blocked", "internal"] });
    }
}

#[tokio::test]
async fn odd_methods_are_not_passed() {
    let (mut kit, rig) = kit(vec![rig::json("{}")]).await;
    for method in ["TRACE", "CONNECT", "OPTIONS", "ODD"] {
        let request = Request::builder().method(method).uri("/v1/files").body(Body::empty()).unwrap();
        let heard = send(&mut kit, request).await;
        assert_eq!((heard.status, heard.header("allow").contains("DELETE"), rig.asked()), (405, true, 0), "{method}");
    }
}

#[tokio::test]
async fn both_ways_are_bounded_and_nothing_hangs() {
    // It does not answer before the body is over.
    let (mut kit, _rig) = kit(vec![Step::Wait(std::time::Duration::from_secs(60))]).await;
    (kit.facts.limits.body_bytes, kit.facts.limits.body_time) = (1000, std::time::Duration::from_millis(50));
    let told = Request::post("/v1/files").header("content-length", 2000).body(Body::from(vec![b'x'; 2000])).unwrap();
    assert_eq!(send(&mut kit, told).await.status, 413);
    let untold = stream::iter((0..20).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 100]))));
    assert_eq!(send(&mut kit, Request::post("/v1/files").body(Body::from_stream(untold)).unwrap()).await.status, 413);
    let never = stream::pending::<Result<Bytes, std::io::Error>>();
    assert_eq!(send(&mut kit, Request::post("/v1/files").body(Body::from_stream(never)).unwrap()).await.status, 408);
    let head = || Step::Send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned());
    let stall = vec![head(), piece("x"), Step::Wait(std::time::Duration::from_secs(60))];
    let much = vec![head(), piece(&"x".repeat(2000)), last_piece()];
    for script in [stall, much, vec![head(), piece("x"), Step::Close]] {
        let rig = Rig::new(vec![script]).await;
        let mut kit = Kit::new();
        kit.facts.limits.answer_bytes = 1000;
        kit.facts.providers.insert("rig".to_owned(), passing(&rig, &["files"]));
        let answer = kit.send(Request::get("/v1/files").body(Body::empty()).unwrap()).await;
        assert!(http_body_util::BodyExt::collect(answer.body).await.is_err(), "never a clean end");
        assert!(kit.rows()[0].outcome.starts_with("upstream-"));
    }
}

#[tokio::test]
async fn a_providers_refusal_is_passed_on_without_its_key() {
    let missing = r#"{"error":{"message":"No such File object","type":"invalid_request_error","param":"id","code":null}}"#;
    let (mut kit, _rig) = kit(vec![response("404 x", &[("content-type", "application/json")], missing)]).await;
    let heard = send(&mut kit, Request::get("/v1/files/no").body(Body::empty()).unwrap()).await;
    assert_eq!((heard.status, heard.text.as_str()), (404, missing));
    let told = json!({"error": {"message": format!("wrong key {KEY}"), "code": "invalid_api_key"}}).to_string();
    for status in ["401 x", "400 x"] {
        let rig = Rig::new(vec![vec![response(status, &[], &told)]]).await;
        let mut kit = Kit::new();
        kit.facts.providers.insert("rig".to_owned(), passing(&rig, &["files*"]));
        let heard = send(&mut kit, Request::get("/v1/files/no").body(Body::empty()).unwrap()).await;
        assert!(heard.status >= 400 && !heard.text.contains(KEY), "{}", heard.text);
    }
}

#[tokio::test]
async fn a_provider_of_messages_is_asked_at_its_own_address() {
    let rig = Rig::new(vec![vec![rig::json("{}")]]).await;
    for url in [rig.url.clone(), rig.url.trim_end_matches("/v1").to_owned()] {
        let mut kit = Kit::new();
        let fact = ProviderFact { kind: ProviderKind::Anthropic, base_url: url, ..passing(&rig, &["messages/batches*"]) };
        kit.facts.providers.insert("rig".to_owned(), fact);
        let get = Request::get("/v1/messages/batches/b?x=1").header("anthropic-beta", "y").body(Body::empty()).unwrap();
        assert_eq!(send(&mut kit, get).await.status, 200);
    }
    for sent in rig.requests.lock().unwrap().iter() {
        let sent = sent.to_lowercase();
        assert!(sent.starts_with("get /v1/messages/batches/b?x=1 ") && sent.contains(&format!("x-api-key: {KEY}")), "{sent}");
        assert!(sent.contains("anthropic-version: ") && sent.contains("anthropic-beta: y"), "{sent}");
        assert!(!sent.contains("transfer-encoding") && !sent.contains("content-length"), "{sent}");
    }
}
