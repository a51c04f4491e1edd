//! `gatewright plugin list`: the configured plugins, a line each.
//!
//! Apart because it only looks: nothing is fetched and nothing is written. It must not judge: `serve` and `validate` do.

use gatewright_plugins::{About, Host, Mode, Source};
use serde_json::{Value, json};

use super::super::super::run::{Outcome, print};
use super::super::scores::Form;
use super::At;
use super::desk::{self, Desk, plain};
use crate::config::facts::PluginFact;
use crate::environment::Environment;
use crate::packed;
use crate::supply::lock::{Locked, short};
use crate::supply::signature::Signed;
use crate::supply::{Fetched, PluginSource, Supply};

/// Heads of the columns.
const HEADS: [&str; 8] = ["NAME", "MODE", "VERSION", "DIGEST", "LOCKED", "SIGNED", "ASKS/GIVEN", "SOURCE"];

/// Lists.
pub(super) fn list(at: &At, environment: Environment, form: Form) -> Outcome {
    let desk = Desk::open(at, &environment)?;
    let host = Host::new(1);
    let rows: Vec<Value> = desk.facts.plugins.values().map(|fact| row(&desk, &host, fact)).collect();
    match form {
        Form::Json => print(&format!("{:#}\n", Value::from(rows))),
        Form::Table => print(&table(&rows)),
    }
}

fn row(desk: &Desk, host: &Host, fact: &PluginFact) -> Value {
    let mode = match fact.mode() {
        Mode::Enforce => "enforce",
        Mode::Shadow => "shadow",
        Mode::Off => "off",
    };
    let mut row = json!({ "name": fact.name, "mode": mode, "source": fact.source.to_string(), "granted": fact.operator.grants });
    let told = match &fact.source {
        PluginSource::Packed(name) => ready_made(host, fact, name),
        _ => outside(desk, host, fact),
    };
    let told = told.unwrap_or_else(|problem| json!({ "problem": problem }));
    if let (Some(row), Value::Object(told)) = (row.as_object_mut(), told) {
        row.extend(told);
    }
    row
}

fn ready_made(host: &Host, fact: &PluginFact, name: &str) -> Result<Value, String> {
    let files = packed::policy(name).ok_or("there is no ready-made policy of that name")?;
    let about = host.look(&Source::Packed(files), &desk::operator(fact)).map_err(|error| error.to_string())?;
    Ok(facts_of(&about))
}

fn outside(desk: &Desk, host: &Host, fact: &PluginFact) -> Result<Value, String> {
    let locked = desk.lock.as_ref().and_then(|lock| lock.plugins.get(&fact.name));
    let artifact = locked.and_then(|locked| locked.artifact.as_deref());
    let fetched = Supply::of(&desk.facts).at_hand().fetch(&fact.source, fact.keys(&desk.facts), artifact)?;
    let about = host.look(&desk::files(&fetched), &desk::operator(fact)).map_err(|error| error.to_string())?;
    let mut told = facts_of(&about);
    let is_locked = match locked {
        None => "no",
        Some(locked) if locked.differences(&Locked::of(&fact.written, fetched.artifact.as_deref(), &about)).is_empty() => "yes",
        Some(_) => "changed",
    };
    told["locked"] = is_locked.into();
    told["artifact"] = fetched.artifact.as_deref().into();
    told["signed"] = signed(&fetched).into();
    Ok(told)
}

fn signed(fetched: &Fetched) -> Option<&str> {
    match &fetched.signed {
        None => None,
        Some(Signed::By(key)) => Some(key),
        Some(Signed::ByOthers) => Some("by others"),
        Some(Signed::Not) => Some("no"),
    }
}

fn facts_of(about: &About) -> Value {
    json!({
        "version": about.version,
        "digest": format!("blake3:{}", about.digest),
        "asked": about.asked,
        "granted": about.granted,
        "tools": about.tools.iter().map(|tool| &tool.name).collect::<Vec<_>>(),
    })
}

/// The rows as a table, each column as wide as it must be.
fn table(rows: &[Value]) -> String {
    let text = |row: &Value, key: &str| row[key].as_str().map_or("-".to_owned(), plain);
    let list = |value: &Value| {
        let items: Vec<_> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if items.is_empty() { "-".to_owned() } else { items.join(",") }
    };
    let mut cells = vec![HEADS.map(str::to_owned)];
    for row in rows {
        let powers = format!("{}/{}", list(&row["asked"]), list(&row["granted"]));
        let source = match row["problem"].as_str() {
            Some(problem) => format!("{} ({})", text(row, "source"), plain(problem)),
            None => text(row, "source"),
        };
        let digest = short(&text(row, "digest"));
        cells.push([
            text(row, "name"),
            text(row, "mode"),
            text(row, "version"),
            digest,
            text(row, "locked"),
            text(row, "signed"),
            powers,
            source,
        ]);
    }
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
    let line = |row: &[String; HEADS.len()]| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    cells.iter().map(line).collect()
}
