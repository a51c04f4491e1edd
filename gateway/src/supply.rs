//! Where plugins come from, and whether they are what was agreed to: folders, files and registries, signatures, the lock.
//!
//! Apart because a plugin is checked before any of it runs, in one place, whoever loads it: `serve`, `validate` or a command. It must
//! not know what a plugin does.

pub mod lock;
pub mod registry;
pub mod signature;
pub mod store;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatewright_plugins::{Bundle, Host, Mode, Operator, Plugin, Source, wrong_settings};

use self::lock::{LOCK, Lock, Locked, short};
use self::registry::{Artifact, Place, Progress, Registries};
use self::signature::{PublicKey, Signed};
use self::store::Store;
use crate::config::Misfit;
use crate::config::facts::{Facts, PluginFact};

/// Where a plugin's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginSource {
    /// A ready-made policy, packed into the binary.
    Packed(String),
    /// A folder.
    Folder(PathBuf),
    /// An archive of a folder.
    File(PathBuf),
    /// An artifact in a registry.
    Oci(Place),
}

impl fmt::Display for PluginSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packed(name) => write!(f, "ready-made {name}"),
            Self::Folder(path) | Self::File(path) => path.display().fmt(f),
            Self::Oci(place) => place.fmt(f),
        }
    }
}

/// What all plugins from outside are held to.
#[derive(Clone, Debug, Default)]
pub struct SupplyFacts {
    /// What was agreed to; `None` where nobody made a lock.
    pub lock: Option<Lock>,
    /// Keys of which one must have signed a plugin from outside; with none, no signature is wanted.
    pub keys: Vec<PublicKey>,
    /// How registries are asked.
    pub registries: Registries,
}

/// A plugin that was read, and not yet run.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    /// Its files.
    pub(crate) bundle: Arc<Bundle>,
    /// Digest of its artifact, where it comes from a registry.
    pub(crate) artifact: Option<String>,
    /// Who signed it; `None` where no signature is wanted.
    pub(crate) signed: Option<Signed>,
}

/// What plugins are fetched with.
#[derive(Clone, Copy)]
pub(crate) struct Supply<'a> {
    facts: &'a SupplyFacts,
    data: &'a Path,
    progress: Progress<'a>,
    reach: Reach,
}

/// How far is looked for a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// In registries too.
    Network,
    /// On this machine alone.
    Disk,
}

/// Progress that nobody sees.
pub(crate) const UNSEEN: Progress<'static> = &|_, _| {};

impl<'a> Supply<'a> {
    /// With what a configuration says.
    pub(crate) fn of(facts: &'a Facts) -> Self {
        Self { facts: &facts.supply, data: &facts.data, progress: UNSEEN, reach: Reach::Network }
    }

    /// The same, without asking a registry.
    pub(crate) fn at_hand(self) -> Self {
        Self { reach: Reach::Disk, ..self }
    }

    /// The same, with somebody who is told how far it is.
    pub(crate) fn told(self, progress: Progress<'a>) -> Self {
        Self { progress, ..self }
    }

    /// Reads a plugin. One in a registry is read by its digest, out of the data folder where it is there.
    ///
    /// # Errors
    /// When it cannot be had, or is not what the digest says.
    pub(crate) fn fetch(&self, source: &PluginSource, keys: &[PublicKey], digest: Option<&str>) -> Result<Fetched, String> {
        let own = |bundle: Result<Bundle, gatewright_plugins::LoadError>| bundle.map_err(|error| error.to_string());
        let plain = |bundle: Bundle| {
            let signed = (!keys.is_empty()).then(|| signature::signed(keys, &bundle, None));
            Fetched { bundle: Arc::new(bundle), artifact: None, signed }
        };
        match source {
            PluginSource::Packed(name) => Err(format!("`{name}` is in the binary")),
            PluginSource::Folder(path) => own(Bundle::folder(path)).map(plain),
            PluginSource::File(path) => own(Bundle::file(path)).map(plain),
            PluginSource::Oci(place) => {
                let digest = match digest {
                    Some(digest) => digest.to_owned(),
                    None if self.reach == Reach::Disk => return Err("not locked: run `gatewright plugin lock`".to_owned()),
                    None => self.facts.registries.resolve(place)?,
                };
                if place.digest().is_some_and(|named| named != digest) {
                    return Err(changed(&format!("artifact {} -> {place}", short(&digest))));
                }
                let mut artifact = self.artifact(place, &digest)?;
                let bundle = own(Bundle::archive(&place.to_string(), &artifact.layer))?;
                let signed = match keys {
                    [] => None,
                    keys => Some(self.signed(keys, &bundle, (place, &digest, &mut artifact))?),
                };
                Ok(Fetched { bundle: Arc::new(bundle), artifact: Some(digest), signed })
            }
        }
    }

    /// An artifact out of the data folder, or else out of its registry.
    fn artifact(&self, place: &Place, digest: &str) -> Result<Artifact, String> {
        let store = Store::of(self.data);
        if let Some(artifact) = store.get(digest)? {
            return Ok(artifact);
        }
        if self.reach == Reach::Disk {
            return Err("not fetched so far".to_owned());
        }
        let artifact = self.facts.registries.pull((place, digest), self.progress)?;
        store.put(digest, &artifact)?;
        Ok(artifact)
    }

    /// Who signed an artifact. Where it is none of the keys, the registry is asked whether somebody has signed it since.
    fn signed(&self, keys: &[PublicKey], bundle: &Bundle, of: (&Place, &str, &mut Artifact)) -> Result<Signed, String> {
        let (place, digest, artifact) = of;
        let kept = signature::signed(keys, bundle, Some((digest, &artifact.signatures)));
        if matches!(kept, Signed::By(_)) || self.reach == Reach::Disk {
            return Ok(kept);
        }
        // Without a network it is as it was.
        match self.facts.registries.signatures(place, digest) {
            Ok(signatures) if signatures != artifact.signatures => {
                artifact.signatures = signatures;
                Store::of(self.data).put(digest, artifact)?;
                Ok(signature::signed(keys, bundle, Some((digest, &artifact.signatures))))
            }
            _ => Ok(kept),
        }
    }
}

impl Fetched {
    /// Whether it is signed as is wanted.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn trusted(&self) -> Result<(), String> {
        let keys = "`signed_by` (or `plugin_keys`)";
        match &self.signed {
            None | Some(Signed::By(_)) => Ok(()),
            Some(Signed::Not) => Err(format!("it is not signed, and {keys} wants a signature")),
            Some(Signed::ByOthers) => Err(format!("its signature is by none of the keys of {keys}, or of another version")),
        }
    }
}

/// A plugin's files, signed as is wanted, and what was agreed to of them; not run so far.
struct Had<'a> {
    source: Source,
    /// Where it is from outside.
    fetched: Option<Fetched>,
    /// Where there is a lock for it.
    locked: Option<&'a Locked>,
}

fn had<'a>(facts: &'a Facts, fact: &PluginFact) -> Result<Had<'a>, String> {
    if let PluginSource::Packed(name) = &fact.source {
        let files = crate::packed::policy(name).ok_or("there is no ready-made policy of that name; give a `folder`")?;
        return Ok(Had { source: Source::Packed(files), fetched: None, locked: None });
    }
    let locked = locked(facts, fact)?;
    let fetched = Supply::of(facts).fetch(&fact.source, fact.keys(facts), locked.and_then(|locked| locked.artifact.as_deref()))?;
    fetched.trusted()?;
    Ok(Had { source: Source::Bundle(Arc::clone(&fetched.bundle)), fetched: Some(fetched), locked })
}

/// Loads a plugin as its fact says; `None` for one that is off. What is from outside is checked before any of it runs: its signature
/// where one is wanted, and against the lock where there is one.
///
/// # Errors
/// Why it cannot be used, for the operator.
pub(crate) fn load(host: &Host, facts: &Facts, fact: &PluginFact) -> Result<Option<Arc<Plugin>>, String> {
    if fact.mode() == Mode::Off {
        return Ok(None);
    }
    run(host, fact, &had(facts, fact)?).map(Some)
}

fn run(host: &Host, fact: &PluginFact, had: &Had<'_>) -> Result<Arc<Plugin>, String> {
    let operator = Operator { name: Some(fact.name.clone()), ..fact.operator.clone() };
    let run = || host.load(&had.source, &operator).map_err(|error| error.to_string());
    let (Some(fetched), Some(locked)) = (&had.fetched, had.locked) else { return run() };
    let found = format!("blake3:{}", fetched.bundle.digest());
    if found != locked.digest {
        // It is looked at without any power, to say what is different.
        let bare = Operator { name: operator.name.clone(), settings: operator.settings.clone(), ..Operator::default() };
        let told = match host.look(&had.source, &bare) {
            Ok(about) => locked.differences(&Locked::of(&fact.written, fetched.artifact.as_deref(), &about)).join("; "),
            Err(error) => format!("digest {} -> {}; {error}", short(&locked.digest), short(&found)),
        };
        return Err(changed(&told));
    }
    let plugin = run()?;
    let told = locked.differences(&Locked::of(&fact.written, fetched.artifact.as_deref(), &plugin.about()));
    if told.is_empty() { Ok(plugin) } else { Err(changed(&told.join("; "))) }
}

/// Looks whether a plugin can be loaded as its fact says, and tells each setting that does not fit at its place.
///
/// # Errors
/// Everything that is wrong with its settings, else why it cannot be used.
pub(crate) fn check(host: &Host, facts: &Facts, fact: &PluginFact) -> Result<(), Vec<Misfit>> {
    if fact.mode() == Mode::Off {
        return Ok(());
    }
    let whole = |error| vec![(String::new(), error)];
    let had = had(facts, fact).map_err(whole)?;
    let wrong = wrong_settings(&had.source, &fact.operator.settings);
    if wrong.is_empty() {
        return run(host, fact, &had).map(drop).map_err(whole);
    }
    Err(wrong.into_iter().map(|wrong| (format!("/settings{}", wrong.pointer), wrong.message)).collect())
}

/// What was agreed to of a plugin; `None` where there is no lock.
fn locked<'a>(facts: &'a Facts, fact: &PluginFact) -> Result<Option<&'a Locked>, String> {
    let Some(lock) = &facts.supply.lock else {
        return match &fact.source {
            PluginSource::Oci(_) => Err(format!("a plugin from a registry needs a {LOCK}: run `gatewright plugin lock`")),
            _ => Ok(None),
        };
    };
    let locked = lock.plugins.get(&fact.name);
    let locked =
        locked.ok_or_else(|| format!("it is not in {LOCK}: look at it, and run `gatewright plugin lock` to agree to it"))?;
    match locked.source == fact.written {
        true => Ok(Some(locked)),
        false => Err(changed(&format!("source {} -> {}", locked.source, fact.written))),
    }
}

fn changed(told: &str) -> String {
    format!("it is not what {LOCK} has: {told}; if that is as it should be, run `gatewright plugin lock`")
}
