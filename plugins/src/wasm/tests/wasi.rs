//! Guests that were made for WASI: what they are given in place of a system.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use super::{GuestErrorKind, Wat, ask, load, outcome, setup, start, wat};
use crate::guest::Sandbox;
use crate::wasm::Wasm;

const IMPORTS: &str = r#"
  (import "wasi:io/error@0.2.0" (instance $errors (export "error" (type (sub resource)))))
  (alias export $errors "error" (type $broken))
  (import "wasi:io/poll@0.2.3" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
  (alias export $poll "pollable" (type $waiting))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "output-stream" (type $output (sub resource)))
    (export "input-stream" (type $input (sub resource)))
    (alias outer 1 $broken (type $broken'))
    (export "error" (type $error (eq $broken')))
    (type $stream-error' (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error')))
    (export "[method]input-stream.blocking-read" (func (param "self" (borrow $input)) (param "len" u64)
      (result (result (list u8) (error $stream-error)))))
    (export "[method]output-stream.check-write" (func (param "self" (borrow $output)) (result (result u64 (error $stream-error)))))
    (export "[method]output-stream.blocking-write-and-flush" (func (param "self" (borrow $output)) (param "contents" (list u8))
      (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output))
  (alias export $streams "input-stream" (type $input))
  (import "wasi:cli/stdin@0.2.0" (instance $stdin
    (alias outer 1 $input (type $input'))
    (export "input-stream" (type $stream (eq $input')))
    (export "get-stdin" (func (result (own $stream))))))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $output (type $output'))
    (export "output-stream" (type $stream (eq $output')))
    (export "get-stdout" (func (result (own $stream))))))
  (import "wasi:cli/environment@0.2.12" (instance $environment
    (export "get-environment" (func (result (list (tuple string string)))))
    (export "get-arguments" (func (result (list string))))))
  (import "wasi:cli/exit@0.2.0" (instance $exit (export "exit" (func (param "status" (result))))))
  (import "wasi:random/random@0.2.0" (instance $random
    (export "get-random-u64" (func (result u64)))
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $waiting (type $waiting'))
    (export "pollable" (type $pollable (eq $waiting')))
    (export "now" (func (result u64)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (core func $environment' (canon lower (func $environment "get-environment") (memory $mem) (realloc (core func $realloc))))
  (core func $stdin' (canon lower (func $stdin "get-stdin")))
  (core func $stdout' (canon lower (func $stdout "get-stdout")))
  (core func $read' (canon lower (func $streams "[method]input-stream.blocking-read") (memory $mem) (realloc (core func $realloc))))
  (core func $room' (canon lower (func $streams "[method]output-stream.check-write") (memory $mem)))
  (core func $write' (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory $mem)))
  (core func $exit' (canon lower (func $exit "exit")))
  (core func $number' (canon lower (func $random "get-random-u64")))
  (core func $bytes' (canon lower (func $random "get-random-bytes") (memory $mem) (realloc (core func $realloc))))
  (core func $now' (canon lower (func $clock "now")))
  (core func $sleep' (canon lower (func $clock "subscribe-duration")))
  (core func $poll' (canon lower (func $poll "poll") (memory $mem) (realloc (core func $realloc))))
  (core func $drop' (canon resource.drop $output))"#;

const WITH: &str = r#"(with "wasi" (instance
  (export "environment" (func $environment')) (export "stdin" (func $stdin')) (export "stdout" (func $stdout'))
  (export "read" (func $read')) (export "room" (func $room')) (export "write" (func $write')) (export "exit" (func $exit'))
  (export "number" (func $number')) (export "bytes" (func $bytes')) (export "now" (func $now')) (export "sleep" (func $sleep'))
  (export "poll" (func $poll')) (export "drop" (func $drop'))))"#;

const CORE: &str = r#"
  (import "wasi" "environment" (func $environment (param i32)))
  (import "wasi" "stdin" (func $stdin (result i32)))
  (import "wasi" "stdout" (func $stdout (result i32)))
  (import "wasi" "read" (func $read (param i32 i64 i32)))
  (import "wasi" "room" (func $room (param i32 i32)))
  (import "wasi" "write" (func $write (param i32 i32 i32 i32)))
  (import "wasi" "exit" (func $exit (param i32)))
  (import "wasi" "number" (func $number (result i64)))
  (import "wasi" "bytes" (func $bytes (param i64 i32)))
  (import "wasi" "now" (func $now (result i64)))
  (import "wasi" "sleep" (func $sleep (param i64) (result i32)))
  (import "wasi" "poll" (func $poll (param i32 i32 i32)))
  (import "wasi" "drop" (func $drop (param i32)))
  (func $must (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
  (func (export "inspect") (param i32) (result i32) (local $out i32)
    {BODY}
    (i32.store (i32.const 20) (i32.const 0)) (i32.store (i32.const 24) (i32.const 0)) (i32.const 16))"#;

/// A guest of this body that imports WASI. What a result has is written at 64.
fn made_for_wasi(body: &str) -> Wat {
    Wat { imports: IMPORTS, with: WITH, ..wat(&CORE.replace("{BODY}", body)) }
}

#[tokio::test]
async fn there_is_nothing_to_read_and_output_goes_nowhere() {
    let body = "
        (call $environment (i32.const 64))
        (call $must (i32.eqz (i32.load (i32.const 68))))
        (call $read (call $stdin) (i64.const 10) (i32.const 64))
        (call $must (i32.load8_u (i32.const 64)))
        (call $must (i32.eq (i32.load8_u (i32.const 68)) (i32.const 1)))
        (local.set $out (call $stdout))
        (call $room (local.get $out) (i32.const 64))
        (call $must (i32.eqz (i32.load8_u (i32.const 64))))
        (call $must (i64.gt_u (i64.load (i32.const 72)) (i64.const 0)))
        (call $write (local.get $out) (i32.const 0) (i32.const 100) (i32.const 64))
        (call $must (i32.eqz (i32.load8_u (i32.const 64))))
        (call $drop (local.get $out))";
    assert_eq!(outcome(&made_for_wasi(body)).await, Ok(Vec::new()));
}

#[tokio::test]
async fn clocks_stand_still_nothing_is_waited_for_and_chance_is_always_the_same() {
    let body = "
        (call $must (i64.eqz (call $now)))
        (i32.store (i32.const 80) (call $sleep (i64.const 60000000000)))
        (call $poll (i32.const 80) (i32.const 1) (i32.const 64))
        (call $must (i32.eq (i32.load (i32.const 68)) (i32.const 1)))
        (call $must (i64.ne (call $number) (call $number)))
        (call $bytes (i64.const 16) (i32.const 64))
        (call $must (i32.eq (i32.load (i32.const 68)) (i32.const 16)))";
    let sandbox = Wasm::new(4);
    let program = load(&sandbox, &made_for_wasi(body)).unwrap();
    assert_eq!(ask(&mut start(&program).await.unwrap(), "x").await, Ok(Vec::new()));
    // The first number of a fresh instance is the same in each.
    let same = made_for_wasi("(call $must (i64.eq (call $number) (i64.const 0xe220a8397b1dcdaf)))");
    for _ in 0..2 {
        assert_eq!(outcome(&same).await, Ok(Vec::new()));
    }
}

#[tokio::test]
async fn one_that_exits_or_asks_for_too_much_has_failed() {
    let exited = outcome(&made_for_wasi("(call $exit (i32.const 0))")).await.unwrap_err();
    assert!(exited.kind == GuestErrorKind::Trap && exited.message.contains("wasi:cli/exit"), "{exited}");
    let greedy = outcome(&made_for_wasi("(call $bytes (i64.const 1000000000000) (i32.const 64))")).await.unwrap_err();
    assert!(greedy.message.contains("bytes of chance"), "{greedy}");
}

/// Fuel is for tests of plugins: to serve, nothing is counted.
#[tokio::test]
async fn instructions_are_counted_alike_in_each_run_and_only_where_it_is_asked() {
    let run = async |sandbox: &Wasm, turns: u32| {
        let body = format!(
            "(local.set $out (i32.const {turns})) (loop (br_if 0 (local.tee $out (i32.sub (local.get $out) (i32.const 1)))))"
        );
        let program = load(sandbox, &made_for_wasi(&body)).unwrap();
        let mut guest = start(&program).await.unwrap();
        ask(&mut guest, "x").await.unwrap();
        guest.fuel()
    };
    let counting = Wasm::counting(4);
    let (first, again, more) = (run(&counting, 1000).await, run(&counting, 1000).await, run(&counting, 2000).await);
    assert_eq!(first, again);
    assert!(first > 1000 && more > first + 1000, "{first} {more}");
    assert_eq!(run(&Wasm::new(4), 1000).await, 0);
}

/// Toolchains make components of several parts that pass texts among themselves.
#[test]
fn a_component_of_parts_with_a_memory_each_is_compiled() {
    let parts = r#"(component
      (component $taker
        (core module $code (memory (export "memory") 1) (func (export "take") (param i32 i32))
          (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8)))
        (core instance $it (instantiate $code))
        (func (export "take") (param "text" string)
          (canon lift (core func $it "take") (memory (core memory $it "memory")) (realloc (core func $it "realloc")))))
      (component $giver
        (import "take" (func $take (param "text" string)))
        (core module $room (memory (export "memory") 1))
        (core instance $memory (instantiate $room))
        (core func $lowered (canon lower (func $take) (memory (core memory $memory "memory"))))
        (core module $code (import "" "take" (func (param i32 i32))) (func (export "give")))
        (core instance $it (instantiate $code (with "" (instance (export "take" (func $lowered))))))
        (func (export "give") (canon lift (core func $it "give"))))
      (instance $taking (instantiate $taker))
      (instance $giving (instantiate $giver (with "take" (func $taking "take")))))"#;
    let loaded = Wasm::new(1).load(parts.as_bytes(), setup(&[], &Arc::default()));
    let told = loaded.unwrap_err().message;
    assert!(told.contains("exports neither the contract's filter nor its tools"), "{told}");
}
