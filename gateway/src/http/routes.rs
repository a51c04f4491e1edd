//! The clients' port: which path leads to which handler. Everything that leaves carries `x-request-id`.
//!
//! Apart so that the surface is seen at once. It must not know stages but by their order in `life`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::Response;
use axum::http::header::{ALLOW, HeaderValue};
use axum::routing::{get, post};
use gatewright_types::{Fault, FaultKind};

use super::heads::head;
use super::models;
use super::refuse::{fault, refuse};
use super::respond::respond;
use crate::host::{Host, HostCell};
use crate::life::{Authenticated, authenticate, live};

const CHAT: &str = "/v1/chat/completions";

/// The router of the clients' port.
pub fn client_router(cell: Arc<HostCell>) -> Router {
    Router::new()
        .route(CHAT, post(chat).fallback(wrong_method))
        .route("/v1/models", get(list_models).fallback(wrong_method))
        .route("/v1/models/{*id}", get(one_model).fallback(wrong_method))
        .fallback(not_found)
        .with_state(cell)
}

async fn chat(State(cell): State<Arc<HostCell>>, request: Request) -> Response<Body> {
    let host = cell.load_full();
    let (parts, body) = request.into_parts();
    let head = head(&parts.headers, &host);
    let id = head.request_id.clone();
    match live(host, head, body.into_data_stream()).await {
        Ok(settled) => respond(settled).await,
        Err(refused) => refuse(&refused, &id),
    }
}

/// Who asks, for what has no body; or the refusal.
fn caller(host: Arc<Host>, request: &Request) -> Result<Authenticated, Box<Response<Body>>> {
    let head = head(request.headers(), &host);
    let id = head.request_id.clone();
    authenticate(host, head).map_err(|wrong| Box::new(fault(&wrong, &id)))
}

async fn list_models(State(cell): State<Arc<HostCell>>, request: Request) -> Response<Body> {
    match caller(cell.load_full(), &request) {
        Ok(authenticated) => models::list(&authenticated),
        Err(refusal) => *refusal,
    }
}

async fn one_model(State(cell): State<Arc<HostCell>>, id: Result<Path<String>, PathRejection>, request: Request) -> Response<Body> {
    match caller(cell.load_full(), &request) {
        Ok(authenticated) => {
            let asked = &authenticated.caller().head.request_id;
            // What is not text is no model's name, and neither is the empty one.
            let id = id.map_or_else(|_| String::new(), |Path(id)| id);
            models::one(&authenticated, &id).unwrap_or_else(|wrong| fault(&wrong, asked))
        }
        Err(refusal) => *refusal,
    }
}

async fn wrong_method(State(cell): State<Arc<HostCell>>, request: Request) -> Response<Body> {
    let message = format!("{} does not take {}.", cut(request.uri().path()), request.method());
    let mut response = plain(&cell, &request, Fault::caller(FaultKind::MethodNotAllowed, message));
    let allowed = if request.uri().path() == CHAT { "POST" } else { "GET, HEAD" };
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

async fn not_found(State(cell): State<Arc<HostCell>>, request: Request) -> Response<Body> {
    let message =
        format!("There is no {} here. This gateway speaks OpenAI's chat completions under /v1.", cut(request.uri().path()));
    plain(&cell, &request, Fault::caller(FaultKind::NotFound, message))
}

/// A fault of a request that never began its life.
fn plain(cell: &HostCell, request: &Request, wrong: Fault) -> Response<Body> {
    let host = cell.load();
    let head = head(request.headers(), &host);
    fault(&wrong, &head.request_id)
}

/// As much of a path as is fit to repeat.
fn cut(path: &str) -> &str {
    &path[..path.floor_char_boundary(128)]
}
