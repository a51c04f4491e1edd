//! What hostile plugins cost others: for how long an honest request waits beside them, and by how much a call overruns its limit.
//! It prints figures and judges nothing: `cargo bench -p gatewright-plugins --bench stall`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a benchmark")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gatewright_plugins::{Chain, Context, Host, OnError, Operator, Plugin, Source};
use gatewright_types::{Channel, Phase, Segment};
use tokio::runtime::{Builder, Runtime};

/// How long one row is measured.
const TIME: Duration = Duration::from_secs(3);
/// Hostile requests that are always under way.
const HOSTILE: usize = 2;
/// Time between two honest requests.
const PAUSE: Duration = Duration::from_micros(500);

/// Code of `inspect`, where `s` is the segment.
const LUAU: [(&str, &str); 12] = [
    ("a loop", "while true do end"),
    ("a loop in pcall", "while true do pcall(function() while true do end end) end"),
    ("a pattern", "string.find(string.rep('a', 30000), '.-.-.-.-.-.-b')"),
    ("a sort", "local t = {} for i = 1, 1000 do t[i] = i end while true do table.sort(t, function(a, b) return a > b end) end"),
    ("strings", "local a = string.rep('x', 1e6) while true do local _ = a .. a .. 'y' end"),
    ("comparisons", "local a = string.rep('x', 4e6) local b = a .. 'b' a ..= 'a' while true do local _ = a < b end"),
    ("searches", "while true do pcall(string.find, string.rep('a', 8e6), string.rep('a', 4e6) .. 'b', 1, true) end"),
    ("insertions", "local t = table.create(5e5, 1) while true do table.insert(t, 1, 1) table.remove(t, 1) end"),
    ("buffers", "local b = buffer.create(1e7) while true do buffer.fill(b, 0, 1) end"),
    ("characters", "local a = string.rep('é', 4e6) while true do utf8.len(a) end"),
    ("numbers", "local a = string.rep('1', 4e6) while true do tonumber(a, 2) end"),
    ("memory", "local t = {} while true do t[#t + 1] = string.rep('x', 1e6) .. #t end"),
];

/// Bodies of `inspect`, and pages of memory.
const WASM: [(&str, &str, u32); 5] = [
    ("a loop", "(loop (br 0)) unreachable", 2),
    ("fills", "(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 0xf00000)) (br 0)) unreachable", 240),
    ("copies", "(loop (memory.copy (i32.const 1) (i32.const 0) (i32.const 0xeffff0)) (br 0)) unreachable", 240),
    ("growth", "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable", 2),
    ("a trap", "unreachable", 2),
];

fn load(host: &Host, name: &str, file: (&str, &[u8])) -> Arc<Plugin> {
    let folder = tempfile::tempdir().unwrap();
    let manifest = format!("name: {name}\nversion: 0.0.1\nentry: {}\nsubscribe: {{phases: all, channels: all}}\n", file.0);
    std::fs::write(folder.path().join("plugin.yaml"), manifest).unwrap();
    std::fs::write(folder.path().join(file.0), file.1).unwrap();
    let operator = Operator { on_error: Some(OnError::Open), ..Operator::default() };
    host.load(&Source::Folder(folder.path().to_owned()), &operator).unwrap()
}

fn luau(host: &Host, code: &str) -> Chain {
    let code = format!("return {{ inspect = function(ctx, event) local s = event.segments[1] {code} end }}");
    Chain::new(vec![load(host, "guest", ("plugin.luau", code.as_bytes()))])
}

fn wasm(host: &Host, body: &str, pages: u32) -> Chain {
    let core = format!("(func (export \"inspect\") (param i32) (result i32) {body})");
    let code = include_str!("../src/wasm/tests/guest.wat");
    let code = code.replace("{PAGES}", &pages.to_string()).replace("{IMPORTS}", "").replace("{WITH}", "").replace("{CORE}", &core);
    Chain::new(vec![load(host, "guest", ("plugin.wasm", code.as_bytes()))])
}

fn text(bytes: usize) -> Vec<Segment> {
    vec![Segment { id: 1, channel: Channel::User, text: "x".repeat(bytes), sent: 0, label: None }]
}

/// One request, and how long it took.
async fn ask(chain: &Chain, bytes: usize) -> Duration {
    let mut segments = text(bytes);
    let from = Instant::now();
    if let Ok(mut session) = chain.open(Context::default()).await {
        session.inspect(Phase::Request, &mut segments).await;
    }
    from.elapsed()
}

/// Honest requests beside hostile ones: how long each took from when it should have begun, in order.
fn beside(runtime: &Runtime, honest: &Chain, hostile: Option<&Chain>) -> Vec<Duration> {
    let over = Arc::new(AtomicBool::new(false));
    let rounds = Arc::new(AtomicU64::new(0));
    let evil = hostile.into_iter().flat_map(|chain| (0..HOSTILE).map(|_| chain.clone()));
    let evil: Vec<_> = evil
        .map(|chain| {
            let (over, rounds) = (Arc::clone(&over), Arc::clone(&rounds));
            runtime.spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    ask(&chain, 100).await;
                    rounds.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let honest = honest.clone();
    let mut times = runtime.block_on(runtime.spawn(async move {
        let until = Instant::now() + TIME;
        let mut times = Vec::new();
        while Instant::now() < until {
            // From another task, as a request comes from a socket.
            let (chain, from) = (honest.clone(), Instant::now());
            tokio::spawn(async move { ask(&chain, 100).await }).await.unwrap();
            times.push(from.elapsed());
            tokio::time::sleep(PAUSE).await;
        }
        times
    }));
    let times = times.as_mut().unwrap();
    over.store(true, Ordering::Relaxed);
    evil.into_iter().for_each(|task| runtime.block_on(task).unwrap());
    times.sort_unstable();
    std::mem::take(times)
}

/// The longest of some calls by themselves.
fn alone(runtime: &Runtime, chain: &Chain) -> Duration {
    let mut times: Vec<Duration> = (0..60).map(|_| runtime.block_on(ask(chain, 100))).collect();
    times.sort_unstable();
    times[times.len() - 2]
}

/// Does something while as many threads as hostile requests compute for 3 ms, hand over, and compute again.
fn computing<T>(work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..HOSTILE {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // A thread for each turn, as a call that runs apart has.
                    let turn = std::thread::spawn(|| {
                        let from = Instant::now();
                        while from.elapsed() < Duration::from_millis(3) {
                            std::hint::spin_loop();
                        }
                    });
                    turn.join().unwrap();
                }
            });
        }
        let done = work();
        over.store(true, Ordering::Relaxed);
        done
    })
}

fn print(name: &str, times: &[Duration], longest: Option<Duration>) {
    let at = |part: usize| times[(times.len() * part / 1000).min(times.len() - 1)].as_secs_f64() * 1e3;
    let call = longest.map_or_else(|| "-".to_owned(), |longest| format!("{:.1}", longest.as_secs_f64() * 1e3));
    println!("| {name} | {:.2} | {:.2} | {:.2} | {:.2} | {call} |", at(500), at(990), at(999), at(1000));
}

fn main() {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
    let host = Host::new(16);
    let honest = luau(&host, "return { edit(s, 1, 1, 'y') }");
    println!("{threads} workers, {HOSTILE} hostile requests always under way; milliseconds\n");
    println!("| beside | honest p50 | p99 | p99.9 | longest | hostile call, second longest of 60 |\n|---|---|---|---|---|---|");
    print("nobody", &beside(&runtime, &honest, None), None);
    // What the system's scheduler alone makes of as many threads that compute as long as a limit lets a guest.
    for round in ["first", "second", "third"] {
        let times = computing(|| beside(&runtime, &honest, None));
        print(&format!("threads that compute, no plugin ({round} time)"), &times, None);
    }
    for (name, code) in LUAU {
        let chain = luau(&host, code);
        print(&format!("Luau: {name}"), &beside(&runtime, &honest, Some(&chain)), Some(alone(&runtime, &chain)));
    }
    for (name, body, pages) in WASM {
        let chain = wasm(&host, body, pages);
        print(&format!("WASM: {name}"), &beside(&runtime, &honest, Some(&chain)), Some(alone(&runtime, &chain)));
    }
}
