//! What a chain listens to: asked once when a route is linked, looked up on each request; and anew where not all of it takes part.
//!
//! Apart because four stages ask. It must not know sessions or texts.

use gatewright_plugins::Plugin;
use gatewright_types::{Channel, Phase};

/// Which phases and channels some plugin of a chain subscribes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ears {
    /// One bit a channel, one word a phase.
    heard: [u16; 5],
    /// Whether streamed answers must be seen whole.
    pub(crate) wants_whole: bool,
}

impl Ears {
    /// The ears of these plugins.
    pub(crate) fn of<'a>(plugins: impl Iterator<Item = &'a Plugin>) -> Self {
        let mut ears = Self::default();
        for plugin in plugins {
            ears.wants_whole |= plugin.wants_whole();
            for phase in Phase::ALL {
                let heard = Channel::ALL.into_iter().filter(|channel| plugin.hears(phase, *channel));
                ears.heard[phase as usize] |= heard.fold(0, |bits, channel| bits | 1 << channel as u16);
            }
        }
        ears
    }

    /// Ears that hear everything.
    #[cfg(test)]
    pub(super) const fn all() -> Self {
        Self { heard: [u16::MAX; 5], wants_whole: false }
    }

    /// Whether a plugin subscribes to this.
    pub(crate) const fn hears(&self, phase: Phase, channel: Channel) -> bool {
        self.heard[phase as usize] & (1 << channel as u16) != 0
    }

    /// Whether a plugin subscribes to any channel in this phase.
    pub(crate) const fn any(&self, phase: Phase) -> bool {
        self.heard[phase as usize] != 0
    }
}

/// The record's word for a channel of the prompt that no plugin inspected.
pub(super) const fn of_request(channel: Channel) -> &'static str {
    match channel {
        Channel::System => "request:system",
        Channel::User => "request:user",
        Channel::Assistant => "request:assistant",
        Channel::Reasoning => "request:reasoning",
        Channel::Refusal => "request:refusal",
        Channel::ToolDefinition => "request:tool-definition",
        Channel::ToolArgs => "request:tool-args",
        Channel::ToolOutput => "request:tool-output",
        Channel::Media => "request:media",
        Channel::Other => "request:other",
    }
}

/// The record's word for the texts of a tool phase that no plugin inspected.
pub(super) const fn of_tool(phase: Phase) -> &'static str {
    match phase {
        Phase::ToolCall => "tool-call:tool-args",
        _ => "tool-result:tool-output",
    }
}

/// Which phases and channels a record's word is about.
pub(super) fn meant(word: &'static str) -> Vec<(Phase, Channel)> {
    let in_phases = |phases: &[Phase], word: fn(Channel) -> &'static str, wanted: &str| -> Vec<(Phase, Channel)> {
        let channels = Channel::ALL.into_iter().filter(|channel| word(*channel) == wanted);
        channels.flat_map(|channel| phases.iter().map(move |phase| (*phase, channel)).collect::<Vec<_>>()).collect()
    };
    match word {
        "tool-call:tool-args" => vec![(Phase::ToolCall, Channel::ToolArgs)],
        "tool-result:tool-output" => vec![(Phase::ToolResult, Channel::ToolOutput)],
        word if word.starts_with("request:") => in_phases(&[Phase::Request], of_request, word),
        word => in_phases(&[Phase::Chunk, Phase::Response], of_answer, word),
    }
}

/// The record's word for an answer that no plugin saw whole, though some wanted to.
pub(super) const WHOLE: &str = "answer:whole";

/// The record's word for a channel of the answer that no plugin inspected.
pub(super) const fn of_answer(channel: Channel) -> &'static str {
    match channel {
        Channel::Assistant => "answer:assistant",
        Channel::Reasoning => "answer:reasoning",
        Channel::Refusal => "answer:refusal",
        Channel::ToolArgs => "answer:tool-args",
        _ => "answer:other",
    }
}
