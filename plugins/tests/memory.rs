//! A hundred thousand hostile calls in both sandboxes, and memory at the level of the first few thousand. A test binary of its own,
//! for it counts every byte that this process allocates.
#![allow(unsafe_code, reason = "an allocator that counts")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use gatewright_plugins::{
    Chain, Context, Fetch, FetchRequest, FetchResponse, Host, Notes, Operator, Plugin, Reach, ServiceError, Verdict,
};
use gatewright_types::Phase;
use kit::wat::{self, Wat, actions, body, list};
use kit::{ALL, load, open_on_error, user};

/// The system's allocator, and how many bytes are out.
struct Counting(AtomicI64);

// SAFETY: all is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the caller keeps the contract of the trait.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the caller keeps the contract of the trait.
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        self.0.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }

    // SAFETY: the caller keeps the contract of the trait.
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.0.fetch_add(size as i64 - layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting(AtomicI64::new(0));

/// Calls in all, and before memory is looked at for the first time.
const CALLS: usize = 100_000;
const WARM: usize = 10_000;
/// Calls that a limit on time stops, or that nobody waits for any more, before memory is looked at and after: each takes milliseconds.
const TIMED: usize = 600;
/// Calls of one session: after three errors a plugin is not asked again in it.
const PER_SESSION: usize = 3;
/// By how much the bytes that are out may have grown: less than any allocation that each call leaves; VMs that wait differ by as
/// much as their garbage does.
const GROWN: i64 = 1 << 20;
/// Sessions at once.
const SLOTS: usize = 4;
/// The same of what the system counts, whose allocator does not give everything back.
const RESIDENT: i64 = 96 << 20;

/// What each call does, quickly.
const LUAU: [&str; 8] = [
    "error('no')",
    "error(string.rep('x', 1e5))",
    "do return 'x' end",
    "do return nil, 'no' end",
    "do return { edit(s, 9, 99, 'x') } end",
    "do return table.create(9000, hold(s, 1)) end",
    "local s = string.rep('x', 1e9)",
    "local c = coroutine.wrap(function() leak = {s, ctx} coroutine.yield() error('no') end) c() c()",
];

fn wasm() -> Vec<Wat> {
    vec![
        body("unreachable"),
        body("(i32.const 17)"),
        body(
            "(i32.store8 (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const 100))
            (i32.store (i32.const 24) (i32.const 9)) (i32.const 16)",
        ),
        actions(&[[0, 1, 9, 99, 1024, 4, 0]]),
        body(&list(8192, 100_000)),
        body("(drop (memory.grow (i32.const 65000))) unreachable"),
        body("(memory.fill (i32.const 0) (i32.const 1) (i32.const 0x20000)) (i32.load (i32.const -8))"),
        kit::wat::module("(func $f (export \"inspect\") (param i32) (result i32) (i32.add (call $f (local.get 0)) (i32.const 1)))"),
    ]
}

fn plugins(host: &Host) -> Vec<Arc<Plugin>> {
    let operator = Operator {
        limits: [("output_bytes".to_owned(), 500_000), ("cpu_us".to_owned(), 5_000_000), ("wall_ms".to_owned(), 60_000)].into(),
        ..open_on_error()
    };
    let luau = |evil: &&str| {
        let code = format!("return {{ inspect = function(ctx, event) local s = event.segments[1] {evil} end }}");
        load(host, ALL, &code, &operator)
    };
    let guests = wasm();
    LUAU.iter().map(luau).chain(guests.iter().map(|wat| wat::load(host, ALL, wat, &operator))).collect()
}

/// So many calls, of each plugin in turn, all of which fail.
async fn call(chains: Arc<Vec<Chain>>, times: usize) {
    for at in 0..times / PER_SESSION {
        let mut session = chains[at % chains.len()].open(Context::default()).await.unwrap();
        for _ in 0..PER_SESSION {
            assert_eq!(session.inspect(Phase::Request, &mut user("hello")).await.verdict, Verdict::Pass);
        }
        let errors: u64 = session.record().iter().filter(|entry| entry.did == "error").map(|entry| entry.count).sum();
        assert_eq!(errors, PER_SESSION as u64);
    }
}

async fn both(chains: &Arc<Vec<Chain>>, times: usize) {
    let halves = [0, 1].map(|_| tokio::spawn(call(Arc::clone(chains), times / 2)));
    for half in halves {
        half.await.unwrap();
    }
}

/// Never answers.
#[derive(Debug)]
struct Never;

#[async_trait]
impl Fetch for Never {
    async fn send(&self, _: &str, _: FetchRequest, _: &Notes) -> Result<FetchResponse, ServiceError> {
        std::future::pending().await
    }
}

/// Plugins that a limit on time stops, or that wait for ever.
fn timed(host: &Host) -> Vec<Chain> {
    let limits = [("cpu_us".to_owned(), 100), ("wall_ms".to_owned(), 5)].into();
    let operator = Operator { limits, grants: vec!["fetch".to_owned()], ..open_on_error() };
    let more = format!("{ALL}grants: [fetch]\n");
    let luau = |evil: &str| {
        let code = format!("return {{ inspect = function(ctx, event) local s = event.segments[1] {evil} end }}");
        load(host, &more, &code, &operator)
    };
    let plugins = [
        luau("while true do end"),
        luau("local kept = string.rep('x', 1e4) fetch.send({ url = kept })"),
        wat::load(host, &more, &body("(loop (br 0)) unreachable"), &operator),
    ];
    plugins.map(|plugin| Chain::new(vec![plugin])).into()
}

/// So many calls, of which every other is given up by who asked.
async fn stop(chains: &[Chain], times: usize) {
    for at in 0..times {
        let context = Context { reach: Reach::default().with_fetch(Arc::new(Never)), ..Context::default() };
        let mut session = chains[at % chains.len()].open(context).await.unwrap();
        let mut segments = user("hello");
        let asked = session.inspect(Phase::Request, &mut segments);
        if at % 2 == 0 {
            assert_eq!(asked.await.verdict, Verdict::Pass);
        } else {
            let _ = tokio::time::timeout(std::time::Duration::from_millis(1), asked).await;
        }
    }
}

/// Bytes that are out when as many VMs wait as ever may, of plugins whose answers fail and not their calls, and nothing starts any
/// more: instances are started ahead by tasks of their own.
async fn level(chains: &[Chain]) -> i64 {
    for chain in chains {
        let mut sessions = Vec::new();
        for _ in 0..SLOTS {
            let mut session = chain.open(Context::default()).await.unwrap();
            session.inspect(Phase::Request, &mut user("hello")).await;
            sessions.push(session);
        }
    }
    let mut found = COUNTING.0.load(Ordering::Relaxed);
    for _ in 0..200 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let before = std::mem::replace(&mut found, COUNTING.0.load(Ordering::Relaxed));
        if found == before {
            break;
        }
    }
    found
}

/// Bytes that are resident, where the system says so.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split_whitespace().nth(1).and_then(|pages| pages.parse::<i64>().ok()).unwrap_or(0) * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_returns_to_its_level_after_a_hundred_thousand_hostile_calls() {
    let host = Host::new(SLOTS);
    let chains: Arc<Vec<Chain>> = Arc::new(plugins(&host).into_iter().map(|plugin| Chain::new(vec![plugin])).collect());
    let from = std::time::Instant::now();
    let timed = timed(&host);
    both(&chains, WARM).await;
    stop(&timed, TIMED).await;
    let before = (level(&chains).await, resident());
    both(&chains, CALLS - WARM).await;
    stop(&timed, TIMED).await;
    let after = (level(&chains).await, resident());
    println!("{CALLS} calls in {:?}; bytes out {before:?} and then {after:?}", from.elapsed());
    assert!(after.0 - before.0 < GROWN, "{} bytes more are out", after.0 - before.0);
    assert!(after.1 - before.1 < RESIDENT, "{} bytes more are resident", after.1 - before.1);
    let stopped: u64 = timed.iter().map(|chain| chain.plugins()[0].spent().errors).sum();
    assert!(stopped as usize >= TIMED, "{stopped} of the {TIMED} calls that were waited for");
    let spent: u64 = chains.iter().flat_map(|chain| chain.plugins()).map(|plugin| plugin.spent().errors).sum();
    assert!(spent as usize + 64 >= CALLS, "{spent}");
}
