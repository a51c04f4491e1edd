//! A small Hugging Face hub in the test's own process: listings, files in ranges behind a redirect, a token; it can break off, and lie.
//!
//! Apart because the hub is out of reach where tests run. It must not know what a model is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::child::Broken;
use crate::listener::{Answer, Asked, Listener, Sent};
use crate::registry::sha256;

/// Bytes from which on a file lies in the large storage.
const LARGE: usize = 4096;

/// A running hub with one repository. Dropping it ends it.
pub struct Hub {
    state: Arc<Mutex<State>>,
    listener: Listener,
    /// Where large files lie, as at the hub: another host.
    _storage: Listener,
}

#[derive(Default)]
struct State {
    repository: String,
    commit: String,
    token: Option<String>,
    files: BTreeMap<String, Vec<u8>>,
    /// Digests that are told in place of the true ones.
    told: BTreeMap<String, String>,
    /// After how many bytes of the next large transfer the connection is cut.
    cut: Option<usize>,
    seen: Vec<String>,
}

impl Hub {
    /// Starts one with these files in a repository.
    ///
    /// # Errors
    /// When there is no port.
    pub fn with(repository: &str, files: &[(&str, &[u8])]) -> Result<Self, Broken> {
        let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        let state = State {
            repository: repository.to_owned(),
            commit: "0123456789abcdef0123456789abcdef01234567".into(),
            files,
            ..State::default()
        };
        let state = Arc::new(Mutex::new(state));
        let its = Arc::clone(&state);
        let storage = Listener::start(move |asked, _| stored(&mut lock(&its), asked))?;
        let (its, place) = (Arc::clone(&state), storage.address.clone());
        let listener = Listener::start(move |asked, _| answer(&mut lock(&its), asked, &place))?;
        Ok(Self { state, listener, _storage: storage })
    }

    /// Where it is: for `HF_ENDPOINT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.listener.address)
    }

    /// Wants this token from now on.
    pub fn want_token(&self, token: &str) {
        lock(&self.state).token = Some(token.to_owned());
    }

    /// Cuts the next transfer of a large file after so many bytes.
    pub fn cut_after(&self, bytes: usize) {
        lock(&self.state).cut = Some(bytes);
    }

    /// Has another file, in another commit.
    pub fn commit(&self, commit: &str, (name, bytes): (&str, &[u8])) {
        let mut state = lock(&self.state);
        state.commit = commit.to_owned();
        state.files.insert(name.to_owned(), bytes.to_vec());
    }

    /// Tells this digest of a file, whether it is true or not.
    pub fn tell(&self, name: &str, digest: &str) {
        lock(&self.state).told.insert(name.to_owned(), digest.to_owned());
    }

    /// What it was asked since the last look: methods, paths and ranges.
    pub fn seen(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.state).seen)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn see(state: &mut State, asked: &Asked) {
    state.seen.push(format!("{} {} {}", asked.method, asked.path, asked.header("range")).trim().to_owned());
}

fn stored(state: &mut State, asked: &Asked) -> (Answer, Sent) {
    see(state, asked);
    file(state, asked, asked.path.strip_prefix("/storage/").unwrap_or_default())
}

fn answer(state: &mut State, asked: &Asked, storage: &str) -> (Answer, Sent) {
    see(state, asked);
    let wanted = state.token.as_ref().map(|token| format!("Bearer {token}"));
    if wanted.is_some_and(|wanted| wanted != asked.header("authorization")) {
        return (status(401), None);
    }
    let listing = format!("/api/models/{}/revision/", state.repository);
    if let Some(revision) = asked.path.strip_prefix(&listing) {
        let known = revision == "main" || revision == state.commit;
        let siblings: Vec<_> = state.files.keys().map(|name| serde_json::json!({"rfilename": name})).collect();
        let body = serde_json::json!({"id": state.repository, "sha": state.commit, "siblings": siblings}).to_string();
        return if known { ((200, Vec::new(), body.into_bytes()), None) } else { (status(404), None) };
    }
    let files = format!("/{}/resolve/{}/", state.repository, state.commit);
    let Some(name) = asked.path.strip_prefix(&files).filter(|name| state.files.contains_key(*name)) else {
        return (status(404), None);
    };
    let name = name.to_owned();
    let bytes = &state.files[&name];
    let (etag, large) = (state.told.get(&name).cloned().unwrap_or_else(|| etag(bytes)), bytes.len() >= LARGE);
    let commit = ("x-repo-commit", state.commit.clone());
    if large {
        let headers =
            vec![commit, ("x-linked-etag", format!("\"{etag}\"")), ("location", format!("http://{storage}/storage/{name}"))];
        return ((302, headers, Vec::new()), None);
    }
    let ((code, mut headers, body), sent) = file(state, asked, &name);
    headers.extend([commit, ("etag", format!("\"{etag}\""))]);
    ((code, headers, body), sent)
}

/// A range of a file.
fn file(state: &mut State, asked: &Asked, name: &str) -> (Answer, Sent) {
    let Some(bytes) = state.files.get(name) else { return (status(404), None) };
    let range = asked.header("range").strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let Some((Ok(from), Ok(to))) = range.map(|(from, to)| (from.parse::<usize>(), to.parse::<usize>())) else {
        return ((200, Vec::new(), bytes.clone()), None);
    };
    let end = bytes.len().min(to.saturating_add(1));
    if from >= end {
        return (status(416), None);
    }
    let headers = vec![("content-range", format!("bytes {from}-{}/{}", end - 1, bytes.len()))];
    let body = bytes[from..end].to_vec();
    let cut = if body.len() > 1 && bytes.len() >= LARGE { state.cut.take() } else { None };
    ((206, headers, body), cut)
}

fn status(code: u16) -> Answer {
    (code, Vec::new(), b"{\"error\": \"no\"}".to_vec())
}

/// The digest of a file as the hub tells it.
fn etag(bytes: &[u8]) -> String {
    if bytes.len() >= LARGE {
        return sha256(bytes).trim_start_matches("sha256:").to_owned();
    }
    let whole = [format!("blob {}\0", bytes.len()).as_bytes(), bytes].concat();
    digest(&SHA1_FOR_LEGACY_USE_ONLY, &whole).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
