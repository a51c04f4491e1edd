//! What every term begins with, as regular expressions for the host: it asks only about texts in which one of them matches.
//!
//! It is apart because it says roughly, in another language, what the scan says exactly: an expression may match where no term
//! begins, but never fails where a walk would find a term or the beginning of one. Ordinary text is ASCII; whatever is not is left
//! to the scan. It must not know how a term may be spaced, beyond what no term outlives.

use crate::block::Set;
use crate::fold::{WRITTEN, place};
use crate::terms::{JOINT, ROOT, Terms};
use crate::tokens::WIDEST;

/// A character that no expression here speaks of.
const OTHER: &str = r"[^\x00-\x7F]";
/// What may part two letters of a term, besides that the first is drawn out: signs, whatever they stand for, and white space.
const GAP: &str = r"+[\x00-/:-@\[-`{-\x7F]{0,4}";
const _: () = assert!(WIDEST == 4, "as the gap says");
/// The edge of a word, of which an underscore is no part.
const EDGE: &str = r"(?:(?-u:\b{start-half})|_)";
/// Most expressions of three letters; where terms need more, two letters have to do.
const MOST: usize = 256;

/// The expressions for these terms.
pub fn patterns(terms: &Terms) -> Vec<String> {
    let writer = Writer { terms };
    let mut patterns = writer.all(Writer::of_three);
    if patterns.len() > MOST {
        patterns = writer.all(Writer::of_two);
    }
    patterns.push(OTHER.to_owned());
    patterns
}

struct Writer<'a> {
    terms: &'a Terms,
}

impl Writer<'_> {
    fn all(&self, write: fn(&Self, &str, u32, &mut Vec<String>)) -> Vec<String> {
        let mut patterns = Vec::new();
        for (letter, node) in self.letters(ROOT) {
            let Some(first) = written(letter) else { continue };
            let edge = if self.terms.any_open() { "" } else { EDGE };
            let begun = with_class(edge, first);
            if self.terms.end(node).is_some() { patterns.push(begun) } else { write(self, &begun, node, &mut patterns) }
        }
        patterns
    }

    /// The second letter, and all that may come third.
    fn of_three(&self, begun: &str, node: u32, patterns: &mut Vec<String>) {
        for (letter, node) in self.letters(node) {
            let Some(second) = written(letter) else { continue };
            let begun = with_class(&[begun, GAP].concat(), second);
            if self.terms.end(node).is_some() { patterns.push(begun) } else { self.of_two(&begun, node, patterns) }
        }
    }

    /// All that may come next.
    fn of_two(&self, begun: &str, node: u32, patterns: &mut Vec<String>) {
        let next = self.letters(node).iter().filter_map(|(letter, _)| written(*letter)).fold(Set::EMPTY, Set::or);
        if next != Set::EMPTY {
            patterns.push(with_class(&[begun, GAP].concat(), next));
        }
    }

    /// The letters that may follow; that a word of the term ends between is a gap like any other.
    fn letters(&self, node: u32) -> Vec<(char, u32)> {
        let mut letters: Vec<(char, u32)> = self.terms.children(node).collect();
        if let Some(joint) = letters.iter().position(|(letter, _)| *letter == JOINT) {
            let (_, joint) = letters.swap_remove(joint);
            letters.extend(self.terms.children(joint));
        }
        letters
    }
}

/// The ASCII characters that may stand for a letter; none for a letter that only other characters stand for.
fn written(letter: char) -> Option<Set> {
    place(letter).map(|place| WRITTEN[place])
}

/// An expression, and after it any character of a set.
fn with_class(expression: &str, set: Set) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = expression.to_owned();
    out.push('[');
    for byte in (0..0x80).filter(|&byte| set.has(byte)) {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            out.push_str(r"\x");
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out.push(']');
    out
}
