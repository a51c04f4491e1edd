//! Slow legs that keep their limit beside those that never say a word, and whose turn it is among legs that wait.

use super::*;

/// A limit that nobody reaches here.
const LONG: Duration = Duration::from_secs(30);

fn within(limit: Duration) -> CareFact {
    CareFact { first_token: Some(limit), breaker: BREAKER, ..hedge() }
}

/// A leg that begins after a while, time and again, and one that always does at once.
fn slow_and_fast() -> [Leg; 2] {
    let slow = moody("a", 3, (0..60).map(|_| (SLOW, says("x"))).collect()).0;
    [slow, leg("b", 1, (0..60).map(|_| vec![says("y")]).collect()).0]
}

#[tokio::test]
async fn a_leg_that_is_slow_within_its_limit_stays_though_another_always_speaks_in_its_place() {
    let legs = slow_and_fast();
    let state = &legs[0].merits.state;
    for _ in 0..6 {
        // Others let it go before, for nearly as long as it may take.
        state.outwaited(LONG - Duration::from_millis(1), Instant::now());
        assert_eq!(with_care(&legs, within(LONG)).await.0.unwrap().leg, "p/b");
        let (dispatched, tries) = with_care(&legs, within(LONG)).await;
        assert_eq!((dispatched.unwrap().leg.as_str(), tries), ("p/a", ended(&[("p/a", AttemptOutcome::Spoke)])), "it shows itself");
        assert_eq!(state.standing(&BREAKER, Instant::now()), Standing::Closed);
    }
}

#[tokio::test]
async fn a_probe_is_waited_for_alone_where_its_leg_has_a_limit() {
    let legs = slow_and_fast();
    let state = &legs[0].merits.state;
    let rules = BreakerFact { rest: Duration::from_millis(1), ..BREAKER };
    (0..BREAKER.least).for_each(|_| state.ask(&rules, Instant::now()).unwrap().ended(Health::Bad, Instant::now()));
    tokio::time::sleep(Duration::from_millis(5)).await;
    let care = CareFact { breaker: rules, ..within(LONG) };
    assert_eq!(with_care(&legs, care).await.0.unwrap().leg, "p/a");
    assert_eq!(state.standing(&rules, Instant::now()), Standing::Closed);
}

#[tokio::test]
async fn a_short_wait_is_not_behind_a_long_one() {
    let (one, _) = leg("a", 2, vec![vec![busy(Some(Duration::from_millis(300)))], vec![says("x")]]);
    let (two, other) = leg("b", 2, vec![vec![busy(Some(Duration::from_secs(9)))], vec![says("y")]]);
    let (dispatched, tries) = tried(&[one, two]).await;
    let expected = [("p/a", AttemptOutcome::Failed), ("p/b", AttemptOutcome::Failed), ("p/a", AttemptOutcome::Spoke)];
    assert_eq!((dispatched.unwrap().leg.as_str(), tries), ("p/a", ended(&expected)));
    assert_eq!(other.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_leg_that_waits_for_its_turn_and_has_no_budget_left_is_told_of() {
    let (one, asked) = leg("a", 2, vec![vec![busy(Some(Duration::from_millis(1)))], vec![says("x")]]);
    let (two, _) = leg("b", 1, vec![down()]);
    let care = CareFact { retries: RetryFact { percent: 0, least: 0 }, ..CareFact::default() };
    let (dispatched, tries) = with_care(&[one, two], care).await;
    let expected = [("p/a", AttemptOutcome::Failed), ("p/b", AttemptOutcome::Failed), ("p/a", AttemptOutcome::Skipped)];
    assert_eq!((dispatched.is_err(), tries), (true, ended(&expected)));
    assert_eq!(asked.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_leg_whose_failure_had_it_left_alone_is_neither_waited_for_nor_paid_for() {
    let (one, _) = leg("a", 3, vec![vec![fails(FaultKind::UpstreamStatus(503), Retry::Here(None))]]);
    let state = Arc::clone(&one.merits.state);
    let retries = RetryFact { percent: 100, least: 0 };
    let care = CareFact { breaker: BreakerFact { least: 1, ..BREAKER }, retries, ..CareFact::default() };
    let (_, tries) = with_care(&[one], care).await;
    assert_eq!(tries, ended(&[("p/a", AttemptOutcome::Failed)]));
    assert!(state.may_again(&retries, Instant::now()), "the one more that one request allows is left");
}
