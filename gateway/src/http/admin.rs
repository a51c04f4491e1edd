//! The admin port: metrics for everyone who reaches it, the admin API for who has the token.
//!
//! Apart because it is another audience than the clients'. It shows facts and never a secret; it must not know how a reload is
//! done.

mod show;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use crate::config::keys::digest;
use crate::host::{Host, HostCell};
use crate::observe::{Metrics, Name};
use crate::records;
use crate::upstreams::Load;

const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Puts the configuration to work anew; the error is every reason why not.
pub type Reload = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), Vec<String>>> + Send>> + Send + Sync>;

/// What the admin port works with.
#[derive(Clone)]
pub struct Admin {
    /// The present snapshot.
    pub cell: Arc<HostCell>,
    /// SHA-256 of the token.
    pub token: [u8; 32],
    /// Reloads.
    pub reload: Reload,
    /// Why the last reload was refused; nothing where it was not.
    pub refused: Arc<dyn Fn() -> Arc<Vec<String>> + Send + Sync>,
}

/// The router of the admin port, less the probes.
pub fn admin_router(admin: Admin) -> Router {
    let api = Router::new()
        .route("/admin/config", get(config))
        .route("/admin/keys", get(keys))
        .route("/admin/legs", get(legs))
        .route("/admin/plugins", get(plugins))
        .route("/admin/usage", get(usage))
        .route("/admin/reload", post(reload).get(last_reload))
        .route_layer(middleware::from_fn_with_state(admin.clone(), token));
    api.route("/metrics", get(metrics)).fallback(not_found).method_not_allowed_fallback(wrong_method).with_state(admin)
}

/// Lets through who presents the token.
async fn token(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let presented = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let presented = presented.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let known = presented.is_some_and(|(_, token)| bool::from(digest(token.trim()).ct_eq(&admin.token)));
    match known {
        true => next.run(request).await,
        false => {
            let message =
                "the admin API wants `authorization: Bearer TOKEN`; the token is in the file `admin-token` of the data folder";
            let mut response = fault(StatusCode::UNAUTHORIZED, message);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let host = admin.cell.load();
    read_levels(&host);
    ([(header::CONTENT_TYPE, TEXT)], host.shared.metrics.render())
}

/// Brings the figures that others keep up to date.
fn read_levels(host: &Host) {
    let shared = &host.shared;
    let metrics = &shared.metrics;
    metrics.counted(&shared.plugins.counts());
    metrics.level(Name::RecordsQueue, &[], shared.records.waiting() as u64);
    metrics.level(Name::CacheEntries, &[], shared.cache.entries());
    metrics.level(Name::CacheBytes, &[], shared.cache.bytes());
    // A leg that a reload took away stands no way.
    metrics.forget(Name::LegState);
    for leg in show::all_legs(host) {
        let (name, state) = (&leg.name, &leg.merits.state);
        metrics.level(Name::LegState, &[name], state.standing(&host.facts.breaker, Instant::now()).level());
        metrics.total(Name::LegTrips, &[name], state.trips());
    }
    for (name, model) in shared.engines.all() {
        if let Some(load) = model.upstream.load() {
            read_load(metrics, &name, load);
        }
    }
}

/// The figures of one model of the engine.
fn read_load(metrics: &Metrics, name: &str, load: Load) {
    metrics.level(Name::EngineRunning, &[name], load.running as u64);
    metrics.level(Name::EngineWaiting, &[name], load.waiting as u64);
    for (state, pages) in ["used", "cached", "free"].into_iter().zip(load.pages) {
        metrics.level(Name::EnginePages, &[name, state], pages as u64);
    }
    for (kind, tokens) in ["prompt", "cached", "generated"].into_iter().zip(load.tokens) {
        metrics.total(Name::EngineTokens, &[name, kind], tokens);
    }
    metrics.total(Name::EnginePreemptions, &[name], load.preemptions);
    metrics.total(Name::EngineRefused, &[name], load.refused);
    metrics.times(Name::EngineFirstToken, &[name], load.first_token);
    metrics.times(Name::EngineBetweenTokens, &[name], load.between_tokens);
}

async fn config(State(admin): State<Admin>) -> Response {
    said(StatusCode::OK, &show::config(&admin.cell.load().facts))
}

async fn keys(State(admin): State<Admin>) -> Response {
    said(StatusCode::OK, &show::keys(&admin.cell.load().facts))
}

async fn legs(State(admin): State<Admin>) -> Response {
    said(StatusCode::OK, &show::legs(&admin.cell.load()))
}

async fn plugins(State(admin): State<Admin>) -> Response {
    said(StatusCode::OK, &show::plugins(&admin.cell.load()))
}

/// Narrows the usage.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Unix milliseconds, inclusive.
    from_ms: Option<u64>,
    key: Option<String>,
    model: Option<String>,
}

async fn usage(State(admin): State<Admin>, asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>) -> Response {
    let Query(Asked { from_ms, key, model }) = match asked {
        Ok(asked) => asked,
        Err(wrong) => return fault(StatusCode::BAD_REQUEST, &wrong.body_text()),
    };
    let path = admin.cell.load().facts.data.join(crate::serve::RECORDS);
    let filter = records::UsageFilter { from_ms, key, model };
    match tokio::task::spawn_blocking(move || records::usage(&path, &filter)).await {
        Ok(Ok(lines)) => said(StatusCode::OK, &json!({ "usage": lines })),
        Ok(Err(error)) => fault(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(error) => fault(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn reload(State(admin): State<Admin>) -> Response {
    match (admin.reload)().await {
        Ok(()) => said(StatusCode::OK, &json!({ "reloaded": true })),
        Err(complaints) => {
            let message = "the configuration was not reloaded; the last good one stays";
            said(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "error": { "message": message, "complaints": complaints } }))
        }
    }
}

/// How the last one went: what was refused is not in service, and what is in service is older than the files.
async fn last_reload(State(admin): State<Admin>) -> Response {
    let refused = (admin.refused)();
    said(StatusCode::OK, &json!({ "built_at": admin.cell.load().built_at, "refused": *refused }))
}

async fn not_found() -> Response {
    fault(StatusCode::NOT_FOUND, "this port has /healthz, /readyz, /metrics and /admin/{config,keys,legs,plugins,usage,reload}")
}

async fn wrong_method() -> Response {
    fault(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method")
}

fn fault(status: StatusCode, message: &str) -> Response {
    said(status, &json!({ "error": { "message": message } }))
}

fn said(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(format!("{body:#}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
