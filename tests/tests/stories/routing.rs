//! An operator's routing at work: legs in trouble, legs helped out by others, conditions, and what the client is told of it.

use gatewright_tests::{Gateway, Mock, Request, read_stream, wait_until};

/// What the admin port says of a leg.
fn leg(gateway: &Gateway, name: &str) -> serde_json::Value {
    let token = std::fs::read_to_string(gateway.folder().join("data/admin-token")).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let legs = Request::get("/admin/legs").header("authorization", &bearer).send(&gateway.admin).unwrap().json();
    legs["legs"].as_array().unwrap().iter().find(|leg| leg["name"] == name).cloned().unwrap_or_default()
}

#[test]
fn a_leg_that_fails_is_left_alone_until_it_answers_again() {
    let script = "rules:\n  - when: {model: shaky, nth: [1, 2, 3, 4]}\n    then: {fault: {status: 503, body: down}}\n\
                  \x20 - then: {text: 'from {{model}}'}\n";
    let mock = Mock::playing(script).unwrap();
    let rest = "routes:\n  safe: {legs: [mock/shaky, mock/good]}\n  alone: {legs: [mock/shaky]}\nbreaker: {least: 4, rest: 2s}\n";
    let gateway = Gateway::with(&mock.config(rest)).unwrap();
    let ask = |model: &str| Request::ask(model, "x").send(&gateway.url).unwrap();
    // What a client does wrong is none of the leg's.
    for _ in 0..10 {
        let wrong = Request::post("/v1/chat/completions", r#"{"model":"safe","messages":3}"#).send(&gateway.url).unwrap();
        assert_eq!(wrong.status, 400, "{}", wrong.body);
    }
    for _ in 0..4 {
        let response = ask("safe");
        assert_eq!((response.status, response.header("x-gatewright-leg")), (200, Some("mock/good")), "{}", response.body);
        assert_eq!(response.header("x-gatewright-tries"), Some("mock/shaky=failed:upstream-status; mock/good=spoke"));
    }
    let shut = ask("safe");
    assert_eq!(shut.header("x-gatewright-tries"), Some("mock/shaky=skipped; mock/good=spoke"));
    let alone = ask("alone");
    assert_eq!(alone.status, 503, "{}", alone.body);
    assert!(matches!(alone.header("retry-after"), Some("1" | "2")) && alone.body.contains("Try again"), "{:?}", alone.headers);
    assert!(leg(&gateway, "mock/shaky")["trips"] == 1 && leg(&gateway, "mock/good")["state"] == "closed");
    let metrics = Request::get("/metrics").send(&gateway.admin).unwrap().body;
    assert!(metrics.contains("gatewright_leg_trips_total{leg=\"mock/shaky\"} 1"), "{metrics}");
    wait_until("the leg answers again", || ask("alone").status == 200).unwrap();
    assert_eq!(leg(&gateway, "mock/shaky")["state"], "closed");
    assert_eq!(ask("safe").header("x-gatewright-leg"), Some("mock/shaky"));
}

#[test]
fn a_slow_leg_is_helped_out_or_left_before_the_client_hears_a_word() {
    let script = "rules:\n  - when: {model: slow, stream: true}\n    then: {text: late, delay_ms: {first: 60000}}\n\
                  \x20 - then: {text: 'from {{model}}', usage: {prompt: 3, completion: 2}}\n";
    let mock = Mock::playing(script).unwrap();
    let rest = "routes:\n  helped: {legs: [mock/slow, mock/quick], hedge: {after: 50ms}}\n  left: {legs: [mock/slow, mock/quick], first_token: 200ms}\n";
    let gateway = Gateway::with(&mock.config(rest)).unwrap();
    for (route, tries) in
        [("helped", "mock/slow=lost; mock/quick=spoke"), ("left", "mock/slow=failed:upstream-timeout; mock/quick=spoke")]
    {
        let response = Request::stream(route, "x").send(&gateway.url).unwrap();
        let answer = read_stream(&response.body).unwrap();
        assert_eq!((answer.text.as_str(), answer.done), ("from quick", true), "{}", response.body);
        assert_eq!(response.header("x-gatewright-tries"), Some(tries));
        wait_until("the slow call is let go", || mock.seen().unwrap()["open"] == 0).unwrap();
    }
    // A whole answer is not hedged: its first word is its last.
    let whole = Request::ask("helped", "x").send(&gateway.url).unwrap();
    assert_eq!((whole.status, whole.header("x-gatewright-leg")), (200, Some("mock/slow")), "{}", whole.body);
}

#[test]
fn conditions_send_requests_by_size_and_caller_and_a_mistake_is_told_with_its_place() {
    let mock = Mock::playing("rules:\n  - then: {text: 'from {{model}}'}\n").unwrap();
    let rest = "routes:\n  sized:\n    legs: [mock/small, mock/large]\n    leg_when: {mock/small: tokens < 100}\n    rules:\n      - {when: '\"x-lab\" in request.headers', to: lab}\n  lab: {legs: [mock/lab]}\n";
    let gateway = Gateway::with(&mock.config(rest)).unwrap();
    let leg = |request: Request| {
        let response = request.send(&gateway.url).unwrap();
        assert_eq!(response.status, 200, "{}", response.body);
        response.header("x-gatewright-leg").unwrap_or_default().to_owned()
    };
    assert_eq!(leg(Request::ask("sized", "hello")), "mock/small");
    assert_eq!(leg(Request::ask("sized", &"hello ".repeat(200))), "mock/large");
    assert_eq!(leg(Request::stream("sized", "hello").header("x-lab", "1")), "mock/lab");
    let file = gateway.folder().join("gatewright.yaml");
    std::fs::write(&file, mock.config("rules:\n  - {when: 'token > 5', local_only: true}\n")).unwrap();
    wait_until("the log tells of the mistake", || {
        gateway.log().contains("rules[0].when: nothing is named `token`; did you mean `tokens`?")
    })
    .unwrap();
    assert_eq!(leg(Request::ask("sized", "hello")), "mock/small");
}

#[test]
fn a_client_that_waits_is_kept_waiting_alive_and_told_at_the_end_who_answered() {
    let script = "rules:\n  - then: {text: at last, delay_ms: {first: 700}}\n";
    let mock = Mock::playing(script).unwrap();
    let gateway = Gateway::with(&mock.config("limits: {keep_alive: 100ms}\n")).unwrap();
    let response = Request::stream("mock/mock", "x").send(&gateway.url).unwrap();
    let answer = read_stream(&response.body).unwrap();
    assert!(response.body.contains(": keep-alive\n\n") && answer.done && answer.text == "at last", "{}", response.body);
    assert!(response.body.contains(": x-gatewright-leg: mock/mock\n"), "{}", response.body);
}
