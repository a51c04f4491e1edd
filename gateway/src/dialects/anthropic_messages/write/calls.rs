//! Calls of tools as others send them: side by side, whole or in pieces, named early, late or never, and even after the end. Here each is
//! one block, and blocks follow each other.
//!
//! The first call goes out as it comes; the others wait until it is complete. Apart because nothing of a call may be lost, whoever sends
//! it. It must not know blocks or numbers.

use gatewright_types::{Delta, Extras};

use crate::dialects::anthropic_messages::call_id;

/// Calls of one answer.
#[derive(Default)]
pub(super) struct Calls {
    /// By the order in which they began; those that were sent are gone.
    waiting: Vec<Call>,
    /// The one that is open, by its index; its text in `waiting` is what was not sent yet.
    open: Option<u32>,
    /// Calls that were sent.
    sent: u32,
    /// The call that is open was begun by the upstream's own event.
    upstreams: bool,
}

/// A call of which something was not sent.
pub(super) struct Call {
    index: u32,
    pub(super) id: String,
    pub(super) name: String,
    arguments: String,
    pub(super) extras: Extras,
}

/// As many calls wait at most; the upstream's bytes are bounded where they are read.
const MOST_CALLS: usize = 1024;

impl Calls {
    /// A call is open that the upstream's own event began: of this index, where that is known.
    pub(super) fn goes_on(&mut self, index: Option<u32>) {
        self.open = index;
        self.upstreams = true;
    }

    /// A piece of a call.
    pub(super) fn hear(&mut self, delta: &Delta) {
        let Delta::ToolCall { index, id, name, arguments, extras, .. } = delta else { return };
        if self.upstreams && self.open.is_none() {
            // What goes on is the call that was begun; what begins is another.
            match id {
                None => self.open = Some(*index),
                Some(_) => self.upstreams = false,
            }
        }
        let at = self.waiting.iter().position(|call| call.index == *index).unwrap_or(self.waiting.len());
        if at == self.waiting.len() {
            if at >= MOST_CALLS {
                return;
            }
            self.waiting.push(Call {
                index: *index,
                id: String::new(),
                name: String::new(),
                arguments: String::new(),
                extras: Extras::new(),
            });
        }
        let call = &mut self.waiting[at];
        if let Some(id) = id.as_ref().filter(|_| call.id.is_empty()) {
            id.clone_into(&mut call.id);
        }
        if let Some(name) = name.as_ref().filter(|_| call.name.is_empty()) {
            name.clone_into(&mut call.name);
        }
        call.arguments.push_str(arguments);
        call.extras.append(extras.clone());
    }

    /// Opens the first call that waits, if it has its names.
    pub(super) fn begin(&mut self) -> Option<String> {
        let first = self.waiting.first().filter(|call| !call.id.is_empty() && !call.name.is_empty())?;
        self.open = Some(first.index);
        Some(first.block())
    }

    /// What came of the open call's arguments since it was asked last.
    pub(super) fn arguments(&mut self) -> Option<String> {
        let open = self.open?;
        let call = self.waiting.iter_mut().find(|call| call.index == open)?;
        Some(std::mem::take(&mut call.arguments)).filter(|text| !text.is_empty())
    }

    /// The open call is complete.
    pub(super) fn ends(&mut self) {
        if let Some(open) = self.open.take() {
            self.waiting.retain(|call| call.index != open);
        }
        self.upstreams = false;
        self.sent = self.sent.saturating_add(1);
    }

    /// Whether a call waits.
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Names the calls that nobody named, after the answer that they are of: nothing more comes.
    pub(super) fn name_all(&mut self, answer: &str) {
        for (position, call) in (self.sent..).zip(&mut self.waiting) {
            if call.id.is_empty() {
                call.id = call_id(answer, position);
            }
            if call.name.is_empty() {
                "unnamed".clone_into(&mut call.name);
            }
        }
    }
}
