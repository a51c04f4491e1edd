//! Models on the Hugging Face hub: which files of a repository are wanted, fetched into the cache that its own tools share, and checked.
//!
//! Apart because it is the only file that speaks to the hub. Names and digests from there are a stranger's: they are looked at before they
//! become paths. It must not know what is in a file, nor who wants a model.

mod digest;
mod files;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hf_hub::api::tokio::{Api, ApiBuilder, ApiError, ApiRepo, Progress};
use hf_hub::{Cache, Repo, RepoType};

use crate::config::facts::Secret;
use crate::environment::Environment;
use digest::Digest;
use files::{check, chosen};

/// Where the hub is unless `HF_ENDPOINT` says otherwise.
const ENDPOINT: &str = "https://huggingface.co";
/// For what is small: a listing, a file's head.
const SHORT: Duration = Duration::from_secs(30);
/// Without a byte for so long, a transfer is begun anew from where it was.
const SILENCE: Duration = Duration::from_secs(60);
/// Tries of one file; each goes on where the last one stopped.
const TRIES: u32 = 5;
/// Most files of a repository that are looked at.
const MOST_FILES: usize = 4096;

/// The hub, as the environment has it.
pub(crate) struct Hub {
    endpoint: String,
    token: Option<Secret>,
    cache: PathBuf,
}

/// What is wanted of it.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// `owner/name`.
    pub(crate) repository: String,
    /// Branch, tag or commit.
    pub(crate) revision: String,
    /// These files; none: all that a model needs.
    pub(crate) files: Vec<String>,
}

/// What is there now.
#[derive(Clone, Debug)]
pub(crate) struct Pulled {
    /// The folder of this commit.
    pub(crate) folder: PathBuf,
    /// Its files, sorted.
    pub(crate) files: Vec<String>,
    /// Bytes of all of them.
    pub(crate) bytes: u64,
}

/// Told of each file: its name, how much of it is there, and how much it is.
pub(crate) type Told = Arc<dyn Fn(&str, u64, u64) + Send + Sync>;

impl Hub {
    /// `HF_ENDPOINT`; `HF_TOKEN`, or the token that `hf auth login` keeps; `HF_HUB_CACHE`, `HF_HOME/hub` or `~/.cache/huggingface/hub`.
    ///
    /// # Errors
    /// Without any place for a cache.
    pub(crate) fn of(environment: &Environment) -> Result<Self, String> {
        let folder = |name| environment.get(name).map(|path| environment.folder().join(path));
        let home = folder("HF_HOME").or_else(|| {
            let cache = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
            cache.map(|cache| cache.join("huggingface"))
        });
        let cache = folder("HF_HUB_CACHE").or_else(|| home.as_ref().map(|home| home.join("hub")));
        let kept = || home.and_then(|home| std::fs::read_to_string(home.join("token")).ok());
        let token = environment.get("HF_TOKEN").map(str::to_owned).or_else(kept);
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        Ok(Self {
            endpoint: environment.get("HF_ENDPOINT").unwrap_or(ENDPOINT).trim_end_matches('/').to_owned(),
            token: token.map(Secret::new),
            cache: cache.ok_or("no place for models: set HF_HOME to a folder")?,
        })
    }

    /// Fetches what is wanted and not there yet.
    ///
    /// # Errors
    /// What is wrong with the name, what the hub says, or which file is not what the hub says it is.
    pub(crate) async fn pull(&self, wanted: &Wanted, told: Told) -> Result<Pulled, String> {
        check(&wanted.repository)?;
        let api = self.api()?;
        let named = |revision: &str| Repo::with_revision(wanted.repository.clone(), RepoType::Model, revision.to_owned());
        let asked = tokio::time::timeout(SHORT, api.repo(named(&wanted.revision)).info()).await;
        let info = asked.map_err(|_| self.late())?.map_err(|error| self.refused(wanted, &error))?;
        if !is_hex(&info.sha) {
            return Err(format!("{}: the hub names no commit", wanted.repository));
        }
        let all: Vec<String> = info.siblings.into_iter().take(MOST_FILES).map(|file| file.rfilename).collect();
        let files = chosen(wanted, &all)?;
        // Of this commit, whatever the branch says by the time that the last file comes.
        let repository = Repository {
            api: &api,
            at: api.repo(named(&info.sha)),
            repo: named(&info.sha),
            sha: &info.sha,
            cache: self.cache(),
            told,
        };
        let mut bytes = 0;
        for file in &files {
            bytes += repository.fetch(file).await.map_err(|why| format!("{} of {}: {why}", file, wanted.repository))?;
        }
        let cached = self.cache().repo(named(&wanted.revision));
        cached.create_ref(&info.sha).map_err(|error| format!("{}: {error}", self.cache.display()))?;
        Ok(Pulled { folder: cached.pointer_path(&info.sha), files, bytes })
    }

    /// The folder of a model that was pulled, as its branch `main` was then.
    pub(crate) fn find(&self, repository: &str) -> Option<PathBuf> {
        check(repository).ok()?;
        let folder = self.cache.join(format!("models--{}", repository.replace('/', "--")));
        let commit = std::fs::read_to_string(folder.join("refs/main")).ok().filter(|commit| is_hex(commit.trim()))?;
        Some(folder.join("snapshots").join(commit.trim())).filter(|place| place.is_dir())
    }

    fn cache(&self) -> Cache {
        Cache::new(self.cache.clone())
    }

    fn api(&self) -> Result<Api, String> {
        let token = self.token.as_ref().map(|token| token.reveal().to_owned());
        let builder = ApiBuilder::from_cache(self.cache()).with_endpoint(self.endpoint.clone()).with_token(token);
        // The error would repeat the token.
        builder.build().map_err(|_| "HF_TOKEN is no token: it has characters that no header may have".to_owned())
    }

    fn late(&self) -> String {
        format!("{} does not answer within {} seconds", self.endpoint, SHORT.as_secs())
    }

    /// Why the hub does not list a repository.
    fn refused(&self, wanted: &Wanted, error: &ApiError) -> String {
        let Wanted { repository, revision, .. } = wanted;
        let status = match error {
            ApiError::RequestError(error) => error.status().map(|status| status.as_u16()),
            _ => None,
        };
        match (status, &self.token) {
            (Some(401 | 403 | 404), None) => format!(
                "{repository} at `{revision}`: {} has no such repository, or it is not for everybody: then HF_TOKEN has to be set",
                self.endpoint
            ),
            (Some(401 | 403), Some(_)) => format!(
                "{repository}: {} does not let this HF_TOKEN have it; some models want their terms accepted first, on their page",
                self.endpoint
            ),
            (Some(404), Some(_)) => format!("{repository} at `{revision}`: {} has no such repository or revision", self.endpoint),
            (Some(status), _) => format!("{}: status {status}", self.endpoint),
            (None, _) => format!("{} cannot be asked: {}", self.endpoint, causes(error)),
        }
    }
}

/// One commit of a repository.
struct Repository<'a> {
    api: &'a Api,
    at: ApiRepo,
    repo: Repo,
    sha: &'a str,
    cache: Cache,
    told: Told,
}

impl Repository<'_> {
    /// One file: its bytes.
    async fn fetch(&self, file: &str) -> Result<u64, String> {
        let cached = self.cache.repo(self.repo.clone());
        let url = self.at.url(file);
        let mut last = String::new();
        for attempt in 0..TRIES {
            tokio::time::sleep(Duration::from_millis(500) * attempt).await;
            let asked = tokio::time::timeout(SHORT, self.api.metadata(&url)).await;
            let late = |_| format!("no answer within {} seconds", SHORT.as_secs());
            let head = match asked.map_err(late).and_then(|head| head.map_err(|error| causes(&error))) {
                Ok(head) => head,
                Err(why) => {
                    last = why;
                    continue;
                }
            };
            // What a response says is no path: the listed commit is.
            if head.commit_hash() != self.sha {
                return Err("the hub answers with another commit than the one that it listed".to_owned());
            }
            let size = head.size() as u64;
            let Some(digest) = Digest::read(head.etag()) else {
                return Err("the hub does not say its digest".to_owned());
            };
            let (blob, commit) = (cached.blob_path(head.etag()), cached.pointer_path(self.sha));
            let there = std::fs::metadata(&blob).is_ok_and(|found| found.is_file() && found.len() == size);
            if there && is_right(&digest, &blob).await? {
                (self.told)(file, size, size);
                return link(&blob, &commit, file).map(|()| size);
            }
            if there {
                forget(&blob, &commit.join(file));
            }
            match self.transfer(file).await {
                Ok(()) => {}
                Err(why) => {
                    last = why;
                    continue;
                }
            }
            if is_right(&digest, &blob).await? {
                return Ok(size);
            }
            forget(&blob, &commit.join(file));
            last = "what came is not what its digest says".to_owned();
        }
        Err(last)
    }

    /// Fetches a file, from where an earlier try stopped; given up when nothing comes any more.
    async fn transfer(&self, file: &str) -> Result<(), String> {
        let moved = Arc::new(AtomicU64::new(0));
        let progress = Bar { told: Arc::clone(&self.told), name: file.to_owned(), all: 0, moved: Arc::clone(&moved) };
        let watch = async {
            loop {
                let before = moved.load(Ordering::Relaxed);
                tokio::time::sleep(SILENCE).await;
                if moved.load(Ordering::Relaxed) == before {
                    return format!("nothing came for {} seconds", SILENCE.as_secs());
                }
            }
        };
        tokio::select! {
            done = self.at.download_with_progress(file, progress) => done.map(drop).map_err(|error| causes(&error)),
            why = watch => Err(why),
        }
    }
}

#[derive(Clone)]
struct Bar {
    told: Told,
    name: String,
    all: u64,
    moved: Arc<AtomicU64>,
}

impl Progress for Bar {
    async fn init(&mut self, size: usize, _: &str) {
        self.all = size as u64;
    }

    async fn update(&mut self, size: usize) {
        let there = self.moved.fetch_add(size as u64, Ordering::Relaxed) + size as u64;
        (self.told)(&self.name, there, self.all);
    }

    async fn finish(&mut self) {
        (self.told)(&self.name, self.all, self.all);
    }
}

/// Whether a file is what its digest says.
async fn is_right(digest: &Digest, blob: &Path) -> Result<bool, String> {
    let (digest, path) = (digest.clone(), blob.to_owned());
    let checked = tokio::task::spawn_blocking(move || digest.is_of(&path)).await.map_err(|error| error.to_string())?;
    checked.map_err(|error| format!("{}: {error}", blob.display()))
}

/// Takes a file away that is not what it should be, and the link to it.
fn forget(blob: &Path, link: &Path) {
    for path in [link, blob] {
        // What cannot be taken away is found out when it is written anew.
        let _ = std::fs::remove_file(path);
    }
}

/// Puts a file of a commit where it belongs, as a link to what is there already.
fn link(blob: &Path, commit: &Path, file: &str) -> Result<(), String> {
    let place = commit.join(file);
    if std::fs::canonicalize(&place).ok().is_some_and(|found| Some(found) == std::fs::canonicalize(blob).ok()) {
        return Ok(());
    }
    let up = "../".repeat(file.split('/').count() + 1);
    let target = PathBuf::from(up).join("blobs").join(blob.file_name().unwrap_or_default());
    let made = std::fs::create_dir_all(place.parent().unwrap_or(commit)).and_then(|()| {
        let _ = std::fs::remove_file(&place);
        std::os::unix::fs::symlink(target, &place)
    });
    made.map_err(|error| format!("{}: {error}", place.display()))
}

fn is_hex(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// An error with what it came of.
fn causes(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !told.contains(&cause_text) {
            told.push_str(": ");
            told.push_str(&cause_text);
        }
        source = cause.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_environment_says_counts_in_the_order_of_the_hubs_own_tools() {
        let hub = |variables: &[(&str, &str)]| Hub::of(&Environment::of(variables, "/here"));
        let plain = hub(&[("HOME", "/home/a")]).unwrap();
        assert_eq!((plain.endpoint.as_str(), plain.cache.as_path()), (ENDPOINT, Path::new("/home/a/.cache/huggingface/hub")));
        assert!(plain.token.is_none());
        let own = hub(&[("HOME", "/h"), ("HF_HOME", "models"), ("HF_ENDPOINT", "http://x/"), ("HF_TOKEN", " t ")]).unwrap();
        assert_eq!((own.endpoint.as_str(), own.cache.as_path()), ("http://x", Path::new("/here/models/hub")));
        assert_eq!(own.token.map(|token| token.reveal().to_owned()).as_deref(), Some("t"));
        assert_eq!(hub(&[("HF_HUB_CACHE", "/c")]).unwrap().cache, Path::new("/c"));
        assert!(hub(&[]).is_err());
    }
}
