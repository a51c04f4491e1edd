//! The list of models: routes, models of the engine, and what providers list, as far as the key may use them.
//!
//! Apart because it answers without a model. It must not know how a route is taken.

use axum::body::Body;
use axum::http::Response;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use gatewright_types::{Fault, FaultKind};
use serde_json::Value;

use super::heads;
use crate::dialects::Listed;
use crate::host::Route;
use crate::life::Authenticated;

/// All models that the key may use.
pub(super) fn list(authenticated: &Authenticated) -> Response<Body> {
    let caller = authenticated.caller();
    let models = caller.host.models().filter(|route| caller.may_use(&route.name));
    let dialect = caller.head.dialect;
    let models: Vec<Value> = models.map(|route| dialect.model(&listed(route, caller.host.built_at))).collect();
    answer(authenticated, &dialect.models(models))
}

/// One model, listed or passed through.
///
/// # Errors
/// [`FaultKind::UnknownModel`] when there is none of that name, or none that the key may use.
pub(super) fn one(authenticated: &Authenticated, name: &str) -> Result<Response<Body>, Fault> {
    let caller = authenticated.caller();
    let route = caller.host.route(caller.key.as_deref(), name).filter(|_| caller.may_use(name));
    let route = route.ok_or_else(|| Fault::caller(FaultKind::UnknownModel, "There is no model of that name here.").at("model"))?;
    Ok(answer(authenticated, &caller.head.dialect.model(&listed(&route, caller.host.built_at))))
}

fn listed(route: &Route, created: u64) -> Listed<'_> {
    Listed { name: &route.name, owner: &route.owner, created }
}

fn answer(authenticated: &Authenticated, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let head = &authenticated.caller().head;
    heads::put_id(response.headers_mut(), head.dialect, &head.request_id);
    response
}
