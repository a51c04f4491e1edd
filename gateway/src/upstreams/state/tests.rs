//! Legs as they fare: what counts for them and against them, and whose state is remembered.

use super::*;

const RULES: BreakerFact = BreakerFact::DEFAULT;

/// Fails until it is left alone.
fn fail(state: &Arc<LegState>, now: Instant) {
    while let Ok(mut ticket) = state.ask(&RULES, now) {
        ticket.ended(Health::Bad, now);
    }
}

#[test]
fn callers_mistakes_say_nothing_of_a_leg() {
    let status = |status| health_of(&Fault::upstream("p", FaultKind::UpstreamStatus(status), "x"));
    for of_caller in [400, 402, 403, 404, 409, 413, 415, 422] {
        assert_eq!(status(of_caller), Health::Nothing, "{of_caller}");
    }
    for of_leg in [401, 407, 408, 500, 502, 503, 504, 529] {
        assert_eq!(status(of_leg), Health::Bad, "{of_leg}");
    }
    assert_eq!(status(429), Health::Busy(None));
    let after = Some(Duration::from_secs(3));
    let busy = Fault::upstream("p", FaultKind::UpstreamStatus(429), "x").retry(Retry::Here(after));
    assert_eq!(health_of(&busy), Health::Busy(after));
    // The embedded engine says it in its own word.
    for kind in [FaultKind::RateLimited, FaultKind::Overloaded] {
        assert_eq!(health_of(&Fault::gateway(kind, "full").retry(Retry::Here(after))), Health::Busy(after));
    }
    for kind in [FaultKind::UpstreamUnreachable, FaultKind::UpstreamTimeout, FaultKind::UpstreamCut, FaultKind::UpstreamInvalid] {
        assert_eq!(health_of(&Fault::upstream("p", kind, "x")), Health::Bad);
    }
    assert_eq!(health_of(&Fault::caller(FaultKind::InvalidRequest, "x")), Health::Nothing);
    assert_eq!(health_of(&Fault::gateway(FaultKind::Internal, "x")), Health::Nothing);
}

#[test]
fn a_ticket_that_is_dropped_says_nothing_and_frees_its_place() {
    let (state, now) = (Arc::<LegState>::default(), Instant::now());
    for _ in 0..100 {
        drop(state.ask(&RULES, now).unwrap());
    }
    assert_eq!((state.in_flight(), state.standing(&RULES, now)), (0, Standing::Closed));
    for _ in 0..RULES.least {
        state.ask(&RULES, now).unwrap().ended(Health::Bad, now);
    }
    assert_eq!((state.trips(), state.ask(&RULES, now).unwrap_err()), (1, RULES.rest));
    let probe = state.ask(&RULES, now + RULES.rest).unwrap();
    assert!(state.ask(&RULES, now + RULES.rest).is_err());
    drop(probe);
    assert!(state.ask(&RULES, now + RULES.rest).is_ok());
}

#[test]
fn a_stream_that_spoke_and_was_not_waited_for_says_that_the_leg_answers() {
    let (state, now) = (Arc::<LegState>::default(), Instant::now());
    for _ in 0..RULES.least {
        state.ask(&RULES, now).unwrap().ended(Health::Bad, now);
        (0..4).for_each(|_| state.ask(&RULES, now).unwrap().spoke(Duration::from_millis(1)));
    }
    assert_eq!(state.standing(&RULES, now), Standing::Closed);
}

#[test]
fn a_percentile_is_of_the_last_streams_and_needs_some() {
    let state = Arc::<LegState>::default();
    let ticket = state.ask(&RULES, Instant::now()).unwrap();
    for millis in 1..=19 {
        ticket.first_word(Duration::from_millis(millis));
    }
    assert_eq!(state.percentile(50), None);
    for millis in 1..=100 {
        ticket.first_word(Duration::from_millis(millis));
    }
    assert!(state.percentile(95).unwrap() <= Duration::from_millis(96));
    for _ in 0..FIRSTS {
        ticket.first_word(Duration::from_millis(7));
    }
    assert_eq!(state.percentile(99), Some(Duration::from_millis(7)));
}

#[test]
fn the_trips_of_a_leg_are_counted_on_where_it_leads_elsewhere() {
    let (states, now) = (LegStates::default(), Instant::now());
    let others = states.of("other", [9; 32]);
    for place in [[5; 32], [3; 32], [7; 32]] {
        let state = states.of("leg", place);
        (0..RULES.least).for_each(|_| state.ask(&RULES, now).unwrap().ended(Health::Bad, now));
    }
    assert_eq!((states.of("leg", [5; 32]).trips(), states.of("leg", [1; 32]).trips(), others.trips()), (3, 3, 0));
}

#[test]
fn one_that_was_let_go_took_at_least_so_long() {
    let state = Arc::<LegState>::default();
    state.spoke(Duration::from_millis(100));
    state.outwaited(Duration::from_millis(10), Instant::now());
    assert_eq!(state.latency_us(), 100_000, "that it takes longer than this was known");
    state.outwaited(Duration::from_millis(500), Instant::now());
    assert_eq!(state.latency_us(), 200_000);
    for _ in 0..FEWEST_FIRSTS {
        state.outwaited(Duration::from_millis(500), Instant::now());
    }
    assert_eq!(state.percentile(50), Some(Duration::from_millis(500)));
}

#[test]
fn silence_is_as_long_as_it_was_waited_and_no_longer_than_has_passed_and_a_word_ends_it() {
    let (state, start, second) = (Arc::<LegState>::default(), Instant::now(), Duration::from_secs(1));
    let let_go = |at: u64| state.outwaited(second, start + second * u32::try_from(at).unwrap());
    assert_eq!([let_go(1), let_go(1), let_go(1)], [second; 3], "three at once have waited for one second");
    assert_eq!([let_go(100), let_go(200)], [second * 4, second * 5], "hours in which nobody asked are no silence");
    state.ask(&RULES, start).unwrap().spoke(second);
    assert_eq!(let_go(300), second);
}

#[test]
fn a_leg_that_was_let_go_for_long_must_show_itself_once_and_a_word_clears_it() {
    let (state, now, second) = (Arc::<LegState>::default(), Instant::now(), Duration::from_secs(1));
    let limit = second * 3;
    let let_go = |at: u32| {
        state.outwaited(second, now + second * at);
    };
    (1..=2).for_each(let_go);
    assert!(!state.must_show(limit, now + second * 2));
    let_go(3);
    let shows = || state.must_show(limit, now + second * 3);
    assert_eq!([shows(), shows()], [true, false], "one waits, and the others count anew");
    state.was_silent();
    (4..=6).for_each(let_go);
    assert!(state.silences() == 1 && state.must_show(limit, now + second * 6));
    state.ask(&RULES, now).unwrap().spoke(second);
    assert_eq!(state.silences(), 0);
}

#[test]
fn streams_that_nobody_waited_for_do_not_shorten_how_long_a_leg_is_left_alone() {
    let (state, mut now) = (Arc::<LegState>::default(), Instant::now());
    for times in [1, 2, 4] {
        fail(&state, now);
        assert_eq!(state.ask(&RULES, now).unwrap_err(), RULES.rest * times);
        now += RULES.rest * times;
        (0..2).for_each(|_| state.ask(&RULES, now).unwrap().spoke(Duration::from_millis(1)));
    }
}

#[test]
fn what_fails_before_its_first_word_is_slow_and_what_its_caller_did_wrong_is_not() {
    let latency = |health| {
        let state = Arc::<LegState>::default();
        state.ask(&RULES, Instant::now()).unwrap().ended(health, Instant::now());
        state.latency_us()
    };
    assert_eq!([Health::Bad, Health::Busy(None)].map(latency), [micros(FAILURE); 2]);
    assert_eq!([Health::Good, Health::Nothing].map(latency), [0, 0]);
}

#[test]
fn names_that_nobody_uses_make_room() {
    let states = LegStates::default();
    let kept = states.of("kept", [0; 32]);
    for n in 0..MOST * 2 {
        drop(states.of(&format!("p/{n}"), [0; 32]));
    }
    assert!(Arc::ptr_eq(&kept, &states.of("kept", [0; 32])));
    assert!(!Arc::ptr_eq(&kept, &states.of("kept", [1; 32])));
    assert!(states.0.lock().unwrap().len() <= MOST);
}

#[test]
fn names_that_clients_make_up_do_not_have_a_leg_in_trouble_asked_again() {
    let (states, now) = (LegStates::default(), Instant::now());
    fail(&states.of("shut", [0; 32]), now);
    let fill = || (0..MOST * 2).for_each(|n| drop(states.of(&format!("p/{n}"), [0; 32])));
    fill();
    assert!(matches!(states.of("shut", [0; 32]).standing(&RULES, now), Standing::Open(_)));
    // Where all are in trouble, room is made all the same.
    for n in 0..MOST {
        fail(&states.of(&format!("q/{n}"), [0; 32]), now);
    }
    fill();
    assert!(states.0.lock().unwrap().len() <= MOST);
}
