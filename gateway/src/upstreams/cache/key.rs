//! What makes two requests the same.
//!
//! Apart because a mistake here shows one client another's answer. It must not know what is stored under a key.

use gatewright_types::ChatRequest;

/// Whose request, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct CacheScope<'a> {
    /// Whose data it is; `None` is everybody's.
    pub tenant: Option<&'a str>,
    /// Digest of who would answer: provider, model, settings.
    pub leg: &'a [u8; 32],
}

/// A key of the cache. Tells nothing of the request to who does not have the folder's secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey(pub(super) [u8; 32]);

impl std::fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CacheKey(..)")
    }
}

/// Makes keys with the folder's secret.
pub(super) struct KeyMaker(pub(super) [u8; 32]);

impl KeyMaker {
    pub(super) fn key(&self, scope: &CacheScope<'_>, request: &ChatRequest) -> CacheKey {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        // Lengths before texts, so that no two scopes run together.
        match scope.tenant {
            Some(tenant) => {
                hasher.update(b"t").update(&(tenant.len() as u64).to_be_bytes()).update(tenant.as_bytes());
            }
            None => {
                hasher.update(b"*");
            }
        }
        hasher.update(scope.leg);
        // The canonical form leaves out whether a stream was asked for. Writing into a hasher does not fail, and neither does
        // the form; were it to, the key of a part of a request must not serve for the whole: it is made unique.
        if serde_json::to_writer(&mut hasher, request).is_err() {
            hasher.update(&getrandom::u64().unwrap_or_default().to_be_bytes());
        }
        CacheKey(*hasher.finalize().as_bytes())
    }
}
