//! Attacks of WASM plugins: the body of one function each, and what it ends in.

use super::attack::{Attack, End};
use super::kit::wat::{Wat, actions, body, list, module};

const FOREVER: &str = "(loop (br 0)) unreachable";

type Row = (&'static str, Wat, &'static str);

/// Computing, memory, recursion, traps.
fn bodies() -> Vec<Row> {
    let inspect = |functions: &str, body: &str| {
        module(format!("{functions} (func (export \"inspect\") (param $event i32) (result i32) {body})"))
    };
    let endless = |what: &str| body(&format!("(loop {what} (br 0)) unreachable"));
    vec![
        ("cpu: a loop", body(FOREVER), "cpu limit"),
        ("cpu: a loop of calls", inspect("(func $f)", "(loop (call $f) (br 0)) unreachable"), "cpu limit"),
        (
            "cpu: a loop of indirect calls",
            inspect(
                "(type $t (func)) (table 1 funcref) (elem (i32.const 0) $f) (func $f)",
                "(loop (call_indirect (type $t) (i32.const 0)) (br 0)) unreachable",
            ),
            "cpu limit",
        ),
        ("cpu: two functions", inspect("(func $f (call $g)) (func $g (loop (br 0)))", "(call $f) (i32.const 16)"), "cpu limit"),
        (
            "cpu: fills of memory",
            endless("(memory.fill (i32.const 0) (i32.const 1) (i32.const 0x1e00000))").pages(480),
            "cpu limit",
        ),
        (
            "cpu: copies of memory",
            endless("(memory.copy (i32.const 1) (i32.const 0) (i32.const 0x1dffff0))").pages(480),
            "cpu limit",
        ),
        (
            "cpu: fills of a table",
            inspect(
                "(table 30000 funcref)",
                "(loop (table.fill (i32.const 0) (ref.null func) (i32.const 30000)) (br 0)) unreachable",
            ),
            "cpu limit",
        ),
        ("cpu: numbers", endless("(drop (f64.sqrt (f64.div (f64.const 1) (f64.const nan))))"), "cpu limit"),
        (
            "cpu: atomics and vectors",
            endless("(drop (i32x4.mul (v128.const i32x4 1 2 3 4) (v128.const i32x4 1 2 3 4)))"),
            "cpu limit",
        ),
        (
            "memory: growth by a page",
            body("(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable"),
            "memory limit",
        ),
        ("memory: growth at once", body("(drop (memory.grow (i32.const 65000))) unreachable"), "memory limit"),
        ("memory: growth without end", endless("(drop (memory.grow (i32.const 16)))"), "cpu limit"),
        (
            "memory: a table",
            inspect(
                "(table 1 funcref)",
                "(loop (br_if 0 (i32.ne (table.grow 0 (ref.null func) (i32.const 4000)) (i32.const -1)))) (loop (br 0)) unreachable",
            ),
            "cpu limit",
        ),
        (
            "recursion: deep",
            inspect(
                "(func $f (param i32) (result i32) (i32.add (i32.const 1) (call $f (local.get 0))))",
                "(call $f (i32.const 0))",
            ),
            "trap",
        ),
        (
            "recursion: of two",
            inspect(
                "(func $f (result i32) (i32.add (call $g) (i32.const 1))) (func $g (result i32) (i32.add (call $f) (i32.const 1)))",
                "(call $f)",
            ),
            "trap",
        ),
        (
            "recursion: of itself",
            module("(func $f (export \"inspect\") (param i32) (result i32) (i32.add (call $f (local.get 0)) (i32.const 1)))"),
            "trap",
        ),
        (
            "recursion: with many locals",
            inspect(
                &format!(
                    "(func $f (param i64) (result i64) (local {}) {} (call $f (i64.add (local.get 0) (local.get 100))))",
                    "i64 ".repeat(500),
                    "(local.set 100 (i64.mul (local.get 0) (i64.const 3)))"
                ),
                "(drop (call $f (i64.const 1))) unreachable",
            ),
            "trap",
        ),
        ("traps: unreachable", body("unreachable"), "trap"),
        ("traps: division by zero", body("(i32.div_u (i32.const 1) (i32.const 0))"), "trap"),
        ("traps: overflow of division", body("(i32.div_s (i32.const 0x80000000) (i32.const -1))"), "trap"),
        ("traps: a number that is none", body("(i32.trunc_f64_s (f64.const nan))"), "trap"),
        ("traps: reading outside", body("(i32.load (i32.const -8))"), "trap"),
        ("traps: writing outside", body("(i64.store offset=0xffffff00 (i32.const -1) (i64.const 1)) unreachable"), "trap"),
        ("traps: filling outside", body("(memory.fill (i32.const 0) (i32.const 1) (i32.const -1)) unreachable"), "trap"),
        (
            "traps: a call to nowhere",
            inspect("(type $t (func)) (table 1 funcref)", "(call_indirect (type $t) (i32.const 9)) unreachable"),
            "trap",
        ),
        (
            "traps: a call of null",
            inspect("(type $t (func)) (table 1 funcref)", "(call_indirect (type $t) (i32.const 0)) unreachable"),
            "trap",
        ),
        (
            "traps: a call of the wrong type",
            inspect(
                "(type $t (func (param i64))) (table 1 funcref) (elem (i32.const 0) $f) (func $f)",
                "(call_indirect (type $t) (i64.const 0) (i32.const 0)) unreachable",
            ),
            "trap",
        ),
        ("traps: reading a table outside", inspect("(table 1 funcref)", "(drop (table.get 0 (i32.const 7))) unreachable"), "trap"),
    ]
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
