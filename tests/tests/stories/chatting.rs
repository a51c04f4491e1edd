//! A model in the terminal: piped in and out here, where only the answer is told.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use gatewright_tests::{Mock, binary};

/// What it prints where it is asked these lines: status, output, complaints.
fn chat(here: &Path, args: &[&str], lines: &str) -> (i32, String, String) {
    let mut child = Command::new(binary().unwrap())
        .arg("chat")
        .args(args)
        .current_dir(here)
        .env_clear()
        .env("GATEWRIGHT_DATA", "data")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_demo_model_answers_line_by_line() {
    let here = tempfile::tempdir().unwrap();
    let (status, said, complaints) =
        chat(here.path(), &["--device", "cpu"], "What is 47 + 85?\n\nWhat is 2 + 2?\n/exit\nnever asked\n");
    assert_eq!(status, 0, "{complaints}");
    assert!(said.contains("132") && said.contains('4') && !said.contains('\u{1b}') && !said.contains("<think>"), "{said}");
}

#[test]
fn a_models_folder_is_talked_to() {
    let here = tempfile::tempdir().unwrap();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/demo").canonicalize().unwrap();
    let (status, said, complaints) = chat(here.path(), &[&demo.display().to_string(), "--device", "cpu"], "What is 47 + 85?\n");
    assert!(status == 0 && said.contains("132"), "{said}{complaints}");
}

#[test]
fn what_was_said_is_told_again_without_the_thought() {
    let script = "rules:\n  - when: {contains: fail}\n    then: {fault: {status: 400, body: {error: {message: 'not that'}}}}\n\
                  \x20 - then: {reasoning: [secret thought], text: ['you said ', '{{user}}']}\n";
    let mock = Mock::playing(script).unwrap();
    let here = tempfile::tempdir().unwrap();
    std::fs::write(
        here.path().join("gatewright.yaml"),
        mock.config("keys: {a: {sha256: '0000000000000000000000000000000000000000000000000000000000000000'}}\n"),
    )
    .unwrap();
    let (status, said, complaints) = chat(here.path(), &["mock/m", "--system", "be kind"], "one\ntwo\n/clear\nthree\n");
    assert_eq!((status, said.as_str()), (0, "you said one\nyou said two\nyou said three\n"), "{complaints}");
    let seen = mock.seen().unwrap();
    let told = |at: usize| -> Vec<String> {
        let messages = seen["requests"][at]["body"]["messages"].as_array().unwrap().iter();
        messages.map(|message| format!("{}: {}", message["role"].as_str().unwrap(), message["content"].as_str().unwrap())).collect()
    };
    assert_eq!(told(1), ["system: be kind", "user: one", "assistant: you said one", "user: two"]);
    assert_eq!(told(2), ["system: be kind", "user: three"]);
    let (status, _, complaints) = chat(here.path(), &["mock/m"], "fail\n");
    assert!(status == 1 && complaints.contains("not that"), "{complaints}");
    let (status, _, complaints) = chat(here.path(), &["nobody"], "x\n");
    assert!(status == 1 && complaints.contains("nobody"), "{complaints}");
}
