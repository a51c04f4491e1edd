//! Legs that speak, fail, recover and lie.

use std::sync::Mutex;

use futures_util::{StreamExt, stream};
use gatewright_types::{Chunk, Delta, Extras, Message, Role, Usage};

use super::attempt::speaks;
use super::*;

mod care;

/// What one call of a leg comes to.
type Call = Vec<Result<Chunk, Fault>>;

/// An upstream that answers its calls one after the other from a list.
struct Scripted {
    calls: Mutex<std::collections::VecDeque<Call>>,
    asked: Mutex<Vec<String>>,
}

impl Upstream for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn answer(&self, request: Arc<ChatRequest>, _: Deadline) -> Deltas {
        self.asked.lock().unwrap().push(request.model.clone());
        Box::pin(stream::iter(self.calls.lock().unwrap().pop_front().unwrap_or_default()))
    }
}

fn leg(name: &str, attempts: u32, calls: Vec<Call>) -> (Leg, Arc<Scripted>) {
    let scripted = Arc::new(Scripted { calls: Mutex::new(calls.into()), asked: Mutex::default() });
    let upstream: Arc<dyn Upstream> = Arc::clone(&scripted) as _;
    (leg_of(name, attempts, upstream), scripted)
}

fn leg_of(name: &str, attempts: u32, upstream: Arc<dyn Upstream>) -> Leg {
    let (name, model, merits) = (format!("p/{name}"), name.to_owned(), Merits::default());
    Leg { name, upstream, model, attempts, timeouts: None, merits, place: [0; 32], when: None }
}

fn asks() -> Arc<ChatRequest> {
    let messages = vec![Message::text(Role::User, "hi")];
    Arc::new(ChatRequest { model: "route".into(), stream: true, messages, ..ChatRequest::default() })
}

fn soon() -> Deadline {
    Deadline(Instant::now() + Duration::from_secs(60))
}

fn start() -> Result<Chunk, Fault> {
    Ok(Chunk::of(vec![Delta::Start { id: "i".into(), model: "m".into(), created: 1 }]))
}

fn says(text: &str) -> Result<Chunk, Fault> {
    Ok(Chunk::of(vec![Delta::Text { choice: 0, text: text.into() }]))
}

fn fails(kind: FaultKind, retry: Retry) -> Result<Chunk, Fault> {
    Err(Fault::upstream("p", kind, "failed").retry(retry))
}

fn busy(after: Option<Duration>) -> Result<Chunk, Fault> {
    fails(FaultKind::UpstreamStatus(429), Retry::Here(after))
}

/// What was told of each try.
#[derive(Default)]
struct Told {
    asked: Mutex<usize>,
    ended: Mutex<Vec<(String, AttemptOutcome)>>,
}

impl Witness for Told {
    fn asks(&self, _: &Leg) {
        *self.asked.lock().unwrap() += 1;
    }

    fn ended(&self, leg: &Leg, ended: Ended) {
        self.ended.lock().unwrap().push((leg.name.clone(), ended.outcome));
    }
}

/// Dispatches, and gives what was told of the tries.
async fn tried(legs: &[Leg]) -> (Result<Dispatched, Fault>, Vec<(String, AttemptOutcome)>) {
    with_care(legs, CareFact::default()).await
}

/// The same of a stream, with other care.
async fn with_care(legs: &[Leg], care: CareFact) -> (Result<Dispatched, Fault>, Vec<(String, AttemptOutcome)>) {
    let told = Told::default();
    let dispatched = dispatch(asking(legs, care), &told).await;
    let ended = told.ended.into_inner().unwrap();
    let asked = ended.iter().filter(|(_, outcome)| *outcome != AttemptOutcome::Skipped).count();
    assert_eq!(*told.asked.lock().unwrap(), asked, "each try is told of once, and no other");
    (dispatched, ended)
}

fn asking(legs: &[Leg], care: CareFact) -> Asking<'_> {
    Asking { legs: Cow::Borrowed(legs), request: asks(), deadline: soon(), whole: Duration::from_secs(60), care }
}

fn ended(list: &[(&str, AttemptOutcome)]) -> Vec<(String, AttemptOutcome)> {
    list.iter().map(|(leg, outcome)| ((*leg).to_owned(), *outcome)).collect()
}

async fn said(deltas: Deltas) -> Vec<Result<Chunk, Fault>> {
    deltas.collect().await
}

#[tokio::test]
async fn the_first_leg_that_speaks_is_heard_whole_under_its_own_model_name() {
    let (one, asked) = leg("a", 1, vec![vec![start(), says("x"), says("y")]]);
    let (dispatched, tries) = tried(&[one]).await;
    let dispatched = dispatched.unwrap();
    assert_eq!((dispatched.leg.as_str(), tries), ("p/a", ended(&[("p/a", AttemptOutcome::Spoke)])));
    assert_eq!(*asked.asked.lock().unwrap(), ["a"]);
    assert_eq!(said(dispatched.deltas).await.len(), 3);
}

#[tokio::test]
async fn a_leg_for_long_requests_is_asked_only_where_another_said_that_one_is_too_long() {
    let long = || vec![Err(Fault::caller(FaultKind::ContextLength, "too long").retry(Retry::Elsewhere))];
    let legs = |first: Call| {
        let ((one, _), (mut large, _), (two, _)) =
            (leg("a", 1, vec![first]), leg("large", 1, vec![vec![says("x")]]), leg("b", 1, vec![vec![says("x")]]));
        (large.merits.fallback, large.merits.for_long) = (true, true);
        [one, large, two]
    };
    let (failed, spoke) = (AttemptOutcome::Failed, AttemptOutcome::Spoke);
    for (first, second) in [(long(), "p/large"), (vec![fails(FaultKind::UpstreamUnreachable, Retry::Elsewhere)], "p/b")] {
        let (dispatched, tries) = tried(&legs(first)).await;
        assert!(dispatched.is_ok());
        assert_eq!(tries, ended(&[("p/a", failed), (second, spoke)]));
    }
    let [_, large, _] = legs(long());
    assert!(tried(&[large]).await.0.is_ok(), "it is asked where there is no other");
}

#[tokio::test]
async fn a_failure_before_speech_is_tried_again_here_and_then_elsewhere() {
    let down = || fails(FaultKind::UpstreamStatus(503), Retry::Here(None));
    let (one, first) = leg("a", 2, vec![vec![down()], vec![start(), down()]]);
    let (two, second) = leg("b", 1, vec![vec![says("x")]]);
    let (dispatched, tries) = tried(&[one, two]).await;
    let expected = [("p/a", AttemptOutcome::Retried), ("p/a", AttemptOutcome::Failed), ("p/b", AttemptOutcome::Spoke)];
    assert_eq!((dispatched.unwrap().leg.as_str(), tries), ("p/b", ended(&expected)));
    assert_eq!((first.asked.lock().unwrap().len(), second.asked.lock().unwrap().len()), (2, 1));
}

#[tokio::test]
async fn after_the_first_word_nothing_is_tried_again() {
    let (one, asked) = leg("a", 3, vec![vec![says("x"), fails(FaultKind::UpstreamCut, Retry::Elsewhere)], vec![says("again")]]);
    let (two, other) = leg("b", 1, vec![vec![says("y")]]);
    let heard = said(tried(&[one, two]).await.0.unwrap().deltas).await;
    assert!(heard.len() == 2 && heard[1].is_err());
    assert_eq!((asked.asked.lock().unwrap().len(), other.asked.lock().unwrap().len()), (1, 0));
}

#[tokio::test]
async fn a_bad_request_is_bad_everywhere() {
    let (one, _) = leg("a", 3, vec![vec![fails(FaultKind::UpstreamStatus(400), Retry::Never)]]);
    let (two, other) = leg("b", 1, vec![vec![says("y")]]);
    assert_eq!(tried(&[one, two]).await.0.err().unwrap().kind, FaultKind::UpstreamStatus(400));
    assert!(other.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_one_leg_cannot_do_another_may_and_if_none_does_the_client_hears_what_is_to_blame() {
    let cannot = || Err(Fault::caller(FaultKind::InvalidRequest, "no logprobs").at("logprobs").retry(Retry::Elsewhere));
    let (one, _) = leg("a", 1, vec![vec![cannot()]]);
    let (two, _) = leg("b", 1, vec![vec![says("y")]]);
    assert_eq!(tried(&[one, two]).await.0.unwrap().leg, "p/b");
    let (one, _) = leg("a", 1, vec![vec![cannot()]]);
    let (two, _) = leg("b", 1, vec![vec![fails(FaultKind::UpstreamStatus(503), Retry::Here(None))]]);
    let (fault, tries) = tried(&[one, two]).await;
    let fault = fault.err().unwrap();
    assert_eq!((fault.status(), fault.param.as_deref()), (400, Some("logprobs")));
    assert_eq!(tries, ended(&[("p/a", AttemptOutcome::Failed), ("p/b", AttemptOutcome::Failed)]));
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for_and_a_long_one_is_handed_on() {
    let began = Instant::now();
    let (one, _) = leg("a", 2, vec![vec![busy(Some(Duration::from_millis(350)))], vec![says("x")]]);
    tried(&[one]).await.0.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(350));
    let (one, asked) = leg("a", 5, vec![vec![busy(Some(Duration::from_secs(30)))], vec![says("x")]]);
    let fault = tried(&[one]).await.0.err().unwrap();
    assert_eq!((fault.retry, asked.asked.lock().unwrap().len()), (Retry::Here(Some(Duration::from_secs(30))), 1));
    let (one, _) = leg("a", 5, vec![vec![busy(Some(Duration::from_secs(30)))]]);
    let (two, _) = leg("b", 1, vec![vec![says("y")]]);
    assert_eq!(tried(&[one, two]).await.0.unwrap().leg, "p/b");
}

#[tokio::test]
async fn a_busy_leg_comes_after_those_that_stand_by_and_is_waited_for_where_there_are_none() {
    let second = Some(Duration::from_millis(300));
    for after in [None, second] {
        let (one, asked) = leg("a", 3, vec![vec![busy(after)], vec![says("x")]]);
        let (two, _) = leg("b", 1, vec![vec![says("y")]]);
        let (dispatched, tries) = tried(&[one, two]).await;
        let expected = [("p/a", AttemptOutcome::Failed), ("p/b", AttemptOutcome::Spoke)];
        assert_eq!((dispatched.unwrap().leg.as_str(), tries), ("p/b", ended(&expected)));
        assert_eq!(asked.asked.lock().unwrap().len(), 1);
    }
    // Where none is left, the one comes back first that may be asked first.
    let (one, asked) = leg("a", 2, vec![vec![busy(Some(Duration::from_secs(8)))], vec![says("x")]]);
    let (two, _) = leg("b", 2, vec![vec![busy(second)], vec![says("y")]]);
    let (three, _) = leg("c", 3, vec![vec![fails(FaultKind::UpstreamStatus(500), Retry::Elsewhere)]]);
    let began = Instant::now();
    let (dispatched, tries) = tried(&[one, two, three]).await;
    let failed = ["p/a", "p/b", "p/c"].map(|leg| (leg, AttemptOutcome::Failed));
    let expected = [&failed[..], &[("p/b", AttemptOutcome::Spoke)]].concat();
    assert_eq!((dispatched.unwrap().leg.as_str(), tries), ("p/b", ended(&expected)));
    assert!(began.elapsed() >= Duration::from_millis(300) && asked.asked.lock().unwrap().len() == 1);
}

#[tokio::test]
async fn all_that_is_waited_for_busy_legs_together_is_bounded() {
    let (legs, told) = ([leg("a", 9, vec![]).0], Told::default());
    let mut walk = Walk {
        legs: &legs,
        request: asks(),
        deadline: soon(),
        ample: Duration::from_secs(60),
        care: CareFact::default(),
        witness: &told,
        spent: vec![1],
        too_long: false,
        turns: vec![Turn::Over],
        hedged: false,
        patience: None,
        rests: None,
        blamed: None,
        last: None,
    };
    let busy = |after| Fault::upstream("p", FaultKind::UpstreamStatus(429), "busy").retry(Retry::Here(Some(after)));
    assert!(walk.pause(0, &busy(Duration::MAX)).is_none(), "no end of time");
    assert!(walk.pause(0, &busy(LONGEST_WAIT / 2)).is_some());
    // Six seconds later, five more are too many.
    walk.patience = walk.patience.map(|until| until - Duration::from_secs(6));
    assert!(walk.pause(0, &busy(LONGEST_WAIT / 2)).is_none() && walk.pause(0, &busy(Duration::from_secs(1))).is_some());
    walk.spent[0] = 9;
    assert!(walk.pause(0, &busy(Duration::ZERO)).is_none());
}

#[tokio::test]
async fn nothing_is_waited_for_beyond_the_deadline() {
    let (one, asked) = leg("a", 5, vec![vec![busy(Some(Duration::from_secs(3)))], vec![says("x")]]);
    let legs = [one];
    let asking = Asking { deadline: Deadline(Instant::now() + Duration::from_secs(1)), ..asking(&legs, CareFact::default()) };
    assert!(dispatch(asking, &Told::default()).await.is_err());
    assert_eq!(asked.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_empty_answer_is_no_answer() {
    let (one, _) = leg("a", 1, vec![vec![]]);
    let (two, _) = leg("b", 1, vec![vec![says("y")]]);
    assert_eq!(tried(&[one, two]).await.0.unwrap().leg, "p/b");
    assert!(tried(&[]).await.0.is_err());
}

#[test]
fn speech_is_what_a_client_could_notice() {
    let one = |delta| speaks(&Chunk::of(vec![delta]));
    assert!(!one(Delta::Start { id: "i".into(), model: "m".into(), created: 1 }));
    assert!(!one(Delta::Text { choice: 0, text: String::new() }));
    assert!(!one(Delta::Usage(Usage::default())));
    assert!(!one(Delta::Other { choice: 0, delta: Extras::new(), around: Extras::new() }));
    let other = |value: &str| {
        let extras = serde_json::from_str(&format!(r#"{{"content":"","annotations":{value}}}"#)).unwrap();
        one(Delta::Other { choice: 0, delta: extras, around: Extras::new() })
    };
    for blank in ["null", "[]", "{}", "\"\"", "[ ]", "{\n}"] {
        assert!(!other(blank), "{blank}");
    }
    for said in ["[null]", "{\"a\":1}", "\" \"", "0", "false"] {
        assert!(other(said), "{said}");
    }
    assert!(one(Delta::Reasoning { choice: 0, text: "t".into() }));
    assert!(one(Delta::Finish { choice: 0, reason: gatewright_types::FinishReason::Stop }));
}

#[test]
fn backoff_doubles_between_half_and_all_and_is_bounded() {
    assert_eq!((backoff(1, 0), backoff(1, u64::MAX)), (Duration::from_millis(100), Duration::from_millis(200)));
    assert_eq!(later(Duration::from_secs(5), 0), Duration::from_secs(5));
    assert_eq!(later(Duration::from_secs(5), u64::MAX), Duration::from_millis(5500));
    assert_eq!((backoff(3, 0), backoff(3, u64::MAX)), (Duration::from_millis(400), Duration::from_millis(800)));
    assert_eq!(backoff(u32::MAX, u64::MAX), Duration::from_secs(5));
}
