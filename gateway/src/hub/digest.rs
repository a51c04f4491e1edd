//! What the hub calls a file's digest: SHA-256 of what lies in its large storage, and Git's own of what lies in the repository.
//!
//! Apart because it is computed here, never taken on trust. It must not know where files come from.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

use crate::config::keys::hex;

/// A digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Digest {
    /// Of the content.
    Sha256(String),
    /// SHA-1 of the content behind `blob`, its size and a zero. Git's; it keeps accidents out, not attackers.
    Git(String),
}

impl Digest {
    /// Reads an ETag; `None` for what is none of the two.
    pub(super) fn read(etag: &str) -> Option<Self> {
        if !etag.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        match etag.len() {
            64 => Some(Self::Sha256(etag.to_ascii_lowercase())),
            40 => Some(Self::Git(etag.to_ascii_lowercase())),
            _ => None,
        }
    }

    /// Whether a file has it. Blocking.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn is_of(&self, path: &Path) -> io::Result<bool> {
        let mut file = File::open(path)?;
        let (mut context, wanted) = match self {
            Self::Sha256(wanted) => (Context::new(&SHA256), wanted),
            Self::Git(wanted) => {
                let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
                context.update(format!("blob {}\0", file.metadata()?.len()).as_bytes());
                (context, wanted)
            }
        };
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hex(context.finish().as_ref()) == *wanted),
                read => context.update(&buffer[..read]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `printf 'hello\n' | sha256sum` and `printf 'hello\n' | git hash-object --stdin`.
    #[test]
    fn both_kinds_are_what_their_own_tools_say() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "hello\n").unwrap();
        let sha256 = Digest::read("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03").unwrap();
        let git = Digest::read("CE013625030BA8DBA906F756967F9E9CA394464A").unwrap();
        assert!(sha256.is_of(&path).unwrap() && git.is_of(&path).unwrap());
        std::fs::write(&path, "hallo\n").unwrap();
        assert!(!sha256.is_of(&path).unwrap() && !git.is_of(&path).unwrap());
        for none in ["", "abc", "../../../../../../../../../../../../etc/p", "W/1234"] {
            assert_eq!(Digest::read(none), None);
        }
    }
}
