//! Reference checkpoints, for unit tests, and the device that they are computed on. They are made by `tests/reference/make.py`.
//!
//! Apart because tests of many modules use them. It must not know what is in them.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use crate::layers::Rows;
use crate::layers::cache::Pool;
use crate::layers::decoder::{Decoder, Span, Wanted};
use crate::options::ModelFiles;
use crate::pages::Page;
pub(crate) use tested::{EXACT, Tested, device};

/// One of the folders of `tests/reference`.
pub(crate) fn reference(name: &str) -> ModelFiles {
    ModelFiles::Folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name))
}

/// The folder of one of the adapters that `tests/reference/make_adapters.py` makes.
pub(crate) fn adapter(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/adapters").join(name)
}

/// Bytes as numbers.
pub(crate) fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// The mean square of the difference, by that of what is wanted.
pub(crate) fn nmse(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let square = |x: f32| f64::from(x) * f64::from(x);
    got.iter().zip(want).map(|(a, b)| square(a - b)).sum::<f64>() / want.iter().map(|b| square(*b)).sum::<f64>()
}

/// A model with pages of its own, and sequences whose pages lie among each other's.
pub(crate) struct Paged {
    pub(crate) model: Decoder<Tested>,
    pool: RefCell<Pool<Tested>>,
    sequences: Cell<u32>,
}

/// One sequence's pages and how many positions they hold.
#[derive(Clone)]
pub(crate) struct Cache {
    pages: Vec<Page>,
    filled: usize,
    adapter: Option<usize>,
}

impl Paged {
    pub(crate) fn new(model: Decoder<Tested>) -> Self {
        Self { pool: RefCell::new(model.pool(1000)), model, sequences: Cell::new(0) }
    }

    /// An empty one of at most 256 positions; there is room for 60 of them.
    pub(crate) fn cache(&self) -> Cache {
        let of = self.sequences.replace(self.sequences.get() + 1) % 60;
        Cache { pages: (0..16).rev().map(|i| of + 60 * i).collect(), filled: 0, adapter: None }
    }

    /// The same, with one of the model's adapters.
    pub(crate) fn wearing(&self, adapter: Option<usize>) -> Cache {
        Cache { adapter, ..self.cache() }
    }

    /// All logits; one token is written, more are read.
    pub(crate) fn run(&self, cache: &mut Cache, tokens: &[u32]) -> Vec<f32> {
        self.run_as(if tokens.len() > 1 { Rows::Prefill } else { Rows::Decode }, (cache, tokens), Wanted::All)
    }

    pub(crate) fn run_as(&self, kind: Rows, (cache, tokens): (&mut Cache, &[u32]), wanted: Wanted) -> Vec<f32> {
        let span = Span { pages: &cache.pages, filled: cache.filled, tokens, wanted, adapter: cache.adapter };
        let logits = self.model.forward(&mut self.pool.borrow_mut(), &[span], kind).unwrap();
        cache.filled += tokens.len();
        logits
    }

    /// One token of each in one step.
    pub(crate) fn write(&self, caches: &mut [Cache], tokens: &[[u32; 1]]) -> Vec<f32> {
        let span = |(cache, tokens)| -> Span<'_> {
            let (Cache { pages, filled, adapter }, tokens): (&Cache, &[u32; 1]) = (cache, tokens);
            Span { pages, filled: *filled, tokens, wanted: Wanted::Last, adapter: *adapter }
        };
        let spans: Vec<_> = caches.iter().zip(tokens).map(span).collect();
        let logits = self.model.forward(&mut self.pool.borrow_mut(), &spans, Rows::Decode).unwrap();
        caches.iter_mut().for_each(|cache| cache.filled += 1);
        logits
    }
}

#[cfg(test)]
mod tested {
    use burn::tensor::backend::BackendTypes;
    use gatewright_types::DeviceChoice;

    /// What the tests compute on that compare with references.
    #[cfg(not(feature = "gates-on-cuda"))]
    pub(crate) type Tested = burn::backend::Flex;
    /// The same, by `bench/cuda-gates`.
    #[cfg(feature = "gates-on-cuda")]
    pub(crate) type Tested = burn::backend::Cuda;

    /// Whether rows of a step are the same bit for bit alone and in company: on the CPU.
    pub(crate) const EXACT: bool = cfg!(not(feature = "gates-on-cuda"));

    /// The device of [`Tested`] that GATEWRIGHT_TEST_DEVICE names. Tests of another one than is asked for fail, and do not pass in its name.
    pub(crate) fn device() -> <Tested as BackendTypes>::Device {
        let asked = std::env::var("GATEWRIGHT_TEST_DEVICE").map_or(DeviceChoice::Auto, |name| name.parse().unwrap());
        of(asked)
    }

    #[cfg(not(feature = "gates-on-cuda"))]
    fn of(asked: DeviceChoice) -> <Tested as BackendTypes>::Device {
        assert!(
            !matches!(asked, DeviceChoice::Cuda(_)),
            "these tests are for the CPU: the feature `gates-on-cuda` makes those for CUDA"
        );
        Default::default()
    }

    #[cfg(feature = "gates-on-cuda")]
    fn of(asked: DeviceChoice) -> <Tested as BackendTypes>::Device {
        let DeviceChoice::Cuda(n) = asked else {
            panic!("these tests are for CUDA, and GATEWRIGHT_TEST_DEVICE names no such device")
        };
        crate::device::usable_cuda(n).unwrap_or_else(|missing| panic!("CUDA device {n} cannot be used: {missing}"));
        burn::backend::cuda::CudaDevice::new(n)
    }
}
