//! Deltas as the pieces that plugins hear, and back; and a chunk in its blocks.
//!
//! Apart because it keeps nothing: what was heard and held is the guard's. It must not know verdicts.

use gatewright_plugins::{Lane, Piece};
use gatewright_types::{Channel, Chunk, Delta, Phase, Raw};
use smallvec::{SmallVec, smallvec};

use super::super::ears::Ears;
use super::super::meter::text_bytes;
use super::Order;
use super::beside::strip;
use crate::dialects::begins_item;

/// A chunk in its blocks, where the client's dialect has blocks, and is not given the chunk as it came: what is released of a text then
/// stands before what followed it.
pub(super) fn blocks(chunk: Chunk, order: Order) -> SmallVec<[Chunk; 1]> {
    let Order::Blocks(client) = order else { return smallvec![chunk] };
    if matches!(&chunk.raw, Some(Raw::Body(name, _) | Raw::Event(name, _)) if *name == client) || chunk.deltas.len() < 2 {
        return smallvec![chunk];
    }
    let mut blocks: SmallVec<[Chunk; 1]> = SmallVec::new();
    let (mut now, mut block) = (None, Chunk { extras: chunk.extras, ..Chunk::default() });
    let whole = chunk.deltas.len();
    for delta in chunk.deltas {
        let next = if text_bytes(&delta) > 0 { channel_of(&delta) } else { None };
        let begins = begins_item(&delta);
        if (begins || (next.is_some() && now.is_some() && next != now)) && !block.deltas.is_empty() {
            blocks.push(std::mem::take(&mut block));
        }
        now = if begins { None } else { next.or(now) };
        block.deltas.push(delta);
        if begins {
            blocks.push(std::mem::take(&mut block));
        }
    }
    if block.deltas.len() == whole {
        block.raw = chunk.raw;
    }
    if !block.deltas.is_empty() || blocks.is_empty() {
        blocks.push(block);
    }
    blocks
}

pub(super) fn channel_of(delta: &Delta) -> Option<Channel> {
    match delta {
        Delta::Text { .. } => Some(Channel::Assistant),
        Delta::Reasoning { .. } => Some(Channel::Reasoning),
        Delta::Refusal { .. } => Some(Channel::Refusal),
        Delta::ToolCall { .. } => Some(Channel::ToolArgs),
        _ => None,
    }
}

pub(super) fn choice_of(delta: &Delta) -> Option<u32> {
    match delta {
        Delta::Text { choice, .. } | Delta::Reasoning { choice, .. } | Delta::Refusal { choice, .. } => Some(*choice),
        Delta::ToolCall { choice, .. } => Some(*choice),
        _ => None,
    }
}

/// What the plugins hear of a delta.
#[derive(Clone, Copy)]
pub(super) struct Heard<'a> {
    pub(super) lane: Lane,
    /// Tool name.
    label: Option<&'a str>,
    pub(super) text: &'a str,
}

impl Heard<'_> {
    pub(super) fn piece(self) -> Piece {
        Piece { lane: self.lane, label: self.label.map(str::to_owned), text: self.text.to_owned() }
    }
}

/// What the plugins hear of a delta, where they listen to its channel while the answer comes.
pub(super) fn heard<'a>(delta: &'a Delta, ears: &Ears) -> Option<Heard<'a>> {
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
pub(super) fn is_all_of(pieces: &[Piece], chunk: &Chunk, ears: &Ears) -> bool {
    let heard = chunk.deltas.iter().filter_map(|delta| heard(delta, ears)).map(|heard| (heard.lane, heard.text));
    heard.eq(pieces.iter().map(|piece| (piece.lane, piece.text.as_str())))
}

/// The chunk with released pieces in the place of what was fed.
pub(super) fn rebuild(chunk: Chunk, pieces: Vec<Piece>, ears: &Ears) -> Chunk {
    let mut deltas = Vec::with_capacity(chunk.deltas.len() + pieces.len());
    let (starts, mut rest): (Vec<_>, Vec<_>) = chunk.deltas.into_iter().partition(|delta| matches!(delta, Delta::Start { .. }));
    deltas.extend(starts);
    let (arguments, texts): (Vec<_>, Vec<_>) = pieces.into_iter().partition(|piece| piece.lane.channel == Channel::ToolArgs);
    deltas.extend(texts.into_iter().filter(|piece| !piece.text.is_empty()).map(text_of));
    put_arguments(&mut rest, &arguments, ears);
    let stays = |delta: &Delta| matches!(delta, Delta::ToolCall { .. }) || heard(delta, ears).is_none();
    deltas.extend(rest.into_iter().filter(stays));
    Chunk { deltas, extras: chunk.extras, raw: None }
}

/// Gives each call its arguments as they were released. Where they are not what came, what may repeat them is dropped.
fn put_arguments(deltas: &mut [Delta], pieces: &[Piece], ears: &Ears) {
    let came: Vec<(Lane, String)> = deltas.iter().filter_map(|delta| arguments(delta, ears)).collect();
    if came.iter().map(|(lane, text)| (*lane, &**text)).eq(pieces.iter().map(|piece| (piece.lane, &*piece.text))) {
        return;
    }
    let mut done: Vec<Lane> = Vec::new();
    for (lane, _) in &came {
        let before: String = came.iter().filter(|(of, _)| of == lane).map(|(_, text)| &**text).collect();
        let after: String = pieces.iter().filter(|piece| piece.lane == *lane).map(|piece| &*piece.text).collect();
        if before == after || done.contains(lane) {
            continue;
        }
        done.push(*lane);
        let mut after = Some(after);
        for delta in deltas.iter_mut() {
            if let Delta::ToolCall { choice, index, arguments, extras, .. } = delta
                && (*choice, *index) == (lane.choice, lane.index)
            {
                *arguments = after.take().unwrap_or_default();
                strip(extras);
            }
        }
    }
}

/// The arguments that plugins hear of a delta.
fn arguments(delta: &Delta, ears: &Ears) -> Option<(Lane, String)> {
    let heard = heard(delta, ears).filter(|heard| heard.lane.channel == Channel::ToolArgs)?;
    Some((heard.lane, heard.text.to_owned()))
}

fn text_of(piece: Piece) -> Delta {
    let (choice, text) = (piece.lane.choice, piece.text);
    match piece.lane.channel {
        Channel::Reasoning => Delta::Reasoning { choice, text },
        Channel::Refusal => Delta::Refusal { choice, text },
        _ => Delta::Text { choice, text },
    }
}
