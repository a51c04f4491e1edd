//! `gatewright plugin pack` and `push`: a plugin's folder as one file, or as an artifact in a registry.
//!
//! Apart because this is the author's end of what others let in. It must not know what a registry's answers mean.

use std::path::{Path, PathBuf};

use gatewright_plugins::{About, Bundle, Host, Operator, Source, pack as packed};

use super::super::super::run::{Failure, Outcome, failed, print};
use super::At;
use super::desk::{Desk, bar, moved, plain};
use crate::environment::Environment;
use crate::supply::registry::{Place, Pushed, sha256};

/// Packs a folder into a file.
pub(super) fn pack(folder: &Path, out: Option<PathBuf>, environment: &Environment) -> Outcome {
    let (about, bytes) = checked(&environment.folder().join(folder))?;
    let name = || PathBuf::from(format!("{}-{}.tar.gz", about.name, about.version.replace(['/', '\\'], "-")));
    let out = out.unwrap_or_else(name);
    let path = environment.folder().join(&out);
    std::fs::write(&path, &bytes).map_err(|error| failed(&format_args!("{}: {error}", path.display())))?;
    print(&format!(
        "{} is made: {} {}, {} bytes\n  digest  blake3:{}\n  file    {}\n",
        plain(&out.display().to_string()),
        about.name,
        plain(&about.version),
        bytes.len(),
        about.digest,
        sha256(&bytes)
    ))
}

/// Packs a folder and pushes it.
pub(super) fn push(folder: &Path, to: &Place, (at, environment): (&At, Environment)) -> Outcome {
    if to.digest().is_some() {
        return Err(failed(&"a push goes to a tag: what its digest is comes of it"));
    }
    let desk = Desk::open(at, &environment)?;
    let (about, bytes) = checked(&environment.folder().join(folder))?;
    let pushed = Pushed::new(&about, bytes).map_err(|problem| failed(&problem))?;
    let progress = bar("pushing");
    let told = |done, all| moved(&progress, done, all);
    let digest = desk.facts.supply.registries.push((to, &pushed), &told);
    progress.finish_and_clear();
    let digest = digest.map_err(|problem| failed(&problem))?;
    print(&format!("{to} is {} {}\n  artifact  {digest}\n  digest    blake3:{}\n", about.name, plain(&about.version), about.digest))
}

/// A plugin that loads, and its archive.
fn checked(folder: &Path) -> Result<(About, Vec<u8>), Failure> {
    let bytes = packed(folder).map_err(|error| failed(&error))?;
    let bundle = Bundle::archive(&folder.display().to_string(), &bytes).map_err(|error| failed(&error))?;
    let about = Host::new(1).look(&Source::Bundle(bundle.into()), &Operator::default()).map_err(|error| failed(&error))?;
    Ok((about, bytes))
}
