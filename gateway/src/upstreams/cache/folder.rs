//! The cache's folder: made so that only its owner can read it, set aside when it is damaged.
//!
//! Apart because it is about files, not answers. It must not know what an entry is.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::key::KeyMaker;
use super::store::{Broken, Store};
use crate::private;

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
    let mut secret = [0; private::SECRET];
    // Without randomness the keys are guessable; nothing is stored under them.
    let _ = getrandom::fill(&mut secret);
    KeyMaker(secret)
}

fn open_once(folder: &Path, max_bytes: u64) -> Result<(KeyMaker, Store), Broken> {
    private::folder(folder).map_err(|error| Broken::Unusable(error.to_string()))?;
    if folder.join(MARK).exists() {
        return Err(Broken::Damaged("damage was met while it was used".to_owned()));
    }
    let keys = private::secret(folder).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => Broken::Damaged(error.to_string()),
        _ => Broken::Unusable(error.to_string()),
    })?;
    let store = Store::open(&folder.join("sled"), folder, max_bytes)?;
    Ok((KeyMaker(keys), store))
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
