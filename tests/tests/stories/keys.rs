//! Keys: who may ask what, how often; tenants; and what a stranger is told.

use gatewright_tests::{Gateway, Mock, Request};

/// A key made up for the tests.
const ANN: (&str,) = ("gw-ann-0123456789",);

fn sha256(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn config(mock: &Mock) -> String {
    let keys = format!(
        "keys:\n  ann: {{sha256: {}, requests_per_minute: 3}}\n  bob: {{sha256: {}, models: [kept]}}\n  old: {{sha256: {}, revoked: true}}\n",
        sha256(ANN.0),
        sha256("gw-bob-0123456789"),
        sha256("gw-old-0123456789")
    );
    mock.config(&format!("routes:\n  kept:\n    legs: [mock/m]\n    cache: 1h\n{keys}"))
}

fn with(key: &str, request: Request) -> Request {
    request.header("authorization", &format!("Bearer {key}"))
}

#[test]
fn strangers_and_revoked_keys_are_refused_without_an_echo() {
    let mock = Mock::playing("rules: []").unwrap();
    let gateway = Gateway::with(&config(&mock)).unwrap();
    for request in [
        Request::ask("kept", "x"),
        with("gw-nobody", Request::ask("kept", "x")),
        with("gw-old-0123456789", Request::ask("kept", "x")),
        with("gw-nobody", Request::get("/v1/models")),
    ] {
        let response = request.send(&gateway.url).unwrap();
        assert_eq!(response.status, 401, "{}", response.body);
        assert_eq!(response.json()["error"]["code"], "invalid_api_key", "{}", response.body);
        assert!(!response.body.contains("gw-nobody") && !response.body.contains("gw-old"), "{}", response.body);
    }
    assert_eq!(mock.count().unwrap(), 0);
    assert!(!gateway.log().contains("gw-old-0123456789"));
}

#[test]
fn a_stranger_is_told_no_more_than_how_to_ask() {
    let mock = Mock::playing("rules: []").unwrap();
    let gateway = Gateway::with(&config(&mock)).unwrap();
    let page = Request::get("/").send(&gateway.url).unwrap();
    assert!(page.status == 200 && page.body.contains("curl") && page.body.contains(&gateway.url), "{}", page.body);
    for hidden in ["kept", "mock", &gateway.admin] {
        assert!(!page.body.contains(hidden), "`{hidden}` is told to strangers: {}", page.body);
    }
    // The answer comes through although nobody read the request to its end.
    let large = Request::post("/v1/chat/completions", " ".repeat(16 << 20)).send(&gateway.url).unwrap();
    assert_eq!(large.json()["error"]["code"], "invalid_api_key", "{} {}", large.status, large.body);
    let unreadable = Request::get("/v1/models/%ff").send(&gateway.url).unwrap();
    assert_eq!(unreadable.json()["error"]["code"], "invalid_api_key", "{} {}", unreadable.status, unreadable.body);
}

#[test]
fn a_key_has_its_models_its_rate_and_its_tenant() {
    let mock = Mock::playing("rules: []").unwrap();
    let gateway = Gateway::with(&config(&mock)).unwrap();
    let bob = |request| with("gw-bob-0123456789", request).send(&gateway.url).unwrap();
    assert_eq!(bob(Request::ask("kept", "x")).status, 200);
    let other = bob(Request::ask("mock/m", "x"));
    assert!(other.status == 403 || other.status == 404, "{} {}", other.status, other.body);
    let listed = bob(Request::get("/v1/models")).body;
    assert!(listed.contains("kept") && !listed.contains("mock/"), "{listed}");

    // Bob's answer is in the cache, and not for Ann.
    let ann = || with(ANN.0, Request::ask("kept", "x")).send(&gateway.url).unwrap();
    assert_eq!(ann().header("x-gatewright-cache"), Some("miss"));
    assert_eq!(ann().header("x-gatewright-cache"), Some("hit"));
    assert_eq!(ann().status, 200);
    let over = ann();
    assert_eq!(over.status, 429, "{}", over.body);
    assert!(over.header("retry-after").is_some(), "{:?}", over.headers);
    assert_eq!(over.json()["error"]["code"], "rate_limit_exceeded", "{}", over.body);
}

#[test]
fn without_keys_foreign_hosts_and_origins_are_refused() {
    let mock = Mock::playing("rules: []").unwrap();
    let gateway = Gateway::with(&mock.config("")).unwrap();
    for (name, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
        let response = Request::ask("mock/m", "x").header(name, value).send(&gateway.url).unwrap();
        assert_eq!(response.status, 403, "{name}: {}", response.body);
    }
    assert_eq!(Request::ask("mock/m", "x").header("origin", "http://localhost:3000").send(&gateway.url).unwrap().status, 200);
    assert_eq!(mock.count().unwrap(), 1);
}
