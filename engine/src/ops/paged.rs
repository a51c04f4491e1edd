//! Keys and values as they lie on a device: pages of a fixed number of positions in slabs of a fixed number of pages.
//!
//! Apart because kernels and layers both read them. It must not know whose a page is. Slabs are made as pages come into use and are
//! never copied: neither does a sequence that grows move what it has, nor is memory taken that was never needed.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::pages::{PAGE, Page};

/// Pages of one slab.
pub(crate) const SLAB: usize = 64;

/// The keys and values of one layer in some pages, `[pages, kv_heads, PAGE, width]` each. For [`super::EngineBackend::attend_latents`]
/// there is one head: rotated keys, and latent vectors in place of values.
#[derive(Clone, Debug)]
pub(crate) struct Slab<B: Backend> {
    pub(crate) keys: Tensor<B, 4>,
    pub(crate) values: Tensor<B, 4>,
}

/// One sequence's keys and values in one layer: its pages in their order, of which the first `len` positions are filled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paged<'a, B: Backend> {
    pub(crate) slabs: &'a [Option<Slab<B>>],
    pub(crate) pages: &'a [Page],
    pub(crate) len: usize,
}

/// Consecutive rows that go to consecutive positions of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// The page, within its slab.
    pub(crate) page: usize,
    /// The first position, within the page.
    pub(crate) at: usize,
    /// The first row.
    pub(crate) row: usize,
    pub(crate) rows: usize,
}

/// A page's slab, and its place there.
pub(crate) fn place(page: Page) -> (usize, usize) {
    (page as usize / SLAB, page as usize % SLAB)
}

/// Where `n` rows go that follow `filled` positions in these pages: runs by slab. Less if there are no pages for them.
pub(crate) fn runs(pages: &[Page], filled: usize, n: usize) -> Vec<(usize, Vec<Run>)> {
    let mut all: Vec<(usize, Vec<Run>)> = Vec::new();
    let mut row = 0;
    while row < n
        && let Some(page) = pages.get((filled + row) / PAGE)
    {
        let (slab, page) = place(*page);
        let at = (filled + row) % PAGE;
        let run = Run { page, at, row, rows: (PAGE - at).min(n - row) };
        row += run.rows;
        match all.last_mut() {
            Some((last, runs)) if *last == slab => runs.push(run),
            _ => all.push((slab, vec![run])),
        }
    }
    all
}

impl<B: Backend> Paged<'_, B> {
    /// The pages that hold the filled positions.
    pub(crate) fn filled(&self) -> &[Page] {
        &self.pages[..self.len.div_ceil(PAGE).min(self.pages.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_to_the_pages_in_their_order() {
        let run = |page, at, row, rows| Run { page, at, row, rows };
        assert_eq!(
            runs(&[3, 70, 71, 2], 10, 40),
            [(0, vec![run(3, 10, 0, 6)]), (1, vec![run(6, 0, 6, 16), run(7, 0, 22, 16)]), (0, vec![run(2, 0, 38, 2)])]
        );
        assert_eq!(runs(&[5], 15, 2), [(0, vec![run(5, 15, 0, 1)])]);
    }
}
