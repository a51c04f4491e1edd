//! The `usage` object, as the many servers of this dialect write it.
//!
//! Apart because the details objects are read for two numbers and otherwise kept as they came. It must not know where in an
//! answer the object stood.

use gatewright_types::{Extras, Usage};
use serde::de::{DeserializeSeed, MapAccess};
use serde_json::value::RawValue;

use crate::dialects::wire::{self, ObjectInto, Take};

#[derive(Default)]
struct UsageIn {
    prompt: u64,
    completion: u64,
    total: Option<u64>,
    reasoning: Option<u64>,
    cached: Option<u64>,
    extras: Extras,
}

/// A details object, searched for one number.
#[derive(Default)]
struct Details {
    cached: Option<u64>,
    reasoning: Option<u64>,
}

/// More tokens than any answer has. What an upstream reports beyond it is noise, and must not spoil sums.
const MOST: u64 = 1 << 40;

fn count(raw: &RawValue) -> Option<u64> {
    wire::float(raw).ok().map(|number| (number as u64).min(MOST))
}

impl<'de> Take<'de> for Details {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let raw: &'de RawValue = map.next_value()?;
        match name {
            "cached_tokens" => self.cached = count(raw),
            "reasoning_tokens" => self.reasoning = count(raw),
            _ => {}
        }
        Ok(())
    }
}

impl<'de> Take<'de> for UsageIn {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let raw: &'de RawValue = map.next_value()?;
        match name {
            "prompt_tokens" => self.prompt = count(raw).unwrap_or_default(),
            "completion_tokens" => self.completion = count(raw).unwrap_or_default(),
            "total_tokens" => self.total = count(raw),
            _ => {
                if name.ends_with("_tokens_details") {
                    let mut details = Details::default();
                    let mut json = serde_json::Deserializer::from_str(raw.get());
                    if ObjectInto(&mut details).deserialize(&mut json).is_ok() {
                        self.cached = self.cached.or(details.cached);
                        self.reasoning = self.reasoning.or(details.reasoning);
                    }
                } else if name == "prompt_cache_hit_tokens" {
                    self.cached = self.cached.or(count(raw));
                }
                self.extras.push(name, raw.to_owned());
            }
        }
        Ok(())
    }
}

/// Reads a usage object; `None` when it is no object.
pub(in crate::dialects) fn read(raw: &RawValue) -> Option<Usage> {
    let mut usage = UsageIn::default();
    let mut json = serde_json::Deserializer::from_str(raw.get());
    ObjectInto(&mut usage).deserialize(&mut json).ok()?;
    // xAI counts thought beside the completion; the total tells.
    let beside = usage.completion.saturating_add(usage.reasoning.unwrap_or_default());
    if usage.total == Some(usage.prompt.saturating_add(beside)) {
        usage.completion = beside;
    }
    if let Some(total) = usage.total.filter(|total| *total != usage.prompt.saturating_add(usage.completion)) {
        usage.extras.push("total_tokens", serde_json::value::to_raw_value(&total).ok()?);
    }
    let UsageIn { prompt, completion, reasoning, cached, extras, .. } = usage;
    Some(Usage { prompt, completion, reasoning, cached, extras, ..Usage::default() })
}
