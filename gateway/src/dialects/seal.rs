//! The gateway's own seal on reasoning, for dialects that want an opaque signature on it: a keyed digest of whose it is and what it says.
//!
//! Apart because the key is the host's and the signature the dialect's. A seal says only "this came from here, for this tenant, and is
//! unchanged": it is no vendor's signature, is never made to look like one, and is taken off before an upstream sees it. It must not
//! know any dialect.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

/// What a seal begins with.
const MARK: &str = "gatewright.1.";

/// The key of all seals of a gateway.
#[derive(Clone, Copy)]
pub struct Seal([u8; 32]);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// Seals with this key.
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The sealer for a tenant's reasoning.
    pub fn of(&self, tenant: &str) -> Sealer {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&(tenant.len() as u64).to_le_bytes()).update(tenant.as_bytes());
        Sealer(hasher)
    }
}

/// Seals the reasoning of one tenant.
#[derive(Clone)]
pub struct Sealer(blake3::Hasher);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// Adds a piece of the text.
    pub(super) fn add(&mut self, text: &str) {
        self.0.update(text.as_bytes());
    }

    /// The seal of what was added.
    pub(super) fn seal(&self) -> String {
        format!("{MARK}{}", URL_SAFE_NO_PAD.encode(self.0.finalize().as_bytes()))
    }

    /// A text under its seal, as one word that a client gives back as it is.
    pub(super) fn envelope(&self, text: &str) -> String {
        let mut own = self.clone();
        own.add(text);
        format!("{}.{}", own.seal(), URL_SAFE_NO_PAD.encode(text))
    }

    /// The text in an envelope of ours; `None` when it is none, or not of this tenant, or was changed.
    pub(super) fn open(&self, envelope: &str) -> Option<String> {
        let (seal, text) = envelope.strip_prefix(MARK)?.split_once('.')?;
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        self.knows(&text, &format!("{MARK}{seal}")).then_some(text)
    }

    /// Whether this is our seal of this text.
    pub(super) fn knows(&self, text: &str, seal: &str) -> bool {
        let mut own = self.clone();
        own.add(text);
        own.seal().as_bytes().ct_eq(seal.as_bytes()).into()
    }
}

/// Whether a signature is a seal of ours, whatever it is on.
pub(super) fn is_seal(signature: &str) -> bool {
    signature.starts_with(MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_known_again_and_no_other_passes_for_it() {
        let seal = Seal::new([7; 32]);
        let mut sealer = seal.of("acme");
        sealer.add("I ");
        sealer.add("think.");
        let made = sealer.seal();
        assert!(is_seal(&made) && seal.of("acme").knows("I think.", &made));
        assert!(!seal.of("acme").knows("I think!", &made), "another text");
        assert!(!seal.of("other").knows("I think.", &made), "another tenant");
        assert!(!Seal::new([8; 32]).of("acme").knows("I think.", &made), "another gateway");
        assert!(!is_seal("EqQBCgIYAhIM"));
    }

    #[test]
    fn an_envelope_gives_its_text_to_whom_it_is_for_and_only_unchanged() {
        let seal = Seal::new([7; 32]);
        let envelope = seal.of("acme").envelope("I think: é.");
        assert!(is_seal(&envelope));
        assert_eq!(seal.of("acme").open(&envelope).as_deref(), Some("I think: é."));
        let other = seal.of("acme").envelope("I think: e.");
        let (mac, _) = envelope.rsplit_once('.').unwrap();
        let (_, text) = other.rsplit_once('.').unwrap();
        for forged in [format!("{mac}.{text}"), envelope.replace("gatewright", "other"), mac.to_owned(), "EqQBCgIYAhIM".to_owned()]
        {
            assert_eq!(seal.of("acme").open(&forged), None, "{forged}");
        }
        assert_eq!(seal.of("other").open(&envelope), None);
    }
}
