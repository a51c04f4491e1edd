//! A place in a registry: `oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:DIGEST]`.
//!
//! Apart because configurations, locks and commands name places alike. It must not ask a registry.

use std::fmt;
use std::net::IpAddr;

use oci_client::Reference;

/// What a place begins with.
const SCHEME: &str = "oci://";

/// A place in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub(super) reference: Reference,
}

impl Place {
    /// Whether a text means a place rather than a path.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// Reads a place.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("`{text}` is no place in a registry: {what}");
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong("it begins with `oci://`"))?;
        let host = rest.split_once('/').map(|(host, _)| host).unwrap_or_default();
        // Without this, a name of one word would mean a well-known registry.
        if !host.contains(['.', ':']) && host != "localhost" {
            return Err(wrong("name the host: `oci://registry.example.com/plugins/mine:1.0`"));
        }
        let reference: Reference = rest.parse().map_err(|error| wrong(&format!("{error}")))?;
        if reference.digest().is_some_and(|digest| !is_sha256(digest)) {
            return Err(wrong("a digest is `sha256:` and 64 of 0-9 and a-f"));
        }
        Ok(Self { reference })
    }

    /// The digest that it names.
    pub fn digest(&self) -> Option<&str> {
        self.reference.digest()
    }

    /// Host, with its port where it has one.
    pub fn host(&self) -> &str {
        self.reference.registry()
    }

    /// The last part of the repository: a name for what lies there.
    pub fn name(&self) -> &str {
        self.reference.repository().rsplit('/').next().unwrap_or_default()
    }

    /// The artifact of this digest in the same repository.
    pub(super) fn at(&self, digest: &str) -> Reference {
        self.reference.clone_with_digest(digest.to_owned())
    }

    /// Where cosign keeps the signatures of an artifact.
    pub(super) fn signature_of(&self, digest: &str) -> Reference {
        let tag = format!("{}.sig", digest.replace(':', "-"));
        Reference::with_tag(self.reference.registry().to_owned(), self.reference.repository().to_owned(), tag)
    }

    /// Whether it is this machine: only there is a registry asked without TLS.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.host();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_start_matches('[').trim_end_matches(']');
        name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.reference)
    }
}

/// Whether a text is a digest as registries write it.
pub(super) fn is_sha256(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written_alike() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for text in ["oci://r.example/a/b:1.0", "oci://127.0.0.1:5000/a:x", &format!("oci://localhost/a@{digest}")] {
            assert_eq!(Place::read(text).unwrap().to_string(), text);
        }
        let place = Place::read("oci://r.example/plugins/mine").unwrap();
        assert_eq!(
            (place.to_string().as_str(), place.name(), place.digest()),
            ("oci://r.example/plugins/mine:latest", "mine", None)
        );
        assert_eq!(place.signature_of(&digest).to_string(), format!("r.example/plugins/mine:sha256-{}.sig", "0a".repeat(32)));
        for wrong in [
            "r.example/a",
            "oci://mine",
            "oci://library/mine",
            "oci://r.example/",
            "oci://r.example/A:1",
            "oci://r.example/a@sha256:00",
            "oci://r.example/../a:1",
        ] {
            assert!(Place::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_this_machine_is_asked_without_tls() {
        for (text, loopback) in [
            ("oci://localhost:5000/a", true),
            ("oci://127.0.0.1:1/a", true),
            ("oci://127.0.0.1.example/a", false),
            ("oci://10.0.0.1:5000/a", false),
        ] {
            assert_eq!(Place::read(text).unwrap().is_loopback(), loopback, "{text}");
        }
    }
}
