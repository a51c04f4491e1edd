//! One choice's tokens to deltas: text, thought, stop texts, the bound on tokens, the end.
//!
//! Apart because it is pure: ids in, deltas out. It must not know how the ids came to be. Stop texts are looked for in the visible
//! text alone: a thought is not a part of the answer that a client asked to be cut.

use gatewright_types::{Delta, FinishReason};

use crate::logprobs::{Scored, Waiting};
use crate::reasoning::{Channel, Mark, Splitter};
use crate::stop::{Scanned, StopScan};
use crate::tokens::{TextStream, Vocabulary};

/// Deltas that one token can make at most, a `Usage` after the end included.
pub(crate) const MOST_DELTAS: usize = 8;

/// One choice as it is written.
#[derive(Debug)]
pub(crate) struct Answer {
    choice: u32,
    text: TextStream,
    splitter: Splitter,
    stop: StopScan,
    scores: Waiting,
    limit: usize,
    generated: usize,
    reasoning: usize,
}

/// What an answer begins with.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    /// The channel that the prompt left open.
    pub(crate) channel: Channel,
    /// Texts that end it.
    pub(crate) stops: Vec<String>,
    /// Tokens at most, at least 1.
    pub(crate) limit: usize,
}

/// Whether an answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More tokens are wanted.
    Open,
    /// A `Finish` was written.
    Done,
}

impl Answer {
    /// An answer without tokens.
    pub(crate) fn new(choice: u32, opening: &Opening, vocabulary: &Vocabulary) -> Self {
        Self {
            choice,
            text: TextStream::default(),
            splitter: Splitter::new(vocabulary.think(), opening.channel),
            stop: StopScan::new(&opening.stops),
            scores: Waiting::default(),
            limit: opening.limit,
            generated: 0,
            reasoning: 0,
        }
    }

    /// Tokens so far, the one that ended it included.
    pub(crate) fn generated(&self) -> usize {
        self.generated
    }

    /// Of those, thought, its marks included.
    pub(crate) fn reasoning(&self) -> usize {
        self.reasoning
    }

    /// Takes the next token, and how likely it was if that is wanted, and writes its deltas to `out`.
    pub(crate) fn push(&mut self, (id, scored): (u32, Option<Scored>), vocabulary: &Vocabulary, out: &mut Vec<Delta>) -> Progress {
        self.generated += 1;
        if vocabulary.ends(id) {
            return self.end(FinishReason::Stop, vocabulary, out);
        }
        let before = self.splitter.channel();
        let switches = vocabulary.think().is_some_and(|t| id == t.open || id == t.close);
        if !switches && before == Channel::Text {
            scored.into_iter().for_each(|scored| self.scores.note(scored));
        }
        let scanned = if switches { self.turn(id, vocabulary, out) } else { self.say(id, vocabulary, out) };
        if before == Channel::Reasoning || self.splitter.channel() == Channel::Reasoning {
            self.reasoning += 1;
        }
        if scanned == Progress::Done {
            out.push(Delta::Finish { choice: self.choice, reason: FinishReason::Stop });
            return Progress::Done;
        }
        if self.generated >= self.limit {
            return self.end(FinishReason::Length, vocabulary, out);
        }
        Progress::Open
    }

    fn say(&mut self, id: u32, vocabulary: &Vocabulary, out: &mut Vec<Delta>) -> Progress {
        let piece = self.text.push(vocabulary, id);
        self.write(&piece, vocabulary, out)
    }

    /// A token that switches the channel: what the old one held back is written first.
    fn turn(&mut self, id: u32, vocabulary: &Vocabulary, out: &mut Vec<Delta>) -> Progress {
        let rest = self.text.finish(vocabulary);
        let progress = self.write(&rest, vocabulary, out);
        let held = self.stop.finish();
        self.give(held, vocabulary, out);
        let marked = self.splitter.note(id);
        debug_assert_eq!(marked, Mark::Switch);
        progress
    }

    /// Writes a piece to the open channel; done if a stop text ended in it.
    fn write(&mut self, piece: &str, vocabulary: &Vocabulary, out: &mut Vec<Delta>) -> Progress {
        let piece = self.splitter.push(piece);
        match self.splitter.channel() {
            Channel::Reasoning if piece.is_empty() => {}
            Channel::Reasoning => out.push(Delta::Reasoning { choice: self.choice, text: piece }),
            Channel::Text => {
                self.scores.write(piece.len());
                match self.stop.push(&piece) {
                    Scanned::Open(text) => self.give(text, vocabulary, out),
                    Scanned::Stopped(text) => {
                        self.give(text, vocabulary, out);
                        return Progress::Done;
                    }
                }
            }
        }
        Progress::Open
    }

    fn end(&mut self, reason: FinishReason, vocabulary: &Vocabulary, out: &mut Vec<Delta>) -> Progress {
        let rest = self.text.finish(vocabulary);
        let reason = match self.write(&rest, vocabulary, out) {
            Progress::Done => FinishReason::Stop,
            Progress::Open => reason,
        };
        let held = self.stop.finish();
        self.give(held, vocabulary, out);
        out.push(Delta::Finish { choice: self.choice, reason });
        Progress::Done
    }

    /// Gives text, behind the log probabilities of its tokens.
    fn give(&mut self, text: String, vocabulary: &Vocabulary, out: &mut Vec<Delta>) {
        if text.is_empty() {
            return;
        }
        let choice = self.choice;
        out.extend(self.scores.give(text.len(), vocabulary).map(|value| Delta::Logprobs { choice, value }));
        out.push(Delta::Text { choice, text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GenerationConfig;
    use crate::fixtures::reference;

    fn vocabulary() -> Vocabulary {
        let files = reference("untied");
        Vocabulary::read(&files, &files.json("tokenizer_config.json").unwrap(), &GenerationConfig::read(&files).unwrap()).unwrap()
    }

    /// Thought, text and end of the tokens of `script`, with their most deltas at once.
    fn run(channel: Channel, script: &str, stops: &[&str], limit: usize) -> (String, String, Option<FinishReason>, Answer) {
        let v = vocabulary();
        let opening = Opening { channel, stops: stops.iter().map(|s| (*s).to_owned()).collect(), limit };
        let mut answer = Answer::new(0, &opening, &v);
        let (mut thought, mut text, mut end) = (String::new(), String::new(), None);
        for id in v.encode(script).unwrap() {
            let mut out = Vec::new();
            let progress = answer.push((id, None), &v, &mut out);
            assert!(out.len() < MOST_DELTAS);
            for delta in out {
                match delta {
                    Delta::Reasoning { text: t, .. } => thought.push_str(&t),
                    Delta::Text { text: t, .. } => text.push_str(&t),
                    Delta::Finish { reason, .. } => end = Some(reason),
                    other => panic!("{other:?}"),
                }
            }
            if progress == Progress::Done {
                assert!(end.is_some());
                break;
            }
        }
        (thought, text, end, answer)
    }

    #[test]
    fn thought_then_answer_then_end() {
        let (thought, text, end, answer) = run(Channel::Reasoning, "ab\n</think>\n\nxy🙂<｜end▁of▁sentence｜>zz", &[], 100);
        assert_eq!((thought.as_str(), text.as_str(), end), ("ab", "xy🙂", Some(FinishReason::Stop)));
        assert_eq!(answer.reasoning(), 4, "a, b, line break, </think>");
        assert!(answer.generated() > answer.reasoning() + 5);
    }

    #[test]
    fn stop_texts_end_the_answer_and_not_the_thought() {
        let (thought, text, end, _) = run(Channel::Text, "<think>a##b</think>c##d", &["##"], 100);
        assert_eq!((thought.as_str(), text.as_str(), end), ("a##b", "c", Some(FinishReason::Stop)));
    }

    /// Log probabilities never tell of a text that was cut off, nor of a token before its text.
    #[test]
    fn what_a_stop_text_cuts_off_has_no_log_probabilities() {
        let v = vocabulary();
        let opening = Opening { channel: Channel::Text, stops: vec!["##".to_owned()], limit: 100 };
        let (mut answer, mut told, mut text) = (Answer::new(0, &opening, &v), Vec::new(), String::new());
        for id in v.encode("a#é#b##c").unwrap() {
            let mut out = Vec::new();
            let progress = answer.push((id, Some(Scored::of(&[0.0; 320], id, 0))), &v, &mut out);
            for delta in out {
                match delta {
                    Delta::Text { text: t, .. } => text.push_str(&t),
                    Delta::Logprobs { value, .. } => {
                        let value: serde_json::Value = serde_json::from_str(value.get()).unwrap();
                        let bytes =
                            value["content"].as_array().unwrap().iter().flat_map(|e| e["bytes"].as_array().unwrap().clone());
                        told.extend(bytes.map(|b| u8::try_from(b.as_u64().unwrap()).unwrap()));
                    }
                    _ => {}
                }
            }
            if progress == Progress::Done {
                break;
            }
        }
        assert_eq!((text.as_str(), String::from_utf8(told).unwrap().as_str()), ("a#é#b", "a#é#b"));
    }

    #[test]
    fn the_limit_ends_it_and_gives_what_was_held() {
        let (_, text, end, answer) = run(Channel::Text, "ab#", &["##"], 3);
        assert_eq!((text.as_str(), end, answer.generated()), ("ab#", Some(FinishReason::Length), 3));
        let (_, text, end, _) = run(Channel::Text, "ab##", &["##"], 4);
        assert_eq!((text.as_str(), end), ("ab", Some(FinishReason::Stop)));
    }
}
