//! Which calls of a stream have said nothing when their choice ends: clients read arguments as JSON, and an empty text is none.
//!
//! Apart because it lasts for the stream, while events are written chunk by chunk. It must not know how a call is written.

use std::borrow::Cow;

use gatewright_types::{Delta, Extras, FinishReason, NO_ARGUMENTS};

/// The calls of one stream.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Call>);

#[derive(Debug)]
struct Call {
    choice: u32,
    index: u32,
    /// Whether it is one of a function: others have no arguments.
    named: bool,
    /// Whether it has arguments.
    said: bool,
}

/// As many calls are remembered at most; the upstream's bytes are bounded where they are read.
const MOST_CALLS: usize = 1024;

impl Calls {
    /// Hears what the client is told, in whose words ever.
    pub(super) fn hear(&mut self, deltas: &[Delta]) {
        for delta in deltas {
            let Delta::ToolCall { choice, index, name, arguments, .. } = delta else { continue };
            let (choice, index) = (*choice, *index);
            let at = match self.0.iter().rposition(|call| (call.choice, call.index) == (choice, index)) {
                Some(at) => at,
                None if self.0.len() >= MOST_CALLS => continue,
                None => {
                    self.0.push(Call { choice, index, named: false, said: false });
                    self.0.len() - 1
                }
            };
            if let Some(call) = self.0.get_mut(at) {
                call.named |= name.as_ref().is_some_and(|name| !name.is_empty());
                call.said |= !arguments.is_empty();
            }
        }
    }

    /// The deltas, with the arguments of each call that says nothing and whose choice ends in them as it should.
    pub(super) fn ended<'a>(&mut self, deltas: &'a [Delta]) -> Cow<'a, [Delta]> {
        let mut all = Cow::Borrowed(deltas);
        for delta in deltas {
            let Delta::Finish { choice: ends, reason } = delta else { continue };
            if matches!(reason, FinishReason::Length | FinishReason::ContentFilter) {
                continue;
            }
            for call in self.0.iter_mut().filter(|call| call.choice == *ends && call.named && !call.said) {
                call.said = true;
                say_nothing(all.to_mut(), call);
            }
        }
        all
    }
}

/// Puts empty arguments where the call stands among these deltas, or else behind them.
fn say_nothing(deltas: &mut Vec<Delta>, call: &Call) {
    let is = |delta: &&mut Delta| matches!(delta, Delta::ToolCall { choice, index, .. } if (*choice, *index) == (call.choice, call.index));
    if let Some(Delta::ToolCall { arguments, .. }) = deltas.iter_mut().rev().find(is) {
        NO_ARGUMENTS.clone_into(arguments);
        return;
    }
    deltas.push(Delta::ToolCall {
        choice: call.choice,
        index: call.index,
        id: None,
        name: None,
        arguments: NO_ARGUMENTS.to_owned(),
        extras: Extras::new(),
    });
}
