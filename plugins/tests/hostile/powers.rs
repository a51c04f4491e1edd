//! Floods of host functions, with every grant; and attempts to use what is not granted.

use super::attack::{Attack, End};
use super::kit::wat::{self, Wat, module, with};

/// Luau with every grant.
const FLOODS: &[(&str, &str, &str)] = &[
    ("log", "while true do log('info', 'x') end", "cpu limit"),
    ("long lines", "local x = string.rep('é', 5e5) while true do log('error', x) end", "cpu limit"),
    ("lines that are no UTF-8", "while true do log('warn', '\\xff\\0\\n') end", "cpu limit"),
    ("settings", "while true do settings() end", "cpu limit"),
    ("keys", "local i = 0 while true do i += 1 store.put('k' .. i, string.rep('x', 60000), 60) end", "cpu limit"),
    ("small keys", "local i = 0 while true do i += 1 store.put('k' .. i, '', 60) end", "cpu limit"),
    ("reads", "store.put('k', string.rep('x', 65536), 60) while true do store.get('k') end", ""),
    ("removals", "while true do store.put('k', '', 0) end", "cpu limit"),
    ("times", "for _, t in {0/0, -1, 1e308, -1/0, 1/0, 2^63} do store.put('k', '', t) end do return {} end", "none"),
    ("huge keys", "store.put(string.rep('k', 1e6), 'x', 1) store.get(string.rep('k', 1e6)) do return {} end", "none"),
    ("huge values", "store.put('k', string.rep('x', 1e5), 1) do return {} end", "none"),
    ("names", "local i = 0 while true do i += 1 metrics.count('n' .. i) end", "cpu limit"),
    ("huge counts", "for _ = 1, 9 do metrics.count('n', 2^63) metrics.count('n', 1e308) end do return {} end", "none"),
    ("counts that are none", "metrics.count('n', 0/0) metrics.count('n', -1) metrics.count('n\\n{}') do return {} end", "none"),
    ("a table for a line", "log({}, {})", "trap"),
    ("nothing for a key", "store.put()", "trap"),
    ("a function for a name", "metrics.count(print or log)", "trap"),
    ("functions that are kept", "log = nil store = nil do return { edit(s, 1, 0, '') } end", "none"),
    ("another tenant", "ctx.tenant = 'another' store.put('mine', 'x', 60) do return {} end", "none"),
];

/// Luau with no grant: each says no, and goes on.
const UNGRANTED: &[(&str, &str)] = &[
    ("log", "local done, why = log('info', 'x') assert(done == nil and why == 'denied')"),
    ("settings", "local done, why = settings() assert(done == nil and why == 'denied')"),
    ("store.get", "local done, why = store.get('k') assert(done == nil and why == 'denied')"),
    ("store.put", "local done, why = store.put('k', 'v', 1) assert(done == nil and why == 'denied')"),
    ("metrics", "local done, why = metrics.count('n') assert(done == nil and why == 'denied')"),
    ("fetch", "local got, why = fetch.send({ url = 'never' }) assert(got == nil and why == 'denied')"),
    ("model", "local said, why = model.ask('never', 'x') assert(said == nil and why == 'denied')"),
];

fn flood(imports: &str, signature: &str, call: &str) -> Wat {
    let core = format!(
        "(import \"host\" \"f\" (func $f (param {signature})))
         (global $n (mut i32) (i32.const 0))
         (func (export \"inspect\") (param i32) (result i32)
           (loop (global.set $n (i32.add (global.get $n) (i32.const 1)))
             (i32.store (i32.const 200) (i32.or (i32.const 0x30303030) (i32.and (global.get $n) (i32.const 0x0f0f0f0f)))) {call} (br 0)) unreachable)"
    );
    with(imports, module(core)).pages(128)
}

/// Name; host function; its parameters; how it is called over and over; what that ends in.
type Flood = (&'static str, fn() -> String, &'static str, &'static str, &'static str);

const WRITE: &str = "i32 i32 i32 i32";
/// WASM with every grant.
const WASM_FLOODS: &[Flood] = &[
    ("log", wat::log, WRITE, "(call $f (i32.const 1) (i32.const 200) (i32.const 4) (i32.const 600))", "cpu limit"),
    ("long lines", wat::log, WRITE, "(call $f (i32.const 1) (i32.const 8192) (i32.const 500000) (i32.const 600))", "cpu limit"),
    (
        "lines that are too long",
        wat::log,
        WRITE,
        "(call $f (i32.const 1) (i32.const 8192) (i32.const 2000000) (i32.const 600))",
        "output limit",
    ),
    ("lines without end", wat::log, WRITE, "(call $f (i32.const 1) (i32.const 8192) (i32.const -1) (i32.const 600))", ""),
    ("lines of no level", wat::log, WRITE, "(call $f (i32.const 9) (i32.const 8192) (i32.const 1) (i32.const 600))", ""),
    ("results outside", wat::log, WRITE, "(call $f (i32.const 1) (i32.const 200) (i32.const 1) (i32.const -4))", ""),
    // What it is told lies in its own memory, which only ever fills.
    ("settings", wat::settings, "i32", "(call $f (i32.const 600))", ""),
    ("reads", wat::store_get, "i32 i32 i32", "(call $f (i32.const 200) (i32.const 4) (i32.const 600))", "cpu limit"),
    (
        "keys that are no UTF-8",
        wat::store_get,
        "i32 i32 i32",
        "(i32.store8 (i32.const 200) (i32.const 255)) (call $f (i32.const 200) (i32.const 4) (i32.const 600))",
        "",
    ),
    (
        "keys",
        wat::store_put,
        "i32 i32 i32 i32 i32 i32",
        "(call $f (i32.const 200) (i32.const 4) (i32.const 8192) (i32.const 65536) (i32.const -1) (i32.const 600))",
        "cpu limit",
    ),
    ("names", wat::metrics, "i32 i32 i64 i32", "(call $f (i32.const 200) (i32.const 4) (i64.const -1) (i32.const 600))", ""),
];

fn floods() -> Vec<Attack> {
    let attack = |(name, host, given, call, end): &Flood| {
        Attack::wasm(format!("floods: {name}"), flood(&host(), given, call), End::Error(end)).granted()
    };
    WASM_FLOODS.iter().map(attack).collect()
}

/// With no grant, a call comes back with an error whose first byte is 1, and `denied` is 0.
fn ungranted() -> Vec<Attack> {
    let all = [
        ("log", wat::log(), "i32 i32 i32"),
        ("settings", wat::settings(), ""),
        ("store.get", wat::store_get(), "i32 i32"),
        ("store.put", wat::store_put(), "i32 i32 i32 i32 i32"),
        ("metrics", wat::metrics(), "i32 i32 i64"),
        ("fetch", wat::fetch(), "i32 i32 i32 i32 i32 i32 i32 i32"),
        ("model", wat::model(), "i32 i32 i32 i32 i32"),
    ];
    let attack = |(name, imports, given): (&str, String, &str)| {
        let zeros: String = given.split_whitespace().map(|it| format!("({it}.const 0) ")).collect();
        let core = format!(
            "(import \"host\" \"f\" (func $f (param {given} i32)))
             (func (export \"inspect\") (param i32) (result i32) (call $f {zeros} (i32.const 600))
               (if (i32.or (i32.ne (i32.load8_u (i32.const 600)) (i32.const 1)) (i32.load8_u (i32.const 604))) (then unreachable))
               {})",
            wat::list(0, 0)
        );
        Attack::wasm(format!("ungranted: {name}"), with(&imports, module(core)), End::Harmless)
    };
    all.map(attack).to_vec()
}

/// All of them.
pub(super) fn attacks() -> Vec<Attack> {
    let luau = |name: String, evil: &str, end| {
        let code = format!("return {{ inspect = function(ctx, event) local s = event.segments[1] {evil} end }}");
        Attack::luau(name, code, end)
    };
    let end = |end: &'static str| if end == "none" { End::Harmless } else { End::Error(end) };
    let flooding = FLOODS.iter().map(|(name, evil, said)| luau(format!("floods: {name}"), evil, end(said)).granted());
    let denied = UNGRANTED.iter().map(|(name, evil)| luau(format!("ungranted: {name}"), evil, End::Harmless));
    flooding.chain(denied).chain(floods()).chain(ungranted()).collect()
}
