//! GGUF files: one file with a model's weights, often quantised, its tokenizer and its chat template.
//!
//! Apart because it is a format of its own, which here becomes what a folder in Hugging Face's layout has: the same files, made of the
//! keys, and tensors under the same names. So nothing that reads those knows this one. It must not know backends.

mod config;
mod container;
mod names;
mod tokenizer;

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::EngineError;
use crate::packing::Part;
use crate::weights::files::Blob;
use container::Container;

/// A GGUF file that was opened and checked. Cheap to clone; the file stays mapped until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct GgufFile(Arc<Gguf>);

#[derive(Debug)]
pub(crate) struct Gguf {
    path: PathBuf,
    container: Container,
    bytes: Blob,
}

impl GgufFile {
    /// Reads all but the weights.
    pub(crate) fn open(path: PathBuf, bytes: Blob) -> Result<Self, EngineError> {
        match Container::read(&bytes) {
            Ok(container) => Ok(Self(Arc::new(Gguf { path, container, bytes }))),
            Err(what) => Err(EngineError::load(format!("{}: {what}", path.display()))),
        }
    }

    /// Where a file of a folder has its counterpart, for people.
    pub(crate) fn name(&self, file: &str) -> String {
        let path = self.0.path.display();
        if file.is_empty() { path.to_string() } else { format!("{path} (as {file})") }
    }

    /// A file of a folder, made of what this one says; `None` for what has no counterpart.
    pub(crate) fn find(&self, file: &str) -> Result<Option<Blob>, EngineError> {
        let made = match file {
            "config.json" => config::config(&self.0),
            "generation_config.json" => config::generation(&self.0),
            "tokenizer.json" => tokenizer::tokenizer(&self.0),
            "tokenizer_config.json" => tokenizer::config(&self.0),
            _ => return Ok(None),
        };
        let json = made.and_then(|json| serde_json::to_vec(&json).map_err(|e| e.to_string()));
        json.map(|json| Some(Blob::Made(json))).map_err(|what| EngineError::load(format!("{}: {what}", self.0.path.display())))
    }

    /// A tensor under the name and in the layout that transformers has; a vector is one row.
    ///
    /// # Errors
    /// [`EngineError::Load`] with the file and the tensor.
    pub(crate) fn part(&self, name: &str, shape: &[usize]) -> Result<Part, EngineError> {
        self.0.part(name, shape).map_err(|what| EngineError::load(format!("{}: {what}", self.0.path.display())))
    }

    /// Each tensor's own name, shape and format.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&str, &[usize], crate::packing::Packing)> {
        self.0.container.tensors.iter().map(|(name, entry)| (name.as_str(), entry.shape.as_slice(), entry.packing))
    }

    /// Bytes of the file.
    pub(crate) fn len(&self) -> usize {
        self.0.bytes.len()
    }
}

#[cfg(test)]
mod tests;
