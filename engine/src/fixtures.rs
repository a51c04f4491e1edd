//! Reference checkpoints, for unit tests. They are made by `tests/reference/make.py`.
//!
//! Apart because tests of many modules use them. It must not know what is in them.

use std::cell::{Cell, RefCell};
use std::path::Path;

use burn::backend::Flex;

use crate::layers::Rows;
use crate::layers::cache::Pool;
use crate::layers::decoder::{Decoder, Span, Wanted};
use crate::options::ModelFiles;
use crate::pages::Page;

/// One of the folders of `tests/reference`.
pub(crate) fn reference(name: &str) -> ModelFiles {
    ModelFiles::Folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name))
}

/// A model with pages of its own, and sequences whose pages lie among each other's.
pub(crate) struct Paged {
    pub(crate) model: Decoder<Flex>,
    pool: RefCell<Pool<Flex>>,
    sequences: Cell<u32>,
}

/// One sequence's pages and how many positions they hold.
#[derive(Clone)]
pub(crate) struct Cache {
    pages: Vec<Page>,
    filled: usize,
}

impl Paged {
    pub(crate) fn new(model: Decoder<Flex>) -> Self {
        Self { pool: RefCell::new(model.pool(1000)), model, sequences: Cell::new(0) }
    }

    /// An empty one of at most 256 positions; there is room for 60 of them.
    pub(crate) fn cache(&self) -> Cache {
        let of = self.sequences.replace(self.sequences.get() + 1) % 60;
        Cache { pages: (0..16).rev().map(|i| of + 60 * i).collect(), filled: 0 }
    }

    /// All logits; one token is written, more are read.
    pub(crate) fn run(&self, cache: &mut Cache, tokens: &[u32]) -> Vec<f32> {
        self.run_as(if tokens.len() > 1 { Rows::Prefill } else { Rows::Decode }, (cache, tokens), Wanted::All)
    }

    pub(crate) fn run_as(&self, kind: Rows, (cache, tokens): (&mut Cache, &[u32]), wanted: Wanted) -> Vec<f32> {
        let span = Span { pages: &cache.pages, filled: cache.filled, tokens, wanted };
        let logits = self.model.forward(&mut self.pool.borrow_mut(), &[span], kind).unwrap();
        cache.filled += tokens.len();
        logits
    }

    /// One token of each in one step.
    pub(crate) fn write(&self, caches: &mut [Cache], tokens: &[[u32; 1]]) -> Vec<f32> {
        let span = |(cache, tokens)| -> Span<'_> {
            let (Cache { pages, filled }, tokens): (&Cache, &[u32; 1]) = (cache, tokens);
            Span { pages, filled: *filled, tokens, wanted: Wanted::Last }
        };
        let spans: Vec<_> = caches.iter().zip(tokens).map(span).collect();
        let logits = self.model.forward(&mut self.pool.borrow_mut(), &spans, Rows::Decode).unwrap();
        caches.iter_mut().for_each(|cache| cache.filled += 1);
        logits
    }
}
