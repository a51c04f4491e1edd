//! What an upstream's failure means: a fault with a word on retrying, fit to be shown to a client.
//!
//! Apart because nothing of the provider's credentials may leave here. A date in `Retry-After` counts from the `Date` of the same
//! response, and from our own clock only where there is none. It must not try again by itself.

use std::time::{Duration, Instant};

use bytes::Bytes;
use gatewright_types::{Fault, FaultKind, Retry, Side};
use http::Response;
use http::header::{DATE, HeaderMap, RETRY_AFTER};
use hyper::body::Incoming;

use super::super::body::{Patience, Reading, Stop};
use super::Target;
use crate::clock::{Clock, SystemClock};
use crate::dialects::{length, retry_of};

/// The most of an error body that is read, bytes.
const MAX_ERROR: usize = 64 << 10;
/// As much of what an upstream sent as the log is given, bytes.
const MAX_QUOTE: usize = 300;
/// The longest time that is spent on reading it.
const ERROR_TIME: Duration = Duration::from_secs(5);
/// Shorter texts are not searched for: they are in everything.
const MIN_SECRET: usize = 6;

impl Target {
    /// A response whose status is not a good one.
    pub(super) async fn refused(&self, response: Response<Incoming>, until: Instant) -> Fault {
        let status = response.status();
        let after = retry_after(response.headers(), || SystemClock.now_s());
        let until = until.min(Instant::now() + ERROR_TIME);
        let body = Reading::new(response.into_body(), Patience { idle: self.timeouts.idle, until }).beginning(MAX_ERROR).await;
        if status.is_redirection() || status.is_informational() {
            let what = format!("answered with HTTP {}, which is not followed", status.as_u16());
            return self.fault(FaultKind::UpstreamInvalid, &what);
        }
        let quote = beginning(&body);
        let fault = self.said(status.as_u16(), body).quote(quote);
        match (after, fault.retry) {
            (Some(after), Retry::Here(_)) => fault.retry(Retry::Here(Some(after))),
            _ => fault,
        }
    }

    /// A bad status and its body. An error body of this dialect is for the client of the same dialect, but for refused credentials,
    /// which are no business of the client.
    fn said(&self, status: u16, body: Bytes) -> Fault {
        let kind = FaultKind::UpstreamStatus(status);
        if matches!(status, 401 | 403 | 407) {
            return self.fault(kind, &format!("refused the gateway's credentials (HTTP {status})")).retry(Retry::Elsewhere);
        }
        let retry = retry_of(status);
        match self.dialect.said(&body) {
            None => length::judged(self.fault(kind, &format!("answered with HTTP {status}")).retry(retry), status, None),
            Some(said) => {
                // Money does not come back in seconds.
                let retry = if said.code.as_deref() == Some("insufficient_quota") { Retry::Elsewhere } else { retry };
                let fault = Fault::upstream(&self.name, kind, said.message).retry(retry);
                let mut fault = length::judged(fault, status, said.code.as_deref());
                fault.param = said.param;
                fault.body = Some((said.envelope, body));
                fault
            }
        }
    }

    /// Reading stopped before the answer's end.
    pub(super) fn stopped(&self, stop: Stop) -> Fault {
        let fault = match &stop {
            Stop::Idle(_) | Stop::Deadline => self.fault(FaultKind::UpstreamTimeout, "stopped in the middle of its answer"),
            Stop::TooMuch(_) => self.fault(FaultKind::UpstreamInvalid, "sent more than the gateway's limit"),
            Stop::Broken(_) => self.cut(),
        };
        fault.detail(stop)
    }

    /// The connection ended before the answer did.
    pub(super) fn cut(&self) -> Fault {
        self.fault(FaultKind::UpstreamCut, "broke off in the middle of its answer")
    }

    /// The same fault with this upstream's name in it, and none of its secrets.
    pub(super) fn named(&self, mut fault: Fault) -> Fault {
        // What the client asked for and this upstream does not take is not the upstream's fault.
        if fault.side != Side::Caller {
            fault.side = Side::Upstream(self.name.clone());
        }
        let secrets = || self.secrets.iter().map(crate::config::facts::Secret::reveal).filter(|text| text.len() >= MIN_SECRET);
        let told = |text: &str| secrets().any(|secret| text.contains(secret));
        let bad = matches!(fault.kind, FaultKind::UpstreamStatus(401 | 403 | 407));
        let leaks = |body: &Bytes| told(&String::from_utf8_lossy(body));
        if bad || fault.body.as_ref().is_some_and(|(_, body)| leaks(body)) {
            fault.body = None;
        }
        if told(&fault.message) || fault.param.as_deref().is_some_and(told) {
            (fault.message, fault.param, fault.body) = (format!("The upstream `{}` reported an error.", self.name), None, None);
        }
        for text in fault.detail.iter_mut().chain(&mut fault.quote) {
            for secret in secrets() {
                *text = text.replace(secret, "***");
            }
        }
        if let Some(quote) = &mut fault.quote {
            // Not before: a secret that is cut in two would not be found.
            quote.truncate(quote.floor_char_boundary(MAX_QUOTE));
        }
        fault
    }
}

/// The beginning of a body, as text: longer than what is kept of it once secrets are taken out.
pub(super) fn beginning(body: &Bytes) -> String {
    String::from_utf8_lossy(body.get(..body.len().min(MAX_ERROR)).unwrap_or_default()).into_owned()
}

/// How long an upstream asks to be left alone: seconds, milliseconds (OpenAI's own header) or a date.
fn retry_after(headers: &HeaderMap, now_s: impl FnOnce() -> u64) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(millis) = text("retry-after-ms").and_then(|millis| millis.parse().ok()) {
        return Some(Duration::from_millis(millis));
    }
    let value = text(RETRY_AFTER.as_str())?;
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = |text: &str| jiff::fmt::rfc2822::parse(text).ok().map(|date| date.timestamp().as_second());
    let until = date(value)?;
    let now = text(DATE.as_str()).and_then(date).or_else(|| i64::try_from(now_s()).ok())?;
    Some(Duration::from_secs(u64::try_from(until.saturating_sub(now)).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_seconds_milliseconds_and_as_a_date() {
        let after = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            retry_after(&headers, || 1_445_412_500)
        };
        assert_eq!(after(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(after(&[("retry-after", "0.5")]), Some(Duration::from_millis(500)));
        assert_eq!(after(&[("retry-after", "9"), ("retry-after-ms", "250")]), Some(Duration::from_millis(250)));
        let dates = [("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT"), ("date", "Wed, 21 Oct 2015 07:28:00 GMT")];
        assert_eq!(after(&dates), Some(Duration::from_secs(30)));
        let past = [("retry-after", "Wed, 21 Oct 2015 07:27:30 GMT"), ("date", "Wed, 21 Oct 2015 07:28:00 GMT")];
        assert_eq!(after(&past), Some(Duration::ZERO));
        assert_eq!(after(&dates[..1]), Some(Duration::from_secs(10)), "by our own clock");
        assert_eq!(after(&[("retry-after", "soon")]), None);
        assert_eq!(after(&[("retry-after", "-3")]), None);
        assert_eq!(after(&[]), None);
    }
}
