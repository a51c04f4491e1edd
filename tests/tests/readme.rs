//! The commands of the README and of the guide to plugins run, in their order, in one shell, and print what is said there. Blocks that
//! follow a `<!-- not run by the tests: why -->` comment are left out, and so are those behind `<!-- needs: node -->` with what they
//! print, where `GATEWRIGHT_TESTS_WITH` does not name `node`; output that stands before its commands says whose it is by
//! `<!-- printed by the step: heading -->`. It knows Markdown's fences and nothing of the gateway. It needs bash and curl: it is skipped
//! where they are missing and `GATEWRIGHT_TESTS_WITH` does not name `curl`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use gatewright_tests::{named, skipped};
use rustix::process::{Pid, Signal, kill_process_group};

/// Ports that the README uses; the test runs on free ones instead.
const PORTS: [&str; 3] = ["4000", "4001", "4010"];
/// The commands wait for servers and compilers, and stop after so long.
const PATIENCE: Duration = Duration::from_secs(600);

struct Step {
    commands: String,
    expected: Option<String>,
}

fn steps(readme: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut fence, mut text, mut skip, mut lacks) = (None::<String>, String::new(), false, false);
    // Output that came before its commands, by the heading that they stand under.
    let (mut heading, mut announced, mut early) = ("", None::<&str>, Vec::new());
    for line in readme.lines() {
        match (&fence, line.strip_prefix("```")) {
            (None, Some(language)) => (fence, text) = (Some(language.to_owned()), String::new()),
            (Some(language), Some(_)) => {
                match language.as_str() {
                    "text" if std::mem::take(&mut lacks) => {}
                    "sh" if lacks => {}
                    "sh" if !std::mem::take(&mut skip) => {
                        let mine = early.iter().position(|(of, _)| *of == heading);
                        steps.push(Step { commands: text.clone(), expected: mine.map(|at| early.swap_remove(at).1) });
                    }
                    "text" if announced.is_some() => early.extend(announced.take().map(|of| (of, text.clone()))),
                    "text" => steps.last_mut().expect("output before any command").expected = Some(text.clone()),
                    _ => {}
                }
                fence = None;
            }
            (Some(_), None) => writeln!(text, "{line}").unwrap(),
            (None, None) => {
                let needed = line.strip_prefix("<!-- needs: ").and_then(|l| l.strip_suffix(" -->"));
                lacks |= needed.is_some_and(|what| !named(what));
                skip |= line.starts_with("<!-- not run by the tests: ");
                announced = line.strip_prefix("<!-- printed by the step: ").and_then(|l| l.strip_suffix(" -->")).or(announced);
                heading = line.strip_prefix("### ").unwrap_or(heading);
            }
        }
    }
    assert!(early.is_empty(), "no commands print this: {early:?}");
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
    with_ports(&script, &free_ports())
}

/// The README's ports replaced in one pass: a free port that contains one of them is not replaced again.
fn with_ports(text: &str, free: &[String]) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(c) = rest.chars().next() {
        let number = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(number.max(c.len_utf8()));
        out.push_str(PORTS.iter().position(|port| *port == word).map_or(word, |at| &free[at]));
        rest = after;
    }
    out
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Waits for the shell; one that takes too long is ended with all that it started.
fn wait(shell: &mut Command) -> ExitStatus {
    use std::os::unix::process::CommandExt;
    let mut child = shell.process_group(0).stdin(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > until {
            kill_process_group(Pid::from_child(&child), Signal::KILL).unwrap();
            return child.wait().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    do_what_they_say("README.md", 10);
}

#[test]
fn the_commands_of_the_guide_to_plugins_do_what_it_says() {
    do_what_they_say("plugins/README.md", 2);
}

/// Runs the commands of a page, of which there are at least so many.
fn do_what_they_say(page: &str, least: usize) {
    let runs = named("curl") || (is_there("bash") && is_there("curl"));
    if !runs {
        skipped("there is no bash or no curl; the README's commands were not tried");
        return;
    }
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page)).unwrap();
    let steps = steps(&text);
    assert!(steps.len() >= least, "the tour is gone: {} commands", steps.len());
    let folder = tempfile::tempdir().unwrap();
    let (bin, outputs, home) = (folder.path().join("bin"), folder.path().join("out"), folder.path().join("home"));
    for made in [&bin, &outputs, &home] {
        std::fs::create_dir(made).unwrap();
    }
    std::fs::copy(gatewright_tests::binary().unwrap(), bin.join("gatewright")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(script(&steps, &outputs)).env("PATH", path).env("HOME", &home).env("TMPDIR", folder.path());
    shell.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests"));
    shell.env_remove("OPENAI_API_KEY").env_remove("DEEPSEEK_API_KEY").env_remove("XDG_DATA_HOME").current_dir(folder.path());
    let status = wait(&mut shell);
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
fn ports_are_replaced_once_and_only_where_they_stand_alone() {
    let free = ["40100", "14001", "4000"].map(str::to_owned);
    assert_eq!(with_ports("a:4000/ 4001 4010 40101 sk-4010x é", &free), "a:40100/ 14001 4000 40101 sk-4000x é");
}

#[test]
fn output_that_comes_first_belongs_to_the_step_that_it_names() {
    let page = "<!-- printed by the step: Two -->\n```text\nx\n```\n### One\n```sh\na\n```\n### Two\n```sh\nb\n```\n";
    let steps: Vec<_> = steps(page).into_iter().map(|s| (s.commands, s.expected)).collect();
    assert_eq!(steps, [("a\n".to_owned(), None), ("b\n".to_owned(), Some("x\n".to_owned()))]);
}

#[test]
fn the_matcher_is_strict_about_order_and_lines() {
    assert!(prints("a 1 b\nc\n", "a … b\nc\n").is_ok());
    assert!(prints("c\na 1 b\n", "a … b\nc\n").is_err());
    assert!(prints("a\nb\n", "a … b\n").is_err());
}
