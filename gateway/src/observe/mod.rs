//! What the gateway tells Prometheus about itself: every metric has its name in [`Name`], and recording one is an atomic add.
//!
//! Apart so that no stage knows an exposition format. It must not know who serves the text, nor read a clock.

mod handles;
mod metrics;
mod names;
mod outcome;
mod taken;

pub use handles::{AttemptOutcome, CacheResult, Errand, InFlight, PluginMetrics, Port, RouteMetrics, TokenKind, UpstreamMetrics};
pub use metrics::Metrics;
pub use names::{Kind, Name};
pub use outcome::Outcome;
