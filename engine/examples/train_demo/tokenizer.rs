//! Makes the tokenizer: bytes, a few hundred frequent pieces, single digits, and R1's own tokens by their strings.
//! Apart, because it is made once, before training. It must not know about tensors.

use crate::Failure;
use crate::demo_data::dialogue::{self, BOS, EOS};
use crate::demo_data::rng::Rng;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::{byte_level::ByteLevel, digits::Digits, sequence::Sequence};
use tokenizers::{AddedToken, PreTokenizerWrapper, Tokenizer};

/// Tokens that are hidden from the text.
const SPECIAL: &[&str] = &[BOS, EOS, dialogue::USER, dialogue::ASSISTANT];
/// Tokens that are part of the text.
const MARKS: &[&str] = &[
    "<think>",
    "</think>",
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁call▁begin｜>",
    "<｜tool▁sep｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁calls▁end｜>",
    "<｜tool▁outputs▁begin｜>",
    "<｜tool▁output▁begin｜>",
    "<｜tool▁output▁end｜>",
    "<｜tool▁outputs▁end｜>",
];
/// Bytes and merged pieces.
const PIECES: usize = 1024 - 15;
/// How many conversations the pieces are learnt from.
const CONVERSATIONS: u64 = 12_000;

/// Learns the pieces from conversations made with the seed.
pub(crate) fn make(seed: u64) -> Result<Tokenizer, Failure> {
    let mut tokenizer = Tokenizer::new(BPE::default());
    let bytes = ByteLevel::new(false, true, true);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![
        PreTokenizerWrapper::Digits(Digits::new(true)),
        PreTokenizerWrapper::ByteLevel(bytes),
    ])));
    tokenizer.with_decoder(Some(bytes));
    let mut trainer: tokenizers::models::TrainerWrapper = BpeTrainer::builder()
        .vocab_size(PIECES)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build()
        .into();
    let texts = (0..CONVERSATIONS).flat_map(|i| {
        let made = dialogue::sample(&mut Rng::new(seed, 1 << 40 | i));
        let plain = |text: String| SPECIAL.iter().chain(MARKS).fold(text, |t, mark| t.replace(mark, " "));
        [plain(made.prompt), plain(made.completion)]
    });
    tokenizer.train(&mut trainer, texts)?;
    let added = |text: &&str| AddedToken::from(text.to_string(), true).normalized(false);
    tokenizer.add_special_tokens(SPECIAL.iter().map(added).collect::<Vec<_>>())?;
    let added = |text: &&str| AddedToken::from(text.to_string(), false).normalized(false);
    tokenizer.add_tokens(MARKS.iter().map(added).collect::<Vec<_>>())?;
    Ok(tokenizer)
}

/// The ids of a text in which special tokens are written out.
pub(crate) fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, Failure> {
    Ok(tokenizer.encode_fast(text, false)?.get_ids().to_vec())
}
