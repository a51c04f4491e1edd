//! Which files the laws are about: what git tracks or would track.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's root.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Paths relative to the root, of all files that git tracks or does not ignore; without git, of all files outside `target`.
pub(super) fn files() -> Vec<PathBuf> {
    let git = Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root()).output();
    let mut files: Vec<PathBuf> = match git {
        Ok(out) if out.status.success() => String::from_utf8(out.stdout).unwrap().lines().map(PathBuf::from).collect(),
        _ => walk(&root()),
    };
    files.retain(|f| root().join(f).is_file());
    assert!(files.len() > 50, "the laws found next to no files: {files:?}");
    files
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    entries
        .filter(|p| !p.ends_with("target") && !p.ends_with(".git"))
        .flat_map(|p| if p.is_dir() { walk(&p) } else { vec![p.strip_prefix(root()).unwrap().to_path_buf()] })
        .collect()
}

/// Rust sources: path and text.
pub(super) fn rust() -> Vec<(PathBuf, String)> {
    let rust = files().into_iter().filter(|f| f.extension().is_some_and(|e| e == "rs"));
    rust.map(|f| (f.clone(), std::fs::read_to_string(root().join(&f)).unwrap())).collect()
}

/// Whether a file is only compiled for tests, benchmarks or examples.
pub(super) fn is_test(path: &Path) -> bool {
    let beside = |name: &str| path.iter().any(|part| part == name);
    beside("tests") || beside("benches") || beside("examples") || path.file_name().is_some_and(|n| n == "tests.rs")
}
