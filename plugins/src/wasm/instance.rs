//! One instance at work for one request: each call gets its budget, and an instance that failed is dropped.
//!
//! It is apart because this is where limits meet calls. It must not know how code is compiled or linked.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use wasmtime::{Store, StoreContextMut, UpdateDeadline};

use super::bindings::exports::gatewright::plugin::{filter, tools};
use super::bindings::gatewright::plugin::types;
use super::convert;
use super::fault::{Stopped, fault};
use super::program::Shared;
use super::state::State;
use crate::api::{Context, ToolFailure};
use crate::guest::{Action, Event, Guest, GuestError, GuestErrorKind, LARGE_EVENT, ToolRun, ToolSpec};

/// A guest of one request.
pub(super) struct WasmGuest {
    /// `None` after a failure, and while a call is under way: a call that is given up takes the instance with it.
    live: Option<Live>,
    context: types::Context,
}

/// A store and what it exports.
pub(super) struct Live {
    shared: Arc<Shared>,
    store: Store<State>,
    filter: Option<filter::Guest>,
    tools: Option<tools::Guest>,
}

impl WasmGuest {
    pub(super) fn new(live: Live, context: &Context) -> Self {
        Self { live: Some(live), context: convert::context(context) }
    }

    /// Notes are only ever appended to: what the guest's context lacks is at the end.
    fn note(&mut self, notes: &[(String, String)]) {
        let known = self.context.notes.len().min(notes.len());
        self.context.notes.extend_from_slice(&notes[known..]);
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
        let actions = if bytes > LARGE_EVENT {
            let context = self.context.clone();
            let (back, actions) = apart(async move {
                let actions = live.inspect(&context, &asked, bytes).await?;
                Ok((live, actions))
            })
            .await?;
            live = back;
            actions
        } else {
            live.inspect(&self.context, &asked, bytes).await?
        };
        self.live = Some(live);
        Ok(actions.into_iter().map(convert::action).collect())
    }

    async fn call_tool(&mut self, call: ToolRun<'_>) -> Result<Result<String, ToolFailure>, GuestError> {
        self.note(call.notes);
        let mut live = self.take()?;
        let (name, arguments) = (call.name.to_owned(), call.arguments.to_owned());
        let answer = if arguments.len() > LARGE_EVENT {
            let context = self.context.clone();
            let (back, answer) = apart(async move {
                let answer = live.call_tool(&context, &name, &arguments).await?;
                Ok((live, answer))
            })
            .await?;
            live = back;
            answer
        } else {
            live.call_tool(&self.context, &name, &arguments).await?
        };
        self.live = Some(live);
        Ok(answer.map_err(convert::failure))
    }
}

/// Runs a long call on a thread where it holds up no other request.
async fn apart<T: Send + 'static>(call: impl Future<Output = Result<T, GuestError>> + Send + 'static) -> Result<T, GuestError> {
    let runtime = tokio::runtime::Handle::current();
    let ended = tokio::task::spawn_blocking(move || runtime.block_on(call)).await;
    ended.unwrap_or_else(|error| Err(GuestError::new(GuestErrorKind::Trap, format!("the call did not end: {error}"))))
}

impl Live {
    /// Makes an instance and runs its start-up code.
    pub(super) async fn start(shared: &Arc<Shared>, cpu: Duration) -> Result<Self, GuestError> {
        let mut store = Store::new(shared.engine(), State::new(Arc::clone(&shared.setup)));
        store.limiter(|state| &mut state.memory);
        store.epoch_deadline_callback(at_tick);
        // What lists take on the host's side is near what they count toward the limit; the exact count is taken afterwards.
        store.set_hostcall_fuel(shared.setup.limits.output);
        begin(&mut store, cpu);
        let running = shared.ticker.enter();
        let wall = shared.setup.limits.wall;
        let started = within(wall, shared.pre.instantiate_async(&mut store)).await;
        drop(running);
        let instance = settle(started, &store)?;
        let filter = shared.filter.as_ref().map(|indices| indices.load(&mut store, &instance)).transpose();
        let tools = shared.tools.as_ref().map(|indices| indices.load(&mut store, &instance)).transpose();
        let broken = |error: wasmtime::Error| GuestError::new(GuestErrorKind::Load, format!("{error:#}"));
        Ok(Self { shared: Arc::clone(shared), filter: filter.map_err(broken)?, tools: tools.map_err(broken)?, store })
    }

    /// Which tools it has; none where it has no such export.
    pub(super) async fn declare(mut self, cpu: Duration) -> Result<Vec<ToolSpec>, GuestError> {
        let Some(tools) = &self.tools else { return Ok(Vec::new()) };
        begin(&mut self.store, cpu);
        let _running = self.shared.ticker.enter();
        let answer = within(self.shared.setup.limits.wall, tools.call_declare(&mut self.store)).await;
        Ok(settle(answer, &self.store)?.into_iter().map(convert::tool).collect())
    }

    async fn inspect(
        &mut self,
        context: &types::Context,
        event: &types::Event,
        bytes: usize,
    ) -> Result<Vec<types::Action>, GuestError> {
        let filter = self.filter.as_ref().ok_or_else(|| GuestError::new(GuestErrorKind::Contract, "it exports no filter"))?;
        begin(&mut self.store, self.shared.setup.limits.cpu_for(bytes));
        let _running = self.shared.ticker.enter();
        let answer = within(self.shared.setup.limits.wall, filter.call_inspect(&mut self.store, context, event)).await;
        let actions = settle(answer, &self.store)?.map_err(|said| GuestError::new(GuestErrorKind::Guest, said))?;
        self.weigh(actions.iter().map(convert::weight).sum())?;
        Ok(actions)
    }

    async fn call_tool(
        &mut self,
        context: &types::Context,
        name: &str,
        arguments: &str,
    ) -> Result<Result<String, tools::Failure>, GuestError> {
        let tools = self.tools.as_ref().ok_or_else(|| GuestError::new(GuestErrorKind::Contract, "it exports no tools"))?;
        begin(&mut self.store, self.shared.setup.limits.cpu_for(arguments.len()));
        let _running = self.shared.ticker.enter();
        let wall = self.shared.setup.limits.wall;
        let answer = settle(within(wall, tools.call_call(&mut self.store, context, name, arguments)).await, &self.store)?;
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
    match store.data_mut().meter.over() {
        Some(kind) => Err(wasmtime::Error::new(Stopped(kind))),
        None => Ok(UpdateDeadline::Continue(1)),
    }
}

/// Ends a call that waits in a host function for too long. A call that waits for nothing never sets a timer.
async fn within<T>(wall: Duration, call: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    let mut call = pin!(call);
    let first = poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
    match first {
        Poll::Ready(answer) => answer,
        Poll::Pending => match tokio::time::timeout(wall, call).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(wasmtime::Error::new(Stopped(GuestErrorKind::Wall))),
        },
    }
}

fn settle<T>(answer: wasmtime::Result<T>, store: &Store<State>) -> Result<T, GuestError> {
    answer.map_err(|error| fault(&error, store.data()))
}
