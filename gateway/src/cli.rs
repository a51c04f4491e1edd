//! The command line: what may be asked of the binary, and its help.
//!
//! Apart because it is what people type; what is done is in `run`. It must not know how anything is done.

mod chat;
mod plugin;
mod providers;
mod pull;
mod run;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use gatewright_types::{DeviceChoice, Quantization};

use crate::config::parse_address;
use crate::environment::Environment;
use crate::hub::Hub;

use chat::Chat;
use plugin::PluginCommand;
use pull::Pull;
pub(crate) use run::run;

/// An LLM gateway and plugin host in one binary: policies see, and may change, everything that the model is told, thinks, says
/// and does, while it streams.
#[derive(Debug, Parser)]
#[command(name = "gatewright", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Examples:
  gatewright serve                             the demo model at http://127.0.0.1:4000, nothing to configure
  OPENAI_API_KEY=... gatewright serve          the same, and OpenAI's models as `openai/MODEL`
  gatewright serve --config gatewright.yaml    your own providers, routes, plugins and keys
  gatewright validate                          all mistakes of ./gatewright.yaml, with line and column
  gatewright providers deepseek                what is known of a provider: models, prices
  gatewright key new alice                     a key for a client, and the lines for gatewright.yaml
  gatewright chat                              a model in the terminal
  gatewright pull OWNER/MODEL                  a model from the Hugging Face hub, and the lines that serve it
  gatewright plugin new no-shouting            a plugin of your own, in Lua, to be changed
  gatewright plugin add oci://HOST/PLUGIN:TAG  somebody else's: what it is, what it asks for, and then your yes
  gatewright mock                              a scripted upstream to try things with")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve clients (port 4000) and administration (port 4001)
    Serve(Box<Serve>),
    /// Check a configuration file: all mistakes at once, each with its place and a hint
    #[command(after_help = "Exit status: 0 when the file is fit to be served, 2 when it is not.
Plugins are loaded as `serve` does: manifests, settings, grants and code. Models are not opened.")]
    Validate {
        /// The file
        #[arg(default_value = crate::config::FILE)]
        file: PathBuf,
    },
    /// Print the JSON Schema of gatewright.yaml
    #[command(after_help = "Editors complete and check the file when its first line is
  # yaml-language-server: $schema=gatewright.schema.json
and this made the schema beside it:
  gatewright schema > gatewright.schema.json")]
    Schema,
    /// Make keys for clients
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Talk to a model in the terminal
    Chat(Chat),
    /// Fetch a model from the Hugging Face hub, for the embedded engine
    Pull(Pull),
    /// Write, try, share and lock plugins
    Plugin {
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// List the providers that are known by name, or the models and prices of one
    #[command(after_help = "Prices are US dollars for a million tokens, with the page and the day they were read on.

Examples:
  gatewright providers
  gatewright providers deepseek")]
    Providers {
        /// Show this one's models
        name: Option<String>,
        /// Configuration file, for the rows of its `catalog` [default: ./gatewright.yaml if it is there]
        #[arg(long, short, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Make a configuration of another gateway's
    Import {
        #[command(subcommand)]
        command: ImportCommand,
    },
    /// Print what was used, by day, key and model
    #[command(after_help = "Answers from the response cache are counted as requests and cache hits; they use no tokens.

Examples:
  gatewright usage --days 7
  gatewright usage --key alice --json")]
    Usage(Usage),
    /// Play a scripted upstream: text, reasoning, tool calls, chunks, delays and faults
    #[command(
        after_help = "A script is `models: [...]` and `rules:`, a list of `{when, then}`; the first that fits is played, else an echo.
  when: model, contains, header, nth, has_tool_result, offers, stream
  then: reasoning, text (or chunks), refusal, tool_calls [{name, arguments}], chunk_chars, delay_ms {first, between},
        usage {prompt, completion, reasoning, cached}, finish_reason, extra, fault
  fault: status with body and retry_after; or refuse, cut_after_chunks, stall_after_chunks, garbage_after_chunks
All of it, with an example: gateway/src/mock/README.md in the sources

Examples:
  gatewright mock
  gatewright mock --listen 127.0.0.1:8080 script.yaml
  curl http://127.0.0.1:4010/v1/chat/completions -d '{\"model\": \"any\", \"messages\": [{\"role\": \"user\", \"content\": \"hello\"}]}'"
    )]
    Mock {
        /// Where it serves
        #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4010", value_parser = parse_address)]
        listen: SocketAddr,
        /// What it answers, YAML; without it the script of the README's tour
        script: Option<PathBuf>,
    },
    /// Print the version and what is in this binary
    Version,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// Write gatewright.yaml from the config.yaml of LiteLLM's proxy: it goes to standard output, what it could not carry over to
    /// standard error, line by line
    #[command(after_help = "`gatewright serve --config config.yaml` serves such a file as it is.

Examples:
  gatewright import litellm config.yaml > gatewright.yaml")]
    Litellm {
        /// The file
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "Without --config, ./gatewright.yaml is used if it is there. Without any, the demo model is served on the embedded
engine with `secrets` enforced and the other ready-made policies in shadow, and the variables that
`gatewright providers` shows (OPENAI_API_KEY, DEEPSEEK_API_KEY, ...) add those providers. A config.yaml
of LiteLLM's proxy is served as it is; what counts for nothing here is told in the log.

Signals: SIGHUP reloads (so does a change of the file), SIGTERM and SIGINT drain, a second one cuts.
Environment: GATEWRIGHT_LOG says what is logged (default: info), GATEWRIGHT_DATA and GATEWRIGHT_THREADS
stand in for --data and --threads.

Examples:
  gatewright serve --listen 127.0.0.1:8080 --admin-listen 127.0.0.1:8081
  gatewright serve --listen 0.0.0.0:4000       others are served too: a key is made and printed once
  gatewright serve --model /models/DeepSeek-R1-Distill-Qwen-1.5B
  gatewright serve --device cpu --threads 2"
)]
pub(crate) struct Serve {
    /// Configuration file
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where clients are served [default: 127.0.0.1:4000]
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_address)]
    pub(crate) listen: Option<SocketAddr>,
    /// Where health, metrics and the admin API are served [default: 127.0.0.1:4001]
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_address)]
    pub(crate) admin_listen: Option<SocketAddr>,
    /// Folder for cache, records and tokens [default: $XDG_DATA_HOME/gatewright or ~/.local/share/gatewright]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,
    /// Where the embedded engine computes: auto, cpu, cuda or cuda:N [default: auto]
    #[arg(long)]
    pub(crate) device: Option<DeviceChoice>,
    /// Serve this model on the embedded engine too: its folder, or OWNER/NAME of one that was pulled
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// A LoRA adapter beside that model, served under its own name: a folder in PEFT's format; may be given again
    #[arg(long, value_name = "NAME=FOLDER", requires = "model", value_parser = parse_adapter)]
    pub(crate) adapter: Vec<(String, PathBuf)>,
    /// What weights of the embedded engine's models are packed to while they load, on the CPU: q8 or q4 [default: not at all]
    #[arg(long)]
    pub(crate) quantize: Option<Quantization>,
    /// Threads that serve [default: as many as cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

fn parse_adapter(text: &str) -> Result<(String, PathBuf), String> {
    let (name, folder) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write it like `name=folder`")?;
    Ok((name.to_owned(), folder.into()))
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key: it is printed once, with the lines for gatewright.yaml that hold its SHA-256
    New {
        /// Name for people, logs and records
        #[arg(default_value = "client")]
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Usage {
    /// Configuration file that names the data folder
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Data folder
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,
    /// Only the last so many days (24 hours each)
    #[arg(long, value_name = "N")]
    pub(crate) days: Option<u32>,
    /// Only this key's, by name
    #[arg(long, value_name = "NAME")]
    pub(crate) key: Option<String>,
    /// Only this model's, as clients name it
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// The model that is meant by a folder, or by the name of one that was pulled: the name that clients use, and where it is. `None` for what
/// is neither.
fn model_of(text: &str, environment: &Environment) -> Option<(String, PathBuf)> {
    let path = environment.folder().join(text);
    let place = if path.exists() { path } else { Hub::of(environment).ok()?.find(text)? };
    let name = Path::new(text.trim_end_matches('/')).file_name()?.to_string_lossy().into_owned();
    Some((name, place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn addresses_and_devices_are_checked_where_they_are_typed() {
        let parse = |args: &[&str]| Cli::try_parse_from([&["gatewright", "serve"], args].concat());
        assert!(parse(&["--listen", "localhost:1", "--device", "cuda:1", "--threads", "2"]).is_ok());
        for wrong in [["--listen", "4000"], ["--device", "gpu"], ["--threads", "0"], ["--port", "1"]] {
            assert!(parse(&wrong).is_err(), "{wrong:?}");
        }
    }
}
