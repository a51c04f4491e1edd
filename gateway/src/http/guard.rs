//! Refuses requests that a web page elsewhere makes a browser send here: foreign `Host` and `Origin` headers.
//!
//! Apart because it stands before routing and asks nothing but headers. While there are no keys, everyone who reaches the port is
//! served; a page on the web must not be able to reach it through the visitor's browser (DNS rebinding, or a plain form). It must
//! not know routes or keys: whoever calls it knows whether it is needed.

use std::net::IpAddr;

use http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use http::{Request, Uri};

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// It was meant for a host of another name.
    #[error(
        "this gateway has no keys, so it serves only requests to this machine's own names, not to `{0}`; add the name to `allowed_hosts`, or configure keys"
    )]
    Host(String),
    /// A page of another host sent it.
    #[error(
        "this gateway has no keys, so it serves no web pages of other hosts (`{0}`); add the host to `allowed_hosts`, or configure keys"
    )]
    Origin(String),
}

/// Looks at where a request was sent to and which page sent it. A request that names no host comes from no browser and passes.
///
/// # Errors
/// [`Foreign`], with the name that is not accepted.
pub fn check<B>(request: &Request<B>, allowed: &[String]) -> Result<(), Foreign> {
    let own = |host: &str| is_own(host, allowed);
    if let Some(host) = request.uri().host()
        && !own(host)
    {
        return Err(Foreign::Host(shown(host)));
    }
    for host in texts(request.headers(), HOST) {
        if !host_of(&host).is_some_and(own) {
            return Err(Foreign::Host(shown(&host)));
        }
    }
    for origin in texts(request.headers(), ORIGIN) {
        let uri = origin.parse::<Uri>().ok();
        let host = uri.as_ref().filter(|uri| uri.scheme().is_some()).and_then(Uri::host);
        if !host.is_some_and(own) {
            return Err(Foreign::Origin(shown(&origin)));
        }
    }
    Ok(())
}

fn texts(headers: &HeaderMap, name: http::HeaderName) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
    headers.get_all(name).iter().map(|value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()))
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn host_of(text: &str) -> Option<&str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            rest.split_once(']').map(|(host, after)| (host, after.strip_prefix(':').or(after.is_empty().then_some(""))))?
        }
        None => text.split_once(':').map_or((text, Some("")), |(host, port)| (host, Some(port))),
    };
    port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit())).then_some(host)
}

fn is_own(host: &str, allowed: &[String]) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = host.strip_suffix('.').unwrap_or(host);
    if let Ok(address) = host.parse::<IpAddr>() {
        return address.to_canonical().is_loopback() || allowed.iter().any(|name| name == host);
    }
    let localhost = |name: &str| name.eq_ignore_ascii_case("localhost");
    localhost(host)
        || host.rsplit_once('.').is_some_and(|(_, top)| localhost(top))
        || allowed.iter().any(|name| name.eq_ignore_ascii_case(host))
}

/// A name as it may be told: bounded, and plain.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &[(&str, &str)]) -> Result<(), Foreign> {
        let mut request = Request::builder().uri("/v1/models");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap(), &["gateway.lan".to_owned(), "10.0.0.7".to_owned()])
    }

    #[test]
    fn own_names_pass() {
        for host in [
            "localhost",
            "localhost:4000",
            "LOCALHOST:1",
            "localhost.",
            "app.localhost:4000",
            "127.0.0.1",
            "127.0.0.1:4000",
            "127.8.9.1",
            "[::1]",
            "[::1]:4000",
            "[::ffff:127.0.0.1]:4000",
            "gateway.lan:4000",
            "Gateway.LAN",
            "10.0.0.7:4000",
        ] {
            assert_eq!(asked(&[("host", host)]), Ok(()), "{host}");
        }
        assert_eq!(asked(&[]), Ok(()), "no browser leaves it out");
    }

    #[test]
    fn foreign_hosts_are_refused() {
        for host in [
            "evil.example",
            "evil.example:4000",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.8",
            "0.0.0.0:4000",
            "[::]:4000",
            "",
            "localhost:evil",
            "[::1",
            "[::1]x",
            "notlocalhost",
            "user@localhost",
            "localhost@evil.example",
            "2130706433",
        ] {
            assert!(matches!(asked(&[("host", host)]), Err(Foreign::Host(_))), "{host}");
        }
        assert!(asked(&[("host", "localhost"), ("host", "evil.example")]).is_err(), "each of several counts");
    }

    #[test]
    fn foreign_origins_are_refused() {
        for origin in ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:8080", "http://gateway.lan"] {
            assert_eq!(asked(&[("host", "localhost"), ("origin", origin)]), Ok(()), "{origin}");
        }
        for origin in
            ["https://evil.example", "null", "", "http://localhost.evil.example", "localhost", "file://", "http://10.0.0.8"]
        {
            assert!(matches!(asked(&[("host", "localhost"), ("origin", origin)]), Err(Foreign::Origin(_))), "{origin}");
        }
    }

    #[test]
    fn an_address_in_the_request_line_counts_too() {
        let request = |uri: &str| check(&Request::builder().uri(uri).header("host", "localhost").body(()).unwrap(), &[]);
        assert_eq!(request("http://127.0.0.1:4000/v1/models"), Ok(()));
        assert!(request("http://evil.example/v1/models").is_err());
    }
}
