//! HTTP clients, shared by the providers that can share one.
//!
//! Apart because TLS and the pools of connections are decided here and nowhere else. It must not know requests.
//!
//! The client is hyper-util's, without a layer above it: redirects, cookies and unseen retries are not wanted here, and the layers
//! that offer them (reqwest's, and async-openai's above those) cost more than all else that a request costs; the figures are in
//! `tests/bench/README.md`.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt;

use super::dial::{Dialer, Proxy};
use super::pass::Upload;
use crate::environment::Proxies;

/// Why a provider cannot be used: for the operator.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

/// A client with its pool of connections.
pub(super) type HttpClient = Client<Dialer, Full<Bytes>>;

/// An idle connection is closed after this time.
const IDLE_TIME: Duration = Duration::from_secs(50);
/// Bytes that one connection reads at once, and the most that the head of an answer may have. It keeps as many while it is idle;
/// left to itself it would take 25 times as many for a fast answer, and keep those.
const BUFFER: usize = 16 << 10;
/// Idle connections that are kept, for each upstream.
const IDLE_CONNECTIONS: usize = 1024;

/// How a connection is made.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Way {
    tls: bool,
    proxy: Option<Proxy>,
    connect: Duration,
}

/// Clients by the way they connect, each with its own pool. Made when first needed.
pub struct Clients {
    made: Mutex<Vec<(Way, HttpClient)>>,
    proxies: Matcher,
}

impl Default for Clients {
    /// Clients that know no proxy.
    fn default() -> Self {
        Self::new(&Proxies::default())
    }
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clients")
    }
}

impl Clients {
    /// Clients that go through these proxies.
    pub fn new(proxies: &Proxies) -> Self {
        let Proxies { all, http, https, no } = proxies;
        let proxies = Matcher::builder().all(all.as_str()).http(http.as_str()).https(https.as_str()).no(no.as_str()).build();
        Self { made: Mutex::default(), proxies }
    }

    /// The client for that address, and the proxy that it goes through.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(super) fn get(&self, uri: &Uri, connect: Duration) -> Result<(HttpClient, Option<Proxy>), Unusable> {
        let way = self.way(uri, connect);
        let proxy = way.proxy.clone();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = made.iter().find(|(other, _)| *other == way) {
            return Ok((client.clone(), proxy));
        }
        let client: HttpClient = builder().build(dialer(&way, uri)?);
        made.push((way, client.clone()));
        Ok((client, proxy))
    }
}

impl Clients {
    fn way(&self, uri: &Uri, connect: Duration) -> Way {
        // A loopback address means this machine, whatever proxy the environment names.
        let proxy = if is_loopback(uri) { None } else { Proxy::of(uri, &self.proxies) };
        Way { tls: uri.scheme_str() == Some("https"), proxy, connect }
    }

    /// A client of its own for that address, for bodies that are passed on while they come.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(super) fn carrying(&self, uri: &Uri, connect: Duration) -> Result<Client<Dialer, Upload>, Unusable> {
        Ok(builder().build(dialer(&self.way(uri, connect), uri)?))
    }
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn dialer(way: &Way, uri: &Uri) -> Result<Dialer, Unusable> {
    let tls = match way.tls || way.proxy.is_some() {
        true => trusting_the_system(),
        // Without TLS the system's certificates need not be read, and may be missing.
        false => trusting_nobody(),
    };
    let tls = tls.map_err(|error| Unusable(format!("TLS cannot be set up: {error}")))?;
    Ok(Dialer::new(way.connect, tls, (uri, way.proxy.clone())))
}

/// HTTP/1.1.
fn builder() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.timer(TokioTimer::new()).pool_timer(TokioTimer::new());
    builder.pool_idle_timeout(IDLE_TIME).pool_max_idle_per_host(IDLE_CONNECTIONS).http1_read_buf_exact_size(BUFFER);
    builder
}

/// TLS that trusts whom the system trusts.
///
/// # Errors
/// The system's certificates cannot be read.
pub(crate) fn trusting_the_system() -> Result<ClientConfig, rustls::Error> {
    let versions = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(versions.with_platform_verifier()?.with_no_client_auth())
}

/// TLS that is not meant to be used.
///
/// # Errors
/// It cannot be set up.
pub(crate) fn trusting_nobody() -> Result<ClientConfig, rustls::Error> {
    let versions = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(versions.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
mod tests {
    use tower_service::Service as _;

    use super::super::dial::Link;
    use super::*;

    #[test]
    fn providers_that_connect_alike_share_a_client_and_tls_can_be_set_up() {
        let clients = Clients::default();
        for text in ["http://127.0.0.1:1/v1", "http://localhost/v1", "http://[::1]/v1", "https://localhost/v1"] {
            clients.get(&Uri::from_static(text), Duration::from_secs(1)).unwrap();
        }
        assert_eq!(clients.made.lock().unwrap().len(), 2);
        assert!(!is_loopback(&Uri::from_static("http://example.com")));
    }

    #[test]
    fn only_what_is_not_of_this_machine_goes_through_the_proxies_that_were_given() {
        let proxies = Proxies { https: "http://u:p@proxy:3128".into(), no: "inside.example".into(), ..Proxies::default() };
        let clients = Clients::new(&proxies);
        let proxy = |text: &'static str| clients.get(&Uri::from_static(text), Duration::from_secs(1)).unwrap().1;
        assert!(proxy("https://api.example/v1").is_some());
        assert!(proxy("http://api.example/v1").is_none() && proxy("https://inside.example/v1").is_none());
        assert!(proxy("https://127.0.0.1/v1").is_none());
    }

    #[tokio::test]
    async fn a_connection_does_not_wait_for_full_packets() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri: Uri = format!("http://{}/v1", listener.local_addr().unwrap()).parse().unwrap();
        let mut dialer = Dialer::new(Duration::from_secs(1), trusting_nobody().unwrap(), (&uri, None));
        match dialer.call(uri.clone()).await.unwrap() {
            Link::Plain(stream, _) => assert!(stream.inner().nodelay().unwrap()),
            Link::Secure(..) | Link::Inside(_) => panic!("no TLS was asked for"),
        }
    }
}
