//! Folders of the data folder that only their owner can read, and the secret in each.
//!
//! Apart because the cache and the plugin host's compiled code both rest on it. It must not know what lies in such a folder.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

/// Bytes of a secret.
pub(crate) const SECRET: usize = 32;
/// Name of its file.
const FILE: &str = "key";

/// Makes a folder, or takes the rights of others from it.
#[cfg(unix)]
pub(crate) fn folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

/// Makes a folder.
#[cfg(not(unix))]
pub(crate) fn folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// Reads a folder's secret, or makes one.
///
/// # Errors
/// `InvalidData` where the file is cut short; otherwise what the system says, with the file's name.
pub(crate) fn secret(folder: &Path) -> io::Result<[u8; SECRET]> {
    let path = folder.join(FILE);
    let mut secret = [0; SECRET];
    match fs::File::open(&path) {
        Ok(mut file) => {
            let read = file.read_exact(&mut secret);
            read.map_err(|_| io::Error::new(ErrorKind::InvalidData, "its key file is cut short")).map(|()| secret)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => make(&path).map_err(|error| named(&path, &error)),
        Err(error) => Err(named(&path, &error)),
    }
}

/// Makes a secret in place of one that cannot be read.
///
/// # Errors
/// What the system says, with the file's name.
pub(crate) fn new_secret(folder: &Path) -> io::Result<[u8; SECRET]> {
    let path = folder.join(FILE);
    fs::remove_file(&path).and_then(|()| make(&path)).map_err(|error| named(&path, &error))
}

fn make(path: &Path) -> io::Result<[u8; SECRET]> {
    let mut secret = [0; SECRET];
    getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(&secret).and_then(|()| file.sync_all())?;
    Ok(secret)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_secret_stays_and_is_its_owners_alone() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b");
        folder(&path).unwrap();
        let first = secret(&path).unwrap();
        assert_eq!(secret(&path).unwrap(), first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&path), mode(&path.join(FILE))), (0o700, 0o600));
        }
        fs::write(path.join(FILE), "short").unwrap();
        assert_eq!(secret(&path).unwrap_err().kind(), ErrorKind::InvalidData);
        let other = new_secret(&path).unwrap();
        assert!(other != first && secret(&path).unwrap() == other);
    }
}
