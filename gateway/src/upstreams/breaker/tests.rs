//! Breakers by example, and by any sequence of tries.

use proptest::prelude::*;

use super::*;

const RULES: BreakerFact = BreakerFact {
    enabled: true,
    percent: 50,
    least: 4,
    window: Duration::from_secs(10),
    rest: Duration::from_secs(5),
    longest_rest: Duration::from_secs(60),
    probes: 1,
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Asks and ends so many times.
fn tries(breaker: &mut Breaker, (count, health): (usize, Health), now: Instant) {
    for _ in 0..count {
        if let Ok(permit) = breaker.ask(&RULES, now) {
            breaker.ended(permit, health, (&RULES, now));
        }
    }
}

#[test]
fn it_opens_for_half_of_enough_and_a_probe_closes_it() {
    let (mut breaker, now) = (Breaker::default(), Instant::now());
    tries(&mut breaker, (3, Health::Bad), now);
    assert_eq!(breaker.standing(&RULES, now), Standing::Closed, "three are too few to judge by");
    tries(&mut breaker, (1, Health::Bad), now);
    assert_eq!(breaker.ask(&RULES, now), Err(seconds(5)));
    let later = now + seconds(5);
    let probe = breaker.ask(&RULES, later).unwrap();
    assert_eq!((breaker.ask(&RULES, later), breaker.standing(&RULES, later)), (Err(PROBED), Standing::HalfOpen));
    assert!(!breaker.ended(probe, Health::Good, (&RULES, later)));
    assert_eq!(breaker.standing(&RULES, later), Standing::Closed);
}

#[test]
fn a_probe_that_fails_opens_it_for_twice_as_long_up_to_a_bound_and_one_that_nobody_waited_for_says_nothing() {
    let (mut breaker, mut now) = (Breaker::default(), Instant::now());
    tries(&mut breaker, (4, Health::Bad), now);
    for rest in [5, 10, 20, 40, 60, 60] {
        assert_eq!(breaker.ask(&RULES, now), Err(seconds(rest)));
        now += seconds(rest);
        let gone = breaker.ask(&RULES, now).unwrap();
        breaker.ended(gone, Health::Nothing, (&RULES, now));
        let probe = breaker.ask(&RULES, now).expect("the place of the first is free again");
        assert!(breaker.ended(probe, Health::Bad, (&RULES, now)));
    }
}

#[test]
fn a_probe_that_speaks_closes_it_before_its_answer_is_over_and_what_follows_counts() {
    let (mut breaker, now) = (Breaker::default(), Instant::now());
    tries(&mut breaker, (4, Health::Bad), now);
    let later = now + seconds(5);
    let mut probe = breaker.ask(&RULES, later).unwrap();
    breaker.spoke(&mut probe);
    assert_eq!(breaker.standing(&RULES, later), Standing::Closed);
    tries(&mut breaker, (3, Health::Bad), later);
    assert!(breaker.ended(probe, Health::Bad, (&RULES, later)), "its stream was cut: the fourth failure");
}

#[test]
fn a_leg_whose_answers_are_cut_after_their_first_word_is_left_alone_longer_each_time() {
    let (mut breaker, mut now) = (Breaker::default(), Instant::now());
    for rest in [5, 10, 20] {
        tries(&mut breaker, (4, Health::Bad), now);
        assert_eq!(breaker.ask(&RULES, now), Err(seconds(rest)));
        now += seconds(rest);
        let mut probe = breaker.ask(&RULES, now).unwrap();
        breaker.spoke(&mut probe);
        breaker.ended(probe, Health::Bad, (&RULES, now));
    }
    // So do those that nobody waited for; one that goes well to its end makes it as new.
    tries(&mut breaker, (4, Health::Began), now);
    tries(&mut breaker, (4, Health::Bad), now);
    assert_eq!(breaker.ask(&RULES, now), Err(seconds(40)));
    now += seconds(40);
    let probe = breaker.ask(&RULES, now).unwrap();
    breaker.ended(probe, Health::Began, (&RULES, now));
    tries(&mut breaker, (20, Health::Good), now);
    tries(&mut breaker, (20, Health::Bad), now);
    assert_eq!(breaker.ask(&RULES, now), Err(seconds(5)));
}

#[test]
fn too_much_to_do_is_a_rule_of_its_own_and_lasts_as_long_as_the_leg_says() {
    let (mut breaker, now) = (Breaker::default(), Instant::now());
    tries(&mut breaker, (3, Health::Good), now);
    tries(&mut breaker, (2, Health::Busy(None)), now);
    tries(&mut breaker, (2, Health::Bad), now);
    assert_eq!(breaker.standing(&RULES, now), Standing::Closed, "neither is half of all, and they do not add up");
    let mut breaker = Breaker::default();
    tries(&mut breaker, (4, Health::Busy(Some(seconds(7)))), now);
    assert_eq!(breaker.ask(&RULES, now), Err(seconds(7)));
    let later = now + seconds(7);
    assert_eq!(breaker.standing(&RULES, later), Standing::Closed);
    let all: Vec<Permit> = (0..50).map(|_| breaker.ask(&RULES, later).expect("it answers: nothing is to be found out")).collect();
    let busy = |permit: Permit| breaker.ended(permit, Health::Busy(Some(seconds(3600))), (&RULES, later));
    assert_eq!(all.into_iter().map(busy).filter(|shut| *shut).count(), 1);
    assert_eq!(breaker.ask(&RULES, later), Err(RULES.longest_rest));
}

#[test]
fn what_began_before_it_opened_says_nothing_afterwards() {
    let (mut breaker, now) = (Breaker::default(), Instant::now());
    let old = breaker.ask(&RULES, now).unwrap();
    tries(&mut breaker, (4, Health::Bad), now);
    let later = now + seconds(5);
    let probe = breaker.ask(&RULES, later).unwrap();
    assert!(!breaker.ended(old, Health::Bad, (&RULES, later)));
    assert!(!breaker.ended(old, Health::Good, (&RULES, later)));
    assert_eq!(breaker.ask(&RULES, later), Err(PROBED), "the probe is still under way");
    breaker.ended(probe, Health::Good, (&RULES, later));
}

#[test]
fn one_that_is_switched_off_never_opens() {
    let (mut breaker, now) = (Breaker::default(), Instant::now());
    let rules = BreakerFact { enabled: false, ..RULES };
    for _ in 0..100 {
        let permit = breaker.ask(&rules, now).unwrap();
        assert!(!breaker.ended(permit, Health::Bad, (&rules, now)));
    }
}

/// What happens next: some time passes, and then a call begins, or one of those under way ends.
fn steps() -> impl Strategy<Value = Vec<(u64, Option<(usize, u8)>)>> {
    prop::collection::vec((0u64..3_000, prop::option::of((0usize..8, 0u8..6))), 1..200)
}

fn health(word: u8) -> Health {
    match word {
        0 => Health::Good,
        1 => Health::Busy(Some(Duration::from_secs(2))),
        2 => Health::Nothing,
        3 => Health::Began,
        _ => Health::Bad,
    }
}

proptest! {
    #[test]
    fn probes_are_bounded_and_an_open_one_is_never_asked_before_its_time(steps in steps(), probes in 1u32..4) {
        let rules = BreakerFact { probes, ..RULES };
        let (mut breaker, mut now) = (Breaker::default(), Instant::now());
        let mut under_way: Vec<Permit> = Vec::new();
        let mut shut: Option<Instant> = None;
        for (millis, end) in steps {
            now += Duration::from_millis(millis);
            match end {
                None => match breaker.ask(&rules, now) {
                    Ok(permit) => {
                        prop_assert!(shut.is_none_or(|until| now >= until), "asked while it was open");
                        under_way.push(permit);
                    }
                    Err(wait) => prop_assert!(wait > Duration::ZERO && wait <= rules.longest_rest),
                },
                Some((at, word)) if !under_way.is_empty() => {
                    let permit = under_way.remove(at % under_way.len());
                    if breaker.ended(permit, health(word), (&rules, now)) {
                        prop_assert!(matches!(health(word), Health::Bad | Health::Busy(_)));
                        let Standing::Open(left) = breaker.standing(&rules, now) else { panic!("it opened") };
                        shut = Some(now + left);
                    }
                }
                Some(_) => {}
            }
            let probing = under_way.iter().filter(|permit| permit.probe && permit.era == breaker.era).count();
            prop_assert!(probing <= probes as usize, "{probing} probes");
        }
        // Whatever happened, it does not stay shut for good.
        for permit in under_way {
            breaker.ended(permit, Health::Nothing, (&rules, now));
        }
        prop_assert!(breaker.ask(&rules, now + rules.longest_rest).is_ok());
    }

    #[test]
    fn what_callers_do_wrong_never_opens_it_and_neither_do_few_failures_among_many_tries(
        words in prop::collection::vec(0u8..8, 0..400),
    ) {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for word in words {
            // Of eight tries one fails at most, after those that went well.
            tries(&mut breaker, (7, Health::Good), now);
            tries(&mut breaker, (1, if word == 0 { Health::Bad } else { Health::Nothing }), now);
            prop_assert_eq!(breaker.standing(&RULES, now), Standing::Closed);
        }
    }
}
