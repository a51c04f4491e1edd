//! The plugins' session around an answer: each text goes through it lane by lane, and comes out as chunks again.
//!
//! Apart because it alone turns deltas into pieces and back, and knows when a raw copy is still true. It must not know where
//! chunks come from or go.

use std::sync::Arc;

use gatewright_plugins::{Lane, Piece, Released, Session, Verdict};
use gatewright_types::{Channel, Chunk, Delta, Extras, Fault, FaultKind, Phase};

use super::ears::{Ears, of_answer};
use super::meter::Meter;

/// The chain at work for one request.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) session: Session,
    pub(super) ears: Ears,
    meter: Arc<Meter>,
    /// Lanes that were fed and have not ended.
    lanes: Vec<Lane>,
    /// Whether what cannot be inspected is dropped.
    strict: bool,
    /// Entries of the session that the meter has already.
    published: usize,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.publish();
    }
}

impl Guard {
    pub(super) fn new(session: Session, ears: Ears, meter: Arc<Meter>) -> Self {
        let published = meter.read(|figures| figures.entries.len());
        Self { session, ears, meter, lanes: Vec::new(), strict: false, published }
    }

    /// The same guard, dropping what it cannot inspect.
    pub(super) fn strict(mut self, route: &crate::host::Route) -> Self {
        self.strict = route.strict;
        self
    }

    /// Writes what the plugins did so far to the meter. What they do later replaces it.
    pub(super) fn publish(&mut self) {
        let (before, record) = (self.published, self.session.record());
        self.meter.read(|figures| {
            figures.entries.truncate(before);
            figures.entries.extend_from_slice(record);
        });
    }

    /// Puts on the record that a text was not inspected.
    pub(super) fn missed(&self, word: &'static str) {
        self.meter.read(|figures| {
            if !figures.uninspected.contains(&word) {
                figures.uninspected.push(word);
            }
        });
    }

    /// Feeds a chunk to the plugins and gives what may be sent of it, and of what was held before. Tool calls in it must be
    /// complete where plugins listen to them.
    pub(super) async fn hear(&mut self, mut chunk: Chunk) -> (Chunk, Verdict) {
        self.look_at_the_rest(&mut chunk);
        let (mut pieces, mut ended) = (Vec::new(), Vec::new());
        for delta in &chunk.deltas {
            match delta {
                Delta::Finish { choice, .. } => ended.extend(self.lanes.extract_if(.., |lane| lane.choice == *choice)),
                delta => {
                    let Some(heard) = heard(delta, &self.ears) else { continue };
                    match heard.lane.channel {
                        Channel::ToolArgs => ended.push(heard.lane),
                        _ if self.lanes.contains(&heard.lane) => {}
                        _ => self.lanes.push(heard.lane),
                    }
                    pieces.push(heard.piece());
                }
            }
        }
        if pieces.is_empty() && ended.is_empty() {
            return (chunk, Verdict::Pass);
        }
        let Released { pieces, untouched, verdict } = self.session.feed(pieces, &ended).await;
        // What is released may be text of earlier chunks: the raw copy is true only if it says just what was fed.
        if untouched && verdict == Verdict::Pass && is_all_of(&pieces, &chunk, &self.ears) {
            return (chunk, verdict);
        }
        if verdict != Verdict::Pass {
            // How the answer ends is the verdict's to say, not the upstream's.
            chunk.deltas.retain(|delta| matches!(delta, Delta::Start { .. }));
        }
        (rebuild(chunk, pieces, &self.ears), verdict)
    }

    /// Ends all lanes that are still open: what they hold is judged and given up.
    pub(super) async fn close(&mut self) -> (Chunk, Verdict) {
        let ended = std::mem::take(&mut self.lanes);
        if ended.is_empty() {
            return (Chunk::default(), Verdict::Pass);
        }
        let Released { pieces, verdict, .. } = self.session.feed(Vec::new(), &ended).await;
        (rebuild(Chunk::default(), pieces, &self.ears), verdict)
    }

    /// What has no channel is recorded, and dropped on a strict route; so is text that no plugin listens to.
    fn look_at_the_rest(&self, chunk: &mut Chunk) {
        let unknown = |delta: &Delta| matches!(delta, Delta::Other { .. });
        if chunk.deltas.iter().any(unknown) {
            self.missed("answer:other");
            if self.strict {
                chunk.deltas.retain(|delta| !unknown(delta));
                chunk.extras = Extras::new();
                chunk.raw = None;
            }
        }
        for delta in &chunk.deltas {
            let Some(channel) = channel_of(delta) else { continue };
            if !self.ears.hears(Phase::Chunk, channel) && !self.ears.hears(Phase::Response, channel) {
                self.missed(of_answer(channel));
            }
        }
    }
}

fn channel_of(delta: &Delta) -> Option<Channel> {
    match delta {
        Delta::Text { .. } => Some(Channel::Assistant),
        Delta::Reasoning { .. } => Some(Channel::Reasoning),
        Delta::Refusal { .. } => Some(Channel::Refusal),
        Delta::ToolCall { .. } => Some(Channel::ToolArgs),
        _ => None,
    }
}

/// What the plugins hear of a delta.
#[derive(Clone, Copy)]
struct Heard<'a> {
    lane: Lane,
    /// Tool name.
    label: Option<&'a str>,
    text: &'a str,
}

impl Heard<'_> {
    fn piece(self) -> Piece {
        Piece { lane: self.lane, label: self.label.map(str::to_owned), text: self.text.to_owned() }
    }
}

/// What the plugins hear of a delta, where they listen to its channel while the answer comes.
fn heard<'a>(delta: &'a Delta, ears: &Ears) -> Option<Heard<'a>> {
    let channel = channel_of(delta).filter(|channel| ears.hears(Phase::Chunk, *channel))?;
    match delta {
        Delta::Text { choice, text } | Delta::Reasoning { choice, text } | Delta::Refusal { choice, text } => {
            (!text.is_empty()).then_some(Heard { lane: Lane { choice: *choice, channel, index: 0 }, label: None, text })
        }
        Delta::ToolCall { choice, index, name, arguments, .. } => {
            let lane = Lane { choice: *choice, channel, index: *index };
            Some(Heard { lane, label: name.as_deref(), text: arguments })
        }
        _ => None,
    }
}

/// Whether these pieces are just what the plugins heard of a chunk.
fn is_all_of(pieces: &[Piece], chunk: &Chunk, ears: &Ears) -> bool {
    let heard = chunk.deltas.iter().filter_map(|delta| heard(delta, ears)).map(|heard| (heard.lane, heard.text));
    heard.eq(pieces.iter().map(|piece| (piece.lane, piece.text.as_str())))
}

/// The chunk with released pieces in the place of what was fed. What repeats the text (raw copy, log probabilities, unknown
/// fields beside it) is dropped.
fn rebuild(chunk: Chunk, pieces: Vec<Piece>, ears: &Ears) -> Chunk {
    let mut deltas = Vec::with_capacity(chunk.deltas.len() + pieces.len());
    let (starts, rest): (Vec<_>, Vec<_>) = chunk.deltas.into_iter().partition(|delta| matches!(delta, Delta::Start { .. }));
    deltas.extend(starts);
    let (arguments, texts): (Vec<_>, Vec<_>) = pieces.into_iter().partition(|piece| piece.lane.channel == Channel::ToolArgs);
    deltas.extend(texts.into_iter().filter(|piece| !piece.text.is_empty()).map(text_of));
    for delta in rest {
        match delta {
            Delta::Logprobs { .. } => {}
            Delta::Other { choice, around, .. } if !around.is_empty() => {
                deltas.push(Delta::Other { choice, delta: Extras::new(), around });
            }
            Delta::Other { .. } => {}
            Delta::ToolCall { choice, index, id, name, .. } if ears.hears(Phase::Chunk, Channel::ToolArgs) => {
                let lane = Lane { choice, channel: Channel::ToolArgs, index };
                let arguments = arguments.iter().filter(|piece| piece.lane == lane).map(|piece| piece.text.as_str()).collect();
                deltas.push(Delta::ToolCall { choice, index, id, name, arguments, extras: Extras::new() });
            }
            delta if heard(&delta, ears).is_some() => {}
            other => deltas.push(other),
        }
    }
    Chunk { deltas, extras: chunk.extras, raw: None }
}

fn text_of(piece: Piece) -> Delta {
    let (choice, text) = (piece.lane.choice, piece.text);
    match piece.lane.channel {
        Channel::Reasoning => Delta::Reasoning { choice, text },
        Channel::Refusal => Delta::Refusal { choice, text },
        _ => Delta::Text { choice, text },
    }
}

/// The fault that a verdict is before anything was sent; `None` for those that are not faults.
pub(super) fn fault_of(verdict: &Verdict) -> Option<Fault> {
    match verdict {
        Verdict::Pass | Verdict::Answer { .. } => None,
        Verdict::Block { plugin, code, message } => {
            let kind = FaultKind::Blocked { plugin: plugin.clone(), code: code.clone() };
            Some(Fault::gateway(kind, message.clone()))
        }
        Verdict::Failed { plugin, reason } => {
            let kind = FaultKind::PluginFailed { plugin: plugin.clone() };
            let message = format!("The policy `{plugin}` failed, and this gateway lets nothing pass without it.");
            Some(Fault::gateway(kind, message).detail(reason))
        }
    }
}

/// The fault of an edit that made invalid JSON.
pub(super) fn not_json(session: &Session, channel: Channel) -> Fault {
    let editor = session.record().iter().rfind(|entry| entry.channel == channel && entry.did == "edit");
    let plugin = editor.map_or_else(|| "?".to_owned(), |entry| entry.plugin.to_string());
    let message = format!("The policy `{plugin}` made a {} that is not JSON.", channel.as_str());
    Fault::gateway(FaultKind::PluginFailed { plugin }, message)
}
