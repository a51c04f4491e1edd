//! What the engine cannot do, and what to do about it.
//!
//! Apart because everything here fails with it. It must not know how a client is told.

use std::time::Duration;

/// What the engine cannot do, and what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// A file is missing or wrong.
    #[error("{0}")]
    Load(String),
    /// The device cannot be used.
    #[error("{0}")]
    Device(String),
    /// The request asks for what this model or engine cannot do; which field.
    #[error("{message}")]
    Unsupported {
        /// The request's field.
        param: String,
        /// For the client.
        message: String,
    },
    /// The prompt does not fit the context.
    #[error("the prompt has {prompt} tokens, the model's context {context}")]
    TooLong {
        /// Tokens of the prompt; at least so many, where counting them all would have been in vain.
        prompt: usize,
        /// Tokens of the context, or as many as there is memory for.
        context: usize,
    },
    /// Too many requests wait.
    #[error("the engine's queue is full")]
    Full {
        /// When there may be room, by how long requests have taken.
        retry_after: Duration,
    },
    /// The request's deadline passed.
    #[error("the request's deadline passed {}", if *.began { "before its answer was whole" } else { "while it waited for its turn" })]
    Deadline {
        /// Whether it ran before.
        began: bool,
    },
    /// A step failed on the device.
    #[error("{0}")]
    Step(String),
}

impl EngineError {
    pub(crate) fn load(what: impl Into<String>) -> Self {
        Self::Load(what.into())
    }

    pub(crate) fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Unsupported { param: param.into(), message: message.into() }
    }
}
