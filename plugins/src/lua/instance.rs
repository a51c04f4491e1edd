//! A Luau plugin at work for one request: its environment, its context, and calls into it within the limits.
//!
//! Apart from the VM because it ends with its request. It must not know what becomes of the actions. When it is dropped after a call
//! that went well, its VM goes back to the pool; nothing of the request is reachable in it then.

use std::sync::Arc;

use async_trait::async_trait;
use mlua::{Function, Table, Value};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::vm::Vm;
use super::{Pool, actions, json};
use crate::api::{Context, ToolFailure};
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
        enter(&vm, &pool, 0);
        let started = || -> mlua::Result<(Value, Table, Table)> {
            let plugin: Value = vm.fresh()?.call(())?;
            let notes = vm.lua.create_table()?;
            Ok((plugin, describe(&vm, context, &notes)?, notes))
        };
        let (plugin, context, notes) = started().map_err(|error| vm.blame(&error))?;
        if let Some(kind) = vm.budget.tripped() {
            return Err(GuestError::new(kind, "while it started"));
        }
        let Value::Table(plugin) = plugin else {
            return Err(GuestError::new(GuestErrorKind::Contract, "a plugin returns a table with `inspect`, `tools` or both"));
        };
        let field = |name: &str| plugin.raw_get::<Value>(name).map_err(|error| vm.blame(&error));
        let function = |name: &str| match field(name)? {
            Value::Nil => Ok(None),
            Value::Function(function) => Ok(Some(function)),
            _ => Err(GuestError::new(GuestErrorKind::Contract, format!("`{name}` is not a function"))),
        };
        let (inspect, prefilter, tools) = (function("inspect")?, function("prefilter")?, field("tools")?);
        Ok(Self { vm: Some(vm), pool, inspect, tools, prefilter, context, notes, noted: 0, permit: None })
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
        let (answer, why) =
            self.call(Shown { bytes: 0, notes: &[] }, |_, vm| prefilter.call(()).map_err(|error| vm.blame(&error)))?;
        Ok(Declared { tools, prefilter: actions::prefilter(&answer, &why, most)? })
    }

    /// Runs one call within the limits, after telling it the notes that are new. After any error the VM is gone.
    fn call<T>(&mut self, shown: Shown<'_>, run: impl FnOnce(&Self, &Vm) -> Result<T, GuestError>) -> Result<T, GuestError> {
        let Some(vm) = self.vm.take() else {
            return Err(GuestError::new(GuestErrorKind::Trap, "called after an error"));
        };
        enter(&vm, &self.pool, shown.bytes);
        for (key, value) in shown.notes.get(self.noted..).unwrap_or_default() {
            let added = vm.glue.note.call::<()>((&self.notes, key.as_str(), value.as_str()));
            added.map_err(|error| vm.blame(&error))?;
        }
        self.noted = shown.notes.len();
        let is_long = shown.bytes > LARGE_EVENT || self.pool.pace.is_slow();
        let result = if is_long { apart(|| run(self, &vm)) } else { run(self, &vm) };
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

    fn ask(&self, vm: &Vm, event: &Event<'_>) -> Result<Vec<Action>, GuestError> {
        let Some(inspect) = &self.inspect else {
            return Err(GuestError::new(GuestErrorKind::Contract, "subscribes to events but has no function `inspect`"));
        };
        let called = match event.segments {
            [view] => vm.glue.ask_one.call::<(Value, Value)>((
                inspect,
                &self.context,
                vm.phase(event.phase),
                event.last,
                view.id,
                vm.channel(view.channel),
                view.text,
                view.sent,
                view.label,
            )),
            views => segments(vm, views)
                .and_then(|list| vm.glue.ask.call((inspect, &self.context, vm.phase(event.phase), event.last, list))),
        };
        let (answer, why) = called.map_err(|error| vm.blame(&error))?;
        actions::read(&answer, &why, self.pool.setup.limits.output)
    }

    fn run_tool(&self, vm: &Vm, run: &ToolRun<'_>) -> Result<Result<String, ToolFailure>, GuestError> {
        let tool = actions::tool(&self.tools, run.name)?;
        let arguments = match serde_json::from_str(run.arguments) {
            Ok(arguments) => arguments,
            Err(error) => return Ok(Err(ToolFailure::BadArguments(format!("not JSON: {error}")))),
        };
        let called =
            json::to_luau(&vm.lua, &arguments).and_then(|arguments| tool.call::<(Value, Value, Value)>((&self.context, arguments)));
        let (answer, kind, message) = called.map_err(|error| vm.blame(&error))?;
        actions::result(&[answer, kind, message], self.pool.setup.limits.output)
    }
}

#[async_trait]
impl Guest for Instance {
    async fn inspect(&mut self, event: &Event<'_>) -> Result<Vec<Action>, GuestError> {
        self.call(Shown { bytes: event.bytes(), notes: event.notes }, |instance, vm| instance.ask(vm, event))
    }

    async fn call_tool(&mut self, run: ToolRun<'_>) -> Result<Result<String, ToolFailure>, GuestError> {
        self.call(Shown { bytes: run.arguments.len(), notes: run.notes }, |instance, vm| instance.run_tool(vm, &run))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(vm) = self.vm.take() {
            self.pool.give_back(vm);
        }
    }
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

/// The contract's `context`. Parameters are a table; notes grow while the session lives.
fn describe(vm: &Vm, context: &Context, notes: &Table) -> mlua::Result<Table> {
    let table = vm.lua.create_table_with_capacity(0, 9)?;
    table.raw_set("request_id", context.request_id.as_str())?;
    table.raw_set("conversation", context.conversation.as_deref())?;
    table.raw_set("tenant", context.tenant.as_str())?;
    table.raw_set("key", context.key.as_str())?;
    table.raw_set("team", context.team.as_deref())?;
    table.raw_set("route", context.route.as_str())?;
    table.raw_set("model", context.model.as_str())?;
    let parameters = serde_json::from_str(&context.parameters).unwrap_or_default();
    table.raw_set("parameters", json::to_luau(&vm.lua, &parameters)?)?;
    table.raw_set("notes", notes)?;
    Ok(table)
}
