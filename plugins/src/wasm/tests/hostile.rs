//! Guests that break a limit or a law: each ends in its own error, in time, and others go on as if nothing had happened.

use std::time::{Duration, Instant};

use super::*;

const FOREVER: &str = "(loop (br 0)) (unreachable)";

/// What a hostile guest ends in; and that it does so soon, cannot be asked again, and harms neither the next instance of the same
/// program nor another program of the same sandbox.
async fn ends_in(kind: GuestErrorKind, wat: &Wat) -> GuestError {
    let sandbox = Wasm::new(4);
    let good = load(&sandbox, &quiet()).unwrap();
    let program = load(&sandbox, wat).unwrap();
    let mut last = None;
    for _ in 0..3 {
        let began = Instant::now();
        let mut guest = start(&program).await.unwrap();
        let error = ask(&mut guest, "hello").await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.len() <= 512);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert!(ask(&mut guest, "hello").await.is_err());
        assert_eq!(ask(&mut start(&good).await.unwrap(), "hello").await, Ok(Vec::new()));
        last = Some(error);
    }
    last.unwrap()
}

#[tokio::test]
async fn an_endless_loop_runs_out_of_cpu() {
    ends_in(GuestErrorKind::Cpu, &body(FOREVER)).await;
}

#[tokio::test]
async fn the_default_budget_stops_a_loop_within_milliseconds() {
    let sandbox = Wasm::new(1);
    let mut strict = setup(&[], &Arc::default());
    strict.limits = Limits::default();
    let program = sandbox.load(&body(FOREVER).code(), strict).unwrap();
    let mut shortest = Duration::MAX;
    for _ in 0..20 {
        let mut guest = start(&program).await.unwrap();
        let began = Instant::now();
        assert_eq!(ask(&mut guest, "hello").await.unwrap_err().kind, GuestErrorKind::Cpu);
        shortest = shortest.min(began.elapsed());
    }
    assert!(shortest >= Duration::from_millis(2) && shortest < Duration::from_millis(50), "{shortest:?}");
}

#[tokio::test]
async fn a_large_event_leaves_the_async_worker_free() {
    // One worker: were the guest to run on it, the clock beside it would stand still.
    let sandbox = Wasm::new(1);
    let mut patient = setup(&[], &Arc::default());
    patient.limits.cpu = Duration::from_millis(200);
    let program = sandbox.load(&body(FOREVER).code(), patient).unwrap();
    let mut guest = start(&program).await.unwrap();
    let text = "x".repeat(20 << 10);
    let mut ticks = 0;
    let asked = ask(&mut guest, &text);
    tokio::pin!(asked);
    let ended = loop {
        tokio::select! {
            ended = &mut asked => break ended,
            () = tokio::time::sleep(Duration::from_millis(1)) => ticks += 1,
        }
    };
    assert_eq!(ended.unwrap_err().kind, GuestErrorKind::Cpu);
    assert!(ticks >= 5, "{ticks}");
}

#[tokio::test]
async fn large_events_are_answered_and_the_instance_lives_on() {
    let sandbox = Wasm::new(1);
    let roomy = Wat { pages: 16, ..quiet() };
    let program = load(&sandbox, &roomy).unwrap();
    let mut guest = start(&program).await.unwrap();
    for length in [10, 20 << 10, 17 << 10, 10, 40 << 10] {
        assert_eq!(ask(&mut guest, &"x".repeat(length)).await, Ok(Vec::new()));
    }
}

#[tokio::test]
async fn start_up_code_that_does_not_end_is_not_loaded() {
    let sandbox = Wasm::new(1);
    let mut hasty = setup(&[], &Arc::default());
    hasty.limits.wall = Duration::from_millis(50);
    let endless = wat("(func $go (loop (br 0))) (start $go) (func (export \"inspect\") (param i32) (result i32) unreachable)");
    let error = sandbox.load(&endless.code(), hasty).unwrap_err();
    assert!(matches!(error.kind, GuestErrorKind::Cpu | GuestErrorKind::Wall), "{error}");
    assert!(load(&sandbox, &quiet()).is_ok());
}

#[tokio::test]
async fn a_memory_bomb_is_refused_memory() {
    let bomb = format!("(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) {}", "unreachable");
    ends_in(GuestErrorKind::Memory, &body(&bomb)).await;
}

#[tokio::test]
async fn a_guest_that_copes_with_less_memory_goes_on() {
    let modest = "(drop (memory.grow (i32.const 60000))) (i32.store (i32.const 20) (i32.const 0)) (i32.const 16)";
    assert_eq!(outcome(&body(modest)).await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_guest_that_starts_with_too_much_memory_is_not_loaded() {
    let error = outcome(&Wat { pages: 1000, ..quiet() }).await.unwrap_err();
    assert_eq!(error.kind, GuestErrorKind::Memory, "{error}");
}

#[tokio::test]
async fn a_table_counts_as_memory() {
    let bomb = "(table 1 funcref) (func (export \"inspect\") (param i32) (result i32)
        (loop (br_if 0 (i32.ne (table.grow 0 (ref.null func) (i32.const 1000)) (i32.const -1)))) unreachable)";
    let sandbox = Wasm::new(1);
    let mut small = setup(&[], &Arc::default());
    small.limits.memory = 256 << 10;
    let program = sandbox.load(&wat(bomb).code(), small).unwrap();
    assert_eq!(ask(&mut start(&program).await.unwrap(), "hello").await.unwrap_err().kind, GuestErrorKind::Memory);
}

#[tokio::test]
async fn recursion_overflows_the_guests_stack_and_not_ours() {
    let deep = "(func $deeper (param i32) (result i32) (i32.add (i32.const 1) (call $deeper (local.get 0))))
        (func (export \"inspect\") (param i32) (result i32) (call $deeper (i32.const 0)))";
    ends_in(GuestErrorKind::Trap, &wat(deep)).await;
}

#[tokio::test]
async fn traps_are_the_guests_own() {
    ends_in(GuestErrorKind::Trap, &body("unreachable")).await;
    ends_in(GuestErrorKind::Trap, &body("(i32.div_u (i32.const 1) (i32.const 0))")).await;
    ends_in(GuestErrorKind::Trap, &body("(i32.load (i32.const -8))")).await;
}

#[tokio::test]
async fn a_hundred_thousand_actions_are_too_many() {
    let many = Wat { pages: 64, ..actions(8192, 100_000) };
    ends_in(GuestErrorKind::Output, &many).await;
    let most = Wat { pages: 64, ..actions(8192, 16_000) };
    assert_eq!(outcome(&most).await.unwrap().len(), 16_000);
    let over = Wat { pages: 64, ..actions(8192, 16_400) };
    ends_in(GuestErrorKind::Output, &over).await;
}

#[tokio::test]
async fn a_huge_text_is_too_much() {
    let answer = |length: u32| {
        let store = format!(
            "(i32.store8 (i32.const 64) (i32.const 3)) (i32.store (i32.const 68) (i32.const 8192))
             (i32.store (i32.const 72) (i32.const {length})) (i32.store (i32.const 20) (i32.const 64))
             (i32.store (i32.const 24) (i32.const 1)) (i32.const 16)"
        );
        Wat { pages: 64, ..body(&store) }
    };
    ends_in(GuestErrorKind::Output, &answer(2 << 20)).await;
    assert_eq!(outcome(&answer(1 << 19)).await, Ok(vec![Action::Answer("\0".repeat(1 << 19))]));
}

#[tokio::test]
async fn lists_and_pointers_that_lie_are_breaches_of_contract() {
    for (address, count) in [(0xFFFF_FFF0_u32, 1), (4096, 0xFFFF_FFFF), (131_072, 1), (4097, 1)] {
        ends_in(GuestErrorKind::Contract, &actions(address, count)).await;
    }
    ends_in(GuestErrorKind::Contract, &body("(i32.const 0x7fffffff)")).await;
    ends_in(GuestErrorKind::Contract, &body("(i32.const 131070)")).await;
    ends_in(GuestErrorKind::Contract, &body("(i32.const 17)")).await;
    // An action of no known kind; a result that is neither ok nor err.
    let kind = "(i32.store8 (i32.const 64) (i32.const 99)) (i32.store (i32.const 20) (i32.const 64))
        (i32.store (i32.const 24) (i32.const 1)) (i32.const 16)";
    ends_in(GuestErrorKind::Contract, &body(kind)).await;
    ends_in(GuestErrorKind::Contract, &body("(i32.store8 (i32.const 16) (i32.const 9)) (i32.const 16)")).await;
}

#[tokio::test]
async fn text_that_is_not_utf8_is_a_breach_of_contract() {
    let text = "(i32.store8 (i32.const 64) (i32.const 3)) (i32.store (i32.const 68) (i32.const 100))
        (i32.store (i32.const 72) (i32.const 2)) (i32.store16 (i32.const 100) (i32.const 0xffc3))
        (i32.store (i32.const 20) (i32.const 64)) (i32.store (i32.const 24) (i32.const 1)) (i32.const 16)";
    ends_in(GuestErrorKind::Contract, &body(text)).await;
}

#[tokio::test]
async fn a_guest_may_say_that_it_failed() {
    let said = "(i32.store8 (i32.const 16) (i32.const 1)) (i32.store8 (i32.const 100) (i32.const 63))
        (i32.store (i32.const 20) (i32.const 100)) (i32.store (i32.const 24) (i32.const 1)) (i32.const 16)";
    let error = ends_in(GuestErrorKind::Guest, &body(said)).await;
    assert_eq!(error.message, "?");
}

#[tokio::test]
async fn nothing_is_left_for_the_next_request() {
    // It answers with how often it was asked, as one letter from `a` on.
    let counts = "(global $n (mut i32) (i32.const 96)) (func (export \"inspect\") (param i32) (result i32)
        (global.set $n (i32.add (global.get $n) (i32.const 1)))
        (i32.store8 (i32.const 200) (i32.add (i32.load8_u (i32.const 200)) (i32.const 1)))
        (i32.store8 (i32.const 100) (global.get $n)) (i32.store8 (i32.const 101) (i32.add (i32.const 48) (i32.load8_u (i32.const 200))))
        (i32.store8 (i32.const 64) (i32.const 3)) (i32.store (i32.const 68) (i32.const 100)) (i32.store (i32.const 72) (i32.const 2))
        (i32.store (i32.const 20) (i32.const 64)) (i32.store (i32.const 24) (i32.const 1)) (i32.const 16))";
    let sandbox = Wasm::new(4);
    let program = load(&sandbox, &wat(counts)).unwrap();
    for _ in 0..20 {
        let mut guest = start(&program).await.unwrap();
        for expected in ["a1", "b2", "c3"] {
            assert_eq!(ask(&mut guest, "hello").await, Ok(vec![Action::Answer(expected.to_owned())]));
        }
    }
}

#[tokio::test]
async fn what_is_no_component_is_not_loaded() {
    let sandbox = Wasm::new(1);
    for code in ["", "not wasm", "\0asm\u{1}\0\0\0", "(component)"] {
        let error = sandbox.load(code.as_bytes(), setup(&[], &Arc::default())).unwrap_err();
        assert_eq!(error.kind, GuestErrorKind::Load, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_instances_at_once_do_not_disturb_each_other() {
    let sandbox = Wasm::new(8);
    let good = load(&sandbox, &quiet()).unwrap();
    let bad = load(&sandbox, &body("unreachable")).unwrap();
    let mut tasks = Vec::new();
    for at in 0..200 {
        let program = Arc::clone(if at % 2 == 0 { &good } else { &bad });
        tasks.push(tokio::spawn(async move { ask(&mut start(&program).await.unwrap(), "hello").await.is_ok() == (at % 2 == 0) }));
        if at % 8 == 7 {
            for task in tasks.drain(..) {
                assert!(task.await.unwrap());
            }
        }
    }
}

#[tokio::test]
async fn the_ticking_thread_sleeps_and_wakes() {
    let sandbox = Wasm::new(1);
    let program = load(&sandbox, &body(FOREVER)).unwrap();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(ask(&mut start(&program).await.unwrap(), "hello").await.unwrap_err().kind, GuestErrorKind::Cpu);
    }
}

/// What waits for requests that never come must not take the place of what works.
#[tokio::test]
async fn idle_programs_leave_room_for_those_that_work() {
    let sandbox = Wasm::new(4);
    let programs: Vec<_> = (0..200).map(|_| load(&sandbox, &quiet()).unwrap()).collect();
    let mut guests = Vec::new();
    for program in programs.iter().take(90) {
        let mut guest = start(program).await.unwrap();
        assert_eq!(ask(&mut guest, "hello").await, Ok(Vec::new()));
        guests.push(guest);
    }
}

/// A task that has yet to run, to start another instance, keeps none of those that wait.
#[tokio::test]
async fn a_program_that_is_gone_leaves_nothing() {
    let sandbox = Wasm::new(4);
    for _ in 0..200 {
        let program = load(&sandbox, &quiet()).unwrap();
        assert_eq!(ask(&mut start(&program).await.unwrap(), "hello").await, Ok(Vec::new()));
    }
}
