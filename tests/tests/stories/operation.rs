//! What an operator does: validate, reload, drain, look at health and metrics, meet a port in use.

use std::process::Command;
use std::time::Duration;

use gatewright_tests::{Gateway, Mock, Request, Setup, binary, read_stream, wait_until};
use serde_json::Value;

#[test]
fn validate_reports_all_mistakes_at_once_with_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gatewright.yaml");
    let text = "listen: 127.0.0.1:4000\nruotes: {}\nlimits:\n  body: lots\nroutes:\n  a:\n    legs: [nobody/x]\n";
    std::fs::write(&file, text).unwrap();
    let out = Command::new(binary().unwrap()).arg("validate").arg(&file).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(!out.status.success(), "{said}");
    for expected in ["2:1", "routes", "4:9", "lots", "7:12", "nobody"] {
        assert!(said.contains(expected), "`{expected}` is missing in:\n{said}");
    }
}

#[test]
fn a_reload_is_atomic() {
    let mock = Mock::playing("rules: []").unwrap();
    let gateway = Gateway::with(&mock.config("routes:\n  one:\n    legs: [mock/m]\n")).unwrap();
    let status = |model: &str| Request::ask(model, "x").send(&gateway.url).unwrap().status;
    assert_eq!((status("one"), status("two")), (200, 404));
    let file = gateway.folder().join("gatewright.yaml");
    std::fs::write(&file, mock.config("routes:\n  two:\n    legs: [mock/m]\n")).unwrap();
    wait_until("the new file is in force", || status("two") == 200).unwrap();
    assert_eq!(status("one"), 404);
    std::fs::write(&file, mock.config("routes:\n  three:\n    legs: [nobody/m]\n")).unwrap();
    gateway.signal("HUP").unwrap();
    wait_until("the bad file is complained about", || gateway.log().contains("nobody")).unwrap();
    assert_eq!((status("two"), status("three")), (200, 404));
}

#[test]
fn a_signal_alone_reloads() {
    let elsewhere = tempfile::tempdir().unwrap();
    let secret = elsewhere.path().join("key");
    std::fs::write(&secret, "sk-first").unwrap();
    let mock = Mock::playing("rules: []").unwrap();
    let gateway = Gateway::with(&mock.config(&format!("    api_key: file:{}\n", secret.display()))).unwrap();
    let sent = || {
        assert_eq!(Request::ask("mock/m", "x").send(&gateway.url).unwrap().status, 200);
        let seen = mock.seen().unwrap();
        seen["requests"].as_array().unwrap().last().unwrap()["headers"]["authorization"].clone()
    };
    assert_eq!(sent(), "Bearer sk-first");
    // Nobody watches this file.
    std::fs::write(&secret, "sk-second").unwrap();
    gateway.signal("HUP").unwrap();
    wait_until("it is reloaded", || gateway.log().contains("the configuration was reloaded")).unwrap();
    assert_eq!(sent(), "Bearer sk-second");
}

#[test]
fn a_drain_has_its_time_and_no_more() {
    let mock = Mock::playing("rules:\n  - then: {text: [a, b, c, d], fault: {stall_after_chunks: 3}}\n").unwrap();
    let mut gateway = Gateway::with(&mock.config("limits: {drain_time: 300ms}\n")).unwrap();
    let mut live = Request::stream("mock/m", "x").open(&gateway.url).unwrap();
    live.until("\"a\"").unwrap();
    gateway.signal("TERM").unwrap();
    assert!(gateway.ended().unwrap().success(), "{}", gateway.log());
    assert!(gateway.log().contains("still in flight are cut"), "{}", gateway.log());
    assert!(!live.rest().unwrap().complete, "a cut answer has no proper end");
}

#[test]
fn a_drain_lets_streams_finish() {
    let script = "rules:\n  - then: {text: [a, b, c, d, e, f], delay_ms: {between: 300}}\n";
    let mock = Mock::playing(script).unwrap();
    let mut gateway = Gateway::with(&mock.config("")).unwrap();
    let mut live = Request::stream("mock/m", "x").open(&gateway.url).unwrap();
    let mut body = live.until("\"a\"").unwrap();
    gateway.signal("TERM").unwrap();
    wait_until("new connections are refused or told to go away", || {
        Request::ask("mock/m", "x").send(&gateway.url).is_ok_and(|r| r.status == 503)
            || std::net::TcpStream::connect(gateway.url.strip_prefix("http://").unwrap()).is_err()
    })
    .unwrap();
    let rest = live.rest().unwrap();
    body.push_str(&rest.body);
    let answer = read_stream(&body).unwrap();
    assert!(answer.done && rest.complete && answer.text == "abcdef", "{body}");
    assert!(gateway.ended().unwrap().success(), "{}", gateway.log());
}

#[test]
fn a_port_in_use_is_an_error_that_names_the_flag() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary().unwrap());
    command.args(["serve", "--listen", &address, "--admin-listen", "127.0.0.1:0", "--data"]).arg(folder.path());
    let out = command.current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && said.contains("--listen") && said.contains(&address), "{said}");
}

#[test]
fn health_metrics_and_admin_are_served_and_admin_wants_its_token() {
    let mock = Mock::playing("rules: []").unwrap();
    let gateway = Gateway::with(&mock.config("")).unwrap();
    for url in [&gateway.url, &gateway.admin] {
        for path in ["/healthz", "/readyz"] {
            assert_eq!(Request::get(path).send(url).unwrap().status, 200, "{path}");
        }
    }
    Request::ask("mock/m", "x").send(&gateway.url).unwrap();
    let metrics = Request::get("/metrics").send(&gateway.admin).unwrap();
    assert!(metrics.body.contains("gatewright_requests") && metrics.body.contains("# TYPE"), "{}", metrics.body);
    assert_eq!(Request::get("/metrics").send(&gateway.url).unwrap().status, 404);
    let token = std::fs::read_to_string(gateway.folder().join("data/admin-token")).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    for (request, shows) in [
        (Request::get("/admin/config"), "\"base_url\""),
        (Request::get("/admin/keys"), "\"keys\": []"),
        (Request::get("/admin/plugins"), "\"default_plugins\""),
        (Request::get("/admin/legs"), "\"legs\": ["),
        (Request::get("/admin/usage"), "\"usage\""),
        (Request::get("/admin/reload").method("POST"), "\"reloaded\": true"),
    ] {
        for strange in [request.clone(), request.clone().header("authorization", "Bearer gwa-0123456789abcdef")] {
            let response = strange.send(&gateway.admin).unwrap();
            assert!(response.status == 401 && !response.body.contains(shows), "{request:?}: {}", response.body);
        }
        let response = request.clone().header("authorization", &bearer).send(&gateway.admin).unwrap();
        assert!(response.status == 200 && response.body.contains(shows), "{request:?}: {} {}", response.status, response.body);
    }
    assert!(!gateway.log().contains(token.trim()), "the token is in the log");
}

/// What a command prints.
fn printed(args: &[&str]) -> String {
    let out = Command::new(binary().unwrap()).args(args).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn a_new_key_and_the_lines_for_it_belong_together() {
    let said = printed(&["key", "new", "a: \"b\""]);
    let (told, lines) = said.split_once("For gatewright.yaml:\n\n").unwrap();
    let key = told.split_whitespace().find(|word| word.starts_with("gw-")).unwrap();
    let mock = Mock::playing("rules: []").unwrap();
    let gateway = Gateway::with(&mock.config(lines)).unwrap();
    let ask = Request::ask("mock/m", "x");
    assert_eq!(ask.send(&gateway.url).unwrap().status, 401);
    assert_eq!(ask.header("authorization", &format!("Bearer {key}")).send(&gateway.url).unwrap().status, 200);
    let file = gateway.folder().join("gatewright.yaml");
    assert!(printed(&["validate", file.to_str().unwrap()]).contains("fit to be served"));
}

#[test]
fn the_schema_is_one_that_editors_can_read() {
    let schema: Value = serde_json::from_str(&printed(&["schema"])).unwrap();
    assert!(schema["$schema"].as_str().is_some_and(|dialect| dialect.contains("json-schema.org")), "{schema}");
    assert_eq!(schema["additionalProperties"], false);
    for key in ["listen", "providers", "routes", "plugins", "keys", "limits"] {
        assert!(schema["properties"][key].is_object(), "{key} is missing");
    }
}

#[test]
fn the_front_page_says_how_to_ask() {
    let gateway = Gateway::with(&Mock::playing("rules: []").unwrap().config("")).unwrap();
    let page = Request::get("/").send(&gateway.url).unwrap();
    assert!(page.status == 200 && page.body.contains("curl") && page.body.contains("/v1"), "{}", page.body);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
}

#[test]
fn told_to_bind_elsewhere_it_makes_one_key_prints_it_once_and_wants_it() {
    let mock = Mock::playing("rules: []").unwrap();
    let setup =
        Setup { config: Some(mock.config("")), args: ["--listen", "0.0.0.0:0"].map(str::to_owned).to_vec(), ..Setup::default() };
    let mut gateway = Gateway::start(&setup).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let log = gateway.log();
    let key = log
        .split_whitespace()
        .find(|w| w.starts_with("gw-") && w.len() > 30)
        .unwrap_or_else(|| panic!("no key in: {log}"))
        .to_owned();
    let url = gateway.url.replace("0.0.0.0", "127.0.0.1");
    assert_eq!(Request::ask("mock/m", "x").send(&url).unwrap().status, 401);
    let ask = Request::ask("mock/m", "x").header("authorization", &format!("Bearer {key}"));
    assert_eq!(ask.send(&url).unwrap().status, 200);
    gateway.signal("TERM").unwrap();
    gateway.ended().unwrap();
    gateway.restart(&setup).unwrap();
    assert!(!gateway.log().contains(&key), "the key was printed again");
    assert_eq!(ask.send(&gateway.url.replace("0.0.0.0", "127.0.0.1")).unwrap().status, 200, "the key of the first start holds");
}
