//! Literals of a manifest: whether a text has one of them, and whether one may be beginning at its end.
//!
//! It is apart because two things rest on it: a guest is not called for a text in which it has nothing to say, and yet no literal
//! that a stream cuts in two is missed. It must not know guests or windows.

use aho_corasick::{AhoCorasick, BuildError};

/// What a plugin looks for. The case of ASCII letters is ignored.
#[derive(Debug)]
pub(crate) struct Literals {
    finder: AhoCorasick,
    list: Vec<Box<[u8]>>,
    /// By byte, whether a literal begins with it.
    first: [bool; 256],
    longest: usize,
}

impl Literals {
    /// Of at least one literal, none of them empty.
    ///
    /// # Errors
    /// When they are too many or too long together.
    pub(crate) fn new(list: &[String]) -> Result<Self, BuildError> {
        let finder = AhoCorasick::builder().ascii_case_insensitive(true).build(list)?;
        let list: Vec<Box<[u8]>> = list.iter().map(|literal| literal.as_bytes().into()).collect();
        let mut first = [false; 256];
        for byte in list.iter().filter_map(|literal| literal.first()) {
            first[usize::from(byte.to_ascii_lowercase())] = true;
            first[usize::from(byte.to_ascii_uppercase())] = true;
        }
        let longest = list.iter().map(|literal| literal.len()).max().unwrap_or(0);
        Ok(Self { finder, list, first, longest })
    }

    /// Whether one stands in the text. Its first `clear` bytes are known to have none.
    pub(crate) fn stand_in(&self, text: &str, clear: usize) -> bool {
        let from = (clear + 1).saturating_sub(self.longest).min(text.len());
        self.finder.is_match(&text.as_bytes()[from..])
    }

    /// The first byte from which the rest of the text is the beginning of a literal, and not all of it.
    pub(crate) fn begin_in(&self, text: &str) -> Option<usize> {
        let bytes = text.as_bytes();
        let from = (bytes.len() + 1).saturating_sub(self.longest);
        (from..bytes.len()).find(|at| self.first[usize::from(bytes[*at])] && self.is_beginning(&bytes[*at..]))
    }

    fn is_beginning(&self, rest: &[u8]) -> bool {
        let begins = |literal: &[u8]| literal.len() > rest.len() && literal[..rest.len()].eq_ignore_ascii_case(rest);
        self.list.iter().any(|literal| begins(literal))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn literals(list: &[&str]) -> Literals {
        Literals::new(&list.iter().map(|literal| (*literal).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_literal_is_found_in_any_case() {
        let literals = literals(&["sk-", "earer ", "é-"]);
        assert!(literals.stand_in("Authorization: BEARER x", 0));
        assert!(!literals.stand_in("sk_ earer", 0));
        let text = "a café é-";
        assert!((0..text.len()).all(|clear| literals.stand_in(text, clear)), "it ends behind what is clear");
    }

    #[test]
    fn a_beginning_is_found_where_it_is_longest() {
        let literals = literals(&["-----BEGIN ", "sk-", "é-"]);
        for (text, at) in [
            ("", None),
            ("task", Some(2)),
            ("disk ", None),
            ("a S", Some(2)),
            ("sk-", Some(2)),
            ("sk-x", None),
            ("a -----beg", Some(2)),
            ("-------", Some(2)),
            ("café", Some(3)),
            ("cafe", None),
        ] {
            assert_eq!(literals.begin_in(text), at, "{text}");
        }
    }

    #[test]
    fn wherever_a_literal_is_cut_its_beginning_is_found() {
        let literals = literals(&["AKIA", "github_pat_", "xox-é-"]);
        for literal in ["AKIA", "github_pat_", "xox-é-"] {
            for at in (1..literal.len()).filter(|at| literal.is_char_boundary(*at)) {
                let text = format!("before {}", &literal[..at]);
                assert_eq!(literals.begin_in(&text), Some(7), "{text}");
            }
        }
    }
}
