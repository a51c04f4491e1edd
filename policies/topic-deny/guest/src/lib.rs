//! Denies the operator's terms, however they are spelled.
//!
//! `settings` says what is denied; `terms` keeps it as a tree of letters; `fold` says which letters a character may stand for;
//! `tokens` cuts a text into such letters and the gaps between them; `scan` walks the tree along the tokens. This file turns what
//! the scan finds into actions. It must not know how letters are told apart.

pub mod fold;
pub mod scan;
pub mod settings;
pub mod terms;
pub mod tokens;

use gatewright_plugin::{Action, Channel, Context, Event, Phase};

use scan::{Found, Reach};
use settings::Rules;

gatewright_plugin::filter!(inspect, Rules);

fn inspect(rules: &Rules, _ctx: &Context, event: &Event) -> Vec<Action> {
    let mut holds = Vec::new();
    for segment in event.segments.iter().filter(|it| rules.covers(it.channel)) {
        let reach = if event.last || event.phase != Phase::Chunk { Reach::Whole } else { Reach::Cut };
        match scan::scan(&rules.terms, &segment.text, segment.sent as usize, reach) {
            Found::Denied { term } => return rules.denial(term),
            Found::Open { start } => holds.push(Action::hold(segment, start.max(segment.sent as usize))),
            Found::Nothing => {}
        }
    }
    holds
}

/// The channel that the settings call by this name.
pub(crate) fn channel(name: &str) -> Option<Channel> {
    Some(match name {
        "system" => Channel::System,
        "user" => Channel::User,
        "assistant" => Channel::Assistant,
        "reasoning" => Channel::Reasoning,
        "refusal" => Channel::Refusal,
        "tool-definition" => Channel::ToolDefinition,
        "tool-args" => Channel::ToolArgs,
        "tool-output" => Channel::ToolOutput,
        "media" => Channel::Media,
        "other" => Channel::Other,
        _ => return None,
    })
}
