//! A Luau plugin at work for one request: its environment, its context, and calls into it within the limits.
//!
//! Apart from the VM because it ends with its request. It must not know what becomes of the actions. When it is dropped after a call
//! that went well, its VM goes back to the pool; nothing of the request is reachable in it then.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use mlua::{Function, Table, Value};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::vm::Vm;
use super::{Pool, actions, json};
use crate::api::{Context, ToolFailure};
use crate::clock;
use crate::guest::{Action, Declared, Event, Guest, GuestError, GuestErrorKind, LARGE_EVENT, Permit, ToolRun, View};

/// One request's plugin.
pub(super) struct Instance {
    /// Gone after an error.
    vm: Option<Vm>,
    pool: Arc<Pool>,
    inspect: Option<Function>,
    tools: Value,
    prefilter: Option<Function>,
    context: Table,
    notes: Table,
    noted: usize,
    /// What the VM had counted before.
    counted: u64,
    /// Its place among the plugin's instances.
    permit: Option<Permit>,
}

/// What a call is shown besides the event itself.
struct Shown<'a> {
    bytes: usize,
    notes: &'a [(String, String)],
}

impl Instance {
    /// Takes a VM and runs the plugin's main chunk in a fresh environment, within the limits of a call.
    pub(super) fn start(pool: Arc<Pool>, context: &Context) -> Result<Self, GuestError> {
        let vm = pool.take()?;
        vm.desk.serve(&context.tenant);
        let counted = vm.budget.counted();
        if pool.setup.may_wait() {
            vm.desk.set_reach(context.reach.clone());
        }
        enter(&vm, &pool, 0);
        let started = {
            let _running = pool.clock.ticker.enter();
            describe(&vm, context)
        };
        let (context, notes, inspect, prefilter, tools) = started.map_err(|error| vm.blame(&error))?;
        if let Some(kind) = vm.budget.tripped() {
            return Err(GuestError::new(kind, "while it started"));
        }
        let (Value::Table(context), Some(notes)) = (context, notes) else {
            return Err(GuestError::new(GuestErrorKind::Contract, "a plugin returns a table with `inspect`, `tools` or both"));
        };
        let function = |name: &str, value: Value| match value {
            Value::Nil => Ok(None),
            Value::Function(function) => Ok(Some(function)),
            _ => Err(GuestError::new(GuestErrorKind::Contract, format!("`{name}` is not a function"))),
        };
        let (inspect, prefilter) = (function("inspect", inspect)?, function("prefilter", prefilter)?);
        Ok(Self { vm: Some(vm), pool, inspect, tools, prefilter, context, notes, noted: 0, counted, permit: None })
    }

    /// With its place, which it keeps for as long as it lives.
    pub(super) fn kept(mut self, permit: Permit) -> Self {
        self.permit = Some(permit);
        self
    }

    /// What it says of itself.
    pub(super) fn declared(&mut self) -> Result<Declared, GuestError> {
        let most = self.pool.setup.limits.output;
        let tools = actions::tools(&self.tools, most)?;
        let Some(prefilter) = self.prefilter.take() else { return Ok(Declared { tools, ..Declared::default() }) };
        let vm = self.begin(Shown { bytes: 0, notes: &[] })?;
        let answer = {
            let _running = self.pool.clock.ticker.enter();
            prefilter.call(()).map_err(|error| vm.blame(&error))
        };
        let (answer, why): (Value, Value) = self.end(vm, answer)?;
        Ok(Declared { tools, prefilter: actions::prefilter(&answer, &why, most)? })
    }

    /// Takes the VM for one call, tells it the notes that are new, and starts the clocks. Whoever does not give it back drops it.
    fn begin(&mut self, shown: Shown<'_>) -> Result<Vm, GuestError> {
        let Some(vm) = self.vm.take() else {
            return Err(GuestError::new(GuestErrorKind::Trap, "called after an error"));
        };
        enter(&vm, &self.pool, shown.bytes);
        let _running = self.pool.clock.ticker.enter();
        for (key, value) in shown.notes.get(self.noted..).unwrap_or_default() {
            let added = vm.glue.note.call::<()>((&self.notes, key.as_str(), value.as_str()));
            added.map_err(|error| vm.blame(&error))?;
        }
        self.noted = shown.notes.len();
        Ok(vm)
    }

    /// Ends a call: after any error the VM is gone.
    fn end<T>(&mut self, vm: Vm, result: Result<T, GuestError>) -> Result<T, GuestError> {
        // A guest that caught the stop with pcall and went on to an answer is stopped all the same.
        let result = match vm.budget.tripped() {
            Some(kind) => Err(GuestError::new(kind, "the call was stopped")),
            None => result,
        };
        self.pool.pace.saw(&result);
        if result.is_ok() {
            self.vm = Some(vm);
        }
        result
    }

    async fn ask(&self, vm: &Vm, event: &Event<'_>) -> Result<Vec<Action>, GuestError> {
        let Some(inspect) = &self.inspect else {
            return Err(GuestError::new(GuestErrorKind::Contract, "subscribes to events but has no function `inspect`"));
        };
        let called = match event.segments {
            [view] => {
                let (phase, channel) = (vm.phase(event.phase), vm.channel(view.channel));
                let shown = (inspect, &self.context, phase, event.last, view.id, channel, view.text, view.sent, view.label);
                vm.call(&vm.glue.ask_one, shown).await
            }
            views => match segments(vm, views) {
                Ok(list) => vm.call(&vm.glue.ask, (inspect, &self.context, vm.phase(event.phase), event.last, list)).await,
                Err(error) => Err(error),
            },
        };
        let (answer, why): (Value, Value) = called.map_err(|error| vm.blame(&error))?;
        actions::read(&answer, &why, self.pool.setup.limits.output)
    }

    async fn run_tool(&self, vm: &Vm, run: &ToolRun<'_>) -> Result<Result<String, ToolFailure>, GuestError> {
        let (tool, form) = actions::tool(&self.tools, run.name)?;
        let arguments = match serde_json::from_str(run.arguments) {
            Ok(arguments) => arguments,
            Err(error) => return Ok(Err(ToolFailure::BadArguments(format!("not JSON: {error}")))),
        };
        let called = match json::to_luau(&vm.lua, &arguments) {
            Ok(arguments) => vm.call(&tool, (&self.context, arguments)).await,
            Err(error) => Err(error),
        };
        let (answer, kind, message): (Value, Value, Value) = called.map_err(|error| vm.blame(&error))?;
        actions::result(&[answer, kind, message], form, self.pool.setup.limits.output)
    }
}

#[async_trait]
impl Guest for Instance {
    async fn inspect(&mut self, event: &Event<'_>) -> Result<Vec<Action>, GuestError> {
        let bytes = event.bytes();
        let vm = self.begin(Shown { bytes, notes: event.notes })?;
        let asked = paced((&vm, &self.pool), bytes, self.ask(&vm, event)).await;
        self.end(vm, asked)
    }

    async fn call_tool(&mut self, run: ToolRun<'_>) -> Result<Result<String, ToolFailure>, GuestError> {
        let bytes = run.arguments.len();
        let vm = self.begin(Shown { bytes, notes: run.notes })?;
        let said = paced((&vm, &self.pool), bytes, self.run_tool(&vm, &run)).await;
        self.end(vm, said)
    }

    fn memory(&self) -> usize {
        self.vm.as_ref().map_or(0, |vm| vm.lua.used_memory())
    }

    fn fuel(&self) -> u64 {
        self.vm.as_ref().map_or(0, |vm| vm.budget.counted().saturating_sub(self.counted))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(vm) = self.vm.take() {
            self.pool.give_back(vm);
        }
    }
}

/// Runs a call within the limits, however often it waits: only what it computes counts as CPU time, and its wall clock ends a wait.
/// Where it is shown much, or was stopped lately, its thread is given away while it computes.
async fn paced<T>(
    (vm, pool): (&Vm, &Pool),
    bytes: usize,
    call: impl Future<Output = Result<T, GuestError>>,
) -> Result<T, GuestError> {
    let is_long = bytes > LARGE_EVENT || pool.pace.is_slow();
    let mut call = pin!(call);
    let mut waited = false;
    let running = poll_fn(|context| {
        if waited {
            vm.budget.resume();
        }
        let _running = pool.clock.ticker.enter();
        let polled = if is_long { apart(|| call.as_mut().poll(context)) } else { call.as_mut().poll(context) };
        if polled.is_pending() {
            waited = true;
            vm.budget.pause();
        }
        polled
    });
    let wall = pool.setup.limits.wall;
    clock::within(wall, running).await.unwrap_or_else(|| {
        // Whatever of the guest still runs when its call is given up is stopped at once.
        vm.budget.late();
        Err(GuestError::new(GuestErrorKind::Wall, format!("waited longer than {wall:?}")))
    })
}

/// Starts the clocks of a call.
fn enter(vm: &Vm, pool: &Pool, bytes: usize) {
    vm.desk.begin(pool.setup.limits.output);
    vm.budget.begin(&pool.setup.limits, bytes);
}

/// Hands this thread's other tasks away while something runs. On a runtime of one thread there is nowhere to hand them to.
pub(super) fn apart<T>(run: impl FnOnce() -> T) -> T {
    let may = Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if may { tokio::task::block_in_place(run) } else { run() }
}

fn segments(vm: &Vm, views: &[View<'_>]) -> mlua::Result<Table> {
    let list = vm.lua.create_table_with_capacity(views.len(), 0)?;
    for (index, view) in views.iter().enumerate() {
        let channel = vm.channel(view.channel);
        vm.glue.segment.call::<()>((&list, index + 1, view.id, channel, view.text, view.sent, view.label))?;
    }
    Ok(list)
}

/// The contract's `context`, its notes, and the plugin's `inspect`, `prefilter` and `tools`; `false` in place of the context where the
/// plugin is not a table.
type Started = (Value, Option<Table>, Value, Value, Value);

/// Runs the plugin's main chunk. Parameters are a table; notes grow while the session lives.
fn describe(vm: &Vm, context: &Context) -> mlua::Result<Started> {
    let parameters = serde_json::from_str(&context.parameters).unwrap_or_default();
    vm.glue.start.call((
        vm.fresh()?,
        json::to_luau(&vm.lua, &parameters)?,
        context.request_id.as_str(),
        context.conversation.as_deref(),
        context.tenant.as_str(),
        context.key.as_str(),
        context.team.as_deref(),
        context.route.as_str(),
        context.model.as_str(),
    ))
}
