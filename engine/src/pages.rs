//! The page book: which pages of keys and values are whose, and which hold the beginning of a prompt that another may begin with.
//!
//! Apart because it is pure. It must not know tensors, text or time. A page is written by one sequence until it is full of a prompt's
//! tokens; then it may be found by whoever begins with the same tokens under the same salt, and is never written again. Tokens are
//! compared themselves, not a digest of them: what a stranger sends cannot be made to look like another's prompt.

mod holding;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

pub(crate) use holding::Holding;

/// Positions of one page.
pub(crate) const PAGE: usize = 16;

/// A page's number.
pub(crate) type Page = u32;

/// Who shares with whom: pages are found only under an equal one.
pub(crate) type Salt = Arc<[String]>;

/// What comes before a page: nothing, under a salt, or what is known by that number, which is never given twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Prefix {
    Start(Salt),
    After(u64),
}

/// A full page of a prompt, and what comes before it.
type Key = (Prefix, Box<[u32]>);

/// What is known of one page.
#[derive(Debug, Default)]
struct Entry {
    /// Sequences that hold it.
    holders: u32,
    /// What it is found by, and the number of the prefix that ends with it.
    found_by: Option<(Key, u64)>,
    /// When its last holder left; it is then in the order of [`PageBook::idle`].
    left: u64,
}

/// All pages of one model.
#[derive(Debug)]
pub(crate) struct PageBook {
    total: usize,
    /// Pages that may be kept for others when nobody holds them.
    most_idle: usize,
    /// Of the pages that were ever used.
    entries: Vec<Entry>,
    /// Those that hold nothing; the lowest first, so that memory which was never touched stays so.
    free: BTreeSet<Page>,
    /// Those that nobody holds and that may be found, the one that was left first in front.
    idle: BTreeMap<u64, Page>,
    index: HashMap<Key, Page>,
    /// Counts both numbers of prefixes and moments of leaving.
    clock: u64,
}

/// How pages are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// By sequences.
    pub(crate) used: usize,
    /// By nobody, kept for who may begin with them.
    pub(crate) cached: usize,
    pub(crate) free: usize,
}

impl PageBook {
    /// A book of `total` pages, of which `most_idle` may be kept when nobody holds them.
    pub(crate) fn new(total: usize, most_idle: usize) -> Self {
        let (entries, free, idle, index) = Default::default();
        Self { total: total.min(Page::MAX as usize), most_idle, entries, free, idle, index, clock: 0 }
    }

    pub(crate) fn counts(&self) -> Counts {
        let (cached, free) = (self.idle.len(), self.total - self.entries.len() + self.free.len());
        Counts { used: self.total - cached - free, cached, free }
    }

    /// Pages that can be taken now.
    pub(crate) fn available(&self) -> usize {
        let Counts { cached, free, .. } = self.counts();
        cached + free
    }

    /// A page that holds nothing, for one holder; if all are in use, what was left longest ago is forgotten.
    fn take(&mut self) -> Option<Page> {
        let page = match self.free.pop_first() {
            Some(page) => page,
            None if self.entries.len() < self.total => {
                self.entries.push(Entry::default());
                Page::try_from(self.entries.len() - 1).ok()?
            }
            None => self.forget_oldest()?,
        };
        self.entries.get_mut(page as usize)?.holders = 1;
        Some(page)
    }

    /// The page that was left first, no longer to be found.
    fn forget_oldest(&mut self) -> Option<Page> {
        let (_, page) = self.idle.pop_first()?;
        if let Some((key, _)) = self.entries.get_mut(page as usize).and_then(|entry| entry.found_by.take()) {
            self.index.remove(&key);
        }
        Some(page)
    }

    /// The page of these tokens behind that prefix, for one more holder, and the prefix that ends with it.
    fn find(&mut self, prefix: &Prefix, tokens: &[u32]) -> Option<(Page, Prefix)> {
        let page = *self.index.get(&(prefix.clone(), tokens.into()))?;
        let entry = self.entries.get_mut(page as usize)?;
        let (_, number) = entry.found_by.as_ref()?;
        if entry.holders == 0 {
            self.idle.remove(&entry.left);
        }
        entry.holders += 1;
        Some((page, Prefix::After(*number)))
    }

    /// Lets others find a page that its one holder has filled with these tokens and will not write to any more. If another page holds
    /// them already, the holder gets that one in its place. Gives the prefix that ends with it.
    fn publish(&mut self, page: Page, prefix: &Prefix, tokens: &[u32]) -> (Page, Prefix) {
        if let Some(known) = self.find(prefix, tokens) {
            self.give_back(page);
            return known;
        }
        self.clock += 1;
        let key: Key = (prefix.clone(), tokens.into());
        if let Some(entry) = self.entries.get_mut(page as usize) {
            self.index.insert(key.clone(), page);
            entry.found_by = Some((key, self.clock));
        }
        (page, Prefix::After(self.clock))
    }

    /// One holder less.
    fn give_back(&mut self, page: Page) {
        let Some(entry) = self.entries.get_mut(page as usize) else { return };
        entry.holders = entry.holders.saturating_sub(1);
        if entry.holders > 0 {
            return;
        }
        if entry.found_by.is_none() {
            self.free.insert(page);
            return;
        }
        self.clock += 1;
        entry.left = self.clock;
        self.idle.insert(self.clock, page);
        if self.idle.len() > self.most_idle
            && let Some(page) = self.forget_oldest()
        {
            self.free.insert(page);
        }
    }

    /// Forgets what nobody holds, of all pages.
    pub(crate) fn forget_all(&mut self) {
        while let Some(page) = self.forget_oldest() {
            self.free.insert(page);
        }
    }

    /// Whether a holder may write to it: nobody else holds or can find it.
    fn is_private(&self, page: Page) -> bool {
        self.entries.get(page as usize).is_some_and(|entry| entry.holders == 1 && entry.found_by.is_none())
    }
}

#[cfg(test)]
mod tests;
