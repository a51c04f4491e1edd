//! One listening port: takes connections up to a bound, serves each, and lets them finish when told to stop.
//!
//! Apart because it is all that knows sockets. It must not know what is served: it has a router and a gate.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};
use tower_service::Service as _;

use super::refuse;
use super::wire::{Answer, Pulse, Wire};
use crate::http::health::Stage;

/// Refusals that are being said at once; beyond them a connection is closed without a word.
const REFUSALS: usize = 64;
/// Ticks of `header_time` without a byte after which an idle connection is asked to close.
const IDLE_TIME: Duration = Duration::from_secs(75);
const H2_STREAMS: u32 = 256;
const H2_HEADERS: u32 = 64 << 10;

/// Looks at a request before anything else; `Err` is the answer.
pub(crate) type Gate = Arc<dyn Fn(&Request<Incoming>) -> Result<(), Box<Response<Body>>> + Send + Sync>;

/// What a port serves, and within which bounds.
pub(crate) struct Door {
    /// What answers.
    pub(crate) router: Router,
    /// What is asked before.
    pub(crate) gate: Gate,
    /// Connections at once.
    pub(crate) connections: usize,
    /// Time for a head to come.
    pub(crate) header_time: Duration,
    /// How far the process is on its way out.
    pub(crate) stage: watch::Receiver<Stage>,
    /// Connections that are open.
    pub(crate) open: Gauge,
    /// Connections that were refused.
    pub(crate) refused: Counter,
}

/// Connections of a port; when all seats are free again, none is open.
#[derive(Clone, Debug)]
pub(crate) struct Seats {
    free: Arc<Semaphore>,
    all: u32,
}

impl Seats {
    /// Waits until no connection is open.
    pub(crate) async fn all_free(&self) {
        // It is never closed.
        let _ = self.free.acquire_many(self.all).await;
    }
}

/// Binds a port.
///
/// # Errors
/// A message that names the flag which chooses another.
pub(crate) async fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => "the port is in use".to_owned(),
            io::ErrorKind::PermissionDenied => "ports below 1024 need a permission".to_owned(),
            io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
            _ => error.to_string(),
        };
        format!("cannot listen on {address}: {why}; choose another with `{flag} ADDRESS:PORT`")
    })
}

/// Takes connections until the stage is no longer [`Stage::Serving`]. The seats tell when those taken are done.
pub(crate) fn open(door: Door, listener: TcpListener) -> (Seats, impl Future<Output = ()>) {
    let all = u32::try_from(door.connections).unwrap_or(u32::MAX).min(Semaphore::MAX_PERMITS as u32);
    let free = Arc::new(Semaphore::new(all as usize));
    let seats = Seats { free: Arc::clone(&free), all };
    (seats, accept(Arc::new(door), listener, free))
}

async fn accept(door: Arc<Door>, listener: TcpListener, free: Arc<Semaphore>) {
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let mut stage = door.stage.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stage.wait_for(|stage| *stage != Stage::Serving) => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, or a connection that went away: neither ends the port.
                tracing::warn!(%error, "cannot take a connection");
                sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        match Arc::clone(&free).try_acquire_owned() {
            Ok(seat) => drop(tokio::spawn(hold(Arc::clone(&door), stream, seat))),
            Err(_) => {
                door.refused.inc();
                if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                    tokio::spawn(async move {
                        refuse::say(stream, refuse::full()).await;
                        drop(permit);
                    });
                }
            }
        }
    }
}

/// Serves one connection to its end.
pub(super) async fn hold(door: Arc<Door>, stream: TcpStream, seat: OwnedSemaphorePermit) {
    door.open.inc();
    let mut stage = door.stage.clone();
    let mut first = [0; 3];
    // A connection that says nothing is closed without a word, as browsers open some in advance.
    let begun = tokio::select! {
        _ = stage.wait_for(|stage| *stage != Stage::Serving) => None,
        peeked = timeout(door.header_time, stream.peek(&mut first)) => peeked.ok().and_then(Result::ok),
    };
    if begun.is_some_and(|bytes| bytes > 0) && stream.set_nodelay(true).is_ok() {
        // `PRI` begins HTTP/2's preface and no method.
        match &first {
            b"PRI" => http2(&door, stream).await,
            _ => http1(&door, stream).await,
        }
    }
    door.open.dec();
    drop(seat);
}

async fn http1(door: &Door, stream: TcpStream) {
    let (wire, pulse) = Wire::new(stream);
    let late = {
        let service = service_fn(|request| answer(door, request, &pulse));
        let mut builder = http1::Builder::new();
        builder.header_read_timeout(None);
        let connection = builder.serve_connection(TokioIo::new(wire), service);
        watch(door, pin!(connection), Some(&pulse)).await
    };
    if late && let Some(stream) = pulse.take_back() {
        refuse::say(stream, refuse::slow()).await;
    }
}

async fn http2(door: &Arc<Door>, stream: TcpStream) {
    let (wire, pulse) = Wire::new(stream);
    let door_of_streams = Arc::clone(door);
    let service = service_fn(move |request| {
        let (door, pulse) = (Arc::clone(&door_of_streams), Arc::clone(&pulse));
        async move { answer(&door, request, &pulse).await }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(IDLE_TIME / 2).max_concurrent_streams(H2_STREAMS);
    builder.max_header_list_size(H2_HEADERS);
    let connection = builder.serve_connection(TokioIo::new(wire), service);
    watch(door, pin!(connection), None).await;
}

async fn answer(door: &Door, request: Request<Incoming>, pulse: &Arc<Pulse>) -> Result<Response<Answer>, Infallible> {
    let answering = pulse.answering();
    let response = match (door.gate)(&request) {
        Ok(()) => door.router.clone().call(request).await?,
        Err(refusal) => *refusal,
    };
    Ok(response.map(|body| Answer::new(body, answering)))
}

/// A connection that can be asked to finish.
trait Closes: Future {
    fn close(self: Pin<&mut Self>);
}

impl<S> Closes for http1::Connection<TokioIo<Wire>, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = Answer>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S> Closes for http2::Connection<TokioIo<Wire>, S, TokioExecutor>
where
    S: hyper::service::HttpService<Incoming, ResBody = Answer>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
{
    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Waits for a later stage than the one that was seen.
async fn later(stage: &mut watch::Receiver<Stage>, seen: Stage) -> Stage {
    // Whoever held the other end is gone: so is the process.
    stage.wait_for(|now| *now > seen).await.map_or(Stage::Cut, |now| *now)
}

/// Drives a connection to its end, to the process's, or to that of its patience: true when a head did not come in time.
async fn watch<C: Closes>(door: &Door, mut connection: Pin<&mut C>, pulse: Option<&Pulse>) -> bool {
    let mut stage = door.stage.clone();
    let mut seen = Stage::Serving;
    let mut tick = pin!(sleep(door.header_time));
    let mut idle = (0, Instant::now());
    loop {
        tokio::select! {
            biased;
            _ = connection.as_mut() => return false,
            now = later(&mut stage, seen) => {
                seen = now;
                if seen == Stage::Cut {
                    return false;
                }
                connection.as_mut().close();
            }
            () = tick.as_mut(), if pulse.is_some() => {
                let Some(pulse) = pulse else { return false };
                let coming = pulse.head_time();
                if coming.is_some_and(|time| time >= door.header_time) {
                    return true;
                }
                if idle.0 != pulse.beats() {
                    idle = (pulse.beats(), Instant::now());
                } else if idle.1.elapsed() >= IDLE_TIME {
                    // An answer that is still to come is not cut by this, only what would follow it.
                    connection.as_mut().close();
                }
                let rest = door.header_time.saturating_sub(coming.unwrap_or_default()).max(Duration::from_millis(1));
                tick.as_mut().reset(Instant::now() + rest);
            }
        }
    }
}
