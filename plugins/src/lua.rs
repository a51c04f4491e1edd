//! The Luau sandbox: text chunks only, no JIT, a pool of closed VMs for each plugin version.
//!
//! A VM serves one request at a time; each request gets a fresh environment in it, and a VM that erred is dropped. What the
//! libraries offer is listed in `vm`; what a call may cost is kept by `budget`. It is apart so that nothing else knows mlua. It must
//! not know chains, windows or modes.

mod actions;
mod budget;
mod instance;
mod json;
mod outside;
mod powers;
mod safepoint;
#[cfg(test)]
mod tests;
mod vm;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use mlua::chunk::Compiler;

use crate::api::Context;
use crate::guest::{Declared, Guest, GuestError, GuestErrorKind, Permit, Program, Sandbox, Setup};
use crate::idle::Idle;
use crate::pace::Pace;
use crate::reach::Reach;
use crate::ticker::Ticker;
use instance::Instance;
use vm::Vm;

/// Largest source, in bytes: compiling is not metered.
const LARGEST_SOURCE: usize = 1 << 20;
/// Requests that one VM serves before it is replaced, so that its garbage and its interned strings have an end.
const MOST_USES: u32 = 4096;
/// Bytes by which a VM may have grown when it goes back to the pool.
const GROWTH: usize = 4 << 20;

/// The sandbox. All that VMs share is the count of ticks; it is set up when the first plugin is loaded.
#[derive(Debug, Default)]
pub(crate) struct Luau(Mutex<Option<Clock>>);

/// What tells VMs that time passes.
#[derive(Clone, Debug)]
struct Clock {
    ticker: Arc<Ticker>,
    ticks: Arc<AtomicU64>,
}

impl Luau {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn clock(&self) -> Result<Clock, GuestError> {
        let mut clock = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(clock) = &*clock {
            return Ok(clock.clone());
        }
        let ticks = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&ticks);
        let advance = move || {
            count.fetch_add(1, Ordering::Relaxed);
            ControlFlow::Continue(())
        };
        let ticker = Arc::new(Ticker::start(advance).map_err(|error| GuestError::no_ticker(&error))?);
        Ok(clock.insert(Clock { ticker, ticks }).clone())
    }
}

impl Sandbox for Luau {
    fn load(&self, code: &[u8], setup: Setup) -> Result<Arc<dyn Program>, GuestError> {
        let fail = |message: String| GuestError::new(GuestErrorKind::Load, message);
        if code.len() > LARGEST_SOURCE {
            return Err(fail(format!("more than {LARGEST_SOURCE} bytes of source")));
        }
        let source = std::str::from_utf8(code).map_err(|_| fail("not text: only source is loaded, never bytecode".into()))?;
        let settings = serde_json::from_str(&setup.settings).map_err(|error| fail(format!("settings: {error}")))?;
        let code = compiler().compile(source).map_err(|error| fail(first_lines(&error.to_string())))?;
        let pool =
            Arc::new(Pool { code, settings, clock: self.clock()?, idle: Idle::new(setup.slots), pace: Pace::default(), setup });
        let mut first = Instance::start(Arc::clone(&pool), &Context::default())?;
        let declared = first.declared()?;
        drop(first);
        Ok(Arc::new(Loaded { pool, declared }))
    }
}

/// How plugins are compiled, and what the host puts beside them: small local functions are taken apart where they are called.
fn compiler() -> Compiler {
    Compiler::new().set_optimization_level(2).set_debug_level(1)
}

/// One plugin version.
#[derive(Debug)]
struct Loaded {
    pool: Arc<Pool>,
    declared: Declared,
}

#[async_trait]
impl Program for Loaded {
    async fn instantiate(&self, context: Arc<Context>, permit: Permit) -> Result<Box<dyn Guest>, GuestError> {
        let start = || Instance::start(Arc::clone(&self.pool), &context);
        let started = if self.pool.pace.is_slow() { instance::apart(start) } else { start() };
        if started.is_err() {
            self.pool.pace.saw(&started);
        }
        Ok(Box::new(started?.kept(permit)))
    }

    fn declared(&self) -> &Declared {
        &self.declared
    }
}

/// Idle VMs of one plugin version. The sessions bound how many are out; this bounds how many are kept.
#[derive(Debug)]
struct Pool {
    /// Compiled by this process from text.
    code: Vec<u8>,
    settings: serde_json::Value,
    setup: Setup,
    clock: Clock,
    idle: Idle<Vm>,
    pace: Pace,
}

impl Pool {
    /// An idle VM, or a new one.
    fn take(&self) -> Result<Vm, GuestError> {
        match self.idle.take() {
            Some(vm) => Ok(vm),
            None => Vm::new(&self.code, &self.settings, (&self.setup, &self.clock.ticks)),
        }
    }

    /// Takes back a VM whose request went well.
    fn give_back(&self, mut vm: Vm) {
        vm.uses += 1;
        if self.setup.may_wait() {
            vm.desk.set_reach(Reach::default());
            // A call that the guest left waiting, in a coroutine that it forgot, still belongs to its request.
            if vm.desk.away.load(Ordering::Relaxed) > 0 {
                return;
            }
        }
        if vm.uses >= MOST_USES || vm.growth() > GROWTH {
            return;
        }
        self.idle.keep(vm);
    }
}

/// A Luau error's message without the host's stack below it.
fn first_lines(message: &str) -> String {
    message.lines().take_while(|line| !line.starts_with("stack traceback")).collect::<Vec<_>>().join(" ")
}
