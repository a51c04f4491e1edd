//! Records: one row a request, no prompt text, nothing lost on a clean shutdown.

use std::process::Command;

use gatewright_tests::{Gateway, Mock, Request, binary};

#[test]
fn usage_counts_every_request_after_a_clean_shutdown() {
    let script = "rules:\n  - when: {contains: fail}\n    then: {fault: {status: 500, body: '{}'}}\n\
                  \x20 - then: {text: hi, usage: {prompt: 7, completion: 2}}\n";
    let mock = Mock::playing(script).unwrap();
    let mut gateway = Gateway::with(&mock.config("")).unwrap();
    for n in 0..20 {
        let request =
            if n % 2 == 0 { Request::ask("mock/m", "a-private-word") } else { Request::stream("mock/m", "a-private-word") };
        assert_eq!(request.send(&gateway.url).unwrap().status, 200);
    }
    assert!(Request::ask("mock/m", "fail").send(&gateway.url).unwrap().status >= 500);
    // What is refused before any upstream is asked leaves its row too.
    assert_eq!(Request::ask("nowhere/m", "x").send(&gateway.url).unwrap().status, 404);
    assert_eq!(Request::post("/v1/chat/completions", "{not json").send(&gateway.url).unwrap().status, 400);
    gateway.signal("TERM").unwrap();
    assert!(gateway.ended().unwrap().success());
    let data = gateway.folder().join("data");
    let mut usage = Command::new(binary().unwrap());
    let out = usage.args(["usage", "--json", "--data"]).arg(&data).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stderr));
    let rows: serde_json::Value = serde_json::from_str(&said).unwrap();
    let sum = |field: &str| rows.as_array().unwrap().iter().map(|r| r[field].as_u64().unwrap_or_default()).sum::<u64>();
    assert_eq!((sum("requests"), sum("prompt_tokens"), sum("completion_tokens")), (23, 140, 40), "{said}");
    for entry in std::fs::read_dir(&data).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_file()) {
        let bytes = std::fs::read(&entry).unwrap();
        let found = bytes.windows(14).any(|w| w == b"a-private-word");
        assert!(!found, "a prompt's text is in {}", entry.display());
    }
}
