//! Connections for fetches: a name is looked up once, its addresses are checked, and the connection is made to one that was.
//!
//! So a name that leads elsewhere a moment later leads nowhere. Proxies that the environment names are not used: they would look
//! names up themselves. Apart because the check and the connection belong together. It must not know requests.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::super::Range;
use super::address::{is_inside, is_public};
use super::place::Place;
use crate::config::facts::{HostFact, HostName};

/// Looks names up.
#[async_trait]
pub(super) trait Resolve: Send + Sync {
    /// The addresses of a name.
    async fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// As the system does it.
pub(super) struct System;

#[async_trait]
impl Resolve for System {
    async fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// The operator does not allow this host, or not where its name leads.
#[derive(Debug)]
pub(super) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not allowed by the operator")
    }
}

impl std::error::Error for Refused {}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Makes connections to allowed hosts only.
#[derive(Clone)]
pub(super) struct Dialer {
    hosts: Arc<[HostFact]>,
    names: Arc<dyn Resolve>,
    range: Range,
}

impl Dialer {
    pub(super) fn new(hosts: &[HostFact], names: Arc<dyn Resolve>, range: Range) -> Self {
        Self { hosts: hosts.into(), names, range }
    }

    async fn dial(self, to: Uri) -> Result<TokioIo<TcpStream>, Error> {
        let place = Place::of(to).map_err(|_| Refused)?;
        // A name may say what must not leave, and whoever looks it up is told it.
        let is_near = |host: &&HostFact| self.range == Range::Anywhere || host.private;
        let allowed: Vec<&HostFact> = self.hosts.iter().filter(|host| place.is_at(host)).filter(is_near).collect();
        if allowed.is_empty() {
            return Err(Box::new(Refused));
        }
        let found = match place.host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => self.names.look_up(&place.host).await?,
        };
        let is_near = |at: &IpAddr| self.range == Range::Anywhere || is_inside(*at);
        let may_be = |at: &IpAddr| allowed.iter().any(|host| may_be_at(host, *at));
        let checked: Vec<IpAddr> = found.into_iter().filter(|at| is_near(at) && may_be(at)).collect();
        if checked.is_empty() {
            tracing::warn!(host = place.host, "a plugin's fetch was refused: this name leads to no address that it may reach");
            return Err(Box::new(Refused));
        }
        let mut last = None;
        for address in checked {
            match TcpStream::connect(SocketAddr::new(address, place.port)).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(TokioIo::new(stream));
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or_else(|| Box::new(Refused) as Error, Into::into))
    }
}

/// Whether an allowed host may be at this address.
fn may_be_at(host: &HostFact, address: IpAddr) -> bool {
    match &host.name {
        HostName::At(named) => *named == address,
        _ => is_public(address) || (host.private && is_inside(address)),
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(self.clone().dial(to))
    }
}
