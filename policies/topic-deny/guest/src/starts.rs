//! Names the places of a text where a term may begin, so that the rest need not be cut into tokens.
//!
//! It is apart because it judges bytes, and roughly: it may name places where no term begins, never leave out one where a walk
//! would find a term or the beginning of one. Ordinary text is ASCII, and there a byte and the two beside it nearly always tell, which
//! is judged for many bytes at once. It must not know how a term may be spaced, beyond what no term outlives.
//!
//! A character beyond ASCII may make a token of the letters before it or after it that has no word boundary. No token reaches over
//! white space: so a word that has such a character is named from end to end, for its tokens to tell.

use core::ops::Range;

use crate::block::{Set, WIDTH, ascii_up_to};
use crate::fold::{Kind, LETTERS_AND_DIGITS, at_most};
use crate::terms::{JOINT, ROOT, Terms};
use crate::tokens::WIDEST;

/// Most bytes that are named at once: a script without gaps may be one word from beginning to end, whose tokens take memory.
const PIECE: usize = 1024;

/// Bytes that are judged at once.
const AT_ONCE: usize = 4 * WIDTH;

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
    /// Where a term may begin that was not looked at yet: a bit for each byte from `judged` on.
    hits: u64,
    judged: usize,
}

impl Iterator for Starts<'_> {
    /// A byte, or a word or a piece of a long one.
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        while self.at < self.text.len() || self.hits != 0 {
            if self.at < self.plain || self.hits != 0 {
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
        Self { terms, text, at: 0, plain: 0, close: 0, hits: 0, judged: 0 }
    }

    /// Finds the next word that has a character beyond ASCII.
    fn divide(&mut self) {
        let space = |byte: &u8| byte.is_ascii_whitespace();
        let text = &self.text.as_bytes()[self.at..];
        let gap = text.iter().take_while(|&byte| space(byte)).count();
        self.at += gap;
        let rest = &text[gap..];
        let other = ascii_up_to(rest);
        let word = if other == rest.len() { other } else { rest[..other].iter().rposition(space).map_or(0, |it| it + 1) };
        self.plain = self.at + word;
        self.close = self.at + rest[other..].iter().position(space).map_or(rest.len(), |it| other + it);
    }

    /// A term begins at a letter that is its first, and at the edge of a word unless it may begin inside of one.
    fn next_plain(&mut self) -> Option<usize> {
        loop {
            while self.hits != 0 {
                let at = self.judged + self.hits.trailing_zeros() as usize;
                self.hits &= self.hits - 1;
                if self.leads_on(at) {
                    return Some(at);
                }
            }
            self.judge();
            if self.hits == 0 {
                self.at = self.plain;
                return None;
            }
        }
    }

    /// Goes on to the next bytes among which a term may begin, or past all that are plain.
    #[inline(never)]
    fn judge(&mut self) {
        let judge = Judge::new(self.terms);
        let text = self.text.as_bytes();
        let (mut at, mut hits) = (self.at, 0);
        let mut edge = u64::from(at.checked_sub(1).is_none_or(|before| !LETTERS_AND_DIGITS.has(text[before])));
        while hits == 0 && at < self.plain {
            self.judged = at;
            (hits, edge) = judge.hits(&text[at..], self.plain - at, edge);
            at = self.plain.min(at + AT_ONCE);
        }
        (self.at, self.hits) = (at, hits);
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

/// Judges each byte by itself and the two beside it.
struct Judge {
    begins: Set,
    ends: Set,
    /// All bits, where a term may begin inside a word.
    anywhere: u64,
}

/// A bit for each byte that is in a set: of characters that a term begins with, that end it, and that a word goes on after.
#[derive(Clone, Copy, Default)]
struct Masks {
    begins: u64,
    ends: u64,
    inside: u64,
}

impl Judge {
    fn new(terms: &Terms) -> Self {
        let anywhere = if terms.any_open() { u64::MAX } else { 0 };
        Self { begins: *terms.begins(), ends: *terms.ends_at_once(), anywhere }
    }

    /// At which of the first bytes a term may begin, a bit each; only so many of them are plain. Whether a word may begin at the first
    /// one is said by what stands before it, in the lowest bit of `edge`; the same is returned for what follows them.
    #[inline]
    fn hits(&self, text: &[u8], plain: usize, edge: u64) -> (u64, u64) {
        let masks = match text.first_chunk::<AT_ONCE>() {
            Some(all) if plain > AT_ONCE - WIDTH => self.masks(all.as_chunks().0),
            _ => self.masks_of_few(text, plain),
        };
        let hits = masks.begins & (!masks.inside << 1 | edge | self.anywhere) & !(masks.ends >> 1);
        (hits & u64::MAX >> AT_ONCE.saturating_sub(plain), !masks.inside >> (AT_ONCE - 1))
    }

    #[inline(always)]
    fn masks(&self, blocks: &[[u8; WIDTH]]) -> Masks {
        let mut masks = Masks::default();
        for (at, block) in blocks.iter().enumerate() {
            masks.begins |= u64::from(self.begins.among(block)) << (at * WIDTH);
            masks.ends |= u64::from(self.ends.among(block)) << (at * WIDTH);
            masks.inside |= u64::from(LETTERS_AND_DIGITS.among(block)) << (at * WIDTH);
        }
        masks
    }

    /// A few plain words between others, or the last bytes of a text: with zeros after them, which are in no set.
    #[inline(never)]
    fn masks_of_few(&self, text: &[u8], plain: usize) -> Masks {
        let wanted = plain.div_ceil(WIDTH);
        if let Some(blocks) = text.as_chunks().0.get(..wanted) {
            return self.masks(blocks);
        }
        let mut all = [[0; WIDTH]; AT_ONCE / WIDTH];
        all.as_flattened_mut()[..text.len()].copy_from_slice(text);
        self.masks(&all[..wanted])
    }
}
