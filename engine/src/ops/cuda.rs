//! The engine's operations on CUDA: all portable so far.
//!
//! Apart because kernels for it belong here. It must not know models.

use burn::backend::Cuda;

use super::EngineBackend;

impl EngineBackend for Cuda {}
