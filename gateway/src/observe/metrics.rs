//! The registry: makes handles, bounds their number, and writes the exposition.
//!
//! Apart because it alone knows the Prometheus library's families. It must not know what a route or a plugin is.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::handles::{AttemptOutcome, CacheResult, PluginMetrics, Port, RouteMetrics, TokenKind, UpstreamMetrics};
use super::names::{Kind, Name};
use super::taken::Taken;
use crate::upstreams::Times;

/// Routes, legs, plugins and models that get a label value of their own, each; the rest share `other`.
const MAX_VALUES: usize = 256;

pub(super) type Labels = Vec<(&'static str, Cow<'static, str>)>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// Seconds. A gateway's own time is below the first ones, a model's in the last ones.
fn buckets() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0])
}

/// Seconds. Most plugins take microseconds.
fn fine_buckets() -> Histogram {
    let micros = [2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 1e5, 1e6];
    Histogram::new(micros.map(|micros: f64| micros / 1e6))
}

fn labels(name: Name, values: &[&str]) -> Labels {
    name.labels().iter().zip(values).map(|(label, value)| (*label, Cow::Owned((*value).to_owned()))).collect()
}

/// The families of counters, by name.
#[derive(Clone, Debug)]
pub(super) struct Counters(Arc<BTreeMap<Name, Family<Labels, Counter>>>);

impl Counters {
    /// The counter with these label values. A name that is no counter gives one that nobody sees.
    pub(super) fn get(&self, name: Name, values: &[&str]) -> Counter {
        self.0.get(&name).map_or_else(Counter::default, |family| family.get_or_create_owned(&labels(name, values)))
    }
}

/// All metrics of one gateway. One per process, shared across reloads.
pub struct Metrics {
    registry: Registry,
    counters: Counters,
    gauges: BTreeMap<Name, Family<Labels, Gauge>>,
    histograms: BTreeMap<Name, Histograms>,
    taken: BTreeMap<Name, Taken>,
    routes: Handles<RouteMetrics>,
    upstreams: Handles<UpstreamMetrics>,
    plugins: Handles<PluginMetrics>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics, at zero.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let (mut counters, mut gauges, mut histograms) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut taken = BTreeMap::new();
        for name in Name::ALL {
            match name.kind() {
                Kind::Counter => {
                    let family = Family::<Labels, Counter>::default();
                    registry.register(name.registered(), name.help(), family.clone());
                    counters.insert(name, family);
                }
                Kind::Gauge => {
                    let family = Family::<Labels, Gauge>::default();
                    registry.register(name.registered(), name.help(), family.clone());
                    gauges.insert(name, family);
                }
                Kind::Histogram if matches!(name, Name::EngineFirstToken | Name::EngineBetweenTokens) => {
                    let family = Taken::default();
                    registry.register(name.registered(), name.help(), family.clone());
                    taken.insert(name, family);
                }
                Kind::Histogram => {
                    let buckets = if name == Name::PluginDuration { fine_buckets } else { buckets };
                    let family = Histograms::new_with_constructor(buckets);
                    registry.register(name.registered(), name.help(), family.clone());
                    histograms.insert(name, family);
                }
            }
        }
        Self {
            registry,
            counters: Counters(Arc::new(counters)),
            gauges,
            histograms,
            taken,
            routes: Handles::default(),
            upstreams: Handles::default(),
            plugins: Handles::default(),
        }
    }

    /// The figures of a route; hold it, do not ask for it on each request. Pass configured names only, and one fixed name
    /// (`provider/*`) for what is passed through: past 256 names they share the route `other`.
    pub fn route(&self, route: &str) -> Arc<RouteMetrics> {
        self.routes.get(route, |route| RouteMetrics {
            ok: self.counter(Name::Requests, &[route, "ok"]),
            outcomes: self.counters.clone(),
            in_flight: self.gauge(Name::RequestsInFlight, &[route]),
            duration: self.histogram(Name::RequestDuration, &[route]),
            first_delta: self.histogram(Name::FirstDelta, &[route]),
            tokens: TokenKind::ALL.map(|kind| self.counter(Name::Tokens, &[route, kind.as_str()])),
            cache: CacheResult::ALL.map(|result| self.counter(Name::CacheLookups, &[route, result.as_str()])),
            cost: self.counter(Name::Cost, &[route]),
            compared: self.counter(Name::ComparedCost, &[route]),
            route: route.to_owned(),
        })
    }

    /// The figures of a leg (`provider/model`, or `provider/*`); bounded like routes.
    pub fn upstream(&self, leg: &str) -> Arc<UpstreamMetrics> {
        self.upstreams.get(leg, |leg| UpstreamMetrics {
            attempts: AttemptOutcome::ALL.map(|outcome| self.counter(Name::UpstreamAttempts, &[leg, outcome.as_str()])),
            first_item: self.histogram(Name::UpstreamFirstItem, &[leg]),
            lost: self.counter(Name::UpstreamLostCost, &[leg]),
        })
    }

    /// The figures of a plugin; bounded like routes.
    pub fn plugin(&self, plugin: &str) -> Arc<PluginMetrics> {
        self.plugins.get(plugin, |plugin| PluginMetrics {
            counters: self.counters.clone(),
            passes: self.counter(Name::PluginActions, &[plugin, "pass"]),
            errors: self.counter(Name::PluginErrors, &[plugin]),
            calls: self.counter(Name::PluginCalls, &[plugin]),
            duration: self.histogram(Name::PluginDuration, &[plugin]),
            memory: self.gauge(Name::PluginMemory, &[plugin]),
            plugin: plugin.to_owned(),
        })
    }

    /// Open connections of a port: `inc` and `dec` it.
    pub fn connections(&self, port: Port) -> Gauge {
        self.gauge(Name::Connections, &[port.as_str()])
    }

    /// Connections of a port that were refused at the bound.
    pub fn connections_refused(&self, port: Port) -> Counter {
        self.counter(Name::ConnectionsRefused, &[port.as_str()])
    }

    /// Requests that were refused because the records' queue was full.
    pub fn records_refused(&self) -> Counter {
        self.counter(Name::RecordsRefused, &[])
    }

    /// Reloads that went so: `applied` or `refused`.
    pub fn reloads(&self, result: &'static str) -> Counter {
        self.counter(Name::Reloads, &[result])
    }

    /// Takes over a figure that someone else keeps (`CacheBytes`, `RecordsQueue`, `EngineWaiting`, ...). A name that is no gauge is
    /// ignored.
    pub fn level(&self, name: Name, values: &[&str], level: u64) {
        self.gauge(name, values).set(i64::try_from(level).unwrap_or(i64::MAX));
    }

    /// Forgets the levels of a name, before those that there are now are told. A name that is no gauge is ignored.
    pub fn forget(&self, name: Name) {
        if let Some(family) = self.gauges.get(&name) {
            family.clear();
        }
    }

    /// Takes over a count that someone else keeps and that only grows.
    pub fn total(&self, name: Name, values: &[&str], count: u64) {
        self.counter(name, values).inner().fetch_max(count, Ordering::Relaxed);
    }

    /// Takes over times that someone else keeps (`EngineFirstToken`, `EngineBetweenTokens`).
    pub fn times(&self, name: Name, values: &[&str], times: Times) {
        if let Some(family) = self.taken.get(&name) {
            family.set(labels(name, values), times);
        }
    }

    /// Takes over counts that someone else keeps (of plugins: plugin, name, count). They only grow.
    pub fn counted(&self, counts: &[(Arc<str>, String, u64)]) {
        for (plugin, name, count) in counts {
            self.total(Name::PluginCount, &[plugin, name], *count);
        }
    }

    /// The exposition, in OpenMetrics' text format (`application/openmetrics-text; version=1.0.0; charset=utf-8`).
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail; a half-written page would show in the missing `# EOF`.
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("the metrics could not be written");
        }
        text
    }

    fn counter(&self, name: Name, values: &[&str]) -> Counter {
        self.counters.get(name, values)
    }

    fn gauge(&self, name: Name, values: &[&str]) -> Gauge {
        self.gauges.get(&name).map_or_else(Gauge::default, |family| family.get_or_create_owned(&labels(name, values)))
    }

    fn histogram(&self, name: Name, values: &[&str]) -> Histogram {
        self.histograms.get(&name).map_or_else(buckets, |family| family.get_or_create_owned(&labels(name, values)))
    }
}

/// Handles by label value, bounded.
struct Handles<T>(Mutex<HashMap<String, Arc<T>>>);

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Handles<T> {
    fn get(&self, value: &str, make: impl Fn(&str) -> T) -> Arc<T> {
        let mut handles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = handles.get(value) {
            return handle.clone();
        }
        let value = if handles.len() < MAX_VALUES { value } else { "other" };
        handles.entry(value.to_owned()).or_insert_with(|| Arc::new(make(value))).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gatewright_plugins::Tally;

    use super::{MAX_VALUES, Metrics};
    use crate::money::Nanos;
    use crate::observe::{AttemptOutcome, CacheResult, Name, Outcome, Port, TokenKind};
    use crate::upstreams::Times;

    #[test]
    fn levels_of_what_is_gone_are_forgotten() {
        let metrics = Metrics::new();
        ["old", "new"].iter().for_each(|leg| metrics.level(Name::LegState, &[leg], 2));
        metrics.forget(Name::LegState);
        metrics.level(Name::LegState, &["new"], 1);
        let text = metrics.render();
        assert!(!text.contains("leg=\"old\"") && text.contains("gatewright_leg_state{leg=\"new\"} 1"), "{text}");
    }

    #[test]
    fn each_figure_shows_under_its_name() {
        let metrics = Metrics::new();
        let route = metrics.route("chat");
        let guard = route.begin();
        route.settled(Outcome::Ok, Duration::from_millis(3));
        route.settled(Outcome::Fault("rate-limited"), Duration::ZERO);
        route.first_delta(Duration::from_millis(2));
        route.tokens(TokenKind::Reasoning, 7);
        route.cache(CacheResult::Hit);
        route.cost(Some(Nanos(5)), None);
        route.cost(None, Some(Nanos(9)));
        metrics.upstream("mock/a").attempt(AttemptOutcome::Spoke, Duration::from_millis(1));
        metrics.plugin("secrets").did("shadow:edit", 2);
        metrics.plugin("secrets").did("error", 1);
        let tally = Tally {
            plugin: "secrets".into(),
            version: "1".into(),
            digest: "d".into(),
            calls: 3,
            time: Duration::from_micros(4),
            memory: 4096,
            trips: [2, 0, 0, 0, 1],
            absent: None,
        };
        metrics.plugin("secrets").cost(&tally);
        metrics.plugin("secrets").cost(&Tally { memory: 1, trips: [0; 5], ..tally });
        metrics.counted(&[("secrets".into(), "keys_seen".to_owned(), 4)]);
        metrics.counted(&[("secrets".into(), "keys_seen".to_owned(), 5)]);
        metrics.connections(Port::Client).inc();
        metrics.level(Name::RecordsQueue, &[], 5);
        metrics.level(Name::RecordsQueue, &[], 6);
        let text = metrics.render();
        for line in [
            "gatewright_requests_total{route=\"chat\",outcome=\"ok\"} 1",
            "gatewright_requests_total{route=\"chat\",outcome=\"rate-limited\"} 1",
            "gatewright_requests_in_flight{route=\"chat\"} 1",
            "gatewright_request_duration_seconds_count{route=\"chat\"} 2",
            "gatewright_first_delta_seconds_bucket{le=\"0.0025\",route=\"chat\"} 1",
            "gatewright_tokens_total{route=\"chat\",kind=\"reasoning\"} 7",
            "gatewright_cost_nanodollars_total{route=\"chat\"} 5",
            "gatewright_compared_cost_nanodollars_total{route=\"chat\"} 9",
            "gatewright_cache_lookups_total{route=\"chat\",result=\"hit\"} 1",
            "gatewright_upstream_attempts_total{leg=\"mock/a\",outcome=\"spoke\"} 1",
            "gatewright_plugin_actions_total{plugin=\"secrets\",did=\"shadow:edit\"} 2",
            "gatewright_plugin_errors_total{plugin=\"secrets\"} 1",
            "gatewright_plugin_trips_total{plugin=\"secrets\",limit=\"cpu\"} 2",
            "gatewright_plugin_trips_total{plugin=\"secrets\",limit=\"other\"} 1",
            "gatewright_plugin_calls_total{plugin=\"secrets\"} 6",
            "gatewright_plugin_duration_seconds_bucket{le=\"0.000005\",plugin=\"secrets\"} 2",
            "gatewright_plugin_memory_bytes{plugin=\"secrets\"} 4096",
            "gatewright_plugin_count_total{plugin=\"secrets\",name=\"keys_seen\"} 5",
            "gatewright_connections{port=\"client\"} 1",
            "gatewright_records_queue{} 6",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        drop(guard);
        assert!(metrics.render().contains("gatewright_requests_in_flight{route=\"chat\"} 0"));
    }

    #[test]
    fn what_an_engine_keeps_is_taken_over_as_it_is() {
        let metrics = Metrics::new();
        for times in [3, 1] {
            metrics.total(Name::EngineTokens, &["r1", "cached"], 64);
            let buckets = vec![(0.5, times), (1.0, 0), (f64::INFINITY, 1)];
            metrics.times(Name::EngineFirstToken, &["r1"], Times { sum: 3.5, buckets });
        }
        let text = metrics.render();
        for line in [
            "gatewright_engine_tokens_total{model=\"r1\",kind=\"cached\"} 64",
            "gatewright_engine_first_token_seconds_bucket{le=\"1.0\",model=\"r1\"} 1",
            "gatewright_engine_first_token_seconds_bucket{le=\"+Inf\",model=\"r1\"} 2",
            "gatewright_engine_first_token_seconds_sum{model=\"r1\"} 3.5",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn foreign_names_cannot_grow_the_page_without_bound() {
        let metrics = Metrics::new();
        for i in 0..MAX_VALUES * 2 {
            metrics.route(&format!("r{i}")).settled(Outcome::Ok, Duration::ZERO);
            metrics.plugin("p").did(&format!("what{i}"), 1);
        }
        let text = metrics.render();
        assert_eq!(text.matches("gatewright_requests_total{").count(), MAX_VALUES + 1);
        assert!(text.contains(&format!("gatewright_requests_total{{route=\"other\",outcome=\"ok\"}} {MAX_VALUES}")));
        assert_eq!(
            text.matches("gatewright_plugin_actions_total{").count(),
            2,
            "`pass`, which is there from the start, and `other`"
        );
    }
}
