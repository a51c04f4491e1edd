//! How a request ended, in one word: the same word in the metrics and in the records.
//!
//! Apart so that both speak of the same thing. It must not know who asks.

use gatewright_types::{Fault, FaultKind};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// With a whole answer of the model.
    Ok,
    /// A plugin refused.
    Blocked,
    /// A plugin answered in the model's place.
    Answered,
    /// The client went away.
    HungUp,
    /// With a fault of this word.
    Fault(&'static str),
}

impl Outcome {
    /// The outcome that a fault is; a plugin's block is [`Outcome::Blocked`].
    pub const fn of(fault: &Fault) -> Self {
        Self::Fault(match &fault.kind {
            FaultKind::Blocked { .. } => return Self::Blocked,
            FaultKind::InvalidJson => "invalid-json",
            FaultKind::InvalidRequest => "invalid-request",
            FaultKind::ContextLength => "context-length",
            FaultKind::BodyTooLarge => "body-too-large",
            FaultKind::ClientTimeout => "client-timeout",
            FaultKind::Unauthenticated => "unauthenticated",
            FaultKind::Forbidden => "forbidden",
            FaultKind::NotFound => "not-found",
            FaultKind::UnknownAnswer => "unknown-answer",
            FaultKind::MethodNotAllowed => "method-not-allowed",
            FaultKind::UnknownModel => "unknown-model",
            FaultKind::RateLimited => "rate-limited",
            FaultKind::Overloaded => "overloaded",
            FaultKind::PluginFailed { .. } => "plugin-failed",
            FaultKind::ToolLoop => "tool-loop",
            FaultKind::UpstreamUnreachable => "upstream-unreachable",
            FaultKind::UpstreamTimeout => "upstream-timeout",
            FaultKind::UpstreamStatus(_) => "upstream-status",
            FaultKind::UpstreamInvalid => "upstream-invalid",
            FaultKind::UpstreamCut => "upstream-cut",
            FaultKind::Engine => "engine",
            FaultKind::Internal => "internal",
        })
    }

    /// The word, as in the metrics' label `outcome` and the records' column of that name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Blocked => "blocked",
            Self::Answered => "answered",
            Self::HungUp => "hung-up",
            Self::Fault(word) => word,
        }
    }

    /// Whether the words of the records count it as an error: not an answer, a plugin's verdict, or a client that left.
    pub const fn is_error(self) -> bool {
        matches!(self, Self::Fault(_))
    }

    /// Words that are no error, for queries.
    pub const GOOD: [&'static str; 4] = ["ok", "blocked", "answered", "hung-up"];
}
