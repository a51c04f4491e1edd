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
use super::kept::{self, Wanted};
use super::refuse::{fault, refuse};
use super::respond::respond;
use super::{background, count, litellm, models, pass};
use crate::dialects::{ALL, DialectRef, guess};
use crate::host::{Host, HostCell};
use crate::life::{Authenticated, authenticate, go_on, let_in};

/// The router of the clients' port.
pub fn client_router(cell: Arc<HostCell>) -> Router {
    let mut router = Router::new()
        .route("/v1/models", get(list_models).fallback(wrong_method))
        .route("/v1/models/{*id}", get(one_model).fallback(wrong_method));
    for dialect in ALL {
        let ask = move |State(cell): State<Arc<HostCell>>, request: Request| ask(cell, dialect, request);
        router = router.route(dialect.path(), post(ask).fallback(wrong_method));
        if let Some(path) = dialect.count_path() {
            let count = move |State(cell): State<Arc<HostCell>>, request: Request| tokens(cell, dialect, request);
            router = router.route(path, post(count).fallback(wrong_method));
        }
        if dialect.keeps() {
            router = keeping(router, dialect);
        }
    }
    router.fallback(not_found).with_state(cell)
}

/// The paths of answers that were kept.
fn keeping(router: Router<Arc<HostCell>>, dialect: DialectRef) -> Router<Arc<HostCell>> {
    let to = move |wanted: Wanted| {
        move |State(cell): State<Arc<HostCell>>, id: Result<Path<String>, PathRejection>, request: Request| async move {
            let id = id.map_or_else(|_| String::new(), |Path(id)| id);
            kept::answer(cell.load_full(), (dialect, request), &id, wanted).await
        }
    };
    let one = format!("{}/{{id}}", dialect.path());
    router
        .route(&one, get(to(Wanted::Again)).delete(to(Wanted::Forgotten)).fallback(wrong_method))
        .route(&format!("{one}/cancel"), post(to(Wanted::Cancelled)).fallback(wrong_method))
        .route(&format!("{one}/input_items"), get(to(Wanted::Items)).fallback(wrong_method))
}

async fn ask(cell: Arc<HostCell>, dialect: DialectRef, request: Request) -> Response<Body> {
    let host = cell.load_full();
    let (parts, body) = request.into_parts();
    let head = head(&parts.headers, &host, dialect);
    let id = head.request_id.clone();
    let asked = async {
        let screened = let_in(Arc::clone(&host), head, body.into_data_stream()).await?;
        match dialect.later().filter(|later| later.wants(screened.request())) {
            Some(later) => background::accept(screened, later),
            None => Ok(respond(go_on(screened).await?).await),
        }
    };
    asked.await.unwrap_or_else(|refused| {
        let mut response = refuse(&refused, (dialect, &id));
        litellm::put_call(response.headers_mut(), &host.facts, &id);
        response
    })
}

async fn tokens(cell: Arc<HostCell>, dialect: DialectRef, request: Request) -> Response<Body> {
    let host = cell.load_full();
    let (parts, body) = request.into_parts();
    let head = head(&parts.headers, &host, dialect);
    let id = head.request_id.clone();
    match count::count(host, head, body.into_data_stream()).await {
        Ok(response) => response,
        Err(refused) => refuse(&refused, (dialect, &id)),
    }
}

/// What a request speaks whose path does not tell.
pub(super) fn spoken(request: &Request) -> DialectRef {
    guess(request.uri().path(), |name| request.headers().contains_key(name))
}

/// Who asks, for what has no body; or the refusal.
fn caller(host: Arc<Host>, request: &Request) -> Result<Authenticated, Box<Response<Body>>> {
    let head = head(request.headers(), &host, spoken(request));
    let asked = (head.dialect, head.request_id.clone());
    authenticate(host, head).map_err(|wrong| Box::new(fault(&wrong, (asked.0, &asked.1))))
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
            let head = &authenticated.caller().head;
            // What is not text is no model's name, and neither is the empty one.
            let id = id.map_or_else(|_| String::new(), |Path(id)| id);
            models::one(&authenticated, &id).unwrap_or_else(|wrong| fault(&wrong, (head.dialect, &head.request_id)))
        }
        Err(refusal) => *refusal,
    }
}

async fn wrong_method(State(cell): State<Arc<HostCell>>, request: Request) -> Response<Body> {
    let path = request.uri().path();
    if is_no_answer(path) {
        return not_found(State(cell), request).await;
    }
    let message = format!("{} does not take {}.", cut(path), request.method());
    let mut response = plain(&cell, &request, Fault::caller(FaultKind::MethodNotAllowed, message));
    let asks = ALL.iter().any(|dialect| path == dialect.path() || Some(path) == dialect.count_path());
    let below = ALL.iter().filter(|dialect| dialect.keeps()).find_map(|dialect| path.strip_prefix(dialect.path()));
    let allowed = match below.and_then(|rest| rest.strip_prefix('/')) {
        _ if asks => "POST",
        Some(rest) if rest.ends_with("/cancel") => "POST",
        Some(rest) if !rest.contains('/') => "GET, HEAD, DELETE",
        _ => "GET, HEAD",
    };
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Whether a path below that of answers is not one's id, but the name of what is not served here.
fn is_no_answer(path: &str) -> bool {
    let below = |dialect: &DialectRef| {
        let rest = path.strip_prefix(dialect.path()).and_then(|rest| rest.strip_prefix('/'));
        rest.is_some_and(|rest| !rest.contains('/') && !rest.starts_with(dialect.id_prefix()) && Some(path) != dialect.count_path())
    };
    ALL.iter().filter(|dialect| dialect.keeps()).any(below)
}

async fn not_found(State(cell): State<Arc<HostCell>>, request: Request) -> Response<Body> {
    let host = cell.load_full();
    if let Some(passage) = pass::passage(&host, &request) {
        if !pass::METHODS.contains(request.method()) {
            let message = format!("{} is not passed on with {}.", cut(request.uri().path()), request.method());
            let mut response = plain(&cell, &request, Fault::caller(FaultKind::MethodNotAllowed, message));
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE"));
            return response;
        }
        return pass::pass(host, request, passage).await;
    }
    let paths: Vec<&str> = ALL.iter().map(|dialect| dialect.path()).collect();
    let message = format!("There is no {} here. This gateway serves {}.", cut(request.uri().path()), paths.join(", "));
    plain(&cell, &request, Fault::caller(FaultKind::NotFound, message))
}

/// A fault of a request that never began its life.
fn plain(cell: &HostCell, request: &Request, wrong: Fault) -> Response<Body> {
    let host = cell.load();
    let head = head(request.headers(), &host, spoken(request));
    fault(&wrong, (head.dialect, &head.request_id))
}

/// As much of a path as is fit to repeat.
fn cut(path: &str) -> &str {
    &path[..path.floor_char_boundary(128)]
}
