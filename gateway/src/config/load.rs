//! A configuration file from its text to facts: the steps in their order.
//!
//! Apart because it is the one way in: `serve`, `validate` and reload all come here. It must not know what a step does.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use super::complaint::Complaint;
use super::facts::Facts;
use super::raw::Root;
use super::resolve::{Surroundings, resolve};
use super::{schema, yaml};
use crate::environment::Environment;

/// Name of the file that is looked for in the working folder.
pub const FILE: &str = "gatewright.yaml";
/// More than the reader of YAML takes, so that it is the one to complain.
const MAX_BYTES: u64 = 2 << 20;

/// Reads a file.
///
/// # Errors
/// All mistakes, in the order of the file.
pub fn load_file(path: &Path, environment: &Environment) -> Result<Facts, Vec<Complaint>> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
    if let Err(error) = read {
        return Err(vec![Complaint::of_file(format!("cannot be read: {error}"))]);
    }
    let folder = environment.folder().join(path);
    load(&text, folder.parent().unwrap_or_else(|| environment.folder()), environment)
}

/// Reads a text; relative paths in it start at `folder`.
///
/// # Errors
/// All mistakes of shape and of meaning, in the order of the text.
pub fn load(text: &str, folder: &Path, environment: &Environment) -> Result<Facts, Vec<Complaint>> {
    let mut document = yaml::read(text)?;
    schema::settle_empty(&mut document);
    let (mut complaints, rest) = schema::judge(&document);
    match Root::deserialize(&rest) {
        Err(error) if complaints.is_empty() => complaints.push(Complaint::of_file(error.to_string())),
        Err(_) => {}
        Ok(root) => match resolve(&root, Surroundings { document: &document, environment, folder }) {
            Ok(facts) if complaints.is_empty() => return Ok(facts),
            Ok(_) => {}
            Err(more) => complaints.extend(more),
        },
    }
    complaints.sort_by(|a, b| (a.mark, &a.path).cmp(&(b.mark, &b.path)));
    complaints.dedup();
    Err(complaints)
}
