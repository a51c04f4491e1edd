//! Text to token ids and back: the model's tokenizer, its special ids, and text that streams without ever cutting a character.
//!
//! Apart because only here are ids and text the same thing. Special ids are looked up by their text when a model is loaded; no id
//! is written in code. It must not know sampling or channels.

mod bytes;

use serde_json::Value;
use tokenizers::Tokenizer;

use crate::config::GenerationConfig;
use crate::error::EngineError;
use crate::options::ModelFiles;
use bytes::ByteLetters;

/// Ids of the tokens around a thought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThinkIds {
    pub(crate) open: u32,
    pub(crate) close: u32,
}

/// The texts of those tokens.
pub(crate) const THINK_OPEN: &str = "<think>";
pub(crate) const THINK_CLOSE: &str = "</think>";

/// A model's tokenizer and the ids that mean something to the engine.
pub(crate) struct Vocabulary {
    tokenizer: Tokenizer,
    letters: ByteLetters,
    eos: Vec<u32>,
    think: Option<ThinkIds>,
    /// What ends a thought, as models write it.
    closing: Vec<u32>,
    /// Bytes of the longest token.
    longest: usize,
    size: usize,
}

/// How much shorter Unicode's normal form C can make a text.
const COMPOSING: usize = 3;

impl Vocabulary {
    /// Reads tokenizer.json; the ids that end an answer are `eos_token` of tokenizer_config.json and those of
    /// generation_config.json.
    pub(crate) fn read(files: &ModelFiles, special: &Value, generation: &GenerationConfig) -> Result<Self, EngineError> {
        let file = "tokenizer.json";
        let fault = |what: String| EngineError::load(format!("{}: {what}", files.name(file)));
        let mut tokenizer = Tokenizer::from_bytes(&*files.require(file)?).map_err(|e| fault(e.to_string()))?;
        tokenizer.with_truncation(None).map_err(|e| fault(e.to_string()))?;
        tokenizer.with_padding(None);
        let mut eos = generation.eos();
        if let Some(text) = special_text(special, "eos_token") {
            let id = tokenizer.token_to_id(&text).ok_or_else(|| fault(format!("has no token `{text}` (eos_token)")))?;
            eos.push(id);
        }
        let think = match (tokenizer.token_to_id(THINK_OPEN), tokenizer.token_to_id(THINK_CLOSE)) {
            (Some(open), Some(close)) => Some(ThinkIds { open, close }),
            _ => None,
        };
        let all = tokenizer.get_vocab(true);
        let longest = all.keys().map(String::len).max().unwrap_or(1).max(1);
        let size = all.values().max().map_or(0, |id| *id as usize + 1);
        // generation_config.json may name ids that no token has.
        eos.retain(|id| (*id as usize) < size);
        eos.sort_unstable();
        eos.dedup();
        let letters = ByteLetters::of(&tokenizer);
        let closing = think.map(|think| closing(&tokenizer, think)).unwrap_or_default();
        Ok(Self { tokenizer, letters, eos, think, closing, longest, size })
    }

    /// The ids of a rendered prompt. Special tokens in the text become their ids; none are added: the template writes them.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, EngineError> {
        let encoding = self.tokenizer.encode_fast(text, false);
        encoding
            .map(|e| e.get_ids().to_vec())
            .map_err(|e| EngineError::unsupported("messages", format!("cannot be tokenised: {e}")))
    }

    /// Tokens that a text comes to at least, without tokenising it: no token stands for more bytes than it is written with, and what
    /// normalising composes shrinks to a third at most.
    pub(crate) fn least_tokens(&self, text: &str) -> usize {
        text.len() / (COMPOSING * self.longest)
    }

    /// One more than the greatest id.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The ids that end an answer, in order.
    pub(crate) fn eos(&self) -> &[u32] {
        &self.eos
    }

    /// Whether tokens stand for bytes, so that what each writes does not depend on what stands before it.
    pub(crate) fn is_byte_level(&self) -> bool {
        self.letters.is_byte_level()
    }

    /// Whether the token was added to the vocabulary: a mark, and no piece of text.
    pub(crate) fn is_mark(&self, id: u32) -> bool {
        self.letters.is_added(id)
    }

    /// The one token that is this text.
    pub(crate) fn token(&self, text: &str) -> Option<u32> {
        self.tokenizer.token_to_id(text)
    }

    /// Whether the id ends an answer.
    pub(crate) fn ends(&self, id: u32) -> bool {
        self.eos.binary_search(&id).is_ok()
    }

    /// Ids around a thought, if the model has them.
    pub(crate) fn think(&self) -> Option<ThinkIds> {
        self.think
    }

    /// The tokens that close a thought for a model that would go on; none if it has no thoughts.
    pub(crate) fn closing(&self) -> &[u32] {
        &self.closing
    }

    /// What models write between a thought and the answer to it.
    pub(crate) fn answering(&self) -> &[u32] {
        let close = self.think.and_then(|think| self.closing.iter().position(|id| *id == think.close));
        close.and_then(|at| self.closing.get(at + 1..)).unwrap_or_default()
    }

    /// What the token writes, which may be a part of a character only.
    pub(crate) fn bytes(&self, id: u32) -> Vec<u8> {
        let token = self.tokenizer.id_to_token(id).unwrap_or_default();
        self.letters.bytes(id, &token).unwrap_or_else(|| self.decode(&[id]).into_bytes())
    }

    fn decode(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids, true).unwrap_or_default()
    }
}

fn closing(tokenizer: &Tokenizer, think: ThinkIds) -> Vec<u32> {
    let written = tokenizer.encode_fast(format!("\n{THINK_CLOSE}\n\n"), false);
    let ids = written.map(|e| e.get_ids().to_vec()).unwrap_or_default();
    if ids.contains(&think.close) { ids } else { vec![think.close] }
}

/// A special token's text: a string, or an object with `content`.
pub(crate) fn special_text(config: &Value, name: &str) -> Option<String> {
    let field = config.get(name)?;
    field.as_str().or_else(|| field.get("content")?.as_str()).map(str::to_owned)
}

/// Ids to text, a token at a time. What it has given never changes: a character whose bytes are not all there is held back, and
/// the pieces add up to the text of the whole.
#[derive(Debug, Default)]
pub(crate) struct TextStream {
    window: Vec<u32>,
    /// Ids at the start of `window` whose text was given; kept because some tokenizers decode the first token differently.
    context: usize,
    /// Bytes of the window's text that were given.
    given: usize,
}

/// What a decoder writes for bytes that are no character (yet).
const BROKEN: char = char::REPLACEMENT_CHARACTER;
/// Bytes of a character that can be there without being one.
const MOST_BROKEN: usize = 3;

impl TextStream {
    /// Whether no character is begun and not ended.
    pub(crate) fn is_whole(&self) -> bool {
        self.context == self.window.len()
    }

    /// The text that the id completes.
    pub(crate) fn push(&mut self, vocabulary: &Vocabulary, id: u32) -> String {
        self.window.push(id);
        let text = vocabulary.decode(&self.window);
        let broken = text.chars().rev().take_while(|c| *c == BROKEN).count().min(MOST_BROKEN);
        let stable = text.len() - broken * BROKEN.len_utf8();
        let piece = text.get(self.given..stable).unwrap_or_default().to_owned();
        self.given = self.given.max(stable);
        if broken == 0 {
            self.window.drain(..self.context);
            self.context = self.window.len();
            self.given = vocabulary.decode(&self.window).len();
        }
        piece
    }

    /// What is left when no more ids come.
    pub(crate) fn finish(&mut self, vocabulary: &Vocabulary) -> String {
        let text = vocabulary.decode(&std::mem::take(&mut self.window));
        let piece = text.get(self.given..).unwrap_or_default().to_owned();
        *self = Self::default();
        piece
    }
}

#[cfg(test)]
mod tests {
    mod real;

    use proptest::prelude::*;

    use super::*;
    use crate::fixtures::reference;

    fn vocabulary() -> Vocabulary {
        let files = reference("untied");
        Vocabulary::read(&files, &files.json("tokenizer_config.json").unwrap(), &GenerationConfig::read(&files).unwrap()).unwrap()
    }

    fn streamed(vocabulary: &Vocabulary, ids: &[u32]) -> String {
        let mut stream = TextStream::default();
        let mut text: String = ids.iter().map(|id| stream.push(vocabulary, *id)).collect();
        text.push_str(&stream.finish(vocabulary));
        text
    }

    #[test]
    fn special_ids_are_found_by_their_text() {
        let v = vocabulary();
        assert_eq!(v.think(), Some(ThinkIds { open: 318, close: 319 }));
        assert!(v.ends(315) && !v.ends(314));
        assert_eq!(v.size(), 320);
        assert_eq!(v.encode("<｜begin▁of▁sentence｜><think>").unwrap(), [314, 318]);
    }

    #[test]
    fn ids_that_no_token_has_end_nothing() {
        let files = reference("untied");
        let generation = serde_json::from_str(r#"{"eos_token_id": [320, 314, 4294967295]}"#).unwrap();
        let v = Vocabulary::read(&files, &files.json("tokenizer_config.json").unwrap(), &generation).unwrap();
        assert_eq!(v.eos(), [314, 315]);
        assert!(v.ends(314) && !v.ends(320));
    }

    #[test]
    fn a_character_comes_whole() {
        let v = vocabulary();
        let ids = v.encode("a🙂b").unwrap();
        assert!(ids.len() > 4, "the tiny vocabulary has no token for the emoji");
        let mut stream = TextStream::default();
        let pieces: Vec<String> = ids.iter().map(|id| stream.push(&v, *id)).filter(|p| !p.is_empty()).collect();
        assert_eq!(pieces, ["a", "🙂", "b"]);
    }

    #[test]
    fn the_least_number_of_tokens_is_never_above_the_true_one() {
        let v = vocabulary();
        let longest = v.tokenizer.get_vocab(true).into_keys().max_by_key(String::len).unwrap();
        for text in ["", "a", "What is 47 + 85?", &longest.repeat(50), &"\u{1112}\u{1161}\u{11ab}".repeat(90)] {
            assert!(v.least_tokens(text) <= v.encode(text).unwrap().len(), "{text}");
        }
        assert!(v.least_tokens(&longest.repeat(50)) >= 50 / COMPOSING);
    }

    #[test]
    fn bytes_of_tokens_add_up_to_the_text() {
        let v = vocabulary();
        let text = "Größe, 数学 🙂\n<think>";
        let bytes: Vec<u8> = v.encode(text).unwrap().into_iter().flat_map(|id| v.bytes(id)).collect();
        assert_eq!(bytes, text.as_bytes());
    }

    proptest! {
        #[test]
        fn pieces_add_up_to_the_whole(ids in proptest::collection::vec(0u32..314, 0..80)) {
            let v = vocabulary();
            prop_assert_eq!(streamed(&v, &ids), v.decode(&ids));
        }

        #[test]
        fn text_survives_the_way_there_and_back(text in "\\PC{0,40}") {
            let v = vocabulary();
            let ids = v.encode(&text).unwrap();
            prop_assume!(ids.iter().all(|id| *id < 314));
            prop_assert_eq!(streamed(&v, &ids), text);
        }
    }
}
