//! Loading: a manifest, an entry file and the operator's word become one immutable plugin version.
//!
//! Apart because it alone knows both sandboxes by name. It must not know requests: it makes plugins, `session` uses them.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gatewright_types::{Channel, Phase};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::about::About;
use crate::api::{LoadError, Mode, OnError, Operator, Source};
use crate::bundle::{self, LARGEST_FILE};
use crate::chain::Units;
use crate::grants;
use crate::guest::{Grant, Limits, Program, Sandbox, Setup};
use crate::lua::Luau;
use crate::manifest::{Kind, Manifest, Subscription, is_plugin_name};
use crate::prefilter::Prefilter;
use crate::rollout::Share;
use crate::services::counts::Counts;
use crate::services::store::Shelves;
use crate::services::{Services, Traced};
use crate::settings::{self, WrongSetting};
use crate::stream::Bounds;
use crate::tools::{self, Tool};
use crate::wasm::{Kept, Wasm};

/// The host: engines, pools, and the thread that ticks. One per process.
#[derive(Debug)]
pub struct Host {
    luau: Box<dyn Sandbox>,
    wasm: Wasm,
    slots: usize,
    /// How many times slower WASM guests run than where it matters.
    slower: u32,
    shelves: Shelves,
    counts: Arc<Counts>,
    roll_out: [u8; 32],
}

/// One loaded plugin version: immutable but for its counters.
#[derive(Debug)]
pub struct Plugin {
    /// Name in the config.
    pub name: Arc<str>,
    pub(crate) version: Arc<str>,
    description: String,
    pub(crate) digest: Arc<str>,
    /// Powers that its manifest asks for, and those of them that it has.
    powers: (BTreeSet<Grant>, BTreeSet<Grant>),
    /// Which requests it takes part in.
    pub(crate) share: Share,
    pub(crate) mode: Mode,
    pub(crate) on_error: OnError,
    pub(crate) subscription: Subscription,
    /// Finds where it may have something to say; `None`: in any text.
    pub(crate) prefilter: Option<Prefilter>,
    pub(crate) bounds: Bounds,
    pub(crate) units: Units,
    pub(crate) limits: Limits,
    pub(crate) tools: Vec<Tool>,
    pub(crate) program: Arc<dyn Program>,
    pub(crate) seats: Arc<Semaphore>,
    pub(crate) counters: Counters,
}

/// What a plugin has cost since it was loaded.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    calls: AtomicU64,
    errors: AtomicU64,
    nanoseconds: AtomicU64,
}

/// A reading of a plugin's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Calls of the guest: events and tools.
    pub calls: u64,
    /// Of these, those that ended in an error.
    pub errors: u64,
    /// Time that passed in them, starting instances included.
    pub time: Duration,
}

impl Counters {
    /// Adds one call.
    pub(crate) fn add(&self, took: Duration) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Adds one error.
    pub(crate) fn fail(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }
}

impl Plugin {
    /// Version, as its manifest says.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Description, as its manifest says.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// BLAKE3 of manifest and entry file, hexadecimal: what pins the version.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What there is to know before it is let in.
    pub fn about(&self) -> About {
        About::of(self, (&self.powers.0, &self.powers.1))
    }

    /// Whether it acts.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What happens to a request when it fails.
    pub fn on_error(&self) -> OnError {
        self.on_error
    }

    /// Whether it sees this channel in this phase.
    pub fn hears(&self, phase: Phase, channel: Channel) -> bool {
        self.subscription.hears(phase, channel)
    }

    /// Whether it must see a streamed answer whole: it acts, and subscribes to `response` and not to `chunk`.
    pub fn wants_whole(&self) -> bool {
        let heard = &self.subscription;
        self.mode == Mode::Enforce && heard.hears_phase(Phase::Response) && !heard.hears_phase(Phase::Chunk)
    }

    /// Whether it may have something to say about a text whose first `sent` bytes are context: it is not asked where its prefilter
    /// finds nothing. What a stream cuts in two is not missed, because what may be the beginning of a match stays back.
    pub(crate) fn has_a_say(&self, text: &str, sent: usize) -> bool {
        self.prefilter.as_ref().is_none_or(|prefilter| prefilter.stands_in(text, sent))
    }

    /// What it has cost since it was loaded.
    pub fn spent(&self) -> Spent {
        Spent {
            calls: self.counters.calls.load(Ordering::Relaxed),
            errors: self.counters.errors.load(Ordering::Relaxed),
            time: Duration::from_nanos(self.counters.nanoseconds.load(Ordering::Relaxed)),
        }
    }
}

impl Host {
    /// A host with its sandboxes. `slots` bounds instances per plugin that may be in use at once; at least 1.
    pub fn new(slots: usize) -> Self {
        Self::with(Box::new(Luau::new()), slots)
    }

    /// A host that gives sources to this sandbox.
    pub(crate) fn with(luau: Box<dyn Sandbox>, slots: usize) -> Self {
        let slots = slots.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            luau,
            wasm: Wasm::new(slots),
            slots,
            slower: 1,
            shelves: Shelves::default(),
            counts: Arc::default(),
            roll_out: [0; 32],
        }
    }

    /// The same host with a secret for drawing requests of plugins that take part in a share of them. Hosts with the same secret
    /// draw alike.
    #[must_use]
    pub fn drawing_by(mut self, secret: [u8; 32]) -> Self {
        self.roll_out = secret;
        self
    }

    /// A host that counts what WASM guests compute ([`Session::fuel`](crate::Session::fuel)), for tests of plugins. Counting slows
    /// them down, so that they get twice the CPU time.
    pub fn counting(slots: usize) -> Self {
        let host = Self::new(slots);
        Self { wasm: Wasm::counting(host.slots), slower: 2, ..host }
    }

    /// The same, which keeps code that it compiled in this folder: what it compiled before, in this process or an earlier one, is
    /// read and not compiled again. The folder is its owner's alone, and so is the secret: who knows it can have code of theirs run.
    #[must_use]
    pub fn with_compiled(self, folder: PathBuf, secret: &[u8; 32]) -> Self {
        Self { wasm: self.wasm.keeping(Kept::new(folder, secret)), ..self }
    }

    /// What plugins have counted: plugin, name, count; sorted.
    pub fn counts(&self) -> Vec<(Arc<str>, String, u64)> {
        self.counts.all()
    }

    /// Loads, checks and pins one plugin. Blocking: it reads files, compiles, and runs the start-up code once.
    ///
    /// # Errors
    /// When a file is missing or wrong, settings do not fit the schema, or a grant is unknown.
    pub fn load(&self, source: &Source, operator: &Operator) -> Result<Arc<Plugin>, LoadError> {
        self.make(source, operator, settings::fill)
    }

    /// Loads a plugin to look at it: settings that it cannot do without may be missing.
    ///
    /// # Errors
    /// As [`Host::load`], but for settings that do not fit the schema.
    pub fn look(&self, source: &Source, operator: &Operator) -> Result<About, LoadError> {
        let plugin = self.make(source, operator, settings::filled)?;
        Ok(plugin.about())
    }

    fn make(&self, source: &Source, operator: &Operator, fill: SettingsOf) -> Result<Arc<Plugin>, LoadError> {
        let text = file(source, "plugin.yaml")?;
        let text = String::from_utf8(text).map_err(|_| LoadError(format!("{}: not UTF-8", place(source, "plugin.yaml"))))?;
        let manifest =
            Manifest::parse(&text).map_err(|complaint| LoadError(format!("{}: {complaint}", place(source, "plugin.yaml"))))?;
        let name: Arc<str> = operator.name.as_ref().unwrap_or(&manifest.name).as_str().into();
        let fail = |what: &dyn Display| LoadError(format!("plugin {name}: {what}"));
        if !is_plugin_name(&name) {
            return Err(fail(&"a name is 1 to 40 of a-z, 0-9 and -"));
        }
        let code = file(source, &manifest.entry)?;
        let granted = grants::both(&manifest.grants, &operator.grants).map_err(|error| fail(&error))?;
        let limits = grants::operate(manifest.limits, &operator.limits).map_err(|error| fail(&error))?;
        let settings = fill(manifest.settings.as_ref(), &operator.settings);
        let settings = settings.map_err(|wrong| fail(&settings::worded(&wrong)))?;
        let setup = Setup {
            name: Arc::clone(&name),
            limits,
            granted: granted.clone(),
            settings: settings.to_string().into(),
            services: Services { log: Arc::new(Traced), store: self.shelves.of(&name), counts: Arc::clone(&self.counts) },
            slots: self.slots,
        };
        let program = match manifest.kind {
            Kind::Luau => self.luau.load(&code, setup),
            Kind::Wasm => self.wasm.load(&code, Setup { limits: limits.slowed(self.slower), ..setup }),
        };
        let program = program.map_err(|error| fail(&format_args!("{}: {error}", manifest.entry)))?;
        let tools = tools::check(&name, &program.declared().tools).map_err(|error| fail(&error))?;
        let prefilter = Prefilter::new(&program.declared().prefilter);
        let prefilter = prefilter.map_err(|error| fail(&format_args!("{}: {error}", manifest.entry)))?;
        Ok(Arc::new(Plugin {
            prefilter,
            digest: bundle::digest(text.as_bytes(), &code).into(),
            powers: (manifest.grants, granted),
            share: Share::new(operator.percent.unwrap_or(100), self.roll_out),
            mode: operator.mode,
            on_error: operator.on_error.unwrap_or(manifest.on_error),
            subscription: manifest.subscription,
            bounds: manifest.bounds,
            units: manifest.units,
            version: manifest.version.into(),
            description: manifest.description,
            name,
            limits,
            tools,
            program,
            seats: Arc::new(Semaphore::new(self.slots)),
            counters: Counters::default(),
        }))
    }
}

fn place(source: &Source, name: &str) -> String {
    match source {
        Source::Folder(folder) => folder.join(name).display().to_string(),
        Source::Packed(_) => format!("{name} (packed)"),
        Source::Bundle(bundle) => format!("{}: {name}", bundle.place()),
    }
}

fn file(source: &Source, name: &str) -> Result<Vec<u8>, LoadError> {
    let missing = || LoadError(format!("{}: missing", place(source, name)));
    match source {
        Source::Folder(folder) => bundle::read(&folder.join(name), LARGEST_FILE),
        Source::Packed(files) => {
            files.iter().find(|(found, _)| *found == name).map(|(_, bytes)| bytes.to_vec()).ok_or_else(missing)
        }
        Source::Bundle(bundle) => bundle.get(name).map(<[u8]>::to_vec).ok_or_else(missing),
    }
}

/// Makes settings of a schema and of what was given.
type SettingsOf = fn(Option<&Value>, &Value) -> Result<Value, Vec<WrongSetting>>;

/// What is wrong with the settings that an operator gives a plugin, by its manifest; nothing where the manifest cannot be read, which
/// loading it tells.
pub fn wrong_settings(source: &Source, given: &Value) -> Vec<WrongSetting> {
    let text = file(source, "plugin.yaml").ok().and_then(|text| String::from_utf8(text).ok());
    let manifest = text.and_then(|text| Manifest::parse(&text).ok());
    manifest.and_then(|manifest| settings::fill(manifest.settings.as_ref(), given).err()).unwrap_or_default()
}
