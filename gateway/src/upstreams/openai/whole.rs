//! Whole answers through async-openai's client, the JSON kept as it came.
//!
//! The client makes the request and reads the answer; the HTTP service underneath it is ours, so that nothing is retried unseen,
//! bodies are bounded, and a refusal keeps its status, its body and its Retry-After. What it would read into types that lose
//! unknown fields is taken as raw JSON. It must not be used for streams.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_openai::Client;
use async_openai::config::Config;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use bytes::Bytes;
use gatewright_types::{Chunk, Fault, FaultKind, RawJson};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::SecretString;
use serde_json::value::RawValue;
use tower_service::Service;

use super::super::body::{Patience, Reading};
use super::Target;
use crate::dialects::openai_chat::delta;

/// async-openai's client for one provider. Its own HTTP client is never used.
pub(super) struct WholeClient(Client<Arc<dyn Config>>);

/// Where and with which headers async-openai asks. Its own configuration would read the environment.
struct Place {
    base: String,
    headers: HeaderMap,
    /// Unused: the credentials are among the headers.
    key: SecretString,
}

impl Config for Place {
    fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }
    fn url(&self, path: &str) -> String {
        [&self.base, path].concat()
    }
    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }
    fn api_base(&self) -> &str {
        &self.base
    }
    fn api_key(&self) -> &SecretString {
        &self.key
    }
}

/// The HTTP service underneath one call.
#[derive(Clone)]
struct Wire {
    target: Arc<Target>,
    patience: Patience,
}

impl Service<HttpRequestFactory> for Wire {
    type Response = reqwest::Response;
    type Error = OpenAIError;
    type Future = Pin<Box<dyn Future<Output = Result<reqwest::Response, OpenAIError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, factory: HttpRequestFactory) -> Self::Future {
        let Self { target, patience } = self.clone();
        Box::pin(async move {
            let request = factory.build().await?;
            let body = target.body(request, patience).await.map_err(|fault| OpenAIError::Boxed(Box::new(fault)))?;
            Ok(http::Response::new(body).into())
        })
    }
}

impl Target {
    /// The body of a good answer, whole and bounded.
    async fn body(&self, request: reqwest::Request, patience: Patience) -> Result<Bytes, Fault> {
        let response = self.send(request, patience.until).await?;
        let kind = response.headers().get(CONTENT_TYPE).cloned();
        let body = Reading::new(response.into(), patience).whole(self.max_answer).await.map_err(|stop| self.stopped(stop))?;
        let text = body.trim_ascii();
        if text.starts_with(b"{") && text.ends_with(b"}") {
            return Ok(body);
        }
        // A page, or half an object: async-openai would write all of it into the log.
        let beginning = String::from_utf8_lossy(text.get(..text.len().min(300)).unwrap_or_default()).into_owned();
        let detail = format!("{kind:?}: {beginning}");
        Err(self.fault(FaultKind::UpstreamInvalid, "sent something else than an answer").detail(detail))
    }
}

impl WholeClient {
    /// A client for that base URL.
    pub(super) fn new(base: &str, headers: &HeaderMap, http: &reqwest::Client) -> Self {
        let mut headers = headers.clone();
        // The client adds it itself.
        headers.remove(CONTENT_TYPE);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let place: Arc<dyn Config> = Arc::new(Place { base: base.to_owned(), headers, key: SecretString::default() });
        Self(Client::build(http.clone(), place))
    }

    /// Asks for a whole answer.
    pub(super) async fn ask(&self, target: &Arc<Target>, body: &[u8], patience: Patience) -> Result<Chunk, Fault> {
        let invalid = |error: &serde_json::Error| target.fault(FaultKind::UpstreamInvalid, "sent invalid JSON").detail(error);
        let wire = Wire { target: Arc::clone(target), patience };
        let body: &RawValue = serde_json::from_slice(body).map_err(|error| invalid(&error))?;
        let client = self.0.clone().with_http_service(wire);
        let answer: Result<RawJson, OpenAIError> = client.chat().create_byot(body).await;
        match answer {
            Ok(json) => delta::read_body(Bytes::from(String::from(Box::<str>::from(json)))),
            Err(OpenAIError::Boxed(error)) => Err(match error.downcast::<Fault>() {
                Ok(fault) => *fault,
                Err(error) => target.fault(FaultKind::UpstreamUnreachable, "could not be asked").detail(error),
            }),
            Err(OpenAIError::Reqwest(error)) => Err(target.unreachable(error)),
            Err(OpenAIError::JSONDeserialize(error, _)) => Err(invalid(&error)),
            Err(error) => Err(target.fault(FaultKind::UpstreamInvalid, "could not be understood").detail(error)),
        }
    }
}
