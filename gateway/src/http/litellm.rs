//! The response headers of LiteLLM's proxy, for dashboards that read them, where the operator wants that.
//!
//! Apart because they are another product's names for what ours say too. It must not know how an answer came about.

use axum::http::header::{HeaderMap, HeaderName};

use super::heads;
use crate::life::seat::Seat;

/// Puts them. What is not known when the head of a stream goes out is left out.
pub(super) fn put(headers: &mut HeaderMap, seat: &Seat) {
    let caller = seat.caller();
    let facts = &caller.host.facts;
    if !facts.litellm_headers {
        return;
    }
    let mut text = |name: &'static str, value: Option<String>| {
        if let Some(value) = value {
            heads::put(headers, HeaderName::from_static(name), &value);
        }
    };
    let (leg, attempts, given_up) = seat.meter().read(|figures| (figures.leg.clone(), figures.attempts, figures.given_up));
    let provider = leg.as_deref().and_then(|leg| leg.split_once('/')).and_then(|(name, _)| facts.providers.get(name));
    text("x-litellm-call-id", Some(caller.head.request_id.clone()));
    text("x-litellm-version", Some(concat!("gatewright-", env!("CARGO_PKG_VERSION")).to_owned()));
    text("x-litellm-model-group", Some(seat.model()));
    text("x-litellm-model-api-base", provider.map(|provider| provider.base_url.clone()));
    // The leg that answered is the last one tried: all others were given up, and all further tries were retries.
    text("x-litellm-attempted-fallbacks", leg.as_ref().map(|_| given_up.to_string()));
    text("x-litellm-attempted-retries", leg.as_ref().map(|_| attempts.saturating_sub(given_up + 1).to_string()));
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
