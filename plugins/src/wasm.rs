//! The WASM sandbox: components of the contract's world, under wasmtime. SKELETON: refuses to load anything.
//!
//! It must not know chains, windows or modes: it makes guests out of components.

use std::sync::Arc;

use crate::guest::{GuestError, GuestErrorKind, Program, Sandbox, Setup};

/// The sandbox: its engine and its ticker.
#[derive(Debug)]
pub(crate) struct Wasm(());

impl Wasm {
    /// A sandbox whose programs may have `slots` instances each in use at once.
    ///
    /// # Errors
    /// When the engine cannot be set up on this machine.
    pub(crate) fn new(slots: usize) -> Result<Self, GuestError> {
        let _ = slots;
        Ok(Self(()))
    }
}

impl Sandbox for Wasm {
    fn load(&self, code: &[u8], setup: Setup) -> Result<Arc<dyn Program>, GuestError> {
        let _ = (code, setup);
        Err(GuestError::new(GuestErrorKind::Load, "WASM components are not served yet"))
    }
}
