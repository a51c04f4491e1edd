//! Guests that wait for the world outside: what they get, how long they may wait, and that waiting is no computing.

use async_trait::async_trait;

use super::powers::{FETCH, MODEL, WITH};
use super::*;
use crate::reach::{Ask, Fetch, FetchRequest, FetchResponse, Notes, Question, Reach, ServiceError};

/// Serves by the URL: `never` never answers.
#[derive(Debug)]
struct World;

#[async_trait]
impl Fetch for World {
    async fn send(&self, plugin: &str, request: FetchRequest, _: &Notes) -> Result<FetchResponse, ServiceError> {
        match request.url.as_str() {
            "never" => std::future::pending().await,
            "large" => return Err(ServiceError::Limit("too large".to_owned())),
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
        let body = format!("{plugin} {} {}", request.method, request.url).into_bytes();
        Ok(FetchResponse { status: 200, headers: vec![("a".to_owned(), "b".to_owned())], body })
    }
}

#[async_trait]
impl Ask for World {
    async fn ask(&self, _: &str, Question { route, prompt, max_tokens }: Question, _: &Notes) -> Result<String, ServiceError> {
        tokio::task::yield_now().await;
        Ok(format!("{route} {prompt} {max_tokens}"))
    }
}

/// Ends `inspect` with an answer whose address is stored at one place, and its length behind it.
fn answers(at: u32) -> String {
    format!(
        "(i32.store8 (i32.const 64) (i32.const 3)) (i32.store (i32.const 68) (i32.load (i32.const {at})))
         (i32.store (i32.const 72) (i32.load (i32.const {})))
         (i32.store (i32.const 20) (i32.const 64)) (i32.store (i32.const 24) (i32.const 1)) (i32.const 16)",
        at + 4
    )
}

/// Fetches a URL so many times and answers with the last body, or with what the error says.
fn fetches(url: &str, times: u32) -> Wat {
    let core = format!(
        "(import \"host\" \"f\" (func $f (param i32 i32 i32 i32 i32 i32 i32 i32 i32)))
         (data (i32.const 200) \"GET\") (data (i32.const 210) \"{url}\")
         (func (export \"inspect\") (param i32) (result i32) (local $n i32)
           (loop
             (call $f (i32.const 200) (i32.const 3) (i32.const 210) (i32.const {}) (i32.const 0) (i32.const 0) (i32.const 0)
               (i32.const 0) (i32.const 512))
             (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const {times}))))
           (if (i32.load8_u (i32.const 512))
             (then (i32.store (i32.const 528) (i32.load (i32.const 520))) (i32.store (i32.const 532) (i32.load (i32.const 524)))))
           {})",
        url.len(),
        answers(528)
    );
    Wat { imports: FETCH, with: WITH, core, pages: 2 }
}

/// What a guest says that may wait for so long, and compute for much less.
async fn told(wat: &Wat, wall: Duration) -> Result<Vec<Action>, GuestError> {
    let sandbox = Wasm::new(1);
    let limits = Limits { wall, cpu: Duration::from_millis(15), ..Limits::default() };
    let setup = Setup { limits, ..setup(&[Grant::Fetch, Grant::Model], &Arc::default()) };
    let program = sandbox.load(&wat.code(), setup)?;
    let reach = Reach::default().with_fetch(Arc::new(World)).with_ask(Arc::new(World));
    let mut guest = program.instantiate(Arc::new(Context { reach, ..Context::default() }), permit()).await?;
    ask(&mut guest, "hello").await
}

const PATIENT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_is_fetched_comes_and_waiting_for_it_is_not_computing() {
    assert_eq!(told(&fetches("x", 5), PATIENT).await, Ok(vec![Action::Answer("guest GET x".into())]));
    assert_eq!(told(&fetches("large", 1), PATIENT).await, Ok(vec![Action::Answer("too large".into())]));
    let many = told(&fetches("large", 20), PATIENT).await;
    assert_eq!(many, Ok(vec![Action::Answer("16 fetches in one request".into())]));
}

#[tokio::test]
async fn a_wait_that_has_no_end_ends_at_the_wall_clock() {
    let error = told(&fetches("never", 1), Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(error.kind, GuestErrorKind::Wall, "{error}");
}

#[tokio::test]
async fn a_model_is_asked() {
    let core = format!(
        "(import \"host\" \"f\" (func $f (param i32 i32 i32 i32 i32 i32)))
         (data (i32.const 200) \"fast\") (data (i32.const 210) \"why\")
         (func (export \"inspect\") (param i32) (result i32)
           (call $f (i32.const 200) (i32.const 4) (i32.const 210) (i32.const 3) (i32.const 9) (i32.const 512)) {})",
        answers(516)
    );
    let wat = Wat { imports: MODEL, with: WITH, core, pages: 2 };
    assert_eq!(told(&wat, PATIENT).await, Ok(vec![Action::Answer("fast why 9".into())]));
}
