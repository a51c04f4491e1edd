//! Signatures of plugins, by public keys that the operator names: ECDSA on P-256 with SHA-256, as cosign and openssl make them.
//!
//! Apart because it is the only place that decides whether bytes are signed. It must not know how bytes or signatures were fetched.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatewright_plugins::Bundle;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What stands before the point in a public key of this kind (SubjectPublicKeyInfo: id-ecPublicKey, prime256v1).
const PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
    0x01, 0x07, 0x03, 0x42, 0x00,
];
/// Bytes of a point that is not compressed.
const POINT: usize = 65;

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// For people: its file, or the beginning of its digest.
    name: String,
    point: Vec<u8>,
}

/// A signature that lies beside an artifact in its registry: what was signed, and the signature, base64 of DER.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// JSON that names the artifact's digest.
    pub payload: String,
    /// Base64.
    pub signature: String,
}

/// How it stands with a plugin's signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signed {
    /// By this key.
    By(String),
    /// By none of the keys that were named.
    ByOthers,
    /// There is no signature.
    Not,
}

impl PublicKey {
    /// Reads a key in PEM; `name` is what it is called, or else the beginning of its digest.
    ///
    /// # Errors
    /// When it is none, or of another kind.
    pub fn read(pem: &str, name: Option<&str>) -> Result<Self, String> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes());
        let der = der.map_err(|_| "not a public key in PEM (`-----BEGIN PUBLIC KEY-----`)".to_owned())?;
        let point = der.as_ref().strip_prefix(&PREFIX).filter(|point| point.len() == POINT);
        let point = point.ok_or("not a key for ECDSA on P-256: `cosign generate-key-pair` makes those")?.to_vec();
        let digest = || format!("key {}", &blake3::hash(&point).to_hex()[..12]);
        Ok(Self { name: name.map_or_else(digest, str::to_owned), point })
    }

    /// Whether this is its signature of a message.
    fn signed(&self, message: &[u8], signature: &str) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point);
        let text: String = signature.split_ascii_whitespace().collect();
        STANDARD.decode(text).is_ok_and(|signature| key.verify(message, &signature).is_ok())
    }
}

/// Who signed a plugin: the artifact of this digest in its registry, or manifest and entry file by `plugin.sig`.
pub fn signed(keys: &[PublicKey], bundle: &Bundle, artifact: Option<(&str, &[Signature])>) -> Signed {
    let text = bundle.signed_text();
    let own = bundle.signature().map(|signature| String::from_utf8_lossy(signature).into_owned());
    let (digest, beside) = artifact.unwrap_or(("", &[]));
    if own.is_none() && beside.is_empty() {
        return Signed::Not;
    }
    let good = |key: &&PublicKey| {
        own.as_ref().is_some_and(|own| key.signed(text.as_bytes(), own))
            || beside.iter().any(|one| names(&one.payload, digest) && key.signed(one.payload.as_bytes(), &one.signature))
    };
    keys.iter().find(good).map_or(Signed::ByOthers, |key| Signed::By(key.name.clone()))
}

/// Whether what was signed is about this artifact.
fn names(payload: &str, digest: &str) -> bool {
    let payload: Value = serde_json::from_str(payload).unwrap_or_default();
    let critical = &payload["critical"];
    critical["type"] == "cosign container image signature" && critical["image"]["docker-manifest-digest"] == digest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `openssl ecparam -name prime256v1 -genkey`, `openssl ec -pubout` and `openssl dgst -sha256 -sign`.
    const KEY: &str = include_str!("signature/key.pem");
    const OTHER: &str = include_str!("signature/other.pem");
    const MANIFEST: &str = include_str!("signature/plugin.yaml");
    const ENTRY: &str = include_str!("signature/plugin.luau");
    const OWN: &str = include_str!("signature/plugin.sig");
    const PAYLOAD: &str = include_str!("signature/payload.json");
    const BESIDE: &str = include_str!("signature/payload.sig");
    const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";

    fn bundle(entry: &str, signature: Option<&str>) -> Bundle {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plugin.yaml"), MANIFEST).unwrap();
        std::fs::write(folder.path().join("plugin.luau"), entry).unwrap();
        if let Some(signature) = signature {
            std::fs::write(folder.path().join("plugin.sig"), signature).unwrap();
        }
        Bundle::folder(folder.path()).unwrap()
    }

    fn keys() -> [PublicKey; 2] {
        [PublicKey::read(OTHER, None).unwrap(), PublicKey::read(KEY, Some("file:key.pem")).unwrap()]
    }

    #[test]
    fn a_signature_that_openssl_made_is_known_and_no_other() {
        let by = Signed::By("file:key.pem".into());
        assert_eq!(signed(&keys(), &bundle(ENTRY, Some(OWN)), None), by);
        assert_eq!(signed(&keys()[..1], &bundle(ENTRY, Some(OWN)), None), Signed::ByOthers);
        assert_eq!(signed(&keys(), &bundle("return { }", Some(OWN)), None), Signed::ByOthers);
        assert_eq!(signed(&keys(), &bundle(ENTRY, Some("nonsense")), None), Signed::ByOthers);
        assert_eq!(signed(&keys(), &bundle(ENTRY, None), None), Signed::Not);
    }

    #[test]
    fn a_signature_in_a_registry_is_about_one_digest() {
        let beside = [Signature { payload: PAYLOAD.trim_end().into(), signature: BESIDE.into() }];
        let plain = bundle(ENTRY, None);
        assert_eq!(signed(&keys(), &plain, Some((DIGEST, &beside))), Signed::By("file:key.pem".into()));
        assert_eq!(signed(&keys(), &plain, Some((&DIGEST.replace('1', "2"), &beside))), Signed::ByOthers);
        let other = [Signature { payload: beside[0].payload.replace("0001", "0002"), ..beside[0].clone() }];
        assert_eq!(signed(&keys(), &plain, Some((&DIGEST.replace("0001", "0002"), &other))), Signed::ByOthers);
        assert_eq!(signed(&keys(), &plain, Some((DIGEST, &[]))), Signed::Not);
    }

    #[test]
    fn keys_of_other_kinds_are_refused() {
        assert!(PublicKey::read("nothing", None).unwrap_err().contains("PEM"));
        let ed25519 =
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        assert!(PublicKey::read(ed25519, None).unwrap_err().contains("P-256"));
        assert!(PublicKey::read(KEY, None).unwrap().name.starts_with("key "));
    }
}
