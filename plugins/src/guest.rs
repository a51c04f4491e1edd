//! The contract between a session and the two sandboxes: what a guest is shown, what it answers, how it may fail.
//!
//! It is apart so that WASM and Luau meet the rest of the host at one place. It must not know either of them, nor windows,
//! chains or modes. Actions arrive here as the guest gave them: `chain` checks and folds them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatewright_types::{Channel, Phase};
use tokio::sync::OwnedSemaphorePermit;

use crate::api::{Context, ToolFailure};
use crate::services::Services;

/// One segment as a guest sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// Unique within the event; edits name it.
    pub(crate) id: u32,
    pub(crate) channel: Channel,
    pub(crate) text: &'a str,
    /// Text before this offset is context only. In the units of the plugin's manifest; 0-based.
    pub(crate) sent: u32,
    /// Tool name or media type.
    pub(crate) label: Option<&'a str>,
}

/// One question to a guest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'a> {
    pub(crate) phase: Phase,
    pub(crate) segments: &'a [View<'a>],
    /// No more text of these segments follows.
    pub(crate) last: bool,
    /// Notes of the session so far: the contract's `context.notes`. Only ever appended to.
    pub(crate) notes: &'a [(String, String)],
}

impl Event<'_> {
    /// Bytes that the guest is shown: the CPU budget grows with them.
    pub(crate) fn bytes(&self) -> usize {
        self.segments.iter().map(|view| view.text.len()).sum()
    }
}

/// What a guest wants. Offsets are 0-based with an exclusive end, in the units of the plugin's manifest, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Replace a range of one segment.
    Edit { segment: u32, start: u32, end: u32, text: String },
    /// Send nothing from this offset on.
    Hold { segment: u32, start: u32 },
    /// Stop and refuse.
    Block { code: String, message: String },
    /// Stop and give this answer.
    Answer(String),
    /// Ask again, elsewhere or with one more instruction.
    Reask { route: Option<String>, instruction: Option<String> },
    /// Set one allow-listed field: JSON pointer, JSON text.
    Set { pointer: String, value: String },
    /// Label: key, value.
    Note { key: String, value: String },
}

/// Which limit or law a guest broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GuestErrorKind {
    /// CPU time.
    Cpu,
    /// Wall clock.
    Wall,
    /// Memory.
    Memory,
    /// Bytes that it may give back.
    Output,
    /// The sandbox stopped it: a trap, or an error that the guest did not catch.
    Trap,
    /// It said itself that it failed (`err(string)` of the contract).
    Guest,
    /// What it answered breaks the contract.
    Contract,
    /// The code cannot be loaded or instantiated.
    Load,
}

/// A guest that failed. Whatever the kind, the instance is dropped and never used again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", kind.as_str())]
pub(crate) struct GuestError {
    pub(crate) kind: GuestErrorKind,
    /// For the log and the record; bounded.
    pub(crate) message: String,
}

impl GuestErrorKind {
    /// The word for it in records.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu limit",
            Self::Wall => "wall clock limit",
            Self::Memory => "memory limit",
            Self::Output => "output limit",
            Self::Trap => "trap",
            Self::Guest => "guest error",
            Self::Contract => "contract",
            Self::Load => "load",
        }
    }
}

/// Longest message of a [`GuestError`], in bytes.
const MESSAGE_BYTES: usize = 512;

impl GuestError {
    /// An error; the message is cut to 512 bytes.
    pub(crate) fn new(kind: GuestErrorKind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        let cut = message.floor_char_boundary(MESSAGE_BYTES);
        message.truncate(cut);
        Self { kind, message }
    }

    /// A sandbox without its thread cannot stop anyone: it loads nothing.
    pub(crate) fn no_ticker(why: &std::io::Error) -> Self {
        Self::new(GuestErrorKind::Load, format!("the thread that counts guests' time cannot start: {why}"))
    }
}

/// The four limits of one plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// CPU time of any call.
    pub(crate) cpu: Duration,
    /// More of it for each KiB that is shown to the guest.
    pub(crate) cpu_per_kib: Duration,
    /// Wall clock of one call, host functions included.
    pub(crate) wall: Duration,
    /// Bytes of memory of one instance.
    pub(crate) memory: usize,
    /// Bytes that one call may give back (texts of actions, results, and [`ACTION_BYTES`] for each action) or log.
    pub(crate) output: usize,
}

/// What an action counts toward the output limit, besides its texts.
pub(crate) const ACTION_BYTES: usize = 64;

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_millis(2),
            cpu_per_kib: Duration::from_micros(100),
            wall: Duration::from_secs(1),
            // As much as one instruction can fill or copy, which nothing interrupts, within the time that limits are kept.
            memory: 16 << 20,
            output: 1 << 20,
        }
    }
}

impl Limits {
    /// CPU time for a call that is shown so many bytes.
    pub(crate) fn cpu_for(&self, bytes: usize) -> Duration {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        self.cpu.saturating_add(self.cpu_per_kib.saturating_mul(kib))
    }

    /// The same work, by a guest that runs so many times slower.
    pub(crate) fn slowed(self, times: u32) -> Self {
        Self { cpu: self.cpu.saturating_mul(times), cpu_per_kib: self.cpu_per_kib.saturating_mul(times), ..self }
    }
}

/// A capability: one host interface of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grant {
    Log,
    Settings,
    Store,
    Fetch,
    Model,
    Metrics,
}

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// Where guests' log lines go.
pub(crate) trait Sink: Send + Sync + std::fmt::Debug {
    /// One line of a plugin, cut to a bounded length already.
    fn write(&self, plugin: &str, at: Level, text: &str);
}

/// What a program needs besides its code. The sandbox keeps it for the program's life.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Name in the config: for log lines.
    pub(crate) name: Arc<str>,
    pub(crate) limits: Limits,
    /// What the manifest asks and the operator grants. Anything else is answered with `denied`.
    pub(crate) granted: BTreeSet<Grant>,
    /// Settings, JSON text: what `settings.get` returns.
    pub(crate) settings: Arc<str>,
    pub(crate) services: Services,
    /// Instances of this program that may be in use at once: a bound for pools.
    pub(crate) slots: usize,
}

impl Setup {
    /// Whether it may wait for the world outside.
    pub(crate) fn may_wait(&self) -> bool {
        self.granted.contains(&Grant::Fetch) || self.granted.contains(&Grant::Model)
    }
}

/// What a guest says of itself when it is loaded, checked by the host afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) tools: Vec<ToolSpec>,
    /// Regular expressions: what every match begins with. None: every text is shown.
    pub(crate) prefilter: Vec<String>,
}

/// A tool as the guest declares it, checked by the host afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolSpec {
    pub(crate) name: String,
    pub(crate) description: String,
    /// JSON Schema, text.
    pub(crate) parameters: String,
    /// JSON Schema that its results fit, text; `None` where they are any text.
    pub(crate) result: Option<String>,
    pub(crate) read_only: bool,
}

/// A kind of sandbox: one per process and kind, made by `Host::new`.
pub(crate) trait Sandbox: Send + Sync + std::fmt::Debug {
    /// Compiles code, instantiates it once to see that it works and what it declares, and pre-warms its pool.
    /// Blocking. The same limits hold as for a call, except CPU (compiling is the host's work).
    ///
    /// # Errors
    /// [`GuestErrorKind::Load`] with what to do, or the limit that tripped.
    fn load(&self, code: &[u8], setup: Setup) -> Result<Arc<dyn Program>, GuestError>;
}

/// A place among a plugin's instances. It is free again when nobody holds it any more: neither the request nor the instance, which
/// may outlive it by the time that it takes to stop a call.
pub(crate) type Permit = Arc<OwnedSemaphorePermit>;

/// One plugin version, loaded. Immutable; shared by all requests.
#[async_trait]
pub(crate) trait Program: Send + Sync + std::fmt::Debug {
    /// An instance for one request, which no other request ever sees. Cheap. It keeps its permit for as long as it lives, and so
    /// there are never more than [`Setup::slots`], and it never waits for another.
    ///
    /// # Errors
    /// When the guest's start-up code fails or trips a limit.
    async fn instantiate(&self, context: Arc<Context>, permit: Permit) -> Result<Box<dyn Guest>, GuestError>;

    /// What it declared when it was loaded.
    fn declared(&self) -> &Declared;
}

/// One instance, exclusive to one request. After any `Err` it is dropped; otherwise it may go back to a pool when dropped, if
/// nothing of the request remains in it.
#[async_trait]
pub(crate) trait Guest: Send {
    /// Asks about one event. The sandbox enforces all four limits itself, and gives up its thread (or moves to a blocking
    /// one) for events over [`LARGE_EVENT`] bytes.
    ///
    /// # Errors
    /// The limit that tripped, the trap, or what the guest said.
    async fn inspect(&mut self, event: &Event<'_>) -> Result<Vec<Action>, GuestError>;

    /// Calls one of its tools. Arguments are JSON text that fits the declared schema. The inner error is the tool's own
    /// answer: the instance stays good.
    ///
    /// # Errors
    /// As for [`Guest::inspect`].
    async fn call_tool(&mut self, call: ToolRun<'_>) -> Result<Result<String, ToolFailure>, GuestError>;

    /// Bytes of memory that it has now; 0 after an error. Cheap.
    fn memory(&self) -> usize;

    /// What it has computed since it was started, in the sandbox's own unit; 0 where that is not counted.
    fn fuel(&self) -> u64;
}

/// One call of a tool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToolRun<'a> {
    /// The tool's own name, without the plugin's.
    pub(crate) name: &'a str,
    /// JSON text.
    pub(crate) arguments: &'a str,
    /// As in [`Event::notes`].
    pub(crate) notes: &'a [(String, String)],
}

/// Events with more bytes than this must not run on a thread that serves other requests.
pub(crate) const LARGE_EVENT: usize = 16 << 10;
