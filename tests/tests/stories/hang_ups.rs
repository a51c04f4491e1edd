//! Clients who leave, or take nothing, on a real socket: nothing goes on for them behind their backs.

use std::io::Write;
use std::net::TcpStream;

use gatewright_tests::{Gateway, Mock, Request, wait_until};
use serde_json::{Value, json};

/// Sends a request and reads nothing.
fn asked(gateway: &Gateway, body: &Value) -> TcpStream {
    let body = body.to_string();
    let mut socket = TcpStream::connect(gateway.url.strip_prefix("http://").unwrap()).unwrap();
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
    socket.write_all(format!("{head}{body}").as_bytes()).unwrap();
    socket
}

#[test]
fn who_hangs_up_before_the_first_word_cancels_the_upstream_call() {
    for stream in [true, false] {
        let mock = Mock::playing("rules:\n  - then: {text: late, delay_ms: {first: 600000}}\n").unwrap();
        let gateway = Gateway::with(&mock.config("")).unwrap();
        let ask = json!({"model": "mock/m", "stream": stream, "messages": [{"role": "user", "content": "x"}]});
        let socket = asked(&gateway, &ask);
        wait_until("the upstream is asked", || mock.seen().unwrap()["open"] == 1).unwrap();
        drop(socket);
        wait_until("the upstream call is cancelled", || mock.seen().unwrap()["open"] == 0).unwrap();
        assert_eq!(mock.seen().unwrap()["hung_up"], 1);
        wait_until("it is told", || gateway.log().contains("hung-up")).unwrap();
    }
}

#[test]
fn who_takes_nothing_of_an_answer_is_cut_off_and_cancels_the_upstream_call() {
    let piece = "x".repeat(64 << 10);
    let pieces: Vec<_> = (0..1500).map(|_| &piece).collect();
    let mock = Mock::playing(&json!({"rules": [{"then": {"text": pieces}}]}).to_string()).unwrap();
    let gateway = Gateway::with(&mock.config("limits: {write_time: 300ms, answer: 1GiB, in_flight: 1}\n")).unwrap();
    let ask = json!({"model": "mock/m", "stream": true, "messages": [{"role": "user", "content": "x"}]});
    let socket = asked(&gateway, &ask);
    wait_until("the upstream call is cancelled", || mock.seen().unwrap()["hung_up"] == 1).unwrap();
    // Its place is another's.
    let next = || Request::stream("mock/m", "x").open(&gateway.url).unwrap().head.status;
    wait_until("its place is free", || next() == 200).unwrap();
    drop(socket);
}
