//! The commands of the README run, in their order, in one shell, and print what the README says. Blocks that follow a
//! `<!-- not run by the tests: why -->` comment are left out. It knows Markdown's fences and nothing of the gateway.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

/// Ports that the README uses; the test runs on free ones instead.
const PORTS: [&str; 3] = ["4000", "4001", "4010"];

struct Step {
    commands: String,
    expected: Option<String>,
}

fn steps(readme: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut fence, mut text, mut skip) = (None::<String>, String::new(), false);
    for line in readme.lines() {
        match (&fence, line.strip_prefix("```")) {
            (None, Some(language)) => (fence, text) = (Some(language.to_owned()), String::new()),
            (Some(language), Some(_)) => {
                match language.as_str() {
                    "sh" if !std::mem::take(&mut skip) => steps.push(Step { commands: text.clone(), expected: None }),
                    "text" => steps.last_mut().expect("output before any command").expected = Some(text.clone()),
                    _ => {}
                }
                fence = None;
            }
            (Some(_), None) => writeln!(text, "{line}").unwrap(),
            (None, None) => skip |= line.starts_with("<!-- not run by the tests: "),
        }
    }
    steps
}

/// Whether the lines of `expected` stand in `printed` in that order; `…` stands for anything within a line.
fn prints(printed: &str, expected: &str) -> Result<(), String> {
    let mut rest = printed.lines();
    for line in expected.lines().filter(|l| !l.trim().is_empty() && l.trim() != "…") {
        rest.by_ref().find(|candidate| fits(candidate, line)).ok_or_else(|| format!("this line did not come: {line}"))?;
    }
    Ok(())
}

fn fits(candidate: &str, pattern: &str) -> bool {
    let mut rest = candidate;
    pattern.trim().split('…').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

fn free_ports() -> Vec<String> {
    let taken: Vec<_> = PORTS.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    taken.iter().map(|l| l.local_addr().unwrap().port().to_string()).collect()
}

fn script(steps: &[Step], outputs: &Path) -> String {
    let mut script = String::from("set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n");
    for (number, step) in steps.iter().enumerate() {
        let out = outputs.join(number.to_string());
        // The README serves on the usual ports; here they may be taken.
        let commands =
            step.commands.replace("gatewright serve", "gatewright serve --listen 127.0.0.1:4000 --admin-listen 127.0.0.1:4001");
        writeln!(script, "{{\n{commands}}} > {} 2>&1", out.display()).unwrap();
    }
    for (port, free) in PORTS.iter().zip(free_ports()) {
        script = script.replace(port, &free);
    }
    script
}

#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let steps = steps(&readme);
    assert!(steps.len() >= 10, "the tour is gone: {} commands", steps.len());
    let folder = tempfile::tempdir().unwrap();
    let (bin, outputs, home) = (folder.path().join("bin"), folder.path().join("out"), folder.path().join("home"));
    for made in [&bin, &outputs, &home] {
        std::fs::create_dir(made).unwrap();
    }
    std::fs::copy(gatewright_tests::binary().unwrap(), bin.join("gatewright")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    // Bounded, as the commands wait for servers.
    let mut shell = Command::new("timeout");
    shell
        .args(["180", "bash", "-c"])
        .arg(script(&steps, &outputs))
        .env("PATH", path)
        .env("HOME", &home)
        .env("TMPDIR", folder.path());
    shell.env_remove("OPENAI_API_KEY").env_remove("DEEPSEEK_API_KEY").env_remove("XDG_DATA_HOME").current_dir(folder.path());
    let status = shell.stdin(Stdio::null()).status().unwrap();
    for (number, step) in steps.iter().enumerate() {
        let printed = std::fs::read_to_string(outputs.join(number.to_string()));
        let printed = printed.unwrap_or_else(|_| panic!("the shell stopped before:\n{}{}", step.commands, last(&outputs)));
        if let Some(expected) = &step.expected {
            prints(&printed, expected).unwrap_or_else(|e| panic!("{e}\nof:\n{}\nit printed:\n{printed}", step.commands));
        }
    }
    assert!(status.success(), "the last command failed ({status}):\n{}", last(&outputs));
}

fn last(outputs: &Path) -> String {
    let newest = (0..100).rev().find_map(|n| std::fs::read_to_string(outputs.join(n.to_string())).ok());
    format!("--- the last output was:\n{}", newest.unwrap_or_default())
}

#[test]
fn the_matcher_is_strict_about_order_and_lines() {
    assert!(prints("a 1 b\nc\n", "a … b\nc\n").is_ok());
    assert!(prints("c\na 1 b\n", "a … b\nc\n").is_err());
    assert!(prints("a\nb\n", "a … b\n").is_err());
}
