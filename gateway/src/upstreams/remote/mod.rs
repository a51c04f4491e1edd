//! Upstreams elsewhere, whatever dialect they speak: any compatible base URL.
//!
//! Streams and whole answers go the same way, over hyper's client and our bounded reading; which of them comes is seen in the
//! head of the answer. Faults are worded in `refusal`. Apart because all that goes out to providers goes out here. It must not know
//! clients, routes or retries: each call is one attempt.

mod clients;
mod dial;
mod pass;
mod refusal;
mod stream;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use gatewright_types::{ChatRequest, Chunk, Fault, FaultKind, Retry};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT};
use http::{Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;

use self::clients::HttpClient;
pub use self::clients::{Clients, Unusable};
pub(crate) use self::clients::{trusting_nobody, trusting_the_system};
pub(crate) use self::pass::{Courier, Delivered, Load, Parcel, Upload};
use super::body::{Patience, Reading};
use super::catalog::Auth;
use super::quirks::{self, Quirks};
use super::{Carried, Deadline, Deltas, Upstream};
use crate::config::facts::{ProviderFact, Secret, Timeouts};
use crate::dialects::openai_completions::texts;
use crate::dialects::openai_responses;
use crate::dialects::{ALL, DialectRef, ReadEvents};

/// Largest answer that is read unless [`RemoteUpstream::bounded`] says otherwise, bytes.
const MAX_ANSWER: usize = 64 << 20;
/// Largest event, bytes: images and audio come in base64.
const MAX_EVENT: usize = 16 << 20;

/// A provider elsewhere.
pub struct RemoteUpstream(Arc<Target>);

/// Where and how to ask.
struct Target {
    name: String,
    dialect: DialectRef,
    uri: Uri,
    /// What its servers may have beside that, and where.
    beside: Vec<(DialectRef, Uri)>,
    /// Headers of every request, with the credentials.
    headers: HeaderMap,
    http: HttpClient,
    timeouts: Timeouts,
    quirks: Quirks,
    max_answer: usize,
    /// Whether others seal thought as it does, and cannot open what it sealed.
    is_one_of_several: bool,
    /// What must never be shown to a client.
    secrets: Vec<Secret>,
}

/// The head of an answer came and was good.
enum Opened {
    Whole(Box<Chunk>),
    Events(Box<Reading>, Box<dyn ReadEvents>),
}

impl RemoteUpstream {
    /// Links a provider to an HTTP client.
    ///
    /// # Errors
    /// [`Unusable`]: the base URL or a header cannot be used, or TLS cannot be set up.
    pub fn new(fact: &ProviderFact, clients: &Clients) -> Result<Self, Unusable> {
        let base = fact.base_url.trim_end_matches('/');
        let dialect = fact.kind.dialect();
        let place = |dialect: DialectRef| dialect.url(base).parse();
        let uri: Uri = place(dialect).map_err(|error| Unusable(format!("`{base}` is not a URL: {error}")))?;
        let beside = ALL.into_iter().filter(|other| other.beside() == Some(dialect.name()));
        let beside = beside.filter_map(|other| Some((other, place(other).ok()?))).collect();
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(Unusable(format!("`{base}` is neither http:// nor https://")));
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("gatewright/", env!("CARGO_PKG_VERSION"))));
        let key = fact.api_key.as_ref().map(Secret::reveal);
        let usual = key.filter(|_| fact.auth == Auth::Usual);
        for (name, value) in dialect.credentials(usual) {
            headers.insert(name, secret_value("api_key", &value)?);
        }
        if let (Some(key), Auth::Header(name)) = (key, &fact.auth) {
            headers.insert(named(name)?, secret_value("api_key", key)?);
        }
        for (name, value) in &fact.headers {
            headers.insert(named(name)?, secret_value(name, value.reveal())?);
        }
        let (http, proxy) = clients.get(&uri, fact.timeouts.connect)?;
        if let Some(credentials) = proxy.as_ref().and_then(|proxy| proxy.header(&uri)) {
            headers.insert(PROXY_AUTHORIZATION, credentials.clone());
        }
        let secrets = fact.api_key.iter().chain(fact.headers.iter().map(|(_, value)| value)).cloned().collect();
        let (name, timeouts) = (fact.name.clone(), fact.timeouts);
        let quirks = fact.quirks.clone();
        let max_answer = MAX_ANSWER;
        Ok(Self(Arc::new(Target {
            name,
            dialect,
            uri,
            beside,
            headers,
            http,
            timeouts,
            quirks,
            max_answer,
            is_one_of_several: false,
            secrets,
        })))
    }

    /// The same, with another bound on the bytes of one answer.
    #[must_use]
    pub fn bounded(mut self, max_answer: usize) -> Self {
        if let Some(target) = Arc::get_mut(&mut self.0) {
            target.max_answer = max_answer;
        }
        self
    }

    /// The same, where other providers seal thought too: what it sealed is marked as its own on the way to clients, for it goes back to it
    /// alone. Without others it travels byte for byte.
    #[must_use]
    pub fn one_of_several(mut self) -> Self {
        if let Some(target) = Arc::get_mut(&mut self.0) {
            target.is_one_of_several = true;
        }
        self
    }
}

fn named(name: &str) -> Result<HeaderName, Unusable> {
    HeaderName::try_from(name).map_err(|_| Unusable(format!("`{name}` is not a header's name")))
}

/// A header's value that is not shown in logs.
fn secret_value(name: &str, value: &str) -> Result<HeaderValue, Unusable> {
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| Unusable(format!("the value of `{name}` has characters that a header cannot carry")))?;
    value.set_sensitive(true);
    Ok(value)
}

impl Upstream for RemoteUpstream {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn carries(&self, request: &ChatRequest) -> Carried {
        let quirks = &self.0.quirks;
        let (Ok((dialect, _)), Ok(fitted)) = (self.0.way(request), quirks::fit(quirks, request)) else {
            return Carried::default();
        };
        let mut carried = dialect.carries(&fitted);
        quirks::dropped(quirks, request).iter().for_each(|name| carried.leaves_out(name));
        if dialect.name() == openai_responses::NAME {
            openai_responses::withheld(request, &self.0.name).into_iter().for_each(|name| carried.leaves_out(name));
        }
        carried
    }

    fn answer(&self, request: Arc<ChatRequest>, deadline: Deadline) -> Deltas {
        // Each text that is to be written on from has as many.
        let texts = if request.wants.is_empty() { 1 } else { u32::try_from(texts(request.as_ref())).unwrap_or(u32::MAX) };
        let choices = request.sampling.n.unwrap_or(1).saturating_mul(texts);
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
        let fitted = openai_responses::withhold(quirks::fit(&self.quirks, request)?, &self.name);
        let (dialect, uri) = self.way(request)?;
        let call = self.request(&fitted, (dialect, uri))?;
        drop(fitted);
        let (head, body) = self.send(call, until).await?.into_parts();
        let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        // An upstream that sends a whole answer instead of a stream is taken at its word.
        if request.stream && !is_whole(kind) {
            return Ok(Opened::Events(Box::new(Reading::new(body, patience)), dialect.reader()));
        }
        let body = Reading::new(body, patience).whole(self.max_answer).await.map_err(|stop| self.stopped(stop))?;
        if !body.trim_ascii_start().starts_with(b"{") {
            // A page, most likely.
            let fault = self.fault(FaultKind::UpstreamInvalid, "sent something else than an answer").detail(kind);
            return Err(fault.quote(refusal::beginning(&body)));
        }
        dialect.read_body(body).map(|chunk| Opened::Whole(Box::new(chunk)))
    }

    /// In which words, and where, it is asked for what a request wants.
    fn way(&self, request: &ChatRequest) -> Result<(DialectRef, &Uri), Fault> {
        if request.wants.is_empty() {
            return Ok((self.dialect, &self.uri));
        }
        let found = self.beside.iter().find(|(dialect, _)| dialect.name() == request.wants);
        found.map(|(dialect, uri)| (*dialect, uri)).ok_or_else(|| super::has_none(request))
    }

    fn request(&self, request: &ChatRequest, (dialect, uri): (DialectRef, &Uri)) -> Result<Request<Full<Bytes>>, Fault> {
        let mut call = Request::new(Full::new(dialect.write(request)?));
        *call.method_mut() = Method::POST;
        call.uri_mut().clone_from(uri);
        call.headers_mut().clone_from(&self.headers);
        let accepted = if request.stream { "text/event-stream" } else { "application/json" };
        call.headers_mut().insert(ACCEPT, HeaderValue::from_static(accepted));
        for (name, value) in dialect.call_headers(request) {
            // A client's text: what no header can carry is left out.
            HeaderValue::try_from(value).into_iter().for_each(|value| drop(call.headers_mut().insert(name, value)));
        }
        Ok(call)
    }

    /// Sends what is asked and waits for the head of a good answer.
    async fn send(&self, request: Request<Full<Bytes>>, until: Instant) -> Result<Response<Incoming>, Fault> {
        let first_byte = Instant::now() + self.timeouts.connect + self.timeouts.first_byte;
        let sent = tokio::time::timeout_at(first_byte.min(until).into(), self.http.request(request)).await;
        let response = match sent {
            Err(_) => return Err(self.fault(FaultKind::UpstreamTimeout, "did not answer in time")),
            Ok(Err(error)) => return Err(self.unreachable(&error)),
            Ok(Ok(response)) => response,
        };
        if response.status().is_success() { Ok(response) } else { Err(self.refused(response, until).await) }
    }

    fn fault(&self, kind: FaultKind, what: &str) -> Fault {
        Fault::upstream(&self.name, kind, format!("The upstream `{}` {what}.", self.name))
    }

    fn unreachable(&self, error: &hyper_util::client::legacy::Error) -> Fault {
        let what = if error.is_connect() { "could not be reached" } else { "broke the connection before it answered" };
        self.fault(FaultKind::UpstreamUnreachable, what).detail(super::body::chain(error)).retry(Retry::Here(None))
    }
}

/// Whether a body of this content type is no stream of events.
fn is_whole(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    kind.contains("json") || kind.contains("html")
}

#[cfg(test)]
pub(crate) mod rig;
#[cfg(test)]
mod tests;
