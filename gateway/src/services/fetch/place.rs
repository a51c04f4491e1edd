//! Where a fetch goes: a URL that was read, and where a redirect leads from it.
//!
//! Apart because what is checked and what is asked must be the same reading of one text. It must not know what is allowed beyond
//! comparing.

use gatewright_plugins::ServiceError;
use http::Uri;

use crate::config::facts::HostFact;

/// Longest URL, in bytes.
const LONGEST: usize = 8 << 10;

/// A URL of HTTP or HTTPS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) uri: Uri,
    /// In lower case, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
}

impl Place {
    /// Reads a URL; what follows `#` is not sent.
    pub(super) fn read(text: &str) -> Result<Self, ServiceError> {
        if text.len() > LONGEST {
            return Err(ServiceError::Limit(format!("a URL of more than {LONGEST} bytes")));
        }
        let text = text.split_once('#').map_or(text, |(before, _)| before);
        Self::of(text.parse().map_err(|_| failed("this is not a URL"))?)
    }

    /// Takes a URL apart.
    pub(super) fn of(uri: Uri) -> Result<Self, ServiceError> {
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(failed("a URL begins with https:// or http://")),
        };
        let authority = uri.authority().ok_or_else(|| failed("this URL names no host"))?;
        if authority.as_str().contains('@') {
            return Err(failed("a URL is no place for a name or a password"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        if host.is_empty() {
            return Err(failed("this URL names no host"));
        }
        Ok(Self { host, port, tls, uri })
    }

    /// Whether it is at this host.
    pub(super) fn is_at(&self, host: &HostFact) -> bool {
        self.tls == host.tls && host.is(&self.host, self.port)
    }

    /// Whether both are at one server: what one may see, the other may.
    pub(super) fn same_origin(&self, other: &Self) -> bool {
        (self.tls, &self.host, self.port) == (other.tls, &other.host, other.port)
    }

    /// Where a `Location` leads from here.
    pub(super) fn join(&self, location: &str) -> Result<Self, ServiceError> {
        let scheme = if self.tls { "https" } else { "http" };
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let path = self.uri.path();
        let start = location.find(['/', '?', '#']).unwrap_or(location.len());
        let text = if location[..start].contains(':') {
            location.to_owned()
        } else if location.starts_with("//") {
            format!("{scheme}:{location}")
        } else if location.starts_with('/') {
            format!("{scheme}://{authority}{location}")
        } else if location.is_empty() || location.starts_with(['?', '#']) {
            format!("{scheme}://{authority}{path}{location}")
        } else {
            let folder = path.rfind('/').map_or("/", |at| &path[..=at]);
            format!("{scheme}://{authority}{folder}{location}")
        };
        Self::read(&text)
    }
}

fn failed(why: &str) -> ServiceError {
    ServiceError::Failed(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_leads_where_a_browser_would_go() {
        let here = Place::read("https://api.example.com/v1/check?x=1#top").unwrap();
        for (location, to) in [
            ("https://other.example/a", "https://other.example/a"),
            ("//other.example/a", "https://other.example/a"),
            ("/b", "https://api.example.com/b"),
            ("c?d=e", "https://api.example.com/v1/c?d=e"),
            ("?y", "https://api.example.com/v1/check?y"),
        ] {
            assert_eq!(here.join(location).unwrap().uri.to_string(), to, "{location}");
        }
        for location in ["file:///etc/passwd", "javascript:alert(1)", "http:///x", "https://u:p@other.example/"] {
            assert!(here.join(location).is_err(), "{location}");
        }
    }

    #[test]
    fn one_text_has_one_reading() {
        let place = Place::read("http://EXAMPLE.com:8080/x").unwrap();
        assert_eq!((place.host.as_str(), place.port, place.tls), ("example.com", 8080, false));
        assert_eq!(Place::read("https://[::1]/").unwrap().host, "::1");
        for text in [
            "",
            "example.com",
            "/x",
            "ftp://a/",
            "https://a b/",
            "https://a\r\nb/",
            "https://user@a/",
            "https:///x",
            "https://a\\@b/",
        ] {
            assert!(Place::read(text).is_err(), "{text}");
        }
    }
}
