//! A plugin changes while the gateway serves: versions are swapped between requests, and one that cannot be loaded changes nothing.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::Command;

use gatewright_tests::{Gateway, Mock, Request, binary, wait_until};

fn plugin(folder: &Path, version: &str, code: &str) {
    std::fs::create_dir_all(folder).unwrap();
    let manifest =
        format!("name: v\nversion: {version}\nentry: plugin.luau\nwindow: 1\nsubscribe: {{phases: chunk, channels: assistant}}\n");
    // In this order, so that a reload between the two finds code that fits either.
    std::fs::write(folder.join("plugin.luau"), code).unwrap();
    std::fs::write(folder.join("plugin.yaml"), manifest).unwrap();
}

/// Replaces each `x` of an answer.
fn replacing(by: &str) -> String {
    format!(
        "return {{ inspect = function(ctx, event)
            local actions = {{}}
            for _, segment in event.segments do
              for at = segment.sent + 1, #segment.text do
                if string.sub(segment.text, at, at) == 'x' then table.insert(actions, edit(segment, at, at, '{by}')) end
              end
            end
            return actions
          end }}"
    )
}

fn admin(gateway: &Gateway, path: &str) -> serde_json::Value {
    let token = std::fs::read_to_string(gateway.folder().join("data/admin-token")).unwrap();
    Request::get(path).header("authorization", &format!("Bearer {}", token.trim())).send(&gateway.admin).unwrap().json()
}

fn said(gateway: &Gateway, model: &str) -> String {
    let answer = Request::ask(model, "hi").send(&gateway.url).unwrap();
    answer.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_request_keeps_its_version_and_a_broken_one_leaves_the_last_good_in_service() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("v");
    plugin(&place, "1.0.0", &replacing("one"));
    let script = "rules:\n  - when: {stream: true}\n    then: {text: [x, a, b, c, d, e, f, x], delay_ms: {between: 400}}\n  - then: {text: [x]}\n";
    let mock = Mock::playing(script).unwrap();
    let lines = format!("plugins:\n  v: {{folder: {}}}\n", place.display());
    let gateway = Gateway::with(&mock.config(&lines)).unwrap();
    let mut live = Request::stream("mock/m", "hi").open(&gateway.url).unwrap();
    let mut body = live.until("one").unwrap();
    plugin(&place, "2.0.0", &replacing("two"));
    wait_until("the new version is in service", || said(&gateway, "mock/m") == "two").unwrap();
    let shown = admin(&gateway, "/admin/plugins")["plugins"]["v"].clone();
    wait_until("its manifest too", || admin(&gateway, "/admin/plugins")["plugins"]["v"]["version"] == "2.0.0").unwrap();
    assert!(shown["digest"].as_str().unwrap().starts_with("blake3:"), "{shown}");
    body.push_str(&live.rest().unwrap().body);
    assert!(body.matches("one").count() == 2 && !body.contains("two"), "a request keeps its version: {body}");

    plugin(&place, "3.0.0", "return { inspect = ");
    wait_until("it is refused", || !admin(&gateway, "/admin/reload")["refused"].as_array().unwrap().is_empty()).unwrap();
    let refused = admin(&gateway, "/admin/reload")["refused"][0].as_str().unwrap().to_owned();
    assert!(refused.starts_with("plugin v: ") && refused.contains("plugin.luau"), "{refused}");
    assert!(gateway.log().contains("the last good one stays, its plugins among it"), "{}", gateway.log());
    assert_eq!(said(&gateway, "mock/m"), "two");

    // What else changes waits for it, and is told why.
    let file = gateway.folder().join("gatewright.yaml");
    let count = gateway.log().matches("whatever else changed in it").count();
    std::fs::write(&file, mock.config(&format!("{lines}routes:\n  new:\n    legs: [mock/m]\n"))).unwrap();
    wait_until("it is refused again", || gateway.log().matches("whatever else changed in it").count() > count).unwrap();
    assert_eq!(Request::ask("new", "hi").send(&gateway.url).unwrap().status, 404);
    plugin(&place, "3.0.1", &replacing("three"));
    wait_until("both are in service", || said(&gateway, "new") == "three").unwrap();
    assert_eq!(admin(&gateway, "/admin/reload")["refused"], serde_json::json!([]));
}

#[test]
fn an_archive_that_is_replaced_is_loaded_anew() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("v");
    let archive = folder.path().join("shelf/v.tar.gz");
    std::fs::create_dir(folder.path().join("shelf")).unwrap();
    let pack = |code: &str| {
        plugin(&place, "1.0.0", code);
        let half = folder.path().join("half.tar.gz");
        let status = Command::new(binary().unwrap()).args(["plugin", "pack"]).arg(&place).arg("--out").arg(&half).status().unwrap();
        assert!(status.success());
        std::fs::rename(half, &archive).unwrap();
    };
    pack(&replacing("one"));
    let mock = Mock::playing("rules: [{then: {text: [x]}}]").unwrap();
    let gateway = Gateway::with(&mock.config(&format!("plugins:\n  v: {{file: {}}}\n", archive.display()))).unwrap();
    assert_eq!(said(&gateway, "mock/m"), "one");
    for by in ["two", "three"] {
        pack(&replacing(by));
        wait_until("the new archive is in service", || said(&gateway, "mock/m") == by).unwrap();
    }
}
