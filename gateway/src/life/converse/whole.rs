//! Answers that plugins must see whole: chunks are held back, shown once as the `response` phase, and then given up.
//!
//! Apart because only here an answer is a whole before the door. It must not know tools or upstreams.

use gatewright_plugins::Cut;
use gatewright_types::{Channel, Choice, Chunk, Completion, Delta, Phase, Run, Segment, gather_into};

use super::calls::too_much;
use crate::dialects::is_thought;
use crate::life::ears::Ears;
use crate::life::guard::strip;
use crate::life::meter::text_bytes;
use gatewright_types::Fault;

/// Whether thought that the client did not ask for is the client's all the same: its own vendor's is, as it is told by who answers in a
/// round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unasked {
    Shown,
    Hidden,
}

/// A chunk on its way out, and what becomes of the thought in it.
pub(super) type Going = (Chunk, Unasked);

/// An answer that is held, or listened along to.
#[derive(Debug, Default)]
pub(super) struct Whole {
    chunks: Vec<Going>,
    said: Completion,
    bytes: usize,
}

/// Where a segment came from: choice, and which text of it.
#[derive(Clone, Copy, Debug)]
struct Spot {
    choice: usize,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Text,
    Reasoning,
    Refusal,
    Call(usize),
}

/// The texts of a whole answer, for the `response` phase.
#[derive(Debug)]
pub(super) struct Texts {
    pub(super) segments: Vec<Segment>,
    spots: Vec<Spot>,
}

impl Whole {
    /// Adds a copy of what was said.
    pub(super) fn listen(&mut self, chunk: &Chunk, limit: usize) -> Result<(), Fault> {
        self.bytes += chunk.deltas.iter().map(text_bytes).sum::<usize>();
        if self.bytes > limit {
            return Err(too_much());
        }
        gather_into(&mut self.said, chunk.clone());
        Ok(())
    }

    /// Keeps a chunk back.
    pub(super) fn hold(&mut self, going: Going, limit: usize) -> Result<(), Fault> {
        self.listen(&going.0, limit)?;
        self.chunks.push(going);
        Ok(())
    }

    /// The texts that plugins with these ears want to see. `sent`: whether the client has them already.
    pub(super) fn texts(&self, ears: &Ears, sent: Sent) -> Texts {
        let mut texts = Texts { segments: Vec::new(), spots: Vec::new() };
        for (choice, said) in self.said.choices.iter().enumerate() {
            let mut add = |channel: Channel, what: What, (text, label): (&str, Option<&str>)| {
                if text.is_empty() || !ears.hears(Phase::Response, channel) {
                    return;
                }
                let id = u32::try_from(texts.spots.len()).unwrap_or(u32::MAX);
                let before = if matches!(sent, Sent::All) { text.len() } else { 0 };
                let label = label.map(str::to_owned);
                texts.segments.push(Segment { id, channel, text: text.to_owned(), sent: before, label });
                texts.spots.push(Spot { choice, what });
            };
            add(Channel::Reasoning, What::Reasoning, (said.reasoning.as_deref().unwrap_or_default(), None));
            add(Channel::Assistant, What::Text, (said.text.as_deref().unwrap_or_default(), None));
            add(Channel::Refusal, What::Refusal, (said.refusal.as_deref().unwrap_or_default(), None));
            for (index, call) in said.tool_calls.iter().enumerate() {
                add(Channel::ToolArgs, What::Call(index), (&call.arguments, Some(&call.name)));
            }
        }
        texts
    }

    /// Whether chunks are kept back.
    pub(super) fn holds(&self) -> bool {
        !self.chunks.is_empty()
    }

    /// The chunks that were kept back, as they came.
    pub(super) fn let_go(&mut self) -> Vec<Going> {
        std::mem::take(&mut self.chunks)
    }

    /// The answer with these texts, which were cut so, as one chunk. What repeats an edited text is dropped. Thoughts of several rounds are
    /// one here: where some is hidden, all is.
    pub(super) fn edited(mut self, texts: Texts, cuts: &[Cut]) -> Going {
        let hidden = |(chunk, unasked): &Going| *unasked == Unasked::Hidden && chunk.deltas.iter().any(is_thought);
        let unasked = if self.chunks.iter().any(hidden) { Unasked::Hidden } else { Unasked::Shown };
        for (at, spot) in texts.spots.iter().enumerate() {
            let Some(choice) = self.said.choices.get_mut(spot.choice) else { continue };
            let of_it = cuts.iter().filter(|cut| cut.segment as usize == at);
            shift(&mut choice.order, spot.what, of_it);
        }
        let mut edited = vec![false; self.said.choices.len()];
        for (segment, spot) in texts.segments.into_iter().zip(texts.spots) {
            let Some(choice) = self.said.choices.get_mut(spot.choice) else { continue };
            if set(choice, spot.what, segment.text) {
                edited.get_mut(spot.choice).into_iter().for_each(|edited| *edited = true);
                strip(&mut self.said.extras);
            }
        }
        (chunk_of(self.said, &edited), unasked)
    }
}

/// How much of an answer the client has when it is shown whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Nothing: it was held.
    Nothing,
    /// All of it but how it ends: plugins may note, and stop.
    All,
}

/// Moves the ends of the runs of a text as its cuts moved it, so that what stood between them stays there. What replaces text of several
/// runs goes to the first of them.
fn shift<'a>(order: &mut [Run], what: What, cuts: impl Iterator<Item = &'a Cut>) {
    let mut runs: Vec<&mut usize> = order.iter_mut().filter_map(|run| length(run, what)).collect();
    let mut ends: Vec<usize> = runs
        .iter()
        .scan(0, |end, run| {
            *end += **run;
            Some(*end)
        })
        .collect();
    for cut in cuts {
        for end in &mut ends {
            if *end >= cut.end {
                *end = *end - (cut.end - cut.start) + cut.length;
            } else if *end > cut.start {
                *end = cut.start + cut.length;
            }
        }
    }
    let mut from = 0;
    for (run, end) in runs.iter_mut().zip(ends) {
        **run = end.saturating_sub(from);
        from = end;
    }
}

/// The length of a run of this text.
fn length(run: &mut Run, what: What) -> Option<&mut usize> {
    match (run, what) {
        (Run::Text(length), What::Text) | (Run::Reasoning(length), What::Reasoning) | (Run::Refusal(length), What::Refusal) => {
            Some(length)
        }
        _ => None,
    }
}

/// Puts a text where it came from; whether that changed it.
fn set(choice: &mut Choice, what: What, text: String) -> bool {
    let place = match what {
        What::Text => choice.text.as_mut(),
        What::Reasoning => choice.reasoning.as_mut(),
        What::Refusal => choice.refusal.as_mut(),
        What::Call(at) => {
            let Some(call) = choice.tool_calls.get_mut(at).filter(|call| call.arguments != text) else { return false };
            strip(&mut call.extras);
            Some(&mut call.arguments)
        }
    };
    match place {
        Some(place) if *place != text => {
            *place = text;
            true
        }
        _ => false,
    }
}

/// A whole answer as one chunk; of which choices texts were edited.
fn chunk_of(said: Completion, edited: &[bool]) -> Chunk {
    let mut deltas = vec![Delta::Start { id: said.id, model: said.model, created: said.created }];
    for ((index, choice), edited) in (0u32..).zip(said.choices).zip(edited) {
        let told = choice.into_deltas(index);
        deltas.extend(told.into_iter().filter_map(|delta| if *edited { without_repeats(delta) } else { Some(delta) }));
    }
    deltas.extend(said.usage.map(Delta::Usage));
    Chunk { deltas, extras: said.extras, raw: None }
}

/// What of a delta beside an edited text does not repeat it.
fn without_repeats(delta: Delta) -> Option<Delta> {
    match delta {
        Delta::Logprobs { .. } => None,
        Delta::Other { choice, mut delta, mut around } => {
            strip(&mut delta);
            strip(&mut around);
            (!delta.is_empty() || !around.is_empty()).then_some(Delta::Other { choice, delta, around })
        }
        delta => Some(delta),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ears() -> Ears {
        Ears::all()
    }

    #[test]
    fn an_unchanged_answer_is_given_up_as_it_was_and_an_edited_one_says_the_edit() {
        let mut whole = Whole::default();
        for text in ["my ", "secret"] {
            let chunk = Chunk::of(vec![Delta::Text { choice: 0, text: text.into() }]);
            whole.hold((chunk, Unasked::Hidden), 100).unwrap();
        }
        let mut texts = whole.texts(&ears(), Sent::Nothing);
        assert_eq!(texts.segments.len(), 1);
        assert_eq!(texts.segments[0].text, "my secret");
        texts.segments[0].text = "my [redacted]".into();
        let (chunk, _) = whole.edited(texts, &[Cut { segment: 0, start: 3, end: 9, length: 10 }]);
        assert!(chunk.deltas.iter().any(|delta| matches!(delta, Delta::Text { text, .. } if text == "my [redacted]")));
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut whole = Whole::default();
        let chunk = Chunk::of(vec![Delta::Text { choice: 0, text: "x".repeat(11) }]);
        assert!(whole.hold((chunk, Unasked::Shown), 10).is_err());
    }
}
