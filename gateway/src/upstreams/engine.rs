//! The embedded engine as an upstream: its deltas as chunks, its errors as faults.
//!
//! Apart because the engine knows no faults, and the gateway no sequences. It must not know how the engine works: dropping the
//! stream is what frees the sequence.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use gatewright_engine::{Engine, EngineError, Generation, TIME_BOUNDS, Terms};
use gatewright_types::{ChatRequest, Chunk, Delta, Fault, FaultKind, Retry};
use tokio::time::Sleep;

use super::{Carried, Deadline, Deltas, Load, Times, Upstream};
use crate::clock::Clock;
use crate::dialects::{openai_responses, recalled};

/// One model of the embedded engine.
#[derive(Clone, Debug)]
pub struct EngineUpstream {
    name: String,
    engine: Engine,
    clock: Arc<dyn Clock>,
}

impl EngineUpstream {
    /// A model under the name that faults and records shall give it; the clock tells its prompts the date.
    pub fn new(name: impl Into<String>, engine: Engine, clock: Arc<dyn Clock>) -> Self {
        Self { name: name.into(), engine, clock }
    }
}

impl Upstream for EngineUpstream {
    fn name(&self) -> &str {
        &self.name
    }

    fn answer(&self, request: Arc<ChatRequest>, deadline: Deadline) -> Deltas {
        let alarm = Box::pin(tokio::time::sleep_until(deadline.0.into()));
        Box::pin(Answer { upstream: self.clone(), state: State::Asked(request), beside: None, deadline, alarm })
    }

    fn carries(&self, request: &ChatRequest) -> Carried {
        carried(request)
    }

    fn load(&self) -> Option<Load> {
        let stats = self.engine.stats();
        Some(Load {
            running: stats.running,
            waiting: stats.waiting,
            pages: [stats.pages_used, stats.pages_cached, stats.pages_free],
            tokens: [stats.prompt_tokens, stats.cached_tokens, stats.generated_tokens],
            preemptions: stats.preemptions,
            refused: stats.refused,
            first_token: times(&stats.first_token),
            between_tokens: times(&stats.between_tokens),
        })
    }
}

/// What becomes of a request here: what only OpenAI has, no model of ours has either.
fn carried(request: &ChatRequest) -> Carried {
    let mut carried = Carried::default();
    openai_responses::left_out(request).for_each(|name| carried.leaves_out(&name));
    carried
}

struct Answer {
    upstream: EngineUpstream,
    state: State,
    /// Log probabilities, until the text that they tell of comes, or what is said of an answer's end, until it comes: one chunk for both.
    beside: Option<Delta>,
    deadline: Deadline,
    /// At the deadline, should the engine be too busy to see that it passed.
    alarm: Pin<Box<Sleep>>,
}

enum State {
    Asked(Arc<ChatRequest>),
    /// The engine has accepted; the first delta brings the start along, so that an error before it can be retried elsewhere.
    Accepted(Generation, String),
    Speaking(Generation),
    Over,
}

impl Answer {
    fn fail(&mut self, fault: Fault) -> Poll<Option<Result<Chunk, Fault>>> {
        self.state = State::Over;
        Poll::Ready(Some(Err(fault)))
    }
}

impl Stream for Answer {
    type Item = Result<Chunk, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let State::Asked(request) = &this.state {
            if !request.wants.is_empty() {
                let fault = super::has_none(request);
                return this.fail(fault);
            }
            let terms = Terms { now: this.upstream.clock.now_s(), deadline: Some(this.deadline.0) };
            match this.upstream.engine.submit(fit(request), terms) {
                Ok((generation, reading)) => {
                    // As long as the prompt is: not on a thread that serves others. It ends by itself when the generation is dropped.
                    tokio::task::spawn_blocking(|| reading.run());
                    this.state = State::Accepted(generation, request.model.clone());
                }
                Err(error) => {
                    let fault = fault(&this.upstream.name, error);
                    return this.fail(fault);
                }
            }
        }
        let (State::Accepted(generation, _) | State::Speaking(generation)) = &mut this.state else { return Poll::Ready(None) };
        let mut item = Pin::new(&mut *generation).poll_next(context);
        if let Poll::Ready(Some(Ok(Delta::Logprobs { .. } | Delta::Other { .. }))) = &item
            && let Poll::Ready(Some(Ok(delta))) = item
        {
            this.beside = Some(delta);
            item = Pin::new(generation).poll_next(context);
        }
        match item {
            Poll::Ready(Some(Ok(delta))) => {
                let mut deltas = match std::mem::replace(&mut this.state, State::Over) {
                    State::Accepted(generation, model) => {
                        this.state = State::Speaking(generation);
                        // Id and time are the door's to give.
                        vec![Delta::Start { id: String::new(), model, created: 0 }]
                    }
                    speaking => {
                        this.state = speaking;
                        Vec::new()
                    }
                };
                deltas.extend(this.beside.take());
                deltas.push(delta);
                Poll::Ready(Some(Ok(Chunk::of(deltas))))
            }
            Poll::Ready(Some(Err(error))) => {
                let fault = fault(&this.upstream.name, error);
                this.fail(fault)
            }
            Poll::Ready(None) => {
                this.state = State::Over;
                Poll::Ready(None)
            }
            Poll::Pending if this.alarm.as_mut().poll(context).is_ready() => {
                let fault = late(&this.upstream.name, "did not finish in time");
                this.fail(fault)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// The request without thought that its client did not send: only servers that demand such see it.
fn fit(request: &Arc<ChatRequest>) -> Arc<ChatRequest> {
    let mut fitted = Arc::clone(request);
    if recalled::is_marked(&request.extras) {
        recalled::take(Arc::make_mut(&mut fitted));
    }
    fitted
}

fn times(of: &gatewright_engine::Times) -> Times {
    let bounds = TIME_BOUNDS.into_iter().chain([f64::INFINITY]);
    Times { sum: of.sum, buckets: bounds.zip(of.counts).collect() }
}

fn late(name: &str, what: &str) -> Fault {
    Fault::upstream(name, FaultKind::UpstreamTimeout, format!("The model `{name}` {what}."))
}

/// What an engine's error means to a client.
fn fault(name: &str, error: EngineError) -> Fault {
    match error {
        // Another leg may know it.
        EngineError::Unsupported { param, message } => {
            Fault::caller(FaultKind::InvalidRequest, message).at(param).retry(Retry::Elsewhere)
        }
        EngineError::TooLong { prompt, context } => {
            let message = format!(
                "This model's maximum context length is {context} tokens. However, your messages resulted in at least {prompt} tokens. \
                 Please reduce the length of the messages."
            );
            // Another leg may have a longer context.
            Fault::caller(FaultKind::ContextLength, message).at("messages").retry(Retry::Elsewhere)
        }
        EngineError::Full { retry_after } => {
            let message = format!("The model `{name}` has too many requests waiting.");
            Fault::upstream(name, FaultKind::RateLimited, message).retry(Retry::Here(Some(retry_after)))
        }
        EngineError::Deadline { began: true } => late(name, "did not finish in time"),
        EngineError::Deadline { began: false } => {
            late(name, "had too many others to answer first: the request waited until its time was over")
        }
        EngineError::Load(detail) | EngineError::Device(detail) | EngineError::Step(detail) => {
            Fault::upstream(name, FaultKind::Engine, format!("The model `{name}` failed.")).detail(detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use gatewright_types::Message;
    use gatewright_types::Role;

    use super::*;
    use crate::dialects::{Asked, Dialect};

    #[test]
    fn a_model_here_sees_no_thought_that_its_client_did_not_send() {
        let turn = |mark: fn(&mut gatewright_types::Extras)| {
            let mut message = Message { reasoning: Some("I think.".to_owned()), ..Message::text(Role::Assistant, "x") };
            mark(&mut message.extras);
            message
        };
        let mut request = ChatRequest { messages: vec![turn(|_| {}), turn(recalled::mark)], ..ChatRequest::default() };
        recalled::mark(&mut request.extras);
        let request = Arc::new(request);
        let fitted = fit(&request);
        assert!(fitted.messages[0].reasoning.is_some() && fitted.messages[1].reasoning.is_none());
        assert!(request.messages[1].reasoning.is_some(), "another leg may demand it");
    }

    #[test]
    fn what_only_openai_has_is_told() {
        let body = br#"{"model":"m","truncation":"auto","input":[{"type":"computer_call"},{"role":"user","content":"x"}]}"#;
        let request = openai_responses::OpenAiResponses.read(body, &Asked::default()).unwrap();
        assert_eq!(carried(&request).left_out, ["truncation", "computer_call"]);
        assert_eq!(carried(&ChatRequest::default()), Carried::default());
    }

    #[test]
    fn each_error_of_the_engine_becomes_the_fault_that_a_client_understands() {
        let long = fault("demo", EngineError::TooLong { prompt: 900, context: 512 });
        assert_eq!((long.status(), long.param.as_deref()), (400, Some("messages")));
        let odd = fault("demo", EngineError::Unsupported { param: "n".into(), message: "one choice only".into() });
        assert_eq!((odd.status(), odd.param.as_deref(), odd.retry), (400, Some("n"), Retry::Elsewhere));
        let retry_after = std::time::Duration::from_secs(7);
        let full = fault("demo", EngineError::Full { retry_after });
        assert_eq!((full.status(), full.retry), (429, Retry::Here(Some(retry_after))));
        for began in [true, false] {
            let late = fault("demo", EngineError::Deadline { began });
            assert_eq!((late.status(), late.message.contains("waited")), (504, !began));
        }
        let broken = fault("demo", EngineError::Step("NaN at layer 3".into()));
        assert_eq!((broken.status(), broken.retry), (500, Retry::Elsewhere));
        assert!(!broken.message.contains("NaN") && broken.detail.is_some_and(|detail| detail.contains("NaN")));
    }
}
