//! Which Burn backend computes, and the thread that owns it: the only place that names one.
//!
//! Apart because the choice is made once, at the start. It must not know requests.

#[cfg(feature = "cuda")]
mod probe;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use burn::backend::Flex;
use gatewright_types::{DeviceChoice, Quantization};

use crate::error::EngineError;
use crate::layers::decoder::{Blueprint, Decoder};
use crate::memory::KvMemory;
use crate::ops::EngineBackend;
use crate::options::ModelFiles;
use crate::queue::Queue;
use crate::room;
use crate::step::Worker;
use crate::tokens::Vocabulary;
use crate::weights::Weights;
use crate::weights::adapter::Adapter;
use crate::weights::files::free_memory;
use crate::weights::stored::Extent;

/// What the thread needs.
pub(crate) struct Start {
    pub(crate) weights: Source,
    pub(crate) blueprint: Blueprint,
    pub(crate) vocabulary: Arc<Vocabulary>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) memory: KvMemory,
}

/// Where weights come from, and what becomes of them.
pub(crate) struct Source {
    pub(crate) files: ModelFiles,
    pub(crate) quantize: Option<Quantization>,
    /// Folders, in the order of the adapters' numbers.
    pub(crate) adapters: Vec<PathBuf>,
}

impl Source {
    fn open(&self) -> Result<Weights, EngineError> {
        let adapters = self.adapters.iter().map(|folder| Adapter::open(folder)).collect::<Result<_, _>>()?;
        Ok(Weights::open(&self.files)?.quantized(self.quantize).adapted(adapters))
    }
}

/// Chooses a device, loads the model on it in a thread of its own, and names it for people.
pub(crate) fn start(start: Start, choice: DeviceChoice) -> Result<String, EngineError> {
    match cuda(choice)? {
        #[cfg(feature = "cuda")]
        Some(n) => {
            if start.weights.quantize.is_some() {
                let said =
                    "`quantize` is for the CPU: on CUDA weights are kept as f32 so far; set the device to cpu, or leave it out";
                return Err(EngineError::Device(said.to_owned()));
            }
            spawn::<burn::backend::Cuda>(start, burn::backend::cuda::CudaDevice::new(n), probe::memory(n))?;
            Ok(format!("CUDA {n}"))
        }
        #[cfg(not(feature = "cuda"))]
        Some(_) => Err(EngineError::Device("this binary was built without CUDA".to_owned())),
        None => {
            spawn::<Flex>(start, Default::default(), free_memory())?;
            Ok("CPU (Flex)".to_owned())
        }
    }
}

/// The CUDA device to use, if any. `Auto` takes the CPU without a word where there is no GPU; where there is one that cannot be used, it
/// says why.
#[cfg(feature = "cuda")]
fn cuda(choice: DeviceChoice) -> Result<Option<usize>, EngineError> {
    match choice {
        DeviceChoice::Cpu => Ok(None),
        DeviceChoice::Cuda(n) => probe::probe(n).map(|()| Some(n)).map_err(|missing| EngineError::Device(missing.to_string())),
        DeviceChoice::Auto => match probe::probe(0) {
            Ok(()) => Ok(Some(0)),
            Err(probe::Missing::Gpu(_)) => Ok(None),
            Err(missing) => {
                tracing::warn!("there is a GPU, but the CPU is used: {missing}");
                Ok(None)
            }
        },
    }
}

/// Whether that device can be used, or what is missing.
#[cfg(all(test, feature = "gates-on-cuda"))]
pub(crate) fn usable_cuda(device: usize) -> Result<(), String> {
    probe::probe(device).map_err(|missing| missing.to_string())
}

#[cfg(not(feature = "cuda"))]
fn cuda(choice: DeviceChoice) -> Result<Option<usize>, EngineError> {
    match choice {
        DeviceChoice::Cpu | DeviceChoice::Auto => Ok(None),
        DeviceChoice::Cuda(n) => Ok(Some(n)),
    }
}

/// Says that the thread ended, however it ended.
struct Farewell(Arc<Queue>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Starts the thread and waits until the model is loaded.
fn spawn<B: EngineBackend>(start: Start, device: B::Device, free: Option<u64>) -> Result<(), EngineError> {
    let (report, loaded) = sync_channel(1);
    let work = move || {
        let farewell = Farewell(start.queue.clone());
        let Blueprint { layers, output, .. } = start.blueprint;
        let model = start.weights.open().and_then(|weights| {
            room::check(weights.needed(Extent { keep: B::KEEPS, layers, output }), start.memory.bytes(), free)?;
            Decoder::<B>::load(&start.blueprint, &weights, &device)
        });
        // Not a moment longer: files stay mapped with it.
        drop(start.weights);
        match model {
            Ok(model) => {
                let told = report.send(Ok(()));
                if told.is_ok() {
                    Worker::new(model, start.vocabulary, start.queue, start.memory).run();
                }
            }
            Err(fault) => drop(report.send(Err(fault))),
        }
        drop(farewell);
    };
    let thread = std::thread::Builder::new().name("gatewright-engine".to_owned());
    thread.spawn(work).map_err(|e| EngineError::Device(format!("no thread for the engine: {e}")))?;
    loaded.recv().unwrap_or_else(|_| Err(EngineError::Device("the device failed while the model was loaded".to_owned())))
}
