//! `gatewright plugin run`: one text through one plugin.
//!
//! Apart because authors look at one text while they write. It must not know cases or data sets.

use std::fmt::Write as _;
use std::io::Read;

use gatewright_plugins::cases::{self, Made};
use gatewright_plugins::{Chain, Entry, Host, Verdict};

use super::super::run::{Failure, Outcome, block_on, failed, print};
use super::{Chosen, Shown};

/// Most of standard input that is read, bytes.
const LONGEST: u64 = 16 << 20;

/// Shows a text and prints what came of it.
pub(super) fn once(plugin: &Chosen, text: Option<String>, shown: Shown) -> Outcome {
    let text = match text {
        Some(text) => text,
        None => {
            let mut text = String::new();
            std::io::stdin().take(LONGEST).read_to_string(&mut text).map_err(|error| failed(&format_args!("the text: {error}")))?;
            text
        }
    };
    let host = Host::new(1);
    let chain = Chain::new(vec![plugin.load(&host)?]);
    block_on(1, |_| async move {
        let made = through(&chain, text, shown).await?;
        print(&worded(&made))
    })
}

/// One text through a chain, in a session of its own. A stream is one piece and its end.
pub(super) async fn through(chain: &Chain, text: String, shown: Shown) -> Result<Made, Failure> {
    let shown = cases::Shown { phase: shown.phase, channel: shown.channel, label: None, pieces: &[text] };
    cases::show(chain, &shown).await.map_err(|busy| failed(&busy))
}

/// Microseconds from the question to the answer.
pub(super) fn took_us(made: &Made) -> f64 {
    made.took.as_secs_f64() * 1e6
}

fn worded(made: &Made) -> String {
    let mut lines = String::new();
    let _ = match &made.verdict {
        Verdict::Pass => writeln!(lines, "verdict: pass\ntext: {}", made.text),
        Verdict::Block { code, message, .. } => writeln!(lines, "verdict: block\ncode: {code}\nmessage: {message}"),
        Verdict::Answer { text, .. } => writeln!(lines, "verdict: answer\ntext: {text}"),
        Verdict::Reask { route, instruction, .. } => {
            let said = |word: &Option<String>| word.as_deref().unwrap_or("-").to_owned();
            writeln!(lines, "verdict: reask\nroute: {}\ninstruction: {}", said(route), said(instruction))
        }
        Verdict::Failed { reason, .. } => writeln!(lines, "verdict: failed\nreason: {reason}"),
    };
    for (key, value) in &made.notes {
        let _ = writeln!(lines, "note: {key}: {value}");
    }
    for entry in &made.record {
        let Entry { phase, channel, did, characters, .. } = entry;
        let _ = writeln!(lines, "record: {} {} {did}, {characters} characters seen", phase.as_str(), channel.as_str());
    }
    if made.record.is_empty() {
        lines.push_str("record: the plugin does not subscribe to this phase and channel\n");
    }
    let _ = writeln!(lines, "took: {:.0} microseconds, starting an instance included", took_us(made));
    lines
}
