//! Refusals as responses: status, envelope, and the headers that say when to come again.
//!
//! Apart because every fault of every stage ends here while nothing was sent. It must not know which stage it was.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Response, StatusCode};
use gatewright_types::{Fault, FaultKind, Retry};

use super::heads;
use crate::dialects::DialectRef;
use crate::life::Refused;

/// The response of a refusal, in the client's dialect.
pub(super) fn refuse(refused: &Refused, asked: (DialectRef, &str)) -> Response<Body> {
    let mut response = fault(refused.fault(), asked);
    let headers = response.headers_mut();
    heads::put_standing(headers, &refused.standing());
    heads::put_told(headers, refused.told());
    response
}

/// The response of a fault of which nothing more is known.
pub(super) fn fault(fault: &Fault, (dialect, request_id): (DialectRef, &str)) -> Response<Body> {
    let mut response = Response::new(Body::from(dialect.envelope(fault, request_id)));
    *response.status_mut() = StatusCode::from_u16(dialect.status(fault)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    heads::put_id(headers, dialect, request_id);
    if let Retry::Here(Some(wait)) = fault.retry {
        headers.insert(RETRY_AFTER, seconds(wait).into());
    }
    if fault.kind == FaultKind::Unauthenticated {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Whole seconds, rounded up, at least one.
fn seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}
