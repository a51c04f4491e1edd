//! Log lines: plain or JSON, on standard error.
//!
//! Apart because it is set up once, before anything is logged. It must not know what is logged; no prompt, answer or secret is,
//! unless the operator asks for it.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::environment::{Environment, Ink};
use crate::records::Row;

/// Form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For eyes.
    Plain,
    /// One JSON object a line.
    Json,
}

/// Sets up logging for the process; a second call changes nothing.
///
/// # Errors
/// When `GATEWRIGHT_LOG` cannot be read.
pub fn start(environment: &Environment, form: Form) -> Result<(), String> {
    let filter: Targets = environment
        .log_filter()
        .parse()
        .map_err(|error| format!("GATEWRIGHT_LOG: {error}; write it like `info` or `info,gatewright::upstreams=debug`"))?;
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    // A second start is one of the tests in the same process: the first stays.
    let _ = match form {
        Form::Plain => {
            registry.with(layer.with_ansi(std::io::stderr().is_terminal() && environment.ink() == Ink::Coloured)).try_init()
        }
        Form::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    Ok(())
}

/// The line of a request that has settled: what its record says, in short. No prompt text.
pub fn access(row: &Row) {
    tracing::info!(
        target: "gatewright::access",
        request_id = row.request_id,
        key = row.key,
        model = row.model,
        leg = row.leg.as_deref().unwrap_or("-"),
        stream = row.stream,
        status = row.status,
        outcome = row.outcome,
        cache = row.cache,
        prompt_tokens = row.prompt_tokens,
        completion_tokens = row.completion_tokens,
        total_us = row.total_us,
        "request"
    );
}

/// The line of a request that had no valid key.
pub fn stranger(request_id: &str, status: u16) {
    tracing::info!(target: "gatewright::access", request_id, status, outcome = "unauthenticated", "request");
}
