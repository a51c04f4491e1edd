//! Tells when the configuration may have changed on disk: the file itself and what lies beside it, or the folder or file of a plugin.
//!
//! Apart because it is the only file that watches folders. It must not read what changed: whoever reloads does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// A watch on one configuration. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    watcher: RecommendedWatcher,
    changed: Arc<Notify>,
    /// The folder of the configuration.
    home: PathBuf,
    folders: BTreeMap<PathBuf, RecursiveMode>,
}

/// What of a plugin is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// A folder, and all in it.
    Folder(PathBuf),
    /// A file, by way of its folder, as above.
    File(PathBuf),
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
        Ok(Self { watcher, changed, home: folder.to_owned(), folders: BTreeMap::new() })
    }

    /// Watches these places of plugins from now on, and no others. What cannot be watched is told; the rest is watched.
    ///
    /// # Errors
    /// The folders that cannot be watched, and why.
    pub fn plugins(&mut self, places: impl Iterator<Item = Watched>) -> Result<(), Vec<String>> {
        let wanted = self.folders_of(places);
        for (gone, _) in self.folders.iter().filter(|(folder, mode)| wanted.get(*folder) != Some(mode)) {
            // It may not exist any more.
            let _ = self.watcher.unwatch(gone);
        }
        let mut failed = Vec::new();
        let mut watched = BTreeMap::new();
        for (folder, mode) in wanted {
            let is_new = self.folders.get(&folder) != Some(&mode);
            match if is_new { self.watcher.watch(&folder, mode) } else { Ok(()) } {
                Ok(()) => drop(watched.insert(folder, mode)),
                Err(error) => failed.push(format!("{}: {error}", folder.display())),
            }
        }
        self.folders = watched;
        if failed.is_empty() { Ok(()) } else { Err(failed) }
    }

    /// The folders to watch, besides the configuration's own.
    fn folders_of(&self, places: impl Iterator<Item = Watched>) -> BTreeMap<PathBuf, RecursiveMode> {
        let mut folders = BTreeMap::new();
        for place in places {
            match place {
                Watched::Folder(folder) => drop(folders.insert(folder, RecursiveMode::Recursive)),
                Watched::File(file) => {
                    let folder = file.parent().filter(|folder| *folder != self.home);
                    if let Some(folder) = folder {
                        folders.entry(folder.to_owned()).or_insert(RecursiveMode::NonRecursive);
                    }
                }
            }
        }
        folders
    }

    /// What is notified when something there changed; one permit stands for any number of changes.
    pub fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }
}
