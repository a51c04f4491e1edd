//! Whether CUDA can be used, asked before anything panics for lack of it: driver, device, NVRTC, headers, and one small computation.
//!
//! Apart because it talks to CUDA's libraries. It must not know models.

use std::panic::catch_unwind;

use burn::backend::Cuda;
use burn::backend::cuda::CudaDevice;
use burn::tensor::Tensor;
use cubecl_cuda::install::cuda_path;
use cudarc::{driver, nvrtc};

/// What is missing, from the driver up.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Missing {
    /// No driver, or no such device.
    #[error("{0}")]
    Gpu(String),
    /// The run-time compiler.
    #[error(
        "NVRTC is missing: Burn compiles its kernels with it. Install CUDA's `libnvrtc` (package cuda-nvrtc) where the linker finds it"
    )]
    Nvrtc,
    /// The headers that kernels include.
    #[error(
        "CUDA's headers are missing ({0}): kernels include cuda_runtime.h. Install them (package cuda-cudart-dev) and set CUDA_PATH to the \
         folder that holds `include`"
    )]
    Headers(String),
    /// All is there, and it does not work.
    #[error("CUDA device {0} failed at a first small computation: {1}")]
    Broken(usize, String),
}

/// Whether that device can compute.
pub(super) fn probe(device: usize) -> Result<(), Missing> {
    let count = devices()?;
    if device >= count {
        return Err(Missing::Gpu(format!("there is no CUDA device {device}: the driver knows {count}")));
    }
    if !present(Library::Nvrtc) {
        return Err(Missing::Nvrtc);
    }
    let path = cuda_path().ok_or_else(|| Missing::Headers("no CUDA_PATH, and no /usr/local/cuda".to_owned()))?;
    if !path.join("include/cuda_runtime.h").exists() {
        return Err(Missing::Headers(format!("no {}", path.join("include/cuda_runtime.h").display())));
    }
    let computed = catch_unwind(|| {
        let one = Tensor::<Cuda, 1>::ones([8], &CudaDevice::new(device));
        (one.clone() + one).sum().try_into_scalar()
    });
    match computed {
        Ok(Ok(sum)) if (sum - 16.0).abs() < 1e-3 => Ok(()),
        Ok(Ok(sum)) => Err(Missing::Broken(device, format!("16 came out as {sum}"))),
        Ok(Err(fault)) => Err(Missing::Broken(device, fault.to_string())),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(Missing::Broken(device, said.unwrap_or_default()))
        }
    }
}

/// Bytes of the device's memory.
#[allow(unsafe_code, reason = "the driver is asked for a number")]
pub(super) fn memory(device: usize) -> Option<u64> {
    let device = driver::result::device::get(i32::try_from(device).ok()?).ok()?;
    // SAFETY: the device is one that the driver has just given.
    unsafe { driver::result::device::total_mem(device) }.ok().map(|bytes| bytes as u64)
}

fn devices() -> Result<usize, Missing> {
    if !present(Library::Driver) {
        return Err(Missing::Gpu("there is no CUDA driver (libcuda) on this machine".to_owned()));
    }
    let fault = |e: driver::DriverError| Missing::Gpu(format!("the CUDA driver finds no device: {e}"));
    driver::result::init().map_err(fault)?;
    driver::result::device::get_count().map(|n| usize::try_from(n).unwrap_or(0)).map_err(fault)
}

#[derive(Clone, Copy)]
enum Library {
    Driver,
    Nvrtc,
}

#[allow(unsafe_code, reason = "looking for a shared library loads it, which runs its initialisers")]
fn present(library: Library) -> bool {
    match library {
        // SAFETY: these load NVIDIA's own libraries by their sonames, as using CUDA would; nothing of them is called or kept here.
        Library::Driver => unsafe { driver::sys::is_culib_present() },
        // SAFETY: as above.
        Library::Nvrtc => unsafe { nvrtc::sys::is_culib_present() },
    }
}
