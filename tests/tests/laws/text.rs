//! Laws that are about files as text: length, opening, names, what stands where.

use std::path::Path;

use super::sources::{files, is_test, root, rust};

const LONGEST: usize = 400;
const SHAPELESS: [&str; 8] = ["util", "utils", "helper", "helpers", "common", "misc", "manager", "base"];

#[test]
fn a_file_has_at_most_400_lines() {
    let long: Vec<_> =
        rust().into_iter().filter(|(_, t)| t.lines().count() > LONGEST).map(|(p, t)| (p, t.lines().count())).collect();
    assert!(long.is_empty(), "split these by idea: {long:?}");
}

#[test]
fn every_file_opens_with_what_it_is() {
    let silent: Vec<_> = rust().into_iter().filter(|(_, t)| !t.starts_with("//!")).map(|(p, _)| p).collect();
    assert!(silent.is_empty(), "these say not what they are: {silent:?}");
}

#[test]
fn names_say_something() {
    let shapeless = |p: &Path| p.file_stem().and_then(|s| s.to_str()).is_some_and(|s| SHAPELESS.contains(&s) || s == "service");
    let found: Vec<_> = files().into_iter().filter(|p| shapeless(p) && p.extension().is_some_and(|e| e == "rs")).collect();
    assert!(found.is_empty(), "a name like these says nothing: {found:?}");
}

#[test]
fn the_environment_and_the_clock_are_read_in_one_file_each() {
    let only = |needle: &str, home: &str| {
        let found = rust().into_iter().filter(|(p, _)| !is_test(p) && p != Path::new(home) && !p.ends_with("build.rs"));
        let found: Vec<_> = found.filter(|(_, t)| production(t).contains(needle)).map(|(p, _)| p).collect();
        assert!(found.is_empty(), "`{needle}` stands outside {home}: {found:?}");
    };
    only("env::var", "gateway/src/environment.rs");
    // Libraries that would read it by themselves.
    only("Matcher::from_", "gateway/src/environment.rs");
    only("SystemTime::now", "gateway/src/clock.rs");
}

#[test]
fn nothing_is_unbounded() {
    for needle in ["unbounded_channel", "mpsc::channel()", "channel::unbounded", "UnboundedSender"] {
        let found = rust().into_iter().filter(|(p, _)| !is_test(p));
        let found: Vec<_> = found.filter(|(_, t)| production(t).contains(needle)).map(|(p, _)| p).collect();
        assert!(found.is_empty(), "`{needle}` has no bound: {found:?}");
    }
}

#[test]
fn binary_files_live_in_three_places() {
    let homes = ["engine/demo/", "engine/tests/reference/"];
    for path in files() {
        let text = path.to_string_lossy().replace('\\', "/");
        let at_home =
            homes.iter().any(|h| text.starts_with(h)) || (text.starts_with("policies/") && text.ends_with("/plugin.wasm"));
        let bytes = std::fs::read(root().join(&path)).unwrap();
        assert!(at_home || !bytes.contains(&0), "{text} is binary; the design names the places for those");
    }
}

/// The text up to the file's own test module.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}
