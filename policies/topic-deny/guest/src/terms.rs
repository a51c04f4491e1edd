//! The denied terms as a tree of letters.
//!
//! It is apart because it is the only structure that is kept. It must not know texts.

use crate::block::Set;
use crate::fold::{LETTERS_AND_DIGITS, Letters, PLACES, WRITTEN, fold, is_nothing, place};

/// Most letters of one term: what bounds the work for each place of a text.
const MOST_LETTERS: usize = 64;
/// The edge between two words of a term.
pub const JOINT: char = ' ';
/// The node where each walk begins.
pub const ROOT: u32 = 0;
const NONE: u32 = u32::MAX;
/// Most nodes that there is room for before any is made.
const ROOM: usize = 4096;

/// A tree of terms.
pub struct Terms {
    nodes: Vec<Node>,
    /// Children of the root by the place of an ASCII letter: where nearly every walk ends.
    first: [u32; PLACES],
    /// The ASCII characters that a term may begin with.
    begins: Set,
    /// The letters and digits that end it when they come next.
    ends: Set,
    /// Whether some term may begin inside a word.
    any_open: bool,
}

struct Node {
    letter: char,
    child: u32,
    sibling: u32,
    /// The term that ends here, times four, and its two bits below; or [`NONE`].
    end: u32,
}

/// A term may begin inside a word; it may end inside one.
const OPEN_START: u32 = 1;
const OPEN_END: u32 = 2;

/// A term ends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Which term.
    pub term: usize,
    /// It may begin inside a word.
    pub open_start: bool,
    /// It may end inside a word.
    pub open_end: bool,
}

impl Terms {
    /// Makes the tree. A term is words; `*` at its start or end lets it begin or end inside a word.
    ///
    /// # Errors
    /// A term has no letters, or too many.
    pub fn new(list: &[&str]) -> Result<Self, String> {
        // A letter is a byte or more: for all but long lists the nodes never move.
        let most = list.iter().map(|it| it.len()).sum::<usize>().min(ROOM);
        let mut nodes = Vec::with_capacity(1 + most);
        nodes.push(Node { letter: '\0', child: NONE, sibling: NONE, end: NONE });
        let mut terms = Self { nodes, first: [NONE; PLACES], begins: Set::EMPTY, ends: Set::EMPTY, any_open: false };
        for (term, written) in list.iter().enumerate() {
            terms.insert(term, written.trim())?;
        }
        terms.ends = terms.ends();
        Ok(terms)
    }

    /// What comes second in no term, neither as a letter nor as the first drawn out, which is by what stands for the same letters.
    /// Where some term has but one letter, or its first word has, anything may come second.
    fn ends(&self) -> Set {
        let mut goes_on = self.begins;
        for (_, first) in self.children(ROOT) {
            if self.nodes[first as usize].end != NONE {
                return Set::EMPTY;
            }
            for (letter, _) in self.children(first) {
                if letter == JOINT {
                    return Set::EMPTY;
                }
                goes_on = place(letter).map_or(goes_on, |place| goes_on.or(WRITTEN[place]));
            }
        }
        LETTERS_AND_DIGITS.without(goes_on)
    }

    /// What may follow a node, and where it leads.
    pub fn children(&self, node: u32) -> impl Iterator<Item = (char, u32)> {
        let known = |node: u32| Some(node).filter(|&node| node != NONE);
        let all = core::iter::successors(known(self.nodes[node as usize].child), move |&it| known(self.nodes[it as usize].sibling));
        all.map(|it| (self.nodes[it as usize].letter, it))
    }

    fn insert(&mut self, term: usize, written: &str) -> Result<(), String> {
        let (open_start, bare) = written.strip_prefix('*').map_or((false, written), |rest| (true, rest));
        let (open_end, bare) = bare.strip_suffix('*').map_or((false, bare), |rest| (true, rest));
        let mut pen = Pen { terms: self, node: ROOT, letters: 0, joint: false, alone: false };
        pen.write(bare);
        let Pen { node, letters, .. } = pen;
        if letters == 0 || letters > MOST_LETTERS {
            return Err(format!("settings: the term {written:?} must have 1 to {MOST_LETTERS} letters"));
        }
        self.any_open |= open_start;
        let bits = if open_start { OPEN_START } else { 0 } | if open_end { OPEN_END } else { 0 };
        let slot = &mut self.nodes[node as usize].end;
        // Of two spellings of one term the more permissive counts.
        *slot = if *slot == NONE { (term as u32) << 2 | bits } else { *slot | bits };
        Ok(())
    }

    fn add(&mut self, node: u32, letter: char) -> u32 {
        let next = self.nodes.len() as u32;
        let sibling = core::mem::replace(&mut self.nodes[node as usize].child, next);
        self.nodes.push(Node { letter, child: NONE, sibling, end: NONE });
        if node == ROOT
            && let Some(place) = place(letter)
        {
            self.first[place] = next;
            self.begins = self.begins.or(WRITTEN[place]);
        }
        next
    }

    /// The node that a letter leads to.
    pub fn child(&self, node: u32, letter: char) -> Option<u32> {
        if node == ROOT && letter.is_ascii() {
            return place(letter).map(|place| self.first[place]).filter(|&next| next != NONE);
        }
        let mut next = self.nodes[node as usize].child;
        while next != NONE {
            let it = &self.nodes[next as usize];
            if it.letter == letter {
                return Some(next);
            }
            next = it.sibling;
        }
        None
    }

    /// The term that ends at a node.
    pub fn end(&self, node: u32) -> Option<End> {
        let end = self.nodes[node as usize].end;
        let named = || End { term: (end >> 2) as usize, open_start: end & OPEN_START != 0, open_end: end & OPEN_END != 0 };
        (end != NONE).then(named)
    }

    /// Whether terms go on after a node.
    pub fn goes_on(&self, node: u32) -> bool {
        self.nodes[node as usize].child != NONE
    }

    /// Whether a term begins with one of these letters.
    pub fn begins_with(&self, letters: &Letters) -> bool {
        letters.iter().any(|&letter| letter != '\0' && self.child(ROOT, letter).is_some())
    }

    /// The ASCII characters that a term may begin with. A character beyond ASCII has to be asked what it stands for.
    pub fn begins(&self) -> &Set {
        &self.begins
    }

    /// The ASCII letters and digits that a term cannot have right after the first of its letters.
    pub fn ends_at_once(&self) -> &Set {
        &self.ends
    }

    /// Whether some term may begin inside a word.
    pub fn any_open(&self) -> bool {
        self.any_open
    }
}

/// Writes one term into the tree.
struct Pen<'a> {
    terms: &'a mut Terms,
    node: u32,
    letters: usize,
    /// What is no letter came after the last one.
    joint: bool,
    /// No other term came this way.
    alone: bool,
}

impl Pen<'_> {
    fn write(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let plain = rest.bytes().take_while(u8::is_ascii_lowercase).count();
            if plain > 0 {
                self.plain_letters(&rest.as_bytes()[..plain]);
            } else if !is_nothing(c) {
                let before = self.letters;
                fold(c, |options, _| self.letter(options[0]));
                self.joint |= self.letters == before;
            }
            rest = &rest[plain.max(c.len_utf8())..];
        }
    }

    /// Small letters of ASCII, which are what they are: nearly all that terms are made of. Where no other term came, each is the
    /// one child of that before it.
    fn plain_letters(&mut self, letters: &[u8]) {
        let mut rest = letters;
        while let [letter, more @ ..] = rest {
            if self.alone && !self.joint {
                break;
            }
            self.letter(*letter as char);
            rest = more;
        }
        if rest.is_empty() {
            return;
        }
        let nodes = &mut self.terms.nodes;
        let first = nodes.len() as u32;
        nodes[self.node as usize].child = first;
        nodes.extend(rest.iter().zip(first + 1..).map(|(&it, child)| Node { letter: it as char, child, sibling: NONE, end: NONE }));
        self.node = nodes.len() as u32 - 1;
        nodes[self.node as usize].child = NONE;
        self.letters += rest.len();
    }

    /// It is apart so that there is only one of it, however many characters stand for letters.
    #[inline(never)]
    fn letter(&mut self, letter: char) {
        if self.joint && self.letters > 0 {
            self.step(JOINT);
        }
        self.step(letter);
        self.joint = false;
        self.letters += 1;
    }

    fn step(&mut self, letter: char) {
        let known = if self.alone { None } else { self.terms.child(self.node, letter) };
        self.alone = known.is_none();
        self.node = known.unwrap_or_else(|| self.terms.add(self.node, letter));
    }
}

#[cfg(test)]
mod tests {
    use super::{End, JOINT, ROOT, Terms};

    /// Where the letters of a term lead.
    fn end(terms: &Terms, letters: &str) -> Option<End> {
        let node = letters.chars().try_fold(ROOT, |node, letter| terms.child(node, letter))?;
        terms.end(node)
    }

    #[test]
    fn each_term_ends_where_its_letters_lead() {
        let list = ["bomb", "bombs*", "*bo mb", "bo", "Bömb*", " *BO ", "a-b c", "бомба", "b", "bomber", "r2d2*", "a bc d"];
        let terms = Terms::new(&list).unwrap();
        let at = |term, open_start, open_end| Some(End { term, open_start, open_end });
        assert_eq!(end(&terms, "bomb"), at(0, false, true));
        assert_eq!(end(&terms, "bombs"), at(1, false, true));
        assert_eq!(end(&terms, &format!("bo{JOINT}mb")), at(2, true, false));
        assert_eq!(end(&terms, "bo"), at(3, true, false));
        assert_eq!(end(&terms, &format!("a{JOINT}b{JOINT}c")), at(6, false, false));
        assert_eq!(end(&terms, "bomba"), None);
        assert_eq!(end(&terms, "b"), at(8, false, false));
        assert_eq!(end(&terms, "bomber"), at(9, false, false));
        assert_eq!(end(&terms, "r2d2"), at(10, false, true));
        assert_eq!(end(&terms, &format!("a{JOINT}bc{JOINT}d")), at(11, false, false));
        for nothing in ["", "a", "ab", "c", "bombsa", "r2d", "r2d2 "] {
            assert_eq!(end(&terms, nothing), None, "{nothing}");
        }
        assert!(terms.any_open() && !Terms::new(&["a*"]).unwrap().any_open());
    }

    #[test]
    fn a_term_has_letters_and_not_too_many() {
        let most = "a".repeat(64);
        assert!(Terms::new(&[most.as_str()]).is_ok());
        for wrong in ["", "*", "**", " - ", "\u{200b}", &format!("{most}a"), &format!("{most}é")] {
            assert!(Terms::new(&["b", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_term_begins_with_what_stands_for_its_first_letters() {
        let terms = Terms::new(&["lot", "x2"]).unwrap();
        let of = |holds: &dyn Fn(u8) -> bool| (0..128).filter(|&it| holds(it)).map(char::from).collect::<String>();
        assert_eq!(of(&|it| terms.begins().has(it)), "!1ILXlx|");
        assert_eq!(of(&|it| it.is_ascii_alphanumeric() && !terms.ends_at_once().has(it)), "012ILOXlox");
        assert_eq!(of(&|it| Terms::new(&["lot", "x", "y"]).unwrap().ends_at_once().has(it)), "");
        assert_eq!(of(&|it| Terms::new(&["lot", "x y"]).unwrap().ends_at_once().has(it)), "");
    }
}
