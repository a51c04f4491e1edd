//! What failed is never used again, in whatever way it failed: by a limit, a trap, a breach, or because nobody waits for it any
//! more; and what it had is free again.

use std::time::{Duration, Instant};

use gatewright_plugins::{Chain, Context, Host, OnError, Operator, Verdict};
use gatewright_types::Phase;

use super::kit::wat::{self, Wat, list, module};
use super::kit::{ALL, load, named, user};

const SLOTS: usize = 3;

/// A way to fail, in both sandboxes, and the limits that it needs.
struct Way {
    reason: &'static str,
    luau: &'static str,
    wasm: String,
    limits: &'static [(&'static str, u64)],
}

fn ways() -> Vec<Way> {
    let forever = "(loop (br 0)) unreachable".to_owned();
    let long: &[(&str, u64)] = &[("cpu_us", 30_000_000), ("wall_ms", 60_000)];
    let way = |reason, luau, wasm: &str| Way { reason, luau, wasm: wasm.to_owned(), limits: long };
    vec![
        way("trap", "error('no')", "unreachable"),
        way("trap", "local function f() return 1 + f() end f()", "(call $deep) unreachable"),
        way("contract", "do return 'x' end", "(return (i32.const 17))"),
        way(
            "guest error",
            "do return nil, 'no' end",
            "(i32.store8 (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const 100))
            (i32.store (i32.const 24) (i32.const 0)) (return (i32.const 16))",
        ),
        way(
            "output limit",
            "do return { answer(string.rep('x', 2e6)) } end",
            &format!("(return (block (result i32) {}))", list(8192, 100_000)),
        ),
        way(
            "memory limit",
            "local t = {} while true do t[#t + 1] = string.rep('x', 1e6) .. #t end",
            "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable",
        ),
        Way {
            reason: "cpu limit",
            luau: "while true do end",
            wasm: forever.clone(),
            limits: &[("cpu_us", 3000), ("wall_ms", 60_000)],
        },
        Way {
            reason: "wall clock limit",
            luau: "while true do end",
            wasm: forever,
            limits: &[("cpu_us", 60_000_000), ("wall_ms", 30)],
        },
    ]
}

/// Says how often this instance was asked, as one letter from `a` on; and fails where the text begins with `!`.
fn luau(evil: &str) -> String {
    format!(
        "local asked = 96
        return {{ inspect = function(ctx, event)
            local s = event.segments[1]
            asked += 1
            if string.byte(s.text) == 33 then {evil} end
            return {{ answer(string.char(asked)) }}
        end }}"
    )
}

fn wasm(evil: &str) -> Wat {
    module(format!(
        "(global $asked (mut i32) (i32.const 96))
         (func $deep (call $deep) (call $deep))
         (func (export \"inspect\") (param $event i32) (result i32)
           (global.set $asked (i32.add (global.get $asked) (i32.const 1)))
           (if (i32.eq (i32.load8_u (i32.load offset=8 (i32.load offset=84 (local.get $event)))) (i32.const 33)) (then {evil}))
           (i32.store8 (i32.const 100) (global.get $asked))
           (i32.store8 (i32.const 64) (i32.const 3)) (i32.store (i32.const 68) (i32.const 100)) (i32.store (i32.const 72) (i32.const 1))
           {})",
        list(64, 1)
    ))
    .pages(64)
}

fn chain(host: &Host, way: &Way, of: &str) -> Chain {
    let limits = way.limits.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
    let operator = Operator { on_error: Some(OnError::Open), limits, ..named("counts") };
    Chain::new(vec![match of {
        "luau" => load(host, ALL, &luau(way.luau), &operator),
        _ => wat::load(host, ALL, &wasm(&way.wasm), &operator),
    }])
}

/// What it answers in one session to these texts; nothing where it failed.
async fn answers(chain: &Chain, texts: &[&str]) -> (Vec<Option<String>>, Option<String>) {
    let mut session = chain.open(Context::default()).await.unwrap();
    let mut answers = Vec::new();
    for text in texts {
        answers.push(match session.inspect(Phase::Request, &mut user(text)).await.verdict {
            Verdict::Answer { text, .. } => Some(text),
            Verdict::Pass => None,
            other => panic!("{other:?}"),
        });
    }
    (answers, session.record().iter().find_map(|entry| entry.why.clone()))
}

/// Whether every place is free.
async fn all_free(chain: &Chain) -> bool {
    let mut sessions = Vec::new();
    for _ in 0..SLOTS {
        sessions.push(chain.open(Context::default()).await);
    }
    sessions.iter().all(Result::is_ok)
}

async fn never_again(of: &str, length: usize) {
    let host = Host::new(SLOTS);
    let evil = format!("!{}", "x".repeat(length));
    for way in ways() {
        let chain = chain(&host, &way, of);
        for _ in 0..3 {
            let (said, why) = answers(&chain, &["x", "y", &evil, "z", "x", &evil, "y"]).await;
            let letters: Vec<Option<&str>> = said.iter().map(Option::as_deref).collect();
            let fresh = [Some("a"), Some("b"), None, Some("a"), Some("b"), None, Some("a")];
            assert_eq!(letters, fresh, "{of} {length}, {}: {why:?}", way.reason);
            assert!(why.as_deref().is_some_and(|why| why.starts_with(way.reason)), "{of} {length}, {}: {why:?}", way.reason);
            assert!(all_free(&chain).await, "{of} {length}, {}", way.reason);
        }
        assert_eq!(chain.plugins()[0].spent().errors, 6);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_luau_state_that_failed_is_never_used_again() {
    never_again("luau", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_luau_state_that_failed_apart_is_never_used_again() {
    never_again("luau", 20_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wasm_store_that_failed_is_never_used_again() {
    never_again("wasm", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wasm_store_that_failed_apart_is_never_used_again() {
    never_again("wasm", 20_000).await;
}

/// The limit would stop it in half a minute; that nobody waits stops it at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_waits_for_is_stopped_and_leaves_nothing() {
    let host = Host::new(SLOTS);
    let way = ways().pop().unwrap();
    let endless = Way { limits: &[("cpu_us", 30_000_000), ("wall_ms", 60_000)], ..way };
    let chain = chain(&host, &endless, "wasm");
    let evil = format!("!{}", "x".repeat(20_000));
    for round in 0..3 {
        let mut calls = Vec::new();
        for _ in 0..SLOTS {
            let mut session = chain.open(Context::default()).await.unwrap();
            let evil = evil.clone();
            calls.push(tokio::spawn(async move { session.inspect(Phase::Request, &mut user(&evil)).await.verdict }));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(calls.iter().all(|call| !call.is_finished()), "round {round}");
        assert!(chain.open(Context::default()).await.is_err(), "while they run, their places are taken");
        calls.iter().for_each(tokio::task::JoinHandle::abort);
        let from = Instant::now();
        while !all_free(&chain).await {
            assert!(from.elapsed() < Duration::from_secs(15), "round {round}: a place is still taken");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(answers(&chain, &["x", "y"]).await.0, [Some("a".to_owned()), Some("b".to_owned())]);
    }
}

/// A place is taken for as long as the call goes on, also when its request is gone: there are never more instances than slots.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_luau_call_that_nobody_waits_for_ends_and_leaves_nothing() {
    let host = Host::new(SLOTS);
    let way = Way { limits: &[("cpu_us", 100_000), ("wall_ms", 60_000)], ..ways().pop().unwrap() };
    let chain = chain(&host, &way, "luau");
    for _ in 0..3 {
        let evil = format!("!{}", "x".repeat(20_000));
        let mut session = chain.open(Context::default()).await.unwrap();
        let call = tokio::spawn(async move { session.inspect(Phase::Request, &mut user(&evil)).await.verdict });
        tokio::time::sleep(Duration::from_millis(10)).await;
        call.abort();
        let _ended = call.await;
        assert!(all_free(&chain).await);
        assert_eq!(answers(&chain, &["x", "y"]).await.0, [Some("a".to_owned()), Some("b".to_owned())]);
    }
}
