//! How many tokens a prompt has: a guess of our own, whoever would answer it.
//!
//! Apart because nothing is asked of a model, and nothing leaves: no policy has seen the prompt. It must not know how tokens are counted.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Response;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use bytes::Bytes;
use futures_util::Stream;

use super::heads;
use crate::host::Host;
use crate::life::{Head, Refused, measure};

/// Answers with the number, in the client's dialect.
///
/// # Errors
/// As for the same request to a model: no key, not a request, no such model.
pub(super) async fn count<B, E>(host: Arc<Host>, head: Head, body: B) -> Result<Response<Body>, Refused>
where
    B: Stream<Item = Result<Bytes, E>> + Send,
{
    let (dialect, id) = (head.dialect, head.request_id.clone());
    let tokens = measure(host, head, body).await?;
    let mut response = Response::new(Body::from(dialect.counted(tokens)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    heads::put_id(response.headers_mut(), dialect, &id);
    Ok(response)
}
