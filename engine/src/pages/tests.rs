//! The book under whatever sequences do: what a position holds is what was computed for it, and no page is lost.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use proptest::prelude::*;

use super::*;

fn book(total: usize, most_idle: usize) -> Rc<RefCell<PageBook>> {
    Rc::new(RefCell::new(PageBook::new(total, most_idle)))
}

fn salt(of: &str) -> Salt {
    [of.to_owned()].into()
}

fn filled(book: &Rc<RefCell<PageBook>>, of: &str, prompt: &[u32]) -> Holding {
    let mut holding = Holding::new(book.clone(), salt(of));
    assert!(holding.reserve(prompt.len()));
    holding.publish(prompt, prompt.len());
    holding
}

#[test]
fn full_pages_of_an_equal_beginning_are_shared_and_the_last_token_is_left() {
    let book = book(20, 20);
    let prompt: Vec<u32> = (0..50).collect();
    let first = filled(&book, "a", &prompt);
    let mut other = Holding::new(book.clone(), salt("a"));
    assert_eq!(other.adopt(&prompt, 0), 48);
    assert_eq!(other.pages(), &first.pages()[..3]);
    let mut whole = Holding::new(book.clone(), salt("a"));
    assert_eq!(whole.adopt(&prompt[..48], 0), 32, "its last token is the last of a page");
    let mut parted = prompt.clone();
    parted[20] = 99;
    assert_eq!(Holding::new(book.clone(), salt("a")).adopt(&parted, 0), 16);
    assert_eq!(Holding::new(book.clone(), salt("b")).adopt(&prompt, 0), 0, "another's salt");
    assert_eq!(Holding::new(book.clone(), salt("a")).adopt(&prompt[16..], 0), 0, "the same tokens, not from the beginning");
    assert!(first.may_write(48) && !first.may_write(32));
    drop((first, other, whole));
    assert_eq!(book.borrow().counts(), Counts { used: 0, cached: 3, free: 17 });
}

#[test]
fn what_two_computed_at_once_is_kept_once() {
    let book = book(20, 20);
    let prompt: Vec<u32> = (0..32).collect();
    let (first, second) = (filled(&book, "a", &prompt), filled(&book, "a", &prompt));
    assert_eq!(first.pages(), second.pages());
    assert_eq!(book.borrow().counts().used, 2);
}

#[test]
fn the_oldest_is_forgotten_first_and_ends_before_beginnings() {
    let book = book(6, 6);
    let (a, b): (Vec<u32>, Vec<u32>) = ((0..48).collect(), (100..148).collect());
    drop(filled(&book, "", &a));
    drop(filled(&book, "", &b));
    let mut held = Holding::new(book.clone(), salt(""));
    assert!(held.reserve(4 * PAGE) && book.borrow().counts() == Counts { used: 4, cached: 2, free: 0 });
    let known = |prompt: &[u32]| {
        let mut longer = prompt.to_vec();
        longer.push(0);
        Holding::new(book.clone(), salt("")).adopt(&longer, 0)
    };
    assert_eq!((known(&a), known(&b)), (0, 32));
    assert!(!held.reserve(7 * PAGE), "there are six");
}

#[test]
fn what_nobody_holds_is_kept_within_a_bound() {
    let book = book(10, 2);
    drop(filled(&book, "", &(0..80).collect::<Vec<u32>>()));
    assert_eq!(book.borrow().counts(), Counts { used: 0, cached: 2, free: 8 });
}

/// What a sequence does next.
#[derive(Clone, Debug)]
enum Act {
    Open { salt: u8, branch: u8, len: usize },
    Read { who: usize, n: usize },
    Write { who: usize, n: usize },
    Preempt { who: usize },
    Close { who: usize },
}

fn act() -> impl Strategy<Value = Act> {
    let who = 0usize..6;
    prop_oneof![
        3 => (0u8..2, 0u8..3, 1usize..100).prop_map(|(salt, branch, len)| Act::Open { salt, branch, len }),
        6 => (who.clone(), 1usize..60).prop_map(|(who, n)| Act::Read { who, n }),
        3 => (who.clone(), 1usize..20).prop_map(|(who, n)| Act::Write { who, n }),
        1 => who.clone().prop_map(|who| Act::Preempt { who }),
        2 => who.prop_map(|who| Act::Close { who }),
    ]
}

/// A sequence, and what each of its positions must hold: its salt and all tokens up to there.
struct Running {
    holding: Holding,
    salt: u8,
    prompt: Vec<u32>,
    tokens: Vec<u32>,
    filled: usize,
}

/// What lies in pages, as a device would have it.
type Contents = HashMap<(Page, usize), (u8, Vec<u32>)>;

impl Running {
    fn compute(&mut self, n: usize, contents: &mut Contents) {
        let end = (self.filled + n).min(self.tokens.len());
        if !self.holding.reserve(end) {
            return;
        }
        assert!(self.holding.may_write(self.filled));
        for at in self.filled..end {
            let place = (self.holding.pages()[at / PAGE], at % PAGE);
            contents.insert(place, (self.salt, self.tokens[..=at].to_vec()));
        }
        self.filled = end;
        self.holding.publish(&self.prompt, end);
    }

    fn check(&self, contents: &Contents) {
        for at in 0..self.filled {
            let place = (self.holding.pages()[at / PAGE], at % PAGE);
            assert_eq!(contents[&place], (self.salt, self.tokens[..=at].to_vec()));
        }
    }
}

/// Beginnings are shared, branches differ.
fn prompt(branch: u8, len: usize) -> Vec<u32> {
    (0..len as u32).map(|at| if at >= 40 { 1000 * u32::from(branch) + at } else { at }).collect()
}

proptest! {
    #[test]
    fn positions_hold_what_was_computed_for_them_and_no_page_leaks(acts in proptest::collection::vec(act(), 1..120), total in 8usize..30, most_idle in 0usize..30) {
        let book = book(total, most_idle);
        let mut contents = Contents::new();
        let mut all: Vec<Running> = Vec::new();
        for act in acts {
            match act {
                Act::Open { salt: of, branch, len } if all.len() < 6 => {
                    let prompt = prompt(branch, len);
                    let holding = Holding::new(book.clone(), salt(&of.to_string()));
                    all.push(Running { holding, salt: of, tokens: prompt.clone(), prompt, filled: 0 });
                }
                Act::Read { who, n } => if let Some(r) = all.get_mut(who) && r.filled < r.prompt.len() {
                    r.filled = r.holding.adopt(&r.prompt, r.filled);
                    prop_assert!(r.filled < r.prompt.len());
                    let n = n.min(r.prompt.len() - r.filled);
                    r.compute(n, &mut contents);
                },
                Act::Write { who, n } => if let Some(r) = all.get_mut(who) && r.filled >= r.prompt.len() {
                    let new = r.tokens.len() as u32;
                    r.tokens.extend((0..n as u32).map(|i| new + i));
                    r.compute(usize::MAX / 2, &mut contents);
                },
                Act::Preempt { who } => if let Some(r) = all.get_mut(who) {
                    r.holding.clear();
                    r.filled = 0;
                },
                Act::Close { who } if who < all.len() => drop(all.swap_remove(who)),
                _ => {}
            }
            all.iter().for_each(|r| r.check(&contents));
            let counts = book.borrow().counts();
            prop_assert_eq!(counts.used + counts.cached + counts.free, total);
            let mut held: Vec<Page> = all.iter().flat_map(|r| r.holding.pages().to_vec()).collect();
            held.sort_unstable();
            held.dedup();
            prop_assert_eq!(counts.used, held.len());
            prop_assert!(counts.cached <= most_idle);
        }
        drop(all);
        let book = book.borrow();
        prop_assert_eq!(book.counts().used, 0);
        prop_assert_eq!(book.index.len(), book.counts().cached);
    }
}
