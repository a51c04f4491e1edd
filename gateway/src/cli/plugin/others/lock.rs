//! `gatewright plugin lock`: agrees to all configured plugins as they are now, or tells whether they are what was agreed to.
//!
//! Apart because CI and people ask the same question. It must not know how a lock is written.

use gatewright_plugins::{Host, Mode};

use super::super::super::run::{FAILED, Failure, Outcome, failed, print};
use super::At;
use super::desk::{self, Desk, bar, moved};
use crate::config::facts::PluginFact;
use crate::environment::Environment;
use crate::supply::Supply;
use crate::supply::lock::{LOCK, Lock, Locked};

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// The lock is written.
    Write,
    /// It is only told whether it would change.
    Check,
}

/// Locks, or checks.
pub(super) fn lock(at: &At, environment: Environment, aim: Aim) -> Outcome {
    let desk = Desk::open(at, &environment)?;
    if !desk.written {
        return Err(failed(&"there is no gatewright.yaml here; name one with --config FILE"));
    }
    let old = desk.lock.clone().unwrap_or_default();
    let new = now(&desk, aim)?;
    let told = old.differences(&new);
    match aim {
        Aim::Check if desk.lock.is_none() && !new.plugins.is_empty() => {
            Err(failed(&format_args!("there is no {LOCK}: run `gatewright plugin lock`")))
        }
        Aim::Check if told.is_empty() => print(&format!("{LOCK}: {} plugins are what it has\n", new.plugins.len())),
        Aim::Check => {
            let last = format!("gatewright: {LOCK} would change; if that is as it should be, run `gatewright plugin lock`");
            Err((FAILED, told.into_iter().chain([last]).collect()))
        }
        Aim::Write => {
            let path = desk.write(&new)?;
            let lines: String = told.iter().map(|line| format!("{line}\n")).collect();
            let count = new.plugins.len();
            print(&format!(
                "{lines}{}: {count} plugins{}\n",
                path.display(),
                if told.is_empty() { ", nothing changed" } else { "" }
            ))
        }
    }
}

/// The lock of the plugins as they are now.
fn now(desk: &Desk, aim: Aim) -> Result<Lock, Failure> {
    let host = Host::new(1);
    let (mut lock, mut wrong) = (Lock::default(), Vec::new());
    for fact in desk.outside() {
        let old = desk.lock.as_ref().and_then(|lock| lock.plugins.get(&fact.name));
        // What is off is not loaded; what was agreed to of it stays.
        let entry = if fact.mode() == Mode::Off { Ok(old.cloned()) } else { one(desk, &host, (fact, old, aim)).map(Some) };
        match entry {
            Ok(entry) => lock.plugins.extend(entry.map(|entry| (fact.name.clone(), entry))),
            Err(problem) => wrong.push(format!("gatewright: plugin `{}`: {problem}", fact.name)),
        }
    }
    if wrong.is_empty() { Ok(lock) } else { Err((FAILED, wrong)) }
}

fn one(desk: &Desk, host: &Host, (fact, old, aim): (&PluginFact, Option<&Locked>, Aim)) -> Result<Locked, String> {
    // A check is about the plugin that was agreed to, not about where a tag points by now.
    let same = old.filter(|old| aim == Aim::Check && old.source == fact.written);
    let progress = bar(&fact.name);
    let told = |done, all| moved(&progress, done, all);
    let supply = Supply::of(&desk.facts).told(&told);
    let fetched = supply.fetch(&fact.source, fact.keys(&desk.facts), same.and_then(|old| old.artifact.as_deref()));
    progress.finish_and_clear();
    let fetched = fetched?;
    fetched.trusted()?;
    let plugin = host.load(&desk::files(&fetched), &desk::operator(fact)).map_err(|error| error.to_string())?;
    Ok(Locked::of(&fact.written, fetched.artifact.as_deref(), &plugin.about()))
}
