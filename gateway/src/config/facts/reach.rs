//! What a plugin may reach outside its sandbox, as the operator allows it.
//!
//! Apart because only the services read it. It must not know how an address is looked up or a model asked.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::Secret;

/// What a plugin may reach.
#[derive(Clone, Debug, Default)]
pub struct ReachFact {
    /// Where it may fetch from.
    pub fetch: Option<FetchFact>,
    /// What it may ask models.
    pub asks: Option<AskFact>,
}

/// Where a plugin may fetch from.
#[derive(Clone, Debug)]
pub struct FetchFact {
    /// Hosts.
    pub hosts: Vec<HostFact>,
    /// Secrets by the name that the plugin writes.
    pub secrets: Vec<(String, Secret)>,
    /// Largest answer, bytes.
    pub max_bytes: usize,
    /// Time for one fetch.
    pub timeout: Duration,
}

/// What a plugin may ask models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskFact {
    /// Routes, by the names that clients use.
    pub routes: Vec<String>,
    /// Tokens of questions and answers in one request.
    pub max_tokens: u64,
}

/// What a plugin's questions may use where the operator does not say.
pub(crate) const ASK_TOKENS: u64 = 4096;

/// A host, or all names below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFact {
    /// By which names.
    pub name: HostName,
    /// Port.
    pub port: u16,
    /// Whether it is asked by TLS.
    pub tls: bool,
    /// Whether it may be at a private address.
    pub private: bool,
}

/// By which names a host is known. In lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostName {
    /// This one.
    Exactly(String),
    /// All that end in this, which begins with a dot.
    Below(String),
    /// An address.
    At(IpAddr),
}

impl HostFact {
    /// Reads an entry of the configuration.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some((scheme, _)) => return Err(format!("`{scheme}://` cannot be fetched")),
            None => (true, text),
        };
        let (host, port) = split(rest)?;
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        let host = host.to_ascii_lowercase();
        let name = match host.parse::<IpAddr>() {
            Ok(address) if address.is_unspecified() || address.is_multicast() => return Err(format!("nobody is at {address}")),
            Ok(address) => HostName::At(address),
            Err(_) => named(&host)?,
        };
        let private = matches!(&name, HostName::At(_)) || name == HostName::Exactly("localhost".to_owned());
        Ok(Self { name, port, tls, private })
    }

    /// Whether it is this host, whose name is in lower case and without brackets.
    pub fn is(&self, host: &str, port: u16) -> bool {
        self.port == port
            && match &self.name {
                HostName::Exactly(name) => name == host,
                HostName::Below(end) => host.strip_suffix(end.as_str()).is_some_and(|start| !start.is_empty()),
                HostName::At(address) => host.parse() == Ok(*address),
            }
    }
}

impl fmt::Display for HostFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        match &self.name {
            HostName::Exactly(name) => write!(f, "{scheme}://{name}:{}", self.port),
            HostName::Below(end) => write!(f, "{scheme}://*{end}:{}", self.port),
            HostName::At(IpAddr::V6(address)) => write!(f, "{scheme}://[{address}]:{}", self.port),
            HostName::At(address) => write!(f, "{scheme}://{address}:{}", self.port),
        }
    }
}

/// Host and port; an address of IPv6 is in brackets.
fn split(text: &str) -> Result<(&str, Option<u16>), String> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(text) => text.split_once(']').ok_or("`[` has no `]`")?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Ok((host, None)),
        Some(port) => match port.parse() {
            Ok(port) if port > 0 => Ok((host, Some(port))),
            _ => Err(format!("`{port}` is not a port")),
        },
        None => Err(format!("`{text}` is not a host")),
    }
}

fn named(host: &str) -> Result<HostName, String> {
    let (name, below) = host.strip_prefix("*.").map_or((host, false), |name| (name, true));
    let plain = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if name.len() > 253 || !name.split('.').all(plain) {
        return Err(format!("`{host}` is not a host's name"));
    }
    if name.rsplit('.').next().is_some_and(|last| last.chars().all(|c| c.is_ascii_digit())) {
        return Err(format!("`{host}` is neither a name nor a whole address"));
    }
    Ok(if below { HostName::Below(format!(".{name}")) } else { HostName::Exactly(name.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_host_at_one_port() {
        let host = |text| HostFact::parse(text).unwrap();
        assert_eq!(host("API.example.com").to_string(), "https://api.example.com:443");
        assert!(host("api.example.com").is("api.example.com", 443) && !host("api.example.com").is("api.example.com", 80));
        assert!(!host("example.com").is("evil-example.com", 443) && !host("example.com").is("a.example.com", 443));
        let below = host("http://*.example.org:8080");
        assert!(below.is("a.b.example.org", 8080) && !below.is("example.org", 8080) && !below.is("xexample.org", 8080));
        assert!(!below.tls && !below.private);
        for text in ["10.0.0.5:8080", "localhost", "http://[::1]:8080", "8.8.8.8"] {
            assert!(host(text).private, "{text}");
        }
        assert!(host("http://[::1]:8080").is("::1", 8080) && host("http://[::1]:8080").is("0:0:0:0:0:0:0:1", 8080));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", "*", "*.", "a b", "a..b", "ftp://a", "a:0", "a:99999", "a/b", "u@a", "[::1", "a*.b", "0.0.0.0", "127.1"] {
            assert!(HostFact::parse(text).is_err(), "{text}");
        }
    }
}
