//! Artifacts that were pulled, by digest, in the data folder: what serves without a network.
//!
//! Apart because what lies on a disk is checked like what comes from a network: each time that it is read. It must not pull.

use std::fs::DirBuilder;
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::registry::{Artifact, layer_of, sha256};
use super::signature::Signature;

/// Name of the folder in the data folder.
const FOLDER: &str = "plugins";
const MANIFEST: &str = "manifest.json";
const LAYER: &str = "layer.tar.gz";
const SIGNATURES: &str = "signatures.json";
const LARGEST: u64 = 64 << 20;

/// The artifacts of one data folder.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Those of this data folder.
    pub fn of(data: &Path) -> Self {
        Self { folder: data.join(FOLDER) }
    }

    /// The artifact of a digest, if it is there.
    ///
    /// # Errors
    /// When it is there and is not what the digest says.
    pub fn get(&self, digest: &str) -> Result<Option<Artifact>, String> {
        let place = self.place(digest);
        let Some(manifest) = read(&place.join(MANIFEST))? else { return Ok(None) };
        let layer = read(&place.join(LAYER))?.unwrap_or_default();
        let damaged = |why: &str| format!("{} is damaged: {why}; remove it, and it is fetched again", place.display());
        if sha256(&manifest) != digest {
            return Err(damaged("its manifest is not the one of this digest"));
        }
        if layer_of(&manifest).map_err(|error| damaged(&error))?.digest != sha256(&layer) {
            return Err(damaged("its layer is not the one of its manifest"));
        }
        let signatures = read(&place.join(SIGNATURES))?.unwrap_or_default();
        let signatures: Vec<Signature> = serde_json::from_slice(&signatures).unwrap_or_default();
        Ok(Some(Artifact { manifest, layer, signatures }))
    }

    /// Keeps an artifact: whole, or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, digest: &str, artifact: &Artifact) -> Result<(), String> {
        let place = self.place(digest);
        let wrong = |error: io::Error| format!("cannot write {}: {error}", place.display());
        let signatures = serde_json::to_vec(&artifact.signatures).map_err(|error| error.to_string())?;
        folder(&self.folder).map_err(wrong)?;
        let half = self.folder.join(format!(".{}-{}", digest.replace(':', "-"), std::process::id()));
        let write = || {
            folder(&half)?;
            std::fs::write(half.join(MANIFEST), &artifact.manifest)?;
            std::fs::write(half.join(LAYER), &artifact.layer)?;
            std::fs::write(half.join(SIGNATURES), &signatures)?;
            match place.exists() {
                // What is there is the same, but for signatures that came later.
                true => std::fs::rename(half.join(SIGNATURES), place.join(SIGNATURES)),
                false => std::fs::rename(&half, &place),
            }
        };
        let written = write();
        if half.exists() {
            // It is of no use to anyone.
            let _ = std::fs::remove_dir_all(&half);
        }
        written.map_err(wrong)
    }

    fn place(&self, digest: &str) -> PathBuf {
        self.folder.join(digest.replace(':', "-"))
    }
}

/// Makes a folder for its owner alone.
fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let mut bytes = Vec::new();
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file,
    };
    let read = file.and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    read.map(|_| Some(bytes)).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact() -> (String, Artifact) {
        let layer = b"a layer".to_vec();
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "config": { "mediaType": "application/vnd.gatewright.plugin.config.v1+json", "digest": sha256(b"{}"), "size": 2 },
            "layers": [{
                "mediaType": "application/vnd.gatewright.plugin.v1.tar+gzip", "digest": sha256(&layer), "size": layer.len(),
            }],
        });
        let manifest = manifest.to_string().into_bytes();
        (sha256(&manifest), Artifact { manifest, layer, signatures: Vec::new() })
    }

    #[test]
    fn what_is_kept_comes_back_and_signatures_may_come_later() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::of(data.path());
        let (digest, mut artifact) = artifact();
        assert!(store.get(&digest).unwrap().is_none());
        store.put(&digest, &artifact).unwrap();
        assert_eq!(store.get(&digest).unwrap().unwrap().layer, artifact.layer);
        artifact.signatures.push(Signature { payload: "{}".into(), signature: "x".into() });
        store.put(&digest, &artifact).unwrap();
        assert_eq!(store.get(&digest).unwrap().unwrap().signatures, artifact.signatures);
        assert_eq!(std::fs::read_dir(data.path().join(FOLDER)).unwrap().count(), 1, "nothing half is left");
    }

    #[test]
    fn what_was_tampered_with_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::of(data.path());
        let (digest, artifact) = artifact();
        for (file, content) in [(LAYER, &b"another"[..]), (MANIFEST, b"{}"), (LAYER, b"")] {
            store.put(&digest, &artifact).unwrap();
            std::fs::write(store.place(&digest).join(file), content).unwrap();
            let told = store.get(&digest).unwrap_err();
            assert!(told.contains("is damaged"), "{told}");
            std::fs::remove_dir_all(store.place(&digest)).unwrap();
        }
    }
}
