//! Upstreams that speak OpenAI's chat completions: any compatible base URL.
//!
//! Whole answers go through async-openai's client, over our own HTTP service underneath it (`whole`); streams go through reqwest and
//! our bounded event reader (`stream`), because async-openai's streams put an unbounded queue and a task in the path and take
//! the end of a connection for the end of an answer. Faults of both are worded in `refusal`. It must not know clients, routes or
//! retries: each call is one attempt.

mod clients;
mod refusal;
mod stream;
mod whole;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use gatewright_types::{ChatRequest, Chunk, Fault, FaultKind, Retry};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

pub use self::clients::{Clients, Unusable};
use super::body::{Patience, Reading};
use super::{Deadline, Deltas, Upstream};
use crate::config::facts::{ProviderFact, Secret, Timeouts};
use crate::dialects::openai_chat::{delta, request};

/// Largest answer that is read unless [`OpenAiUpstream::bounded`] says otherwise, bytes.
const MAX_ANSWER: usize = 64 << 20;
/// Largest event, bytes: images and audio come in base64.
const MAX_EVENT: usize = 16 << 20;

/// A provider that speaks OpenAI's chat completions.
pub struct OpenAiUpstream(Arc<Target>);

/// Where and how to ask.
struct Target {
    name: String,
    url: reqwest::Url,
    /// Headers of every request, with the credentials.
    headers: HeaderMap,
    http: reqwest::Client,
    whole: whole::WholeClient,
    timeouts: Timeouts,
    max_answer: usize,
    /// What must never be shown to a client.
    secrets: Vec<Secret>,
}

/// The head of an answer came and was good.
enum Opened {
    Whole(Box<Chunk>),
    Events(Box<Reading>),
}

impl OpenAiUpstream {
    /// Links a provider to an HTTP client.
    ///
    /// # Errors
    /// [`Unusable`]: the base URL or a header cannot be used, or TLS cannot be set up.
    pub fn new(fact: &ProviderFact, clients: &Clients) -> Result<Self, Unusable> {
        let base = fact.base_url.trim_end_matches('/');
        let url = reqwest::Url::parse(&format!("{base}/chat/completions"))
            .map_err(|error| Unusable(format!("`{base}` is not a URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Unusable(format!("`{base}` is neither http:// nor https://")));
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &fact.api_key {
            headers.insert(AUTHORIZATION, secret_value("api_key", &format!("Bearer {}", key.reveal()))?);
        }
        for (name, value) in &fact.headers {
            let header = HeaderName::try_from(name).map_err(|_| Unusable(format!("`{name}` is not a header's name")))?;
            headers.insert(header, secret_value(name, value.reveal())?);
        }
        let http = clients.get(&url, fact.timeouts.connect)?;
        let secrets = fact.api_key.iter().chain(fact.headers.iter().map(|(_, value)| value)).cloned().collect();
        let (name, timeouts) = (fact.name.clone(), fact.timeouts);
        let whole = whole::WholeClient::new(base, &headers, &http);
        Ok(Self(Arc::new(Target { name, url, headers, http, whole, timeouts, max_answer: MAX_ANSWER, secrets })))
    }

    /// The same, with another bound on the bytes of one answer.
    #[must_use]
    pub fn bounded(mut self, max_answer: usize) -> Self {
        if let Some(target) = Arc::get_mut(&mut self.0) {
            target.max_answer = max_answer;
        }
        self
    }
}

/// A header's value that is not shown in logs.
fn secret_value(name: &str, value: &str) -> Result<HeaderValue, Unusable> {
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| Unusable(format!("the value of `{name}` has characters that a header cannot carry")))?;
    value.set_sensitive(true);
    Ok(value)
}

impl Upstream for OpenAiUpstream {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn answer(&self, request: Arc<ChatRequest>, deadline: Deadline) -> Deltas {
        let choices = request.sampling.n.unwrap_or(1);
        let target = Arc::clone(&self.0);
        let asking = Arc::clone(&target);
        Box::pin(stream::Answer::new(target, choices, Box::pin(async move { asking.ask(&request, deadline).await })))
    }
}

/// A call that has not been answered yet.
type Asking = Pin<Box<dyn Future<Output = Result<Opened, Fault>> + Send>>;

impl Target {
    /// One call, up to the head of its answer; a whole answer is read.
    async fn ask(self: Arc<Self>, request: &ChatRequest, deadline: Deadline) -> Result<Opened, Fault> {
        let until = deadline.0.min(Instant::now() + self.timeouts.total);
        let patience = Patience { idle: self.timeouts.idle, until };
        let body = request::write(request);
        if request.stream {
            return self.open(body, patience).await;
        }
        self.whole.ask(&self, &body, patience).await.map(|chunk| Opened::Whole(Box::new(chunk)))
    }

    /// Sends what is asked and waits for the head of a good answer.
    async fn send(&self, request: reqwest::Request, until: Instant) -> Result<reqwest::Response, Fault> {
        let first_byte = Instant::now() + self.timeouts.connect + self.timeouts.first_byte;
        let sent = tokio::time::timeout_at(first_byte.min(until).into(), self.http.execute(request)).await;
        let response = match sent {
            Err(_) => return Err(self.fault(FaultKind::UpstreamTimeout, "did not answer in time")),
            Ok(Err(error)) => return Err(self.unreachable(error)),
            Ok(Ok(response)) => response,
        };
        if response.status().is_success() { Ok(response) } else { Err(self.refused(response, until).await) }
    }

    /// Asks for a stream. An upstream that sends a whole answer instead is taken at its word.
    async fn open(&self, body: Bytes, patience: Patience) -> Result<Opened, Fault> {
        let mut request = reqwest::Request::new(http::Method::POST, self.url.clone());
        request.headers_mut().clone_from(&self.headers);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        *request.body_mut() = Some(body.into());
        let response = self.send(request, patience.until).await?;
        let kind =
            response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
        let reading = Reading::new(response.into(), patience);
        if kind.contains("html") {
            let page = reading.beginning(300).await;
            let detail = format!("{kind}: {}", String::from_utf8_lossy(&page));
            return Err(self.fault(FaultKind::UpstreamInvalid, "sent a page instead of an answer").detail(detail));
        }
        if kind.contains("json") {
            let body = reading.whole(self.max_answer).await.map_err(|stop| self.stopped(stop))?;
            return delta::read_body(body).map(|chunk| Opened::Whole(Box::new(chunk)));
        }
        Ok(Opened::Events(Box::new(reading)))
    }

    fn fault(&self, kind: FaultKind, what: &str) -> Fault {
        Fault::upstream(&self.name, kind, format!("The upstream `{}` {what}.", self.name))
    }

    fn unreachable(&self, error: reqwest::Error) -> Fault {
        let error = error.without_url();
        let what = if error.is_connect() { "could not be reached" } else { "broke the connection before it answered" };
        self.fault(FaultKind::UpstreamUnreachable, what).detail(super::body::chain(&error)).retry(Retry::Here(None))
    }
}

#[cfg(test)]
mod rig;
#[cfg(test)]
mod tests;
