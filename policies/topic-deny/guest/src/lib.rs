//! Denies the operator's terms, however they are spelled.
//!
//! `settings` says what is denied; `terms` keeps it as a tree of letters; `fold` says which letters a character may stand for;
//! `starts` names the places of a text where a term may begin, and looks at many bytes at once with `block`; `tokens` cuts what follows
//! them into such letters and the gaps between them; `scan` walks the tree along the tokens; `escapes` reads JSON; `prefilter` tells the
//! host which texts to ask about. This file turns what the scan finds into actions. It must not know how letters are told apart.

mod block;
pub mod escapes;
pub mod fold;
mod names;
pub mod prefilter;
pub mod scan;
pub mod settings;
mod starts;
pub mod terms;
pub mod tokens;

use gatewright_plugin::{Action, Channel, Context, Event, Phase, Segment};

use scan::{Found, Reach};
use settings::Rules;

/// What the host asks about.
pub fn patterns(rules: &Rules) -> Vec<String> {
    prefilter::patterns(&rules.terms)
}

/// Denies at the first term; in a stream, holds back what may be the beginning of one.
#[gatewright_plugin::filter(prefilter = patterns)]
pub fn inspect(rules: &Rules, _ctx: &Context, event: &Event) -> Vec<Action> {
    let mut holds = Vec::new();
    if !rules.covers_phase(event.phase) {
        return holds;
    }
    for segment in event.segments.iter().filter(|it| rules.covers(it.channel)) {
        let reach = if event.last || event.phase != Phase::Chunk { Reach::Whole } else { Reach::Cut };
        match look(rules, segment, reach) {
            Found::Denied { term } => return rules.denial(term),
            Found::Open { start } => holds.push(Action::hold(segment, start.max(segment.sent as usize))),
            Found::Nothing => {}
        }
    }
    holds
}

/// What a segment has, as it is or as its escapes read.
fn look(rules: &Rules, segment: &Segment, reach: Reach) -> Found {
    let sent = segment.sent as usize;
    let found = scan::scan(&rules.terms, &segment.text, sent, reach);
    let json = matches!(segment.channel, Channel::ToolArgs | Channel::ToolDefinition | Channel::ToolOutput | Channel::Other);
    if !json || reach == Reach::Cut || matches!(found, Found::Denied { .. }) {
        return found;
    }
    let unsent = segment.text.get(sent..).unwrap_or_default();
    escapes::read(unsent).map_or(found, |text| scan::scan(&rules.terms, &text, 0, reach))
}
