//! The denied terms as a tree of letters.
//!
//! It is apart because it is the only structure that is kept. It must not know texts.

use crate::fold::{Letters, ascii, fold};

/// Most letters of one term: what bounds the work for each place of a text.
const MOST_LETTERS: usize = 64;
/// The edge between two words of a term.
pub const JOINT: char = ' ';
/// The node where each walk begins.
pub const ROOT: u32 = 0;
const NONE: u32 = u32::MAX;
/// A term may begin with this ASCII character.
pub const BEGINS: u8 = 1;
/// A term may begin right after this byte. Twice the other, so that a shift says it of the byte that follows.
pub const PARTS: u8 = 2;

/// A tree of terms.
pub struct Terms {
    names: Vec<String>,
    nodes: Vec<Node>,
    /// Children of the root by ASCII letter: where nearly every walk ends.
    first: [u32; 128],
    /// What each byte is to the beginning of a term: [`BEGINS`], [`PARTS`].
    flags: [u8; 256],
    /// Whether some term may begin inside a word.
    any_open: bool,
}

struct Node {
    letter: char,
    child: u32,
    sibling: u32,
    end: Option<End>,
}

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
        let root = Node { letter: '\0', child: NONE, sibling: NONE, end: None };
        let names = list.iter().map(|&it| it.to_owned()).collect();
        let mut terms = Self { names, nodes: vec![root], first: [NONE; 128], flags: [PARTS; 256], any_open: false };
        for (term, written) in list.iter().enumerate() {
            terms.insert(term, written.trim())?;
        }
        terms.mark();
        Ok(terms)
    }

    fn mark(&mut self) {
        for byte in 0..128 {
            // After a small letter an `I` may be an `l`.
            let small = byte == b'I' && self.child(ROOT, 'l').is_some();
            let begins = small || ascii(byte as char).is_some_and(|(letters, _)| self.begins_with(&letters));
            let parts = if byte.is_ascii_alphanumeric() { 0 } else { PARTS };
            self.flags[byte as usize] = parts | if begins { BEGINS } else { 0 };
        }
    }

    fn insert(&mut self, term: usize, written: &str) -> Result<(), String> {
        let (open_start, bare) = written.strip_prefix('*').map_or((false, written), |rest| (true, rest));
        let (open_end, bare) = bare.strip_suffix('*').map_or((false, bare), |rest| (true, rest));
        let (mut node, mut letters, mut joint) = (ROOT, 0, false);
        for c in bare.chars() {
            let mut found = false;
            if !crate::fold::is_nothing(c) {
                fold(c, |options, _| {
                    if joint && letters > 0 {
                        node = self.step(node, JOINT);
                    }
                    node = self.step(node, options[0]);
                    (found, joint) = (true, false);
                    letters += 1;
                });
                joint |= !found;
            }
        }
        if letters == 0 || letters > MOST_LETTERS {
            return Err(format!("settings: the term {written:?} must have 1 to {MOST_LETTERS} letters"));
        }
        self.any_open |= open_start;
        let slot = &mut self.nodes[node as usize].end;
        // Of two spellings of one term the more permissive counts.
        let known = slot.unwrap_or(End { term, open_start, open_end });
        *slot = Some(End { term: known.term, open_start: known.open_start || open_start, open_end: known.open_end || open_end });
        Ok(())
    }

    fn step(&mut self, node: u32, letter: char) -> u32 {
        if let Some(next) = self.child(node, letter) {
            return next;
        }
        let next = self.nodes.len() as u32;
        let sibling = core::mem::replace(&mut self.nodes[node as usize].child, next);
        self.nodes.push(Node { letter, child: NONE, sibling, end: None });
        if node == ROOT && letter.is_ascii() {
            self.first[letter as usize] = next;
        }
        next
    }

    /// The node that a letter leads to.
    pub fn child(&self, node: u32, letter: char) -> Option<u32> {
        if node == ROOT && letter.is_ascii() {
            return Some(self.first[letter as usize]).filter(|&next| next != NONE);
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
        self.nodes[node as usize].end
    }

    /// Whether terms go on after a node.
    pub fn goes_on(&self, node: u32) -> bool {
        self.nodes[node as usize].child != NONE
    }

    /// Whether a term begins with one of these letters.
    pub fn begins_with(&self, letters: &Letters) -> bool {
        letters.iter().any(|&letter| letter != '\0' && self.child(ROOT, letter).is_some())
    }

    /// What each byte is to the beginning of a term. A byte beyond ASCII begins none here: its character has to be asked.
    pub fn flags(&self) -> &[u8; 256] {
        &self.flags
    }

    /// Whether some term may begin inside a word.
    pub fn any_open(&self) -> bool {
        self.any_open
    }

    /// A term as the operator wrote it.
    pub fn name(&self, term: usize) -> &str {
        &self.names[term]
    }
}
