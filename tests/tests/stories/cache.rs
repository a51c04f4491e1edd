//! The response cache: a hit replays, tenants are apart, a restart or a kill loses nothing, a damaged folder stops nobody.

use gatewright_tests::{Gateway, Mock, Request, Setup, read_stream};

const SCRIPT: &str = "rules:\n  - then: {reasoning: ['I ', 'think.'], text: ['A', 'B', 'C']}\n";
const ROUTE: &str = "routes:\n  kept:\n    legs: [mock/mock]\n    cache: 1h\n";

fn setup(config: String) -> Setup {
    Setup { config: Some(config), ..Setup::default() }
}

#[test]
fn a_hit_replays_the_stream_with_its_reasoning_and_asks_nobody() {
    let mock = Mock::playing(SCRIPT).unwrap();
    let gateway = Gateway::with(&mock.config(ROUTE)).unwrap();
    let first = Request::stream("kept", "x").send(&gateway.url).unwrap();
    let again = Request::stream("kept", "x").send(&gateway.url).unwrap();
    let whole = Request::ask("kept", "x").send(&gateway.url).unwrap();
    let word = |r: &gatewright_tests::Response| r.header("x-gatewright-cache").map(str::to_owned);
    assert_eq!(
        (word(&first).as_deref(), word(&again).as_deref(), word(&whole).as_deref()),
        (Some("miss"), Some("hit"), Some("hit"))
    );
    let (a, b) = (read_stream(&first.body).unwrap(), read_stream(&again.body).unwrap());
    assert_eq!((&a.text, &a.reasoning, a.events), (&b.text, &b.reasoning, b.events));
    assert_eq!((b.text.as_str(), b.reasoning.as_str(), b.done), ("ABC", "I think.", true));
    assert_eq!(whole.json()["choices"][0]["message"]["reasoning_content"], "I think.");
    assert_eq!(mock.count().unwrap(), 1);
    let fresh = Request::ask("kept", "x").header("cache-control", "no-store").send(&gateway.url).unwrap();
    assert_eq!((word(&fresh).as_deref(), mock.count().unwrap()), (Some("bypass"), 2));
}

#[test]
fn identical_requests_in_flight_share_one_call() {
    let mock = Mock::playing("rules:\n  - then: {text: [a, b, c], delay_ms: {first: 1000, between: 50}}\n").unwrap();
    let gateway = Gateway::with(&mock.config(ROUTE)).unwrap();
    let url = gateway.url.clone();
    let ask = |url: String| std::thread::spawn(move || Request::stream("kept", "x").send(&url).unwrap());
    let all: Vec<_> = (0..8).map(|_| ask(url.clone())).collect();
    for one in all {
        assert_eq!(read_stream(&one.join().unwrap().body).unwrap().text, "abc");
    }
    assert_eq!(mock.count().unwrap(), 1);
}

#[test]
fn what_was_cached_survives_a_restart_and_a_kill() {
    let mock = Mock::playing(SCRIPT).unwrap();
    let setup = setup(mock.config(ROUTE));
    let mut gateway = Gateway::start(&setup).unwrap();
    Request::ask("kept", "x").send(&gateway.url).unwrap();
    gateway.signal("TERM").unwrap();
    assert!(gateway.ended().unwrap().success(), "{}", gateway.log());
    gateway.restart(&setup).unwrap();
    assert_eq!(Request::ask("kept", "x").send(&gateway.url).unwrap().header("x-gatewright-cache"), Some("hit"));
    // What was stored more than a moment ago is there after a kill too.
    std::thread::sleep(std::time::Duration::from_secs(2));
    gateway.signal("KILL").unwrap();
    gateway.ended().unwrap();
    gateway.restart(&setup).unwrap();
    assert_eq!(Request::ask("kept", "x").send(&gateway.url).unwrap().header("x-gatewright-cache"), Some("hit"));
    assert_eq!(mock.count().unwrap(), 1);
}

#[test]
fn a_damaged_folder_is_set_aside_and_the_gateway_serves_on() {
    let mock = Mock::playing(SCRIPT).unwrap();
    let setup = setup(mock.config(ROUTE));
    let mut gateway = Gateway::start(&setup).unwrap();
    Request::ask("kept", "x").send(&gateway.url).unwrap();
    gateway.signal("TERM").unwrap();
    gateway.ended().unwrap();
    spoil(&gateway.folder().join("data/cache"));
    gateway.restart(&setup).unwrap();
    let answer = Request::ask("kept", "x").send(&gateway.url).unwrap();
    assert_eq!((answer.status, answer.header("x-gatewright-cache")), (200, Some("miss")), "{}", gateway.log());
    assert!(gateway.log().contains("damaged"), "nobody was told: {}", gateway.log());
}

/// Overwrites every file of a folder with noise.
fn spoil(folder: &std::path::Path) {
    for entry in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
        match entry.is_dir() {
            true => spoil(&entry),
            false => std::fs::write(&entry, b"this is no database\n".repeat(512)).unwrap(),
        }
    }
}
