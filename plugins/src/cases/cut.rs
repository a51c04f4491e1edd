//! Cutting a text as a stream might: anywhere between two characters.
//!
//! Apart because it is pure, and the same seed must always cut alike: a failure that was seen once is seen again. It must not know what
//! is in the text.

/// The pieces of a text, cut at places that follow from a seed: at least one piece, none of more than 40 characters.
pub fn cut(text: &str, seed: u64) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    // xorshift64, <https://www.jstatsoft.org/article/view/v008i14>: no chance in tests.
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let longest = 1 + seed % 40;
    let (mut chunks, mut rest) = (Vec::new(), characters.as_slice());
    while !rest.is_empty() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let length = 1 + usize::try_from(state % longest).unwrap_or(0);
        let (piece, after) = rest.split_at(length.min(rest.len()));
        chunks.push(piece.iter().collect());
        rest = after;
    }
    if chunks.is_empty() { vec![String::new()] } else { chunks }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_text_and_the_same_seed_cuts_alike() {
        let text = "e\u{301} 🙂 and some words that are long enough to be cut in several places";
        for seed in 0..80 {
            assert_eq!(cut(text, seed).concat(), text);
            assert_eq!(cut(text, seed), cut(text, seed));
        }
        assert_eq!(cut(text, 0).len(), text.chars().count(), "the first seed cuts everywhere");
        assert_eq!(cut("", 7), [""]);
    }
}
