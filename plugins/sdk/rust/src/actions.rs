//! Short ways to say an action.
//!
//! It is apart so that the generated types stay untouched. It must not decide anything: each function is one value.

use crate::{Action, Denial, Edit, Hold, Reask, Segment};

impl Action {
    /// Replaces bytes `start..end` of a segment.
    pub fn edit(segment: &Segment, start: usize, end: usize, text: impl Into<String>) -> Self {
        Self::Edit(Edit { segment: segment.id, start: offset(start), end: offset(end), text: text.into() })
    }

    /// Sends nothing of this segment from `start` on: a match may be starting there.
    pub fn hold(segment: &Segment, start: usize) -> Self {
        Self::Hold(Hold { segment: segment.id, start: offset(start) })
    }

    /// Stops and refuses.
    pub fn block(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Block(Denial { code: code.into(), message: message.into() })
    }

    /// Stops and gives this answer without asking the model.
    pub fn answer(text: impl Into<String>) -> Self {
        Self::Answer(text.into())
    }

    /// Asks again with one more instruction.
    pub fn reask(instruction: impl Into<String>) -> Self {
        Self::Reask(Reask { route: None, instruction: Some(instruction.into()) })
    }

    /// Sets one allow-listed field of the request.
    pub fn set(pointer: impl Into<String>, json: impl Into<String>) -> Self {
        Self::Set((pointer.into(), json.into()))
    }

    /// Labels the request for later plugins, routing, logs and metrics.
    pub fn note(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Note((key.into(), value.into()))
    }
}

/// A guest's memory is 32-bit: an offset always fits. Should that change, an offset past the end makes the host complain.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
