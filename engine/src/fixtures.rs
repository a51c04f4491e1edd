//! Reference checkpoints, for unit tests. They are made by `tests/reference/make.py`.
//!
//! Apart because tests of many modules use them. It must not know what is in them.

use std::path::Path;

use crate::options::ModelFiles;

/// One of the folders of `tests/reference`.
pub(crate) fn reference(name: &str) -> ModelFiles {
    ModelFiles::Folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name))
}
