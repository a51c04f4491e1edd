//! What grants open: a plugin keeps things between requests, apart for each tenant, and counts for the gateway's metrics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use gatewright_plugins::{Chain, Context, Host, Operator, Verdict};
use gatewright_types::Phase;
use kit::{ALL, load, user};

/// Says how often it was asked by this tenant, and counts it.
const COUNTS: &str = "return { inspect = function(ctx, event)
    local seen, why = store.get('seen')
    if why then return { answer(why) } end
    seen = (tonumber(seen) or 0) + 1
    local kept, reason = store.put('seen', tostring(seen), 60)
    if not kept then return { answer(reason) } end
    metrics.count('asked')
    return { answer(tostring(seen)) }
end }";

fn asking(grants: &[&str]) -> Operator {
    Operator { grants: grants.iter().map(|grant| (*grant).to_owned()).collect(), ..Operator::default() }
}

/// What the plugin answers a tenant.
async fn told(chain: &Chain, tenant: &str) -> String {
    let context = Context { tenant: tenant.into(), ..Context::default() };
    match chain.open(context).await.unwrap().inspect(Phase::Request, &mut user("x")).await.verdict {
        Verdict::Answer { text, .. } => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_stored_outlives_requests_and_reloads_and_is_apart_for_each_tenant() {
    let host = Host::new(2);
    let manifest = format!("{ALL}grants: [store, metrics]\n");
    let chain = || Chain::new(vec![load(&host, &manifest, COUNTS, &asking(&["store", "metrics"]))]);
    let first = chain();
    assert_eq!([told(&first, "a").await, told(&first, "a").await, told(&first, "b").await], ["1", "2", "1"]);
    assert_eq!(told(&chain(), "a").await, "3", "a plugin that is loaded anew finds what it kept");
    assert_eq!(
        host.counts().iter().map(|(plugin, name, count)| (&**plugin, &**name, *count)).collect::<Vec<_>>(),
        [("test", "asked", 4)]
    );
}

#[tokio::test]
async fn without_both_keys_nothing_is_stored_or_counted() {
    let host = Host::new(2);
    let asks = format!("{ALL}grants: [store, metrics]\n");
    for (manifest, grants) in [(asks.as_str(), &[][..]), (ALL, &["store", "metrics"][..])] {
        let chain = Chain::new(vec![load(&host, manifest, COUNTS, &asking(grants))]);
        assert_eq!(told(&chain, "a").await, "denied");
    }
    let chain = Chain::new(vec![load(&host, &asks, COUNTS, &asking(&["store"]))]);
    assert_eq!(told(&chain, "a").await, "1");
    assert_eq!(host.counts(), []);
}

#[tokio::test]
async fn what_cannot_be_kept_or_counted_is_told() {
    let code = "return { inspect = function(ctx, event)
        local said = {}
        local function note_why(ok, why) table.insert(said, why or 'done') end
        note_why(store.put('', 'x', 1))
        note_why(store.put('k', string.rep('x', 65537), 1))
        note_why(store.put('k', 'x', -1))
        note_why(store.put('k', 'x', 0/0))
        note_why(store.put('k', 'x', 1e300))
        note_why(metrics.count('Not A Name'))
        note_why(metrics.count('a', 0.5))
        local kept = true
        for n = 1, 100 do kept = kept and store.put('k' .. n, string.rep('x', 65536), 60) end
        table.insert(said, if kept then 'unbounded' else 'bounded')
        return { answer(table.concat(said, '|')) }
    end }";
    let host = Host::new(2);
    // Time enough for a busy machine.
    let operator = Operator { limits: [("cpu_us".to_owned(), 1_000_000)].into(), ..asking(&["store", "metrics"]) };
    let chain = Chain::new(vec![load(&host, &format!("{ALL}grants: [store, metrics]\n"), code, &operator)]);
    let told = told(&chain, "a").await;
    let parts: Vec<&str> = told.split('|').collect();
    assert_eq!(
        parts,
        [
            "a key has 1 to 256 bytes",
            "a value has at most 65536 bytes",
            "seconds are 0 or more",
            "seconds are 0 or more",
            "done",
            "a name has 1 to 64 of a-z, 0-9 and _",
            "a count is a whole number of 0 or more",
            "bounded",
        ]
    );
}
