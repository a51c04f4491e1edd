//! Attacks while a plugin is loaded: its files, its manifest, its start-up code, what it says of itself. Loading ends soon, with a
//! complaint, or with a plugin; and what was loaded before goes on.

use std::path::Path;
use std::time::{Duration, Instant};

use gatewright_plugins::{Chain, Host, Operator, Source, Verdict};

use super::kit::wat::{self, Wat, module};
use super::kit::{ALL, ask, load, operator, written};

/// Luau sources, and what the complaint says; "" where it may be a plugin.
const SOURCES: &[(&str, &str, &str)] = &[
    ("a loop", "while true do end", "cpu limit"),
    ("a loop in pcall", "while true do pcall(function() while true do end end) end", "cpu limit"),
    ("one string", "local s = string.rep('x', 1e9)", "memory limit"),
    ("an error", "error(string.rep('x', 1e6))", "trap"),
    ("a yield", "coroutine.yield()", "trap"),
    ("a number", "return 1", "contract"),
    ("nothing", "", "contract"),
    ("a part", "return {", "load"),
    ("zeros", "\0\0\0", "contract"),
    ("bytecode of Lua", "\x1bLua", "load"),
    ("inspect that is none", "return { inspect = 1 }", "contract"),
    ("a table that answers", "return setmetatable({}, {__index = function() while true do end end})", ""),
    ("a tool without a name", "return { tools = { {} } }", "contract"),
    ("a tool of a wrong name", "return { tools = { { name = 'a b', parameters = {} } } }", "name"),
    ("a tool twice", "local t = { name = 'a', parameters = { type = 'object' } } return { tools = { t, t } }", "twice"),
    (
        "a thousand tools",
        "local t = {} for i = 1, 1000 do t[i] = { name = 't' .. i, parameters = '{}' } end return { tools = t }",
        "128 tools",
    ),
    ("tools without end", "return { tools = table.create(1e6, {}) }", ""),
    (
        "a huge description",
        "return { tools = { { name = 'a', description = string.rep('x', 2e6), parameters = '{}' } } }",
        "output limit",
    ),
    ("a schema of itself", "local p = {} p.p = p return { tools = { { name = 'a', parameters = p } } }", "contract"),
    (
        "a schema that doubles",
        "local p = { type = 'object' } for _ = 1, 25 do p = { allOf = { p, p } } end
        return { tools = { { name = 'a', parameters = p } } }",
        "",
    ),
    (
        "a schema of another host",
        "return { tools = { { name = 'a', parameters = '{\"$ref\": \"http://127.0.0.1:1/x\"}' } } }",
        "$ref",
    ),
    (
        "a schema that backtracks",
        "return { tools = { { name = 'a', parameters = '{\"pattern\": \"(a+)+\\\\\\\\1$\"}' } } }",
        "regex",
    ),
    ("a prefilter without end", "return { prefilter = function() while true do end end }", "cpu limit"),
    ("a prefilter that errs", "return { prefilter = function() error('no') end }", "trap"),
    ("a prefilter that is none", "return { prefilter = function() return 7 end }", "contract"),
    ("a pattern of nothing", "return { prefilter = function() return { '(a*)*' } end }", "stands in every text"),
    ("a pattern that multiplies", "return { prefilter = function() return { '((x{1,100}){1,100}){1,100}' } end }", "prefilter"),
    ("a pattern of all letters", "return { prefilter = function() return { '\\\\pL{100}{100}' } end }", "prefilter"),
    (
        "a pattern that nests",
        "return { prefilter = function() return { string.rep('(', 250) .. 'a' .. string.rep(')', 250) } end }",
        "prefilter",
    ),
    ("a long pattern", "return { prefilter = function() return { string.rep('x', 513) } end }", "longer than"),
    ("many patterns", "return { prefilter = function() return table.create(1025, 'x') end }", "1025 patterns"),
    (
        "patterns that are heavy together",
        "return { prefilter = function() return table.create(1024, string.rep('[a-z]+', 80)) end }",
        "prefilter",
    ),
    ("a pattern that is no UTF-8", "return { prefilter = function() return { '\\xff' } end }", "contract"),
];

/// The end of a manifest, and what the complaint says.
const MANIFESTS: &[(&str, &str, &str)] = &[
    ("a file elsewhere", "entry: ../../etc/passwd.luau\n", "own folder"),
    ("an absolute file", "entry: /etc/passwd.luau\n", "own folder"),
    ("a hidden file", "entry: .luau\n", "own folder"),
    ("more than the default", "limits: {cpu_us: 999999999}\n", "may only lower"),
    ("a limit of nothing", "limits: {memory_bytes: 0}\n", "at least 1"),
    ("an unknown power", "grants: [root]\n", "root"),
    ("a window without end", "window: 99999999999999999999\n", "window"),
    ("an alias that doubles", "description: &a [x, x]\nsettings: {a: [*a, *a]}\n", ""),
    ("settings that backtrack", "settings: {type: object, properties: {a: {pattern: '(a+)+\\1$'}}}\n", "schema"),
    ("settings of another host", "settings: {$ref: 'http://127.0.0.1:1/x'}\n", "settings"),
    ("settings of themselves", "settings: {$ref: '#'}\n", "settings"),
];

/// Tries to load something.
type Evil = Box<dyn Fn(&Host) -> Result<(), String>>;

/// Whether loading came to what was expected, and soon.
fn judge(name: &str, loaded: Result<(), String>, (why, took): (&str, Duration)) -> Option<String> {
    let right = match &loaded {
        Ok(()) => why.is_empty(),
        Err(complaint) => complaint.contains(why) && complaint.len() < 4096,
    };
    (!right || took > Duration::from_secs(20)).then(|| format!("{name}: {why:?} was expected: {loaded:?} in {took:?}"))
}

/// Loads them all on one host, and asks a plugin that was loaded before them.
fn none_gets_through(all: impl Iterator<Item = (String, Evil, &'static str)>) {
    let host = Host::new(2);
    let honest = Chain::new(vec![load(&host, ALL, "return { inspect = function() return { note('a', 'b') } end }", &operator())]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut wrong = Vec::new();
    for (name, evil, why) in all {
        let from = Instant::now();
        wrong.extend(judge(&name, evil(&host), (why, from.elapsed())));
        assert_eq!(runtime.block_on(ask(&honest, "x")).0, Verdict::Pass, "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn source(host: &Host, more: &str, code: impl AsRef<[u8]>) -> Result<(), String> {
    let plugin = written(more, "");
    let Source::Folder(folder) = plugin.source() else { unreachable!() };
    std::fs::write(folder.join("plugin.luau"), code).unwrap();
    // What is tried here is not how fast this machine is.
    let operator = Operator { limits: [("cpu_us".to_owned(), 200_000), ("wall_ms".to_owned(), 20_000)].into(), ..operator() };
    host.load(&plugin.source(), &operator).map(drop).map_err(|error| error.to_string())
}

#[test]
fn hostile_sources_are_not_loaded() {
    let all = SOURCES.iter().map(|(name, code, why)| {
        let evil: Evil = Box::new(move |host| source(host, ALL, code));
        ((*name).to_owned(), evil, *why)
    });
    none_gets_through(all);
}

#[test]
fn sources_that_are_hard_to_compile_are_compiled_or_not() {
    let deep = |open: &str, close: &str, times: usize| format!("return {}1{}", open.repeat(times), close.repeat(times));
    let all = [
        ("brackets", deep("(", ")", 100_000)),
        ("tables", deep("{", "}", 100_000)),
        ("functions", deep("(function() return ", " end)()", 20_000)),
        ("negations", deep("-", "", 200_000)),
        ("joins", format!("return 'a' {}", ".. 'a'".repeat(100_000))),
        ("sums", format!("return 1 {}", "+ 1".repeat(200_000))),
        ("branches", format!("if x then {} end", "elseif x then ".repeat(50_000))),
        ("blocks", format!("{} {}", "do ".repeat(100_000), "end ".repeat(100_000))),
        ("locals", (0..300).map(|n| format!("local v{n} = {n}\n")).collect()),
        ("constants", (0..70_000).map(|n| format!("x = 'c{n}'\n")).collect()),
        ("types", format!("type T = {} number {}", "{ a: ".repeat(50_000), "}".repeat(50_000))),
        ("strings in strings", format!("return {}1{}", "`{".repeat(20_000), "}`".repeat(20_000))),
        ("a megabyte and more", " ".repeat((1 << 20) + 1)),
    ];
    let all = all.into_iter().map(|(name, code)| {
        let evil: Evil = Box::new(move |host| source(host, ALL, &code));
        (name.to_owned(), evil, "")
    });
    none_gets_through(all);
}

#[test]
fn hostile_manifests_are_not_read() {
    let bomb: String = (0..40).fold("d40: {}".to_owned(), |all, at| {
        format!("{all}, d{at}: {{allOf: [{{$ref: '#/$defs/d{next}'}}, {{$ref: '#/$defs/d{next}'}}]}}", next = at + 1)
    });
    let bomb = format!("settings: {{type: object, properties: {{a: {{$ref: '#/$defs/d0'}}}}, $defs: {{{bomb}}}}}\n");
    let deep = format!("settings: {}{}\n", "[".repeat(5000), "]".repeat(5000));
    let huge = format!("description: {}\n", "x".repeat(2 << 20));
    let made = [("settings that double", bomb, "subschemas"), ("settings that nest", deep, ""), ("a huge one", huge, "bytes")];
    let written = MANIFESTS.iter().map(|(name, more, why)| (*name, (*more).to_owned(), *why));
    let all = made.into_iter().chain(written).map(|(name, more, why)| {
        let evil: Evil = Box::new(move |host| {
            let settings = serde_json::json!({"a": format!("{}!", "a".repeat(40))});
            let plugin = super::kit::written(&more.replace("entry:", "version: 0.0.2\nentry:"), "return {}");
            let folder = plugin.source();
            let manifest = match &folder {
                Source::Folder(folder) => folder.join("plugin.yaml"),
                Source::Packed(_) | Source::Bundle(_) => unreachable!(),
            };
            if more.starts_with("entry:") {
                std::fs::write(&manifest, format!("name: test\nversion: 0.0.1\n{more}")).unwrap();
            }
            host.load(&folder, &Operator { settings, ..operator() }).map(drop).map_err(|error| error.to_string())
        });
        (name.to_owned(), evil, why)
    });
    none_gets_through(all);
}

/// Components that are none, start badly, or ask for too much.
fn components() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let starting =
        |functions: &str| module(format!("{functions} (func (export \"inspect\") (param i32) (result i32) (i32.const 16))")).code();
    let real = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/topic-deny/plugin.wasm")).unwrap();
    let part = |of: usize| real[..real.len() * of / 8].to_vec();
    let flipped = |at: usize| {
        let mut code = real[..real.len() / 2].to_vec();
        code[at] ^= 0xff;
        code
    };
    vec![
        ("nothing", Vec::new(), "load"),
        ("a text", b"not wasm".to_vec(), "load"),
        ("a module", b"\0asm\x01\0\0\0".to_vec(), "load"),
        ("an empty component", b"(component)".to_vec(), "load"),
        ("zeros", vec![0; 1 << 20], "load"),
        ("an eighth", part(1), "load"),
        ("a half", part(4), "load"),
        ("most of one", part(7), "load"),
        ("another magic", flipped(0), "load"),
        ("another section", flipped(8), "load"),
        ("another length", flipped(10), "load"),
        ("a start without end", starting("(func $go (loop (br 0))) (start $go)"), "limit"),
        ("a start that traps", starting("(func $go unreachable) (start $go)"), "trap"),
        ("a start that recurses", starting("(func $go (call $go)) (start $go)"), "trap"),
        ("data outside", starting("(data (i32.const -4) \"xxxx\")"), "trap"),
        ("elements outside", starting("(table 1 funcref) (elem (i32.const 7) $f) (func $f)"), "trap"),
        (
            "much memory",
            Wat::pages(module("(func (export \"inspect\") (param i32) (result i32) (i32.const 16))"), 1000).code(),
            "limit",
        ),
        ("a huge table", starting("(table 10000000 funcref)"), "load"),
        ("many tables", starting(&"(table 1 funcref) ".repeat(200)), "load"),
        ("many memories", starting("(memory 1) (memory 1)"), "load"),
        ("many locals", starting(&format!("(func (local {}))", "i64 ".repeat(60_000))), "load"),
        ("many globals", starting(&"(global i64 (i64.const 1)) ".repeat(20_000)), ""),
        ("many functions", starting(&"(func)".repeat(5_000)), ""),
        ("deep blocks", starting(&format!("(func {} {})", "block ".repeat(20_000), "end ".repeat(20_000))), ""),
    ]
}

#[test]
fn hostile_components_are_not_loaded() {
    let all = components().into_iter().map(|(name, code, why)| {
        let evil: Evil = Box::new(move |host| {
            let operator = Operator { limits: [("wall_ms".to_owned(), 100)].into(), ..operator() };
            wat::try_load(host, ALL, &code, &operator).map(drop)
        });
        (name.to_owned(), evil, why)
    });
    none_gets_through(all);
}

#[cfg(unix)]
#[test]
fn files_that_are_none_are_not_read() {
    let host = Host::new(1);
    for name in ["plugin.luau", "plugin.yaml"] {
        let plugin = written(ALL, "return {}");
        let Source::Folder(folder) = plugin.source() else { unreachable!() };
        let file = folder.join(name);
        std::fs::remove_file(&file).unwrap();
        // It has no end.
        std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
        assert!(host.load(&plugin.source(), &operator()).unwrap_err().to_string().contains("no file"));
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert!(host.load(&plugin.source(), &operator()).unwrap_err().to_string().contains("no file"));
        std::fs::remove_dir(&file).unwrap();
        std::fs::File::create(&file).unwrap().set_len(1 << 40).unwrap();
        assert!(host.load(&plugin.source(), &operator()).unwrap_err().to_string().contains("more than"));
    }
}
