//! `/healthz` and `/readyz`: is the process alive, and should it be sent requests?
//!
//! Apart because both ports have them and they must answer when nothing else does. It must not know why: it is told the stage.

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use tokio::sync::watch;

/// How far the process is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It serves.
    Serving,
    /// It finishes what it has begun and takes nothing new.
    Draining,
    /// What is still open is cut.
    Cut,
}

/// The two routes, without state and without fallback: to be merged into a port's router.
pub fn routes(stage: watch::Receiver<Stage>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(move || std::future::ready(ready(*stage.borrow()))))
}

fn ready(stage: Stage) -> (StatusCode, &'static str) {
    match stage {
        Stage::Serving => (StatusCode::OK, "ready\n"),
        Stage::Draining | Stage::Cut => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draining_process_is_not_ready() {
        assert_eq!(ready(Stage::Serving).0, 200);
        assert_eq!(ready(Stage::Draining).0, 503);
        assert_eq!(ready(Stage::Cut).0, 503);
    }
}
