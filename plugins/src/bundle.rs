//! A plugin's files in memory: read once, from a folder or an archive, so that what is checked is what is loaded.
//!
//! Apart because a signature and a lock are about bytes, and files may change between two looks at them. It must not know who signed
//! what, nor where an archive comes from.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::api::LoadError;
use crate::archive;
use crate::manifest::Manifest;

/// Name of the manifest.
pub(crate) const MANIFEST: &str = "plugin.yaml";
/// Name of the detached signature.
const SIGNATURE: &str = "plugin.sig";
/// Largest file, in bytes.
pub(crate) const LARGEST_FILE: usize = 64 << 20;
/// Largest manifest and signature, in bytes.
const LARGEST_TEXT: usize = 1 << 20;

/// Manifest, entry file and signature of one plugin.
#[derive(Clone)]
pub struct Bundle {
    /// Where it comes from, for complaints.
    place: String,
    entry: String,
    files: BTreeMap<String, Vec<u8>>,
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bundle").field("place", &self.place).field("files", &self.files.keys()).finish()
    }
}

impl Bundle {
    /// Reads a folder.
    ///
    /// # Errors
    /// When a file is missing, too large or wrong.
    pub fn folder(folder: &Path) -> Result<Self, LoadError> {
        let manifest = read(&folder.join(MANIFEST), LARGEST_TEXT)?;
        let mut files = BTreeMap::from([(MANIFEST.to_owned(), manifest)]);
        let place = folder.display().to_string();
        let entry = entry(&place, &files)?;
        files.insert(entry.clone(), read(&folder.join(&entry), LARGEST_FILE)?);
        let signature = folder.join(SIGNATURE);
        if signature.is_file() {
            files.insert(SIGNATURE.to_owned(), read(&signature, LARGEST_TEXT)?);
        }
        Ok(Self { place, entry, files })
    }

    /// Reads an archive of a folder, `.tar.gz`.
    ///
    /// # Errors
    /// When it cannot be read, or is no such archive.
    pub fn file(path: &Path) -> Result<Self, LoadError> {
        let bytes = read(path, archive::LARGEST_PACKED)?;
        Self::archive(&path.display().to_string(), &bytes)
    }

    /// Unpacks an archive that was read from `place`.
    ///
    /// # Errors
    /// When it is no such archive, holds what none may hold, or lacks the manifest or the entry file.
    pub fn archive(place: &str, bytes: &[u8]) -> Result<Self, LoadError> {
        let fail = |what: &dyn std::fmt::Display| LoadError(format!("{place}: {what}"));
        let mut files = archive::unpack(bytes).map_err(|error| fail(&error))?;
        let entry = entry(place, &files)?;
        if !files.contains_key(&entry) {
            return Err(fail(&format_args!("the archive has no {entry}")));
        }
        files.retain(|name, _| name == MANIFEST || name == SIGNATURE || *name == entry);
        Ok(Self { place: place.to_owned(), entry, files })
    }

    /// One of its files.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// Name of the entry file.
    pub(crate) fn entry(&self) -> &str {
        &self.entry
    }

    /// Where it comes from, for complaints.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// BLAKE3 of manifest and entry file, hexadecimal: what pins the version.
    pub fn digest(&self) -> String {
        digest(self.get(MANIFEST).unwrap_or_default(), self.get(&self.entry).unwrap_or_default())
    }

    /// What `plugin.sig` signs: what `sha256sum plugin.yaml ENTRY` prints.
    pub fn signed_text(&self) -> String {
        let line = |name: &str| {
            let digest = Sha256::digest(self.get(name).unwrap_or_default());
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hex}  {name}\n")
        };
        format!("{}{}", line(MANIFEST), line(&self.entry))
    }

    /// What stands in `plugin.sig`, if there is one.
    pub fn signature(&self) -> Option<&[u8]> {
        self.get(SIGNATURE)
    }
}

/// BLAKE3 of a manifest and an entry file, hexadecimal.
pub(crate) fn digest(manifest: &[u8], code: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [manifest, code] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_hex().to_string()
}

/// The entry file that the manifest names.
fn entry(place: &str, files: &BTreeMap<String, Vec<u8>>) -> Result<String, LoadError> {
    let fail = |what: &dyn std::fmt::Display| LoadError(format!("{place}: {what}"));
    let text = files.get(MANIFEST).ok_or_else(|| fail(&"there is no plugin.yaml"))?;
    let text = std::str::from_utf8(text).map_err(|_| fail(&"plugin.yaml: not UTF-8"))?;
    let manifest = Manifest::parse(text).map_err(|complaint| fail(&format_args!("plugin.yaml: {complaint}")))?;
    Ok(manifest.entry)
}

/// A file of at most so many bytes. A pipe or a device has no end, and may have no beginning.
pub(crate) fn read(path: &Path, most: usize) -> Result<Vec<u8>, LoadError> {
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        return Err(LoadError(format!("{}: no file", path.display())));
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most as u64 + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(LoadError(format!("{}: {error}", path.display()))),
        Ok(count) if count > most => Err(LoadError(format!("{}: more than {most} bytes", path.display()))),
        Ok(_) => Ok(bytes),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_what_sha256sum_prints() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plugin.yaml"), "name: a\nversion: 1.0.0\nentry: plugin.luau\n").unwrap();
        std::fs::write(folder.path().join("plugin.luau"), "return {}").unwrap();
        let bundle = Bundle::folder(folder.path()).unwrap();
        assert_eq!(
            bundle.signed_text(),
            "52cb5846ff1a744ddcf7aff0e50a82c34700aea386eb9db9b457362be84c2371  plugin.yaml\n\
             7df8f0cd9e1cd0b204a760783671c0ccca4a3258dc7c51f59e9e2295c6c25315  plugin.luau\n"
        );
        assert!(bundle.signature().is_none());
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Bundle::folder(folder.path()).unwrap_err().to_string().contains("plugin.yaml"));
        std::fs::write(folder.path().join("plugin.yaml"), "name: a\nversion: 1.0.0\nentry: plugin.wasm\n").unwrap();
        assert!(Bundle::folder(folder.path()).unwrap_err().to_string().contains("plugin.wasm"));
    }
}
