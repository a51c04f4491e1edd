//! The pages of one sequence, in the order of its positions. Dropping it gives them back.
//!
//! Apart because it is the only way to pages: a sequence that ends, however it ends, leaks none. It must not know what is in them.

use std::cell::RefCell;
use std::rc::Rc;

use super::{PAGE, Page, PageBook, Prefix, Salt};

/// One sequence's pages.
#[derive(Debug)]
pub(crate) struct Holding {
    book: Rc<RefCell<PageBook>>,
    pages: Vec<Page>,
    salt: Salt,
    /// What the pages that others may find come to; they are the first ones.
    prefix: Prefix,
    shared: usize,
}

impl Holding {
    /// No pages yet.
    pub(crate) fn new(book: Rc<RefCell<PageBook>>, salt: Salt) -> Self {
        Self { book, pages: Vec::new(), prefix: Prefix::Start(salt.clone()), salt, shared: 0 }
    }

    pub(crate) fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// Takes the pages that hold what follows the `filled` positions of this prompt, as far as there are any; what it would write
    /// otherwise it need not. The last token is left, it is to be computed. Gives the positions that are filled now.
    pub(crate) fn adopt(&mut self, prompt: &[u32], mut filled: usize) -> usize {
        // Where a page is begun it is finished.
        while filled == self.shared * PAGE && filled + PAGE < prompt.len() {
            let Some((page, prefix)) = self.book.borrow_mut().find(&self.prefix, &prompt[filled..filled + PAGE]) else { break };
            // What was taken to be written to is not needed here.
            match self.pages.get_mut(self.shared) {
                Some(unused) => self.book.borrow_mut().give_back(std::mem::replace(unused, page)),
                None => self.pages.push(page),
            }
            self.prefix = prefix;
            self.shared += 1;
            filled += PAGE;
        }
        filled
    }

    /// Takes pages until so many positions have room; false if there are not enough, what there was is kept.
    pub(crate) fn reserve(&mut self, positions: usize) -> bool {
        while self.pages.len() * PAGE < positions {
            let Some(page) = self.book.borrow_mut().take() else { return false };
            self.pages.push(page);
        }
        true
    }

    /// Whether all positions from `filled` on may be written to, as far as there is room.
    pub(crate) fn may_write(&self, filled: usize) -> bool {
        let book = self.book.borrow();
        self.pages.iter().skip(filled / PAGE).all(|page| book.is_private(*page))
    }

    /// Lets others find the pages that are full of this prompt's tokens, of which `filled` are computed.
    pub(crate) fn publish(&mut self, prompt: &[u32], filled: usize) {
        for (at, tokens) in prompt.chunks_exact(PAGE).enumerate().skip(self.shared) {
            let Some(page) = self.pages.get_mut(at).filter(|_| (at + 1) * PAGE <= filled) else { break };
            (*page, self.prefix) = self.book.borrow_mut().publish(*page, &self.prefix, tokens);
            self.shared = at + 1;
        }
    }

    /// Gives all pages back.
    pub(crate) fn clear(&mut self) {
        let mut book = self.book.borrow_mut();
        // The last one first: what comes before a page is not forgotten sooner than the page.
        self.pages.drain(..).rev().for_each(|page| book.give_back(page));
        self.shared = 0;
        self.prefix = Prefix::Start(self.salt.clone());
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.clear();
    }
}
