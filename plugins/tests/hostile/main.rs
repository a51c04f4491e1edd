//! Plugins that mean harm, in both sandboxes: each ends in its own error, within its limits, and other plugins and other requests come
//! to what they come to alone. The rows stand in `luau`, `wasm`, `powers` and `outside`; what cannot be a row stands here and beside them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod attack;
#[path = "../kit/mod.rs"]
mod kit;
mod loading;
mod luau;
mod outside;
mod poison;
mod powers;
mod streaming;
mod wasm;

use gatewright_plugins::{Chain, Host, Verdict};
use kit::{ALL, ask, chain, limited, load, operator, written};

#[test]
fn hostile_luau_harms_nobody() {
    attack::attempt(&luau::attacks());
}

#[test]
fn hostile_wasm_harms_nobody() {
    attack::attempt(&wasm::attacks());
}

#[test]
fn floods_and_what_is_not_granted_harm_nobody() {
    attack::attempt(&powers::attacks());
}

#[test]
fn waits_for_what_is_outside_harm_nobody() {
    attack::attempt(&outside::attacks());
}

/// A plugin that does `evil` when the text says so, and otherwise puts a mark before it.
fn guest(evil: &str) -> String {
    format!(
        "return {{ inspect = function(ctx, event)
            local s = event.segments[1]
            if s.text == 'evil' then {evil} end
            return {{ edit(s, 1, 0, '+') }}
        end }}"
    )
}

/// What is guarded does what Luau's own does.
#[tokio::test(flavor = "multi_thread")]
async fn honest_plugins_sort_and_search() {
    let code = "return { inspect = function(_, event)
        local s = event.segments[1]
        local words = string.split(s.text, ' ')
        table.sort(words)
        local numbers = { 10, 9, 2 }
        table.sort(numbers)
        local longest = { 'b', 'ccc', 'dd' }
        table.sort(longest, function(a, b) return #a > #b end)
        local all = table.concat(words, ' ') .. table.concat(numbers, ' ') .. table.concat(longest)
        return { edit(s, 1, #s.text, (string.gsub(all, '[^%w ]+', '')) .. string.match(s.text, '%a+')) }
    end }";
    assert_eq!(ask(&chain(code), "pear apple-, fig").await, (Verdict::Pass, "apple fig pear2 9 10cccddbpear".into()));
    let (mixed, _) = ask(&chain("return { inspect = function() table.sort({ 1, 'a' }) end }"), "x").await;
    assert!(matches!(&mixed, Verdict::Failed { reason, .. } if reason.contains("attempt to compare")), "{mixed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_machine_is_in_reach() {
    let names = [
        "os",
        "io",
        "debug",
        "package",
        "require",
        "loadstring",
        "load",
        "dofile",
        "loadfile",
        "getfenv",
        "setfenv",
        "newproxy",
        "collectgarbage",
        "gcinfo",
        "print",
        "_G",
        "string.dump",
        "math.random",
        "math.randomseed",
    ];
    for name in names {
        let code = guest(&format!("error(type({name}), 0)"));
        let (verdict, _) = ask(&chain(&code), "evil").await;
        assert_eq!(verdict, Verdict::Failed { plugin: "test".into(), reason: "trap: runtime error: nil".into() }, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_another_request_is_in_reach() {
    let code = "
        local kept
        return { inspect = function(ctx, event)
            local s = event.segments[1]
            local before = tostring(kept) .. tostring(leak) .. tostring(rawget(string, 'leak'))
            kept = s.text
            leak = s.text
            pcall(function() string.leak = s.text end)
            pcall(function() rawset(string, 'leak', s.text) end)
            pcall(function() event.segments.leak = s.text end)
            pcall(function() getmetatable('').leak = s.text end)
            before ..= tostring(getmetatable('').leak)
            return { edit(s, 1, #s.text, before) }
        end }";
    let chain = chain(code);
    for _ in 0..20 {
        assert_eq!(ask(&chain, "secret").await, (Verdict::Pass, "nilnilnilnil".into()));
    }
}

#[test]
fn bytecode_is_refused() {
    let host = Host::new(1);
    let bytecode = mlua::chunk::Compiler::new().compile("return {}").unwrap();
    let plugin = written(ALL, "");
    let gatewright_plugins::Source::Folder(folder) = plugin.source() else { panic!() };
    std::fs::write(folder.join("plugin.luau"), bytecode).unwrap();
    assert!(host.load(&plugin.source(), &operator()).is_err());
    std::fs::write(folder.join("plugin.luau"), b"\x1bLua").unwrap();
    assert!(host.load(&plugin.source(), &operator()).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_changes_limits() {
    let host = Host::new(1);
    let spin = "return { inspect = function(_, event) for i = 1, 3e6 do end return { note('done', 'yes') } end }";
    let slow = Chain::new(vec![load(&host, ALL, spin, &operator())]);
    assert!(matches!(ask(&slow, "x").await.0, Verdict::Failed { .. }));
    let patient = gatewright_plugins::Operator {
        limits: [("cpu_us".to_owned(), 10_000_000), ("wall_ms".to_owned(), 60_000)].into(),
        ..operator()
    };
    let patient = Chain::new(vec![load(&host, ALL, spin, &patient)]);
    assert_eq!(ask(&patient, "x").await.0, Verdict::Pass);
    let small = "return { inspect = function(_, event) return { answer(string.rep('x', 1000)) } end }";
    let tight = Chain::new(vec![load(&host, ALL, small, &limited("output_bytes", 500))]);
    assert!(matches!(ask(&tight, "x").await.0, Verdict::Failed { reason, .. } if reason.starts_with("output limit")));
    let wall = Chain::new(vec![load(
        &host,
        ALL,
        "return { inspect = function() while true do end end }",
        &gatewright_plugins::Operator {
            limits: [("cpu_us".to_owned(), 60_000_000), ("wall_ms".to_owned(), 50)].into(),
            ..operator()
        },
    )]);
    assert!(matches!(ask(&wall, "x").await.0, Verdict::Failed { reason, .. } if reason.starts_with("wall clock limit")));
}
