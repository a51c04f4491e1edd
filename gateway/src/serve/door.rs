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

use super::pace::{Crowd, Look, Pace, Times, Turns};
use super::refuse;
use super::streams::{Paced, Streams};
use super::wire::{Answer, Asked, Wire};
use crate::http::health::Stage;

/// Refusals that are being said at once; beyond them a connection is closed without a word.
const REFUSALS: usize = 64;
const H2_STREAMS: u32 = 256;
const H2_HEADERS: u32 = 64 << 10;

/// Looks at a request before anything else; `Err` is the answer.
pub(crate) type Gate = Arc<dyn Fn(&Request<Asked>) -> Result<(), Box<Response<Body>>> + Send + Sync>;

/// What a port serves, and within which bounds.
pub(crate) struct Door {
    /// What answers.
    pub(crate) router: Router,
    /// What is asked before.
    pub(crate) gate: Gate,
    /// Connections at once.
    pub(crate) connections: usize,
    /// What clients may take their time for.
    pub(crate) times: Times,
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
        peeked = timeout(door.times.header, stream.peek(&mut first)) => peeked.ok().and_then(Result::ok),
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
    let end = {
        let service = service_fn(async |request: Request<Incoming>| {
            let answering = pulse.answering();
            let response = answer(door, request.map(|body| Asked::new(body, &pulse))).await?;
            Ok::<_, Infallible>(response.map(|body| Answer::new(body, answering)))
        });
        let mut builder = http1::Builder::new();
        builder.header_read_timeout(None);
        let connection = builder.serve_connection(TokioIo::new(wire), service);
        watch(door, pin!(connection), Turns::new(&pulse, door.times)).await
    };
    let Some(stream) = pulse.take_back() else { return };
    match end {
        End::Late => refuse::say(stream, refuse::slow()).await,
        End::Closed if !pulse.unread() => {}
        End::Closed | End::Broken => {
            let mut stage = door.stage.clone();
            tokio::select! {
                _ = stage.wait_for(|stage| *stage == Stage::Cut) => {}
                () = refuse::linger(stream) => {}
            }
        }
        End::Stuck => forget(&stream),
        End::Cut => {}
    }
}

async fn http2(door: &Arc<Door>, stream: TcpStream) {
    let (wire, pulse) = Wire::new(stream);
    let streams = Streams::new();
    let end = {
        let of_streams = (Arc::clone(door), Arc::clone(&pulse), Arc::clone(&streams));
        let service = service_fn(move |request: Request<Incoming>| {
            let (door, pulse, streams) = of_streams.clone();
            let open = streams.begin();
            async move {
                let response = answer(&door, request.map(|body| Asked::new(body, &pulse))).await?;
                Ok::<_, Infallible>(response.map(|body| Paced::new(body, open)))
            }
        });
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(door.times.idle / 2).max_concurrent_streams(H2_STREAMS);
        builder.max_header_list_size(H2_HEADERS);
        let connection = builder.serve_connection(TokioIo::new(wire), service);
        watch(door, pin!(connection), Crowd::new(&pulse, &streams, door.times)).await
    };
    if let (End::Stuck, Some(stream)) = (end, pulse.take_back()) {
        forget(&stream);
    }
}

/// What the system still holds for a client that takes nothing is not kept for it.
fn forget(stream: &TcpStream) {
    // If it cannot be told, the system keeps it as long as it sees fit.
    let _ = stream.set_zero_linger();
}

async fn answer(door: &Door, request: Request<Asked>) -> Result<Response<Body>, Infallible> {
    match (door.gate)(&request) {
        Ok(()) => door.router.clone().call(request).await,
        Err(refusal) => Ok(*refusal),
    }
}

/// A connection that can be asked to finish.
trait Closes: Future<Output = Result<(), hyper::Error>> {
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
    S: hyper::service::HttpService<Incoming, ResBody = Paced>,
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

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// In order.
    Closed,
    /// It failed, or what came was not HTTP.
    Broken,
    /// With the process.
    Cut,
    /// A head did not come in time.
    Late,
    /// Its client did not take what was to be written, or said nothing.
    Stuck,
}

/// Drives a connection to its end, to the process's, or to that of its patience.
async fn watch<C: Closes>(door: &Door, mut connection: Pin<&mut C>, mut pace: impl Pace) -> End {
    let mut stage = door.stage.clone();
    let mut seen = Stage::Serving;
    let mut tick = pin!(sleep(door.times.first_look()));
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => return if ended.is_ok() { End::Closed } else { End::Broken },
            now = later(&mut stage, seen) => {
                seen = now;
                if seen == Stage::Cut {
                    return End::Cut;
                }
                connection.as_mut().close();
            }
            () = tick.as_mut() => {
                let next = match pace.look() {
                    Look::Late => return End::Late,
                    Look::Stuck => return End::Stuck,
                    Look::Well(next) => next,
                    Look::Idle(next) => {
                        // An answer that is still to come is not cut by this, only what would follow it.
                        connection.as_mut().close();
                        next
                    }
                };
                tick.as_mut().reset(Instant::now() + next);
            }
        }
    }
}
