//! The WASM sandbox: components of the contract's worlds, under wasmtime.
//!
//! One engine and one ticking thread serve all programs; each request gets a store of its own, which no other request ever sees.
//! It is apart so that nothing else knows wasmtime. It must not know chains, windows or modes: it makes guests out of components.

mod bindings;
mod convert;
mod engine;
mod exports;
mod fault;
mod instance;
mod meter;
mod program;
mod ready;
mod state;
pub(crate) mod ticker;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::guest::{GuestError, GuestErrorKind, Program, Sandbox, Setup};
use program::Loaded;
use ticker::{Beat, Ticker};

/// The sandbox. It is set up when the first component is loaded: who has none pays for none.
#[derive(Debug)]
pub(crate) struct Wasm {
    slots: usize,
    machine: Mutex<Option<Machine>>,
    compiled: Mutex<Vec<(blake3::Hash, Compiled)>>,
}

/// The engine and its ticker.
#[derive(Clone, Debug)]
struct Machine {
    ticker: Arc<Ticker>,
    /// Places for instances that wait for a request, of all programs.
    waiting: Arc<Semaphore>,
    engine: Arc<EngineHandle>,
}

/// Components that are kept compiled, so that a reload compiles only what changed.
const COMPILED: usize = 32;

/// A compiled component, which says nothing of itself in debug output.
#[derive(Clone)]
struct Compiled(Component);

impl std::fmt::Debug for Compiled {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Component")
    }
}

/// The engine, which says nothing of itself in debug output.
pub(crate) struct EngineHandle(Engine);

impl std::fmt::Debug for EngineHandle {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Engine")
    }
}

impl Wasm {
    /// A sandbox whose programs may have `slots` instances each in use at once.
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots, machine: Mutex::default(), compiled: Mutex::default() }
    }

    fn machine(&self) -> Result<Machine, GuestError> {
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(machine) = &*machine {
            return Ok(machine.clone());
        }
        let engine = engine::engine(self.slots)?;
        let weak = engine.weak();
        let beat = move || {
            weak.upgrade().map_or(Beat::Unheard, |engine| {
                engine.increment_epoch();
                Beat::Heard
            })
        };
        let ticker = Ticker::start(beat).map_err(|error| {
            GuestError::new(GuestErrorKind::Load, format!("the thread that counts guests' time cannot start: {error}"))
        })?;
        let waiting = Arc::new(Semaphore::new(engine::waiting(self.slots)));
        Ok(machine.insert(Machine { ticker: Arc::new(ticker), waiting, engine: Arc::new(EngineHandle(engine)) }).clone())
    }

    /// Compiles code, or finds it compiled: the same bytes are the same component.
    fn compile(&self, engine: &EngineHandle, code: &[u8]) -> Result<Component, GuestError> {
        let digest = blake3::hash(code);
        let known = || self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, Compiled(component))) = known().iter().find(|(of, _)| *of == digest) {
            return Ok(component.clone());
        }
        let component = Component::new(&engine.0, code).map_err(|error| {
            GuestError::new(
                GuestErrorKind::Load,
                format!("not a component that can be compiled (build it for the contract's world, see plugins/sdk): {error:#}"),
            )
        })?;
        let mut known = known();
        if known.len() >= COMPILED {
            known.remove(0);
        }
        known.push((digest, Compiled(component.clone())));
        Ok(component)
    }
}

impl Sandbox for Wasm {
    fn load(&self, code: &[u8], setup: Setup) -> Result<Arc<dyn Program>, GuestError> {
        let machine = self.machine()?;
        let component = self.compile(&machine.engine, code)?;
        Ok(Arc::new(Loaded::new(&component, setup, &machine)?))
    }
}
