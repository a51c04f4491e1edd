//! The world outside, from within: guests that fetch and ask models, wait for it, and are stopped while they wait.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gatewright_plugins::{
    Ask, Chain, Context, Fetch, FetchRequest, FetchResponse, Host, Notes, Operator, Question, Reach, ServiceError, Verdict,
};
use gatewright_types::Phase;
use kit::{ALL, load, user};

/// Serves by the URL: `slow` takes 30 ms, `never` never answers; counts those who wait.
#[derive(Debug, Default)]
struct World {
    asked: Mutex<Vec<FetchRequest>>,
    waiting: Arc<AtomicUsize>,
}

struct Waits(Arc<AtomicUsize>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Fetch for World {
    async fn send(&self, plugin: &str, request: FetchRequest, _: &Notes) -> Result<FetchResponse, ServiceError> {
        assert_eq!(plugin, "test");
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waits = Waits(Arc::clone(&self.waiting));
        let url = request.url.clone();
        self.asked.lock().unwrap().push(request);
        match url.as_str() {
            "slow" => tokio::time::sleep(Duration::from_millis(30)).await,
            "never" => std::future::pending().await,
            "denied" => return Err(ServiceError::Denied),
            _ => tokio::task::yield_now().await,
        }
        let headers = ["x", "y"].map(|value| ("via".to_owned(), value.to_owned()));
        Ok(FetchResponse { status: 201, headers: headers.into(), body: b"made".to_vec() })
    }
}

#[async_trait]
impl Ask for World {
    async fn ask(&self, _: &str, Question { route, prompt, max_tokens }: Question, notes: &Notes) -> Result<String, ServiceError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if route == "notes" {
            return Ok(notes.iter().map(|(key, value)| format!("{key}={value};")).collect());
        }
        Ok(format!("{route}:{prompt}:{max_tokens}"))
    }
}

fn asking(limits: &[(&str, u64)]) -> Operator {
    Operator {
        grants: vec!["fetch".to_owned(), "model".to_owned()],
        limits: limits.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect(),
        ..Operator::default()
    }
}

/// A chain of one plugin whose `inspect` is this body.
fn chain(body: &str, limits: &[(&str, u64)]) -> Chain {
    let code = format!("return {{ inspect = function(ctx, event)\n{body}\nend }}");
    Chain::new(vec![load(&Host::new(2), &format!("{ALL}grants: [fetch, model]\n"), &code, &asking(limits))])
}

/// What becomes of a text of so many bytes.
async fn told(chain: &Chain, world: &Arc<World>, text: &str) -> Verdict {
    let reach = Reach::default().with_fetch(world.clone()).with_ask(world.clone());
    let context = Context { tenant: "t".into(), reach, ..Context::default() };
    chain.open(context).await.unwrap().inspect(Phase::Request, &mut user(text)).await.verdict
}

fn answer(verdict: Verdict) -> String {
    match verdict {
        Verdict::Answer { text, .. } => text,
        other => panic!("{other:?}"),
    }
}

const FETCHES: &str =
    "local got, why = fetch.send({ method = 'POST', url = event.segments[1].text, headers = { a = 'b' }, body = 'x' })
    if not got then return { answer(why) } end
    return { answer(got.status .. got.headers.via .. got.body .. model.ask('r', 'p', 7)) }";

#[tokio::test]
async fn a_guest_waits_for_what_it_fetches_and_asks() {
    let (world, chain) = (Arc::default(), chain(FETCHES, &[]));
    for url in ["at once", "slow"] {
        assert_eq!(answer(told(&chain, &world, url).await), "201x, ymader:p:7");
    }
    assert_eq!(answer(told(&chain, &world, "denied").await), "denied");
    let request = &world.asked.lock().unwrap()[0];
    assert_eq!((request.method.as_str(), request.headers.as_slice()), ("POST", &[("a".to_owned(), "b".to_owned())][..]));
    assert_eq!(request.body, b"x");
}

#[tokio::test]
async fn whoever_serves_a_guest_is_told_what_was_noted_before_it() {
    let host = Host::new(2);
    let notes = |key: &str| format!("return {{ inspect = function() return {{ note('{key}', 'v') }} end }}");
    let asks = "return { inspect = function(ctx, event) return { answer(model.ask('notes', '', 1)) } end }";
    let grants = format!("{ALL}grants: [fetch, model]\n");
    let shadow = Operator { mode: gatewright_plugins::Mode::Shadow, ..asking(&[]) };
    let chain = Chain::new(vec![
        load(&host, &grants, &notes("seen"), &asking(&[])),
        load(&host, &grants, &notes("shadow"), &shadow),
        load(&host, &grants, asks, &asking(&[])),
        load(&host, &grants, &notes("late"), &asking(&[])),
    ]);
    let reach = Reach::default().with_ask(Arc::new(World::default()));
    let context = Context { tenant: "t".into(), reach, ..Context::default() };
    let before = vec![("of another chain".to_owned(), "v".to_owned())];
    let mut session = chain.open_after(context, before).await.unwrap();
    assert_eq!(answer(session.inspect(Phase::Request, &mut user("x")).await.verdict), "of another chain=v;seen=v;");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_is_shown_much_waits_too() {
    let code = "local got = fetch.send({ url = 'slow' }) return { answer(got.body) }";
    assert_eq!(answer(told(&chain(code, &[("cpu_us", 1_000_000)]), &Arc::default(), &"x".repeat(40_000)).await), "made");
}

#[tokio::test]
async fn without_both_keys_or_a_server_nothing_is_fetched_or_asked() {
    let code = format!("return {{ inspect = function(ctx, event)\n{FETCHES}\nend }}");
    let host = Host::new(2);
    let all = asking(&[]);
    let grants = format!("{ALL}grants: [fetch, model]\n");
    for (manifest, operator, why) in
        [(grants.as_str(), Operator::default(), "denied"), (ALL, all.clone(), "denied"), (&grants, all, "failed: not served here")]
    {
        let chain = Chain::new(vec![load(&host, manifest, &code, &operator)]);
        let mut session = chain.open(Context::default()).await.unwrap();
        assert_eq!(answer(session.inspect(Phase::Request, &mut user("x")).await.verdict), why);
    }
}

#[tokio::test]
async fn a_wait_ends_at_the_wall_clock_and_with_the_request() {
    let world = Arc::new(World::default());
    let stuck = chain("fetch.send({ url = 'never' }) return { answer('went on') }", &[("wall_ms", 50)]);
    match told(&stuck, &world, "x").await {
        Verdict::Failed { reason, .. } => assert!(reason.starts_with("wall clock limit"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.waiting.load(Ordering::SeqCst), 0, "what was waited for is given up");
    let patient = chain(FETCHES, &[("wall_ms", 60_000)]);
    let given_up = tokio::time::timeout(Duration::from_millis(50), told(&patient, &world, "never")).await;
    assert!(given_up.is_err());
    assert_eq!(world.waiting.load(Ordering::SeqCst), 0);
    assert_eq!(answer(told(&patient, &world, "x").await), "201x, ymader:p:7", "the next request gets a fresh VM");
}

#[tokio::test]
async fn fetches_and_questions_are_bounded_in_each_request() {
    let code = "local fetched, asked, last = 0, 0, nil
        for n = 1, 40 do
            local got, why = fetch.send({ url = 'x' })
            if got then fetched += 1 else last = why end
            if model.ask('r', 'p') then asked += 1 end
        end
        return { answer(fetched .. ' ' .. asked .. ' ' .. last) }";
    let (world, chain) = (Arc::default(), chain(code, &[("cpu_us", 1_000_000), ("wall_ms", 60_000)]));
    for _ in 0..2 {
        assert_eq!(answer(told(&chain, &world, "x").await), "16 8 limit: 16 fetches in one request");
    }
}

#[tokio::test]
async fn what_a_guest_asks_for_wrongly_is_told() {
    let code = "local said = {}
        local function why(_, reason) table.insert(said, tostring(reason)) end
        why(fetch.send({}))
        why(fetch.send({ url = 'x', headers = { 'a' } }))
        why(fetch.send({ url = 'x', headers = { a = 1 } }))
        why(fetch.send({ url = 'x', body = {} }))
        why(fetch.send({ url = string.rep('x', 20000) }))
        why(fetch.send({ url = 'x', body = string.rep('x', 2000000) }))
        why(fetch.send({ url = '\\255' }))
        why(model.ask('r', 'p', -1))
        why(model.ask('r', string.rep('x', 2000000)))
        return { answer(table.concat(said, '|')) }";
    let world = Arc::default();
    let told = answer(told(&chain(code, &[("cpu_us", 1_000_000)]), &world, "x").await);
    let parts: Vec<&str> = told.split('|').collect();
    let wanted = [
        "`url` is a string",
        "`headers` is a table of names and values",
        "`headers` is a table of names and values",
        "`body` is a string",
        "limit: `url` has more than 16384 bytes",
        "limit: a body of more than 1048576 bytes",
        "`url` is not UTF-8",
        "max_tokens is a whole number of 0 or more",
        "limit: a prompt of more than 1048576 bytes",
    ];
    assert_eq!(parts, wanted);
    assert!(world.asked.lock().unwrap().is_empty());
}

/// A coroutine that waits outside and is forgotten, and yields that nobody asked for.
#[tokio::test]
async fn a_guest_that_plays_with_coroutines_hurts_only_itself() {
    let world = Arc::new(World::default());
    let forgets = chain(
        "local co = coroutine.wrap(function() fetch.send({ url = 'never' }) end)
         co() return { answer('done') }",
        &[("wall_ms", 200)],
    );
    for _ in 0..3 {
        assert_eq!(answer(told(&forgets, &world, "x").await), "done");
        assert_eq!(world.waiting.load(Ordering::SeqCst), 0, "the VM went with what it left waiting");
    }
    for body in [
        "while true do coroutine.yield(1) end",
        "local co = coroutine.wrap(function() fetch.send({ url = 'never' }) end)
         while true do co() end",
        "local mark = coroutine.wrap(function() fetch.send({ url = 'never' }) end)()
         while true do coroutine.yield(mark) end",
    ] {
        match told(&chain(body, &[("wall_ms", 200)]), &world, "x").await {
            Verdict::Failed { reason, .. } => assert!(reason.contains("limit"), "{reason}"),
            other => panic!("{body}: {other:?}"),
        }
    }
    assert_eq!(world.waiting.load(Ordering::SeqCst), 0);
    // Where a function of the library stands between, it cannot wait, and says so.
    let sorts = chain("table.sort({ 2, 1 }, function() return fetch.send({ url = 'slow' }) end)", &[]);
    assert!(matches!(told(&sorts, &world, "x").await, Verdict::Failed { reason, .. } if reason.starts_with("trap")));
    let catches = chain("local _, why = pcall(fetch.send, { url = 'slow' }) return { answer(why) }", &[]);
    assert!(answer(told(&catches, &world, "x").await).contains("attempt to yield"));
}
