//! Starting: signals while models open, an edit that comes while the last one is taken over, a terminal that nobody reads.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use gatewright_tests::{Gateway, Mock, Request, binary, wait_until};

/// A file that makes whoever reads it wait until it is written.
fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// `serve` in a folder, open to others, with these outputs.
fn serve(folder: &Path, [out, err]: [Stdio; 2]) -> Started {
    let mut command = Command::new(binary().unwrap());
    command.args(["serve", "--listen", "0.0.0.0:0", "--admin-listen", "127.0.0.1:0", "--data"]).arg(folder.join("data"));
    std::fs::write(folder.join("gatewright.yaml"), "").unwrap();
    Started(command.current_dir(folder).stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap())
}

/// Killed when dropped.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// An output that nobody reads any more.
fn broken() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_signal_is_heard_before_all_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    DirBuilder::new().mode(0o700).create(&data).unwrap();
    pipe(&data.join("client-key.sha256"));
    let mut started = serve(folder.path(), [Stdio::null(), File::create(folder.path().join("log")).unwrap().into()]);
    let token = data.join("admin-token");
    wait_until("it opens what it needs", || std::fs::read(&token).is_ok_and(|token| !token.is_empty())).unwrap();
    assert!(Command::new("kill").arg("-TERM").arg(started.0.id().to_string()).status().unwrap().success());
    wait_until("it ends", || started.0.try_wait().unwrap().is_some()).unwrap();
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(started.0.wait().unwrap().success() && log.contains("stopped before it served"), "{log}");
}

#[test]
fn a_key_that_nobody_saw_is_not_required() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut started = serve(folder.path(), [broken(), File::create(&log).unwrap().into()]);
    wait_until("it ends", || started.0.try_wait().unwrap().is_some()).unwrap();
    let told = std::fs::read_to_string(&log).unwrap();
    assert!(told.contains("cannot show the key") && !told.contains("panicked"), "{told}");
    assert!(!folder.path().join("data/client-key.sha256").exists());
}

#[test]
fn it_serves_on_when_nobody_reads_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let shown = folder.path().join("shown");
    let started = serve(folder.path(), [File::create(&shown).unwrap().into(), broken()]);
    let text = || std::fs::read_to_string(&shown).unwrap();
    wait_until("it serves", || text().contains("Admin")).unwrap();
    let url = text().split_whitespace().find(|word| word.starts_with("http://")).unwrap().replace("localhost", "127.0.0.1");
    for _ in 0..3 {
        // Each is logged.
        assert_eq!(Request::ask("m", "x").send(&url).unwrap().status, 401);
    }
    drop(started);
}

#[test]
fn an_edit_that_comes_while_the_last_one_is_taken_over_is_not_lost() {
    let mock = Mock::playing("rules: []").unwrap();
    let gateway = Gateway::with(&mock.config("")).unwrap();
    let slow = gateway.folder().join("slow");
    std::fs::create_dir(&slow).unwrap();
    std::fs::write(slow.join("plugin.yaml"), "name: slow\nversion: 0.1.0\nentry: main.luau\ngrants: [log]\n").unwrap();
    let code = "log('warn', 'it begins') for turn = 1, 200000000 do end return { inspect = function(ctx, event) return {} end }";
    std::fs::write(slow.join("main.luau"), code).unwrap();
    let edit = |text: &str| std::fs::write(gateway.folder().join("gatewright.yaml"), mock.config(text)).unwrap();
    let long = "limits: {cpu_us: 60000000, wall_ms: 60000}";
    edit(&format!("routes:\n  two:\n    legs: [mock/m]\nplugins:\n  slow: {{folder: slow, grants: [log], {long}}}\n"));
    // The first edit was read, and its plugin is being loaded.
    wait_until("the plugin is loaded", || gateway.log().contains("it begins")).unwrap();
    edit("routes:\n  three:\n    legs: [mock/m]\n");
    let status = |model: &str| Request::ask(model, "x").send(&gateway.url).unwrap().status;
    wait_until("the second edit is in force", || status("three") == 200).unwrap();
    assert_eq!(status("two"), 404);
}
