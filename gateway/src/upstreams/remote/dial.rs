//! How a connection to an upstream is made: straight there, or through the proxy that the environment names for it.
//!
//! Apart because this is the only file that knows proxies. Forward proxies (`http://`), tunnels (CONNECT) and SOCKS 5 are known;
//! the proxy itself may be reached by TLS. It must not know requests.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::header::HeaderValue;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Straight = HttpsConnector<HttpConnector>;
type Outer = MaybeHttpsStream<TokioIo<TcpStream>>;

/// A proxy, and what it wants to know.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    uri: Uri,
    basic: Option<HeaderValue>,
    login: Option<(String, String)>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("host", &self.uri.host()).finish_non_exhaustive()
    }
}

impl Proxy {
    /// The proxy for that address.
    pub(super) fn of(uri: &Uri, proxies: &Matcher) -> Option<Self> {
        proxies.intercept(uri).map(|found: Intercept| Self {
            uri: found.uri().clone(),
            basic: found.basic_auth().cloned(),
            login: found.raw_auth().map(|(user, password)| (user.to_owned(), password.to_owned())),
        })
    }

    fn is_socks(&self) -> bool {
        self.uri.scheme_str().is_some_and(|scheme| scheme.starts_with("socks"))
    }

    /// The header that a forward proxy wants on each request; a tunnel's is sent once, when it is opened.
    pub(super) fn header(&self, upstream: &Uri) -> Option<&HeaderValue> {
        self.basic.as_ref().filter(|_| !self.is_socks() && upstream.scheme_str() == Some("http"))
    }
}

/// Makes connections, each within a time: name look-up, TCP, the proxy's part and TLS together.
#[derive(Clone)]
pub(super) struct Dialer {
    route: Route,
    patience: Duration,
}

#[derive(Clone)]
enum Route {
    Straight(Straight),
    /// A proxy that is asked for `http://` addresses by their full name.
    Forward(Straight, Uri),
    Tunnel(HttpsConnector<Tunnel<Straight>>),
    Socks(HttpsConnector<SocksV5<Straight>>),
}

impl Dialer {
    /// A dialer to an upstream that takes this long at most.
    pub(super) fn new(patience: Duration, tls: rustls::ClientConfig, (upstream, proxy): (&Uri, Option<Proxy>)) -> Self {
        Self { route: Route::new(tcp(patience), tls, (upstream, proxy)), patience }
    }
}

/// No waiting for full packets. The time limit is shared among a name's addresses, so that one that does not answer leaves time
/// for the next.
fn tcp(patience: Duration) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(patience));
    tcp.enforce_http(false);
    tcp
}

impl Route {
    fn new(tcp: HttpConnector, tls: rustls::ClientConfig, (upstream, proxy): (&Uri, Option<Proxy>)) -> Self {
        let straight = https(tcp, tls.clone());
        match proxy {
            None => Self::Straight(straight),
            Some(proxy) if proxy.is_socks() => {
                let resolves_here = proxy.uri.scheme_str() == Some("socks5");
                let mut socks = SocksV5::new(proxy.uri, straight).local_dns(resolves_here);
                if let Some((user, password)) = proxy.login {
                    socks = socks.with_auth(user, password);
                }
                Self::Socks(https(socks, tls))
            }
            Some(proxy) if upstream.scheme_str() == Some("http") => Self::Forward(straight, proxy.uri),
            Some(proxy) => {
                let mut tunnel = Tunnel::new(proxy.uri, straight);
                if let Some(basic) = proxy.basic {
                    tunnel = tunnel.with_auth(basic);
                }
                Self::Tunnel(https(tunnel, tls))
            }
        }
    }
}

fn https<C>(inner: C, tls: rustls::ClientConfig) -> HttpsConnector<C> {
    HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(inner)
}

impl Service<Uri> for Dialer {
    type Response = Link;
    type Error = Error;
    type Future = Dialing;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match &mut self.route {
            Route::Straight(dialer) | Route::Forward(dialer, _) => dialer.poll_ready(context),
            Route::Tunnel(dialer) => dialer.poll_ready(context),
            Route::Socks(dialer) => dialer.poll_ready(context),
        }
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        match &mut self.route {
            Route::Straight(dialer) => {
                let dialing = dialer.call(to);
                within(self.patience, async move { dialing.await.map(|outer| Link::new(outer, Asks::Upstream)) })
            }
            Route::Forward(dialer, proxy) => {
                let dialing = dialer.call(proxy.clone());
                within(self.patience, async move { dialing.await.map(|outer| Link::new(outer, Asks::ForwardProxy)) })
            }
            Route::Tunnel(dialer) => {
                let dialing = dialer.call(to);
                within(self.patience, async move { Ok(Link::Inside(Box::new(dialing.await?))) })
            }
            Route::Socks(dialer) => {
                let dialing = dialer.call(to);
                within(self.patience, async move { Ok(Link::Inside(Box::new(dialing.await?))) })
            }
        }
    }
}

type Dialing = Pin<Box<dyn Future<Output = Result<Link, Error>> + Send>>;

/// The connection, or an error when it is not there in time.
fn within(patience: Duration, dialing: impl Future<Output = Result<Link, Error>> + Send + 'static) -> Dialing {
    Box::pin(async move {
        match tokio::time::timeout(patience, dialing).await {
            Ok(made) => made,
            Err(_) => {
                let late = format!("the connection was not there within {patience:?}");
                Err(Box::new(io::Error::new(io::ErrorKind::TimedOut, late)) as Error)
            }
        }
    })
}

/// A connection that was made. What TLS needs is kept apart, so that a connection without it is small.
pub(super) enum Link {
    Plain(TokioIo<TcpStream>, Asks),
    Secure(Box<Outer>, Asks),
    Inside(Box<MaybeHttpsStream<Outer>>),
}

/// Who reads the requests of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    Upstream,
    /// It wants to know the whole address.
    ForwardProxy,
}

impl Link {
    fn new(outer: Outer, asks: Asks) -> Self {
        match outer {
            MaybeHttpsStream::Http(stream) => Self::Plain(stream, asks),
            secure => Self::Secure(Box::new(secure), asks),
        }
    }
}

/// The stream in it, whatever kind it is.
macro_rules! stream {
    ($link:expr, $stream:ident => $do:expr) => {
        match $link.get_mut() {
            Link::Plain(stream, _) => {
                let $stream = Pin::new(stream);
                $do
            }
            Link::Secure(stream, _) => {
                let $stream = Pin::new(stream);
                $do
            }
            Link::Inside(stream) => {
                let $stream = Pin::new(stream);
                $do
            }
        }
    };
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        let (connected, asks) = match self {
            Self::Plain(stream, asks) => (stream.connected(), *asks),
            Self::Secure(stream, asks) => (stream.connected(), *asks),
            Self::Inside(_) => (Connected::new(), Asks::Upstream),
        };
        connected.proxy(asks == Asks::ForwardProxy)
    }
}

impl Read for Link {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        stream!(self, stream => stream.poll_read(context, buffer))
    }
}

impl Write for Link {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        stream!(self, stream => stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream!(self, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream!(self, stream => stream.poll_shutdown(context))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        stream!(self, stream => stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream, _) => stream.is_write_vectored(),
            Self::Secure(stream, _) => stream.is_write_vectored(),
            Self::Inside(stream) => stream.is_write_vectored(),
        }
    }
}
