//! Turns what finds matches in a text into edits and holds, so that the outcome does not depend on how a stream was cut.
//!
//! It is apart because every redactor needs just this, and it is easily got wrong. It must not know what is looked for.

use core::ops::Range;

use crate::{Action, Event, Segment};

/// What stands first in a text, from some place on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A match: these bytes.
    Match(Range<usize>),
    /// What may be a match when more text comes: from this byte to the end.
    Open(usize),
}

/// Whether more text may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It may.
    Open,
    /// It does not.
    Last,
}

/// What finds matches. A function `Fn(&str, usize) -> Option<Range<usize>>` is one, which leaves the beginnings of matches to the
/// manifest's `window`.
pub trait Matcher {
    /// The first match from byte `from` on, the longest of those that begin there; or, where more text may come, what may become one.
    /// The text before `from` is context.
    fn first(&self, text: &str, from: usize, end: End) -> Option<Found>;
}

impl<F: Fn(&str, usize) -> Option<Range<usize>>> Matcher for F {
    fn first(&self, text: &str, from: usize, _end: End) -> Option<Found> {
        self(text, from).map(Found::Match)
    }
}

/// Finds the words of a list, upper or lower case in ASCII, and knows where one may be beginning: a window of 1 is enough.
#[derive(Clone, Debug, Default)]
pub struct Words(Vec<String>);

impl Words {
    /// These words; empty ones are left out.
    pub fn new(words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(words.into_iter().map(Into::into).filter(|word| !word.is_empty()).collect())
    }
}

impl Matcher for Words {
    fn first(&self, text: &str, from: usize, end: End) -> Option<Found> {
        let bytes = text.as_bytes();
        (from..bytes.len()).find_map(|at| {
            let rest = &bytes[at..];
            let cut = |word: &&String| word.len() > rest.len() && word.as_bytes()[..rest.len()].eq_ignore_ascii_case(rest);
            let whole = |word: &&String| rest.get(..word.len()).is_some_and(|text| text.eq_ignore_ascii_case(word.as_bytes()));
            if !text.is_char_boundary(at) {
                return None;
            }
            if end == End::Open && self.0.iter().any(|word| cut(&word)) {
                return Some(Found::Open(at));
            }
            let longest = self.0.iter().filter(whole).map(String::len).max()?;
            Some(Found::Match(at..at + longest))
        })
    }
}

/// Replaces what a matcher finds.
#[derive(Clone, Debug)]
pub struct Redactor<M> {
    matcher: M,
    replacement: String,
}

impl<M: Matcher> Redactor<M> {
    /// Replaces each match by this text.
    pub fn new(matcher: M, replacement: impl Into<String>) -> Self {
        Self { matcher, replacement: replacement.into() }
    }

    /// The actions for all segments of an event.
    pub fn redact(&self, event: &Event) -> Vec<Action> {
        let mut actions = Vec::new();
        let end = if event.last { End::Last } else { End::Open };
        event.segments.iter().for_each(|segment| self.segment(segment, end, &mut actions));
        actions
    }

    /// A match that ends where the text does may go on in the next piece: it is held, and so is what may become one.
    fn segment(&self, segment: &Segment, end: End, actions: &mut Vec<Action>) {
        let text = segment.text.as_str();
        let mut from = segment.sent as usize;
        while let Some(found) = self.matcher.first(text, from, end) {
            from = match found {
                Found::Open(start) | Found::Match(Range { start, .. }) if start < from || start > text.len() => return,
                Found::Open(start) if end == End::Open => return actions.push(Action::hold(segment, start)),
                Found::Match(range) if range.end >= text.len() && end == End::Open => {
                    return actions.push(Action::hold(segment, range.start));
                }
                // No more text comes: what only began is nothing.
                Found::Open(start) => next(text, start),
                Found::Match(range) if range.is_empty() => next(text, range.start),
                Found::Match(range) => {
                    actions.push(Action::edit(segment, range.start, range.end, self.replacement.as_str()));
                    range.end
                }
            };
            if from > text.len() {
                return;
            }
        }
    }
}

/// Where the next character begins.
fn next(text: &str, at: usize) -> usize {
    at + text.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::{End, Matcher, Redactor, Words};
    use crate::{Action, Channel, Event, Phase, Segment};

    fn event(text: &str, sent: u32, last: bool) -> Event {
        let segment = Segment { id: 3, channel: Channel::Assistant, text: text.to_owned(), sent, label: None };
        Event { phase: Phase::Chunk, segments: vec![segment], last }
    }

    /// Actions in short: `4-8` is an edit, `9-` a hold.
    fn told(actions: &[Action]) -> Vec<String> {
        let word = |action: &Action| match action {
            Action::Edit(edit) => format!("{}-{}", edit.start, edit.end),
            Action::Hold(hold) => format!("{}-", hold.start),
            _ => "other".to_owned(),
        };
        actions.iter().map(word).collect()
    }

    #[test]
    fn words_are_edited_and_what_may_be_one_is_held() {
        let redactor = Redactor::new(Words::new(["plum", "plum tree", ""]), "*");
        assert_eq!(told(&redactor.redact(&event("a Plum, a plum tree.", 0, false))), ["2-6", "10-19"]);
        assert_eq!(told(&redactor.redact(&event("a plum tr", 0, false))), ["2-"]);
        assert_eq!(told(&redactor.redact(&event("a plum tr", 0, true))), ["2-6"]);
        assert_eq!(told(&redactor.redact(&event("plum pl", 4, false))), ["5-"]);
        assert!(redactor.redact(&event("é pear", 0, false)).is_empty());
        assert!(Words::default().first("plum", 0, End::Open).is_none());
    }

    #[test]
    fn a_match_that_may_go_on_is_held_until_its_end_is_seen() {
        let digits = |text: &str, from: usize| {
            let start = text[from..].find(|c: char| c.is_ascii_digit())? + from;
            let end = text[start..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |at| start + at);
            Some(start..end)
        };
        let redactor = Redactor::new(digits, "#");
        assert_eq!(told(&redactor.redact(&event("12 and 34", 0, false))), ["0-2", "7-"]);
        assert_eq!(told(&redactor.redact(&event("12 and 34", 0, true))), ["0-2", "7-9"]);
    }

    #[test]
    fn a_matcher_that_goes_nowhere_ends() {
        let empty = Redactor::new(|_: &str, from: usize| Some(from..from), "x");
        assert!(empty.redact(&event("éab", 0, true)).is_empty());
        let back = Redactor::new(|_: &str, _: usize| Some(0..1), "x");
        assert_eq!(told(&back.redact(&event("ab", 0, true))), ["0-1"]);
    }
}
