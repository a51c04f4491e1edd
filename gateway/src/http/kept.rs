//! Answers that were kept: given again, whole or as a stream, listed, forgotten.
//!
//! Apart because no model is asked. It must not know where they are kept, nor what is in them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, Request};
use axum::http::Response;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use bytes::Bytes;
use gatewright_types::{Fault, FaultKind};
use serde::Deserialize;

use super::heads::{self, head};
use super::refuse::{fault, refuse};
use crate::dialects::{DialectRef, Page, Recalled};
use crate::host::Host;
use crate::life::conversations::{forget, kept};
use crate::life::{Authenticated, authenticate};

/// What is to be done with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Again,
    Items,
    Forgotten,
    Cancelled,
}

/// What a query may say.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    stream: Option<String>,
    starting_after: Option<String>,
    limit: Option<String>,
    order: Option<String>,
    after: Option<String>,
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
/// The most items on a page, and how many there are where nobody says.
const MOST_ITEMS: usize = 100;
const USUAL_ITEMS: usize = 20;

/// Answers a request for an answer that was kept.
pub(super) async fn answer(host: Arc<Host>, (dialect, request): (DialectRef, Request), id: &str, wanted: Wanted) -> Response<Body> {
    let head = head(request.headers(), &host, dialect);
    let request_id = head.request_id.clone();
    let asked = (dialect, &*request_id);
    let authenticated = match authenticate(host, head) {
        Ok(authenticated) => authenticated,
        Err(wrong) => return fault(&wrong, asked),
    };
    let found = match kept(&authenticated, id).await {
        Ok(found) => found,
        Err(refused) => return refuse(&refused, asked),
    };
    match done(&authenticated, (dialect, &found), request.uri(), wanted) {
        Ok((kind, body)) => {
            let mut response = Response::new(Body::from(body));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            heads::put_id(response.headers_mut(), dialect, &request_id);
            response
        }
        Err(wrong) => fault(&wrong, asked),
    }
}

fn done(
    authenticated: &Authenticated,
    (dialect, found): (DialectRef, &Recalled),
    uri: &axum::http::Uri,
    wanted: Wanted,
) -> Result<(&'static str, Bytes), Fault> {
    let refused = |param: &str, why: &str| Fault::caller(FaultKind::InvalidRequest, format!("Invalid '{param}': {why}.")).at(param);
    let Query(asked) = Query::<Asked>::try_from_uri(uri).unwrap_or_default();
    match wanted {
        Wanted::Again if asked.stream.is_some_and(|word| word != "false") => {
            let after = asked.starting_after.map(|text| text.parse::<u64>()).transpose();
            let after = after.map_err(|_| refused("starting_after", "expected the number of an event"))?;
            Ok((EVENTS, dialect.replay(found, after)))
        }
        Wanted::Again => Ok((JSON, Bytes::copy_from_slice(found.body.as_bytes()))),
        Wanted::Forgotten => forget(authenticated, &found.id).map(|()| (JSON, dialect.forgotten(&found.id))),
        Wanted::Cancelled => Err(refused("background", "only responses that are made in the background can be cancelled")),
        Wanted::Items => {
            let limit = asked.limit.map_or(Ok(USUAL_ITEMS), |text| text.parse().map_err(|_| text));
            let limit = limit.ok().filter(|limit| (1..=MOST_ITEMS).contains(limit));
            let limit = limit.ok_or_else(|| refused("limit", "expected a whole number from 1 to 100"))?;
            let newest_first = match asked.order.as_deref() {
                None | Some("desc") => true,
                Some("asc") => false,
                Some(_) => return Err(refused("order", "expected one of 'asc' or 'desc'")),
            };
            Ok((JSON, dialect.items(found, &Page { limit, newest_first, after: asked.after })?))
        }
    }
}
