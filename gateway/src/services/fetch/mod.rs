//! Fetching for one plugin: hosts of its operator's list, bounded in redirects, bytes and time.
//!
//! Apart because each plugin has its own list, secrets and connections, none of which another sees. It must not know guests.

mod address;
mod call;
mod dial;
mod place;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gatewright_plugins::{FetchRequest, FetchResponse, ServiceError};
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use self::call::{Call, failed};
use self::dial::{Dialer, Refused, Resolve, System};
use super::Range;
use crate::config::facts::FetchFact;
use crate::upstreams::remote::{Unusable, trusting_nobody, trusting_the_system};

/// Redirects that are followed.
const MOST_REDIRECTS: usize = 3;
/// An idle connection is closed after this time.
const IDLE_TIME: Duration = Duration::from_secs(30);
/// Idle connections that are kept, for each host.
const IDLE_CONNECTIONS: usize = 16;
/// Bytes that one connection reads at once, and the most that the head of an answer may have.
const BUFFER: usize = 16 << 10;

/// Fetches for one plugin.
pub(crate) struct Fetcher {
    fact: FetchFact,
    client: Asker,
    /// Reaches hosts of the operator's own network alone, for requests that must not leave.
    near: Asker,
}

type Asker = Client<HttpsConnector<Dialer>, Full<Bytes>>;

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("hosts", &self.fact.hosts).finish_non_exhaustive()
    }
}

impl Fetcher {
    /// A fetcher by the operator's word.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(crate) fn new(fact: &FetchFact) -> Result<Self, Unusable> {
        Self::with(fact, Arc::new(System))
    }

    fn with(fact: &FetchFact, names: Arc<dyn Resolve>) -> Result<Self, Unusable> {
        // Without TLS the system's certificates need not be read, and may be missing.
        let tls = if fact.hosts.iter().any(|host| host.tls) { trusting_the_system() } else { trusting_nobody() };
        let tls = tls.map_err(|error| Unusable(format!("TLS cannot be set up: {error}")))?;
        let client = |range| {
            let connector = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1();
            let connector = connector.wrap_connector(Dialer::new(&fact.hosts, Arc::clone(&names), range));
            let mut builder = Client::builder(TokioExecutor::new());
            builder.timer(TokioTimer::new()).pool_timer(TokioTimer::new());
            builder.pool_idle_timeout(IDLE_TIME).pool_max_idle_per_host(IDLE_CONNECTIONS).http1_read_buf_exact_size(BUFFER);
            builder.build(connector)
        };
        Ok(Self { fact: fact.clone(), client: client(Range::Anywhere), near: client(Range::Inside) })
    }

    /// Fetches. What must not leave goes to addresses inside the operator's network alone.
    pub(crate) async fn send(&self, request: FetchRequest, range: Range) -> Result<FetchResponse, ServiceError> {
        let call = Call::read(request, &self.fact)?;
        let client = if range == Range::Inside { &self.near } else { &self.client };
        let late = || ServiceError::Limit(format!("no answer within {:?}", self.fact.timeout));
        tokio::time::timeout(self.fact.timeout, self.follow(call, client)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn follow(&self, mut call: Call, client: &Asker) -> Result<FetchResponse, ServiceError> {
        for _ in 0..=MOST_REDIRECTS {
            let response = client.request(call.request()).await.map_err(|error| blamed(&error))?;
            match call.redirected(response.status(), response.headers(), &self.fact)? {
                Some(next) => call = next,
                None => return self.whole(response).await,
            }
        }
        Err(ServiceError::Limit(format!("{MOST_REDIRECTS} redirects")))
    }

    async fn whole(&self, response: Response<Incoming>) -> Result<FetchResponse, ServiceError> {
        let (head, body) = response.into_parts();
        let most = self.fact.max_bytes;
        let body = Limited::new(body, most).collect().await.map_err(|error| match error.is::<LengthLimitError>() {
            true => ServiceError::Limit(format!("an answer of more than {most} bytes")),
            false => failed("the connection broke off in the middle of the answer"),
        })?;
        Ok(FetchResponse { status: head.status.as_u16(), headers: listed(&head.headers), body: body.to_bytes().into() })
    }
}

fn listed(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// What a guest is told of a call that came to nothing: not where it led. The operator's log has the rest.
fn blamed(error: &hyper_util::client::legacy::Error) -> ServiceError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    let mut words = String::new();
    while let Some(error) = cause {
        if error.is::<Refused>() {
            return ServiceError::Denied;
        }
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    tracing::debug!("a plugin's fetch failed{words}");
    failed(if error.is_connect() { "the host could not be reached" } else { "the connection broke off before there was an answer" })
}
