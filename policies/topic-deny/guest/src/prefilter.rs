//! What every term begins with, as regular expressions for the host: it asks only about texts in which one of them matches.
//!
//! It is apart because it says roughly, in another language, what the scan says exactly: an expression may match where no term
//! begins, but never fails where a walk would find a term or the beginning of one. Ordinary text is ASCII; whatever is not is left
//! to the scan. The host shows JSON as it is on the wire, where `escapes` reads what is written as an escape: such texts must not be
//! kept from it either. It must not know how a term may be spaced, beyond what no term outlives.

use crate::block::Set;
use crate::fold::{WRITTEN, place};
use crate::terms::{JOINT, ROOT, Terms};
use crate::tokens::WIDEST;

/// A character that no expression here speaks of.
const OTHER: &str = r"[^\x00-\x7F]";
/// An escape that may stand for a letter. What is an escape for no reason but that somebody must, such as a line end, does not.
const ESCAPED: &str = r"\\u(?:[1-9A-Fa-f][0-9A-Fa-f]{3}|0[1-9A-Fa-f][0-9A-Fa-f]{2}|00(?:[4-9A-Fa-f][0-9A-Fa-f]|3[0-9]|2[148Bb]))";
/// What may part two letters of a term, besides that the first is drawn out: signs, whatever they stand for, and white space.
const GAP: &str = r"+[\x00-/:-@\[-`{-\x7F]{0,4}";
const _: () = assert!(WIDEST == 4, "as the gap says");
/// An escape that stands for a part of a gap.
const GAP_ESCAPED: &str = r#"\\["/\\bfnrtu]"#;
/// The edge of a word, of which an underscore is no part, nor what belongs to an escape.
const EDGE: &str = r"(?:(?-u:\b{start-half})|_|\\[bfnrt]|\\u[0-9A-Fa-f]{4})";
/// Most pairs of a first and a second letter for which there are expressions of three; where terms have more, two have to do.
const MOST: usize = 256;
/// Longest expression that is made longer still.
const ROOM: usize = 300;

/// The expressions for these terms.
pub fn patterns(terms: &Terms) -> Vec<String> {
    let writer = Writer { terms };
    let pairs: usize = writer.letters(ROOT).iter().map(|(_, node)| writer.letters(*node).len()).sum();
    let mut patterns = writer.all(if pairs > MOST { Writer::of_two } else { Writer::of_three });
    patterns.extend(writer.escapes());
    patterns.extend([OTHER.to_owned(), ESCAPED.to_owned()]);
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
            let begun = with_class(self.edge(), first);
            if self.terms.end(node).is_some() { patterns.push(begun) } else { write(self, &begun, node, &mut patterns) }
        }
        patterns
    }

    fn edge(&self) -> &'static str {
        if self.terms.any_open() { "" } else { EDGE }
    }

    /// Terms whose first letters an escape parts, as far as their first and second letters tell.
    fn escapes(&self) -> Option<String> {
        let all = |letters: &[(char, u32)]| letters.iter().filter_map(|(letter, _)| written(*letter)).fold(Set::EMPTY, Set::or);
        let first = self.letters(ROOT);
        let second: Vec<(char, u32)> = first.iter().flat_map(|(_, node)| self.letters(*node)).collect();
        let (first, second) = (all(&first), all(&second));
        let begun = (first != Set::EMPTY).then(|| [with_class(self.edge(), first).as_str(), GAP].concat())?;
        let more = if second == Set::EMPTY { String::new() } else { ["(?:", &with_class("", second), GAP, ")?"].concat() };
        Some([&begun, more.as_str(), GAP_ESCAPED].concat())
    }

    /// The second letter, and all that may come third. What they have in common is written once, as far as there is room: the host
    /// bounds what all expressions come to.
    fn of_three(&self, begun: &str, node: u32, patterns: &mut Vec<String>) {
        let begun = [begun, GAP, "(?:"].concat();
        let mut branches = Vec::new();
        for (letter, node) in self.letters(node) {
            let Some(second) = written(letter) else { continue };
            let second = with_class("", second);
            if self.terms.end(node).is_some() { branches.push(second) } else { self.of_two(&second, node, &mut branches) }
        }
        let mut rest = branches.into_iter().peekable();
        while let Some(mut pattern) = rest.next().map(|first| [&begun, first.as_str()].concat()) {
            while let Some(next) = rest.next_if(|_| pattern.len() < ROOM) {
                pattern.push('|');
                pattern.push_str(&next);
            }
            pattern.push(')');
            patterns.push(pattern);
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
