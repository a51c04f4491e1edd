//! What every command about others' plugins begins with: the configuration, the lock beside it, and how far a transfer is.
//!
//! Apart because five commands need it. It must not know what they do.

use std::path::{Path, PathBuf};

use gatewright_plugins::{Operator, Source as Files};
use indicatif::{ProgressBar, ProgressStyle};

use super::super::super::run::{Failure, MISTAKEN, failed, source};
use super::At;
use crate::config::facts::{Facts, PluginFact};
use crate::environment::Environment;
use crate::serve::{Configuration, Overrides, Source};
use crate::supply::lock::{LOCK, Lock};
use crate::supply::{Fetched, PluginSource};

/// A configuration and its lock.
pub(super) struct Desk {
    pub(super) facts: Facts,
    /// Whether there is a configuration file.
    pub(super) written: bool,
    /// The folder of the configuration file: the lock lies there, and relative paths begin there.
    pub(super) folder: PathBuf,
    /// `None` where there is no lock.
    pub(super) lock: Option<Lock>,
}

impl Desk {
    /// Reads the configuration.
    pub(super) fn open(at: &At, environment: &Environment) -> Result<Self, Failure> {
        let found = source(at.config.clone(), environment);
        let folder = match &found {
            Source::File(path) => environment.folder().join(path).parent().unwrap_or(environment.folder()).to_owned(),
            Source::Zero => environment.folder().to_owned(),
        };
        let written = matches!(found, Source::File(_));
        let overrides = Overrides { data: at.data.clone(), ..Overrides::default() };
        let configuration = Configuration { source: found, overrides, environment: environment.clone() };
        let facts = configuration.facts().map_err(|problems| (MISTAKEN, problems))?;
        let lock = Lock::read(&folder).map_err(|problem| failed(&problem))?;
        Ok(Self { facts, written, folder, lock })
    }

    /// The configured plugins that are not in the binary.
    pub(super) fn outside(&self) -> impl Iterator<Item = &PluginFact> {
        self.facts.plugins.values().filter(|fact| !matches!(fact.source, PluginSource::Packed(_)))
    }

    /// Writes the lock.
    pub(super) fn write(&self, lock: &Lock) -> Result<PathBuf, Failure> {
        let path = self.folder.join(LOCK);
        let half = self.folder.join(format!(".{LOCK}.{}", std::process::id()));
        let written = std::fs::write(&half, lock.text()).and_then(|()| std::fs::rename(&half, &path));
        written.map_err(|error| failed(&format_args!("{}: {error}", path.display())))?;
        Ok(path)
    }
}

/// Files that were read, for the plugin host.
pub(super) fn files(fetched: &Fetched) -> Files {
    Files::Bundle(std::sync::Arc::clone(&fetched.bundle))
}

/// What an operator says of a plugin, under the name that it is configured by.
pub(super) fn operator(fact: &PluginFact) -> Operator {
    Operator { name: Some(fact.name.clone()), ..fact.operator.clone() }
}

/// A bar for bytes that come or go; nothing is shown where nobody looks.
pub(super) fn bar(what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(plain(what))
}

/// Moves a bar.
pub(super) fn moved(bar: &ProgressBar, done: u64, all: u64) {
    bar.set_length(all);
    bar.set_position(done);
}

/// A stranger's text, fit for a terminal: no escape sequences, and an end.
pub(super) fn plain(text: &str) -> String {
    const MOST: usize = 2000;
    let text: String = text.chars().take(MOST).collect();
    text.replace(|c: char| c.is_control(), " ")
}

/// A path as the configuration says it: relative to its folder where it lies within.
pub(super) fn written(path: &Path, folder: &Path) -> String {
    match path.strip_prefix(folder) {
        Ok(inside) => Path::new(".").join(inside).display().to_string(),
        Err(_) => path.display().to_string(),
    }
}
