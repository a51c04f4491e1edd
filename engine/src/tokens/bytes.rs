//! The bytes of single tokens. A token may be a part of a character, which no text can show.
//!
//! Apart because byte-level tokenizers write bytes as letters of their own. It must not know sequences of tokens.

use std::collections::{BTreeSet, HashMap};

use tokenizers::{DecoderWrapper, Tokenizer};

/// How the tokens of a vocabulary are written.
#[derive(Debug)]
pub(super) struct ByteLetters {
    /// Letters of a byte-level vocabulary to the bytes that they stand for; `None` for a vocabulary of another kind.
    letters: Option<HashMap<char, u8>>,
    /// Tokens that were added to it: they are their text.
    added: BTreeSet<u32>,
}

impl ByteLetters {
    /// Looks at how the tokenizer decodes.
    pub(super) fn of(tokenizer: &Tokenizer) -> Self {
        let is_byte_level = |decoder: &DecoderWrapper| match decoder {
            DecoderWrapper::ByteLevel(_) => true,
            DecoderWrapper::Sequence(all) => all.get_decoders().iter().any(|d| matches!(d, DecoderWrapper::ByteLevel(_))),
            _ => false,
        };
        let letters = tokenizer.get_decoder().is_some_and(is_byte_level).then(letters);
        Self { letters, added: tokenizer.get_added_tokens_decoder().into_keys().collect() }
    }

    /// Whether tokens stand for bytes.
    pub(super) fn is_byte_level(&self) -> bool {
        self.letters.is_some()
    }

    /// Whether the token was added to the vocabulary.
    pub(super) fn is_added(&self, id: u32) -> bool {
        self.added.contains(&id)
    }

    /// The bytes of a token, given as it stands in the vocabulary; `None` if that does not say.
    pub(super) fn bytes(&self, id: u32, token: &str) -> Option<Vec<u8>> {
        if self.added.contains(&id) {
            return Some(token.as_bytes().to_vec());
        }
        let letters = self.letters.as_ref()?;
        token.chars().map(|letter| letters.get(&letter).copied()).collect()
    }
}

/// GPT-2's table: bytes that are visible in Latin-1 are themselves, the others follow from U+0100 on, in their order.
fn letters() -> HashMap<char, u8> {
    let visible = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let (shown, hidden): (Vec<u8>, Vec<u8>) = (0..=u8::MAX).partition(visible);
    let hidden = ('\u{100}'..).zip(hidden);
    shown.into_iter().map(|byte| (char::from(byte), byte)).chain(hidden).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_gpt_2() {
        let letters = letters();
        assert_eq!(letters.len(), 256);
        let known = [('!', 0x21), ('Ġ', 0x20), ('Ċ', 0x0a), ('Ā', 0x00), ('ÿ', 0xff), ('Ń', 0xad), ('ġ', 0x7f)];
        assert!(known.iter().all(|(letter, byte)| letters.get(letter) == Some(byte)));
    }
}
