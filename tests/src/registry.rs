//! A small OCI registry in the test's own process: manifests, blobs, uploads in pieces, logins by token; and it can be made to lie.
//!
//! Apart because no registry's binary is at hand where tests run. It must not know what a plugin is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use crate::child::Broken;
use crate::listener::{Answer, Asked, Listener};

/// The token that it gives and wants where it wants a login.
const TOKEN: &str = "t-1";

/// A running registry. Dropping it ends it.
pub struct Registry {
    listener: Listener,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What a login must send as `authorization`, if one is wanted.
    login: Option<String>,
    blobs: BTreeMap<String, Vec<u8>>,
    /// By repository, and tag or digest.
    manifests: BTreeMap<(String, String), Vec<u8>>,
    uploads: BTreeMap<String, Vec<u8>>,
    seen: Vec<String>,
}

impl Registry {
    /// Starts one that takes and gives everything.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start() -> Result<Self, Broken> {
        Self::wanting(None)
    }

    /// Starts one that wants a login: this `authorization`, for which it gives a token.
    ///
    /// # Errors
    /// When there is no port.
    pub fn wanting(login: Option<&str>) -> Result<Self, Broken> {
        let state = Arc::new(Mutex::new(State { login: login.map(str::to_owned), ..State::default() }));
        let its = Arc::clone(&state);
        let listener = Listener::start(move |asked, address| (answer(&mut lock(&its), asked, address), None))?;
        Ok(Self { listener, state })
    }

    /// A place in it: `oci://127.0.0.1:PORT/REST`.
    pub fn place(&self, rest: &str) -> String {
        format!("oci://{}/{rest}", self.listener.address)
    }

    /// Its host and port.
    pub fn host(&self) -> &str {
        &self.listener.address
    }

    /// What it was asked so far: methods and paths.
    pub fn seen(&self) -> Vec<String> {
        lock(&self.state).seen.clone()
    }

    /// A manifest by its tag or digest.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<Vec<u8>> {
        lock(&self.state).manifests.get(&(repository.to_owned(), reference.to_owned())).cloned()
    }

    /// Puts a manifest under a name, whether it is true or not.
    pub fn put_manifest(&self, repository: &str, reference: &str, manifest: &[u8]) {
        lock(&self.state).manifests.insert((repository.to_owned(), reference.to_owned()), manifest.to_vec());
    }

    /// A blob by its digest.
    pub fn blob(&self, digest: &str) -> Option<Vec<u8>> {
        lock(&self.state).blobs.get(digest).cloned()
    }

    /// Puts a blob under a digest, whether it is true or not.
    pub fn put_blob(&self, digest: &str, bytes: &[u8]) {
        lock(&self.state).blobs.insert(digest.to_owned(), bytes.to_vec());
    }
}

/// A digest as registries write it.
pub fn sha256(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(state: &mut State, asked: &Asked, address: &str) -> Answer {
    state.seen.push(format!("{} {}", asked.method, asked.path));
    if asked.path == "/token" {
        let known = state.login.as_ref().is_none_or(|login| *login == asked.header("authorization"));
        return if known {
            (200, Vec::new(), format!("{{\"token\": \"{TOKEN}\"}}").into_bytes())
        } else {
            (401, Vec::new(), Vec::new())
        };
    }
    if state.login.is_some() && asked.header("authorization") != format!("Bearer {TOKEN}") {
        let realm = format!("Bearer realm=\"http://{address}/token\",service=\"registry\"");
        return (401, vec![("www-authenticate", realm)], Vec::new());
    }
    let path = asked.path.strip_prefix("/v2/").unwrap_or_default();
    if path.is_empty() {
        return (200, Vec::new(), Vec::new());
    }
    if let Some((repository, reference)) = path.split_once("/manifests/") {
        return manifests(state, asked, (repository, reference));
    }
    match path.split_once("/blobs/") {
        Some((repository, rest)) => blobs(state, asked, (repository, rest)),
        None => unknown("NAME_UNKNOWN"),
    }
}

fn manifests(state: &mut State, asked: &Asked, (repository, reference): (&str, &str)) -> Answer {
    let key = |reference: &str| (repository.to_owned(), reference.to_owned());
    if asked.method == "PUT" {
        let digest = sha256(&asked.body);
        state.manifests.insert(key(reference), asked.body.clone());
        state.manifests.insert(key(&digest), asked.body.clone());
        return (201, vec![("location", format!("/v2/{repository}/manifests/{digest}"))], Vec::new());
    }
    match state.manifests.get(&key(reference)) {
        Some(manifest) => (200, vec![("content-type", "application/vnd.oci.image.manifest.v1+json".into())], manifest.clone()),
        None => unknown("MANIFEST_UNKNOWN"),
    }
}

fn blobs(state: &mut State, asked: &Asked, (repository, rest): (&str, &str)) -> Answer {
    let Some(upload) = rest.strip_prefix("uploads/") else {
        return match state.blobs.get(rest) {
            Some(blob) => (200, Vec::new(), blob.clone()),
            None => unknown("BLOB_UNKNOWN"),
        };
    };
    let next = |id: &str| ("location", format!("/v2/{repository}/blobs/uploads/{id}"));
    if asked.method == "POST" {
        let id = state.uploads.len().to_string();
        state.uploads.insert(id.clone(), Vec::new());
        return (202, vec![next(&id)], Vec::new());
    }
    let Some(so_far) = state.uploads.get_mut(upload) else { return unknown("BLOB_UPLOAD_UNKNOWN") };
    so_far.extend_from_slice(&asked.body);
    if asked.method == "PATCH" {
        let range = format!("0-{}", so_far.len().saturating_sub(1));
        return (202, vec![next(upload), ("range", range)], Vec::new());
    }
    let (digest, blob) = (sha256(so_far), so_far.clone());
    // `:` comes as it is, or as `%3A`.
    match asked.query.replace("%3A", ":").contains(&format!("digest={digest}")) {
        true => {
            state.blobs.insert(digest.clone(), blob);
            (201, vec![("location", format!("/v2/{repository}/blobs/{digest}"))], Vec::new())
        }
        false => (400, Vec::new(), b"{\"errors\": [{\"code\": \"DIGEST_INVALID\"}]}".to_vec()),
    }
}

fn unknown(code: &str) -> Answer {
    (404, Vec::new(), format!("{{\"errors\": [{{\"code\": \"{code}\"}}]}}").into_bytes())
}
