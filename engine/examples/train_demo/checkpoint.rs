//! What a run needs to go on exactly where it stopped: weights, the optimizer's moments and the step, in one file.
//! Apart, so that a crash never leaves half of it. It must not know what the weights mean.

use crate::Failure;
use crate::export;
use crate::model::Network;
use burn::module::Module;
use burn::optim::Optimizer;
use burn::record::{BinBytesRecorder, FullPrecisionSettings, Record, Recorder};
use burn::tensor::Device;
use burn::tensor::backend::{AutodiffBackend, Backend};
use std::path::Path;

/// The file's name in the run's folder.
const FILE: &str = "checkpoint.bin";

/// A checkpoint that was read.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// Steps that were done.
    pub(crate) step: usize,
    /// The record of the weights.
    pub(crate) weights: Vec<u8>,
    /// The record of the optimizer.
    pub(crate) moments: Vec<u8>,
}

impl Checkpoint {
    /// Reads the folder's checkpoint if there is one.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, Failure> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = std::fs::read(path)?;
        let (step, rest) = number(&bytes)?;
        let (size, rest) = number(rest)?;
        let (weights, moments) = rest.split_at_checked(size).ok_or("the checkpoint is cut off")?;
        Ok(Some(Self { step, weights: weights.to_vec(), moments: moments.to_vec() }))
    }

    /// Turns bytes back into a record.
    pub(crate) fn record<B: Backend, R: Record<B>>(&self, bytes: &[u8], device: &Device<B>) -> Result<R, Failure> {
        let recorder = BinBytesRecorder::<FullPrecisionSettings>::default();
        Ok(Recorder::<B>::load(&recorder, bytes.to_vec(), device)?)
    }

    /// Writes the folder's checkpoint.
    pub(crate) fn write<B, O>(folder: &Path, step: usize, network: &Network<B>, optimizer: &O) -> Result<(), Failure>
    where
        B: AutodiffBackend,
        O: Optimizer<Network<B>, B>,
    {
        let recorder = BinBytesRecorder::<FullPrecisionSettings>::default();
        let weights = Recorder::<B>::record(&recorder, network.clone().into_record(), ())?;
        let moments = Recorder::<B>::record(&recorder, optimizer.to_record(), ())?;
        let mut bytes = Vec::with_capacity(16 + weights.len() + moments.len());
        bytes.extend((step as u64).to_le_bytes());
        bytes.extend((weights.len() as u64).to_le_bytes());
        bytes.extend(weights);
        bytes.extend(moments);
        export::replace(&folder.join(FILE), &bytes)
    }
}

/// Eight bytes as a number, and what follows.
fn number(bytes: &[u8]) -> Result<(usize, &[u8]), Failure> {
    let (first, rest) = bytes.split_first_chunk::<8>().ok_or("the checkpoint is cut off")?;
    Ok((usize::try_from(u64::from_le_bytes(*first))?, rest))
}
