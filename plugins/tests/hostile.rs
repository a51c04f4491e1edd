//! Luau plugins that mean harm: each ends in its own error, within its limits, and the next request is served as if nothing had
//! happened.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use std::time::{Duration, Instant};

use gatewright_plugins::{Chain, Host, Verdict};
use kit::{ALL, ask, chain, limited, load, operator, written};

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

/// Runs the evil three times between honest requests; gives what it was stopped with.
async fn stopped(evil: &str) -> String {
    let chain = chain(&guest(evil));
    let mut reason = String::new();
    for _ in 0..3 {
        assert_eq!(ask(&chain, "good").await, (Verdict::Pass, "+good".into()));
        let started = Instant::now();
        let (verdict, text) = ask(&chain, "evil").await;
        let took = started.elapsed();
        let Verdict::Failed { plugin, reason: why } = verdict else { panic!("{evil}: {verdict:?}") };
        assert_eq!((plugin.as_str(), text.as_str()), ("test", "evil"));
        assert!(took < Duration::from_secs(2), "{evil} took {took:?}");
        reason = why;
    }
    assert_eq!(ask(&chain, "good").await, (Verdict::Pass, "+good".into()));
    reason
}

macro_rules! hostile {
    ($($name:ident: $evil:expr => $kind:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            let reason = stopped($evil).await;
            assert!(reason.starts_with($kind), "{reason}");
        }
    )*};
}

hostile! {
    an_endless_loop: "while true do end" => "cpu limit";
    an_endless_loop_in_pcall: "while true do pcall(function() while true do end end) end" => "cpu limit";
    an_endless_loop_in_nested_pcall: "local function f() pcall(f) while true do pcall(f) end end f()" => "cpu limit";
    a_stop_that_is_caught_and_answered: "pcall(function() while true do end end) do return {} end" => "cpu limit";
    an_endless_loop_in_xpcall: "xpcall(function() while true do end end, function() while true do end end)" => "cpu limit";
    an_endless_coroutine: "local c = coroutine.wrap(function() while true do coroutine.yield() end end) while true do c() end"
        => "cpu limit";
    an_endless_metamethod: "local t = setmetatable({}, {__index = function(t, k) return t[k .. 'x'] end}) local _ = t.x" => "";
    an_endless_iterator: "for _ in function() return 1 end do end" => "cpu limit";
    an_endless_sort: "local t = {} for i = 1, 1000 do t[i] = i end while true do table.sort(t, function(a, b) return a > b end) end"
        => "cpu limit";
    a_sort_of_strings_that_begin_alike: "local p = string.rep('x', 4e6) local t = table.create(500000, p .. 'a')
        table.move(table.create(250000, p .. 'b'), 1, 250000, 1, t) table.sort(t)" => "";
    comparisons_of_strings_that_begin_alike: "local a = string.rep('x', 4e6) local b = a .. 'b' a ..= 'a'
        while true do local _ = a < b, a <= b, a > b end" => "cpu limit";
    equalities_of_strings: "local a = string.rep('x', 1e6) local b = a .. 'xy' while true do local _ = a .. 'x' .. 'y' == b end" => "";
    concatenations_of_strings: "local a = string.rep('x', 1e6) while true do local _ = a .. a .. 'y' end" => "";
    joins_of_a_table: "local t = table.create(300000, 'xxxxxxxx') while true do table.concat(t, ',') end" => "";
    repetitions: "while true do string.rep('xy', 4e6) end" => "";
    formats: "local a = string.rep('\\0', 1e6) while true do string.format('%q%s', a, a) end" => "";
    a_substitution_by_something_huge: "string.gsub(string.rep('a', 1e5), 'a', string.rep('b', 1e5))" => "";
    substitutions: "local a = string.rep('a', 1e5) while true do string.gsub(a, 'a', 'bb') end" => "";
    a_class_bomb: "local _ = string.match(string.rep('b', 8e6), '[' .. string.rep('a', 8000) .. 'b]*')" => "trap";
    small_classes: "local a = string.rep('b', 2e6) while true do string.match(a, '[aaaaaaaaaaaaaaab]*') end" => "cpu limit";
    a_pattern_bomb: "local _ = string.find(string.rep('a', 100000), string.rep('a?', 100) .. string.rep('a', 100) .. 'b')"
        => "cpu limit";
    a_pattern_bomb_of_stars: "local _ = string.find(string.rep('a', 30000), '.-.-.-.-.-.-b')" => "cpu limit";
    a_pattern_bomb_in_gsub: "local _ = string.gsub(string.rep('(', 200000), '%b()', '')" => "cpu limit";
    a_search_bomb: "while true do pcall(string.find, string.rep('a', 8000000), string.rep('a', 4000000) .. 'b', 1, true) end" => "";
    a_split_bomb: "while true do pcall(string.split, string.rep('a', 8000000), string.rep('a', 4000000) .. 'b') end" => "";
    a_move_bomb: "table.move({}, 1, 2^31 - 2, 2, {})" => "trap";
    a_memory_bomb_of_strings: "local t = {} for i = 1, 1e9 do t[i] = string.rep('x', 1000000) .. i end" => "";
    a_memory_bomb_of_one_string: "local s = string.rep('x', 1e9)" => "memory limit";
    a_memory_bomb_of_a_buffer: "local b = buffer.create(2^30)" => "memory limit";
    a_memory_bomb_in_pcall: "local t = {} while true do pcall(function() t[#t + 1] = string.rep('x', 1e6) .. #t end) end" => "";
    an_output_bomb_of_text: "do return { edit(s, 1, 0, string.rep('x', 2e6)) } end" => "output limit";
    an_output_bomb_of_actions: "do return table.create(20000, hold(s, 1)) end" => "output limit";
    deep_recursion: "local function f(n) return 1 + f(n + 1) end f(0)" => "";
    deep_recursion_through_libraries: "local function f() string.gsub('a', 'a', f) end f()" => "";
    deep_recursion_of_coroutines: "local function f() coroutine.wrap(f)() end f()" => "";
    an_error: "error('no')" => "trap: ";
    an_error_that_is_a_table: "error(setmetatable({}, {__tostring = function() while true do end end}))" => "";
    an_answer_that_is_no_list: "do return 'x' end" => "contract";
    an_action_that_is_none: "do return { { kind = 'explode' } } end" => "contract";
    a_range_outside: "do return { edit(s, 1, 99, '') } end" => "contract";
    a_range_that_overlaps: "do return { edit(s, 1, 3, ''), edit(s, 2, 4, '') } end" => "contract";
    a_segment_that_was_not_shown: "do return { edit(7, 1, 1, '') } end" => "contract";
    a_field_that_may_not_be_set: "do return { set('/messages/0/content', 'x') } end" => "contract";
    a_value_that_has_no_end: "local t = {} t.t = t do return { set('/metadata/x', t) } end" => "contract";
    reading_a_metatable_of_an_action: "do return { setmetatable({}, {__index = function() while true do end end}) } end" => "contract";
    said_failure: "do return nil, 'I give up' end" => "guest error: I give up";
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
async fn what_is_shared_cannot_be_changed() {
    let attempts = [
        "string.find = nil",
        "string.extra = 1",
        "getmetatable('').__index = {}",
        "setmetatable(string, {})",
        "rawset(math, 'pi', 3)",
        "table.clear(string)",
        "rawset(edit and string, 'x', 1)",
        "settings().a = 1",
    ];
    for attempt in attempts {
        let (verdict, _) = ask(&chain(&guest(attempt)), "evil").await;
        assert!(matches!(&verdict, Verdict::Failed { reason, .. } if reason.starts_with("trap")), "{attempt}: {verdict:?}");
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

#[test]
fn start_up_code_is_limited_too() {
    let host = Host::new(1);
    for (code, why) in [
        ("while true do end", "cpu limit"),
        ("local s = string.rep('x', 1e9)", "memory limit"),
        ("return 1", "contract"),
        ("return {", "load"),
        ("return { tools = { { name = 'a b', parameters = {} } } }", "name"),
    ] {
        let error = host.load(&written(ALL, code).source(), &operator()).unwrap_err().to_string();
        assert!(error.contains(why), "{code}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_changes_limits() {
    let host = Host::new(1);
    let spin = "return { inspect = function(_, event) for i = 1, 3e6 do end return { note('done', 'yes') } end }";
    let slow = Chain::new(vec![load(&host, ALL, spin, &operator())]);
    assert!(matches!(ask(&slow, "x").await.0, Verdict::Failed { .. }));
    let patient = Chain::new(vec![load(&host, ALL, spin, &limited("cpu_us", 10_000_000))]);
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
