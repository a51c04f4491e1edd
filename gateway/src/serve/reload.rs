//! Reload: reads the configuration anew and swaps the host, whole or not at all.
//!
//! Apart because three things ask for it (SIGHUP, a changed file, the admin API) and one at a time may do it. It must not know
//! who asks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use gatewright_types::{DeviceChoice, Quantization};
use tokio::sync::{Mutex, watch};

use super::data::{self, MadeKey};
use super::engines;
use crate::config::facts::Facts;
use crate::config::{self, Watch, Watched};
use crate::environment::Environment;
use crate::host::{Host, HostCell, Shared};
use crate::http::health::Stage;
use crate::supply::PluginSource;
use crate::supply::lock::LOCK;

/// Changes that come close together are one change.
const SETTLE: Duration = Duration::from_millis(200);
const MAX_FILES: usize = 1000;

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A file.
    File(PathBuf),
    /// No file: see `Facts::zero_config`.
    Zero,
}

/// What the command line says in place of the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    /// `--listen`.
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// `--admin-listen`.
    pub(crate) admin_listen: Option<std::net::SocketAddr>,
    /// `--data`.
    pub(crate) data: Option<PathBuf>,
    /// `--device`.
    pub(crate) device: Option<DeviceChoice>,
    /// `--model`: a model's name and where it is.
    pub(crate) model: Option<(String, PathBuf)>,
    /// `--adapter`: names and folders, of that model.
    pub(crate) adapters: Vec<(String, PathBuf)>,
    /// `--quantize`.
    pub(crate) quantize: Option<Quantization>,
}

/// How facts are come by, again and again.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    /// Where from.
    pub(crate) source: Source,
    /// What counts more.
    pub(crate) overrides: Overrides,
    /// What it is read against.
    pub(crate) environment: Environment,
}

impl Configuration {
    /// The facts as they are written now.
    ///
    /// # Errors
    /// All complaints, each with the file's name before it.
    pub(crate) fn facts(&self) -> Result<Facts, Vec<String>> {
        let mut facts = match &self.source {
            Source::Zero => Facts::zero_config(&self.environment),
            Source::File(path) => {
                let told = |complaint: config::Complaint| format!("{}:{complaint}", path.display());
                config::load_file(path, &self.environment)
                    .map_err(|complaints| complaints.into_iter().map(told).collect::<Vec<_>>())?
            }
        };
        let overrides = self.overrides.clone();
        facts.listen = overrides.listen.unwrap_or(facts.listen);
        facts.admin_listen = overrides.admin_listen.unwrap_or(facts.admin_listen);
        facts.data = overrides.data.map_or(facts.data, |data| self.environment.folder().join(data));
        facts.device = overrides.device.unwrap_or(facts.device);
        if let Some((name, place)) = overrides.model {
            // As if the file had it, so that nothing of it is said twice.
            let adapters: serde_json::Map<_, _> =
                overrides.adapters.into_iter().map(|(name, folder)| (name, folder.display().to_string().into())).collect();
            let text = serde_json::json!({"models": {&name: {"folder": place, "adapters": adapters}}}).to_string();
            let told = |complaint: config::Complaint| format!("--model {}: {}", place.display(), complaint.message);
            let one = config::load(&text, self.environment.folder(), &self.environment)
                .map_err(|complaints| complaints.into_iter().map(told).collect::<Vec<_>>())?;
            let mut adapters = one.models.values().flat_map(|model| model.adapters.keys());
            let known =
                |adapter: &String| facts.models.values().any(|model| model.name != name && model.names().any(|of| of == adapter));
            if let Some(adapter) = adapters.find(|adapter| known(adapter)) {
                return Err(vec![format!("--adapter {adapter}: another model has that name")]);
            }
            serve_model(&mut facts, one, &name);
        }
        for model in facts.models.values_mut() {
            model.quantize = overrides.quantize.or(model.quantize);
        }
        Ok(facts)
    }

    /// The same, and what the files were like before anything was read of them: an edit that comes later, while they are read or
    /// plugins are loaded, makes a difference.
    ///
    /// # Errors
    /// As [`Self::facts`].
    pub(crate) fn read(&self) -> Result<(Facts, Fingerprint), Vec<String>> {
        let text = self.digest_text();
        let facts = self.facts()?;
        let seen = with_plugins(text, &facts);
        Ok((facts, seen))
    }

    /// What the files are like now, those of these plugins among them.
    fn fingerprint(&self, facts: &Facts) -> Fingerprint {
        with_plugins(self.digest_text(), facts)
    }

    fn digest_text(&self) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new();
        if let Source::File(path) = &self.source {
            for path in [path.clone(), path.with_file_name(LOCK)] {
                let bytes = std::fs::read(path).unwrap_or_default();
                hasher.update(&(bytes.len() as u64).to_le_bytes()).update(&bytes);
            }
        }
        hasher
    }
}

/// Adds a model that the command line names. One that the file has is only somewhere else, and a route of that name stays as it is:
/// its policies are the operator's.
fn serve_model(facts: &mut Facts, mut one: Facts, name: &str) {
    if let Some(model) = one.models.remove(name) {
        match facts.models.get_mut(name) {
            Some(known) => {
                known.folder = model.folder;
                known.adapters.extend(model.adapters);
            }
            None => drop(facts.models.insert(name.to_owned(), model)),
        }
    }
    for (name, route) in one.routes {
        facts.routes.entry(name).or_insert(route);
    }
}

/// What files are like: differs when one of them changed.
pub(crate) type Fingerprint = blake3::Hash;

fn with_plugins(mut hasher: blake3::Hasher, facts: &Facts) -> Fingerprint {
    for place in plugin_places(facts) {
        let mut left = MAX_FILES;
        match place {
            Watched::Folder(folder) => digest_folder(&folder, &mut hasher, &mut left),
            Watched::File(file) => digest_file(&file, &mut hasher),
        }
    }
    hasher.finalize()
}

/// Where files are that may change: the catalog, and plugins but those that are named by a digest.
fn plugin_places(facts: &Facts) -> impl Iterator<Item = Watched> {
    let catalog = facts.catalog.iter().cloned().map(Watched::File);
    let plugins = facts.plugins.values().filter_map(|plugin| match &plugin.source {
        PluginSource::Folder(folder) => Some(Watched::Folder(folder.clone())),
        PluginSource::File(file) => Some(Watched::File(file.clone())),
        PluginSource::Packed(_) | PluginSource::Oci(_) => None,
    });
    plugins.chain(catalog)
}

/// Name, size and time of a file.
fn digest_file(path: &Path, hasher: &mut blake3::Hasher) {
    if let Ok(about) = path.metadata() {
        let text = format!("{}\0{}\0{:?}\0", path.display(), about.len(), about.modified().ok());
        hasher.update(text.as_bytes());
    }
}

/// Names, sizes and times of the files of a folder: what tells that one was edited.
fn digest_folder(folder: &Path, hasher: &mut blake3::Hasher, left: &mut usize) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut entries: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let Some(fewer) = left.checked_sub(1) else { return };
        *left = fewer;
        digest_file(&path, hasher);
        if path.is_dir() && !path.is_symlink() {
            digest_folder(&path, hasher, left);
        }
    }
}

/// When the gateway is open to others and nobody has a key, one is required that is made here.
///
/// # Errors
/// When its file cannot be read or written, or it cannot be shown.
pub(crate) fn secure(facts: &mut Facts) -> Result<Option<MadeKey>, String> {
    if !facts.keys.is_empty() || facts.listen.ip().is_loopback() {
        return Ok(None);
    }
    let made = data::client_key(&facts.data, super::print_key)?;
    facts.keys.push(made.fact.clone());
    Ok(Some(made))
}

/// Reloads, one at a time.
#[derive(Debug)]
pub(crate) struct Reloader {
    configuration: Configuration,
    cell: Arc<HostCell>,
    shared: Arc<Shared>,
    /// What the files were like when they were read last.
    seen: Mutex<Fingerprint>,
    /// Why the last one was refused; nothing where it was not.
    refused: ArcSwap<Vec<String>>,
}

impl Reloader {
    /// For a host that was built from this configuration, as its files were then.
    pub(crate) fn new((configuration, seen): (Configuration, Fingerprint), cell: Arc<HostCell>, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { configuration, cell, shared, seen: Mutex::new(seen), refused: ArcSwap::default() })
    }

    /// Reads the configuration and puts it to work.
    ///
    /// # Errors
    /// Every reason why not, one a line; the last good configuration stays.
    pub(crate) async fn reload(self: &Arc<Self>) -> Result<(), Vec<String>> {
        let mut seen = self.seen.lock().await;
        self.build(&mut seen).await
    }

    /// Why the last reload was refused; nothing where it was not.
    pub(crate) fn refused(&self) -> Arc<Vec<String>> {
        self.refused.load_full()
    }

    /// The same, when the files are not what they were: whether they were not.
    async fn reload_if_changed(self: &Arc<Self>) -> bool {
        let mut seen = self.seen.lock().await;
        let changed = self.configuration.fingerprint(&self.cell.load().facts) != *seen;
        if changed {
            // It has been told in the log.
            let _ = self.build(&mut seen).await;
        }
        changed
    }

    async fn build(self: &Arc<Self>, seen: &mut Fingerprint) -> Result<(), Vec<String>> {
        // If it is refused, it is not tried again before something changes.
        *seen = self.configuration.fingerprint(&self.cell.load().facts);
        let this = Arc::clone(self);
        let built = tokio::task::spawn_blocking(move || this.read()).await;
        let (host, read) = match built.unwrap_or_else(|error| Err(vec![error.to_string()])) {
            Ok(built) => built,
            Err(complaints) => {
                self.shared.metrics.reloads("refused").inc();
                for complaint in &complaints {
                    tracing::error!("{complaint}");
                }
                let count = complaints.len();
                tracing::error!(
                    "the configuration was not reloaded, whatever else changed in it: {count} mistakes; the last good one stays, its \
                     plugins among it"
                );
                self.refused.store(Arc::new(complaints.clone()));
                return Err(complaints);
            }
        };
        *seen = read;
        self.cell.store(Arc::new(host));
        self.refused.store(Arc::default());
        self.shared.metrics.reloads("applied").inc();
        tracing::info!("the configuration was reloaded");
        Ok(())
    }

    /// Blocking: reads files, compiles plugins, may open a model.
    fn read(&self) -> Result<(Host, Fingerprint), Vec<String>> {
        let (mut facts, seen) = self.configuration.read()?;
        keep(&mut facts, &self.cell.load().facts);
        let one = |problem| vec![problem];
        secure(&mut facts).map_err(one)?;
        Ok((engines::host(facts, &self.shared)?, seen))
    }

    /// Reloads when the file or a plugin's folder changes, until the process drains.
    pub(crate) async fn watch(self: Arc<Self>, mut stage: watch::Receiver<Stage>) {
        let Source::File(path) = &self.configuration.source else { return };
        let mut watch = match Watch::new(&self.configuration.environment.folder().join(path)) {
            Ok(watch) => watch,
            Err(error) => {
                tracing::warn!(%error, "changes of the configuration are not noticed; send SIGHUP to reload");
                return;
            }
        };
        let changed = watch.changed();
        loop {
            if let Err(failed) = watch.plugins(plugin_places(&self.cell.load().facts)) {
                tracing::warn!("changes of these plugins are not noticed: {}", failed.join(", "));
            }
            // What changed before it was watched was not noticed.
            let again = self.reload_if_changed().await;
            tokio::select! {
                biased;
                _ = stage.wait_for(|stage| *stage != Stage::Serving) => return,
                () = std::future::ready(()), if again => {}
                () = changed.notified() => {}
            }
            tokio::time::sleep(SETTLE).await;
        }
    }
}

/// What needs a restart stays as it is, and a change of it is told.
fn keep(facts: &mut Facts, running: &Facts) {
    let mut told = Vec::new();
    let mut same = |name: &'static str, equal: bool| {
        if !equal {
            told.push(name);
        }
    };
    same("listen", facts.listen == running.listen);
    same("admin_listen", facts.admin_listen == running.admin_listen);
    same("data", facts.data == running.data);
    same("device", facts.device == running.device);
    same("logging.format", facts.log_json == running.log_json);
    same("limits.connections", facts.limits.connections == running.limits.connections);
    same("limits.header_time", facts.limits.header_time == running.limits.header_time);
    same("limits.write_time", facts.limits.write_time == running.limits.write_time);
    same("limits.plugin_slots", facts.limits.plugin_slots == running.limits.plugin_slots);
    same("limits.record_queue", facts.limits.record_queue == running.limits.record_queue);
    if !told.is_empty() {
        tracing::warn!("these need a restart to change: {}", told.join(", "));
    }
    facts.listen = running.listen;
    facts.admin_listen = running.admin_listen;
    facts.data.clone_from(&running.data);
    facts.device = running.device;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_of_the_command_line_leaves_what_is_configured_under_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gatewright.yaml");
        let place = |name: &str| folder.path().join(name);
        for name in ["old", "other", "new"] {
            std::fs::create_dir(place(name)).unwrap();
            std::fs::write(place(name).join("config.json"), "{}").unwrap();
        }
        std::fs::create_dir(place("lora")).unwrap();
        std::fs::write(place("lora").join("adapter_config.json"), "{}").unwrap();
        let text = "models:\n  a: {folder: old, max_running: 3}\n  b: {folder: other}\n\
                    plugins: {}\nroutes:\n  a: {legs: [b], strict: true}\n";
        std::fs::write(&path, text).unwrap();
        let facts = |name: &str| {
            let adapters = vec![("tuned".to_owned(), PathBuf::from("lora"))];
            let overrides = Overrides { model: Some((name.to_owned(), place("new"))), adapters, ..Overrides::default() };
            let environment = Environment::of(&[], folder.path().display().to_string());
            Configuration { source: Source::File(path.clone()), overrides, environment }.facts().unwrap()
        };
        let known = facts("a");
        let (model, route) = (&known.models["a"], &known.routes["a"]);
        assert_eq!((model.folder.as_deref(), model.max_running), (Some(&*place("new")), 3));
        assert!(route.strict && route.legs[0].model == "b", "{route:?}");
        assert!(known.models["a"].adapters.contains_key("tuned") && known.routes["tuned"].legs[0].model == "tuned");
        let new = facts("c");
        assert!(new.models["c"].folder.as_deref() == Some(&*place("new")) && new.routes.contains_key("c"));
    }
}
