//! Loading: a manifest, an entry file and the operator's word become one immutable plugin version.
//!
//! Apart because it alone knows both sandboxes by name. It must not know requests: it makes plugins, `session` uses them.

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::api::{LoadError, Mode, OnError, Operator, Source};
use crate::chain::Units;
use crate::grants;
use crate::guest::{Limits, Program, Sandbox, Setup};
use crate::lua::Luau;
use crate::manifest::{Kind, Manifest, Subscription, is_plugin_name};
use crate::prefilter::Prefilter;
use crate::services::counts::Counts;
use crate::services::store::Shelves;
use crate::services::{Services, Traced};
use crate::stream::Bounds;
use crate::tools::{self, Tool};
use crate::wasm::Wasm;

/// The host: engines, pools, and the thread that ticks. One per process.
#[derive(Debug)]
pub struct Host {
    luau: Box<dyn Sandbox>,
    wasm: Wasm,
    slots: usize,
    shelves: Shelves,
    counts: Arc<Counts>,
}

/// One loaded plugin version: immutable but for its counters.
#[derive(Debug)]
pub struct Plugin {
    /// Name in the config.
    pub name: Arc<str>,
    version: String,
    description: String,
    digest: String,
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

    /// Whether it acts.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What happens to a request when it fails.
    pub fn on_error(&self) -> OnError {
        self.on_error
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

/// Largest entry file, in bytes.
const LARGEST_ENTRY: usize = 64 << 20;

impl Host {
    /// A host with its sandboxes. `slots` bounds instances per plugin that may be in use at once; at least 1.
    pub fn new(slots: usize) -> Self {
        Self::with(Box::new(Luau::new()), slots)
    }

    /// A host that gives sources to this sandbox.
    pub(crate) fn with(luau: Box<dyn Sandbox>, slots: usize) -> Self {
        let slots = slots.clamp(1, Semaphore::MAX_PERMITS);
        Self { luau, wasm: Wasm::new(slots), slots, shelves: Shelves::default(), counts: Arc::default() }
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
        let settings = settings(manifest.settings.as_ref(), &operator.settings).map_err(|error| fail(&error))?;
        let setup = Setup {
            name: Arc::clone(&name),
            limits,
            granted,
            settings: settings.to_string().into(),
            services: Services { log: Arc::new(Traced), store: self.shelves.of(&name), counts: Arc::clone(&self.counts) },
            slots: self.slots,
        };
        let program = match manifest.kind {
            Kind::Luau => self.luau.load(&code, setup),
            Kind::Wasm => self.wasm.load(&code, setup),
        };
        let program = program.map_err(|error| fail(&format_args!("{}: {error}", manifest.entry)))?;
        let tools = tools::check(&name, &program.declared().tools).map_err(|error| fail(&error))?;
        let prefilter = Prefilter::new(&program.declared().prefilter);
        let prefilter = prefilter.map_err(|error| fail(&format_args!("{}: {error}", manifest.entry)))?;
        Ok(Arc::new(Plugin {
            prefilter,
            digest: digest(&text, &code),
            mode: operator.mode,
            on_error: operator.on_error.unwrap_or(manifest.on_error),
            subscription: manifest.subscription,
            bounds: manifest.bounds,
            units: manifest.units,
            version: manifest.version,
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

fn digest(manifest: &str, code: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [manifest.as_bytes(), code] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_hex().to_string()
}

fn place(source: &Source, name: &str) -> String {
    match source {
        Source::Folder(folder) => folder.join(name).display().to_string(),
        Source::Packed(_) => format!("{name} (packed)"),
    }
}

fn file(source: &Source, name: &str) -> Result<Vec<u8>, LoadError> {
    let bytes = match source {
        Source::Folder(folder) => read(&folder.join(name))?,
        Source::Packed(files) => match files.iter().find(|(found, _)| *found == name) {
            Some((_, bytes)) => bytes.to_vec(),
            None => return Err(LoadError(format!("{}: missing", place(source, name)))),
        },
    };
    if bytes.len() > LARGEST_ENTRY {
        return Err(LoadError(format!("{}: more than {LARGEST_ENTRY} bytes", place(source, name))));
    }
    Ok(bytes)
}

/// A file, and a byte more than it may have where it has more: a pipe or a device has no end.
fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let fail = |error: std::io::Error| LoadError(format!("{}: {error}", path.display()));
    if !path.metadata().map_err(fail)?.is_file() {
        return Err(LoadError(format!("{}: no file", path.display())));
    }
    let mut bytes = Vec::new();
    let most = LARGEST_ENTRY as u64 + 1;
    File::open(path).map_err(fail)?.take(most).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

/// The operator's settings with the schema's top-level defaults, checked against the schema.
fn settings(schema: Option<&Value>, given: &Value) -> Result<Value, String> {
    let mut settings = match given {
        Value::Null => Map::new(),
        Value::Object(map) => map.clone(),
        _ => return Err("settings: expected keys and values".into()),
    };
    let Some(schema) = schema else {
        return if settings.is_empty() { Ok(Value::Object(settings)) } else { Err("settings: this plugin takes none".into()) };
    };
    for (key, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if let (Some(default), false) = (property.get("default"), settings.contains_key(key)) {
            settings.insert(key.clone(), default.clone());
        }
    }
    let wrong = |error: &dyn Display| format!("settings: the manifest's schema is wrong: {error}");
    let validator = tools::schema(schema).map_err(|error| wrong(&error))?;
    let settings = Value::Object(settings);
    match validator.validate(&settings) {
        Ok(()) => Ok(settings),
        Err(error) => Err(format!("settings: {error} at {:?}", error.instance_path().to_string())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_are_filled_and_checked() {
        let schema =
            json!({"type": "object", "additionalProperties": false, "properties": {"a": {"type": "integer", "default": 1}}});
        assert_eq!(settings(Some(&schema), &Value::Null), Ok(json!({"a": 1})));
        assert_eq!(settings(Some(&schema), &json!({"a": 2})), Ok(json!({"a": 2})));
        assert!(settings(Some(&schema), &json!({"a": "x"})).is_err());
        assert!(settings(Some(&schema), &json!({"b": 1})).is_err());
        assert!(settings(None, &json!({"b": 1})).is_err());
        assert_eq!(settings(None, &json!({})), Ok(json!({})));
    }
}
