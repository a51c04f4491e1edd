//! Attacks of WASM plugins: the body of one function each, and what it ends in.

use super::attack::{Attack, End};
use super::kit::wat::{Wat, actions, body, list, module};

const FOREVER: &str = "(loop (br 0)) unreachable";

type Row = (&'static str, Wat, &'static str);

/// Name; functions beside `inspect`; its body; pages of memory; what it ends in.
type Body = (&'static str, &'static str, &'static str, u32, &'static str);

/// Computing, memory, recursion, traps.
const BODIES: &[Body] = &[
    ("cpu: a loop", "", "(loop (br 0)) unreachable", 2, "cpu limit"),
    ("cpu: a loop of calls", "(func $f)", "(loop (call $f) (br 0)) unreachable", 2, "cpu limit"),
    (
        "cpu: a loop of indirect calls",
        "(type $t (func)) (table 1 funcref) (elem (i32.const 0) $f) (func $f)",
        "(loop (call_indirect (type $t) (i32.const 0)) (br 0)) unreachable",
        2,
        "cpu limit",
    ),
    ("cpu: two functions", "(func $f (call $g)) (func $g (loop (br 0)))", "(call $f) (i32.const 16)", 2, "cpu limit"),
    (
        "cpu: fills of memory",
        "",
        "(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 0xf00000)) (br 0)) unreachable",
        240,
        "cpu limit",
    ),
    (
        "cpu: copies of memory",
        "",
        "(loop (memory.copy (i32.const 1) (i32.const 0) (i32.const 0xeffff0)) (br 0)) unreachable",
        240,
        "cpu limit",
    ),
    (
        "cpu: fills of a table",
        "(table 30000 funcref)",
        "(loop (table.fill (i32.const 0) (ref.null func) (i32.const 30000)) (br 0)) unreachable",
        2,
        "cpu limit",
    ),
    ("cpu: numbers", "", "(loop (drop (f64.sqrt (f64.div (f64.const 1) (f64.const nan)))) (br 0)) unreachable", 2, "cpu limit"),
    (
        "cpu: vectors",
        "",
        "(loop (drop (i32x4.mul (v128.const i32x4 1 2 3 4) (v128.const i32x4 1 2 3 4))) (br 0)) unreachable",
        2,
        "cpu limit",
    ),
    (
        "memory: growth by a page",
        "",
        "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable",
        2,
        "memory limit",
    ),
    ("memory: growth at once", "", "(drop (memory.grow (i32.const 65000))) unreachable", 2, "memory limit"),
    ("memory: growth without end", "", "(loop (drop (memory.grow (i32.const 16))) (br 0)) unreachable", 2, "cpu limit"),
    (
        "memory: a table",
        "(table 1 funcref)",
        "(loop (br_if 0 (i32.ne (table.grow 0 (ref.null func) (i32.const 4000)) (i32.const -1)))) (loop (br 0)) unreachable",
        2,
        "cpu limit",
    ),
    (
        "recursion: deep",
        "(func $f (param i32) (result i32) (i32.add (i32.const 1) (call $f (local.get 0))))",
        "(call $f (i32.const 0))",
        2,
        "trap",
    ),
    (
        "recursion: of two",
        "(func $f (result i32) (i32.add (call $g) (i32.const 1))) (func $g (result i32) (i32.add (call $f) (i32.const 1)))",
        "(call $f)",
        2,
        "trap",
    ),
    (
        "recursion: through a table",
        "(type $t (func)) (table 1 funcref) (elem (i32.const 0) $f)
        (func $f (call_indirect (type $t) (i32.const 0)) (call_indirect (type $t) (i32.const 0)))",
        "(call $f) (i32.const 16)",
        2,
        "trap",
    ),
    ("traps: unreachable", "", "unreachable", 2, "trap"),
    ("traps: division by zero", "", "(i32.div_u (i32.const 1) (i32.const 0))", 2, "trap"),
    ("traps: overflow of division", "", "(i32.div_s (i32.const 0x80000000) (i32.const -1))", 2, "trap"),
    ("traps: a number that is none", "", "(i32.trunc_f64_s (f64.const nan))", 2, "trap"),
    ("traps: reading outside", "", "(i32.load (i32.const -8))", 2, "trap"),
    ("traps: writing outside", "", "(i64.store offset=0xffffff00 (i32.const -1) (i64.const 1)) unreachable", 2, "trap"),
    ("traps: filling outside", "", "(memory.fill (i32.const 0) (i32.const 1) (i32.const -1)) unreachable", 2, "trap"),
    (
        "traps: a call to nowhere",
        "(type $t (func)) (table 1 funcref)",
        "(call_indirect (type $t) (i32.const 9)) unreachable",
        2,
        "trap",
    ),
    (
        "traps: a call of null",
        "(type $t (func)) (table 1 funcref)",
        "(call_indirect (type $t) (i32.const 0)) unreachable",
        2,
        "trap",
    ),
    (
        "traps: a call of the wrong type",
        "(type $t (func (param i64))) (table 1 funcref) (elem (i32.const 0) $f) (func $f)",
        "(call_indirect (type $t) (i64.const 0) (i32.const 0)) unreachable",
        2,
        "trap",
    ),
    ("traps: reading a table outside", "(table 1 funcref)", "(drop (table.get 0 (i32.const 7))) unreachable", 2, "trap"),
];

fn bodies() -> Vec<Row> {
    let inspect = |functions: &str, body: &str| {
        module(format!("{functions} (func (export \"inspect\") (param $event i32) (result i32) {body})"))
    };
    let locals = "i64 ".repeat(500);
    let wide = format!(
        "(func $f (param i64) (result i64) (local {locals}) (local.set 100 (i64.mul (local.get 0) (i64.const 3)))
         (call $f (i64.add (local.get 0) (local.get 100))))"
    );
    let rows = BODIES.iter().map(|(name, functions, body, pages, end)| (*name, inspect(functions, body).pages(*pages), *end));
    let wide = inspect(&wide, "(drop (call $f (i64.const 1))) unreachable");
    rows.chain([("recursion: with many locals", wide, "trap")]).collect()
}

/// An answer of one text that lies at so many bytes, of so many.
fn text(kind: u32, address: u32, length: u32) -> String {
    format!(
        "(i32.store8 (i32.const 64) (i32.const {kind})) (i32.store (i32.const 68) (i32.const {address}))
         (i32.store (i32.const 72) (i32.const {length})) {}",
        list(64, 1)
    )
}

/// Answers that lie, are too much, or name places that are not there. The text is `the bad 👩‍👧 end`, whose segment is 1.
fn answers() -> Vec<Row> {
    let say = |address: u32, count: u32| body(&list(address, count));
    let edit = |segment: u32, start: u32, end: u32| [0, segment, start, end, 1024, 4, 0];
    let hold = |segment: u32, start: u32| [1, segment, start, 0, 0, 0, 0];
    vec![
        ("answers: a list outside", say(0xFFFF_FFF0, 1), "contract"),
        ("answers: a list without end", say(4096, 0xFFFF_FFFF), "contract"),
        ("answers: a list over the edge", say(131_072, 1), "contract"),
        ("answers: a list out of step", say(4097, 1), "contract"),
        ("answers: outside", body("(i32.const 0x7fffffff)"), "contract"),
        ("answers: over the edge", body("(i32.const 131070)"), "contract"),
        ("answers: out of step", body("(i32.const 17)"), "contract"),
        ("answers: an action of no kind", body(&text(99, 100, 1)), "contract"),
        ("answers: neither well nor ill", body("(i32.store8 (i32.const 16) (i32.const 9)) (i32.const 16)"), "contract"),
        ("answers: a hundred thousand", say(8192, 100_000).pages(64), "output limit"),
        ("answers: a huge text", body(&text(3, 8192, 2 << 20)).pages(64), "output limit"),
        ("answers: a text outside", body(&text(3, 0x7fff_0000, 16)), "contract"),
        ("answers: a text without end", body(&text(3, 8192, 0xffff_fff0)), "contract"),
        (
            "answers: a text that is no UTF-8",
            body(&format!("(i32.store16 (i32.const 100) (i32.const 0xffc3)) {}", text(3, 100, 2))),
            "contract",
        ),
        (
            "answers: a surrogate",
            body(&format!("(i32.store (i32.const 100) (i32.const 0x0080a0ed)) {}", text(3, 100, 3))),
            "contract",
        ),
        ("answers: too many notes", actions(&[[6, 1024, 4, 1024, 4, 0, 0]; 257]), "contract"),
        ("answers: a note without a name", actions(&[[6, 1024, 0, 1024, 4, 0, 0]]), "contract"),
        ("answers: a field that may not be set", actions(&[[5, 1024, 4, 1024, 4, 0, 0]]), "contract"),
        ("ranges: outside", actions(&[edit(1, 0, 99)]), "contract"),
        ("ranges: far outside", actions(&[edit(1, u32::MAX, u32::MAX)]), "contract"),
        ("ranges: the wrong way round", actions(&[edit(1, 5, 2)]), "contract"),
        ("ranges: overlapping", actions(&[edit(1, 0, 3), edit(1, 2, 4)]), "contract"),
        ("ranges: the same twice", actions(&[edit(1, 0, 3), edit(1, 0, 3)]), "contract"),
        ("ranges: inside a character", actions(&[edit(1, 9, 10)]), "contract"),
        ("ranges: a segment that was not shown", actions(&[edit(7, 0, 1)]), "contract"),
        ("ranges: a hold outside", actions(&[hold(1, 99)]), "contract"),
        ("ranges: a hold of what was not shown", actions(&[hold(u32::MAX, 0)]), "contract"),
        (
            "answers: said failure",
            body(&format!(
                "(i32.store8 (i32.const 16) (i32.const 1)) (i32.store8 (i32.const 100) (i32.const 63)) {}",
                list(100, 1)
            )),
            "guest error: ?",
        ),
        (
            "answers: said failure at length",
            body(&format!(
                "(i32.store8 (i32.const 16) (i32.const 1))
            (memory.fill (i32.const 8192) (i32.const 63) (i32.const 0x100000)) {}",
                list(8192, 1 << 19)
            ))
            .pages(64),
            "guest error: ????",
        ),
    ]
}

/// Allocators that lie, and code that runs where none is expected.
fn allocators() -> Vec<Row> {
    let allocate = |body: &str| (body.to_owned(), actions(&[]));
    let all = [
        ("outside", allocate("(i32.const 0x7ffffff0)"), "contract"),
        ("over the edge", allocate("(i32.const 131070)"), "contract"),
        ("out of step", allocate("(i32.const 4097)"), "contract"),
        ("never", allocate("(loop (br 0)) unreachable"), "cpu limit"),
        ("with a trap", allocate("unreachable"), "trap"),
        ("always the same", allocate("(i32.const 4096)"), "none"),
    ];
    let name = |how: &str| -> &'static str { format!("memory given {how}").leak() };
    all.into_iter().map(|(how, (allocator, wat), end)| (name(how), wat.allocator(&allocator), end)).collect()
}

/// All of them.
pub(super) fn attacks() -> Vec<Attack> {
    let end = |end: &'static str| if end == "none" { End::Harmless } else { End::Error(end) };
    let rows = [bodies(), answers(), allocators()].concat();
    let mut all: Vec<Attack> = rows.into_iter().map(|(name, wat, said)| Attack::wasm(name, wat, end(said))).collect();
    all.push(Attack::wasm("cpu: after the answer", actions(&[]).after(FOREVER), End::Error("cpu limit")));
    all.push(Attack::wasm("traps: after the answer", actions(&[]).after("unreachable"), End::Error("trap")));
    all
}
