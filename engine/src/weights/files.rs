//! Bytes of a model's files, from a folder (memory-mapped) or packed into the binary.
//!
//! Apart because it is the only place of the engine that opens files. It must not know what is in them.

use std::fs::File;
use std::io::ErrorKind;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::error::EngineError;
use crate::gguf::GgufFile;
use crate::options::ModelFiles;

/// One file's bytes.
#[derive(Debug)]
pub(crate) enum Blob {
    Mapped(Mmap),
    Packed(&'static [u8]),
    /// Of a file that is made of what another one says.
    Made(Vec<u8>),
    /// Of an empty file: nothing can be mapped.
    Empty,
}

impl Deref for Blob {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Packed(bytes) => bytes,
            Self::Made(bytes) => bytes,
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
            Self::Gguf(gguf) => gguf.name(file),
        }
    }

    /// The bytes of a file of the folder, or `None` if there is none of that name.
    pub(crate) fn find(&self, file: &str) -> Result<Option<Blob>, EngineError> {
        match self {
            Self::Packed(files) => Ok(files.iter().find(|(name, _)| *name == file).map(|(_, bytes)| Blob::Packed(bytes))),
            Self::Gguf(gguf) => gguf.find(file),
            Self::Folder(folder) => read(&folder.join(file)),
        }
    }

    /// What is there: a path may be a GGUF file, or a folder that has one and no config.json.
    ///
    /// # Errors
    /// [`EngineError::Load`] with what is wrong with the file, or the names of several.
    pub(crate) fn resolved(&self) -> Result<Self, EngineError> {
        let Self::Folder(path) = self else { return Ok(self.clone()) };
        let file = if path.is_file() { path.clone() } else { only(path)?.unwrap_or_default() };
        if file.as_os_str().is_empty() {
            return Ok(self.clone());
        }
        let bytes = read(&file)?.ok_or_else(|| EngineError::load(format!("{}: no such file", file.display())))?;
        GgufFile::open(file, bytes).map(Self::Gguf)
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

/// The file's bytes, or `None` if there is no such file.
fn read(path: &Path) -> Result<Option<Blob>, EngineError> {
    let fault = |e: std::io::Error| EngineError::load(format!("{}: {e}", path.display()));
    let opened = match File::open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(fault)?,
    };
    if opened.metadata().map_err(fault)?.len() == 0 {
        return Ok(Some(Blob::Empty));
    }
    map(&opened).map(|m| Some(Blob::Mapped(m))).map_err(fault)
}

/// The one GGUF file of a folder that is not in Hugging Face's layout.
fn only(folder: &Path) -> Result<Option<PathBuf>, EngineError> {
    if folder.join("config.json").exists() {
        return Ok(None);
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(None) };
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"))).collect();
    files.sort();
    match files.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        [first, .., last] => Err(EngineError::load(format!(
            "{}: {} GGUF files, from {} to {}; name the one to load",
            folder.display(),
            files.len(),
            first.display(),
            last.display()
        ))),
    }
}

/// Bytes of memory that can be had without swapping, as the kernel estimates it and a container allows; `None` where neither says.
pub(crate) fn free_memory() -> Option<u64> {
    let text = |path: &str| std::fs::read_to_string(path).ok();
    let machine = text("/proc/meminfo").and_then(|all| field(&all, "MemAvailable:")).map(|kib| kib << 10);
    let number = |path: &str| text(path)?.trim().parse::<u64>().ok();
    let group = number("/sys/fs/cgroup/memory.max").and_then(|most| {
        let files = text("/sys/fs/cgroup/memory.stat").map_or(0, |all| reclaimable(&all));
        Some(most.saturating_sub(number("/sys/fs/cgroup/memory.current")?.saturating_sub(files)))
    });
    [machine, group].into_iter().flatten().min()
}

/// Of a group's memory.stat, the bytes of files that are only kept because nobody needs the room: those that were read once, and those that
/// were read again, as a model's are that is loaded twice.
fn reclaimable(stat: &str) -> u64 {
    ["inactive_file ", "active_file "].iter().filter_map(|name| field(stat, name)).sum()
}

fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[allow(unsafe_code, reason = "mapping a file is unsafe whatever one does: others may write to it")]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the map is read only, and is dropped when loading ends. The bytes are only ever read as plain bytes (no type has an
    // invalid pattern here), and every length was checked against the map's own. A file that is truncated while a model loads ends
    // the process by a bus error: the README tells operators to replace model files by renaming.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_a_group_keeps_are_room_whether_they_were_read_once_or_again() {
        assert_eq!(reclaimable("anon 7\nfile 35\ninactive_file 10\nactive_file 20\nunevictable 5\n"), 30);
        assert_eq!(reclaimable(""), 0);
    }
}
