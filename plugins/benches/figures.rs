//! What medians do not say: the slowest hundredth of a policy's calls, how fast many plugins start, and whether making instances all the
//! time makes the process grow. Prints a table; `tails`, `start` or `churn` as an argument measures one of the three.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_precision_loss, reason = "a benchmark")]

mod kit;

use std::path::Path;
use std::time::{Duration, Instant};

use gatewright_plugins::{Chain, Host, Source};
use gatewright_types::Phase;
use tokio::runtime::Builder;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    for (name, measure) in [("tails", tails as fn()), ("start", start), ("churn", churn)] {
        if chosen.is_empty() || chosen.iter().any(|it| it == name) {
            println!("\n{name}");
            measure();
        }
    }
}

fn say(what: &str, figures: &str) {
    println!("  {what:<58} {figures}");
}

fn microseconds(mut all: Vec<Duration>) -> String {
    all.sort_unstable();
    let at = |part: f64| all[((all.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
    format!("min {:>7.2}  p50 {:>7.2}  p99 {:>7.2} us", at(0.0), at(0.5), at(0.99))
}

/// The ready-made policies where their prefilters let them rest nowhere. Each request is one of its own: its instance is taken, asked
/// once and given back; the call alone is timed, and then all of it.
fn tails() {
    const TIMES: usize = 20_000;
    let runtime = kit::runtime();
    let chosen =
        [("secrets", " sk-learn is not one. ", " with sk-learn"), ("topic-deny", " forbidden tops are fine. ", " for the rest")];
    for (name, bait, chunk) in chosen {
        let chain = kit::chain(&kit::policy(name), 1);
        let text = kit::prose(1024, bait);
        let (mut warm, mut whole, mut chunks) = (Vec::new(), Vec::new(), Vec::new());
        runtime.block_on(async {
            for _ in 0..TIMES {
                let mut segments = kit::segments(&text);
                let start = Instant::now();
                let mut session = chain.open(kit::context()).await.unwrap();
                session.inspect(Phase::Request, &mut segments).await;
                whole.push(start.elapsed());
                let start = Instant::now();
                session.inspect(Phase::Request, &mut segments).await;
                warm.push(start.elapsed());
            }
            let mut session = chain.open(kit::context()).await.unwrap();
            for _ in 0..TIMES {
                let pieces = kit::piece(chunk);
                let start = Instant::now();
                session.feed(pieces, &[]).await;
                chunks.push(start.elapsed());
            }
        });
        say(&format!("{name}, scanning: a warm call, 1 KB"), &microseconds(warm));
        say(&format!("{name}, scanning: a request of 1 KB from its beginning"), &microseconds(whole));
        say(&format!("{name}, scanning: a chunk"), &microseconds(chunks));
    }
}

/// A hundred plugins whose components all differ, compiled, and read from the folder of compiled code; and loaded anew beside themselves.
fn start() {
    const PLUGINS: usize = 100;
    let place = tempfile::tempdir().unwrap();
    let code = std::fs::read(kit::policy("topic-deny").join("plugin.wasm")).unwrap();
    let manifest = std::fs::read(kit::policy("topic-deny").join("plugin.yaml")).unwrap();
    for at in 0..PLUGINS {
        let folder = place.path().join(format!("topic-deny-{at}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("plugin.yaml"), &manifest).unwrap();
        std::fs::write(folder.join("plugin.wasm"), different(&code, at)).unwrap();
    }
    let compiled = place.path().join("compiled");
    std::fs::create_dir(&compiled).unwrap();
    let load = |host: &Host| -> (Chain, Duration) {
        let start = Instant::now();
        let all = (0..PLUGINS).map(|at| load_one(host, place.path(), at)).collect();
        (Chain::new(all), start.elapsed())
    };
    let host = || Host::new(256).with_compiled(compiled.clone(), &[7; 32]);
    let (_, cold) = load(&host());
    say("100 components, compiled and kept", &format!("{:>7.0} ms", cold.as_secs_f64() * 1e3));
    let started: Vec<_> = (0..5).map(|_| load(&host()).1).collect();
    let best = started.iter().min().unwrap();
    say("100 components, from the folder, best of 5", &format!("{:>7.0} ms", best.as_secs_f64() * 1e3));
    let worst = started.iter().max().unwrap();
    say("100 components, from the folder, worst of 5", &format!("{:>7.0} ms", worst.as_secs_f64() * 1e3));
    let host = host();
    let (_running, _) = load(&host);
    say("100 components, again beside themselves (a reload)", &format!("{:>7.0} ms", load(&host).1.as_secs_f64() * 1e3));
    let bytes: u64 = std::fs::read_dir(&compiled).unwrap().map(|it| it.unwrap().metadata().unwrap().len()).sum();
    say("size of the folder", &format!("{:>7.1} MiB", bytes as f64 / f64::from(1 << 20)));
    let host = Host::new(4);
    let start = Instant::now();
    for at in 0..PLUGINS {
        let operator = gatewright_plugins::Operator { name: Some(format!("secrets-{at}")), ..kit::operator("secrets") };
        host.load(&Source::Folder(kit::policy("secrets")), &operator).unwrap();
    }
    say("100 times secrets (Luau, compiled each time)", &format!("{:>7.0} ms", start.elapsed().as_secs_f64() * 1e3));
}

fn load_one(host: &Host, place: &Path, at: usize) -> std::sync::Arc<gatewright_plugins::Plugin> {
    let folder = place.join(format!("topic-deny-{at}"));
    let operator = gatewright_plugins::Operator { name: Some(format!("topic-deny-{at}")), ..kit::operator("topic-deny") };
    host.load(&Source::Folder(folder), &operator).unwrap()
}

/// The component with a section that nobody reads: kind 0, its size, the length of its name, its name, what it says.
fn different(code: &[u8], at: usize) -> Vec<u8> {
    let section = format!("\u{5}bench{at:04}");
    let size = u8::try_from(section.len()).unwrap();
    [code, &[0, size], section.as_bytes()].concat()
}

/// Requests from two tasks on two threads, each with an instance of its own that is asked once.
fn churn() {
    const SECONDS: u64 = 5;
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let luau = kit::luau(kit::ALL, kit::NOTHING);
    let guests = [("luau", Some(luau)), ("wasm", kit::guest("nothing"))];
    for (kind, guest) in guests.into_iter().filter_map(|(kind, guest)| Some((kind, guest?))) {
        let chain = kit::chain(guest.path(), 1);
        let round = |seconds| {
            let tasks: Vec<_> = (0..2).map(|_| runtime.spawn(make(chain.clone(), Duration::from_secs(seconds)))).collect();
            let start = Instant::now();
            let made: u64 = tasks.into_iter().map(|task| runtime.block_on(task).unwrap()).sum();
            made as f64 / start.elapsed().as_secs_f64()
        };
        round(2);
        let before = resident();
        let rate = round(SECONDS);
        let after = resident();
        let figures = format!("{rate:>9.0} a second; resident {before:.1} MiB before, {after:.1} MiB after");
        say(&format!("{kind}, nothing: requests with an instance of their own"), &figures);
    }
}

async fn make(chain: Chain, time: Duration) -> u64 {
    let (start, mut made) = (Instant::now(), 0);
    while start.elapsed() < time {
        let mut session = chain.open(kit::context()).await.unwrap();
        std::hint::black_box(session.inspect(Phase::Request, &mut kit::segments("short")).await);
        made += 1;
        tokio::task::consume_budget().await;
    }
    made
}

/// Memory of this process that is in use, MiB.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0.0);
    pages * 4096.0 / f64::from(1 << 20)
}
