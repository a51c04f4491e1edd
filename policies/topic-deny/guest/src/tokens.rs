//! Cuts a text into tokens: what may be a letter, and the gap before it.
//!
//! It is apart so that the scan never sees characters. It must not know terms.

use crate::fold::{Kind, Letters, ascii, fold, is_nothing, is_unspaced};

/// Gaps of more characters than this part whatever is on their two sides.
pub const WIDEST: u8 = 4;
/// A letter that is repeated at least so often is drawn out: it may stand for fewer.
const DRAWN_OUT: u16 = 3;
/// A letter that is repeated more often is none. It is less than the context that is shown of a stream, so that a run which was sent in
/// part is no shorter for it.
pub const LONGEST_RUN: u16 = 200;

/// What lies between two tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// How many characters, up to more than [`WIDEST`].
    pub width: u8,
    /// Whether one of them is white space.
    pub space: bool,
    /// Line ends among them, up to two.
    pub lines: u8,
}

impl Gap {
    /// Nothing lies between.
    pub fn is_none(self) -> bool {
        self.width == 0
    }

    /// It is so wide that it parts whatever is on its two sides.
    pub fn parts(self) -> bool {
        self.width > WIDEST
    }

    /// It parts words: it is wide, or an empty line.
    pub fn parts_words(self) -> bool {
        self.parts() || self.lines > 1
    }

    /// Both, one after the other.
    #[must_use]
    pub fn and(self, next: Self) -> Self {
        let width = self.width.saturating_add(next.width);
        Self { width, space: self.space || next.space, lines: self.lines.saturating_add(next.lines) }
    }

    fn put(&mut self, c: char) {
        self.width = self.width.saturating_add(1);
        self.space |= c.is_whitespace();
        self.lines = self.lines.saturating_add(u8::from(c == '\n'));
    }
}

/// The gap that a sign makes when it is taken for a separator.
pub const SIGN_GAP: Gap = Gap { width: 1, space: false, lines: 0 };

/// What may be one letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// The letters that it may stand for; the first is its own.
    pub letters: Letters,
    /// Byte at which its character begins.
    pub start: u32,
    /// How often it is repeated, where that is often enough to be drawn out; else 1.
    pub times: u16,
    /// What lies before it.
    pub gap: Gap,
    /// Letter, digit or sign.
    pub kind: Kind,
    /// Its script puts no gaps between words.
    pub unspaced: bool,
}

/// Tokens that may still change the one before them: three repeats become one, and the third takes the second away.
const UNSETTLED: usize = 2;
/// Spent tokens that are kept before they are thrown away together.
const SPENT: usize = 1024;
/// How far back a beginning is looked for that makes it needless to cut all before it.
const BACK: usize = 64;

/// The tokens of a text, cut where they are asked for: a long text takes no more memory than a short one.
pub struct Tokens<'a> {
    text: &'a str,
    /// Byte up to which the text is cut.
    done: usize,
    /// The tokens at hand.
    list: Vec<Token>,
    /// The one that was sought last.
    at: usize,
    /// The gap after the last of them; the end of the text, once all is cut.
    tail: Gap,
    after_small: bool,
}

impl<'a> Tokens<'a> {
    /// Of a text, with none at hand yet.
    pub fn new(text: &'a str) -> Self {
        Self { text, done: 0, list: Vec::new(), at: 0, tail: Gap::default(), after_small: false }
    }

    /// The place of the first token that begins at this byte or later, which must not be less than the last time. It and the one
    /// before it are what they are when the whole text is cut, and it has a place other than 0 unless it is the first of the text.
    pub fn seek(&mut self, byte: usize) -> usize {
        if let Some(from) = self.fresh_before(byte) {
            self.list.clear();
            (self.done, self.at, self.tail, self.after_small) = (from, 0, Gap::default(), false);
        }
        while self.get(self.at).is_some_and(|it| (it.start as usize) < byte) {
            self.at += 1;
            if self.at > SPENT {
                // Two stay behind: a walk looks at what stands before it.
                self.list.drain(..self.at - 2);
                self.at = 2;
            }
        }
        self.at
    }

    /// The token at a place, as it stays; none only at the end of the text.
    #[inline]
    pub fn get(&mut self, at: usize) -> Option<Token> {
        if self.list.len() <= at + UNSETTLED {
            self.cut_to(at + UNSETTLED);
        }
        self.list.get(at).copied()
    }

    /// Cuts on until there is a token at a place. It is apart from the question whether it must, which is asked at every step.
    #[inline(never)]
    fn cut_to(&mut self, at: usize) {
        while self.list.len() <= at && self.done < self.text.len() {
            self.cut();
        }
    }

    /// The gap before the token at a place, or before the end of the text.
    pub fn gap(&mut self, at: usize) -> Gap {
        self.get(at).map_or(self.tail, |it| it.gap)
    }

    /// A byte that is not cut yet, from which on cutting anew gives what cutting everything does, and at least one token before
    /// this byte: where a gap begins right after a token, and a token follows. That token draws out none of those before the gap
    /// and knows of no small letter before it, and its own gap is whole; that it stands first is nothing to it, for a gap is before
    /// it.
    fn fresh_before(&self, byte: usize) -> Option<usize> {
        let from = self.done.max(byte.saturating_sub(BACK));
        let bytes = self.text.as_bytes().get(from..byte)?;
        let token = bytes.iter().rposition(u8::is_ascii_alphanumeric)?;
        let gap = bytes[..token].iter().rposition(|&it| is_gap(it))?;
        let before = bytes[..gap].iter().rposition(|&it| !is_gap(it))?;
        bytes[before].is_ascii().then_some(from + before + 1)
    }

    /// Cuts the next character.
    fn cut(&mut self) {
        let start = self.done;
        let byte = self.text.as_bytes()[start];
        if byte.is_ascii_lowercase() {
            self.done += 1;
            self.after_small = true;
            return self.put([byte as char, '\0', '\0'], Kind::Letter, start);
        }
        let Some(c) = self.text[start..].chars().next() else { return };
        self.done += c.len_utf8();
        if is_nothing(c) {
            return;
        }
        let mut found = false;
        let after_small = core::mem::replace(&mut self.after_small, false);
        fold(c, |mut letters, kind| {
            if c == 'I' && after_small {
                letters[1] = 'l';
            }
            self.put(letters, kind, start);
            found = true;
        });
        if !found {
            self.tail.put(c);
        } else if is_unspaced(c)
            // One that drew out what is before it is no token of its own.
            && let Some(last) = self.list.last_mut().filter(|it| it.start as usize == start)
        {
            last.unspaced = true;
        }
    }

    /// Adds a token; one that repeats the two before it draws them out instead.
    fn put(&mut self, letters: Letters, kind: Kind, start: usize) {
        let gap = core::mem::take(&mut self.tail);
        let token = Token { letters, start: start as u32, times: 1, gap, kind, unspaced: false };
        let repeats = self.list.last().is_some_and(|it| it.letters == letters);
        if repeats && gap.is_none() && kind != Kind::Sign {
            match self.list.as_mut_slice() {
                [.., last] if last.times >= DRAWN_OUT => {
                    last.times = last.times.saturating_add(1);
                    return;
                }
                [.., first, last] if last.gap.is_none() && first.letters == letters && first.kind == kind => {
                    first.times = DRAWN_OUT;
                    self.list.pop();
                    return;
                }
                _ => {}
            }
        }
        self.list.push(token);
    }
}

/// Whether this is an ASCII character that is no token.
fn is_gap(byte: u8) -> bool {
    byte.is_ascii() && ascii(byte as char).is_none()
}
