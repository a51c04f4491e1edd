//! One instance at work for one request: each call gets its budget, and an instance that failed is dropped.
//!
//! It is apart because this is where limits meet calls. It must not know how code is compiled or linked.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;
use wasmtime::component::{ComponentNamedList, Lift, TypedFunc};
use wasmtime::{Store, StoreContextMut, UpdateDeadline};

use super::bindings::exports::gatewright::plugin::tools;
use super::bindings::gatewright::plugin::types;
use super::convert;
use super::engine::Fuel;
use super::exports::Functions;
use super::fault::{Stopped, fault};
use super::program::Shared;
use super::state::State;
use crate::api::{Context, ToolFailure};
use crate::guest::{Action, Declared, Event, Grant, Guest, GuestError, GuestErrorKind, LARGE_EVENT, Permit, ToolRun};

/// A guest of one request.
pub(super) struct WasmGuest {
    /// `None` after a failure, and while a call is under way: a call that is given up takes the instance with it.
    live: Option<Live>,
    context: Arc<types::Context>,
}

/// A store and what it exports.
pub(super) struct Live {
    shared: Arc<Shared>,
    store: Store<State>,
    functions: Functions,
    /// Its place among the plugin's instances, once it serves a request.
    permit: Option<Permit>,
}

impl WasmGuest {
    pub(super) fn new(mut live: Live, context: &Context, permit: Permit) -> Self {
        live.permit = Some(permit);
        if live.shared.setup.granted.contains(&Grant::Store) {
            live.store.data_mut().tenant = context.tenant.as_str().into();
        }
        if live.shared.setup.may_wait() {
            live.store.data_mut().reach = context.reach.clone();
        }
        Self { live: Some(live), context: Arc::new(convert::context(context)) }
    }

    /// Notes are only ever appended to: what the guest's context lacks is at the end.
    fn note(&mut self, notes: &[(String, String)]) {
        let known = self.context.notes.len();
        if let Some(new) = notes.get(known..).filter(|new| !new.is_empty()) {
            Arc::make_mut(&mut self.context).notes.extend_from_slice(new);
        }
    }

    fn take(&mut self) -> Result<Live, GuestError> {
        self.live.take().ok_or_else(|| GuestError::new(GuestErrorKind::Contract, "asked again after it failed"))
    }
}

#[async_trait]
impl Guest for WasmGuest {
    async fn inspect(&mut self, event: &Event<'_>) -> Result<Vec<Action>, GuestError> {
        self.note(event.notes);
        let bytes = event.bytes();
        let asked = convert::event(event);
        let mut live = self.take()?;
        let context = Arc::clone(&self.context);
        let actions = if bytes > LARGE_EVENT || live.shared.pace.is_slow() {
            let call = |mut live: Live| async move {
                let actions = live.inspect(context, asked, bytes).await?;
                Ok((live, actions))
            };
            let (back, actions) = apart(live, call).await?;
            live = back;
            actions
        } else {
            live.inspect(context, asked, bytes).await?
        };
        self.live = Some(live);
        Ok(actions.into_iter().map(convert::action).collect())
    }

    async fn call_tool(&mut self, call: ToolRun<'_>) -> Result<Result<String, ToolFailure>, GuestError> {
        self.note(call.notes);
        let mut live = self.take()?;
        let asked = (Arc::clone(&self.context), call.name.to_owned(), call.arguments.to_owned());
        let answer = if call.arguments.len() > LARGE_EVENT || live.shared.pace.is_slow() {
            let call = |mut live: Live| async move {
                let answer = live.call_tool(asked).await?;
                Ok((live, answer))
            };
            let (back, answer) = apart(live, call).await?;
            live = back;
            answer
        } else {
            live.call_tool(asked).await?
        };
        self.live = Some(live);
        Ok(answer.map_err(convert::failure))
    }

    fn memory(&self) -> usize {
        self.live.as_ref().map_or(0, |live| live.store.data().memory.used())
    }

    fn fuel(&self) -> u64 {
        // An engine that does not count says so by an error.
        self.live.as_ref().map_or(0, |live| live.store.get_fuel().map_or(0, |left| Fuel::TANK - left))
    }
}

/// Runs a call that is long, or may be, on a thread where it holds up no other request. Who drops this gives the call up: its guest is stopped, at the
/// next tick where it computes, and its instance is gone.
async fn apart<T, F>(mut live: Live, call: impl FnOnce(Live) -> F) -> Result<(Live, T), GuestError>
where
    T: Send + 'static,
    F: Future<Output = Result<(Live, T), GuestError>> + Send + 'static,
{
    let (mut job, asker) = oneshot::channel::<()>();
    let asker = Arc::new(asker);
    live.store.data_mut().asker = Some(Arc::downgrade(&asker));
    let call = call(live);
    let stopped = |why: &dyn Display| GuestError::new(GuestErrorKind::Trap, format!("the call did not end: {why}"));
    let runtime = tokio::runtime::Handle::current();
    let job = async move {
        tokio::select! {
            biased;
            () = job.closed() => None,
            ended = call => Some(ended),
        }
    };
    let ended = tokio::task::spawn_blocking(move || runtime.block_on(job)).await.map_err(|error| stopped(&error))?;
    drop(asker);
    let (mut live, answer) = ended.unwrap_or_else(|| Err(stopped(&"nobody waits for it")))?;
    live.store.data_mut().asker = None;
    Ok((live, answer))
}

impl Live {
    /// Makes an instance and runs its start-up code.
    pub(super) async fn start(shared: &Arc<Shared>, cpu: Duration) -> Result<Self, GuestError> {
        let mut store = Store::new(shared.engine(), State::new(Arc::clone(&shared.setup)));
        store.limiter(|state| state);
        store.epoch_deadline_callback(at_tick);
        // What lists take on the host's side is near what they count toward the limit; the exact count is taken afterwards.
        store.set_hostcall_fuel(shared.setup.limits.output);
        if shared.fuel == Fuel::Counted {
            store.set_fuel(Fuel::TANK).map_err(|error| fault(&error, store.data()))?;
        }
        begin(&mut store, cpu);
        let running = shared.ticker.enter();
        let started = shared.manner.instantiate(&mut store, &shared.pre).await;
        drop(running);
        let instance = settle(started, &store)?;
        let functions = shared.exports.functions(&mut store, &instance)?;
        Ok(Self { shared: Arc::clone(shared), functions, store, permit: None })
    }

    /// What it says of itself: its tools and its prefilter, none where it has no such export.
    pub(super) async fn declare(mut self, cpu: Duration) -> Result<Declared, GuestError> {
        let mut declared = Declared::default();
        if let Some((declare, _)) = self.functions.tools {
            let (tools,) = self.say(declare, cpu).await?;
            declared.tools = tools.into_iter().map(convert::tool).collect();
        }
        if let Some(schemas) = self.functions.schemas {
            let (said,) = self.say(schemas, cpu).await?;
            for (name, schema) in said {
                let Some(tool) = declared.tools.iter_mut().find(|tool| tool.name == name) else {
                    let why = format!("`results` has a schema for `{name}`, which is no tool of it");
                    return Err(GuestError::new(GuestErrorKind::Contract, why));
                };
                tool.result = Some(schema);
            }
        }
        if let Some(patterns) = self.functions.patterns {
            let (said,) = self.say(patterns, cpu).await?;
            declared.prefilter = said.map_err(|why| GuestError::new(GuestErrorKind::Guest, why))?;
        }
        Ok(declared)
    }

    /// Calls a function that is given nothing.
    async fn say<R>(&mut self, function: TypedFunc<(), R>, cpu: Duration) -> Result<R, GuestError>
    where
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        begin(&mut self.store, cpu);
        let _running = self.shared.ticker.enter();
        let answer = self.shared.manner.call(&mut self.store, function, ()).await;
        settle(answer, &self.store)
    }

    async fn inspect(
        &mut self,
        context: Arc<types::Context>,
        event: types::Event,
        bytes: usize,
    ) -> Result<Vec<types::Action>, GuestError> {
        let inspect = self.functions.inspect.ok_or_else(|| GuestError::new(GuestErrorKind::Contract, "it exports no filter"))?;
        begin(&mut self.store, self.shared.setup.limits.cpu_for(bytes));
        let _running = self.shared.ticker.enter();
        let answer = self.shared.manner.call(&mut self.store, inspect, (context, event)).await;
        let answer = settle(answer, &self.store);
        self.shared.pace.saw(&answer);
        let (said,) = answer?;
        let actions = said.map_err(|why| GuestError::new(GuestErrorKind::Guest, why))?;
        self.weigh(actions.iter().map(convert::weight).sum())?;
        Ok(actions)
    }

    /// Calls a tool: context, its name, its arguments.
    async fn call_tool(
        &mut self,
        asked: (Arc<types::Context>, String, String),
    ) -> Result<Result<String, tools::Failure>, GuestError> {
        let (_, call) = self.functions.tools.ok_or_else(|| GuestError::new(GuestErrorKind::Contract, "it exports no tools"))?;
        begin(&mut self.store, self.shared.setup.limits.cpu_for(asked.2.len()));
        let _running = self.shared.ticker.enter();
        let answer = settle(self.shared.manner.call(&mut self.store, call, asked).await, &self.store);
        self.shared.pace.saw(&answer);
        let (answer,) = answer?;
        self.weigh(answer.as_ref().map_or(0, String::len))?;
        Ok(answer)
    }

    fn weigh(&self, bytes: usize) -> Result<(), GuestError> {
        let most = self.shared.setup.limits.output;
        if bytes <= most {
            return Ok(());
        }
        Err(GuestError::new(GuestErrorKind::Output, format!("{bytes} bytes, and {most} are allowed")))
    }
}

/// Gives the next call its budget.
fn begin(store: &mut Store<State>, cpu: Duration) {
    store.data_mut().begin(cpu);
    store.set_epoch_deadline(1);
}

/// Goes on while there is CPU time left, and asks again at the next tick.
#[allow(clippy::needless_pass_by_value, reason = "wasmtime dictates the signature")]
fn at_tick(mut store: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    if store.data().is_given_up() {
        return Err(wasmtime::Error::new(Stopped(GuestErrorKind::Wall)));
    }
    match store.data_mut().meter.over() {
        Some(kind) => Err(wasmtime::Error::new(Stopped(kind))),
        None => Ok(UpdateDeadline::Continue(1)),
    }
}

fn settle<T>(answer: wasmtime::Result<T>, store: &Store<State>) -> Result<T, GuestError> {
    answer.map_err(|error| fault(&error, store.data()))
}
