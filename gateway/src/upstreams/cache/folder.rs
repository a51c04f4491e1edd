//! The cache's folder: made so that only its owner can read it, set aside when it is damaged.
//!
//! Apart because it is about files, not answers. It must not know what an entry is.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::key::KeyMaker;
use super::store::{Broken, Store};

/// Damaged folders that are kept; past them the cache stays off.
const MAX_SET_ASIDE: u32 = 16;
/// Made when damage is met while serving: the next start sets the folder aside.
pub(super) const MARK: &str = "damaged";

/// Opens the folder as [`super::Cache::ready`] says. Without a store there are still keys.
pub(super) fn open(folder: &Path, max_bytes: u64) -> (KeyMaker, Option<Store>) {
    match open_once(folder, max_bytes) {
        Ok((keys, store)) => return (keys, Some(store)),
        Err(Broken::Damaged(why)) => match set_aside(folder) {
            Ok(aside) => tracing::warn!(
                folder = %folder.display(), aside = %aside.display(), why,
                "the cache's folder is damaged: it was set aside and a new one is made; delete the old one at leisure"
            ),
            Err(error) => {
                tracing::error!(folder = %folder.display(), why, %error, "the cache's folder is damaged and cannot be set aside: nothing is cached");
                return (passing_keys(), None);
            }
        },
        Err(Broken::Unusable(why)) => {
            tracing::error!(folder = %folder.display(), why, "the cache cannot be opened: nothing is cached until the next start");
            return (passing_keys(), None);
        }
    }
    match open_once(folder, max_bytes) {
        Ok((keys, store)) => (keys, Some(store)),
        Err(Broken::Damaged(why) | Broken::Unusable(why)) => {
            tracing::error!(folder = %folder.display(), why, "no new cache can be made: nothing is cached until the next start");
            (passing_keys(), None)
        }
    }
}

/// Keys for sharing calls in flight, good for this process alone.
fn passing_keys() -> KeyMaker {
    let mut secret = [0; 32];
    // Without randomness the keys are guessable; nothing is stored under them.
    let _ = getrandom::fill(&mut secret);
    KeyMaker(secret)
}

fn open_once(folder: &Path, max_bytes: u64) -> Result<(KeyMaker, Store), Broken> {
    let unusable = |error: io::Error| Broken::Unusable(error.to_string());
    make_private(folder).map_err(unusable)?;
    if folder.join(MARK).exists() {
        return Err(Broken::Damaged("damage was met while it was used".to_owned()));
    }
    let keys = secret(&folder.join("key"))?;
    let store = Store::open(&folder.join("sled"), folder, max_bytes)?;
    Ok((KeyMaker(keys), store))
}

#[cfg(unix)]
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn make_private(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// Reads the folder's secret, or makes one.
fn secret(path: &Path) -> Result<[u8; 32], Broken> {
    let unusable = |error: io::Error| Broken::Unusable(format!("{}: {error}", path.display()));
    let mut secret = [0; 32];
    match fs::File::open(path) {
        Ok(mut file) => match file.read_exact(&mut secret) {
            Ok(()) => Ok(secret),
            Err(_) => Err(Broken::Damaged("its key file is cut short".to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            getrandom::fill(&mut secret).map_err(|error| Broken::Unusable(error.to_string()))?;
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(path).map_err(unusable)?;
            file.write_all(&secret).and_then(|()| file.sync_all()).map_err(unusable)?;
            Ok(secret)
        }
        Err(error) => Err(unusable(error)),
    }
}

fn set_aside(folder: &Path) -> io::Result<PathBuf> {
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_else(|| "cache".to_owned());
    for n in 1..=MAX_SET_ASIDE {
        let aside = folder.with_file_name(format!("{name}.damaged-{n}"));
        if !aside.exists() {
            fs::rename(folder, &aside)?;
            return Ok(aside);
        }
    }
    Err(io::Error::other(format!("{MAX_SET_ASIDE} damaged folders are there already: delete them")))
}
