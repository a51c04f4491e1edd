//! A plugin's folder as one file, `.tar.gz`: packed so that the same folder makes the same bytes, unpacked into memory within bounds.
//!
//! Apart because an archive is a stranger's bytes: nothing of it is written to disk, links and paths that lead out are refused, and
//! no size that it names is believed. It must not know what the files mean.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Component, Path};

use flate2::{Compression, GzBuilder, read::GzDecoder};
use tar::{Archive, Builder, EntryType, Header};

use crate::api::LoadError;
use crate::bundle::{Bundle, LARGEST_FILE, MANIFEST, read};

/// Largest archive, in bytes.
pub(crate) const LARGEST_PACKED: usize = 64 << 20;
/// Most bytes that an archive may come to.
const LARGEST_UNPACKED: u64 = 128 << 20;
/// Most entries of an archive.
const MOST_ENTRIES: usize = 1024;
/// What is packed beside manifest and entry, where it is there. A list, so that nothing is given away by chance.
const BESIDE: [&str; 5] = ["plugin.sig", "README.md", "LICENSE", "LICENSE-MIT", "LICENSE-APACHE"];

/// The files at the top of an archive; what lies in its folders is for people.
///
/// # Errors
/// When it is no `.tar.gz`, or holds what none may hold.
pub(crate) fn unpack(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, String> {
    if bytes.len() > LARGEST_PACKED {
        return Err(format!("more than {LARGEST_PACKED} bytes"));
    }
    let mut archive = Archive::new(Bounded { inner: GzDecoder::new(bytes), left: LARGEST_UNPACKED });
    let mut files = BTreeMap::new();
    let broken = |error: std::io::Error| format!("not a .tar.gz of a plugin: {error}");
    for (count, entry) in archive.entries().map_err(broken)?.enumerate() {
        if count >= MOST_ENTRIES {
            return Err(format!("more than {MOST_ENTRIES} entries"));
        }
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.into_owned();
        let kind = entry.header().entry_type();
        let Some(name) = inside(&path) else {
            return Err(format!("`{}` leads out of the archive", path.display()));
        };
        match kind {
            EntryType::Directory | EntryType::XGlobalHeader => continue,
            EntryType::Regular | EntryType::Continuous => {}
            _ => return Err(format!("`{}` is neither a file nor a folder", path.display())),
        }
        let [name] = name.as_slice() else { continue };
        let mut content = Vec::new();
        entry.by_ref().take(LARGEST_FILE as u64 + 1).read_to_end(&mut content).map_err(broken)?;
        if content.len() > LARGEST_FILE {
            return Err(format!("`{name}` has more than {LARGEST_FILE} bytes"));
        }
        if files.insert((*name).to_owned(), content).is_some() {
            return Err(format!("`{name}` is there twice"));
        }
    }
    Ok(files)
}

/// The parts of a path that stays inside; `None` for one that does not, or that is not UTF-8.
fn inside(path: &Path) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part.to_str()?),
            _ => return None,
        }
    }
    Some(parts)
}

/// A reader that fails where more comes than may.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(std::io::Error::other(format!("it comes to more than {LARGEST_UNPACKED} bytes"))),
        }
        Ok(read)
    }
}

/// Packs a plugin's folder: manifest, entry file, signature, README, license and cases; sorted, without times and owners.
///
/// # Errors
/// When a file is missing, wrong or too large.
pub fn pack(folder: &Path) -> Result<Vec<u8>, LoadError> {
    let bundle = Bundle::folder(folder)?;
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for name in [MANIFEST, bundle.entry()] {
        files.insert(name.to_owned(), bundle.get(name).unwrap_or_default().to_vec());
    }
    for name in BESIDE.iter().filter(|name| folder.join(name).is_file()) {
        files.insert((*name).to_owned(), read(&folder.join(name), LARGEST_FILE)?);
    }
    for name in cases(folder) {
        files.insert(name.clone(), read(&folder.join(&name), LARGEST_FILE)?);
    }
    let packed = write(&files).map_err(|error| LoadError(format!("{}: {error}", folder.display())))?;
    // What nobody could unpack is not handed out.
    Bundle::archive(&folder.display().to_string(), &packed)?;
    Ok(packed)
}

/// The cases of a plugin's folder: `cases/NAME.yaml`.
fn cases(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("cases")).into_iter().flatten().filter_map(Result::ok);
    let names = entries.filter(|entry| entry.path().is_file()).filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.ends_with(".yaml") && !name.starts_with('.')).map(|name| format!("cases/{name}")).collect()
}

fn write(files: &BTreeMap<String, Vec<u8>>) -> std::io::Result<Vec<u8>> {
    let gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    let mut builder = Builder::new(gzip);
    for (name, content) in files {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content.as_slice())?;
    }
    let mut gzip = builder.into_inner()?;
    gzip.flush()?;
    gzip.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    const MANIFEST_TEXT: &[u8] = b"name: a\nversion: 1.0.0\nentry: plugin.luau\n";

    /// An archive of entries that may be anything: the name is written as it is.
    fn raw(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new(GzBuilder::new().write(Vec::new(), Compression::fast()));
        for (name, kind, content) in entries {
            let mut header = Header::new_old();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            if kind.is_symlink() || kind.is_hard_link() {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| std::fs::write(folder.path().join(name), text).unwrap();
        write("plugin.yaml", MANIFEST_TEXT);
        write("plugin.luau", b"return {}");
        write("README.md", b"# a");
        write(".env", b"KEY=secret");
        std::fs::create_dir(folder.path().join("cases")).unwrap();
        write("cases/first.yaml", b"[]");
        folder
    }

    #[test]
    fn the_same_folder_makes_the_same_bytes_and_comes_back() {
        let (one, other) = (folder(), folder());
        std::fs::write(other.path().join("secrets.txt"), "x").unwrap();
        let packed = pack(one.path()).unwrap();
        assert_eq!(packed, pack(other.path()).unwrap(), "what is not listed stays out");
        let names: Vec<_> = unpack(&packed).unwrap().into_keys().collect();
        assert_eq!(names, ["README.md", "plugin.luau", "plugin.yaml"]);
        let bundle = Bundle::archive("x", &packed).unwrap();
        assert_eq!(bundle.signed_text(), Bundle::folder(one.path()).unwrap().signed_text());
    }

    #[test]
    fn an_archive_of_tar_is_read_too() {
        let entries = [
            ("./", EntryType::Directory, &b""[..]),
            ("./plugin.yaml", EntryType::Regular, MANIFEST_TEXT),
            ("./plugin.luau", EntryType::Regular, b"return {}"),
        ];
        assert!(Bundle::archive("x", &raw(&entries)).is_ok());
    }

    #[test]
    fn what_an_archive_may_not_hold_is_refused() {
        let manifest = ("plugin.yaml", EntryType::Regular, MANIFEST_TEXT);
        for (entry, why) in [
            (("../plugin.luau", EntryType::Regular, &b"x"[..]), "leads out"),
            (("/plugin.luau", EntryType::Regular, b"x"), "leads out"),
            (("a/../../plugin.luau", EntryType::Regular, b"x"), "leads out"),
            (("plugin.luau", EntryType::Symlink, b""), "neither a file nor a folder"),
            (("plugin.luau", EntryType::Link, b""), "neither a file nor a folder"),
            (("plugin.luau", EntryType::Fifo, b""), "neither a file nor a folder"),
            (("plugin.yaml", EntryType::Regular, b"name: b"), "there twice"),
            (("other.luau", EntryType::Regular, b"x"), "has no plugin.luau"),
        ] {
            let told = Bundle::archive("x.tar.gz", &raw(&[manifest, entry])).unwrap_err().to_string();
            assert!(told.starts_with("x.tar.gz: ") && told.contains(why), "{told}");
        }
        assert!(Bundle::archive("x", b"no archive").unwrap_err().to_string().contains("not a .tar.gz"));
        assert!(Bundle::archive("x", &raw(&[])).unwrap_err().to_string().contains("no plugin.yaml"));
        let many: Vec<_> = (0..=MOST_ENTRIES).map(|_| ("d", EntryType::Directory, &b""[..])).collect();
        assert!(Bundle::archive("x", &raw(&many)).unwrap_err().to_string().contains("entries"));
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let nothing = vec![0; 1 << 20];
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::fast());
        let mut header = Header::new_gnu();
        header.set_path("cases/x").unwrap();
        header.set_entry_type(EntryType::Regular);
        header.set_size(1 << 40);
        header.set_cksum();
        gzip.write_all(header.as_bytes()).unwrap();
        for _ in 0..130 {
            gzip.write_all(&nothing).unwrap();
        }
        let told = unpack(&gzip.finish().unwrap()).unwrap_err();
        assert!(told.contains("comes to more than"), "{told}");
    }
}
