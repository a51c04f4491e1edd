//! Legs that are left alone, asked again as far as a budget goes, helped out by another, or left when they do not say a word.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::config::facts::{BreakerFact, HedgeFact, RetryFact};
use crate::upstreams::breaker::Standing;

mod turns;

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
    assert_eq!((state.standing(&BREAKER, Instant::now()), state.latency_us()), (Standing::Closed, 0), "it is no slower either");
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
    let (one, asked) = leg("a", 3, (0..6).map(|_| vec![fails(FaultKind::UpstreamStatus(503), Retry::Here(None))]).collect());
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

/// An upstream whose calls each take a while, and come to a word or a fault.
struct Moody {
    calls: Mutex<std::collections::VecDeque<(u64, Result<Chunk, Fault>)>>,
    asked: Mutex<Vec<Instant>>,
}

impl Upstream for Moody {
    fn name(&self) -> &str {
        "moody"
    }

    fn answer(&self, _: Arc<ChatRequest>, _: Deadline) -> Deltas {
        self.asked.lock().unwrap().push(Instant::now());
        let (millis, item) = self.calls.lock().unwrap().pop_front().unwrap_or((0, fails(FaultKind::UpstreamCut, Retry::Elsewhere)));
        Box::pin(stream::once(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            item
        }))
    }
}

fn moody(name: &str, attempts: u32, calls: Vec<(u64, Result<Chunk, Fault>)>) -> (Leg, Arc<Moody>) {
    let moody = Arc::new(Moody { calls: Mutex::new(calls.into()), asked: Mutex::default() });
    (leg_of(name, attempts, Arc::clone(&moody) as _), moody)
}

/// Waits for one that takes so long, if at all, that another is asked beside it for sure.
const SLOW: u64 = 150;

#[tokio::test]
async fn a_second_leg_that_failed_is_asked_again_only_as_its_fault_and_its_budget_allow() {
    let down = || (SLOW, fails(FaultKind::UpstreamStatus(500), Retry::Elsewhere));
    let after = Duration::from_millis(600);
    let none = CareFact { retries: RetryFact { percent: 50, least: 0 }, ..hedge() };
    for (retry, care, tries) in [
        (Retry::Here(Some(after)), hedge(), 2),
        // The second try itself is the one more that two requests allow.
        (Retry::Here(Some(after)), none, 1),
        (Retry::Elsewhere, hedge(), 1),
    ] {
        let (one, _) = moody("a", 1, vec![down()]);
        let (two, second) = moody("b", 3, vec![(0, fails(FaultKind::UpstreamStatus(429), retry)), (0, says("x"))]);
        if care.retries.least == 0 {
            (0..2).for_each(|_| one.merits.state.asked(Instant::now()));
        }
        let spoke = with_care(&[one, two], care).await.0.is_ok();
        let asked = second.asked.lock().unwrap().clone();
        assert_eq!((spoke, asked.len()), (tries == 2, tries), "{retry:?}");
        assert!(tries == 1 || asked[1] - asked[0] >= after, "{asked:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_everywhere_is_said_at_once_whichever_of_two_tries_it_comes_from() {
    let never = || fails(FaultKind::UpstreamStatus(400), Retry::Never);
    for first in [true, false] {
        let (slow, hung) = stuck("s", vec![]);
        let (fast, _) = moody("f", 3, vec![(if first { 100 } else { 0 }, never())]);
        let legs = if first { [fast, slow] } else { [slow, fast] };
        let (fault, tries) = with_care(&legs, hedge()).await;
        assert_eq!(fault.err().unwrap().kind, FaultKind::UpstreamStatus(400));
        assert_eq!(tries, ended(&[("p/f", AttemptOutcome::Failed), ("p/s", AttemptOutcome::Lost)]));
        assert_eq!(hung.alive.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn a_second_try_that_nobody_can_make_takes_nothing_out_of_the_budget() {
    let (one, slow) = stuck("a", vec![]);
    let one = Leg { attempts: 1, ..one };
    let care = CareFact { retries: RetryFact { percent: 0, least: 1 }, ..hedge() };
    for _ in 0..12 {
        drop(tokio::time::timeout(Duration::from_millis(10), with_care(std::slice::from_ref(&one), care)).await);
    }
    assert_eq!(slow.asked.load(Ordering::SeqCst), 12, "none beside it: its attempts are spent");
    assert!(one.merits.state.may_again(&care.retries, Instant::now()));
}

#[tokio::test]
async fn a_leg_that_never_says_a_word_is_left_alone_though_others_speak_in_its_place() {
    let first_token = Some(Duration::from_millis(30));
    let by_percentile =
        CareFact { hedge: Some(HedgeFact { after: Some(Duration::from_millis(3)), percentile: None }), ..breaker() };
    for care in [CareFact { first_token, ..by_percentile }, by_percentile] {
        let (one, hole) = stuck("a", vec![]);
        let (two, _) = leg("b", 1, (0..100).map(|_| vec![says("x")]).collect());
        let legs = [one.clone(), two];
        for _ in 0..60 {
            assert!(with_care(&legs, care).await.0.is_ok());
        }
        assert!(matches!(one.merits.state.standing(&BREAKER, Instant::now()), Standing::Open(_)));
        assert!(hole.asked.load(Ordering::SeqCst) < 60);
    }
}

#[tokio::test]
async fn whatever_happens_no_leg_is_asked_more_often_than_it_allows() {
    let mut seed = 7_u64;
    let mut draw = |most: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % most
    };
    let call = |draw: &mut dyn FnMut(u64) -> u64| {
        let item = match draw(6) {
            0 => says("x"),
            1 => fails(FaultKind::UpstreamStatus(400), Retry::Never),
            2 => fails(FaultKind::UpstreamStatus(503), Retry::Here(None)),
            3 => busy(Some(Duration::from_millis(5))),
            4 => busy(None),
            _ => fails(FaultKind::UpstreamCut, Retry::Elsewhere),
        };
        (if draw(2) == 0 { 0 } else { 20 }, item)
    };
    let mut cases = Vec::new();
    for _ in 0..400 {
        let legs: Vec<_> =
            (0..1 + draw(3)).map(|n| moody(&n.to_string(), draw(4) as u32, (0..5).map(|_| call(&mut draw)).collect())).collect();
        let care = if draw(4) == 0 { CareFact::default() } else { hedge() };
        cases.push(async move {
            let list: Vec<Leg> = legs.iter().map(|(leg, _)| leg.clone()).collect();
            let (dispatched, tries) = with_care(&list, care).await;
            let made = tries.iter().filter(|(_, outcome)| *outcome != AttemptOutcome::Skipped).count();
            let asked: Vec<usize> = legs.iter().map(|(_, moody)| moody.asked.lock().unwrap().len()).collect();
            let over = legs.iter().zip(&asked).find(|((leg, _), asked)| **asked > leg.attempts.max(1) as usize);
            assert!(over.is_none() && made == asked.iter().sum::<usize>(), "{asked:?}: {tries:?}");
            let spoke = tries.iter().filter(|(_, outcome)| *outcome == AttemptOutcome::Spoke).count();
            assert_eq!(spoke, usize::from(dispatched.is_ok()));
            drop(dispatched);
            assert!(legs.iter().all(|(leg, _)| leg.merits.state.in_flight() == 0));
        });
    }
    futures_util::future::join_all(cases).await;
}
