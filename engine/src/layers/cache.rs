//! The keys and values that a model has computed, of all sequences, in pages.
//!
//! Apart because it is all that is written while a model runs. It must not know attention's arithmetic, nor whose a page is: that is
//! the book's ([`crate::pages`]).

use burn::tensor::Tensor;

use crate::ops::{EngineBackend, Paged, Run, SLAB, Slab, runs};
use crate::pages::{PAGE, Page};

/// What one position has in one layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    pub(crate) heads: usize,
    /// Width of a head's key.
    pub(crate) keys: usize,
    /// Width of a head's value.
    pub(crate) values: usize,
}

impl Columns {
    /// How many values that are.
    pub(crate) fn count(self) -> usize {
        self.heads * (self.keys + self.values)
    }
}

/// All pages of all layers.
#[derive(Debug)]
pub(crate) struct Pool<B: EngineBackend> {
    /// Of each layer, made when they are first written to.
    layers: Vec<Vec<Option<Slab<B>>>>,
    columns: Columns,
    /// Pages that there may be.
    pages: usize,
    device: B::Device,
}

/// One sequence's rows in a step: its pages, how many positions they hold, and where the rows go.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pages: &'a [Page],
    filled: usize,
    /// How many rows.
    pub(crate) rows: usize,
    runs: Vec<(usize, Vec<Run>)>,
}

impl<'a> Part<'a> {
    pub(crate) fn new(pages: &'a [Page], filled: usize, rows: usize) -> Self {
        Self { pages, filled, rows, runs: runs(pages, filled, rows) }
    }

    /// Whether there are pages for all its rows.
    pub(crate) fn fits(&self) -> bool {
        self.filled + self.rows <= self.pages.len() * PAGE
    }
}

impl<B: EngineBackend> Pool<B> {
    /// A pool of so many pages; allocates nothing.
    pub(crate) fn new(layers: usize, columns: Columns, pages: usize, device: B::Device) -> Self {
        Self { layers: (0..layers).map(|_| Vec::new()).collect(), columns, pages, device }
    }

    /// Writes a part's rows, `[rows, heads, width]` each, to one layer, and gives all that the part has there then.
    pub(crate) fn append<'a>(
        &'a mut self,
        layer: usize,
        part: &Part<'a>,
        [keys, values]: [Tensor<B, 3>; 2],
    ) -> Option<Paged<'a, B>> {
        for (at, runs) in &part.runs {
            let slab = match self.layers.get_mut(layer)?.get_mut(*at).and_then(Option::take) {
                Some(slab) => slab,
                None => self.slab(*at),
            };
            let slab = Slab { keys: B::write(slab.keys, &keys, runs), values: B::write(slab.values, &values, runs) };
            let slabs = self.layers.get_mut(layer)?;
            if slabs.len() <= *at {
                slabs.resize(*at + 1, None);
            }
            *slabs.get_mut(*at)? = Some(slab);
        }
        Some(Paged { slabs: self.layers.get(layer)?, pages: part.pages, len: part.filled + part.rows })
    }

    /// An empty slab; the last one has the pages that are left.
    fn slab(&self, at: usize) -> Slab<B> {
        let Columns { heads, keys, values } = self.columns;
        let pages = self.pages.saturating_sub(at * SLAB).clamp(1, SLAB);
        let room = |width| Tensor::zeros([pages, heads, PAGE, width], &self.device);
        Slab { keys: room(keys), values: room(values) }
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::tensor::Distribution;

    use super::*;
    use crate::ops::portable;

    #[test]
    fn what_was_kept_stays_when_a_sequence_grows() {
        let random = |n, width| Tensor::<Flex, 3>::random([n, 2, width], Distribution::Default, &Default::default());
        let pieces = [100, 60, 1, 200].map(|n| (random(n, 2), random(n, 3)));
        let columns = Columns { heads: 2, keys: 2, values: 3 };
        let mut pool = Pool::<Flex>::new(1, columns, 200, Default::default());
        // In no order, in two slabs, with another's pages between them.
        let pages: Vec<Page> = (0..23).map(|i| 130 - 5 * i).collect();
        let mut filled = 0;
        for (keys, values) in pieces.clone() {
            let n = keys.dims()[0];
            let part = Part::new(&pages, filled, n);
            assert!(part.fits() && pool.append(0, &part, [keys, values]).is_some());
            filled += n;
        }
        let paged = Paged { slabs: &pool.layers[0], pages: &pages, len: filled };
        let [keys, values] = [0, 1].map(|of| Tensor::cat(pieces.clone().map(|p| if of == 0 { p.0 } else { p.1 }).to_vec(), 0));
        let got = [portable::gathered(&paged, |slab| &slab.keys), portable::gathered(&paged, |slab| &slab.values)];
        assert_eq!(got[0].clone().into_data(), keys.swap_dims(0, 1).into_data());
        assert_eq!(got[1].clone().into_data(), values.swap_dims(0, 1).into_data());
        assert!(!Part::new(&pages, filled, 8).fits());
    }
}
