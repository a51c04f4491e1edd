//! Legs that are left alone, asked again as far as a budget goes, helped out by another, or left when they do not say a word.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::config::facts::{BreakerFact, HedgeFact, RetryFact};
use crate::upstreams::breaker::Standing;

/// An upstream that says some and then never anything again, until it is let go.
struct Stuck {
    says: Vec<Chunk>,
    alive: Arc<AtomicUsize>,
    asked: AtomicUsize,
}

struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Upstream for Stuck {
    fn name(&self) -> &str {
        "stuck"
    }

    fn answer(&self, _: Arc<ChatRequest>, _: Deadline) -> Deltas {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.alive.fetch_add(1, Ordering::SeqCst);
        let alive = Alive(Arc::clone(&self.alive));
        let said = stream::iter(self.says.clone().into_iter().map(Ok));
        Box::pin(said.chain(stream::once(async move {
            std::future::pending::<()>().await;
            drop(alive);
            says("never")
        })))
    }
}

fn stuck(name: &str, says: Vec<Chunk>) -> (Leg, Arc<Stuck>) {
    let stuck = Arc::new(Stuck { says, alive: Arc::default(), asked: AtomicUsize::default() });
    (leg_of(name, 3, Arc::clone(&stuck) as _), stuck)
}

const BREAKER: BreakerFact = BreakerFact { least: 4, ..BreakerFact::DEFAULT };

fn breaker() -> CareFact {
    CareFact { breaker: BREAKER, ..CareFact::default() }
}

/// Asks another leg at once.
fn hedge() -> CareFact {
    CareFact { hedge: Some(HedgeFact { after: Some(Duration::from_millis(1)), percentile: None }), ..CareFact::default() }
}

fn down() -> Call {
    vec![fails(FaultKind::UpstreamStatus(503), Retry::Elsewhere)]
}

#[tokio::test]
async fn a_leg_that_fails_too_often_is_passed_over_and_where_all_are_the_answer_says_when_to_come_again() {
    let (one, first) = leg("a", 1, (0..4).map(|_| down()).collect());
    let (two, _) = leg("b", 1, (0..5).map(|_| vec![says("x")]).collect());
    let legs = [one, two];
    for _ in 0..4 {
        assert_eq!(with_care(&legs, breaker()).await.0.unwrap().leg, "p/b");
    }
    let (dispatched, tries) = with_care(&legs, breaker()).await;
    let expected = [("p/a", AttemptOutcome::Skipped), ("p/b", AttemptOutcome::Spoke)];
    assert_eq!((dispatched.unwrap().leg.as_str(), tries), ("p/b", ended(&expected)));
    assert_eq!(first.asked.lock().unwrap().len(), 4);
    let (fault, tries) = with_care(&legs[..1], breaker()).await;
    let fault = fault.err().unwrap();
    assert_eq!((fault.status(), tries), (503, ended(&[("p/a", AttemptOutcome::Skipped)])));
    assert!(matches!(fault.retry, Retry::Here(Some(rest)) if rest <= BREAKER.rest && !rest.is_zero()), "{:?}", fault.retry);
}

#[tokio::test]
async fn what_a_caller_did_wrong_and_a_caller_who_left_open_nothing() {
    let bad = || vec![fails(FaultKind::UpstreamStatus(400), Retry::Never)];
    let (one, _) = leg("a", 1, (0..20).map(|_| bad()).collect());
    let state = Arc::clone(&one.merits.state);
    for _ in 0..20 {
        assert!(with_care(std::slice::from_ref(&one), breaker()).await.0.is_err());
    }
    assert_eq!(state.standing(&BREAKER, Instant::now()), Standing::Closed);
    // Callers who left before the first word, and after it.
    for said in [vec![], vec![says("x").unwrap()]] {
        let (two, stuck) = stuck("b", said);
        for _ in 0..20 {
            let waiting = with_care(std::slice::from_ref(&two), breaker());
            drop(tokio::time::timeout(Duration::from_millis(1), waiting).await);
        }
        assert_eq!(two.merits.state.standing(&BREAKER, Instant::now()), Standing::Closed);
        assert_eq!((stuck.alive.load(Ordering::SeqCst), two.merits.state.in_flight()), (0, 0));
    }
}

#[tokio::test]
async fn streams_that_break_off_after_the_first_word_open_it() {
    let cut = || vec![says("x"), fails(FaultKind::UpstreamCut, Retry::Elsewhere)];
    let (one, _) = leg("a", 1, (0..4).map(|_| cut()).collect());
    for _ in 0..4 {
        said(with_care(std::slice::from_ref(&one), breaker()).await.0.unwrap().deltas).await;
    }
    assert!(matches!(one.merits.state.standing(&BREAKER, Instant::now()), Standing::Open(_)));
}

#[tokio::test]
async fn a_leg_is_asked_again_only_as_far_as_its_budget_goes() {
    let (one, asked) = leg("a", 3, (0..6).map(|_| vec![busy(Some(Duration::ZERO))]).collect());
    let (two, _) = leg("b", 1, vec![vec![says("x")], vec![says("x")]]);
    let care = CareFact { retries: RetryFact { percent: 100, least: 0 }, ..CareFact::default() };
    let (_, tries) = with_care(&[one.clone(), two.clone()], care).await;
    let expected = [("p/a", AttemptOutcome::Retried), ("p/a", AttemptOutcome::Withheld), ("p/b", AttemptOutcome::Spoke)];
    assert_eq!(tries, ended(&expected), "one request allows one more");
    let (_, tries) = with_care(&[one, two], CareFact { retries: RetryFact { percent: 0, least: 0 }, ..care }).await;
    assert_eq!(tries, ended(&[("p/a", AttemptOutcome::Withheld), ("p/b", AttemptOutcome::Spoke)]));
    assert_eq!(asked.asked.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_second_leg_is_asked_beside_a_slow_one_and_the_slow_one_is_let_go() {
    let (one, slow) = stuck("a", vec![start().unwrap()]);
    let (two, fast) = leg("b", 1, vec![vec![start(), says("x")]]);
    let (three, third) = leg("c", 1, vec![]);
    let (dispatched, tries) = with_care(&[one, two, three], hedge()).await;
    let dispatched = dispatched.unwrap();
    assert_eq!((dispatched.leg.as_str(), tries), ("p/b", ended(&[("p/a", AttemptOutcome::Lost), ("p/b", AttemptOutcome::Spoke)])));
    assert_eq!((slow.alive.load(Ordering::SeqCst), slow.asked.load(Ordering::SeqCst)), (0, 1));
    assert_eq!(said(dispatched.deltas).await.len(), 2, "the answer is of one alone");
    assert_eq!((fast.asked.lock().unwrap().len(), third.asked.lock().unwrap().len()), (1, 0));
}

#[tokio::test]
async fn a_second_leg_that_fails_leaves_the_first_its_time() {
    let (one, _) = stuck("a", vec![]);
    let (two, _) = leg("b", 1, vec![down()]);
    let told = Told::default();
    let legs = [one, two];
    let waiting = dispatch(asking(&legs, hedge()), &told);
    assert!(tokio::time::timeout(Duration::from_millis(200), waiting).await.is_err(), "it waits for the first");
    assert_eq!(*told.ended.lock().unwrap(), ended(&[("p/b", AttemptOutcome::Failed)]));
    assert_eq!(*told.asked.lock().unwrap(), 2, "a second one is asked once");
}

#[tokio::test]
async fn a_leg_alone_is_asked_a_second_time_and_a_whole_answer_never_is() {
    let (one, slow) = stuck("a", vec![]);
    let told = Told::default();
    let legs = [one];
    drop(tokio::time::timeout(Duration::from_millis(100), dispatch(asking(&legs, hedge()), &told)).await);
    assert_eq!(slow.asked.load(Ordering::SeqCst), 2);
    let whole = ChatRequest { stream: false, ..(*asks()).clone() };
    let asking_whole = Asking { request: Arc::new(whole), ..asking(&legs, hedge()) };
    drop(tokio::time::timeout(Duration::from_millis(100), dispatch(asking_whole, &told)).await);
    assert_eq!(slow.asked.load(Ordering::SeqCst), 3);
    // Nor beyond the budget, nor while too little is known of how long it takes.
    let none = CareFact { retries: RetryFact { percent: 0, least: 0 }, ..hedge() };
    let unknown = CareFact { hedge: Some(HedgeFact { after: None, percentile: Some(95) }), ..CareFact::default() };
    for care in [none, unknown] {
        drop(tokio::time::timeout(Duration::from_millis(50), dispatch(asking(&legs, care), &told)).await);
    }
    assert_eq!((slow.asked.load(Ordering::SeqCst), slow.alive.load(Ordering::SeqCst)), (5, 0));
}

#[tokio::test]
async fn a_percentile_of_its_own_streams_says_how_long_a_leg_is_waited_for() {
    let (one, _) = stuck("a", vec![]);
    let ticket = one.merits.state.ask(&BREAKER, Instant::now()).unwrap();
    (0..20).for_each(|_| ticket.first_word(Duration::from_millis(2)));
    drop(ticket);
    let (two, _) = leg("b", 1, vec![vec![says("x")]]);
    let care = CareFact { hedge: Some(HedgeFact { after: None, percentile: Some(95) }), ..CareFact::default() };
    assert_eq!(with_care(&[one, two], care).await.0.unwrap().leg, "p/b");
}

#[tokio::test]
async fn a_stream_without_a_word_in_its_time_is_left_for_the_next_leg() {
    let (one, slow) = stuck("a", vec![start().unwrap()]);
    let (two, _) = leg("b", 1, vec![vec![says("x")]]);
    let care = CareFact { first_token: Some(Duration::from_millis(5)), ..CareFact::default() };
    let (dispatched, tries) = with_care(&[one.clone(), two], care).await;
    let expected = [("p/a", AttemptOutcome::Failed), ("p/b", AttemptOutcome::Spoke)];
    assert_eq!((dispatched.unwrap().leg.as_str(), tries), ("p/b", ended(&expected)));
    assert_eq!(slow.alive.load(Ordering::SeqCst), 0);
    // Its provider's own limit counts where it is less, and a leg alone is no exception.
    let timeouts = Some(Timeouts { first_token: Some(Duration::from_millis(5)), ..Timeouts::default() });
    let one = Leg { timeouts, ..one };
    let fault = with_care(&[one], CareFact { first_token: Some(Duration::from_secs(60)), ..care }).await.0.err().unwrap();
    assert_eq!((fault.status(), fault.kind), (504, FaultKind::UpstreamTimeout));
}

#[tokio::test]
async fn a_second_leg_that_the_caller_is_to_blame_for_is_not_slow_and_what_it_said_is_told() {
    let (one, _) = stuck("a", vec![]);
    let wrong = Fault::caller(FaultKind::InvalidRequest, "no such part").retry(Retry::Elsewhere);
    let (two, _) = leg("b", 1, vec![vec![Err(wrong)]]);
    let state = Arc::clone(&two.merits.state);
    let care = CareFact { first_token: Some(Duration::from_millis(50)), ..hedge() };
    let fault = with_care(&[one, two], care).await.0.err().unwrap();
    assert_eq!((fault.kind, state.latency_us()), (FaultKind::InvalidRequest, 0));
}

#[tokio::test]
async fn the_loser_of_a_hedge_is_known_to_be_slow() {
    let (one, _) = stuck("a", vec![]);
    let (two, _) = leg("b", 1, vec![vec![says("x")]]);
    let state = Arc::clone(&one.merits.state);
    assert!(with_care(&[one, two], hedge()).await.0.is_ok());
    assert!(state.latency_us() >= 1000, "{}", state.latency_us());
}

/// An upstream that says nothing until the time is up, and then that it is.
struct Mute;

impl Upstream for Mute {
    fn name(&self) -> &str {
        "mute"
    }

    fn answer(&self, _: Arc<ChatRequest>, deadline: Deadline) -> Deltas {
        Box::pin(stream::once(async move {
            tokio::time::sleep_until(deadline.0.into()).await;
            fails(FaultKind::UpstreamTimeout, Retry::Elsewhere)
        }))
    }
}

#[tokio::test]
async fn a_leg_that_had_its_time_and_said_nothing_is_left_alone_and_one_that_came_late_is_not() {
    for (whole, stands) in [(20, false), (60_000, true)] {
        let one = leg_of("a", 1, Arc::new(Mute));
        for _ in 0..4 {
            let deadline = Deadline(Instant::now() + Duration::from_millis(20));
            let asking = Asking { deadline, whole: Duration::from_millis(whole), ..asking(std::slice::from_ref(&one), breaker()) };
            assert!(dispatch(asking, &Told::default()).await.is_err());
        }
        assert_eq!(one.merits.state.standing(&BREAKER, Instant::now()) == Standing::Closed, stands, "{whole}");
    }
}
