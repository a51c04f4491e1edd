//! `gatewright plugin`: what an author of plugins may ask for, and its help; what is for others' plugins is in `others`.
//!
//! Apart from the other commands because it is about plugins alone. It must not know how a plugin is run: that is the plugin host's.

mod build;
mod eval;
mod new;
mod once;
mod others;
mod scores;
mod test;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use gatewright_plugins::{Host, Operator, Source};
use gatewright_types::{Channel, Phase};
use serde_json::Value;

use self::new::Lang;
use super::run::{FAILED, Failure, Outcome, failed};
use crate::environment::Environment;
use crate::packed;

/// What is done with a plugin.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Make a folder with a plugin that works: manifest, source, cases, README
    #[command(after_help = "Examples:
  gatewright plugin new no-shouting && gatewright plugin test no-shouting
  gatewright plugin new no-shouting --lang rust && gatewright plugin build no-shouting
  gatewright plugin new counting --lang js --tools")]
    New {
        /// Its name: 1 to 40 of a-z, 0-9 and -
        name: String,
        /// The folder to make [default: ./NAME]
        #[arg(long, value_name = "FOLDER")]
        folder: Option<PathBuf>,
        /// What it is written in
        #[arg(long, value_enum, default_value_t)]
        lang: Lang,
        /// With a tool for models
        #[arg(long)]
        tools: bool,
    },
    /// Make plugin.wasm of a plugin's sources in Rust or JavaScript, and see whether it fits; in Lua, see whether it loads
    #[command(after_help = "It needs no WASM tools, but a compiler; it says what to install where one is missing:
  Rust        cargo and the target wasm32-unknown-unknown (or Debian's rustc-web and rust-web-src)
  JavaScript  Node, and `npm install` in the plugin's folder

Example:
  gatewright plugin build no-shouting && gatewright plugin test no-shouting")]
    Build {
        /// Its folder
        #[arg(default_value = ".")]
        plugin: PathBuf,
    },
    /// Run a plugin's cases; streams are shown whole and cut at many places
    #[command(after_help = "A case is what the plugin is given and what must come of it (cases/*.yaml in its folder):

  - name: a key in the answer
    settings: {}                                     # if it takes any
    given: {phase: chunk, channel: assistant, text: \"it is sk-123\"}
    expect: {text: \"it is [redacted]\"}               # or {verdict: block, code: ...}, notes, sets
  - name: a sum
    call: {tool: add, arguments: {a: 1, b: 2}}
    expect: {result: \"3\"}                            # or {failure: bad-arguments, contains: ...}

Beside each case stands what it costs when it is shown whole, the same in each run: instructions of WASM, calls, returns and turns
of loops in Lua. `max_fuel` in `expect` makes a case fail that costs more.

Exit status: 0 when all cases pass, 1 when some do not, 2 when they cannot be read.")]
    Test {
        /// Its folder
        plugin: PathBuf,
        /// Ways that each stream is cut, beside whole
        #[arg(long, value_name = "N", default_value_t = 200)]
        splits: u64,
        /// Only cases with this in their names
        #[arg(long, value_name = "WORDS")]
        only: Option<String>,
    },
    /// Show a plugin one text, and print what it makes of it
    #[command(after_help = "Examples:
  gatewright plugin run secrets 'my key is AKIADMEN4KHVDGAJGXBE'
  gatewright plugin run topic-deny --settings '{\"terms\": [\"bomb\"]}' 'a b o m b'
  cat answer.txt | gatewright plugin run ./my-plugin --phase chunk --channel reasoning")]
    Run {
        #[command(flatten)]
        plugin: Chosen,
        /// The text; without it, standard input
        text: Option<String>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Measure a plugin on labelled texts: precision, recall, false positives, time
    #[command(after_help = "A line of the data set is a JSON object:

  {\"text\": \"...\", \"label\": true}                 what the plugin must not let pass as it is
  {\"text\": \"...\", \"label\": false, \"channel\": \"reasoning\", \"phase\": \"chunk\"}

A plugin catches a text when it edits, blocks or answers. One that is less or more sure says so with
note(\"score\", \"0.93\"): then recall at 1% false positives is that of the best threshold.")]
    Eval {
        #[command(flatten)]
        plugin: Chosen,
        /// The data set, JSON Lines
        dataset: PathBuf,
        #[command(flatten)]
        shown: Shown,
        /// JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    #[command(flatten)]
    Others(others::OthersCommand),
}

/// Which plugin.
#[derive(Debug, Args)]
pub(crate) struct Chosen {
    /// Its folder, or the name of a ready-made policy
    plugin: String,
    /// Its settings, JSON
    #[arg(long, value_name = "JSON", default_value = "null", value_parser = json)]
    settings: Value,
}

/// As what a text is shown to it.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Shown {
    /// When: request, chunk, response, tool-call, tool-result
    #[arg(long, default_value = "request", value_parser = phase)]
    phase: Phase,
    /// What kind of text: system, user, assistant, reasoning, refusal, tool-definition, tool-args, tool-output, media, other
    #[arg(long, default_value = "user", value_parser = channel)]
    channel: Channel,
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

fn phase(text: &str) -> Result<Phase, String> {
    let names = || Phase::ALL.map(Phase::as_str).join(", ");
    Phase::ALL.into_iter().find(|phase| phase.as_str() == text).ok_or_else(|| format!("one of {}", names()))
}

fn channel(text: &str) -> Result<Channel, String> {
    let names = || Channel::ALL.map(Channel::as_str).join(", ");
    Channel::ALL.into_iter().find(|channel| channel.as_str() == text).ok_or_else(|| format!("one of {}", names()))
}

/// Does what was asked.
pub(super) fn run(command: PluginCommand, environment: Environment) -> Outcome {
    match command {
        PluginCommand::New { name, folder, lang, tools } => {
            let tags: &[&str] = if tools { &["tools"] } else { &[] };
            new::new(&name, folder, lang, tags)
        }
        PluginCommand::Build { plugin } => build::build(&plugin),
        PluginCommand::Test { plugin, splits, only } => test::test(&plugin, splits, only.as_deref()),
        PluginCommand::Run { plugin, text, shown } => once::once(&plugin, text, shown),
        PluginCommand::Eval { plugin, dataset, shown, json } => {
            let form = if json { scores::Form::Json } else { scores::Form::Table };
            eval::eval(&plugin, &dataset, shown, form)
        }
        PluginCommand::Others(command) => others::run(command, environment),
    }
}

impl Chosen {
    /// The plugin, with all powers that it asks for.
    fn load(&self, host: &Host) -> Result<std::sync::Arc<gatewright_plugins::Plugin>, Failure> {
        let folder = PathBuf::from(&self.plugin);
        let source = match packed::policy(&self.plugin) {
            _ if folder.is_dir() => Source::Folder(folder),
            Some(files) => Source::Packed(files),
            None => {
                let known: Vec<&str> = packed::policies().iter().map(|(name, _)| *name).collect();
                let told =
                    format!("there is no folder `{}`, and no ready-made policy of that name ({})", self.plugin, known.join(", "));
                return Err(failed(&told));
            }
        };
        host.load(&source, &author(self.settings.clone())).map_err(|error| failed(&error))
    }
}

/// Who tries a plugin grants it all powers. `fetch` and `model` need an operator's list: here they say that they are not served.
fn author(settings: Value) -> Operator {
    let grants = ["log", "settings", "store", "metrics", "fetch", "model"].map(str::to_owned);
    Operator { grants: grants.into(), settings, ..Operator::default() }
}

/// What an author is told when something is wrong with the plugin.
fn told(lines: Vec<String>) -> Outcome {
    Err((FAILED, lines))
}
