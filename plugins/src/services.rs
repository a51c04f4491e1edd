//! What a grant opens. So far: the log. Settings are plain data and go in `Setup`.
//!
//! It must not know which sandbox calls it; sandboxes cut lines to [`LINE_BYTES`] and count them toward the output limit.

use crate::guest::{Level, Sink};

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
