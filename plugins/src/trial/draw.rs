//! Choices drawn from bytes: the same bytes, the same trial.
//!
//! Apart because a fuzzer changes bytes, and each should change one choice. It must not know what is chosen.

/// Bytes that are not drawn yet. Past their end everything is the first choice.
pub(super) struct Draw<'a>(&'a [u8]);

impl<'a> Draw<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A number below this one, which is at most 256.
    pub(super) fn below(&mut self, most: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % most
    }

    /// One of these.
    pub(super) fn of<'b, T>(&mut self, all: &'b [T]) -> &'b T {
        &all[self.below(all.len())]
    }

    /// A text of up to so many of these.
    pub(super) fn text(&mut self, letters: &[&str], most: usize) -> String {
        (0..self.below(most + 1)).map(|_| *self.of(letters)).collect()
    }
}
