//! One plugin version as wasmtime holds it: compiled, linked, and known to start.
//!
//! It is apart from the instance because it is shared by all requests and never changes. It must not run a guest for a request.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};

use super::bindings::Plugin as World;
use super::engine::Fuel;
use super::exports::{Exports, Manner};
use super::instance::{Live, WasmGuest};
use super::ready::Ready;
use super::state::State;
use super::{Compiled, Machine, unknown, wasi};
use crate::api::Context;
use crate::guest::{Declared, Guest, GuestError, GuestErrorKind, Permit, Program, Setup};
use crate::pace::Pace;
use crate::ticker::Ticker;

/// A loaded program.
pub(super) struct Loaded {
    shared: Arc<Shared>,
    ready: Arc<Ready>,
    declared: Declared,
    /// While a program uses it, another of the same bytes finds it.
    _compiled: Arc<Compiled>,
}

/// What instances need of their program.
pub(super) struct Shared {
    pub(super) ticker: Arc<Ticker>,
    /// Places for instances that wait, of all programs.
    pub(super) waiting: Arc<Semaphore>,
    pub(super) setup: Arc<Setup>,
    pub(super) pre: InstancePre<State>,
    pub(super) exports: Exports,
    pub(super) manner: Manner,
    pub(super) fuel: Fuel,
    pub(super) pace: Pace,
}

impl fmt::Debug for Loaded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Loaded").field("setup", &self.shared.setup).field("declared", &self.declared).finish_non_exhaustive()
    }
}

impl Loaded {
    /// Links a component, starts it once, and asks what it says of itself.
    pub(super) fn new(compiled: Arc<Compiled>, setup: Setup, machine: Machine) -> Result<Self, GuestError> {
        let Compiled(component) = &*compiled;
        let pre = link(component)?;
        let exports = Exports::of(component)?;
        let manner = Manner::of(component, setup.limits.wall);
        let Machine { ticker, waiting, fuel, .. } = machine;
        let setup = Arc::new(setup);
        let shared = Arc::new(Shared { ticker, waiting, setup, pre, exports, manner, fuel, pace: Pace::default() });
        let declared = shared.declare()?;
        let ready = Arc::new(Ready::new(shared.setup.slots));
        // What waits for something while it starts does not get here: `declare` has seen it start.
        ready.fill(&shared).now_or_never();
        Ok(Self { shared, ready, declared, _compiled: compiled })
    }
}

#[async_trait]
impl Program for Loaded {
    async fn instantiate(&self, context: Arc<Context>, permit: Permit) -> Result<Box<dyn Guest>, GuestError> {
        let live = match self.ready.take(&self.shared) {
            Some(live) => live,
            None => Live::start(&self.shared, self.shared.setup.limits.cpu_for(0)).await?,
        };
        Ok(Box::new(WasmGuest::new(live, &context, permit)))
    }

    fn declared(&self) -> &Declared {
        &self.declared
    }
}

impl Shared {
    pub(super) fn engine(&self) -> &Engine {
        self.pre.engine()
    }

    /// Starts the guest once. Loading may take as much CPU as it may take time; and as no host function has anything to wait for
    /// while loading, one poll is the whole of it.
    fn declare(self: &Arc<Self>) -> Result<Declared, GuestError> {
        let cpu = self.setup.limits.wall;
        let starting = async { Live::start(self, cpu).await?.declare(cpu).await };
        starting.now_or_never().unwrap_or_else(|| Err(unloadable("it waits for something while it is loaded")))
    }
}

/// Gives the component the contract's host functions, stubs of WASI, and traps for whatever else it imports.
fn link(component: &Component) -> Result<InstancePre<State>, GuestError> {
    let mut linker = Linker::<State>::new(component.engine());
    World::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)
        .and_then(|()| wasi::deny(&mut linker, component))
        .and_then(|()| unknown::trap(&mut linker, component))
        .and_then(|()| linker.instantiate_pre(component))
        .map_err(|error| unloadable(format!("its imports do not fit the contract: {error:#}")))
}

fn unloadable(message: impl Into<String>) -> GuestError {
    GuestError::new(GuestErrorKind::Load, message)
}
