//! The data folder: made for its owner alone, with the admin API's token and the digest of a key that was made at the start.
//!
//! Apart because these files are secrets or guard them. It must not know what else lies there.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::config::facts::{KeyFact, Secret};
use crate::config::keys;

const TOKEN: &str = "admin-token";
const CLIENT_KEY: &str = "client-key.sha256";
const MAX_FILE: u64 = 4096;

/// What the admin API asks for.
#[derive(Clone, Debug)]
pub(crate) struct AdminToken {
    /// Where it can be read.
    pub(crate) path: PathBuf,
    /// SHA-256 of its text.
    pub(crate) sha256: [u8; 32],
}

/// A key that was made because none was configured.
#[derive(Clone, Debug)]
pub(crate) struct MadeKey {
    /// For the ring.
    pub(crate) fact: KeyFact,
    /// Whether it was made, and shown, just now.
    pub(crate) new: bool,
    /// Where its digest lies; without that file another is made.
    pub(crate) path: PathBuf,
}

/// Makes the folder if it is missing.
///
/// # Errors
/// A message that names the folder and the flag.
pub(crate) fn prepare(folder: &Path) -> Result<(), String> {
    let wrong =
        |error: io::Error| format!("cannot use the data folder {}: {error}; choose another with `--data`", folder.display());
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(wrong)?;
    let mode = folder.metadata().map_err(wrong)?.mode();
    if mode & 0o077 != 0 {
        tracing::warn!(folder = %folder.display(), "the data folder is open to others: `chmod 700` it");
    }
    Ok(())
}

/// The admin API's token; made if there is none.
///
/// # Errors
/// A message that names the file.
pub(crate) fn admin_token(folder: &Path) -> Result<AdminToken, String> {
    let path = folder.join(TOKEN);
    let text = match read(&path)? {
        Some(text) => text,
        None => {
            let token = keys::make("gwa-").map_err(|error| format!("no randomness for the admin token: {error}"))?;
            write_new(&path, token.reveal())?;
            token.reveal().to_owned()
        }
    };
    let token = text.trim();
    match token.len() < 16 {
        true => Err(format!("{} holds no token: remove it, and a new one is made", path.display())),
        false => Ok(AdminToken { sha256: keys::digest(token), path }),
    }
}

/// The key that is required when the gateway is open to others and none is configured; made if there is none. It is shown before
/// its digest is kept: a key that nobody saw would be required forever.
///
/// # Errors
/// A message that names the file, or says that the key could not be shown.
pub(crate) fn client_key(folder: &Path, show: impl FnOnce(&Secret) -> io::Result<()>) -> Result<MadeKey, String> {
    let path = folder.join(CLIENT_KEY);
    let (sha256, new) = match read(&path)? {
        Some(text) => {
            let broken = || format!("{} holds no SHA-256: remove it, and a new key is made", path.display());
            (keys::from_hex(text.trim()).ok_or_else(broken)?, false)
        }
        None => {
            let key = keys::make(keys::PREFIX).map_err(|error| format!("no randomness for a key: {error}"))?;
            let sha256 = keys::digest(key.reveal());
            let unseen = |error| format!("cannot show the key that was made: {error}; configure `keys`, or let it print");
            show(&key).map_err(unseen)?;
            write_new(&path, &keys::hex(&sha256))?;
            (sha256, true)
        }
    };
    let fact = KeyFact {
        name: "made-at-start".to_owned(),
        sha256,
        tenant: "made-at-start".to_owned(),
        team: None,
        models: Vec::new(),
        plugins: Vec::new(),
        revoked: false,
        priority: Default::default(),
        requests_per_minute: None,
        tokens_per_minute: None,
        in_flight: None,
    };
    Ok(MadeKey { fact, new, path })
}

fn read(path: &Path) -> Result<Option<String>, String> {
    let mut text = String::new();
    let file = match OpenOptions::new().read(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file,
    };
    let read = file.and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
    read.map(|_| Some(text)).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn write_new(path: &Path, text: &str) -> Result<(), String> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    };
    write().map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_and_its_secrets_are_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("a/b");
        prepare(&data).unwrap();
        assert_eq!(data.metadata().unwrap().mode() & 0o777, 0o700);
        let token = admin_token(&data).unwrap();
        assert_eq!(token.path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(admin_token(&data).unwrap().sha256, token.sha256, "it stays");
    }

    #[test]
    fn a_made_key_is_told_once_and_only_its_digest_is_kept() {
        let data = tempfile::tempdir().unwrap();
        let mut text = String::new();
        let mut show = |key: &Secret| {
            text.push_str(key.reveal());
            Ok(())
        };
        let first = client_key(data.path(), &mut show).unwrap();
        let second = client_key(data.path(), &mut show).unwrap();
        assert!(first.new && !second.new);
        assert!(!std::fs::read_to_string(&first.path).unwrap().contains(&text));
        assert_eq!(second.fact.sha256, keys::digest(&text), "it was shown once");
    }

    #[test]
    fn a_key_that_cannot_be_shown_is_not_kept() {
        let data = tempfile::tempdir().unwrap();
        let told = client_key(data.path(), |_| Err(io::ErrorKind::BrokenPipe.into())).unwrap_err();
        assert!(told.contains("cannot show"), "{told}");
        assert!(!data.path().join(CLIENT_KEY).exists());
    }

    #[test]
    fn a_broken_file_is_told() {
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join(CLIENT_KEY), "nonsense").unwrap();
        std::fs::write(data.path().join(TOKEN), "").unwrap();
        assert!(client_key(data.path(), |_| Ok(())).unwrap_err().contains("client-key.sha256"));
        assert!(admin_token(data.path()).unwrap_err().contains("admin-token"));
    }
}
