//! What a route's chain listens to: asked once when the route is linked, looked up on each request.
//!
//! Apart because four stages ask. It must not know sessions or texts.

use gatewright_plugins::Chain;
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
    /// The ears of a chain.
    pub(crate) fn of(chain: &Chain) -> Self {
        let mut ears = Self { heard: [0; 5], wants_whole: chain.wants_whole() };
        for phase in Phase::ALL {
            for channel in Channel::ALL {
                if !chain.is_deaf(phase, channel) {
                    ears.heard[phase as usize] |= 1 << channel as u16;
                }
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
