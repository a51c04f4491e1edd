//! Names the places of a text where a term may begin, so that the rest need not be cut into tokens.
//!
//! It is apart because it judges bytes, and roughly: it may name places where no term begins, never leave out one where a walk
//! would find a term or the beginning of one. Ordinary text is ASCII, and there a byte and the one before it nearly always tell. It must
//! not know how a term may be spaced, beyond what no term outlives.
//!
//! A character beyond ASCII may make a token of the letters before it or after it that has no word boundary. No token reaches over
//! white space: so a word that has such a character is named from end to end, for its tokens to tell.

use core::ops::Range;

use crate::fold::{Kind, Letters, ascii};
use crate::terms::{BEGINS, JOINT, ROOT, Terms};
use crate::tokens::WIDEST;

/// Most bytes that are named at once: a script without gaps may be one word from beginning to end, whose tokens take memory.
const PIECE: usize = 1024;

/// The places of one text, in order.
pub struct Starts<'a> {
    terms: &'a Terms,
    text: &'a str,
    /// The byte that is looked at next.
    at: usize,
    /// Where the words that are all ASCII end.
    plain: usize,
    /// Where the word that follows them ends.
    close: usize,
}

impl Iterator for Starts<'_> {
    /// A byte, or a word or a piece of a long one.
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        while self.at < self.text.len() {
            if self.at < self.plain {
                if let Some(at) = self.next_plain() {
                    return Some(at..at + 1);
                }
            } else if self.at < self.close {
                let from = self.at;
                self.at = self.close.min(from + PIECE);
                return Some(from..self.at);
            } else {
                self.divide();
            }
        }
        None
    }
}

impl<'a> Starts<'a> {
    /// Of a text.
    pub fn new(terms: &'a Terms, text: &'a str) -> Self {
        Self { terms, text, at: 0, plain: 0, close: 0 }
    }

    /// Finds the next word that has a character beyond ASCII.
    fn divide(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        let other = ascii_up_to(rest);
        let space = |byte: &u8| byte.is_ascii_whitespace();
        let word = if other == rest.len() { other } else { rest[..other].iter().rposition(space).map_or(0, |it| it + 1) };
        self.plain = self.at + word;
        self.close = self.at + rest[other..].iter().position(space).map_or(rest.len(), |it| other + it);
    }

    /// A term begins at a letter that is its first, and at the edge of a word unless it may begin inside of one.
    fn next_plain(&mut self) -> Option<usize> {
        let bytes = &self.text.as_bytes()[..self.plain];
        let flags = self.terms.flags();
        let open = if self.terms.any_open() { BEGINS } else { 0 };
        let mut here = self.at.checked_sub(1).map_or(BEGINS, |before| flags[bytes[before] as usize] >> 1) | open;
        for (at, &byte) in bytes.iter().enumerate().skip(self.at) {
            let it = flags[byte as usize];
            if it & here != 0 && self.leads_on(at) {
                self.at = at + 1;
                return Some(at);
            }
            here = it >> 1 | open;
        }
        self.at = self.plain;
        None
    }

    /// Whether what begins at this ASCII character may be a term, as far as that is easily seen.
    fn leads_on(&self, at: usize) -> bool {
        let Some((letters, _)) = at_most(self.text.as_bytes()[at]) else { return false };
        letters.iter().filter_map(|&letter| self.terms.child(ROOT, letter)).any(|node| self.goes_on(node, letters[0], at + 1))
    }

    /// Follows plain letters and gaps. Whatever is not that simple is left to a walk: the end of a word of a term or of the text,
    /// letters that may be drawn out, signs, digits that may be several letters of terms, what is beyond ASCII.
    fn goes_on(&self, mut node: u32, mut last: char, from: usize) -> bool {
        let (mut width, mut settled) = (0, true);
        for &byte in &self.text.as_bytes()[from..] {
            if settled && (self.terms.end(node).is_some() || self.terms.child(node, JOINT).is_some()) || !byte.is_ascii() {
                return true;
            }
            settled = false;
            let Some((letters, kind)) = at_most(byte) else {
                if width == WIDEST {
                    return false;
                }
                width += 1;
                continue;
            };
            if kind == Kind::Sign || letters[0] == last {
                return true;
            }
            let mut next = letters.iter().filter_map(|&letter| self.terms.child(node, letter));
            node = match (next.next(), next.next()) {
                (None, _) => return false,
                (Some(node), None) => node,
                _ => return true,
            };
            (last, width, settled) = (letters[0], 0, true);
        }
        true
    }
}

/// What an ASCII character is at most: an `I` may be an `l`, whatever stands before it.
#[inline]
fn at_most(byte: u8) -> Option<(Letters, Kind)> {
    if byte == b'I' { Some((['i', 'l', '\0'], Kind::Letter)) } else { ascii(byte as char) }
}

/// How many bytes at the beginning are ASCII.
fn ascii_up_to(bytes: &[u8]) -> usize {
    let blocks = bytes.chunks(32).take_while(|it| it.is_ascii()).count();
    let sure = bytes.len().min(blocks * 32);
    bytes[sure..].iter().position(|byte| !byte.is_ascii()).map_or(bytes.len(), |it| sure + it)
}
