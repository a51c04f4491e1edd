//! Compiled code that outlives the process: files of ours, each bound by a secret key to the component and the engine it is for.
//!
//! It is apart because wasmtime runs what such a file says without a look at it: only here is it decided that a file may be believed.
//! One that is damaged, of another version or anyone else's is as if it were not there. It must not know what the code does.

use std::fs::{self, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::clock::touch;

/// Bytes that all files may have together: those that were not used for longest go. No file may have more.
const MOST_BYTES: u64 = 512 << 20;
/// What the name of each file ends with.
const ENDING: &str = ".compiled";
/// What the name of a file ends with that is being written, and after which time it is taken for one that never will be.
const UNDER_WAY: (&str, Duration) = (".new", Duration::from_secs(600));
/// Bytes of the mark before the code.
const MARK: usize = blake3::OUT_LEN;

/// A folder of compiled code.
#[derive(Debug)]
pub(crate) struct Kept {
    folder: PathBuf,
    keys: Keys,
    /// Files that were begun, so that two are never the same.
    begun: AtomicU64,
    most_bytes: u64,
}

/// What files are called and marked with.
struct Keys {
    name: [u8; 32],
    mark: [u8; 32],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Keys(..)")
    }
}

/// What a file is for: a component's bytes, and an engine that compiles in this way for this machine.
#[derive(Clone, Copy)]
struct Identity(blake3::Hash);

impl Kept {
    /// Files in this folder, which is its owner's alone, under this secret, which nobody else knows.
    pub(crate) fn new(folder: PathBuf, secret: &[u8; 32]) -> Self {
        let keys = Keys {
            name: blake3::derive_key("gatewright 2026 compiled component: name of its file", secret),
            mark: blake3::derive_key("gatewright 2026 compiled component: mark of its file", secret),
        };
        Self { folder, keys, begun: AtomicU64::new(0), most_bytes: MOST_BYTES }
    }

    /// The component of this digest, if there is a file for it that is ours.
    pub(super) fn find(&self, engine: &Engine, digest: &blake3::Hash) -> Option<Component> {
        let identity = self.identity(engine, digest);
        let path = self.path(identity);
        let (file, bytes) = match self.read(&path) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "compiled code cannot be read: it is compiled again");
                return None;
            }
        };
        let component = self.believe(engine, identity, &bytes);
        match component {
            // When it was used last; to miss it only makes it go too early.
            Some(_) => touch(&file),
            None => tracing::warn!(file = %path.display(), "not compiled code of this gateway: it is compiled again"),
        }
        component
    }

    /// Writes a file for a component. That it cannot be written is told, and costs time at the next start.
    pub(super) fn keep(&self, engine: &Engine, digest: &blake3::Hash, component: &Component) {
        let written = component.serialize().map_err(|error| error.to_string()).and_then(|code| {
            let identity = self.identity(engine, digest);
            if code.len() as u64 > self.most_bytes {
                return Err(format!("{} bytes are more than all files may have", code.len()));
            }
            self.write(&self.path(identity), self.mark(identity, &code).as_bytes(), &code).map_err(|error| error.to_string())
        });
        match written.and_then(|()| self.prune().map_err(|error| error.to_string())) {
            Ok(()) => {}
            Err(why) => tracing::warn!(folder = %self.folder.display(), why, "compiled code is not kept: it is compiled again"),
        }
    }

    #[allow(unsafe_code, reason = "wasmtime cannot check compiled code, and says so")]
    fn believe(&self, engine: &Engine, identity: Identity, bytes: &[u8]) -> Option<Component> {
        let (mark, code) = bytes.split_first_chunk::<MARK>()?;
        // In constant time, as `blake3::Hash` compares.
        if self.mark(identity, code) != *mark {
            return None;
        }
        // SAFETY: the mark shows that whoever wrote these bytes had the secret, which this folder's owner alone can read, and that they
        // are for this component, this version of wasmtime and these settings: `keep` wrote them, and what it writes wasmtime gave it.
        // They are a copy in memory: nobody changes them between the look and the use.
        unsafe { Component::deserialize(engine, code) }.ok()
    }

    fn identity(&self, engine: &Engine, digest: &blake3::Hash) -> Identity {
        let mut hasher = Feed(blake3::Hasher::new_keyed(&self.keys.name));
        // wasmtime's version, the target with its processor's features, and every setting that the code depends on.
        engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.write(digest.as_bytes());
        Identity(hasher.0.finalize())
    }

    fn mark(&self, Identity(identity): Identity, code: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.keys.mark);
        hasher.update(identity.as_bytes()).update(code);
        hasher.finalize()
    }

    fn path(&self, Identity(identity): Identity) -> PathBuf {
        self.folder.join(format!("{}{ENDING}", identity.to_hex()))
    }

    fn read(&self, path: &Path) -> io::Result<(File, Vec<u8>)> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        if size > self.most_bytes + MARK as u64 {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("{size} bytes")));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        (&file).take(size).read_to_end(&mut bytes)?;
        Ok((file, bytes))
    }

    /// Under another name first, so that no half of a file ever has the right one.
    fn write(&self, path: &Path, mark: &[u8], code: &[u8]) -> io::Result<()> {
        let begun = self.begun.fetch_add(1, Ordering::Relaxed);
        let new = path.with_extension(format!("{}-{begun}{}", std::process::id(), UNDER_WAY.0));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&new).and_then(|mut file| {
            file.write_all(mark)?;
            file.write_all(code)
        });
        written.and_then(|()| fs::rename(&new, path)).inspect_err(|_| drop(fs::remove_file(&new)))
    }

    /// Removes files until those that are left fit, and those that somebody began and left.
    fn prune(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        let mut under_way = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let (Ok(about), path) = (entry.metadata(), entry.path()) else { continue };
            let used = about.modified()?;
            if name.ends_with(ENDING) {
                files.push((used, about.len(), path));
            } else if name.ends_with(UNDER_WAY.0) {
                under_way.push((used, path));
            }
        }
        files.sort();
        // The last one was written just now. Another process may have removed the same.
        let now = files.last().map(|(used, ..)| *used);
        let left = |begun: SystemTime| now.is_some_and(|now| now.duration_since(begun).is_ok_and(|age| age > UNDER_WAY.1));
        under_way.into_iter().filter(|(begun, _)| left(*begun)).for_each(|(_, path)| drop(fs::remove_file(path)));
        let mut all: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in files {
            if all <= self.most_bytes {
                break;
            }
            all -= size;
            drop(fs::remove_file(path));
        }
        Ok(())
    }
}

/// What is hashed goes into a keyed BLAKE3.
struct Feed(blake3::Hasher);

impl Hasher for Feed {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Nobody asks for the short form.
    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
mod tests {
    use std::fs::FileTimes;

    use super::*;

    const SECRET: &[u8; 32] = &[7; 32];

    struct Bench {
        folder: tempfile::TempDir,
        engine: Engine,
    }

    impl Bench {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap(), engine: Engine::default() }
        }

        fn kept(&self) -> Kept {
            Kept::new(self.folder.path().to_owned(), SECRET)
        }

        /// A component that exports this name, and the digest of its text.
        fn component(&self, export: &str) -> (blake3::Hash, Component) {
            let text = format!("(component (core module $m) (export \"{export}\" (core module $m)))");
            (blake3::hash(text.as_bytes()), Component::new(&self.engine, text).unwrap())
        }

        fn files(&self) -> Vec<PathBuf> {
            let mut files: Vec<_> = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
            files.sort();
            files
        }

        /// What the component exports that is found for this digest.
        fn found(&self, kept: &Kept, digest: &blake3::Hash) -> Option<&'static str> {
            let component = kept.find(&self.engine, digest)?;
            ["one", "two"].into_iter().find(|name| component.get_export_index(None, name).is_some())
        }
    }

    #[test]
    fn what_was_kept_is_found_by_who_knows_the_secret() {
        let bench = Bench::new();
        let ((one, component), (two, _)) = (bench.component("one"), bench.component("two"));
        bench.kept().keep(&bench.engine, &one, &component);
        assert_eq!(bench.found(&bench.kept(), &one), Some("one"));
        assert_eq!(bench.found(&bench.kept(), &two), None);
        assert_eq!(bench.found(&Kept::new(bench.folder.path().to_owned(), &[8; 32]), &one), None);
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&bench.files()[0].metadata().unwrap()) & 0o777, 0o600);
    }

    #[test]
    fn another_engine_finds_nothing() {
        let bench = Bench::new();
        let (one, component) = bench.component("one");
        bench.kept().keep(&bench.engine, &one, &component);
        let other = Engine::new(wasmtime::Config::new().epoch_interruption(true)).unwrap();
        assert!(bench.kept().find(&other, &one).is_none());
    }

    #[test]
    fn what_anyone_else_wrote_is_as_if_it_were_not_there() {
        let bench = Bench::new();
        let ((one, component), (two, other)) = (bench.component("one"), bench.component("two"));
        let kept = bench.kept();
        kept.keep(&bench.engine, &one, &component);
        let file = bench.files().remove(0);
        let good = fs::read(&file).unwrap();
        let mut bad = good.clone();
        let last = bad.len() - 1;
        bad[last] ^= 1;
        for bytes in [&bad[..], &good[..last], &good[..MARK], &good[..3], &component.serialize().unwrap(), b""] {
            fs::write(&file, bytes).unwrap();
            assert_eq!(bench.found(&kept, &one), None);
        }
        // Nor is a file of ours believed under another's name.
        kept.keep(&bench.engine, &two, &other);
        let theirs = bench.files().into_iter().find(|path| *path != file).unwrap();
        fs::copy(&theirs, &file).unwrap();
        assert_eq!((bench.found(&kept, &one), bench.found(&kept, &two)), (None, Some("two")));
        kept.keep(&bench.engine, &one, &component);
        assert_eq!(bench.found(&kept, &one), Some("one"), "it is written again");
    }

    #[test]
    fn what_was_not_used_for_longest_goes() {
        let bench = Bench::new();
        let ((one, component), (two, other)) = (bench.component("one"), bench.component("two"));
        let size = component.serialize().unwrap().len() as u64;
        let kept = Kept { most_bytes: size + size / 2, ..bench.kept() };
        kept.keep(&bench.engine, &one, &component);
        let hour_ago = bench.files()[0].metadata().unwrap().modified().unwrap() - Duration::from_secs(3600);
        let abandoned = bench.folder.path().join("x.1-1.new");
        for path in [&bench.files()[0], &abandoned] {
            let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
            file.set_times(FileTimes::new().set_modified(hour_ago)).unwrap();
        }
        kept.keep(&bench.engine, &two, &other);
        assert_eq!((bench.found(&kept, &one), bench.found(&kept, &two)), (None, Some("two")));
        assert_eq!(bench.files().len(), 1, "and what somebody began");
        // To be used is to be younger.
        let file = OpenOptions::new().append(true).open(&bench.files()[0]).unwrap();
        file.set_times(FileTimes::new().set_modified(hour_ago)).unwrap();
        assert_eq!(bench.found(&kept, &two), Some("two"));
        assert!(bench.files()[0].metadata().unwrap().modified().unwrap() > hour_ago);
        let small = Kept { most_bytes: 100, ..bench.kept() };
        small.keep(&bench.engine, &one, &component);
        assert_eq!(bench.files().len(), 1, "what is too large is not written");
    }
}
