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
mod kept;
mod meter;
mod program;
mod ready;
mod state;
mod unknown;
mod wasi;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::guest::{GuestError, GuestErrorKind, Program, Sandbox, Setup};
use crate::ticker::Ticker;
use engine::Fuel;
pub(crate) use kept::Kept;
use program::Loaded;

/// The sandbox. It is set up when the first component is loaded: who has none pays for none.
#[derive(Debug)]
pub(crate) struct Wasm {
    slots: usize,
    fuel: Fuel,
    machine: Mutex<Option<Machine>>,
    /// What is compiled and in use, by the digest of its bytes: what did not change is not compiled again at a reload.
    compiled: Mutex<HashMap<blake3::Hash, Weak<Compiled>>>,
    /// What is compiled and was in use, also before this process.
    kept: Option<Kept>,
}

/// What all programs share.
#[derive(Clone, Debug)]
struct Machine {
    ticker: Arc<Ticker>,
    /// Places for instances that wait for a request, of all programs.
    waiting: Arc<Semaphore>,
    engine: Arc<EngineHandle>,
    fuel: Fuel,
}

/// A compiled component, which says nothing of itself in debug output.
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
        Self { slots, fuel: Fuel::Free, machine: Mutex::default(), compiled: Mutex::default(), kept: None }
    }

    /// One that counts the instructions of its guests, for tests of them: they are slower by it.
    pub(crate) fn counting(slots: usize) -> Self {
        Self { fuel: Fuel::Counted, ..Self::new(slots) }
    }

    /// The same, which keeps what it compiles in files.
    pub(crate) fn keeping(self, kept: Kept) -> Self {
        Self { kept: Some(kept), ..self }
    }

    fn machine(&self) -> Result<Machine, GuestError> {
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(machine) = &*machine {
            return Ok(machine.clone());
        }
        let engine = engine::engine(self.slots, self.fuel)?;
        let weak = engine.weak();
        let advance = move || match weak.upgrade() {
            Some(engine) => {
                engine.increment_epoch();
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        };
        let ticker = Ticker::start(advance).map_err(|error| GuestError::no_ticker(&error))?;
        let waiting = Arc::new(Semaphore::new(engine::waiting(self.slots)));
        Ok(machine
            .insert(Machine { ticker: Arc::new(ticker), engine: Arc::new(EngineHandle(engine)), waiting, fuel: self.fuel })
            .clone())
    }

    /// Compiles code, or finds it compiled: the same bytes are the same component.
    fn compile(&self, engine: &EngineHandle, code: &[u8]) -> Result<Arc<Compiled>, GuestError> {
        let digest = blake3::hash(code);
        let known = || self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compiled) = known().get(&digest).and_then(Weak::upgrade) {
            return Ok(compiled);
        }
        let kept = self.kept.as_ref();
        let component = match kept.and_then(|kept| kept.find(&engine.0, &digest)) {
            Some(component) => component,
            None => {
                let component = compile(&engine.0, code)?;
                kept.inspect(|kept| kept.keep(&engine.0, &digest, &component));
                component
            }
        };
        let compiled = Arc::new(Compiled(component));
        let mut known = known();
        known.retain(|_, compiled| compiled.strong_count() > 0);
        known.insert(digest, Arc::downgrade(&compiled));
        Ok(compiled)
    }
}

fn compile(engine: &Engine, code: &[u8]) -> Result<Component, GuestError> {
    Component::new(engine, code).map_err(|error| {
        GuestError::new(
            GuestErrorKind::Load,
            format!("not a component that can be compiled (build it for the contract's world, see plugins/sdk): {error:#}"),
        )
    })
}

impl Sandbox for Wasm {
    fn load(&self, code: &[u8], setup: Setup) -> Result<Arc<dyn Program>, GuestError> {
        let machine = self.machine()?;
        let compiled = self.compile(&machine.engine, code)?;
        Ok(Arc::new(Loaded::new(compiled, setup, machine)?))
    }
}
