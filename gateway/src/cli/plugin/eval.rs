//! `gatewright plugin eval`: a plugin on labelled texts, one at a time.
//!
//! Apart from the figures, which are pure. It must not know how a plugin decides.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use gatewright_plugins::cases::Made;
use gatewright_plugins::{Chain, Host, Verdict};
use gatewright_types::{Channel, Phase};
use serde::Deserialize;
use serde_json::Value;

use super::super::run::{Failure, MISTAKEN, Outcome, block_on, failed, print};
use super::once::{through, took_us};
use super::scores::{Fate, Form, Label, Scores, Tried};
use super::{Chosen, Shown};

/// Longest line of a data set, bytes.
const LONGEST: u64 = 1 << 20;
/// Mistakes of a data set that are told.
const MOST_TOLD: usize = 20;

/// One line of a data set.
#[derive(Deserialize)]
struct Row {
    text: String,
    label: Value,
    phase: Option<Phase>,
    channel: Option<Channel>,
}

/// Measures a plugin and prints the figures.
pub(super) fn eval(plugin: &Chosen, dataset: &Path, shown: Shown, form: Form) -> Outcome {
    let rows = read(dataset)?;
    let host = Host::new(1);
    let chain = Chain::new(vec![plugin.load(&host)?]);
    block_on(1, |_| async move {
        let mut scores = Scores::default();
        for (row, label) in rows {
            let shown = Shown { phase: row.phase.unwrap_or(shown.phase), channel: row.channel.unwrap_or(shown.channel) };
            let before = row.text.clone();
            let made = through(&chain, row.text, shown).await?;
            if let Verdict::Failed { reason, .. } = &made.verdict {
                return Err(failed(&format_args!("the plugin failed at {before:?}: {reason}")));
            }
            scores.add(tried(&made, &before, label));
        }
        print(&scores.told(form))
    })
}

fn tried(made: &Made, before: &str, label: Label) -> Tried {
    let fate = if made.verdict == Verdict::Pass && made.text == before { Fate::Passed } else { Fate::Caught };
    let score = made.notes.iter().rfind(|(key, _)| key == "score").and_then(|(_, value)| value.parse().ok());
    Tried { label, fate, score, took_us: took_us(made) }
}

/// The rows of a data set, with their labels.
fn read(path: &Path) -> Result<Vec<(Row, Label)>, Failure> {
    let file = File::open(path).map_err(|error| failed(&format_args!("{}: {error}", path.display())))?;
    let (mut reader, mut rows, mut wrong, mut number) = (BufReader::new(file), Vec::new(), Vec::new(), 0);
    loop {
        let mut line = String::new();
        number += 1;
        let read = reader.by_ref().take(LONGEST).read_line(&mut line);
        match read.map_err(|error| failed(&format_args!("{}:{number}: {error}", path.display())))? {
            0 => break,
            _ if line.trim().is_empty() => continue,
            _ => {}
        }
        match serde_json::from_str::<Row>(&line).map_err(|error| error.to_string()).and_then(labelled) {
            Ok(row) => rows.push(row),
            Err(error) => wrong.push(format!("{}:{number}: {error}", path.display())),
        }
    }
    wrong.truncate(MOST_TOLD);
    match (wrong.is_empty(), rows.is_empty()) {
        (true, false) => Ok(rows),
        (true, true) => Err((MISTAKEN, vec![format!("{}: no row", path.display())])),
        _ => Err((MISTAKEN, wrong)),
    }
}

fn labelled(row: Row) -> Result<(Row, Label), String> {
    let label = match &row.label {
        Value::Bool(true) => Label::Harmful,
        Value::Bool(false) => Label::Harmless,
        Value::Number(number) if number.as_u64() == Some(1) => Label::Harmful,
        Value::Number(number) if number.as_u64() == Some(0) => Label::Harmless,
        other => return Err(format!("label: expected true or false (or 1 or 0), got {other}")),
    };
    Ok((row, label))
}
