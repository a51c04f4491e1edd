//! Keys and values that a sequence has computed: its whole state in a model.
//!
//! Apart because it is what a sequence owns and a model does not. It must not know attention's arithmetic.

use burn::tensor::Tensor;

use crate::ops::{EngineBackend, LayerKv};

/// Positions that the first allocation holds; each further one doubles, so that growing costs a constant per token.
const FIRST: usize = 128;

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

/// One sequence's keys and values in all layers. Dropping it frees them.
#[derive(Clone, Debug)]
pub(crate) struct KvCache<B: EngineBackend> {
    layers: Vec<Option<LayerKv<B>>>,
    columns: Columns,
    len: usize,
    device: B::Device,
}

impl<B: EngineBackend> KvCache<B> {
    /// An empty cache; allocates nothing.
    pub(crate) fn new(layers: usize, columns: Columns, device: B::Device) -> Self {
        Self { layers: vec![None; layers], columns, len: 0, device }
    }

    /// Positions that are filled in all layers.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends to one layer, behind [`Self::len`]; `keys` and `values` are `[heads, n, width]`. Gives the layer and how many of
    /// its positions are filled.
    pub(crate) fn append(&mut self, layer: usize, keys: Tensor<B, 3>, values: Tensor<B, 3>) -> Option<(&LayerKv<B>, usize)> {
        let n = keys.dims()[1];
        let (at, end) = (self.len, self.len + n);
        let Columns { heads, keys: wide, values: deep } = self.columns;
        let room = |width| Tensor::zeros([heads, capacity(end), width], &self.device);
        let slot = self.layers.get_mut(layer)?;
        let kv = match slot.take() {
            None => LayerKv { keys: room(wide), values: room(deep) },
            Some(kv) if kv.keys.dims()[1] >= end => kv,
            Some(kv) => LayerKv {
                keys: B::write(room(wide), filled(kv.keys, at), 0),
                values: B::write(room(deep), filled(kv.values, at), 0),
            },
        };
        let kv = LayerKv { keys: B::write(kv.keys, keys, at), values: B::write(kv.values, values, at) };
        Some((slot.insert(kv), end))
    }

    /// Counts `n` positions that were appended to all layers.
    pub(crate) fn advance(&mut self, n: usize) {
        self.len += n;
    }
}

/// Positions that are allocated for so many.
pub(crate) fn capacity(positions: usize) -> usize {
    positions.next_power_of_two().max(FIRST)
}

fn filled<B: EngineBackend>(cache: Tensor<B, 3>, len: usize) -> Tensor<B, 3> {
    let [heads, _, width] = cache.dims();
    cache.slice([0..heads, 0..len, 0..width])
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::tensor::Distribution;

    use super::*;

    #[test]
    fn what_was_kept_stays_when_a_cache_grows() {
        let random = |n, width| Tensor::<Flex, 3>::random([2, n, width], Distribution::Default, &Default::default());
        let pieces = [100, 60, 1, 200].map(|n| (random(n, 2), random(n, 3)));
        let mut cache = KvCache::new(1, Columns { heads: 2, keys: 2, values: 3 }, Default::default());
        for (keys, values) in pieces.clone() {
            let n = keys.dims()[1];
            assert!(cache.append(0, keys, values).is_some());
            cache.advance(n);
        }
        assert_eq!(cache.len(), 361);
        let [keys, values] = [0, 1].map(|of| Tensor::cat(pieces.clone().map(|p| if of == 0 { p.0 } else { p.1 }).to_vec(), 1));
        let kv = cache.layers[0].clone().unwrap();
        assert_eq!(filled(kv.keys, 361).into_data(), keys.into_data());
        assert_eq!(filled(kv.values, 361).into_data(), values.into_data());
    }
}
