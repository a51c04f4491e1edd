//! Tells when the configuration may have changed on disk: the file itself, or the folder of a plugin.
//!
//! Apart because it is the only file that watches folders. It must not read what changed: whoever reloads does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// A watch on one configuration. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    watcher: RecommendedWatcher,
    changed: Arc<Notify>,
    folders: BTreeSet<PathBuf>,
}

impl Watch {
    /// Watches the folder of a file rather than the file: editors and orchestrators replace it by renaming.
    ///
    /// # Errors
    /// When the system cannot watch, or the folder is not there.
    pub fn new(file: &Path) -> notify::Result<Self> {
        let changed = Arc::new(Notify::new());
        let told = Arc::clone(&changed);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error means that events may have been missed.
            if event.map_or(true, |event| !matches!(event.kind, EventKind::Access(_))) {
                told.notify_one();
            }
        })?;
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(Self { watcher, changed, folders: BTreeSet::new() })
    }

    /// Watches these plugin folders from now on, and no others. What cannot be watched is told; the rest is watched.
    ///
    /// # Errors
    /// The folders that cannot be watched, and why.
    pub fn plugins(&mut self, folders: impl Iterator<Item = PathBuf>) -> Result<(), Vec<String>> {
        let wanted: BTreeSet<_> = folders.collect();
        for gone in self.folders.difference(&wanted) {
            // It may not exist any more.
            let _ = self.watcher.unwatch(gone);
        }
        let mut failed = Vec::new();
        let mut watched = BTreeSet::new();
        for folder in wanted {
            match self
                .folders
                .contains(&folder)
                .then_some(())
                .map_or_else(|| self.watcher.watch(&folder, RecursiveMode::Recursive), Ok)
            {
                Ok(()) => drop(watched.insert(folder)),
                Err(error) => failed.push(format!("{}: {error}", folder.display())),
            }
        }
        self.folders = watched;
        if failed.is_empty() { Ok(()) } else { Err(failed) }
    }

    /// What is notified when something there changed; one permit stands for any number of changes.
    pub fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }
}
