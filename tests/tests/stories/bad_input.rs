//! Bad input: each the right status and envelope, none a panic, none a leak.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use gatewright_tests::{Gateway, Mock, Request};

#[test]
fn each_mistake_has_its_status_its_place_and_openais_envelope() {
    let mock = Mock::playing("rules: []").unwrap();
    let gateway = Gateway::with(&mock.config("limits: {body: 64KiB}\n")).unwrap();
    let chat = |body: &str| Request::post("/v1/chat/completions", body);
    let table: Vec<(Request, u16, &str)> = vec![
        (chat("{\"model\": \"mock/m\",\n \"messages\": [}"), 400, "line 2"),
        (chat(""), 400, ""),
        (chat("[]"), 400, ""),
        (chat(r#"{"messages": []}"#), 400, "model"),
        (chat(r#"{"model": "mock/m"}"#), 400, "messages"),
        (chat(r#"{"model": "mock/m", "messages": [{"role": "user", "content": 5}]}"#), 400, "messages[0].content"),
        (chat(r#"{"model": "mock/m", "messages": [{"role": "user", "content": "x"}], "temperature": "hot"}"#), 400, "temperature"),
        (chat(r#"{"model": "no-such-model", "messages": [{"role": "user", "content": "x"}]}"#), 404, "no-such-model"),
        (
            chat(&format!(r#"{{"model": "mock/m", "messages": [{{"role": "user", "content": "{}"}}]}}"#, "x".repeat(100_000))),
            413,
            "",
        ),
        (Request::get("/v1/chat/completions"), 405, ""),
        (Request::get("/v1/no-such-path"), 404, ""),
        (Request::get("/v1/models/no-such-model"), 404, ""),
        (Request::get("/v1/models/%ff"), 404, ""),
    ];
    for (request, status, named) in table {
        let response = request.send(&gateway.url).unwrap();
        assert_eq!(response.status, status, "{request:?}: {}", response.body);
        let error = &response.json()["error"];
        assert!(error["message"].as_str().is_some_and(|m| !m.is_empty()) && error["type"].is_string(), "{}", response.body);
        assert!(error.to_string().contains(named), "`{named}` is not named: {}", response.body);
        assert!(response.header("x-request-id").is_some(), "{:?}", response.headers);
    }
    assert_eq!(mock.count().unwrap(), 0);
    assert_eq!(Request::ask("mock/m", "x").send(&gateway.url).unwrap().status, 200, "it serves on");
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}

#[test]
fn slow_headers_do_not_hold_a_connection() {
    let mock = Mock::playing("rules: []").unwrap();
    let gateway = Gateway::with(&mock.config("limits: {header_time: 500ms}\n")).unwrap();
    let mut socket = TcpStream::connect(gateway.url.strip_prefix("http://").unwrap()).unwrap();
    socket.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let from = Instant::now();
    let mut rest = Vec::new();
    drop(socket.read_to_end(&mut rest));
    assert!(from.elapsed() < Duration::from_secs(25), "the connection was held");
}

#[test]
fn the_upstreams_key_is_never_shown() {
    let mock = Mock::playing("rules:\n  - then: {fault: {status: 401, body: {error: {message: wrong key}}}}\n").unwrap();
    let config = mock.config("    api_key: sk-very-secret-upstream-key\n");
    let gateway = Gateway::with(&config).unwrap();
    let response = Request::ask("mock/m", "x").send(&gateway.url).unwrap();
    assert!(response.status >= 400 && !response.body.contains("very-secret"), "{}", response.body);
    assert!(!gateway.log().contains("very-secret"), "{}", gateway.log());
}

#[test]
fn the_clients_request_id_is_echoed_if_it_is_sane() {
    let mock = Mock::playing("rules: []").unwrap();
    let gateway = Gateway::with(&mock.config("")).unwrap();
    let sane = Request::ask("mock/m", "x").header("x-request-id", "abc-123").send(&gateway.url).unwrap();
    assert_eq!(sane.header("x-request-id"), Some("abc-123"));
    let long = "x".repeat(2000);
    let silly = Request::ask("mock/m", "x").header("x-request-id", &long).send(&gateway.url).unwrap();
    assert!(silly.header("x-request-id").is_some_and(|id| id.len() < 200));
}
