//! What a grant opens: the log, what is kept between requests, what is counted. Settings are plain data and go in `Setup`.
//!
//! Apart so that both sandboxes offer the same. It must not know which of them calls; sandboxes cut lines to [`LINE_BYTES`] and count
//! them toward the output limit.

pub(crate) mod counts;
pub(crate) mod store;

use std::sync::Arc;

use self::counts::Counts;
use self::store::Shelf;
use crate::guest::{Level, Sink};

/// The services of one plugin.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    pub(crate) log: Arc<dyn Sink>,
    /// Its own.
    pub(crate) store: Arc<Shelf>,
    /// All plugins'.
    pub(crate) counts: Arc<Counts>,
}

/// Longest line of a guest's log, in bytes.
pub(crate) const LINE_BYTES: usize = 4096;

/// Guests' log lines as tracing events of target `gatewright::plugin`.
#[derive(Debug)]
pub(crate) struct Traced;

impl Sink for Traced {
    fn write(&self, plugin: &str, at: Level, text: &str) {
        let text = &text[..text.floor_char_boundary(LINE_BYTES)];
        match at {
            Level::Debug => tracing::debug!(target: "gatewright::plugin", plugin, "{text}"),
            Level::Info => tracing::info!(target: "gatewright::plugin", plugin, "{text}"),
            Level::Warn => tracing::warn!(target: "gatewright::plugin", plugin, "{text}"),
            Level::Error => tracing::error!(target: "gatewright::plugin", plugin, "{text}"),
        }
    }
}

impl Level {
    /// A level by the contract's word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" => Self::Warn,
            "error" => Self::Error,
            _ => return None,
        })
    }
}
