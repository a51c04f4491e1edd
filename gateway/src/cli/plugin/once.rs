//! `gatewright plugin run`: one text through one plugin.
//!
//! Apart because authors look at one text while they write. It must not know cases or data sets.

use std::fmt::Write as _;
use std::io::Read;
use std::time::Instant;

use gatewright_plugins::{Chain, Context, Entry, Host, Lane, Piece, Verdict};
use gatewright_types::{Phase, Segment};

use super::super::run::{Failure, Outcome, block_on, failed, print};
use super::{Chosen, Shown};

/// Most of standard input that is read, bytes.
const LONGEST: u64 = 16 << 20;

/// What a plugin made of one text.
pub(super) struct Made {
    pub(super) verdict: Verdict,
    pub(super) text: String,
    pub(super) notes: Vec<(String, String)>,
    pub(super) record: Vec<Entry>,
    /// Microseconds from the question to the answer.
    pub(super) took_us: f64,
}

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
        let made = show(&chain, text, shown).await?;
        print(&worded(&made))
    })
}

/// One text through a chain, in a session of its own. A stream is one piece and its end.
pub(super) async fn show(chain: &Chain, text: String, shown: Shown) -> Result<Made, Failure> {
    let word = || "trial".to_owned();
    let context = Context { request_id: word(), tenant: word(), key: word(), route: word(), model: word(), ..Context::default() };
    let context = Context { parameters: "{}".to_owned(), ..context };
    let mut session = chain.open(context).await.map_err(|busy| failed(&busy))?;
    let began = Instant::now();
    let (verdict, text) = match shown.phase {
        Phase::Chunk => {
            let lane = Lane { choice: 0, channel: shown.channel, index: 0 };
            let released = session.feed(vec![Piece { lane, label: None, text }], &[lane]).await;
            (released.verdict, released.pieces.into_iter().map(|piece| piece.text).collect())
        }
        phase => {
            let mut segments = vec![Segment { id: 0, channel: shown.channel, text, sent: 0, label: None }];
            let outcome = session.inspect(phase, &mut segments).await;
            (outcome.verdict, segments.into_iter().map(|segment| segment.text).collect())
        }
    };
    let took_us = began.elapsed().as_secs_f64() * 1e6;
    Ok(Made { verdict, text, notes: session.notes().to_vec(), record: session.record().to_vec(), took_us })
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
    let _ = writeln!(lines, "took: {:.0} microseconds, starting an instance included", made.took_us);
    lines
}
