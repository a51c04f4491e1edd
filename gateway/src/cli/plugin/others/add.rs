//! `gatewright plugin add`: shows a stranger's plugin, asks, and writes down what was agreed to.
//!
//! Apart because the order matters: it is fetched, checked and looked at without any power before anybody is asked. It must not write
//! into gatewright.yaml: that text is a person's.

use std::fmt::Write as _;
use std::io::Write as _;

use gatewright_plugins::{About, Host, Operator, is_plugin_name};

use super::super::super::run::{Failure, Outcome, failed, print};
use super::Add;
use super::desk::{self, Desk, bar, moved, plain};
use crate::environment::Environment;
use crate::supply::lock::Locked;
use crate::supply::registry::Place;
use crate::supply::signature::Signed;
use crate::supply::{Fetched, PluginSource, Supply};

/// Lets in a plugin.
pub(super) fn add(args: &Add, environment: Environment) -> Outcome {
    let desk = Desk::open(&args.place, &environment)?;
    let (source, written) = source(args, &desk, &environment)?;
    if args.name.as_deref().is_some_and(|name| !is_plugin_name(name)) {
        return Err(failed(&"a plugin's name is 1 to 40 of a-z, 0-9 and -"));
    }
    let progress = bar("fetching");
    let told = |done, all| moved(&progress, done, all);
    let fetched = Supply::of(&desk.facts).told(&told).fetch(&source, &desk.facts.supply.keys, None);
    progress.finish_and_clear();
    let fetched = fetched.map_err(|problem| failed(&problem))?;
    let about = look(args, &fetched)?;
    print(&shown(&about, &fetched, &written))?;
    fetched.trusted().map_err(|problem| failed(&format_args!("refused: {problem}")))?;
    if desk.facts.plugins.contains_key(&about.name) {
        let told = format!(
            "`{0}` is configured already: `gatewright plugin lock` agrees to another version of it, --name NAME adds this one beside it",
            about.name
        );
        return Err(failed(&told));
    }
    agree(args, &environment)?;
    let mut lock = desk.lock.clone().unwrap_or_default();
    // The others that are configured were never agreed to, and would be refused from now on.
    let unlocked: Vec<_> =
        desk.outside().filter(|fact| !lock.plugins.contains_key(&fact.name)).map(|fact| fact.name.clone()).collect();
    lock.plugins.insert(about.name.clone(), Locked::of(&written, fetched.artifact.as_deref(), &about));
    let path = desk.write(&lock)?;
    let mut text = format!("\n{} has it. For gatewright.yaml:\n\n{}", path.display(), lines(args, (&source, &written), &about));
    if !unlocked.is_empty() {
        let _ =
            write!(text, "\nNot agreed to so far, and refused until `gatewright plugin lock` is run: {}\n", unlocked.join(", "));
    }
    print(&text)
}

/// Where it comes from, and how the configuration says it.
fn source(args: &Add, desk: &Desk, environment: &Environment) -> Result<(PluginSource, String), Failure> {
    if Place::is_meant(&args.source) {
        let place = Place::read(&args.source).map_err(|problem| failed(&problem))?;
        return Ok((PluginSource::Oci(place), args.source.clone()));
    }
    let path = environment.folder().join(&args.source);
    let written = desk::written(&path, &desk.folder);
    match (path.is_dir(), path.is_file()) {
        (true, _) => Ok((PluginSource::Folder(path), written)),
        (_, true) => Ok((PluginSource::File(path), written)),
        _ => Err(failed(&format_args!("`{}` is no folder, no file, and begins not with `oci://`", args.source))),
    }
}

/// Looks at it with the powers that it is to have.
fn look(args: &Add, fetched: &Fetched) -> Result<About, Failure> {
    let operator =
        Operator { name: args.name.clone(), settings: args.settings.clone(), grants: args.grants.clone(), ..Operator::default() };
    let about = Host::new(1).look(&desk::files(fetched), &operator).map_err(|error| failed(&error))?;
    match args.grants.iter().find(|grant| !about.asked.contains(&grant.as_str())) {
        Some(grant) => Err(failed(&format_args!("it does not ask for the grant `{grant}`"))),
        None => Ok(about),
    }
}

fn agree(args: &Add, environment: &Environment) -> Outcome {
    if args.yes {
        return Ok(());
    }
    if !environment.asks() {
        return Err(failed(&"nobody can be asked here: look at it, and run this again with --yes"));
    }
    let mut answer = String::new();
    let asked = std::io::stderr().write_all(b"\nLet it in? [y/N] ").and_then(|()| std::io::stdin().read_line(&mut answer));
    asked.map_err(|error| failed(&error))?;
    match matches!(answer.trim(), "y" | "Y" | "yes") {
        true => Ok(()),
        false => Err(failed(&"not let in; nothing was written")),
    }
}

/// What there is to know of it.
fn shown(about: &About, fetched: &Fetched, written: &str) -> String {
    let list = |items: &[&str]| if items.is_empty() { "nothing".to_owned() } else { items.join(", ") };
    let mut out = format!("{} {}: {}\n", about.name, plain(&about.version), plain(&about.description));
    let mut line = |what: &str, text: &str| {
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "  {what:<10} {text}");
    };
    line("source", written);
    line("digest", &format!("blake3:{}", about.digest));
    if let Some(artifact) = &fetched.artifact {
        line("artifact", artifact);
    }
    line("signature", &signature(fetched));
    for (phase, channels) in &about.sees {
        let channels: Vec<_> = channels.iter().map(|channel| channel.as_str()).collect();
        line("sees", &format!("{}: {}", phase.as_str(), channels.join(", ")));
    }
    let limits: Vec<_> = about.limits.iter().map(|(name, value)| format!("{name} {value}")).collect();
    line("limits", &limits.join(", "));
    line("asks for", &list(&about.asked));
    line("is given", &list(&about.granted));
    for tool in &about.tools {
        let kind = if tool.read_only { "read-only" } else { "may change things" };
        line("tool", &format!("{} ({kind}): {}", tool.name, plain(&tool.description)));
    }
    out
}

fn signature(fetched: &Fetched) -> String {
    match &fetched.signed {
        None => "not checked: no key is named under `plugin_keys`".to_owned(),
        Some(Signed::By(key)) => format!("by {key}"),
        Some(Signed::ByOthers) => "by none of the keys under `plugin_keys`".to_owned(),
        Some(Signed::Not) => "none".to_owned(),
    }
}

/// The lines for gatewright.yaml.
fn lines(args: &Add, (source, written): (&PluginSource, &str), about: &About) -> String {
    let json = |value: serde_json::Value| value.to_string();
    let key = match source {
        PluginSource::Oci(_) => "oci",
        PluginSource::File(_) => "file",
        _ => "folder",
    };
    let mut lines = format!("plugins:\n  {}:\n    {key}: {}\n", json(about.name.as_str().into()), json(written.into()));
    if !about.granted.is_empty() {
        lines.push_str(&format!("    grants: [{}]\n", about.granted.join(", ")));
    }
    if !args.settings.is_null() {
        lines.push_str(&format!("    settings: {}\n", args.settings));
    }
    lines
}
