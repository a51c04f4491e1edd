//! The names of all metrics, with what a reader of a dashboard must know of each. A metric that is not here does not exist.
//!
//! Apart because the documentation is checked against it. It must not hold values.

/// What sort of figure a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its exposed name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Seconds, by bucket.
    Histogram,
}

impl Kind {
    /// Prometheus' word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Every metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// Requests that settled.
    Requests,
    /// Requests being served.
    RequestsInFlight,
    /// Time of a request.
    RequestDuration,
    /// Time to the first delta with content.
    FirstDelta,
    /// Tokens.
    Tokens,
    /// What requests cost.
    Cost,
    /// What they would have cost of another model.
    ComparedCost,
    /// Looks into the response cache.
    CacheLookups,
    /// Answers in the response cache.
    CacheEntries,
    /// Size of the response cache.
    CacheBytes,
    /// Tries at a leg.
    UpstreamAttempts,
    /// Time until an upstream speaks.
    UpstreamFirstItem,
    /// What calls that were let go may have cost.
    UpstreamLostCost,
    /// How a leg's breaker stands.
    LegState,
    /// How often it opened.
    LegTrips,
    /// What plugins did.
    PluginActions,
    /// Failures of plugins.
    PluginErrors,
    /// Limits that plugins tripped.
    PluginTrips,
    /// Calls of plugins.
    PluginCalls,
    /// Time in plugins.
    PluginDuration,
    /// Memory of plugins.
    PluginMemory,
    /// What plugins count themselves.
    PluginCount,
    /// What plugins fetch.
    PluginFetches,
    /// What plugins ask models.
    PluginQuestions,
    /// Tokens of plugins' own questions.
    PluginTokens,
    /// Rows that wait to be written.
    RecordsQueue,
    /// Requests refused because the records' queue was full.
    RecordsRefused,
    /// Open connections.
    Connections,
    /// Connections refused at the bound.
    ConnectionsRefused,
    /// Sequences that the engine runs.
    EngineRunning,
    /// Requests that wait for the engine.
    EngineWaiting,
    /// Requests that the engine turned away.
    EngineRefused,
    /// Pages of the engine.
    EnginePages,
    /// Tokens of the engine.
    EngineTokens,
    /// Sequences that gave their pages up.
    EnginePreemptions,
    /// Time to the engine's first token.
    EngineFirstToken,
    /// Time between its tokens.
    EngineBetweenTokens,
    /// Reloads of the configuration.
    Reloads,
}

/// Kind, exposed name without `_total`, labels, help.
type Entry = (Kind, &'static str, &'static [&'static str], &'static str);

impl Name {
    /// All names, in the order of the documentation.
    pub const ALL: [Self; 38] = [
        Self::Requests,
        Self::RequestsInFlight,
        Self::RequestDuration,
        Self::FirstDelta,
        Self::Tokens,
        Self::Cost,
        Self::ComparedCost,
        Self::CacheLookups,
        Self::CacheEntries,
        Self::CacheBytes,
        Self::UpstreamAttempts,
        Self::UpstreamFirstItem,
        Self::UpstreamLostCost,
        Self::LegState,
        Self::LegTrips,
        Self::PluginActions,
        Self::PluginErrors,
        Self::PluginTrips,
        Self::PluginCalls,
        Self::PluginDuration,
        Self::PluginMemory,
        Self::PluginCount,
        Self::PluginFetches,
        Self::PluginQuestions,
        Self::PluginTokens,
        Self::RecordsQueue,
        Self::RecordsRefused,
        Self::Connections,
        Self::ConnectionsRefused,
        Self::EngineRunning,
        Self::EngineWaiting,
        Self::EngineRefused,
        Self::EnginePages,
        Self::EngineTokens,
        Self::EnginePreemptions,
        Self::EngineFirstToken,
        Self::EngineBetweenTokens,
        Self::Reloads,
    ];

    const fn entry(self) -> Entry {
        use Kind::{Counter, Gauge, Histogram};
        match self {
            Self::Requests => (Counter, "gatewright_requests", &["route", "outcome"], "Requests that settled"),
            Self::RequestsInFlight => (Gauge, "gatewright_requests_in_flight", &["route"], "Requests being served"),
            Self::RequestDuration => {
                (Histogram, "gatewright_request_duration_seconds", &["route"], "From a request's head to the end of its answer")
            }
            Self::FirstDelta => {
                (Histogram, "gatewright_first_delta_seconds", &["route"], "From a request's head to its first delta with content")
            }
            Self::Tokens => (
                Counter,
                "gatewright_tokens",
                &["route", "kind"],
                "Tokens used, by kind, none by the response cache; cached and reasoning are counted in prompt and completion too",
            ),
            Self::Cost | Self::ComparedCost => self.money(),
            Self::CacheLookups => (Counter, "gatewright_cache_lookups", &["route", "result"], "Looks into the response cache"),
            Self::CacheEntries => (Gauge, "gatewright_cache_entries", &[], "Answers in the response cache"),
            Self::CacheBytes => (Gauge, "gatewright_cache_bytes", &[], "Bytes of the answers in the response cache"),
            Self::UpstreamAttempts | Self::UpstreamFirstItem => self.leg(),
            Self::UpstreamLostCost | Self::LegState | Self::LegTrips => self.leg(),
            Self::PluginActions => {
                (Counter, "gatewright_plugin_actions", &["plugin", "did"], "What plugins did, shadow mode included")
            }
            Self::PluginErrors => (Counter, "gatewright_plugin_errors", &["plugin"], "Failures of plugins"),
            Self::PluginTrips => {
                (Counter, "gatewright_plugin_trips", &["plugin", "limit"], "Limits tripped; other: failures that are none")
            }
            Self::PluginCalls => (Counter, "gatewright_plugin_calls", &["plugin"], "Calls of plugins, events and tools"),
            Self::PluginDuration => (Histogram, "gatewright_plugin_duration_seconds", &["plugin"], "Time of a request in a plugin"),
            Self::PluginMemory => (Gauge, "gatewright_plugin_memory_bytes", &["plugin"], "Most memory of an instance after a call"),
            Self::PluginCount => {
                (Counter, "gatewright_plugin_count", &["plugin", "name"], "What plugins count themselves, by their names")
            }
            Self::PluginFetches => (Counter, "gatewright_plugin_fetches", &["plugin", "outcome"], "What plugins fetched"),
            Self::PluginQuestions => (Counter, "gatewright_plugin_questions", &["plugin", "outcome"], "What plugins asked models"),
            Self::PluginTokens => (
                Counter,
                "gatewright_plugin_tokens",
                &["plugin", "kind"],
                "Tokens of plugins' own questions to models; they are counted in the route's tokens too",
            ),
            Self::RecordsQueue => {
                (Gauge, "gatewright_records_queue", &[], "Rows that wait to be written, and places held for requests in flight")
            }
            Self::RecordsRefused => {
                (Counter, "gatewright_records_refused", &[], "Requests refused because the queue of the records was full")
            }
            Self::Connections => (Gauge, "gatewright_connections", &["port"], "Open connections"),
            Self::ConnectionsRefused => (Counter, "gatewright_connections_refused", &["port"], "Connections refused at the bound"),
            Self::Reloads => (Counter, "gatewright_reloads", &["result"], "Reloads of the configuration"),
            _ => self.engine(),
        }
    }

    const fn leg(self) -> Entry {
        match self {
            Self::UpstreamAttempts => (
                Kind::Counter,
                "gatewright_upstream_attempts",
                &["leg", "outcome"],
                "Tries at a leg; skipped: it was left alone; withheld: its retry budget was spent; lost: another one asked beside it spoke",
            ),
            Self::UpstreamFirstItem => {
                (Kind::Histogram, "gatewright_upstream_first_item_seconds", &["leg"], "From asking an upstream to its first item")
            }
            Self::UpstreamLostCost => (
                Kind::Counter,
                "gatewright_upstream_lost_cost_nanodollars",
                &["leg"],
                "What the prompts of lost tries may have cost, an estimate that is in no other cost",
            ),
            Self::LegState => (Kind::Gauge, "gatewright_leg_state", &["leg"], "Breaker of a leg: 0 closed, 1 half open, 2 open"),
            _ => (Kind::Counter, "gatewright_leg_trips", &["leg"], "Times that the breaker of a leg opened"),
        }
    }

    const fn money(self) -> Entry {
        let (name, help) = match self {
            Self::Cost => ("gatewright_cost_nanodollars", "What requests cost, as far as what was used has a price"),
            _ => (
                "gatewright_compared_cost_nanodollars",
                "What their answers would have cost of `reference_model`, those out of the response cache too",
            ),
        };
        (Kind::Counter, name, &["route"], help)
    }

    const fn engine(self) -> Entry {
        use Kind::{Counter, Gauge, Histogram};
        match self {
            Self::EngineRunning => (Gauge, "gatewright_engine_running", &["model"], "Requests that the embedded engine runs"),
            Self::EngineWaiting => (Gauge, "gatewright_engine_waiting", &["model"], "Requests that wait for the embedded engine"),
            Self::EngineRefused => (
                Counter,
                "gatewright_engine_refused",
                &["model"],
                "Requests turned away because too many waited for the embedded engine",
            ),
            Self::EnginePages => (
                Gauge,
                "gatewright_engine_pages",
                &["model", "state"],
                "Pages of keys and values: used by sequences, cached for prompts to come, free",
            ),
            Self::EngineTokens => (
                Counter,
                "gatewright_engine_tokens",
                &["model", "kind"],
                "Tokens of the embedded engine: of prompts, of those cached, generated",
            ),
            Self::EnginePreemptions => {
                (Counter, "gatewright_engine_preemptions", &["model"], "Sequences that gave their pages up and were computed again")
            }
            Self::EngineFirstToken => {
                (Histogram, "gatewright_engine_first_token_seconds", &["model"], "From a request's coming to its first token")
            }
            _ => (Histogram, "gatewright_engine_between_tokens_seconds", &["model"], "From a token to the next of the same choice"),
        }
    }

    /// What sort of figure it is.
    pub const fn kind(self) -> Kind {
        self.entry().0
    }

    /// Name as it is registered: without a counter's `_total`.
    pub const fn registered(self) -> &'static str {
        self.entry().1
    }

    /// Name as Prometheus shows it.
    pub fn exposed(self) -> String {
        match self.kind() {
            Kind::Counter => format!("{}_total", self.registered()),
            Kind::Gauge | Kind::Histogram => self.registered().to_owned(),
        }
    }

    /// Names of its labels, in order.
    pub const fn labels(self) -> &'static [&'static str] {
        self.entry().2
    }

    /// What it counts, without a full stop (the exposition adds it).
    pub const fn help(self) -> &'static str {
        self.entry().3
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn the_documentation_has_one_row_for_each_metric_and_no_other() {
        let table: String = Name::ALL
            .iter()
            .map(|name| {
                let labels: Vec<String> = name.labels().iter().map(|l| format!("`{l}`")).collect();
                format!("| `{}` | {} | {} | {} |\n", name.exposed(), name.kind().as_str(), labels.join(", "), name.help())
            })
            .collect();
        let page = include_str!("../../METRICS.md");
        assert!(page.contains(&table), "gateway/METRICS.md must hold exactly this table body:\n{table}");
        assert_eq!(page.matches("| `gatewright_").count(), Name::ALL.len());
    }

    #[test]
    fn names_are_unique_and_all_are_listed() {
        let names: std::collections::BTreeSet<_> = Name::ALL.iter().map(|n| n.registered()).collect();
        assert_eq!(names.len(), Name::ALL.len());
        assert_eq!(Name::ALL[Name::ALL.len() - 1] as usize, Name::ALL.len() - 1);
    }
}
