//! Words for how much a model shall think, from the least to the most.
//!
//! Apart because each dialect has some of them, and each model takes some of those. It must not know which.

/// Not at all.
pub(crate) const NONE: &str = "none";
const ORDER: [&str; 7] = [NONE, "minimal", "low", "medium", "high", "xhigh", "max"];

/// Of the words that a model takes, the one that comes nearest to what was asked for without being more, or else the least. Who asks for
/// thought gets some. A word that nobody knows has no neighbours.
pub(crate) fn nearest<'a>(wanted: &str, known: &'a [impl AsRef<str>]) -> Option<&'a str> {
    let rank = |word: &str| ORDER.iter().position(|known| *known == word);
    if let Some(same) = known.iter().map(AsRef::as_ref).find(|word| *word == wanted) {
        return Some(same);
    }
    let wanted = rank(wanted)?;
    let mut ranked: Vec<(usize, &str)> = known.iter().map(AsRef::as_ref).filter_map(|word| Some((rank(word)?, word))).collect();
    ranked.retain(|(_, word)| wanted == 0 || *word != NONE);
    ranked.sort_unstable();
    let below = ranked.iter().rev().find(|(rank, _)| *rank <= wanted);
    below.or(ranked.first()).map(|(_, word)| *word)
}

/// What a budget of tokens is in a word.
pub(crate) const fn of_budget(tokens: u64) -> &'static str {
    match tokens {
        0..=2048 => "low",
        2049..=8192 => "medium",
        _ => "high",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_thought_gets_as_much_as_there_is_a_word_for() {
        let table: [(&str, &[&str], Option<&str>); 8] = [
            ("high", &["low", "high"], Some("high")),
            ("xhigh", &["low", "medium", "high"], Some("high")),
            ("medium", &["low", "high"], Some("low")),
            ("minimal", &["none", "low", "medium"], Some("low")),
            ("none", &["none", "low"], Some("none")),
            ("none", &["minimal", "low"], Some("minimal")),
            ("novel", &["low", "novel"], Some("novel")),
            ("novel", &["low"], None),
        ];
        for (wanted, known, found) in table {
            assert_eq!(nearest(wanted, known), found, "{wanted} of {known:?}");
        }
        assert_eq!([1024, 2048, 8000, 9000].map(of_budget), ["low", "low", "medium", "high"]);
    }
}
