//! Tool calls that are held until their arguments are complete.
//!
//! Apart because pieces of several calls may come in turns. It must not know plugins or whose tool is called.

use gatewright_types::{Chunk, Delta, Extras, Fault, FaultKind};

/// One call while its pieces come in.
#[derive(Debug)]
struct Held {
    choice: u32,
    index: u32,
    id: Option<String>,
    name: Option<String>,
    arguments: String,
    extras: Extras,
}

/// Calls in the order they began.
#[derive(Debug, Default)]
pub(super) struct Calls {
    held: Vec<Held>,
    bytes: usize,
}

/// Calls of one answer that may be held.
const MAX_CALLS: usize = 128;

impl Calls {
    /// Takes the pieces of calls out of a chunk, and puts those calls in that its finishes complete, whole.
    ///
    /// # Errors
    /// [`FaultKind::Overloaded`] past `limit` bytes.
    pub(super) fn through(&mut self, chunk: &mut Chunk, limit: usize) -> Result<(), Fault> {
        let touches = |delta: &Delta| matches!(delta, Delta::ToolCall { .. });
        let finishes = |delta: &Delta| matches!(delta, Delta::Finish { .. });
        let calls = chunk.deltas.iter().any(touches);
        if !calls && (self.held.is_empty() || !chunk.deltas.iter().any(finishes)) {
            return Ok(());
        }
        if calls && self.held.is_empty() && chunk.deltas.iter().any(finishes) && self.is_whole(chunk) {
            return Ok(());
        }
        chunk.raw = None;
        let mut out = Vec::with_capacity(chunk.deltas.len());
        for delta in std::mem::take(&mut chunk.deltas) {
            match delta {
                Delta::ToolCall { .. } => self.take(delta, limit)?,
                Delta::Finish { choice, .. } => {
                    out.extend(self.complete(Some(choice)));
                    out.push(delta);
                }
                other => out.push(other),
            }
        }
        chunk.deltas = out;
        Ok(())
    }

    /// Whether a chunk holds only whole calls: one piece each, and the finish of each choice. Then it may stay as it is.
    fn is_whole(&self, chunk: &Chunk) -> bool {
        let mut seen: Vec<(u32, u32)> = Vec::new();
        for delta in &chunk.deltas {
            if let Delta::ToolCall { choice, index, id, name, .. } = delta {
                let once = !seen.contains(&(*choice, *index)) && id.is_some() && name.is_some();
                let ends = chunk.deltas.iter().any(|delta| matches!(delta, Delta::Finish { choice: c, .. } if c == choice));
                if !once || !ends || seen.len() >= MAX_CALLS {
                    return false;
                }
                seen.push((*choice, *index));
            }
        }
        true
    }

    fn take(&mut self, delta: Delta, limit: usize) -> Result<(), Fault> {
        let Delta::ToolCall { choice, index, id, name, arguments, extras } = delta else { return Ok(()) };
        self.bytes += arguments.len() + name.as_ref().map_or(0, String::len);
        match self.held.iter_mut().find(|held| (held.choice, held.index) == (choice, index)) {
            Some(held) => {
                held.id = held.id.take().or(id);
                held.name = held.name.take().or(name);
                held.arguments.push_str(&arguments);
                held.extras.append(extras);
            }
            None => self.held.push(Held { choice, index, id, name, arguments, extras }),
        }
        if self.bytes > limit || self.held.len() > MAX_CALLS {
            return Err(too_much());
        }
        Ok(())
    }

    /// Calls of a choice (or all of them), whole, in the order they began.
    pub(super) fn complete(&mut self, of: Option<u32>) -> Vec<Delta> {
        let ready = self.held.extract_if(.., |held| of.is_none_or(|choice| held.choice == choice));
        let whole = |held: Held| {
            let Held { choice, index, id, name, arguments, extras } = held;
            Delta::ToolCall { choice, index, id, name, arguments, extras }
        };
        ready.map(whole).collect()
    }
}

/// The answer has more text than may be held back.
pub(super) fn too_much() -> Fault {
    let message = "The answer is longer than what the policies of this gateway may hold back.";
    Fault::gateway(FaultKind::Overloaded, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatewright_types::FinishReason;

    fn piece(index: u32, name: Option<&str>, arguments: &str) -> Delta {
        let id = name.map(|name| format!("id-{name}"));
        let (name, arguments) = (name.map(str::to_owned), arguments.to_owned());
        Delta::ToolCall { choice: 0, index, id, name, arguments, extras: Extras::new() }
    }

    #[test]
    fn calls_come_out_whole_before_their_finish() {
        let mut calls = Calls::default();
        for delta in [piece(0, Some("a"), "{\"x"), piece(1, Some("b"), "{"), piece(0, None, "\":1}"), piece(1, None, "}")] {
            let mut chunk = Chunk::of(vec![delta]);
            calls.through(&mut chunk, 100).unwrap();
            assert!(chunk.deltas.is_empty());
        }
        let mut chunk = Chunk::of(vec![Delta::Finish { choice: 0, reason: FinishReason::ToolCalls }]);
        calls.through(&mut chunk, 100).unwrap();
        let said = chunk
            .deltas
            .iter()
            .filter_map(|d| if let Delta::ToolCall { arguments, .. } = d { Some(arguments.as_str()) } else { None });
        assert_eq!(said.collect::<Vec<_>>(), ["{\"x\":1}", "{}"]);
        assert!(matches!(chunk.deltas.last(), Some(Delta::Finish { .. })));
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut calls = Calls::default();
        let mut chunk = Chunk::of(vec![piece(0, Some("a"), &"x".repeat(200))]);
        assert!(calls.through(&mut chunk, 100).is_err());
    }
}
