//! The response headers of LiteLLM's proxy, for dashboards that read them, where the operator wants that.
//!
//! Apart because they are another product's names for what ours say too. It must not know how an answer came about.

use axum::http::header::{HeaderMap, HeaderName};

use super::heads;
use crate::config::facts::Facts;
use crate::life::seat::Seat;
use crate::life::tried;

/// Puts those that refusals have too.
pub(super) fn put_call(headers: &mut HeaderMap, facts: &Facts, id: &str) {
    if facts.litellm_headers {
        heads::put(headers, HeaderName::from_static("x-litellm-call-id"), id);
        heads::put(headers, HeaderName::from_static("x-litellm-version"), concat!("gatewright-", env!("CARGO_PKG_VERSION")));
    }
}

/// Puts them. What is not known when the head of a stream goes out is left out.
pub(super) fn put(headers: &mut HeaderMap, seat: &Seat) {
    let caller = seat.caller();
    let facts = &caller.host.facts;
    if !facts.litellm_headers {
        return;
    }
    put_call(headers, facts, &caller.head.request_id);
    let mut text = |name: &'static str, value: Option<String>| {
        if let Some(value) = value {
            heads::put(headers, HeaderName::from_static(name), &value);
        }
    };
    let (leg, walked) = seat.meter().read(|figures| (figures.leg.clone(), tried::walked(&figures.tries)));
    let provider = leg.as_deref().and_then(|leg| leg.split_once('/')).and_then(|(name, _)| facts.providers.get(name));
    text("x-litellm-model-group", Some(seat.model()));
    text("x-litellm-model-api-base", provider.map(|provider| provider.base_url.clone()));
    text("x-litellm-attempted-fallbacks", leg.as_ref().map(|_| walked.fallbacks.to_string()));
    text("x-litellm-attempted-retries", leg.as_ref().map(|_| walked.retries.to_string()));
    text("x-litellm-model-id", leg);
    text("x-litellm-response-cost", seat.cost().map(|nanos| nanos.to_string()));
    text("x-litellm-response-duration-ms", Some(millis(caller.started.elapsed())));
    text("x-litellm-overhead-duration-ms", Some(millis(seat.meter().overhead())));
    let key = caller.key.as_ref();
    text("x-litellm-key-rpm-limit", key.and_then(|key| key.requests_per_minute).map(|limit| limit.to_string()));
    text("x-litellm-key-tpm-limit", key.and_then(|key| key.tokens_per_minute).map(|limit| limit.to_string()));
}

/// Milliseconds with three digits behind the point.
fn millis(time: std::time::Duration) -> String {
    format!("{}.{:03}", time.as_millis(), time.subsec_micros() % 1000)
}
