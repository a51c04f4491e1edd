//! HTTP clients, shared by the providers that can share one.
//!
//! Apart because how connections are made (TLS, proxies, pools) is decided here and nowhere else. It must not know requests.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Why a provider cannot be used: for the operator.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

/// How a connection is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    tls: bool,
    /// Straight there, past any proxy that the system names: a loopback address means this machine.
    direct: bool,
    connect: Duration,
}

/// Clients by the way they connect, each with its own pool. Made when first needed.
#[derive(Debug, Default)]
pub struct Clients(Mutex<Vec<(Way, reqwest::Client)>>);

impl Clients {
    /// The client for that URL.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(super) fn get(&self, url: &reqwest::Url, connect: Duration) -> Result<reqwest::Client, Unusable> {
        let way = Way { tls: url.scheme() == "https", direct: is_loopback(url), connect };
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = made.iter().find(|(other, _)| *other == way) {
            return Ok(client.clone());
        }
        let client = make(way)?;
        made.push((way, client.clone()));
        Ok(client)
    }
}

fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// HTTP/1.1, no redirects, no retries, no waiting for full packets.
fn make(way: Way) -> Result<reqwest::Client, Unusable> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("gatewright/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .tcp_nodelay(true)
        .referer(false)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(way.connect)
        .pool_idle_timeout(Duration::from_secs(50))
        .pool_max_idle_per_host(1024);
    if way.direct {
        builder = builder.no_proxy();
    }
    if way.tls {
        // Where another library has chosen a provider already, that one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    } else {
        // Without TLS the system's certificates need not be read, and may be missing.
        builder = builder.tls_backend_preconfigured(no_roots()?);
    }
    builder.build().map_err(|error| Unusable(format!("the HTTP client cannot be set up: {}", super::super::body::chain(&error))))
}

fn no_roots() -> Result<rustls::ClientConfig, Unusable> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| Unusable(error.to_string()))?;
    Ok(config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_that_connect_alike_share_a_client_and_tls_can_be_set_up() {
        let clients = Clients::default();
        let url = |text: &str| reqwest::Url::parse(text).unwrap();
        for text in ["http://127.0.0.1:1/v1", "http://localhost/v1", "http://[::1]/v1", "https://example.com/v1"] {
            clients.get(&url(text), Duration::from_secs(1)).unwrap();
        }
        assert_eq!(clients.0.lock().unwrap().len(), 2);
        assert!(!is_loopback(&url("http://example.com")));
    }
}
