//! What can go wrong with a request, as data: whose fault it is, whether trying again helps, and what to tell whom.
//!
//! Apart because every room raises faults and only the dialects word them for clients. It must not know status lines of any
//! dialect beyond the plain HTTP number.

use std::time::Duration;

use bytes::Bytes;

/// Whose fault it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client's.
    Caller,
    /// Ours, or an operator's configuration.
    Gateway,
    /// An upstream's, by name.
    Upstream(String),
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same request fails again, anywhere.
    Never,
    /// The same place may answer after this long (`None`: the usual backoff).
    Here(Option<Duration>),
    /// Another leg may answer.
    Elsewhere,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The body is not JSON.
    InvalidJson,
    /// The body is JSON, but not a request.
    InvalidRequest,
    /// The body is over the limit.
    BodyTooLarge,
    /// The prompt does not fit the model's context.
    ContextLength,
    /// Headers or body did not arrive in time.
    ClientTimeout,
    /// No key, or one that we do not know or that was revoked.
    Unauthenticated,
    /// The key may not do this.
    Forbidden,
    /// No such path or object.
    NotFound,
    /// The answer that the request goes on from is not kept.
    UnknownAnswer,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// No route or provider of that name.
    UnknownModel,
    /// Over the key's requests, tokens or requests in flight.
    RateLimited,
    /// The gateway is at one of its bounds.
    Overloaded,
    /// A policy refused; its code.
    Blocked {
        /// The plugin that refused.
        plugin: String,
        /// Its code.
        code: String,
    },
    /// A plugin failed and its `on_error` is closed.
    PluginFailed {
        /// The plugin that failed.
        plugin: String,
    },
    /// The tool loop reached one of its bounds.
    ToolLoop,
    /// The upstream could not be reached.
    UpstreamUnreachable,
    /// The upstream took longer than a limit.
    UpstreamTimeout,
    /// The upstream answered with this HTTP status.
    UpstreamStatus(u16),
    /// The upstream sent what we cannot read, or too much of it.
    UpstreamInvalid,
    /// The upstream ended in the middle of an answer.
    UpstreamCut,
    /// The embedded engine failed.
    Engine,
    /// Something is wrong in the gateway itself.
    Internal,
}

/// One failure of one request.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Whose fault it is.
    pub side: Side,
    /// Whether trying again can help.
    pub retry: Retry,
    /// What went wrong.
    pub kind: FaultKind,
    /// For the client: what, where, and what to do. Never holds a secret or an upstream's key.
    pub message: String,
    /// The request's field that is to blame, as a path (`messages[2].content`).
    pub param: Option<String>,
    /// For the operator's log alone. Never holds what an upstream sent: see [`Fault::quote`].
    pub detail: Option<String>,
    /// The beginning of what an upstream sent. It may repeat a prompt or a part of an answer: for the log of an operator who lets
    /// those be logged.
    pub quote: Option<String>,
    /// The upstream's own error body and content type, for a client of the same dialect.
    pub body: Option<(&'static str, Bytes)>,
}

impl Fault {
    /// A fault of the caller: retrying does not help.
    pub fn caller(kind: FaultKind, message: impl Into<String>) -> Self {
        Self::new(Side::Caller, Retry::Never, kind, message)
    }

    /// A fault of ours: retrying does not help.
    pub fn gateway(kind: FaultKind, message: impl Into<String>) -> Self {
        Self::new(Side::Gateway, Retry::Never, kind, message)
    }

    /// A fault of an upstream: another leg may answer.
    pub fn upstream(name: &str, kind: FaultKind, message: impl Into<String>) -> Self {
        Self::new(Side::Upstream(name.to_owned()), Retry::Elsewhere, kind, message)
    }

    fn new(side: Side, retry: Retry, kind: FaultKind, message: impl Into<String>) -> Self {
        Self { side, retry, kind, message: message.into(), param: None, detail: None, quote: None, body: None }
    }

    /// The same fault, with the field that is to blame.
    #[must_use]
    pub fn at(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The same fault, with a text for the operator's log.
    #[must_use]
    pub fn detail(mut self, detail: impl std::fmt::Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    /// The same fault, with the beginning of what the upstream sent.
    #[must_use]
    pub fn quote(mut self, quote: impl Into<String>) -> Self {
        self.quote = Some(quote.into());
        self
    }

    /// The same fault, with another word on retrying.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The HTTP status that says this best, before anything was sent.
    pub fn status(&self) -> u16 {
        match &self.kind {
            FaultKind::InvalidJson | FaultKind::InvalidRequest | FaultKind::UnknownAnswer => 400,
            FaultKind::ContextLength | FaultKind::Blocked { .. } => 400,
            FaultKind::Unauthenticated => 401,
            FaultKind::Forbidden => 403,
            FaultKind::NotFound | FaultKind::UnknownModel => 404,
            FaultKind::MethodNotAllowed => 405,
            FaultKind::ClientTimeout => 408,
            FaultKind::BodyTooLarge => 413,
            FaultKind::RateLimited => 429,
            FaultKind::Overloaded => 503,
            FaultKind::UpstreamStatus(status) => match status {
                // Refused credentials are ours: the client's own key is not to blame.
                400 | 402 | 404..=406 | 408..=499 => *status,
                _ => 502,
            },
            FaultKind::UpstreamUnreachable | FaultKind::UpstreamInvalid | FaultKind::UpstreamCut => 502,
            FaultKind::UpstreamTimeout => 504,
            FaultKind::PluginFailed { .. } | FaultKind::ToolLoop | FaultKind::Engine | FaultKind::Internal => 500,
        }
    }
}
