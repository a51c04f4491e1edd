//! Cuts a text into tokens: what may be a letter, and the gap before it.
//!
//! It is apart so that the scan never sees characters. It must not know terms.

use crate::fold::{Kind, Letters, fold, is_nothing, is_unspaced};

/// Gaps of more characters than this part whatever is on their two sides.
pub const WIDEST: u8 = 4;
/// A letter that is repeated at least so often is drawn out: it may stand for fewer.
const DRAWN_OUT: u16 = 3;

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

    /// It parts whatever is on its two sides: wide, or an empty line.
    pub fn parts(self) -> bool {
        self.width > WIDEST || self.lines > 1
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
    pub kind: Kind,
    /// What lies before it.
    pub gap: Gap,
    /// Byte at which its character begins.
    pub start: usize,
    /// How often it is repeated, where that is often enough to be drawn out; else 1.
    pub times: u16,
    /// Its script puts no gaps between words.
    pub unspaced: bool,
}

impl Token {
    /// Whether it may stand for this letter.
    pub fn may_be(&self, letter: char) -> bool {
        self.letters.contains(&letter)
    }
}

/// The tokens of a text, and the gap after the last of them.
pub fn tokens(text: &str) -> (Vec<Token>, Gap) {
    let mut list: Vec<Token> = Vec::with_capacity(text.len());
    let mut gap = Gap::default();
    let mut after_small = false;
    for (start, c) in text.char_indices() {
        if is_nothing(c) {
            continue;
        }
        let mut found = false;
        let unspaced = is_unspaced(c);
        fold(c, |mut letters, kind| {
            if c == 'I' && after_small {
                letters[1] = 'l';
            }
            let token = Token { letters, kind, gap: core::mem::take(&mut gap), start, times: 1, unspaced };
            push(&mut list, token);
            found = true;
        });
        if !found {
            gap.put(c);
        }
        after_small = c.is_ascii_lowercase();
    }
    (list, gap)
}

/// Adds a token; one that repeats the two before it draws them out instead.
fn push(list: &mut Vec<Token>, token: Token) {
    if token.gap.is_none() && token.kind == Kind::Letter {
        let same = |it: &Token| it.letters == token.letters && it.kind == Kind::Letter;
        match list.as_mut_slice() {
            [.., last] if last.times >= DRAWN_OUT && same(last) => {
                last.times = last.times.saturating_add(1);
                return;
            }
            [.., first, last] if last.times == 1 && last.gap.is_none() && same(first) && same(last) => {
                first.times = DRAWN_OUT;
                list.pop();
                return;
            }
            _ => {}
        }
    }
    list.push(token);
}
