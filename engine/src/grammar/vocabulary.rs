//! A model's tokens as llguidance wants them: their bytes, and what a text is written with.
//!
//! Apart because it is llguidance's trait. It must not know grammars. Tokens that were added to the vocabulary (`<think>`, `<｜User｜>`)
//! are marks, not text: no text of a grammar can be written with them, only what names the token.

use std::sync::Arc;

use llguidance::toktrie::{TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use crate::tokens::Vocabulary;

/// All tokens of a model.
pub(super) struct Tokens {
    vocabulary: Arc<Vocabulary>,
    trie: TokTrie,
}

impl Tokens {
    /// The vocabulary must have a token that ends an answer.
    pub(super) fn new(vocabulary: Arc<Vocabulary>) -> Self {
        let ids = 0..u32::try_from(vocabulary.size()).unwrap_or(u32::MAX);
        let bytes = |id| {
            let bytes = vocabulary.bytes(id);
            if vocabulary.is_mark(id) { [&[TokTrie::SPECIAL_TOKEN_MARKER][..], &bytes].concat() } else { bytes }
        };
        let words: Vec<Vec<u8>> = ids.map(bytes).collect();
        let end = vocabulary.eos().first().copied().unwrap_or_default();
        let info = TokRxInfo::new(u32::try_from(words.len()).unwrap_or(u32::MAX), end);
        let trie = TokTrie::from(&info, &words).with_eos_tokens(vocabulary.eos());
        Self { vocabulary, trie }
    }

    /// As the model would write it, unless that changes the text or takes a mark for it.
    fn written(&self, text: &str) -> Vec<TokenId> {
        let ids = self.vocabulary.encode(text).unwrap_or_default();
        if self.trie.decode_raw(&ids) == text.as_bytes() { ids } else { self.trie.greedy_tokenize(text.as_bytes()) }
    }
}

impl TokenizerEnv for Tokens {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.tokenize_with_greedy_fallback(bytes, |text| self.written(text))
    }
}
