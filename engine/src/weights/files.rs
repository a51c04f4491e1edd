//! Bytes of a model's files, from a folder (memory-mapped) or packed into the binary.
//!
//! Apart because it is the only place of the engine that opens files. It must not know what is in them.

use std::fs::File;
use std::io::ErrorKind;
use std::ops::Deref;

use memmap2::Mmap;

use crate::error::EngineError;
use crate::options::ModelFiles;

/// One file's bytes.
#[derive(Debug)]
pub(crate) enum Blob {
    Mapped(Mmap),
    Packed(&'static [u8]),
    /// Of an empty file: nothing can be mapped.
    Empty,
}

impl Deref for Blob {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Packed(bytes) => bytes,
            Self::Empty => &[],
        }
    }
}

impl ModelFiles {
    /// Where the file is, for people.
    pub(crate) fn name(&self, file: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(file).display().to_string(),
            Self::Packed(_) => format!("{file} (packed)"),
        }
    }

    /// The file's bytes, or `None` if there is no such file.
    pub(crate) fn find(&self, file: &str) -> Result<Option<Blob>, EngineError> {
        match self {
            Self::Packed(files) => Ok(files.iter().find(|(name, _)| *name == file).map(|(_, bytes)| Blob::Packed(bytes))),
            Self::Folder(folder) => {
                let fault = |e: std::io::Error| EngineError::load(format!("{}: {e}", self.name(file)));
                let opened = match File::open(folder.join(file)) {
                    Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
                    opened => opened.map_err(fault)?,
                };
                if opened.metadata().map_err(fault)?.len() == 0 {
                    return Ok(Some(Blob::Empty));
                }
                map(&opened).map(|m| Some(Blob::Mapped(m))).map_err(fault)
            }
        }
    }

    /// The file's bytes, or an error that names the file.
    pub(crate) fn require(&self, file: &str) -> Result<Blob, EngineError> {
        self.find(file)?.ok_or_else(|| EngineError::load(format!("{}: no such file", self.name(file))))
    }

    /// The file's JSON, or an error that names the file.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, file: &str) -> Result<T, EngineError> {
        let bytes = self.require(file)?;
        serde_json::from_slice(&bytes).map_err(|e| EngineError::load(format!("{}: {e}", self.name(file))))
    }
}

#[allow(unsafe_code, reason = "mapping a file is unsafe whatever one does: others may write to it")]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the map is read only, and is dropped when loading ends. The bytes are only ever read as plain bytes (no type has an
    // invalid pattern here), and every length was checked against the map's own. A file that is truncated while a model loads ends
    // the process by a bus error: the README tells operators to replace model files by renaming.
    unsafe { Mmap::map(file) }
}
