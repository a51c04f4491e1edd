//! The nouns of the host's public face: where a plugin comes from, what a session is given and what it gives back.
//!
//! Plain data, apart from what works on it (`host`, `session`). It must not know sandboxes, windows or guests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gatewright_types::{Channel, Phase};

use crate::bundle::Bundle;
use crate::reach::Reach;

/// Where a plugin's files are.
#[derive(Clone, Debug)]
pub enum Source {
    /// A folder with a `plugin.yaml`.
    Folder(PathBuf),
    /// Files that are packed into the binary: name within the folder, bytes.
    Packed(&'static [(&'static str, &'static [u8])]),
    /// Files that were read already.
    Bundle(Arc<Bundle>),
}

/// Whether a plugin acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It acts.
    #[default]
    Enforce,
    /// It acts on a copy, is recorded, and changes nothing.
    Shadow,
    /// It is not asked.
    Off,
}

/// What happens to a request when a plugin fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// It is refused.
    #[default]
    Closed,
    /// It goes on as if the plugin were absent; recorded.
    Open,
}

/// The operator's side of a plugin: what the config says of it.
#[derive(Clone, Debug, Default)]
pub struct Operator {
    /// Name in the config; the manifest's name when `None`.
    pub name: Option<String>,
    /// Whether it acts.
    pub mode: Mode,
    /// Overrides the manifest's.
    pub on_error: Option<OnError>,
    /// Settings, JSON; checked against the manifest's schema.
    pub settings: serde_json::Value,
    /// Powers that are granted (`log`, `settings`, ...).
    pub grants: Vec<String>,
    /// Limits that replace the manifest's, by the manifest's names.
    pub limits: BTreeMap<String, u64>,
    /// How many requests in a hundred it takes part in; all where `None`.
    pub percent: Option<u8>,
}

/// A plugin that cannot be loaded: what, where, what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(pub String);

/// Who asks what: the contract's `context`.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Id of the request.
    pub request_id: String,
    /// Id of the conversation, where the client gave one.
    pub conversation: Option<String>,
    /// Whose data it is.
    pub tenant: String,
    /// Name of the key.
    pub key: String,
    /// Team of the key.
    pub team: Option<String>,
    /// Route that was resolved.
    pub route: String,
    /// Model that the client asked for.
    pub model: String,
    /// The request's fields beside its texts (sampling, names of tools, metadata, ...): JSON, read-only.
    pub parameters: String,
    /// Who fetches and asks models for guests; they see nothing of it but what it does.
    pub reach: Reach,
    /// How often plugins of this request have had the model asked again already.
    pub reasks: u32,
}

/// Why a session could not be opened: no instance of this plugin was free.
#[derive(Debug, thiserror::Error)]
#[error("no instance of plugin {plugin} is free")]
pub struct Busy {
    /// The plugin.
    pub plugin: String,
}

/// A tool that a plugin declares.
#[derive(Clone, Debug)]
pub struct DeclaredTool {
    /// `plugin__tool`: what the model sees.
    pub name: String,
    /// For the model.
    pub description: String,
    /// JSON Schema of the arguments.
    pub parameters: String,
    /// JSON Schema of the results, which are JSON then; `None` where they are any text.
    pub result: Option<String>,
    /// Whether it changes nothing in the world.
    pub read_only: bool,
}

/// How the chain left a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Pass,
    /// Refuse.
    Block {
        /// Who refused.
        plugin: String,
        /// Its code.
        code: String,
        /// For the client.
        message: String,
    },
    /// Give this answer without asking the model.
    Answer {
        /// Who answers.
        plugin: String,
        /// The answer.
        text: String,
    },
    /// Ask again: drop the answer so far, of which nothing was sent.
    Reask {
        /// Who wants it.
        plugin: String,
        /// Another route.
        route: Option<String>,
        /// One more instruction.
        instruction: Option<String>,
    },
    /// A plugin failed and its `on_error` is closed.
    Failed {
        /// Who failed.
        plugin: String,
        /// For the log: which limit or trap.
        reason: String,
    },
}

/// What the chain did with whole segments. Edits are in the segments already.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it left the request.
    pub verdict: Verdict,
    /// Whether an edit was applied.
    pub edited: bool,
    /// What was replaced, in an order in which it can be done again one by one.
    pub cuts: Vec<Cut>,
    /// Allow-listed fields to set: JSON pointer, JSON value.
    pub sets: Vec<(String, serde_json::Value)>,
    /// Notes for routing, logs and metrics (all so far in this session).
    pub notes: Vec<(String, String)>,
}

/// A range of a segment that was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Id of the segment.
    pub segment: u32,
    /// First byte that was replaced, in the text as it was then.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
    /// Bytes that are there now.
    pub length: usize,
}

/// Which text of a stream a piece belongs to. Each lane has its own hold-back window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    /// Index among the choices.
    pub choice: u32,
    /// What kind of text.
    pub channel: Channel,
    /// Which call of the choice, for `tool-args`; 0 elsewhere.
    pub index: u32,
}

/// Text of one lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which text.
    pub lane: Lane,
    /// Tool name, for `tool-args`.
    pub label: Option<String>,
    /// What to append.
    pub text: String,
}

/// What may be sent after a piece was fed.
#[derive(Clone, Debug)]
pub struct Released {
    /// Text that may go to the client now, by lane, in order; perhaps less than was fed, perhaps text of earlier pieces.
    pub pieces: Vec<Piece>,
    /// Whether everything fed so far came out unedited and nothing is held: the chunk's raw copy is still true.
    pub untouched: bool,
    /// `Pass`, or how the stream must end after `pieces`.
    pub verdict: Verdict,
}

/// What one plugin did on one channel in one phase.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Entry {
    /// Name in the config.
    pub plugin: Arc<str>,
    /// Phase.
    pub phase: Phase,
    /// Channel.
    pub channel: Channel,
    /// Characters that it inspected.
    pub characters: u64,
    /// What it did: `pass`, `edit`, `hold`, `block`, `answer`, `reask`, `set`, `note`, `error`; with `shadow:` before it in shadow.
    pub did: &'static str,
    /// How often.
    pub count: u64,
    /// For errors: which limit or trap.
    pub why: Option<String>,
}

/// Which plugin version took part in a session, or did not, and what it cost.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Name in the config.
    pub plugin: Arc<str>,
    /// Version, as its manifest says.
    pub version: Arc<str>,
    /// Digest that pins it, hexadecimal.
    pub digest: Arc<str>,
    /// Calls of the guest: events and tools. What its prefilter answered for it is none.
    pub calls: u64,
    /// Time that passed in them, starting the instance included.
    pub time: Duration,
    /// Most memory that its instance had after a call, in bytes.
    pub memory: usize,
    /// Errors, by [`Trip`].
    pub trips: [u32; Trip::ALL.len()],
    /// Why it was not asked at all, if it was not.
    pub absent: Option<Absence>,
}

/// Which limit an error was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trip {
    /// CPU time.
    Cpu,
    /// Wall clock.
    Wall,
    /// Memory.
    Memory,
    /// Bytes that it gave back.
    Output,
    /// No limit: a trap, an error of its own, a broken contract.
    Other,
}

impl Trip {
    /// All, in the order of [`Tally::trips`].
    pub const ALL: [Self; 5] = [Self::Cpu, Self::Wall, Self::Memory, Self::Output, Self::Other];

    /// Its word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Wall => "wall",
            Self::Memory => "memory",
            Self::Output => "output",
            Self::Other => "other",
        }
    }
}

/// Why a plugin of the chain takes no part in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The request is not among those that its percentage takes.
    RollOut,
    /// A shadow for which no instance was free.
    NoInstance,
}

impl Absence {
    /// Its word in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RollOut => "roll-out",
            Self::NoInstance => "no-instance",
        }
    }
}

/// Why a tool did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToolFailure {
    /// The arguments do not fit the schema; the model may try again.
    #[error("bad arguments: {0}")]
    BadArguments(String),
    /// Not allowed.
    #[error("denied: {0}")]
    Denied(String),
    /// Not now.
    #[error("try later: {0}")]
    TryLater(String),
    /// The tool or its sandbox failed.
    #[error("tool failed: {0}")]
    Internal(String),
}

impl ToolFailure {
    /// Its kind, as the contract names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::BadArguments(_) => "bad-arguments",
            Self::Denied(_) => "denied",
            Self::TryLater(_) => "try-later",
            Self::Internal(_) => "internal",
        }
    }
}
