//! The log: which request it was, and no word of what was said unless the operator asks for it.

use gatewright_tests::{Gateway, Mock, Request, wait_until};
use serde_json::Value;

/// Asks once, and gives the lines of the log as JSON.
fn lines(logging: &str) -> Vec<Value> {
    let mock = Mock::playing("rules:\n  - then: {text: a-private-answer}\n").unwrap();
    let gateway = Gateway::with(&mock.config(logging)).unwrap();
    let ask = |request: Request| request.header("x-request-id", "id-of-mine").send(&gateway.url).unwrap().status;
    assert_eq!((ask(Request::ask("mock/m", "a-private-word")), ask(Request::stream("mock/m", "a-private-word"))), (200, 200));
    let access = || gateway.log().matches("gatewright::access").count() == 2;
    wait_until("both are logged", access).unwrap();
    assert!(!gateway.log().contains("a-private-answer"), "{}", gateway.log());
    gateway.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn a_json_line_names_the_request_and_holds_no_word_of_it() {
    let lines = lines("logging: {format: json}\n");
    let access: Vec<_> = lines.iter().filter(|line| line["target"] == "gatewright::access").collect();
    assert_eq!(access.len(), 2);
    for line in access {
        assert_eq!((&line["request_id"], &line["model"], &line["outcome"]), (&"id-of-mine".into(), &"mock/m".into(), &"ok".into()));
    }
    assert!(!format!("{lines:?}").contains("a-private-word"));
}

#[test]
fn prompts_are_logged_where_the_operator_asks_for_it() {
    let lines = lines("logging: {format: json, prompts: true}\n");
    let prompts = lines.iter().filter(|line| line["message"] == "prompt" && line["request_id"] == "id-of-mine");
    assert_eq!(prompts.filter(|line| line["messages"].to_string().contains("a-private-word")).count(), 2);
}
