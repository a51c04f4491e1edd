//! From a configuration to a gateway that serves, and back down: ports, host, signals, drain.
//!
//! Apart because it is the only place that knows the order of starting and stopping. It must not know what a request is.

mod data;
mod door;
mod engines;
mod inside;
mod pace;
mod refuse;
mod reload;
mod streams;
mod wire;

#[cfg(test)]
mod tests;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use gatewright_types::{Fault, FaultKind};
use http::{Response, header};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use self::data::{AdminToken, MadeKey};
use self::door::{Door, Gate, Seats};
pub(crate) use self::inside::Inside;
use self::pace::Times;
pub(crate) use self::reload::{Configuration, Overrides, Source};
use self::reload::{Fingerprint, Reloader};
use crate::clock::{Ids, SystemClock};
use crate::config::facts::{Facts, Secret};
use crate::dialects::{Seal, guess};
use crate::environment::Ink;
use crate::host::{Engines, Host, HostCell, Shared};
use crate::http::admin::{Admin, admin_router};
use crate::http::health::{self, Stage};
use crate::http::welcome::Welcome;
use crate::http::{client_router, guard};
use crate::limits::Limiter;
use crate::logging::{self, Form};
use crate::memory::Tidier;
use crate::observe::{Metrics, Port};
use crate::records::Records;
use crate::upstreams::cache::Cache;
use crate::upstreams::remote::Clients;
use crate::{private, terminal};

/// Name of the records' file in the data folder.
pub const RECORDS: &str = "records.sqlite";
/// Name of the cache's folder in the data folder.
const CACHE: &str = "cache";
/// Name of the folder of plugins' compiled code in the data folder.
const COMPILED: &str = "compiled";
const SEAL: &str = "seal";
/// Time without a request after which a connection is asked to close.
const IDLE_TIME: Duration = Duration::from_secs(75);
/// Admin connections at once.
const ADMIN_CONNECTIONS: usize = 64;
/// Time that the admin port has to finish after the clients' port.
const ADMIN_DRAIN: Duration = Duration::from_secs(1);

/// Serves until it is told to stop, and drains.
///
/// # Errors
/// Every reason why it cannot serve, each for people.
pub(crate) async fn serve(configuration: Configuration, tidier: Arc<Tidier>) -> Result<(), Vec<String>> {
    let one = |problem| vec![problem];
    let (facts, seen) = configuration.read()?;
    let form = if facts.log_json { Form::Json } else { Form::Plain };
    logging::start(&configuration.environment, form).map_err(one)?;
    let mut signals = Signals::new().map_err(|error| one(format!("cannot hear signals: {error}")))?;
    // Ports first: what is in use is told before anything is opened.
    let listeners = Listeners::bind(&facts).await.map_err(one)?;
    data::prepare(&facts.data).map_err(one)?;
    let token = data::admin_token(&facts.data).map_err(one)?;
    let clients = Clients::new(&configuration.environment.proxies());
    let lots = blake3::derive_key("gatewright lots of a roll-out", &token.sha256);
    let opened = tokio::select! {
        opened = tokio::task::spawn_blocking(move || open(facts, clients, lots)) => opened,
        () = signals.stop() => {
            // What is being opened is not waited for: nothing was served, so there is nothing to lose.
            tracing::info!("stopped before it served");
            return Ok(());
        }
    };
    let (host, made) = opened.map_err(|error| one(error.to_string()))??;
    let ink = configuration.environment.ink();
    let shared = Arc::clone(&host.shared);
    let running = Running::new((configuration, seen), host, &listeners);
    running.greet(&token, made, ink);
    tokio::spawn(tidier.watch(move || (shared.limiter.in_flight() == 0).then(|| shared.records.received())));
    running.run(listeners, token, signals).await
}

/// The two ports, bound.
struct Listeners {
    client: TcpListener,
    admin: TcpListener,
}

impl Listeners {
    async fn bind(facts: &Facts) -> Result<Self, String> {
        let client = door::bind(facts.listen, "--listen").await?;
        let admin = door::bind(facts.admin_listen, "--admin-listen").await?;
        Ok(Self { client, admin })
    }
}

/// Blocking: opens stores, models and plugins.
fn open(mut facts: Facts, clients: Clients, lots: [u8; 32]) -> Result<(Host, Option<MadeKey>), Vec<String>> {
    let one = |problem: String| vec![problem];
    let made = reload::secure(&mut facts).map_err(one)?;
    let clock = Arc::new(SystemClock);
    let cache = Cache::new(&facts.data.join(CACHE), &facts.cache, clock.clone());
    let records = Records::open(&facts.data.join(RECORDS), facts.limits.record_queue).map_err(|error| one(error.to_string()))?;
    let plugins = plugin_host(&facts).drawing_by(lots);
    let ids = Ids::random().map_err(|error| one(format!("no randomness for request ids: {error}")))?;
    let shared = Arc::new(Shared {
        plugins,
        cache,
        records,
        metrics: Metrics::new(),
        clock,
        ids,
        limiter: Limiter::default(),
        engines: Engines::default(),
        legs: Arc::default(),
        clients,
        seal: seal(&facts),
        affinities: Default::default(),
        thoughts: Default::default(),
        background: Default::default(),
    });
    let host = engines::host(facts, &shared)?;
    Ok((host, made))
}

/// What seals reasoning: by a secret that outlives the process, so that conversations do.
fn seal(facts: &Facts) -> Seal {
    let folder = facts.data.join(SEAL);
    let secret = private::folder(&folder).and_then(|()| match private::secret(&folder) {
        // What was sealed with it is not known again.
        Err(error) if error.kind() == ErrorKind::InvalidData => private::new_secret(&folder),
        secret => secret,
    });
    Seal::new(secret.unwrap_or_else(|error| {
        tracing::warn!(folder = %folder.display(), %error, "the secret that seals reasoning cannot be kept: it is forgotten at the end");
        let mut passing = [0; private::SECRET];
        // Without randomness a seal can be forged; it is no key to anything else.
        let _ = getrandom::fill(&mut passing);
        passing
    }))
}

/// The plugin host. What it compiles is kept in the data folder; where that cannot be, it is compiled at each start.
fn plugin_host(facts: &Facts) -> gatewright_plugins::Host {
    let plugins = gatewright_plugins::Host::new(facts.limits.plugin_slots);
    let folder = facts.data.join(COMPILED);
    let made = private::folder(&folder).and_then(|()| match private::secret(&folder) {
        // What lies there is nobody's then, and is compiled again.
        Err(error) if error.kind() == ErrorKind::InvalidData => private::new_secret(&folder),
        secret => secret,
    });
    match made {
        Ok(secret) => plugins.with_compiled(folder, &secret),
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "compiled plugins are not kept: they are compiled at each start");
            plugins
        }
    }
}

/// A gateway that is set up.
struct Running {
    cell: Arc<HostCell>,
    shared: Arc<Shared>,
    reloader: Arc<Reloader>,
    bound: (SocketAddr, SocketAddr),
    stage: watch::Sender<Stage>,
}

impl Running {
    fn new((configuration, seen): (Configuration, Fingerprint), host: Host, listeners: &Listeners) -> Self {
        let shared = Arc::clone(&host.shared);
        let bound = |listener: &TcpListener, fact| listener.local_addr().unwrap_or(fact);
        let bound = (bound(&listeners.client, host.facts.listen), bound(&listeners.admin, host.facts.admin_listen));
        let cell = Arc::new(HostCell::from_pointee(host));
        let reloader = Reloader::new((configuration, seen), Arc::clone(&cell), Arc::clone(&shared));
        Self { cell, shared, reloader, bound, stage: watch::Sender::new(Stage::Serving) }
    }

    /// Tells where it serves, on standard output: it is what the command was run for.
    fn greet(&self, token: &AdminToken, made: Option<MadeKey>, ink: Ink) {
        let host = self.cell.load();
        let mut text = Welcome::new(&host.facts, self.bound).banner(ink);
        if let Some(MadeKey { new: false, path, .. }) = made {
            text.push_str("The key that was printed at the first start is required; remove ");
            text.push_str(&format!("{} for a new one.\n", path.display()));
        }
        // It serves also when nobody looks.
        let _ = terminal::print(&text);
        tracing::info!(client = %self.bound.0, admin = %self.bound.1, admin_token = %token.path.display(), "serving");
    }

    async fn run(self, listeners: Listeners, token: AdminToken, mut signals: Signals) -> Result<(), Vec<String>> {
        let (seats, accepting) = door::open(self.client_door(), listeners.client);
        let (admin_seats, admin_accepting) = door::open(self.admin_door(token), listeners.admin);
        tokio::spawn(accepting);
        // The admin port outlives the clients': it tells that the process drains.
        let admin_task = tokio::spawn(admin_accepting);
        tokio::spawn(Arc::clone(&self.reloader).watch(self.stage.subscribe()));
        while signals.stop_or_reload().await == Told::Reload {
            // What is wrong has been told in the log.
            let _ = self.reloader.reload().await;
        }
        self.drain(&seats, &mut signals).await;
        let _ = tokio::time::timeout(ADMIN_DRAIN, admin_seats.all_free()).await;
        admin_task.abort();
        self.close().await
    }

    fn client_door(&self) -> Door {
        let (cell, bound) = (Arc::clone(&self.cell), self.bound);
        let page = get(move || {
            let welcome = Welcome::new(&cell.load().facts, bound);
            std::future::ready(welcome.response())
        });
        let cell = Arc::clone(&self.cell);
        let gate: Gate = Arc::new(move |request| {
            let host = cell.load();
            match host.keys.is_empty() {
                true => guard::check(request, &host.facts.allowed_hosts).map_err(|foreign| refused(&host, request, foreign)),
                false => Ok(()),
            }
        });
        let own = Router::new().route("/", page).merge(health::routes(self.stage.subscribe()));
        let limits = self.cell.load().facts.limits;
        self.door(Port::Client, (client_router(Arc::clone(&self.cell)).merge(own), gate), limits.connections)
    }

    fn admin_door(&self, token: AdminToken) -> Door {
        let cell = Arc::clone(&self.cell);
        let own_only = self.bound.1.ip().is_loopback();
        let gate: Gate = Arc::new(move |request| {
            let host = cell.load();
            match own_only {
                true => guard::check(request, &host.facts.allowed_hosts).map_err(|foreign| refused(&host, request, foreign)),
                false => Ok(()),
            }
        });
        let (reloader, asked) = (Arc::clone(&self.reloader), Arc::clone(&self.reloader));
        let admin = Admin {
            cell: Arc::clone(&self.cell),
            token: token.sha256,
            refused: Arc::new(move || asked.refused()),
            reload: Arc::new(move || {
                let reloader = Arc::clone(&reloader);
                Box::pin(async move { reloader.reload().await })
            }),
        };
        let router = admin_router(admin).merge(health::routes(self.stage.subscribe()));
        self.door(Port::Admin, (router, gate), ADMIN_CONNECTIONS)
    }

    fn door(&self, port: Port, (router, gate): (Router, Gate), connections: usize) -> Door {
        let limits = self.cell.load().facts.limits;
        Door {
            router,
            gate,
            connections,
            times: Times { header: limits.header_time, write: limits.write_time, idle: IDLE_TIME },
            stage: self.stage.subscribe(),
            open: self.shared.metrics.connections(port),
            refused: self.shared.metrics.connections_refused(port),
        }
    }

    /// Takes nothing new, lets what is in flight finish, and cuts what takes too long; a second signal cuts at once.
    async fn drain(&self, seats: &Seats, signals: &mut Signals) {
        let patience = self.cell.load().facts.limits.drain_time;
        tracing::info!(patience = ?patience, "draining: requests in flight may finish; signal again to cut them");
        self.stage.send_replace(Stage::Draining);
        let finished = async {
            seats.all_free().await;
            self.shared.background.over().await;
        };
        let cut = tokio::select! {
            () = finished => false,
            () = tokio::time::sleep(patience) => true,
            () = signals.stop() => true,
        };
        if cut {
            tracing::warn!("requests that are still in flight are cut");
        }
        self.stage.send_replace(Stage::Cut);
        let _ = tokio::time::timeout(ADMIN_DRAIN, seats.all_free()).await;
    }

    /// Flushes what must not be lost.
    async fn close(self) -> Result<(), Vec<String>> {
        let shared = Arc::clone(&self.shared);
        shared.background.close().await;
        let closed = tokio::task::spawn_blocking(move || {
            shared.cache.close();
            shared.records.close()
        });
        match closed.await {
            Ok(Ok(())) => {
                tracing::info!("stopped");
                Ok(())
            }
            Ok(Err(error)) => Err(vec![error.to_string()]),
            Err(error) => Err(vec![error.to_string()]),
        }
    }
}

/// The key is printed once and kept nowhere.
fn print_key(key: &Secret) -> std::io::Result<()> {
    terminal::print(&format!(
        "No keys are configured and others can reach this port, so one was made. It is shown this once:\n\n  {}\n\n",
        key.reveal()
    ))
}

/// The answer to a request that the guard does not let in.
fn refused<B>(host: &Host, request: &http::Request<B>, foreign: guard::Foreign) -> Box<Response<Body>> {
    let dialect = guess(request.uri().path(), |name| request.headers().contains_key(name));
    let id = host.shared.ids.next();
    let body = dialect.envelope(&Fault::caller(FaultKind::Forbidden, foreign.to_string()), &id);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = http::StatusCode::FORBIDDEN;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    if let Ok(id) = http::HeaderValue::try_from(id) {
        headers.insert("x-request-id", id);
    }
    Box::new(response)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Stop,
    Reload,
}

/// The signals that are heard.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn stop_or_reload(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hang_up.recv() => Told::Reload,
        }
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
