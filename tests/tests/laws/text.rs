//! Laws that are about files as text: length, opening, names, what stands where.

use std::path::Path;

use syn::spanned::Spanned;

use super::sources::{files, is_test, root, rust};
use super::syntax::is_test_only;

const LONGEST: usize = 400;
const SHAPELESS: [&str; 10] = ["util", "utils", "helper", "helpers", "common", "misc", "manager", "managers", "base", "service"];
/// Where the rooms' sources are; guests of policies have theirs in `guest/src`.
const ROOMS: [&str; 6] = ["gateway/src", "gateway/types/src", "plugins/src", "plugins/sdk/rust/src", "engine/src", "tests/src"];

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
fn every_source_says_why_it_is_apart_and_what_it_must_not_know() {
    let sources: Vec<_> = rust().into_iter().filter(|(p, _)| within_a_room(p).is_some_and(|rest| !is_test(rest))).collect();
    for room in ROOMS.into_iter().chain(["policies"]) {
        assert!(sources.iter().any(|(p, _)| p.starts_with(room)), "{room} has no sources");
    }
    let silent: Vec<_> = sources.into_iter().filter(|(_, t)| !says_its_bounds(t)).map(|(p, _)| p).collect();
    assert!(silent.is_empty(), "the first lines say not why it is apart, or what it must not know: {silent:?}");
    assert!(says_its_bounds("//! X.\n//!\n//! Apart because Y. It must\n//! not know Z.\n\nfn x() {}\n"));
    assert!(!says_its_bounds("//! X. It must not know Y.\n") && !says_its_bounds("//! X. Apart because Y.\n"));
    assert!(!says_its_bounds("//! X. It must not know Y.\n\n//! Apart.\n"), "behind the opening");
}

/// Where the file stands within its room's sources, if it is one of them.
fn within_a_room(path: &Path) -> Option<&Path> {
    let guest = path.ancestors().find(|folder| folder.starts_with("policies") && folder.ends_with("guest/src"));
    let room = ROOMS.into_iter().map(Path::new).find(|room| path.starts_with(room)).or(guest)?;
    path.strip_prefix(room).ok()
}

/// Whether the opening gives a reason and a bound.
fn says_its_bounds(text: &str) -> bool {
    let opening: Vec<_> = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
    let opening = opening.join(" ");
    (opening.contains("Apart") || opening.contains("apart")) && opening.contains("must not")
}

#[test]
fn names_say_something() {
    let found: Vec<_> = files().into_iter().filter(|p| is_shapeless(p) && p.extension().is_some_and(|e| e == "rs")).collect();
    assert!(found.is_empty(), "a name like these says nothing: {found:?}");
    for bad in ["a/util.rs", "a/util/mod.rs", "a/string_util.rs", "a/common/x.rs", "a/base_types.rs", "helpers.rs"] {
        assert!(is_shapeless(Path::new(bad)), "{bad}");
    }
    assert!(!is_shapeless(Path::new("a/services.rs")) && !is_shapeless(Path::new("a/utility_bill.rs")));
}

/// Whether the file, one of its folders or a word of its name is called by a name that says nothing.
fn is_shapeless(path: &Path) -> bool {
    let mut parts = path.iter().filter_map(|part| part.to_str()).map(|part| part.strip_suffix(".rs").unwrap_or(part));
    parts.any(|part| part.split(['_', '-']).any(|word| SHAPELESS.contains(&word)))
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

/// The text without the file's own test modules: what stands behind one counts.
fn production(text: &str) -> String {
    let file = syn::parse_file(text).unwrap_or_else(|e| panic!("{e} in:\n{text}"));
    let tests = file.items.iter().filter_map(|item| match item {
        syn::Item::Mod(module) if module.content.is_some() && is_test_only(&module.attrs) => Some(item.span()),
        _ => None,
    });
    let tests: Vec<_> = tests.map(|span| span.start().line..=span.end().line).collect();
    let lines = text.lines().enumerate().filter(|(at, _)| !tests.iter().any(|lines| lines.contains(&(at + 1))));
    lines.map(|(_, line)| format!("{line}\n")).collect()
}

#[test]
fn what_stands_behind_a_test_module_counts() {
    let text = "//! x\n#[cfg(test)]\nmod far;\nfn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
    assert_eq!(production(text), "//! x\n#[cfg(test)]\nmod far;\nfn a() {}\nfn c() {}\n");
}
