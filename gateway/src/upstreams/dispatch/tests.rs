//! Legs that speak, fail, recover and lie.

use std::sync::Mutex;

use futures_util::{StreamExt, stream};
use gatewright_types::{Extras, Message, Role, Usage};

use super::*;

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
    (Leg { name: format!("p/{name}"), upstream, model: name.into(), attempts, timeouts: None }, scripted)
}

fn asks() -> Arc<ChatRequest> {
    let messages = vec![Message::text(Role::User, "hi")];
    Arc::new(ChatRequest { model: "route".into(), messages, ..ChatRequest::default() })
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

async fn said(deltas: Deltas) -> Vec<Result<Chunk, Fault>> {
    deltas.collect().await
}

#[tokio::test]
async fn the_first_leg_that_speaks_is_heard_whole_under_its_own_model_name() {
    let (one, asked) = leg("a", 1, vec![vec![start(), says("x"), says("y")]]);
    let dispatched = dispatch(&[one], asks(), soon()).await.unwrap();
    assert_eq!((dispatched.leg.as_str(), dispatched.attempts), ("p/a", 1));
    assert_eq!(*asked.asked.lock().unwrap(), ["a"]);
    assert_eq!(said(dispatched.deltas).await.len(), 3);
}

#[tokio::test]
async fn a_failure_before_speech_is_tried_again_here_and_then_elsewhere() {
    let (one, first) = leg("a", 2, vec![vec![busy(None)], vec![start(), busy(None)]]);
    let (two, second) = leg("b", 1, vec![vec![says("x")]]);
    let dispatched = dispatch(&[one, two], asks(), soon()).await.unwrap();
    assert_eq!((dispatched.leg.as_str(), dispatched.attempts), ("p/b", 3));
    assert_eq!((first.asked.lock().unwrap().len(), second.asked.lock().unwrap().len()), (2, 1));
}

#[tokio::test]
async fn after_the_first_word_nothing_is_tried_again() {
    let (one, asked) = leg("a", 3, vec![vec![says("x"), fails(FaultKind::UpstreamCut, Retry::Elsewhere)], vec![says("again")]]);
    let (two, other) = leg("b", 1, vec![vec![says("y")]]);
    let heard = said(dispatch(&[one, two], asks(), soon()).await.unwrap().deltas).await;
    assert!(heard.len() == 2 && heard[1].is_err());
    assert_eq!((asked.asked.lock().unwrap().len(), other.asked.lock().unwrap().len()), (1, 0));
}

#[tokio::test]
async fn a_bad_request_is_bad_everywhere() {
    let (one, _) = leg("a", 3, vec![vec![fails(FaultKind::UpstreamStatus(400), Retry::Never)]]);
    let (two, other) = leg("b", 1, vec![vec![says("y")]]);
    assert_eq!(dispatch(&[one, two], asks(), soon()).await.err().unwrap().kind, FaultKind::UpstreamStatus(400));
    assert!(other.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for_and_a_long_one_is_handed_on() {
    let began = Instant::now();
    let (one, _) = leg("a", 2, vec![vec![busy(Some(Duration::from_millis(350)))], vec![says("x")]]);
    dispatch(&[one], asks(), soon()).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(350));
    let (one, asked) = leg("a", 5, vec![vec![busy(Some(Duration::from_secs(30)))], vec![says("x")]]);
    let fault = dispatch(&[one], asks(), soon()).await.err().unwrap();
    assert_eq!((fault.retry, asked.asked.lock().unwrap().len()), (Retry::Here(Some(Duration::from_secs(30))), 1));
    let (one, _) = leg("a", 5, vec![vec![busy(Some(Duration::from_secs(30)))]]);
    let (two, _) = leg("b", 1, vec![vec![says("y")]]);
    assert_eq!(dispatch(&[one, two], asks(), soon()).await.unwrap().leg, "p/b");
}

#[tokio::test]
async fn nothing_is_waited_for_beyond_the_deadline() {
    let (one, asked) = leg("a", 5, vec![vec![busy(Some(Duration::from_secs(3)))], vec![says("x")]]);
    assert!(dispatch(&[one], asks(), Deadline(Instant::now() + Duration::from_secs(1))).await.is_err());
    assert_eq!(asked.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_empty_answer_is_no_answer() {
    let (one, _) = leg("a", 1, vec![vec![]]);
    let (two, _) = leg("b", 1, vec![vec![says("y")]]);
    assert_eq!(dispatch(&[one, two], asks(), soon()).await.unwrap().leg, "p/b");
    assert!(dispatch(&[], asks(), soon()).await.is_err());
}

#[test]
fn speech_is_what_a_client_could_notice() {
    let one = |delta| speaks(&Chunk::of(vec![delta]));
    assert!(!one(Delta::Start { id: "i".into(), model: "m".into(), created: 1 }));
    assert!(!one(Delta::Text { choice: 0, text: String::new() }));
    assert!(!one(Delta::Usage(Usage::default())));
    assert!(!one(Delta::Other { choice: 0, delta: Extras::new(), around: Extras::new() }));
    assert!(one(Delta::Reasoning { choice: 0, text: "t".into() }));
    assert!(one(Delta::Finish { choice: 0, reason: gatewright_types::FinishReason::Stop }));
}

#[test]
fn backoff_doubles_between_half_and_all_and_is_bounded() {
    assert_eq!((backoff(1, 0), backoff(1, u64::MAX)), (Duration::from_millis(100), Duration::from_millis(200)));
    assert_eq!((backoff(3, 0), backoff(3, u64::MAX)), (Duration::from_millis(400), Duration::from_millis(800)));
    assert_eq!(backoff(u32::MAX, u64::MAX), Duration::from_secs(5));
}
