//! Walks the tree of terms along the tokens of a text, from each place where a word may begin.
//!
//! A walk ends at the first letter that no term has, and a term is bounded: the work is proportional to the text. The rules of spacing
//! are in the policy's README, with what they miss. Apart because they are applied here alone. It must not know characters or settings.

use crate::fold::Kind;
use crate::starts::Starts;
use crate::terms::{End, JOINT, ROOT, Terms};
use crate::tokens::{Gap, LONGEST_RUN, SIGN_GAP, Token, Tokens};

/// Whether more text may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// This is all.
    Whole,
    /// More may follow: what depends on it stays open.
    Cut,
}

/// What a text has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No term, and none that may be beginning.
    Nothing,
    /// This term.
    Denied {
        /// Which one.
        term: usize,
    },
    /// From this byte on, a term may be beginning.
    Open {
        /// The byte.
        start: usize,
    },
}

/// Letters from which on a term that is spelled out counts whatever stands beside it.
const LONG: u8 = 5;
/// Fewest letters of a term that counts when it is split by spaces.
const SPLIT: u8 = 4;
/// Fewest letters of a term that counts when it is spelled out with spaces.
const SPELLED: u8 = 3;

/// Looks for the first term that ends after the text that was already sent.
pub fn scan(terms: &Terms, text: &str, sent: usize, reach: Reach) -> Found {
    let mut scan = Scan { terms, tokens: Tokens::new(text), sent, reach, open: None, stack: Vec::new() };
    for bytes in Starts::new(terms, text) {
        let mut start = scan.tokens.seek(bytes.start);
        // A character may be several tokens; one that draws out what is before it is none.
        while let Some(token) = scan.tokens.get(start).filter(|it| (it.start as usize) < bytes.end) {
            if let Some(term) = scan.from(start, token) {
                return Found::Denied { term };
            }
            start += 1;
        }
    }
    scan.open.map_or(Found::Nothing, |start| Found::Open { start })
}

struct Scan<'a> {
    terms: &'a Terms,
    tokens: Tokens<'a>,
    sent: usize,
    reach: Reach,
    /// First byte from which on a term may be beginning.
    open: Option<usize>,
    stack: Vec<Walk>,
}

/// How far one walk has come.
#[derive(Clone, Copy)]
struct Walk {
    node: u32,
    /// The token that comes next.
    next: usize,
    /// Gap that signs, taken for separators, add before it.
    skipped: Gap,
    /// The token before may be taken once more: it is drawn out.
    again: bool,
    so_far: Spacing,
}

/// How the letters of a walk are spaced.
#[derive(Clone, Copy, Default)]
struct Spacing {
    letters: u8,
    /// Letters that are letters, and digits that are meant as such.
    plain: u8,
    /// Places between two letters of one word of the term; how many have a gap, how many one with white space.
    places: u8,
    gaps: u8,
    spaces: u8,
    /// Letters of the present piece, and whether a piece is a consonant alone: no language writes that as a word.
    piece: u8,
    consonant: bool,
    lone: bool,
    /// A word of the term ended: the gap before the next letter is the term's own.
    joint: bool,
    /// The widest gap between two letters, and whether one is more than a single space.
    widest: u8,
    loose: bool,
}

impl Scan<'_> {
    /// The term that begins at this token.
    fn from(&mut self, start: usize, token: Token) -> Option<usize> {
        let fresh = self.may_begin(start, token);
        if !fresh && !self.terms.any_open() || !self.terms.begins_with(&token.letters) {
            return None;
        }
        let first = Walk { node: ROOT, next: start, skipped: Gap::default(), again: false, so_far: Spacing::default() };
        self.stack.clear();
        self.stack.push(first);
        while let Some(walk) = self.stack.pop() {
            if let Some(end) = self.terms.end(walk.node)
                && (fresh || end.open_start)
                && self.counts(start, &walk, end)
            {
                return Some(end.term);
            }
            self.go_on(start, walk);
        }
        None
    }

    fn may_begin(&mut self, start: usize, token: Token) -> bool {
        let Some(before) = start.checked_sub(1).and_then(|at| self.tokens.get(at)) else { return true };
        !token.gap.is_none() || before.kind == Kind::Sign || token.unspaced || before.unspaced
    }

    /// Adds to the stack what may follow.
    fn go_on(&mut self, start: usize, walk: Walk) {
        let inside = walk.node != ROOT;
        if inside && let Some(node) = self.terms.child(walk.node, JOINT) {
            self.stack.push(Walk { node, so_far: walk.so_far.joined(), ..walk });
        }
        if walk.again {
            self.repeat(&walk);
        }
        let Some(token) = self.tokens.get(walk.next) else {
            let rest = walk.skipped.and(self.tokens.gap(walk.next));
            if inside && self.terms.goes_on(walk.node) && !walk.so_far.is_parted(rest) {
                self.leave_open(start);
            }
            return;
        };
        let gap = if inside { walk.skipped.and(token.gap) } else { Gap::default() };
        if walk.so_far.is_parted(gap) {
            return;
        }
        if inside && gap.is_none() && self.may_be_drawn_out(walk.next, &token) {
            self.leave_open(start);
        }
        if inside && token.kind == Kind::Sign {
            self.stack.push(Walk { next: walk.next + 1, skipped: walk.skipped.and(token.gap).and(SIGN_GAP), again: false, ..walk });
        }
        self.take(&walk, &token, gap);
    }

    /// Whether one more of the same would make this token and the one before it one letter, drawn out: only what comes next says.
    fn may_be_drawn_out(&mut self, at: usize, token: &Token) -> bool {
        token.kind != Kind::Sign
            && self.tokens.get(at + 1).is_none()
            && self.tokens.gap(at + 1).is_none()
            && self.tokens.get(at - 1).is_some_and(|before| before.letters == token.letters)
    }

    /// Takes a token for each letter that it may be.
    fn take(&mut self, walk: &Walk, token: &Token, gap: Gap) {
        if token.times > LONGEST_RUN {
            return;
        }
        for &letter in token.letters.iter().filter(|&&it| it != '\0' && it != JOINT) {
            if let Some(node) = self.terms.child(walk.node, letter) {
                let mut so_far = walk.so_far;
                let own = token.kind == Kind::Letter || token.kind == Kind::Digit && letter == token.letters[0];
                so_far.add(gap, letter);
                so_far.plain = so_far.plain.saturating_add(u8::from(own));
                self.stack.push(Walk { node, next: walk.next + 1, skipped: Gap::default(), again: token.times > 1, so_far });
            }
        }
    }

    /// A token that is drawn out may stand for the next letter too.
    fn repeat(&mut self, walk: &Walk) {
        let Some(token) = self.tokens.get(walk.next - 1) else { return };
        let back = Walk { next: walk.next - 1, skipped: Gap::default(), ..*walk };
        self.take(&back, &token, Gap::default());
    }

    /// Whether a term that has all its letters is one: where it ends, how it is spaced, what stands beside it.
    fn counts(&mut self, start: usize, walk: &Walk, end: End) -> bool {
        let so_far = walk.so_far.ended();
        let Some(last) = self.tokens.get(walk.next - 1).filter(|it| it.start as usize >= self.sent) else { return false };
        if so_far.plain == 0 {
            return false;
        }
        let after = self.tokens.get(walk.next);
        let gap = walk.skipped.and(self.tokens.gap(walk.next));
        let undecided = after.is_none() && self.reach == Reach::Cut;
        if gap.is_none() && !end.open_end {
            match after {
                None if undecided => {
                    self.leave_open(start);
                    return false;
                }
                Some(it) if it.kind != Kind::Sign && !it.unspaced && !last.unspaced => return false,
                _ => {}
            }
        }
        if so_far.spaces == 0 {
            return true;
        }
        if so_far.gaps < so_far.places {
            return so_far.letters >= SPLIT && so_far.lone && !so_far.loose;
        }
        if so_far.letters < SPELLED || so_far.letters >= LONG {
            return so_far.letters >= LONG;
        }
        // A last letter may be alone, or begin a word.
        if self.reach == Reach::Cut && self.tokens.get(walk.next + 1).is_none() {
            self.leave_open(start);
            return false;
        }
        !self.is_lone(start.checked_sub(1), so_far.widest) && !self.is_lone(Some(walk.next), so_far.widest)
    }

    /// Whether a token is a consonant that stands alone, spaced as narrowly as the term beside it: then the term is a part of a longer
    /// word that is spelled out. A vowel that stands alone may be a word.
    fn is_lone(&mut self, at: Option<usize>, width: u8) -> bool {
        let Some(at) = at else { return false };
        let Some(token) = self.tokens.get(at) else { return false };
        let after = self.tokens.gap(at + 1);
        let near = |gap: Gap| !gap.is_none() && gap.width <= width;
        let alone = (at == 0 || !token.gap.is_none()) && (self.tokens.get(at + 1).is_none() || !after.is_none());
        alone
            && token.times == 1
            && (near(token.gap) || near(after))
            && token.kind == Kind::Letter
            && is_consonant(token.letters[0])
    }

    fn leave_open(&mut self, start: usize) {
        if self.reach == Reach::Cut {
            let Some(token) = self.tokens.get(start) else { return };
            let byte = token.start as usize;
            self.open = Some(self.open.map_or(byte, |known| known.min(byte)));
        }
    }
}

impl Spacing {
    fn add(&mut self, gap: Gap, letter: char) {
        if self.letters > 0 && !self.joint {
            self.places = self.places.saturating_add(1);
            if !gap.is_none() {
                self.gaps = self.gaps.saturating_add(1);
                self.spaces = self.spaces.saturating_add(u8::from(gap.space));
                self.widest = self.widest.max(gap.width);
                self.loose |= gap.space && gap.width > 1;
                *self = self.ended();
            }
        }
        self.joint = false;
        self.letters = self.letters.saturating_add(1);
        self.piece = self.piece.saturating_add(1);
        self.consonant = is_consonant(letter);
    }

    /// Whether no letter counts that comes behind this gap.
    fn is_parted(&self, gap: Gap) -> bool {
        if self.joint { gap.parts_words() } else { gap.parts() }
    }

    /// A word of the term is over.
    fn joined(self) -> Self {
        Self { joint: true, ..self.ended() }
    }

    /// The present piece is over.
    fn ended(mut self) -> Self {
        self.lone |= self.piece == 1 && self.consonant;
        self.piece = 0;
        self
    }
}

fn is_consonant(letter: char) -> bool {
    !matches!(letter, 'a' | 'e' | 'i' | 'o' | 'u' | 'y')
}
