//! Clients' keys: how one is made, and how the key of a request is found.
//!
//! Apart because a key's text exists only here and in the request that carries it: what is kept is its SHA-256. It must not
//! know HTTP.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::facts::{KeyFact, Secret};

/// What every key begins with, so that people and scanners know one when they see it.
pub const PREFIX: &str = "gw-";
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LENGTH: usize = 40;

/// All keys of one configuration, by the SHA-256 of their text.
#[derive(Debug, Default)]
pub struct KeyRing {
    by_digest: HashMap<[u8; 32], Arc<KeyFact>>,
}

impl KeyRing {
    /// A ring of these keys. Of two with the same text, the later counts (the configuration refuses such a file).
    pub fn new(keys: &[KeyFact]) -> Self {
        Self { by_digest: keys.iter().map(|key| (key.sha256, Arc::new(key.clone()))).collect() }
    }

    /// Whether there are no keys: then nobody is asked for one.
    pub fn is_empty(&self) -> bool {
        self.by_digest.is_empty()
    }

    /// The key with this text, revoked or not. The text is hashed before anything is compared, so that the time this takes
    /// tells nothing about the keys.
    pub fn find(&self, text: &str) -> Option<Arc<KeyFact>> {
        let digest = digest(text);
        let found = self.by_digest.get(&digest)?;
        bool::from(found.sha256.ct_eq(&digest)).then(|| Arc::clone(found))
    }

    /// The keys, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<KeyFact>> {
        self.by_digest.values()
    }
}

/// SHA-256 of a key's text.
pub fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// A digest as 64 hexadecimal digits, as the configuration file has it.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads 64 hexadecimal digits; `None` for anything else.
pub fn from_hex(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    if text.len() != 64 {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(text.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(digest)
}

/// A new key or token: a prefix and 40 letters and digits (238 bits of chance).
///
/// # Errors
/// When the system has no randomness to give.
pub fn make(prefix: &str) -> Result<Secret, getrandom::Error> {
    let whole = prefix.len() + LENGTH;
    let mut text = String::with_capacity(whole);
    text.push_str(prefix);
    let mut bytes = [0; 64];
    while text.len() < whole {
        getrandom::fill(&mut bytes)?;
        // 248 = 4 * 62: a byte above it would make some letters likelier than others.
        for byte in bytes.iter().filter(|byte| **byte < 248).take(whole - text.len()) {
            text.push(char::from(LETTERS[usize::from(byte % 62)]));
        }
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, text: &str) -> KeyFact {
        KeyFact {
            name: name.to_owned(),
            sha256: digest(text),
            tenant: name.to_owned(),
            team: None,
            models: Vec::new(),
            plugins: Vec::new(),
            revoked: false,
            priority: Default::default(),
            requests_per_minute: None,
            tokens_per_minute: None,
            in_flight: None,
        }
    }

    #[test]
    fn a_ring_finds_its_keys_and_no_others() {
        let ring = KeyRing::new(&[key("a", "gw-one"), key("b", "gw-two")]);
        assert_eq!(ring.find("gw-two").unwrap().name, "b");
        for wrong in ["", "gw-", "gw-one ", "gw-tw", "GW-ONE"] {
            assert!(ring.find(wrong).is_none(), "{wrong:?}");
        }
        assert!(KeyRing::new(&[]).is_empty());
    }

    #[test]
    fn made_keys_have_one_shape_and_differ() {
        let (a, b) = (make(PREFIX).unwrap(), make(PREFIX).unwrap());
        assert_ne!(a.reveal(), b.reveal());
        for made in [a, b] {
            let rest = made.reveal().strip_prefix(PREFIX).unwrap();
            assert!(rest.len() == LENGTH && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert_eq!(format!("{made:?}"), "***");
        }
    }

    #[test]
    fn hex_goes_both_ways() {
        // The well-known SHA-256 of "abc".
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&digest("abc")), text);
        assert_eq!(from_hex(text), Some(digest("abc")));
        assert_eq!(from_hex(&text.to_uppercase()), Some(digest("abc")));
        assert_eq!(from_hex(&text[1..]), None);
        assert_eq!(from_hex(&text.replace('b', "g")), None);
    }
}
