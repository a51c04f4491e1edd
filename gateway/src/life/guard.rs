//! The plugins' session around an answer: each text goes through it lane by lane, and comes out as chunks again.
//!
//! Apart because it alone turns deltas into pieces and back, and knows when a raw copy is still true. It must not know where
//! chunks come from or go.

mod beside;
mod pieces;

use std::sync::Arc;

use gatewright_plugins::{Lane, Mode, Piece, Released, Session, Verdict};
use gatewright_types::{Channel, Chunk, Delta, Fault, FaultKind, Phase};
use smallvec::{SmallVec, smallvec};

use self::beside::{Beside, Turn};
pub(super) use self::beside::{Chunks, strip, tell};
use self::pieces::{blocks, channel_of, choice_of, heard, is_all_of, rebuild};
use super::ears::{self, Ears, of_answer};
use super::meter::{Meter, Missed, Why, text_bytes};
use crate::dialects::{begins_item, is_answer};
use crate::host::Route;

/// The chain at work for one request.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) session: Session,
    /// Of all plugins: what is shown to them.
    pub(super) ears: Ears,
    /// Of those that are enforced: what the client has to wait for.
    pub(super) enforced: Ears,
    /// Of the whole chain, those among it that take no part in this request.
    all: Ears,
    meter: Arc<Meter>,
    /// Lanes that were fed and have not ended.
    lanes: Vec<Lane>,
    beside: Beside,
    calls: CallsCome,
    order: Order,
    /// Whether what cannot be inspected is dropped.
    strict: bool,
    /// Entries and tallies of sessions before this one, which the meter has already.
    published: (usize, usize),
}

/// How tool calls come to the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallsCome {
    /// In pieces, as the upstream sends them: nobody who acts wants to see them.
    InPieces,
    /// Each in one piece.
    Whole,
}

/// What follows what in the client's dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Each channel is a text of its own, from the first piece to the last.
    Channels,
    /// Blocks of one channel each follow each other, in the dialect of this name: a text ends where the next block begins, for what was
    /// held back of it could not be put before that any more.
    Blocks(&'static str),
}

/// Lanes that are ended when their choice is; the plugin host has room for no more.
const MOST_LANES: usize = 1024;

impl Drop for Guard {
    fn drop(&mut self) {
        self.publish();
    }
}

impl Guard {
    pub(super) fn new(session: Session, (route, order): (&Route, Order), meter: Arc<Meter>) -> Self {
        let published = meter.read(|figures| (figures.entries.len(), figures.tallies.len()));
        let plugins = &route.plugins;
        // Where not all take part, those who do are asked.
        let (ears, enforced) = match session.is_whole() {
            true => (plugins.ears, plugins.enforced_ears.unwrap_or_default()),
            false => {
                let enforced = session.plugins().filter(|plugin| plugin.mode() == Mode::Enforce);
                (Ears::of(session.plugins()), Ears::of(enforced))
            }
        };
        Self {
            session,
            ears,
            enforced,
            all: plugins.ears,
            meter,
            lanes: Vec::new(),
            beside: Beside::default(),
            calls: CallsCome::Whole,
            order,
            strict: route.strict,
            published,
        }
    }

    /// The same plugins go on for a request that was sent to another route.
    pub(super) fn on_another_route(&mut self, route: &Route) {
        self.strict = route.strict;
    }

    /// The answer so far is dropped, and another will come.
    pub(super) fn restart(&mut self) {
        self.session.restart();
        self.lanes.clear();
        self.beside.end();
    }

    /// Tells how tool calls will come.
    pub(super) fn calls_come(&mut self, calls: CallsCome) {
        self.calls = calls;
    }

    /// Writes what the plugins did so far to the meter. What they do later replaces it.
    pub(super) fn publish(&mut self) {
        let (before, record) = (self.published, self.session.record());
        self.meter.read(|figures| {
            figures.entries.truncate(before.0);
            figures.entries.extend_from_slice(record);
            figures.tallies.truncate(before.1);
            figures.tallies.extend(self.session.tallies());
            figures.notes.clear();
            figures.notes.extend_from_slice(self.session.notes());
        });
    }

    /// Puts on the record that a text was not inspected, for nobody who takes part listens to it.
    pub(super) fn missed(&self, word: &'static str) {
        if self.meter.read(|figures| figures.uninspected.iter().any(|missed| missed.what == word)) {
            return;
        }
        let heard_by_all = |(phase, channel): (Phase, Channel)| self.all.hears(phase, channel);
        let absent = !self.session.is_whole() && ears::meant(word).into_iter().any(heard_by_all);
        self.missed_for(word, if absent { Why::Absent } else { Why::Unheard });
    }

    /// The same, for a reason.
    pub(super) fn missed_for(&self, word: &'static str, why: Why) {
        self.meter.read(|figures| {
            if !figures.uninspected.iter().any(|missed| missed.what == word) {
                figures.uninspected.push(Missed { what: word, why });
            }
        });
    }

    /// Feeds a chunk to the plugins and gives what may be sent of it, and of what was held before. Tool calls in it must be
    /// complete where enforced plugins listen to them.
    pub(super) async fn hear(&mut self, chunk: Chunk) -> (Chunks, Verdict) {
        let mut all = Chunks::new();
        for block in blocks(chunk, self.order) {
            let over = self.over(&block);
            if !over.is_empty() {
                let (mut chunks, verdict) = self.release(over).await;
                all.append(&mut chunks);
                if verdict != Verdict::Pass {
                    return (all, verdict);
                }
            }
            let (mut chunks, verdict) = self.hear_block(block).await;
            all.append(&mut chunks);
            if verdict != Verdict::Pass {
                return (all, verdict);
            }
        }
        (all, Verdict::Pass)
    }

    /// The texts that end before a chunk, for what it begins with is another block.
    fn over(&mut self, chunk: &Chunk) -> Vec<Lane> {
        if self.order == Order::Channels || self.lanes.is_empty() {
            return Vec::new();
        }
        let Some(first) = chunk.deltas.iter().find(|delta| text_bytes(delta) > 0 || begins_item(delta)) else { return Vec::new() };
        let mut over = Vec::new();
        match first {
            Delta::Other { choice, .. } => {
                let ends = |lane: &mut Lane| lane.choice == *choice && lane.channel != Channel::ToolArgs;
                over.extend(self.lanes.extract_if(.., ends));
            }
            spoken => self.end_others(spoken, &mut over),
        }
        over
    }

    async fn hear_block(&mut self, mut chunk: Chunk) -> (Chunks, Verdict) {
        self.look_at_the_rest(&mut chunk);
        if self.order != Order::Channels && chunk.deltas.iter().any(begins_item) {
            self.beside.begins_anew();
        }
        self.beside.drop_misplaced(&mut chunk);
        let (pieces, ended) = self.pieces(&chunk);
        let concerned = pieces.is_empty() && self.beside.concerns(&chunk);
        if pieces.is_empty() && ended.is_empty() && !concerned {
            return (smallvec![self.beside.carry_into(chunk)], Verdict::Pass);
        }
        let heard: SmallVec<[Lane; 4]> = pieces.iter().map(|piece| piece.lane).collect();
        let turn = Turn { heard: &heard, ended: &ended };
        let Released { pieces, untouched, verdict } = self.session.feed(pieces, &ended).await;
        // What is released may be text of earlier chunks: the raw copy is true only if it says just what was fed.
        if untouched && verdict == Verdict::Pass && !concerned && is_all_of(&pieces, &chunk, &self.ears) {
            return (self.beside.whole(chunk, turn), verdict);
        }
        if verdict != Verdict::Pass {
            // How the answer ends is the verdict's to say, not the upstream's.
            chunk.deltas.retain(|delta| matches!(delta, Delta::Start { .. }));
            strip(&mut chunk.extras);
            chunk.raw = None;
            self.beside.end();
            return (smallvec![chunk], verdict);
        }
        (self.give(chunk, pieces, turn), verdict)
    }

    /// What the plugins hear of a chunk, and the lanes that end with it.
    fn pieces(&mut self, chunk: &Chunk) -> (Vec<Piece>, Vec<Lane>) {
        let (mut pieces, mut ended) = (Vec::new(), Vec::new());
        for delta in &chunk.deltas {
            match delta {
                Delta::Finish { choice, .. } => ended.extend(self.lanes.extract_if(.., |lane| lane.choice == *choice)),
                delta => {
                    self.end_others(delta, &mut ended);
                    let Some(heard) = heard(delta, &self.ears) else { continue };
                    match heard.lane.channel {
                        Channel::ToolArgs if self.calls == CallsCome::Whole => ended.push(heard.lane),
                        _ if self.lanes.contains(&heard.lane) || self.lanes.len() >= MOST_LANES => {}
                        _ => self.lanes.push(heard.lane),
                    }
                    pieces.push(heard.piece());
                }
            }
        }
        (pieces, ended)
    }

    /// Ends the texts of a choice that cannot go on after this delta.
    fn end_others(&mut self, delta: &Delta, ended: &mut Vec<Lane>) {
        if self.order == Order::Channels || self.lanes.is_empty() || text_bytes(delta) == 0 {
            return;
        }
        if let Some((choice, channel)) = choice_of(delta).zip(channel_of(delta)) {
            let over = |lane: &mut Lane| lane.choice == choice && lane.channel != channel && lane.channel != Channel::ToolArgs;
            ended.extend(self.lanes.extract_if(.., over));
        }
    }

    /// A chunk with what was released in the place of what was fed.
    fn give(&mut self, mut chunk: Chunk, pieces: Vec<Piece>, turn: Turn<'_>) -> Chunks {
        for heard in chunk.deltas.iter().filter_map(|delta| heard(delta, &self.ears)) {
            self.beside.came(heard.lane, heard.text);
        }
        let ready = self.beside.pass(&mut chunk, &pieces, turn);
        self.beside.assemble(rebuild(chunk, pieces, &self.ears), ready)
    }

    /// Ends all lanes that are still open: what they hold is judged and given up.
    pub(super) async fn close(&mut self) -> (Chunks, Verdict) {
        let ended = std::mem::take(&mut self.lanes);
        if ended.is_empty() { (Chunks::new(), Verdict::Pass) } else { self.release(ended).await }
    }

    /// What these lanes hold is judged and given up: nothing more comes of them.
    async fn release(&mut self, ended: Vec<Lane>) -> (Chunks, Verdict) {
        let Released { pieces, verdict, .. } = self.session.feed(Vec::new(), &ended).await;
        if verdict != Verdict::Pass {
            self.beside.end();
            return (Chunks::new(), verdict);
        }
        (self.give(Chunk::default(), pieces, Turn { heard: &[], ended: &ended }), verdict)
    }

    /// What has no channel is recorded, and dropped on a strict route; so is text that no plugin listens to.
    fn look_at_the_rest(&self, chunk: &mut Chunk) {
        let unknown = |delta: &Delta| match delta {
            Delta::Other { delta, around, .. } => tell(delta) || tell(around),
            Delta::ToolCall { extras, .. } => tell(extras),
            _ => false,
        };
        if tell(&chunk.extras) || chunk.extras.iter().any(|(name, _)| is_answer(name)) || chunk.deltas.iter().any(unknown) {
            self.missed("answer:other");
            if self.strict {
                strip_all(chunk);
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

/// Drops all unknown fields of a chunk that may hold text.
fn strip_all(chunk: &mut Chunk) {
    chunk.raw = None;
    strip(&mut chunk.extras);
    chunk.deltas.retain_mut(|delta| match delta {
        Delta::Other { delta, around, .. } => {
            strip(delta);
            strip(around);
            !(delta.is_empty() && around.is_empty())
        }
        Delta::ToolCall { extras, .. } => {
            strip(extras);
            true
        }
        _ => true,
    });
}

/// The fault that a verdict is before anything was sent; `None` for those that are not faults.
pub(super) fn fault_of(verdict: &Verdict) -> Option<Fault> {
    match verdict {
        Verdict::Pass | Verdict::Answer { .. } | Verdict::Reask { .. } => None,
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
