//! What each command does: reads its arguments into calls of the rooms, and words the outcome.
//!
//! Apart from the arguments so that the help is seen in one place. Results go to standard output, complaints to standard error;
//! 0 is success, 1 a failure, 2 a mistake in what was written. It must not do a room's work itself.

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use super::{Cli, Command, ImportCommand, KeyCommand, Serve, Usage, chat, model_of, plugin, providers, pull};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, FILE, keys};
use crate::environment::Environment;
use crate::memory::Tidier;
use crate::records::{self, UsageFilter};
use crate::serve::{self, Configuration, Overrides, Source};
use crate::{mock, packed, supply, terminal};

/// Why a command went wrong: its exit status, and what to tell.
pub(super) type Failure = (u8, Vec<String>);
/// The outcome of a command.
pub(super) type Outcome = Result<(), Failure>;

pub(super) const FAILED: u8 = 1;
pub(super) const MISTAKEN: u8 = 2;

/// Does what the arguments say.
pub(crate) fn run(args: impl Iterator<Item = OsString>, environment: Environment) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // A closed output is nobody's mistake.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(MISTAKEN));
        }
    };
    let outcome = match cli.command {
        Command::Serve(args) => serve(*args, environment),
        Command::Validate { file } => validate(&file, &environment),
        Command::Schema => print(&format!("{:#}\n", config::schema())),
        Command::Key { command: KeyCommand::New { name } } => new_key(&name),
        Command::Chat(args) => chat::chat(args, environment),
        Command::Pull(args) => pull::pull(args, &environment),
        Command::Plugin { command } => plugin::run(command, environment),
        Command::Providers { name, config } => providers::show(name.as_deref(), source(config, &environment), &environment),
        Command::Import { command: ImportCommand::Litellm { file } } => import(&file, &environment),
        Command::Usage(args) => usage(args, environment),
        Command::Mock { listen, script } => {
            block_on(1, |_| async move { mock::serve(listen, script.as_deref()).await.map_err(|error| failed(&error)) })
        }
        Command::Version => print(&version()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err((status, told)) => {
            let text: String = told.iter().map(|line| format!("{line}\n")).collect();
            // As above.
            let _ = std::io::stderr().write_all(text.as_bytes());
            ExitCode::from(status)
        }
    }
}

/// A command that failed, worded.
pub(super) fn failed(problem: &dyn std::fmt::Display) -> Failure {
    (FAILED, vec![format!("gatewright: {problem}")])
}

fn serve(args: Serve, environment: Environment) -> Outcome {
    let threads = args.threads.map_or_else(|| environment.threads(), usize::from);
    let model = match args.model.as_deref().map(|name| (name, model_of(name, &environment))) {
        None => None,
        Some((_, Some(model))) => Some(model),
        Some((name, None)) => {
            return Err(failed(&format_args!("--model {name}: no such folder, and no model of that name was pulled")));
        }
    };
    let Serve { listen, admin_listen, data, device, quantize, adapter: adapters, .. } = args;
    let overrides = Overrides { listen, admin_listen, data, device, model, adapters, quantize };
    let configuration = Configuration { source: source(args.config, &environment), overrides, environment };
    block_on(threads, |tidier| async move {
        let told = |problems: Vec<String>| problems.into_iter().map(|problem| format!("gatewright: {problem}")).collect();
        serve::serve(configuration, tidier).await.map_err(|problems| (FAILED, told(problems)))
    })
}

/// The file that was named, the one in the working folder, or none.
pub(super) fn source(named: Option<PathBuf>, environment: &Environment) -> Source {
    let usual = || environment.folder().join(FILE).is_file().then(|| PathBuf::from(FILE));
    named.or_else(usual).map_or(Source::Zero, Source::File)
}

fn validate(file: &Path, environment: &Environment) -> Outcome {
    let plugins = gatewright_plugins::Host::new(1);
    match config::check_file(file, environment, |facts, fact| supply::check(&plugins, facts, fact)) {
        Ok(notes) => {
            tell_notes(file, &notes);
            print(&format!("{}: fit to be served\n", file.display()))
        }
        Err(complaints) => {
            let count = match complaints.len() {
                1 => "1 mistake".to_owned(),
                n => format!("{n} mistakes"),
            };
            let lines = complaints.iter().map(|complaint| format!("{}:{complaint}", file.display()));
            Err((MISTAKEN, lines.chain([format!("{}: {count}", file.display())]).collect()))
        }
    }
}

/// Tells what of a file counts for nothing, on standard error.
fn tell_notes(file: &Path, notes: &[config::Complaint]) {
    let text: String = notes.iter().map(|note| format!("{}:{note}\n", file.display())).collect();
    // A closed output is nobody's mistake.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn import(file: &Path, environment: &Environment) -> Outcome {
    let told = |complaints: Vec<config::Complaint>| complaints.iter().map(|told| format!("{}:{told}", file.display())).collect();
    let (text, notes) = config::import_litellm(file, environment).map_err(|complaints| (MISTAKEN, told(complaints)))?;
    tell_notes(file, &notes);
    print(&format!("# Made by `gatewright import litellm {}`.\n{text}", file.display()))
}

fn new_key(name: &str) -> Outcome {
    let key = keys::make(keys::PREFIX).map_err(|error| failed(&error))?;
    let name = serde_json::Value::from(name);
    let digest = keys::hex(&keys::digest(key.reveal()));
    print(&format!(
        "The key, for the client (it is shown this once):\n\n  {}\n\nFor gatewright.yaml:\n\nkeys:\n  {name}:\n    sha256: {digest}\n",
        key.reveal()
    ))
}

fn usage(args: Usage, environment: Environment) -> Outcome {
    let data = match &args.data {
        Some(data) => environment.folder().join(data),
        None => {
            let source = source(args.config, &environment);
            let configuration = Configuration { source, overrides: Overrides::default(), environment };
            configuration.facts().map_err(|problems| (MISTAKEN, problems))?.data
        }
    };
    let since = |days: u32| SystemClock.now_ms().saturating_sub(u64::from(days) * 86_400_000);
    let filter = UsageFilter { from_ms: args.days.map(since), key: args.key, model: args.model };
    let lines = records::usage(&data.join(serve::RECORDS), &filter).map_err(|error| failed(&error))?;
    match args.json {
        true => print(&records::json(&lines)),
        false => print(&records::table(&lines)),
    }
}

fn version() -> String {
    let told = |there| if there { "yes" } else { "no" };
    let policies: Vec<&str> = packed::policies().iter().map(|(name, _)| *name).collect();
    format!(
        "gatewright {}\nembedded engine: {}\nCUDA: {}\ndemo model: {}\nready-made policies: {}\n",
        env!("CARGO_PKG_VERSION"),
        told(cfg!(feature = "engine")),
        told(cfg!(feature = "cuda")),
        told(packed::demo().is_some()),
        policies.join(", ")
    )
}

/// Prints a result. A reader that went away is no failure.
pub(super) fn print(text: &str) -> Outcome {
    match terminal::print(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(failed(&error)),
        _ => Ok(()),
    }
}

/// Runs what waits, on a runtime of so many threads.
pub(super) fn block_on<F: Future<Output = Outcome>>(threads: usize, work: impl FnOnce(Arc<Tidier>) -> F) -> Outcome {
    let tidier = Tidier::new(threads);
    let parked = Arc::clone(&tidier);
    // One thread needs no scheduler that shares work: a request costs less without one.
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime =
        builder.worker_threads(threads).thread_name("gatewright").on_thread_park(move || _ = parked.on_park()).enable_all().build();
    let runtime = runtime.map_err(|error| failed(&format_args!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(work(tidier));
    // Blocking work that is still under way (a model that is being opened) does not hold up the end.
    runtime.shutdown_background();
    outcome
}
