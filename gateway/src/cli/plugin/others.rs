//! `gatewright plugin add|list|lock|pack|push`: what is asked for others' plugins, and its help.
//!
//! Apart from what authors do because operators do this, before a stranger's plugin runs. It must not know how a plugin is fetched
//! or checked: see `supply`.

mod add;
mod desk;
mod list;
mod lock;
mod push;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::super::run::Outcome;
use crate::environment::Environment;
use crate::supply::registry::Place;

/// What is done with others' plugins.
#[derive(Debug, Subcommand)]
pub(crate) enum OthersCommand {
    /// Let in somebody's plugin: shows what it is and asks for, and writes gatewright.lock once you agree
    #[command(after_help = "Examples:
  gatewright plugin add oci://registry.example.com/plugins/pii:1.2
  gatewright plugin add ./pii-1.2.0.tar.gz --grant settings --yes
  gatewright plugin add ./plugins/mine --name mine-too

A tag is resolved here and now: what is locked, and served, is the digest behind it. Without a terminal, --yes is needed.
The lines for gatewright.yaml are printed. Exit status: 1 when it is refused, by you or by a check.")]
    Add(Add),
    /// Show the configured plugins: version, digest, source, grants, and whether gatewright.lock has them
    #[command(after_help = "Nothing is fetched. Examples:
  gatewright plugin list
  gatewright plugin list --json | jq '.[] | select(.locked != \"yes\")'")]
    List {
        #[command(flatten)]
        place: At,
        /// JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Agree to the plugins of gatewright.yaml as they are now: writes gatewright.lock, and shows what changed
    #[command(
        after_help = "Tags of registries are resolved anew. With --check nothing is written and no tag is resolved: exit status 1 when
the plugins are not what the lock has, for CI.

Examples:
  gatewright plugin lock
  gatewright plugin lock --check"
    )]
    Lock {
        #[command(flatten)]
        place: At,
        /// Only tell whether it would change
        #[arg(long)]
        check: bool,
    },
    /// Pack a plugin's folder into one file; the same folder makes the same bytes
    #[command(
        after_help = "Packed are plugin.yaml, the entry file, plugin.sig, README.md, LICENSE* and cases/*.yaml; nothing else.

Example:
  gatewright plugin pack ./pii                 makes pii-1.2.0.tar.gz"
    )]
    Pack {
        /// The plugin's folder
        folder: PathBuf,
        /// The file to make [default: NAME-VERSION.tar.gz]
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Pack a plugin's folder and push it to an OCI registry; prints its digest
    #[command(after_help = "Logins of registries are under `registries` in gatewright.yaml.

Example:
  gatewright plugin push ./pii oci://registry.example.com/plugins/pii:1.2
  cosign sign --key cosign.key registry.example.com/plugins/pii@sha256:...     (cosign 2; see plugins/README.md)")]
    Push {
        /// The plugin's folder
        folder: PathBuf,
        /// Where to: oci://HOST/REPOSITORY:TAG
        #[arg(value_parser = Place::read)]
        to: Place,
        #[command(flatten)]
        place: At,
    },
}

/// Which configuration.
#[derive(Clone, Debug, Args)]
pub(crate) struct At {
    /// Configuration file; gatewright.lock lies beside it [default: ./gatewright.yaml]
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for what is fetched [default: as `serve` has it]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

/// Which plugin to let in, and how.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// oci://HOST/REPOSITORY[:TAG][@sha256:DIGEST], a folder, or a file that `pack` made
    source: String,
    /// Its name in gatewright.yaml [default: its own]
    #[arg(long)]
    name: Option<String>,
    /// A power to give it, of those that it asks for; may be repeated
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<String>,
    /// Its settings, JSON
    #[arg(long, value_name = "JSON", default_value = "null", value_parser = super::json)]
    settings: Value,
    /// Agree without being asked
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    place: At,
}

/// Does what was asked.
pub(super) fn run(command: OthersCommand, environment: Environment) -> Outcome {
    match command {
        OthersCommand::Add(args) => add::add(&args, environment),
        OthersCommand::List { place, json } => {
            let form = if json { super::scores::Form::Json } else { super::scores::Form::Table };
            list::list(&place, environment, form)
        }
        OthersCommand::Lock { place, check } => {
            let aim = if check { lock::Aim::Check } else { lock::Aim::Write };
            lock::lock(&place, environment, aim)
        }
        OthersCommand::Pack { folder, out } => push::pack(&folder, out, &environment),
        OthersCommand::Push { folder, to, place } => push::push(&folder, &to, (&place, environment)),
    }
}
