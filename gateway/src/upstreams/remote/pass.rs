//! Bytes on their way to a provider and back, unread: for paths that the gateway does not know.
//!
//! Apart because nothing here is a request of any dialect; only where a provider is, how it is asked and how its refusals are worded is
//! shared with what is. What goes up and what comes down are streams, bounded by whoever gives and takes them. It must not know who
//! asks, or what may be asked for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_util::Stream;
use gatewright_types::{Fault, FaultKind};
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use hyper_util::client::legacy::Client;

use super::super::body::{Patience, Reading};
use super::clients::{Clients, Unusable};
use super::dial::Dialer;
use super::{RemoteUpstream, Target};

/// What goes up.
pub(crate) type Upload = UnsyncBoxBody<Bytes, std::io::Error>;

/// Carries bytes to one provider.
pub(crate) struct Courier {
    target: Arc<Target>,
    /// What comes before `/v1/...`.
    base: String,
    /// Whether `/v1` is the base's own.
    within: bool,
    http: Client<Dialer, Upload>,
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Courier").field("to", &self.target.name).finish_non_exhaustive()
    }
}

/// What is carried.
pub(crate) struct Parcel {
    pub(crate) method: Method,
    /// Path and query, from `/v1` on.
    pub(crate) path: String,
    /// Of the client's headers, those that may be seen there.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Upload,
}

/// What came back, of a good status.
pub(crate) struct Delivered {
    pub(crate) status: StatusCode,
    /// All of the provider's.
    pub(crate) headers: HeaderMap,
    pub(crate) load: Load,
}

/// What comes down.
pub(crate) struct Load {
    target: Arc<Target>,
    reading: Reading,
    left: usize,
}

impl Courier {
    /// A courier to who is asked for chats there.
    ///
    /// # Errors
    /// [`Unusable`]: TLS cannot be set up.
    pub(crate) fn new(upstream: &RemoteUpstream, base: &str, clients: &Clients) -> Result<Self, Unusable> {
        let target = Arc::clone(&upstream.0);
        let http = clients.carrying(&target.uri, target.timeouts.connect)?;
        let base = base.trim_end_matches('/').to_owned();
        // A base without it is one of Messages, whose own calls begin with it, or of who has another path in its place.
        let within = !target.dialect.url(&base).starts_with(&format!("{base}/v1/"));
        Ok(Self { target, base, within, http })
    }

    /// Takes a parcel there.
    ///
    /// # Errors
    /// It could not be reached, took too long, or refused.
    pub(crate) async fn carry(&self, parcel: Parcel) -> Result<Delivered, Fault> {
        self.try_carry(parcel).await.map_err(|fault| self.target.named(fault))
    }

    async fn try_carry(&self, parcel: Parcel) -> Result<Delivered, Fault> {
        let target = &self.target;
        let until = Instant::now() + target.timeouts.total;
        let Parcel { method, path, headers, body } = parcel;
        let mut call = Request::new(body);
        *call.method_mut() = method;
        *call.uri_mut() = self.uri(&path)?;
        *call.headers_mut() = headers;
        for (name, value) in target.headers.iter().filter(|(name, _)| **name != CONTENT_TYPE) {
            call.headers_mut().insert(name, value.clone());
        }
        let response = match tokio::time::timeout_at(until.into(), self.http.request(call)).await {
            Err(_) => return Err(target.fault(FaultKind::UpstreamTimeout, "did not answer in time")),
            Ok(Err(error)) => return Err(target.unreachable(&error)),
            Ok(Ok(response)) => response,
        };
        // 304 says that what the client has is still good.
        if !(response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED) {
            return Err(target.refused(response, until).await);
        }
        let (head, body) = response.into_parts();
        let reading = Reading::new(body, Patience { idle: target.timeouts.idle, until });
        let load = Load { target: Arc::clone(target), reading, left: target.max_answer };
        Ok(Delivered { status: head.status, headers: head.headers, load })
    }

    fn uri(&self, path: &str) -> Result<Uri, Fault> {
        let rest = if self.within { path.strip_prefix("/v1").unwrap_or(path) } else { path };
        let wrong = |_| Fault::caller(FaultKind::NotFound, "This path cannot be passed on.");
        format!("{}{rest}", self.base).parse().map_err(wrong)
    }
}

impl Stream for Load {
    type Item = Result<Bytes, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let fault = match std::task::ready!(this.reading.poll_piece(context)) {
            None => return Poll::Ready(None),
            Some(Ok(piece)) => match this.left.checked_sub(piece.len()) {
                Some(left) => {
                    this.left = left;
                    return Poll::Ready(Some(Ok(piece)));
                }
                None => this.target.fault(FaultKind::UpstreamInvalid, "sent more than the gateway's limit"),
            },
            Some(Err(stop)) => this.target.stopped(stop),
        };
        Poll::Ready(Some(Err(this.target.named(fault))))
    }
}
