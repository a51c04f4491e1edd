//! An author's way: a plugin is made, tried, broken, measured, and served.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output};

use gatewright_tests::{Gateway, Mock, Request, binary, named, skipped};

fn gatewright(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(binary().unwrap()).args(args).current_dir(folder).env_clear().output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn a_new_plugin_passes_its_cases_and_a_broken_one_is_shown_where() {
    let folder = tempfile::tempdir().unwrap();
    let (status, told, _) = gatewright(folder.path(), &["plugin", "new", "fruit"]);
    assert_eq!(status, 0, "{told}");
    let (status, told, wrong) = gatewright(folder.path(), &["plugin", "test", "fruit", "--splits", "50"]);
    assert_eq!(status, 0, "{told}{wrong}");
    assert!(told.contains("fruit/cases/first.yaml: 3 passed, 0 failed") && told.contains("3 cases pass"), "{told}");
    let (status, _, wrong) = gatewright(folder.path(), &["plugin", "new", "fruit"]);
    assert!(status == 1 && wrong.contains("fruit is there already"), "{wrong}");

    // A window that is too short for what is looked for: whole, all is well; cut, it is not.
    let manifest = folder.path().join("fruit/plugin.yaml");
    let text = std::fs::read_to_string(&manifest).unwrap().replace("window: 64", "window: 2");
    std::fs::write(&manifest, text).unwrap();
    let (status, told, wrong) = gatewright(folder.path(), &["plugin", "test", "fruit"]);
    assert_eq!(status, 1, "{told}{wrong}");
    assert!(wrong.contains("first.yaml:6: a listed word in the model's thought: text: expected"), "{wrong}");
    assert!(wrong.contains("the stream was cut as [") && wrong.contains("1 of 3 cases fail"), "{wrong}");

    std::fs::write(folder.path().join("fruit/cases/second.yaml"), "- name: x\n  given: {phase: never}\n").unwrap();
    let (status, _, wrong) = gatewright(folder.path(), &["plugin", "test", "fruit"]);
    assert!(status == 2 && wrong.contains("second.yaml: line 2: phase: `never` is none of"), "{wrong}");
}

#[test]
fn one_text_is_tried_and_a_data_set_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let key = "my key is AKIADMEN4KHVDGAJGXBE";
    let (status, told, wrong) = gatewright(folder.path(), &["plugin", "run", "secrets", key]);
    assert_eq!(status, 0, "{wrong}");
    assert!(told.contains("text: my key is [redacted:aws-access-key]") && told.contains("record: request user edit"), "{told}");
    let settings = r#"{"terms": ["bomb"]}"#;
    let (_, told, _) = gatewright(folder.path(), &["plugin", "run", "topic-deny", "--settings", settings, "a b o m b"]);
    assert!(told.contains("verdict: block\ncode: topic_denied"), "{told}");
    let (status, _, wrong) = gatewright(folder.path(), &["plugin", "run", "no-such", "x"]);
    assert!(status == 1 && wrong.contains("no folder `no-such`") && wrong.contains("secrets"), "{wrong}");

    let rows = format!("{{\"text\": \"{key}\", \"label\": true}}\n{{\"text\": \"good morning\", \"label\": 0}}\n");
    std::fs::write(folder.path().join("set.jsonl"), &rows).unwrap();
    let (status, told, wrong) = gatewright(folder.path(), &["plugin", "eval", "secrets", "set.jsonl", "--json"]);
    assert_eq!(status, 0, "{wrong}");
    let figures: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((figures["precision"].as_f64(), figures["recall"].as_f64()), (Some(1.0), Some(1.0)), "{told}");
    std::fs::write(folder.path().join("set.jsonl"), format!("{rows}{{\"text\": \"x\", \"label\": \"maybe\"}}\n")).unwrap();
    let (status, _, wrong) = gatewright(folder.path(), &["plugin", "eval", "secrets", "set.jsonl"]);
    assert!(status == 2 && wrong.contains("set.jsonl:3: label: expected true or false"), "{wrong}");
}

#[test]
fn the_lines_that_new_prints_are_fit_to_be_served() {
    let folder = tempfile::tempdir().unwrap();
    let (_, told, _) = gatewright(folder.path(), &["plugin", "new", "fruit"]);
    let lines = told.split_once("For gatewright.yaml:\n\n").unwrap().1;
    let path = folder.path().join("fruit");
    let lines = lines.replace("folder: fruit", &format!("folder: {}", path.display()));
    let mock = Mock::playing("rules: [{then: {text: [yes]}}]").unwrap();
    let gateway = Gateway::with(&mock.config(&lines)).unwrap();
    let answer = Request::ask("mock/mock", "a plum").send(&gateway.url).unwrap();
    assert!(answer.header("x-gatewright-plugins").is_some_and(|told| told.contains("fruit=edit")), "{:?}", answer.headers);
}

#[test]
fn a_plugin_keeps_and_counts_things_that_the_metrics_show() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "name: counting\nversion: 0.1.0\nentry: plugin.luau\nsubscribe: {phases: request, channels: user}\n\
        grants: [store, metrics]\n";
    let code = "return { inspect = function(ctx, event)
        local seen = (tonumber(store.get('seen') or '') or 0) + 1
        store.put('seen', tostring(seen), 600)
        metrics.count('seen')
        return { note('seen', tostring(seen)), answer('request ' .. seen) }
    end }";
    std::fs::write(folder.path().join("plugin.yaml"), manifest).unwrap();
    std::fs::write(folder.path().join("plugin.luau"), code).unwrap();
    let mock = Mock::playing("rules: [{then: {text: [yes]}}]").unwrap();
    let lines = format!("plugins:\n  counting: {{folder: {}, grants: [store, metrics]}}\n", folder.path().display());
    let gateway = Gateway::with(&mock.config(&lines)).unwrap();
    for n in 1..=3 {
        let answer = Request::ask("mock/mock", "hi").send(&gateway.url).unwrap();
        assert_eq!(answer.json()["choices"][0]["message"]["content"], format!("request {n}"), "{}", answer.body);
    }
    let metrics = Request::get("/metrics").send(&gateway.admin).unwrap();
    assert!(metrics.body.contains("gatewright_plugin_count_total{plugin=\"counting\",name=\"seen\"} 3"), "{}", metrics.body);
}

/// The same in a folder's own environment: compilers and packages are found, and what they build stays outside of the folder.
fn at_work(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let mut command = Command::new(binary().unwrap());
    let Output { status, stdout, stderr } =
        command.args(args).current_dir(folder).env("CARGO_TARGET_DIR", target).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// What `plugin test` says that each case costs.
fn costs(told: &str) -> Vec<String> {
    told.lines().filter(|line| line.starts_with("  fuel")).map(str::to_owned).collect()
}

#[test]
fn a_plugin_with_a_tool_is_made_and_what_its_cases_cost_is_told_alike_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let (status, told, wrong) = gatewright(folder.path(), &["plugin", "new", "fruit", "--tools"]);
    assert_eq!(status, 0, "{told}{wrong}");
    let (status, told, wrong) = gatewright(folder.path(), &["plugin", "build", "fruit"]);
    assert!(status == 0 && told.contains("nothing to build. It fits the contract.\ndigest: "), "{told}{wrong}");
    let run = || gatewright(folder.path(), &["plugin", "test", "fruit", "--splits", "20"]);
    let (status, first, wrong) = run();
    assert!(status == 0 && first.contains("5 cases pass"), "{first}{wrong}");
    assert!(costs(&first).len() == 5 && costs(&first) == costs(&run().1), "{first}");

    let cases = folder.path().join("fruit/cases/first.yaml");
    let text = std::fs::read_to_string(&cases).unwrap().replace("{ text: \"a pear\" }", "{ text: \"a pear\", max_fuel: 1 }");
    std::fs::write(&cases, text).unwrap();
    let (status, _, wrong) = run();
    assert!(status == 1 && wrong.contains("nothing listed: fuel: expected at most 1, got "), "{wrong}");
}

#[test]
fn who_lacks_a_compiler_is_told_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    for (lang, told) in [("rust", "rustup target add wasm32-unknown-unknown"), ("js", "install it from https://nodejs.org")] {
        let (status, _, wrong) = gatewright(folder.path(), &["plugin", "new", lang, "--lang", lang]);
        assert_eq!(status, 0, "{wrong}");
        // A path with nothing on it.
        let mut command = Command::new(binary().unwrap());
        let output =
            command.args(["plugin", "build", lang]).current_dir(folder.path()).env_clear().env("PATH", "/nowhere").output();
        let output = output.unwrap();
        let wrong = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && wrong.contains(told), "{lang}: {wrong}");
    }
    let (status, _, wrong) = gatewright(folder.path(), &["plugin", "build", "no-such"]);
    assert!(status == 1 && wrong.contains("no-such is not a plugin's folder"), "{wrong}");
}

/// Builds what was made and runs its cases; what they cost.
fn builds_and_keeps_its_word(folder: &Path, name: &str) -> Vec<String> {
    let (status, told, wrong) = at_work(folder, &["plugin", "build", name]);
    assert!(status == 0 && told.contains(" bytes. It fits the contract.\ndigest: "), "{told}{wrong}");
    let (status, told, wrong) = at_work(folder, &["plugin", "test", name, "--splits", "40"]);
    assert!(status == 0 && told.contains("5 cases pass"), "{told}{wrong}");
    costs(&told)
}

#[test]
fn a_plugin_in_rust_is_made_built_and_keeps_its_word() {
    if !named("wasm") {
        skipped("a plugin in Rust is built where `wasm` is named in GATEWRIGHT_TESTS_WITH");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (status, told, wrong) = at_work(folder.path(), &["plugin", "new", "fruit", "--lang", "rust", "--tools"]);
    assert!(status == 0 && told.contains("gatewright plugin build fruit"), "{told}{wrong}");
    let first = builds_and_keeps_its_word(folder.path(), "fruit");
    assert!(first.len() == 5 && first == builds_and_keeps_its_word(folder.path(), "fruit"), "{first:?}");
    let settings = r#"{"words": ["plum"]}"#;
    let (status, told, wrong) = at_work(folder.path(), &["plugin", "run", "fruit", "--settings", settings, "a Plum tree"]);
    assert!(status == 0 && told.contains("text: a [redacted] tree"), "{told}{wrong}");
    let built = std::fs::read(folder.path().join("fruit/plugin.wasm")).unwrap();
    assert!(built.len() < 64 << 10, "{} bytes", built.len());
}

/// With packages that CI has installed: no test waits for a registry. The engine that is packed in imports WASI, and finds none.
#[test]
fn a_plugin_in_javascript_is_made_built_and_keeps_its_word() {
    let Some(libraries) = named("node").then(|| std::env::var_os("GATEWRIGHT_NODE_LIBRARIES")).flatten() else {
        skipped("a plugin in JavaScript is built where `node` is named in GATEWRIGHT_TESTS_WITH, with GATEWRIGHT_NODE_LIBRARIES");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (status, told, wrong) = at_work(folder.path(), &["plugin", "new", "fruit", "--lang", "js", "--tools"]);
    assert!(status == 0 && told.contains("npm install"), "{told}{wrong}");
    let (status, _, wrong) = at_work(folder.path(), &["plugin", "build", "fruit"]);
    assert!(status == 1 && wrong.contains("componentize-qjs is missing: run `npm install` in"), "{wrong}");
    std::os::unix::fs::symlink(Path::new(&libraries).join("node_modules"), folder.path().join("fruit/node_modules")).unwrap();
    builds_and_keeps_its_word(folder.path(), "fruit");
    let built = std::fs::read(folder.path().join("fruit/plugin.wasm")).unwrap();
    let imports = |name: &str| built.windows(name.len()).any(|bytes| bytes == name.as_bytes());
    assert!(imports("wasi:cli/stdout@") && imports("wasi:io/streams@"), "the guest that shows that WASI is denied imports none");
}
