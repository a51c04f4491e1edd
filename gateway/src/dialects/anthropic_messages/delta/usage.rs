//! The `usage` object, which comes twice in a stream: what the prompt was, then what all was.
//!
//! Apart because its numbers are parts where the canonical ones are sums. It must not know where in an answer the object stood.

use gatewright_types::{Extras, Usage};
use serde_json::value::RawValue;

use crate::dialects::anthropic_messages::{FOR_LONG, USUALLY, WRITTEN, keep};
use crate::dialects::wire;

/// What was reported so far.
#[derive(Default)]
pub(super) struct UsageIn {
    input: u64,
    read: Option<u64>,
    written: Option<u64>,
    /// Of that, what lasts for an hour.
    long: Option<u64>,
    output: u64,
    extras: Extras,
}

/// More tokens than any answer has. What an upstream reports beyond it is noise, and must not spoil sums.
const MOST: u64 = 1 << 40;

fn count(raw: &RawValue) -> Option<u64> {
    wire::float(raw).ok().map(|number| (number as u64).min(MOST))
}

impl UsageIn {
    /// Takes an object over; what it does not tell stays.
    pub(super) fn take(&mut self, raw: &RawValue) {
        let Ok(fields) = wire::object(raw) else { return };
        let mut newer = Extras::new();
        for (name, raw) in fields.0 {
            match &*name {
                "input_tokens" => self.input = count(raw).unwrap_or(self.input),
                "output_tokens" => self.output = count(raw).unwrap_or(self.output),
                "cache_read_input_tokens" => self.read = count(raw).or(self.read),
                "cache_creation_input_tokens" => self.written = count(raw).or(self.written),
                _ if wire::is_null(raw) => {}
                WRITTEN => {
                    if !self.lasting(raw) {
                        keep(&mut newer, WRITTEN, raw);
                    }
                }
                name => keep(&mut newer, name, raw),
            }
        }
        self.extras.replace(newer);
    }

    /// Takes over what was written by how long it lasts; whether that is all that the object says.
    fn lasting(&mut self, raw: &RawValue) -> bool {
        let Ok(fields) = wire::object(raw) else { return false };
        for (name, raw) in &fields.0 {
            if name == FOR_LONG {
                self.long = count(raw).or(self.long);
            }
        }
        self.long.is_some() && fields.0.iter().all(|(name, _)| matches!(&**name, USUALLY | FOR_LONG))
    }

    /// All of it: the prompt with what was read from a cache and written into it.
    pub(super) fn read(&self) -> Usage {
        let cache = self.read.unwrap_or_default().saturating_add(self.written.unwrap_or_default());
        Usage {
            prompt: self.input.saturating_add(cache),
            completion: self.output,
            reasoning: None,
            cached: self.read,
            cache_written: self.written,
            cache_written_long: self.long,
            extras: self.extras.clone(),
        }
    }
}
