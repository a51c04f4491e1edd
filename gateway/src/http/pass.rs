//! Other paths under `/v1`, where the operator lets a provider's pass through: bytes both ways, unread and bounded.
//!
//! Apart because here alone a client's request goes on as it came: of its headers those that say what the body is, never its key. It
//! must not know policies: whoever boards is told whether it may pass.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::http::header::{self, HeaderMap, HeaderName};
use axum::http::{HeaderValue, Method, Response};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use gatewright_types::{Fault, FaultKind};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Body as HttpBody, Frame};

use super::heads::{self, LEG};
use super::refuse::refuse;
use super::routes::spoken;
use crate::dialects::ALL;
use crate::host::{Host, Passage};
use crate::life::board;
use crate::upstreams::remote::{Delivered, Parcel, Upload};

/// Says that no policy saw what was passed.
const INSPECTED: HeaderName = HeaderName::from_static("x-gatewright-inspected");
/// The provider that is meant, where several have the path.
const PROVIDER: HeaderName = HeaderName::from_static("x-gatewright-provider");
/// Methods that go up. Others are no request for a model's provider: some make a tunnel, or have a server repeat its own key.
pub(super) const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
/// Headers that go up.
const UP: [&str; 12] = [
    "accept",
    "content-type",
    "content-length",
    "content-encoding",
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "idempotency-key",
    "openai-beta",
    "anthropic-beta",
    "anthropic-version",
];
/// Headers that come down.
const DOWN: [HeaderName; 11] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_DISPOSITION,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::CACHE_CONTROL,
    header::ETAG,
    header::LAST_MODIFIED,
    header::RETRY_AFTER,
    header::VARY,
];

/// The passage of a path, if it has one. What is served here by itself has none, and neither has a path that may be read in two ways.
pub(super) fn passage(host: &Host, request: &Request) -> Option<Arc<Passage>> {
    let path = request.uri().path();
    let rest = path.strip_prefix("/v1/")?;
    let served = |dialect: crate::dialects::DialectRef| path.trim_end_matches('/') == dialect.path();
    if rest.is_empty() || !is_plain(rest) || ALL.into_iter().any(served) {
        return None;
    }
    let wanted = request.headers().get(PROVIDER).map(|name| name.to_str().unwrap_or_default());
    host.passages().iter().find(|passage| wanted.is_none_or(|name| name == passage.provider) && passage.has(rest)).cloned()
}

/// Whether every server reads a path alike: no steps up, nothing empty, nothing hidden.
fn is_plain(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~:@!$&'()*+,;=/".contains(&byte);
    path.bytes().all(plain) && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Passes a request on.
pub(super) async fn pass(host: Arc<Host>, request: Request, passage: Arc<Passage>) -> Response<Body> {
    let head = heads::head(request.headers(), &host, spoken(&request));
    let (dialect, id, length) = (head.dialect, head.request_id.clone(), head.content_length);
    let path = request.uri().path().trim_start_matches("/v1/").to_owned();
    let limits = host.facts.limits;
    let boarded = match board(host, head, (&path, passage)) {
        Ok(boarded) => boarded,
        Err(refused) => return refuse(&refused, (dialect, &id)),
    };
    if length.is_some_and(|length| length > limits.body_bytes as u64) {
        return refuse(&boarded.refused(too_large(limits.body_bytes)), (dialect, &id));
    }
    let (parts, body) = request.into_parts();
    let why = Arc::new(Mutex::new(None));
    let body: Upload = match HttpBody::is_end_stream(&body) {
        // A stream of nothing would be announced as a body.
        true => Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync(),
        false => upload(body.into_data_stream(), (limits.body_bytes, limits.body_time), Arc::clone(&why)),
    };
    let parcel = Parcel {
        method: parts.method,
        path: parts.uri.path_and_query().map(|path| path.as_str().to_owned()).unwrap_or_default(),
        headers: taken(&parts.headers, UP.map(HeaderName::from_static)),
        body,
    };
    match boarded.courier().carry(parcel).await {
        Ok(Delivered { status, headers, load }) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = status;
            *response.headers_mut() = taken(&headers, DOWN);
            let headers = response.headers_mut();
            heads::put_id(headers, dialect, &id);
            heads::put_standing(headers, &boarded.seat().standing());
            headers.insert(INSPECTED, HeaderValue::from_static("none"));
            if let Some(leg) = boarded.seat().meter().read(|figures| figures.leg.clone()) {
                heads::put(headers, LEG, &leg);
            }
            *response.body_mut() = Body::from_stream(boarded.returns(load));
            response
        }
        Err(fault) => {
            // What broke off on the client's side is not the provider's fault.
            let own = why.lock().unwrap_or_else(PoisonError::into_inner).take();
            refuse(&boarded.refused(own.unwrap_or(fault)), (dialect, &id))
        }
    }
}

fn taken<const N: usize>(headers: &HeaderMap, names: [HeaderName; N]) -> HeaderMap {
    let taken = names.into_iter().flat_map(|name| headers.get_all(&name).iter().map(move |value| (name.clone(), value.clone())));
    taken.collect()
}

fn too_large(limit: usize) -> Fault {
    Fault::caller(FaultKind::BodyTooLarge, format!("The body is larger than this gateway's limit of {limit} bytes."))
}

/// A client's body as it comes: bounded in bytes, and in the time between two pieces. Why it broke off, if it does, is left in `why`.
fn upload(body: BodyDataStream, (bytes, time): (usize, Duration), why: Arc<Mutex<Option<Fault>>>) -> Upload {
    let pieces = stream::try_unfold((body, bytes), move |(mut body, left)| async move {
        let next = tokio::time::timeout(time, body.next()).await;
        let Some(piece) = next.map_err(|_| slow(time))? else { return Ok(None) };
        let piece = piece.map_err(|_| Fault::caller(FaultKind::InvalidRequest, "The body broke off before its end."))?;
        let left = left.checked_sub(piece.len()).ok_or_else(|| too_large(bytes))?;
        Ok::<_, Fault>(Some((piece, (body, left))))
    });
    let told = pieces.map_err(move |fault: Fault| {
        let error = io::Error::other(fault.message.clone());
        *why.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        error
    });
    StreamBody::new(told.map_ok(|piece: Bytes| Frame::data(piece))).boxed_unsync()
}

fn slow(time: Duration) -> Fault {
    Fault::caller(FaultKind::ClientTimeout, format!("Nothing of the body arrived for {} seconds.", time.as_secs_f32()))
}
