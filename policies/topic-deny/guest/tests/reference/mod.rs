//! The scan as plainly as it can be said: all of a text is cut into tokens, and a walk is tried from each.
//!
//! It is apart because the policy's own scan leaves out what it may, and must find the same. It must not be made faster: it is what
//! that is measured against. It shares only the letters and the tree of terms with it.

use topic_deny::fold::{Kind, Letters, fold, is_nothing, is_unspaced};
use topic_deny::scan::{Found, Reach};
use topic_deny::terms::{End, JOINT, ROOT, Terms};
use topic_deny::tokens::{Gap, SIGN_GAP, Token};

/// A letter that is repeated at least so often is drawn out: it may stand for fewer.
const DRAWN_OUT: u16 = 3;
/// A letter that is repeated more often is none.
const LONGEST_RUN: u16 = 200;
/// Letters from which on a term that is spelled out counts whatever stands beside it.
const LONG: u8 = 5;
/// Fewest letters of a term that counts when it is split by spaces.
const SPLIT: u8 = 4;
/// Fewest letters of a term that counts when it is spelled out with spaces.
const SPELLED: u8 = 3;

/// Looks for the first term that ends after the text that was already sent.
pub fn scan(terms: &Terms, text: &str, sent: usize, reach: Reach) -> Found {
    let mut scan = Scan { terms, tokens: Tokens::all(text), sent, reach, open: None, stack: Vec::new() };
    for start in 0..scan.tokens.list.len() {
        if let Some(term) = scan.from(start) {
            return Found::Denied { term };
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
    fn from(&mut self, start: usize) -> Option<usize> {
        let fresh = self.may_begin(start);
        if !fresh && !self.terms.any_open() || !self.leads_on(&self.tokens.list[start]) {
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

    /// Whether any term begins with a letter that this may be.
    fn leads_on(&self, token: &Token) -> bool {
        token.letters.iter().any(|&letter| letter != '\0' && self.terms.child(ROOT, letter).is_some())
    }

    fn may_begin(&self, start: usize) -> bool {
        let list = &self.tokens.list;
        let token = &list[start];
        let Some(before) = start.checked_sub(1).map(|at| &list[at]) else { return true };
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
        let Some(&token) = self.tokens.list.get(walk.next) else {
            let rest = if inside { walk.skipped.and(self.tokens.tail) } else { Gap::default() };
            if inside && self.terms.goes_on(walk.node) && !is_parted(&walk, rest) {
                self.leave_open(start);
            }
            return;
        };
        let gap = if inside { walk.skipped.and(token.gap) } else { Gap::default() };
        if is_parted(&walk, gap) {
            return;
        }
        let all = &self.tokens.list;
        let doubled = inside && gap.is_none() && token.kind != Kind::Sign && all[walk.next - 1].letters == token.letters;
        if doubled && walk.next + 1 == all.len() && self.tokens.tail.is_none() {
            self.leave_open(start);
        }
        if inside && token.kind == Kind::Sign {
            self.stack.push(Walk { next: walk.next + 1, skipped: walk.skipped.and(token.gap).and(SIGN_GAP), again: false, ..walk });
        }
        self.take(&walk, &token, gap);
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
        let token = self.tokens.list[walk.next - 1];
        let back = Walk { next: walk.next - 1, skipped: Gap::default(), ..*walk };
        self.take(&back, &token, Gap::default());
    }

    /// Whether a term that has all its letters is one: where it ends, how it is spaced, what stands beside it.
    fn counts(&mut self, start: usize, walk: &Walk, end: End) -> bool {
        let so_far = walk.so_far.ended();
        if so_far.plain == 0 || (self.tokens.list[walk.next - 1].start as usize) < self.sent {
            return false;
        }
        let after = self.tokens.list.get(walk.next);
        let gap = walk.skipped.and(after.map_or(self.tokens.tail, |it| it.gap));
        let undecided = after.is_none() && self.reach == Reach::Cut;
        if gap.is_none() && !end.open_end {
            match after {
                None if undecided => {
                    self.leave_open(start);
                    return false;
                }
                Some(it) if it.kind != Kind::Sign && !it.unspaced && !self.tokens.list[walk.next - 1].unspaced => return false,
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
        if self.reach == Reach::Cut && self.tokens.list.get(walk.next + 1).is_none() {
            self.leave_open(start);
            return false;
        }
        !self.is_lone(start.checked_sub(1), so_far.widest) && !self.is_lone(Some(walk.next), so_far.widest)
    }

    /// Whether a token is a consonant that stands alone, spaced as narrowly as the term beside it: then the term is a part of a longer
    /// word that is spelled out. A vowel that stands alone may be a word.
    fn is_lone(&self, at: Option<usize>, width: u8) -> bool {
        let Some(at) = at else { return false };
        let Some(token) = self.tokens.list.get(at) else { return false };
        let after = self.tokens.list.get(at + 1).map_or(self.tokens.tail, |it| it.gap);
        let near = |gap: Gap| !gap.is_none() && gap.width <= width;
        let alone = (at == 0 || !token.gap.is_none()) && (at + 1 == self.tokens.list.len() || !after.is_none());
        alone
            && token.times == 1
            && (near(token.gap) || near(after))
            && token.kind == Kind::Letter
            && is_consonant(token.letters[0])
    }

    fn leave_open(&mut self, start: usize) {
        if self.reach == Reach::Cut {
            let byte = self.tokens.list[start].start as usize;
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

/// A wide gap parts letters; an empty line parts the words of a term.
fn is_parted(walk: &Walk, gap: Gap) -> bool {
    gap.width > 4 || walk.so_far.joint && gap.lines > 1
}

fn is_consonant(letter: char) -> bool {
    !matches!(letter, 'a' | 'e' | 'i' | 'o' | 'u' | 'y')
}

/// All tokens of a text.
struct Tokens<'a> {
    text: &'a str,
    /// Byte up to which the text is cut.
    done: usize,
    list: Vec<Token>,
    /// The gap after the last of them.
    tail: Gap,
    after_small: bool,
}

fn put(gap: &mut Gap, c: char) {
    gap.width = gap.width.saturating_add(1);
    gap.space |= c.is_whitespace();
    gap.lines = gap.lines.saturating_add(u8::from(c == '\n'));
}

impl<'a> Tokens<'a> {
    fn all(text: &'a str) -> Self {
        let mut tokens = Self { text, done: 0, list: Vec::new(), tail: Gap::default(), after_small: false };
        while tokens.done < text.len() {
            tokens.cut();
        }
        tokens
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
            put(&mut self.tail, c);
        } else if is_unspaced(c)
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
