//! Calls of tools as others send them: side by side, whole or in pieces, named early, late or never, and even after the end.
//!
//! A call begins as an item when its id and its name are known; what came of its arguments before then waits. Apart because nothing of a
//! call may be lost, whoever sends it. It must not know items, but for where each call's is.

use gatewright_types::{Delta, Extras};

use super::item::Call;
use crate::dialects::openai_responses::known_of;

/// Calls of one answer, in the order in which they began.
#[derive(Default)]
pub(super) struct Calls(Vec<Heard>);

struct Heard {
    index: u32,
    id: Option<String>,
    name: Option<String>,
    extras: Extras,
    /// What came before it was an item.
    arguments: String,
    at: Option<usize>,
}

/// What may be told of a call.
pub(super) enum Ready {
    /// Its item begins.
    Begins { index: u32, call: Call },
    /// More of its arguments.
    Piece { at: usize, arguments: String },
}

/// As many calls has an answer at most; the upstream's bytes are bounded where they are read.
const MOST_CALLS: usize = 1024;

impl Calls {
    /// A piece of a call.
    pub(super) fn hear(&mut self, delta: &Delta) -> Option<Ready> {
        let Delta::ToolCall { index, id, name, arguments, extras, .. } = delta else { return None };
        let at = match self.0.iter().position(|call| call.index == *index) {
            Some(at) => at,
            None if self.0.len() >= MOST_CALLS => return None,
            None => {
                let (extras, arguments) = (Extras::new(), String::new());
                self.0.push(Heard { index: *index, id: None, name: None, extras, arguments, at: None });
                self.0.len() - 1
            }
        };
        let call = self.0.get_mut(at)?;
        if let Some(at) = call.at {
            return (!arguments.is_empty()).then(|| Ready::Piece { at, arguments: arguments.clone() });
        }
        let text = |had: &mut Option<String>, new: &Option<String>| {
            if had.is_none() {
                *had = new.clone().filter(|text| !text.is_empty());
            }
        };
        text(&mut call.id, id);
        text(&mut call.name, name);
        call.arguments.push_str(arguments);
        call.extras.append(extras.clone());
        (call.id.is_some() && call.name.is_some()).then(|| call.begins())
    }

    /// The item of the call of this index is there.
    pub(super) fn began(&mut self, index: u32, at: usize) {
        if let Some(call) = self.0.iter_mut().find(|call| call.index == index) {
            call.at = Some(at);
        }
    }

    /// Names the calls that nobody named: nothing more comes.
    pub(super) fn name_all(&mut self, core: &str) -> Vec<Ready> {
        let unnamed = self.0.iter_mut().enumerate().filter(|(_, call)| call.at.is_none());
        let named = unnamed.map(|(number, call)| {
            call.id.get_or_insert_with(|| format!("call_{core}_{number}"));
            call.name.get_or_insert_with(|| "unnamed".to_owned());
            call.begins()
        });
        named.collect()
    }
}

impl Heard {
    fn begins(&mut self) -> Ready {
        let (call_id, called) = (self.id.clone().unwrap_or_default(), self.name.clone().unwrap_or_default());
        let arguments = std::mem::take(&mut self.arguments);
        let known = known_of(&self.extras, &called);
        Ready::Begins { index: self.index, call: Call { call_id, called, known, arguments } }
    }
}
