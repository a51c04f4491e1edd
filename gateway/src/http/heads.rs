//! Headers: what a request's say, and what a response's shall say.
//!
//! Apart because all answers and refusals share them. It must not know bodies.

use std::time::Duration;

use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, COOKIE, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION,
};

use crate::config::facts::Secret;
use crate::dialects::DialectRef;
use crate::host::Host;
use crate::life::Head;
use crate::life::seat::{Seat, Told};
use crate::limits::{Gauge, Standing};
use crate::money::Nanos;
use crate::records::micros;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) const CACHE: HeaderName = HeaderName::from_static("x-gatewright-cache");
pub(super) const PLUGINS: HeaderName = HeaderName::from_static("x-gatewright-plugins");
pub(super) const VERSIONS: HeaderName = HeaderName::from_static("x-gatewright-plugin-versions");
pub(super) const LEG: HeaderName = HeaderName::from_static("x-gatewright-leg");
pub(super) const ATTEMPTS: HeaderName = HeaderName::from_static("x-gatewright-attempts");
pub(super) const ANSWERED_BY: HeaderName = HeaderName::from_static("x-gatewright-answered-by");
pub(super) const TRIES: HeaderName = HeaderName::from_static("x-gatewright-tries");
pub(super) const OVERHEAD: HeaderName = HeaderName::from_static("x-gatewright-overhead-us");
const THINKING: HeaderName = HeaderName::from_static("x-gatewright-thinking");
/// What was asked for and did not reach the model: no upstream can be asked for it, or not the one that answered. Told always, for
/// the answer lacks it.
const NOT_CARRIED: HeaderName = HeaderName::from_static("x-gatewright-not-carried");
pub(super) const RECALLED: HeaderName = HeaderName::from_static("x-gatewright-recalled");
const COST: HeaderName = HeaderName::from_static("x-gatewright-cost");
const COMPARED_COST: HeaderName = HeaderName::from_static("x-gatewright-compared-cost");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const CONVERSATION: HeaderName = HeaderName::from_static("x-gatewright-conversation");

/// Longest id that is taken over from a client.
const MAX_ID: usize = 128;

/// What the stages want to know of a request's headers.
pub(super) fn head(headers: &HeaderMap, host: &Host, dialect: DialectRef) -> Head {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let theirs = text(&REQUEST_ID).filter(|id| is_sane(id));
    let answer_id = theirs.filter(|_| dialect.keeps()).map(|_| host.shared.ids.next());
    let id = theirs.map_or_else(|| host.shared.ids.next(), str::to_owned);
    let kept = |name: &&'static str| Some((*name, headers.get(*name)?.to_str().ok()?.to_owned()));
    Head {
        dialect,
        kept: dialect.kept_headers().iter().filter_map(kept).collect(),
        request_id: id,
        answer_id,
        bearer: text(&AUTHORIZATION).and_then(bearer).or_else(|| text(&API_KEY).and_then(key)),
        no_store: headers.get_all(CACHE_CONTROL).iter().any(says_no_store),
        conversation: text(&CONVERSATION).filter(|id| is_sane(id)).map(str::to_owned),
        headers: if host.reads_headers { open_headers(headers) } else { Vec::new() },
        content_length: text(&CONTENT_LENGTH).and_then(|length| length.parse().ok()),
    }
}

/// All headers but those that carry credentials, for conditions to look at.
fn open_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let secret = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, API_KEY];
    let open = headers.iter().filter(|(name, _)| !secret.contains(name));
    open.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))).collect()
}

/// Whether a client's id is fit for headers, logs and records.
fn is_sane(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

fn bearer(value: &str) -> Option<Secret> {
    let (scheme, key) = value.trim().split_once(' ')?;
    self::key(key).filter(|_| scheme.eq_ignore_ascii_case("bearer"))
}

/// A key that stands alone; an empty one is none.
fn key(value: &str) -> Option<Secret> {
    Some(value.trim()).filter(|key| !key.is_empty()).map(Secret::new)
}

fn says_no_store(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case("no-store")))
}

/// The id of the request that is answered, where the client's dialect looks for it.
pub(super) fn put_id(headers: &mut HeaderMap, dialect: DialectRef, id: &str) {
    put(headers, REQUEST_ID, id);
    if let Some(name) = dialect.id_header() {
        put(headers, HeaderName::from_static(name), id);
    }
}

/// Sets a header; a text that is not fit for one is left out.
pub(super) fn put(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// What the plugins did and which way the answer came, where it is told.
pub(super) fn put_told(headers: &mut HeaderMap, told: &Told) {
    for (name, text) in told_lines(told) {
        put(headers, name, &text);
    }
}

/// The same, by name: headers of an answer, or comments at the end of a stream, whose headers went out before.
pub(super) fn told_lines(told: &Told) -> impl Iterator<Item = (HeaderName, String)> {
    let way = told.way.as_ref();
    let dollars = |nanos: Option<Nanos>| nanos.map(|nanos| nanos.to_string());
    let lines = [
        (PLUGINS, told.did.clone()),
        (VERSIONS, told.versions.clone()),
        (LEG, way.and_then(|way| way.leg.clone())),
        (ATTEMPTS, way.filter(|way| way.attempts > 0).map(|way| way.attempts.to_string())),
        (TRIES, way.and_then(|way| way.tries.clone())),
        (OVERHEAD, way.map(|way| micros(way.overhead).to_string())),
        (COST, dollars(told.cost)),
        (COMPARED_COST, dollars(told.compared)),
    ];
    lines.into_iter().filter_map(|(name, text)| Some((name, text?)))
}

/// What no upstream can be asked for, and what the one that answered has no words for; and how it was asked to think.
pub(super) fn carried(seat: &Seat) -> Vec<(HeaderName, String)> {
    let echo = seat.echo().filter(|_| !seat.speaks_clients_dialect());
    let mut names = echo.map(|echo| echo.left_out.clone()).unwrap_or_default();
    seat.meter().read(|figures| {
        names.extend_from_slice(&figures.carried.left_out);
        let thinking = figures.carried.thinking.as_ref().filter(|_| seat.caller().host.facts.verdict_headers);
        let names = (!names.is_empty()).then(|| (NOT_CARRIED, names.join(", ")));
        names.into_iter().chain(thinking.map(|thinking| (THINKING, thinking.to_string()))).collect()
    })
}

/// How the key's limits stand, in the field's usual headers.
pub(super) fn put_standing(headers: &mut HeaderMap, standing: &Standing) {
    let names = |limit, remaining, reset| [limit, remaining, reset].map(HeaderName::from_static);
    if let Some(gauge) = standing.requests {
        let names = names("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests");
        put_gauge(headers, names, gauge);
    }
    if let Some(gauge) = standing.tokens {
        let names = names("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens");
        put_gauge(headers, names, gauge);
    }
}

fn put_gauge(headers: &mut HeaderMap, [limit, remaining, reset]: [HeaderName; 3], gauge: Gauge) {
    headers.insert(limit, gauge.limit.into());
    headers.insert(remaining, gauge.remaining.into());
    put(headers, reset, &duration(gauge.reset));
}

/// A time as OpenAI writes it: `250ms`, `1.5s`, `2m3s`.
fn duration(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{}ms", time.as_millis()),
        seconds @ 1..60 => format!("{}.{}s", seconds, time.subsec_millis() / 100).replace(".0s", "s"),
        seconds => format!("{}m{}s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_over_only_when_they_are_sane() {
        assert!(is_sane("req-1_2.3:4"));
        for bad in ["", "a b", "a\nb", "ä", &"x".repeat(129)] {
            assert!(!is_sane(bad), "{bad:?}");
        }
    }

    #[test]
    fn keys_are_read_in_any_case_of_the_scheme() {
        assert_eq!(bearer("bearer  k ").unwrap().reveal(), "k");
        assert!(bearer("Basic k").is_none() && bearer("k").is_none());
        assert!(key(" k ").unwrap().reveal() == "k" && key(" ").is_none());
    }

    #[test]
    fn no_store_is_found_among_other_words() {
        assert!(says_no_store(&HeaderValue::from_static("max-age=0, No-Store")));
        assert!(!says_no_store(&HeaderValue::from_static("no-cache")));
    }

    #[test]
    fn times_are_written_as_clients_know_them() {
        let cases = [
            (Duration::from_millis(250), "250ms"),
            (Duration::from_millis(1500), "1.5s"),
            (Duration::from_secs(30), "30s"),
            (Duration::from_secs(123), "2m3s"),
        ];
        for (time, text) in cases {
            assert_eq!(duration(time), text);
        }
    }
}
