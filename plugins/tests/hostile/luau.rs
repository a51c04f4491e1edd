//! Attacks of Luau plugins: one line of code each, and what it ends in.

use super::attack::{Attack, End};

/// Code that stands at the beginning of `inspect`; `s` is the segment. What it ends in: the beginning of the reason; "" is any error.
type Row = (&'static str, &'static str, &'static str);

/// Computing without end, in every way that Luau has.
const CPU: &[Row] = &[
    ("a loop", "while true do end", "cpu limit"),
    ("a loop that repeats", "repeat until false", "cpu limit"),
    ("a loop that counts", "for i = 1, math.huge do end", "cpu limit"),
    ("a loop in pcall", "while true do pcall(function() while true do end end) end", "cpu limit"),
    ("a loop in nested pcall", "local function f() pcall(f) while true do pcall(f) end end f()", "cpu limit"),
    ("a stop that is caught and answered", "pcall(function() while true do end end) do return {} end", "cpu limit"),
    ("a loop in xpcall", "xpcall(function() while true do end end, function() while true do end end)", "cpu limit"),
    ("xpcall whose handler errs", "while true do xpcall(error, function() error('again') end) end", "cpu limit"),
    (
        "a coroutine",
        "local c = coroutine.wrap(function() while true do coroutine.yield() end end) while true do c() end",
        "cpu limit",
    ),
    (
        "a storm of coroutines",
        "while true do coroutine.resume(coroutine.create(function() coroutine.yield() end)) end",
        "cpu limit",
    ),
    ("coroutines that are closed", "while true do coroutine.close(coroutine.create(function() end)) end", "cpu limit"),
    ("an iterator", "for _ in function() return 1 end do end", "cpu limit"),
    (
        "an iterating metamethod",
        "for _ in setmetatable({}, {__iter = function() return function() return 1 end end}) do end",
        "cpu limit",
    ),
    ("__index that goes on", "local t = setmetatable({}, {__index = function(t, k) return t[k .. 'x'] end}) local _ = t.x", ""),
    ("__index of itself", "local t = {} setmetatable(t, {__index = t}) local _ = t.x", "trap"),
    ("__newindex of itself", "local t = {} setmetatable(t, {__newindex = t}) t.x = 1", "trap"),
    ("__call of itself", "local t = {} setmetatable(t, {__call = t}) t()", "trap"),
    ("__tostring in a loop", "while true do tostring(setmetatable({}, {__tostring = function() return 'x' end})) end", "cpu limit"),
    (
        "__eq, __lt, __concat, __unm",
        "local m = {} m.__concat = function(a) return -a end m.__unm = function(a) return a .. a end
        m.__lt = function(a, b) return a .. b end local t = setmetatable({}, m) local _ = t < t",
        "",
    ),
    (
        "a sort",
        "local t = {} for i = 1, 1000 do t[i] = i end while true do table.sort(t, function(a, b) return a > b end) end",
        "cpu limit",
    ),
    ("a sort without order", "local t = table.create(1e4, 1) while true do table.sort(t, function() return true end) end", ""),
    (
        "a sort of strings alike",
        "local p = string.rep('x', 4e6) local t = table.create(500000, p .. 'a')
        table.move(table.create(250000, p .. 'b'), 1, 250000, 1, t) table.sort(t)",
        "",
    ),
    (
        "comparisons of strings alike",
        "local a = string.rep('x', 4e6) local b = a .. 'b' a ..= 'a'
        while true do local _ = a < b, a <= b, a > b end",
        "cpu limit",
    ),
    ("equalities", "local a = string.rep('x', 1e6) local b = a .. 'xy' while true do local _ = a .. 'x' .. 'y' == b end", ""),
    ("concatenations", "local a = string.rep('x', 1e6) while true do local _ = a .. a .. 'y' end", ""),
    ("a string that grows by one", "local a = '' while true do a ..= 'x' end", "cpu limit"),
    ("joins of a table", "local t = table.create(300000, 'xxxxxxxx') while true do table.concat(t, ',') end", ""),
    ("repetitions", "while true do string.rep('xy', 4e6) end", ""),
    ("formats", "local a = string.rep('\\0', 1e6) while true do string.format('%q%s', a, a) end", ""),
    ("reversals", "local a = string.rep('ab', 4e6) while true do string.upper(string.reverse(a)) end", ""),
    ("a huge reversal", "local a = string.rep('ab', 5e6) while true do string.reverse(a) end", "trap"),
    ("numbers of many digits", "local a = string.rep('1', 4096) while true do tonumber(a) end", "cpu limit"),
    ("numbers of a million digits", "local a = string.rep('1', 4e6) while true do assert(tonumber(a, 2) == nil) end", "cpu limit"),
    (
        "insertions at the front",
        "local t = table.create(5e5, 1) while true do table.insert(t, 1, 1) table.remove(t, 1) end",
        "cpu limit",
    ),
    ("searches of a table", "local t = table.create(1e6, 0) while true do table.find(t, 1) end", "cpu limit"),
    ("clones of a table", "local t = table.create(1e5, 0) while true do table.clone(t) end", ""),
    ("clearings of a table", "local t = table.create(1e6, 0) while true do table.clear(t) end", "cpu limit"),
    (
        "next behind a cleared table",
        "local t = {} for i = 1, 2e4 do t['k' .. i] = 1 end for k in t do t[k] = nil end
        while true do next(t) end",
        "cpu limit",
    ),
    ("unpackings", "local t = table.create(7000, 0) while true do select('#', table.unpack(t)) end", "cpu limit"),
    ("fillings of a buffer", "local b = buffer.create(1e7) while true do buffer.fill(b, 0, 1) end", "cpu limit"),
    ("copies of a buffer", "local b = buffer.create(1e7) while true do buffer.copy(b, 0, b, 1, 9999999) end", "cpu limit"),
    ("lengths in characters", "local a = string.rep('é', 4e6) while true do utf8.len(a) end", "cpu limit"),
    ("walks by characters", "local a = string.rep('é', 4e6) for _ in utf8.codes(a) do utf8.offset(a, 4e6) end", "cpu limit"),
    ("sizes of packs", "local f = string.rep('b', 8192) while true do string.packsize(f) end", "cpu limit"),
    ("a huge size of a pack", "string.packsize(string.rep('b', 1e6))", "trap"),
    ("a huge length in characters", "utf8.len(string.rep('é', 5e6))", "trap"),
    ("splits by nothing", "while true do pcall(string.split, string.rep('a', 1e5), '') end", ""),
];

/// Patterns and searches.
const PATTERNS: &[Row] = &[
    ("a class", "local _ = string.match(string.rep('b', 8e6), '[' .. string.rep('a', 8000) .. 'b]*')", "trap"),
    ("small classes", "local a = string.rep('b', 8e5) while true do string.match(a, '[aaaaaaaaaaaaaaab]*') end", "cpu limit"),
    ("large classes", "string.match(string.rep('b', 2e6), '[aaaaaaaaaaaaaaab]*')", "trap"),
    ("maybes", "local _ = string.find(string.rep('a', 100000), string.rep('a?', 100) .. string.rep('a', 100) .. 'b')", "cpu limit"),
    ("stars", "local _ = string.find(string.rep('a', 30000), '.-.-.-.-.-.-b')", "cpu limit"),
    ("balances", "local _ = string.gsub(string.rep('(', 200000), '%b()', '')", "cpu limit"),
    ("frontiers", "while true do string.find(string.rep('a', 1e5), '%f[b]') end", "cpu limit"),
    (
        "captures of captures",
        "local _ = string.find(string.rep('a', 1e5), string.rep('(', 40) .. 'a' .. string.rep(')', 40))",
        "trap",
    ),
    ("references back", "local _ = string.find(string.rep('a', 1e5), '(a+)(a+)%1%2b')", "cpu limit"),
    ("matches of nothing", "for _ in string.gmatch(string.rep('a', 1e6), '') do end", "cpu limit"),
    ("substitutions", "local a = string.rep('a', 1e5) while true do string.gsub(a, 'a', 'bb') end", ""),
    ("substitutions by a function", "string.gsub(string.rep('a', 1e6), 'a', function() return 'b' end)", "cpu limit"),
    ("a substitution by something huge", "string.gsub(string.rep('a', 1e5), 'a', string.rep('b', 1e5))", ""),
    (
        "plain searches",
        "while true do pcall(string.find, string.rep('a', 8000000), string.rep('a', 4000000) .. 'b', 1, true) end",
        "",
    ),
    ("splits", "while true do pcall(string.split, string.rep('a', 8000000), string.rep('a', 4000000) .. 'b') end", ""),
    ("a move", "table.move({}, 1, 2^31 - 2, 2, {})", "trap"),
];

/// Memory, with time enough to ask for it.
const MEMORY: &[Row] = &[
    ("strings", "local t = {} for i = 1, 1e9 do t[i] = string.rep('x', 1000000) .. i end", "memory limit"),
    ("one string", "local s = string.rep('x', 1e9)", "memory limit"),
    ("a string that doubles", "local s = 'x' while true do s ..= s end", "memory limit"),
    ("a buffer", "local b = buffer.create(2^30)", "memory limit"),
    ("many buffers", "local t = {} while true do table.insert(t, buffer.create(65536)) end", "memory limit"),
    ("a table", "local t = table.create(2^26)", ""),
    ("a table that grows", "local t = {} while true do t[#t + 1] = #t end", "memory limit"),
    ("many tables", "local t = {} while true do t = {t} end", "memory limit"),
    ("closures", "local f = function() end while true do local g = f f = function() return g end end", "memory limit"),
    (
        "coroutines that wait",
        "local t = {} while true do local c = coroutine.create(coroutine.yield) coroutine.resume(c) t[#t + 1] = c end",
        "memory limit",
    ),
    ("characters of a string", "string.split(string.rep('a', 4e6), '')", "memory limit"),
    ("notes of its own", "while true do ctx.notes[#ctx.notes + 1] = string.rep('x', 1e5) .. #ctx.notes end", "memory limit"),
    ("memory in pcall", "local t = {} while true do pcall(function() t[#t + 1] = string.rep('x', 1e6) .. #t end) end", ""),
];

/// Answers that are too much, or none.
const ANSWERS: &[Row] = &[
    ("a huge text", "do return { edit(s, 1, 0, string.rep('x', 2e6)) } end", "output limit"),
    ("a huge answer", "do return { answer(string.rep('x', 2e6)) } end", "output limit"),
    ("a huge note", "do return { note('k', string.rep('x', 5000)) } end", "contract"),
    ("too many notes", "do return table.create(257, note('k', 'v')) end", "contract"),
    ("a hundred thousand actions", "do return table.create(100000, hold(s, 1)) end", "output limit"),
    (
        "texts that are one text",
        "local x = string.rep('x', 1e5) local t = {} for i = 1, 11 do t[i] = edit(s, 1, 0, x) end do return t end",
        "output limit",
    ),
    ("a list with holes", "do return { nil, edit(s, 1, 0, 'x') } end", "contract"),
    ("no list", "do return 'x' end", "contract"),
    ("itself", "do return setmetatable({}, {__index = function(t) return t end, __len = function() return 1e9 end}) end", "none"),
    ("a function", "do return { print } end", "none"),
    ("an action that is none", "do return { { kind = 'explode' } } end", "contract"),
    ("an action of another kind", "do return { { kind = {} } } end", "contract"),
    (
        "an action behind a metatable",
        "do return { setmetatable({}, {__index = function() while true do end end}) } end",
        "contract",
    ),
    ("a text that is no UTF-8", "do return { edit(s, 1, 0, '\\xff\\xc3') } end", "contract"),
    ("half a character", "do return { edit(s, 1, 1, string.sub('é', 1, 1)) } end", "contract"),
    ("a field that may not be set", "do return { set('/messages/0/content', 'x') } end", "contract"),
    ("a field of the wrong type", "do return { set('/max_tokens', 'many') } end", "contract"),
    ("a value without end", "local t = {} t.t = t do return { set('/metadata/x', t) } end", "contract"),
    ("a value that doubles", "local t = 1 for _ = 1, 31 do t = {t, t} end do return { set('/metadata/x', t) } end", "contract"),
    ("not a number", "do return { edit(s, 0/0, 1, '') } end", "contract"),
    ("half a number", "do return { edit(s, 1.5, 2, '') } end", "contract"),
    ("said failure", "do return nil, 'I give up' end", "guest error: I give up"),
    ("said failure at length", "do return nil, string.rep('é', 1e5) end", "guest error: éé"),
];

/// Places that are not there. The text is `the bad 👩‍👧 end`.
const RANGES: &[Row] = &[
    ("outside", "do return { edit(s, 1, 99, '') } end", "contract"),
    ("far outside", "do return { edit(s, 4294967295, 4294967295, '') } end", "contract"),
    ("beyond any number", "do return { edit(s, 2^53, 2^60, '') } end", "contract"),
    ("before the first", "do return { edit(s, 0, 1, '') } end", "contract"),
    ("negative", "do return { edit(s, -5, -1, '') } end", "contract"),
    ("the wrong way round", "do return { edit(s, 6, 2, '') } end", "contract"),
    ("overlapping", "do return { edit(s, 1, 3, ''), edit(s, 2, 4, '') } end", "contract"),
    ("the same twice", "do return { edit(s, 1, 3, ''), edit(s, 1, 3, '') } end", "contract"),
    ("inside a character", "do return { edit(s, 10, 10, 'x') } end", "contract"),
    ("a segment that was not shown", "do return { edit(7, 1, 1, '') } end", "contract"),
    ("a segment of another number", "do return { edit(-1, 1, 1, ''), edit(2^32, 1, 1, '') } end", "contract"),
    ("a hold outside", "do return { hold(s, 99) } end", "contract"),
];

/// Errors, recursion and reaching out.
const TRAPS: &[Row] = &[
    ("recursion", "local function f(n) return 1 + f(n + 1) end f(0)", ""),
    ("recursion through libraries", "local function f() string.gsub('a', 'a', f) end f()", ""),
    ("recursion of coroutines", "local function f() coroutine.wrap(f)() end f()", ""),
    ("recursion of pcall", "local function f() return pcall(f) end f() f()", "none"),
    ("recursion of sorts", "local function f() table.sort({3, 2, 1}, f) end f()", "trap"),
    ("recursion of metamethods", "local t t = setmetatable({}, {__index = function() return t.x end}) local _ = t.x", "trap"),
    (
        "recursion of __tostring",
        "local t t = setmetatable({}, {__tostring = function() return tostring(t) end}) tostring(t)",
        "trap",
    ),
    ("an error", "error('no')", "trap: "),
    ("a huge error", "error(string.rep('é', 5e6))", ""),
    ("an error without end", "error(setmetatable({}, {__tostring = function() while true do end end}))", "cpu limit"),
    ("an error of a function", "error(function() end)", "trap"),
    ("an error of nothing", "error()", "trap"),
    ("a yield to nobody", "coroutine.yield()", "trap"),
    ("a yield in a sort", "table.sort({3, 2, 1}, coroutine.yield)", "trap"),
    ("a library that is changed", "string.find = nil", "trap"),
    ("a library that grows", "string.extra = 1", "trap"),
    ("a raw change of a library", "rawset(math, 'pi', 3)", "trap"),
    ("a library that is cleared", "table.clear(string)", "trap"),
    ("a library that is frozen", "table.freeze(string)", ""),
    ("the metatable of strings", "getmetatable('').__index = {}", "trap"),
    ("a metatable for a library", "setmetatable(string, {})", "trap"),
    ("settings that are changed", "settings().a = 1", "trap"),
    ("parameters that are changed", "ctx.parameters.a = 1", "trap"),
    ("the environment's metatable", "setmetatable(getmetatable(s) or {}, nil) getmetatable(log).x = 1", "trap"),
    ("the file system", "io.open('/etc/passwd')", "trap"),
    ("the environment", "os.getenv('HOME')", "trap"),
    ("the clock", "os.time()", "trap"),
    ("another process", "os.execute('true')", "trap"),
    ("another module", "require('socket')", "trap"),
    ("code from data", "loadstring('return 1')()", "trap"),
    ("the host's stack", "debug.getinfo(1)", "trap"),
    ("another function's environment", "getfenv(1)", "trap"),
    ("the collector", "collectgarbage('stop')", "trap"),
    ("chance", "math.random()", "trap"),
    ("frozen notes", "table.freeze(ctx.notes) ctx.notes.x = 1", "trap"),
    (
        "notes that are spoilt",
        "setmetatable(ctx.notes, {__newindex = function() while true do end end, __len = function() return 0/0 end})",
        "none",
    ),
];

/// All of them.
pub(super) fn attacks() -> Vec<Attack> {
    let long: &[(&str, u64)] = &[("cpu_us", 20_000_000), ("wall_ms", 30_000)];
    let of = |rows: &[Row], kind: &str, limits: &'static [(&'static str, u64)]| -> Vec<Attack> {
        rows.iter().map(|(name, evil, end)| attack(format!("{kind}: {name}"), evil, end).limited(limits)).collect()
    };
    [
        of(CPU, "cpu", &[]),
        of(PATTERNS, "patterns", &[]),
        of(MEMORY, "memory", long),
        of(ANSWERS, "answers", &[]),
        of(RANGES, "ranges", &[]),
        of(TRAPS, "traps", &[]),
    ]
    .concat()
}

fn attack(name: String, evil: &str, end: &'static str) -> Attack {
    let code = format!("return {{ inspect = function(ctx, event) local s = event.segments[1] {evil} end }}");
    Attack::luau(name, code, if end == "none" { End::Harmless } else { End::Error(end) })
}
