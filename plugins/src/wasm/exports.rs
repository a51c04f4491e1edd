//! The contract's functions that a guest exports: where its component has them, and how they are called.
//!
//! A guest that imports nothing to wait for is called on the caller's own stack, which is warm; any other on a stack that can be
//! set aside while it waits. It is apart because the generated bindings know only one of the two ways. It must not know events,
//! limits but the wall clock, or what an answer means.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, ComponentNamedList, Instance, InstancePre, Lift, Lower, TypedFunc};

use super::bindings::WAITING;
use super::bindings::exports::gatewright::plugin::tools;
use super::bindings::gatewright::plugin::types;
use super::fault::Stopped;
use super::state::State;
use crate::clock;
use crate::guest::{GuestError, GuestErrorKind};

/// The version of the contract that is served: `wit/v1`.
pub(super) const VERSION: &str = "0.1.1";

/// `filter.inspect`
pub(super) type Inspect = TypedFunc<(Arc<types::Context>, types::Event), (Result<Vec<types::Action>, String>,)>;
/// `prefilter.patterns`
pub(super) type Patterns = TypedFunc<(), (Result<Vec<String>, String>,)>;
/// `tools.declare`
pub(super) type Declare = TypedFunc<(), (Vec<tools::Tool>,)>;
/// `results.schemas`
pub(super) type Schemas = TypedFunc<(), (Vec<(String, String)>,)>;
/// `tools.call`
pub(super) type Call = TypedFunc<(Arc<types::Context>, String, String), (Result<String, tools::Failure>,)>;

/// How a guest is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// It has nothing to wait for: a call ends before it gives its thread back.
    AtOnce,
    /// It may wait in a host function, for so long in all.
    MayWait(Duration),
}

/// Where a component has the contract's functions.
#[derive(Clone, Copy)]
pub(super) struct Exports {
    inspect: Option<ComponentExportIndex>,
    patterns: Option<ComponentExportIndex>,
    tools: Option<(ComponentExportIndex, ComponentExportIndex)>,
    schemas: Option<ComponentExportIndex>,
}

/// The contract's functions of one instance; `None` where it exports no such interface.
#[derive(Clone, Copy)]
pub(super) struct Functions {
    pub(super) inspect: Option<Inspect>,
    pub(super) patterns: Option<Patterns>,
    pub(super) tools: Option<(Declare, Call)>,
    pub(super) schemas: Option<Schemas>,
}

impl Exports {
    /// Looks them up by name. That they have the contract's shape shows when the first instance is made.
    pub(super) fn of(component: &Component) -> Result<Self, GuestError> {
        let inspect = Interface::find(component, "filter").map(|filter| filter.function("inspect")).transpose()?;
        let patterns = Interface::find(component, "prefilter").map(|prefilter| prefilter.function("patterns")).transpose()?;
        let both = |tools: Interface<'_>| Ok((tools.function("declare")?, tools.function("call")?));
        let tools = Interface::find(component, "tools").map(both).transpose()?;
        let schemas = Interface::find(component, "results").map(|results| results.function("schemas")).transpose()?;
        if inspect.is_none() && tools.is_none() {
            return Err(GuestError::new(GuestErrorKind::Load, "it exports neither the contract's filter nor its tools"));
        }
        Ok(Self { inspect, patterns, tools, schemas })
    }

    /// The functions of an instance.
    pub(super) fn functions(&self, store: &mut Store<State>, instance: &Instance) -> Result<Functions, GuestError> {
        let inspect = self.inspect.map(|at| typed(store, instance, at)).transpose()?;
        let patterns = self.patterns.map(|at| typed(store, instance, at)).transpose()?;
        let tools = match self.tools {
            Some((declare, call)) => Some((typed(store, instance, declare)?, typed(store, instance, call)?)),
            None => None,
        };
        let schemas = self.schemas.map(|at| typed(store, instance, at)).transpose()?;
        Ok(Functions { inspect, patterns, tools, schemas })
    }
}

impl Manner {
    /// How this component has to be called.
    pub(super) fn of(component: &Component, wall: Duration) -> Self {
        let kind = component.component_type();
        let waits = kind.imports(component.engine()).any(|(name, _)| WAITING.iter().any(|waiting| name.starts_with(waiting)));
        if waits { Self::MayWait(wall) } else { Self::AtOnce }
    }

    /// Makes an instance.
    pub(super) async fn instantiate(self, store: &mut Store<State>, pre: &InstancePre<State>) -> wasmtime::Result<Instance> {
        match self {
            Self::AtOnce => pre.instantiate(store),
            Self::MayWait(wall) => within(wall, pre.instantiate_async(store)).await,
        }
    }

    /// Calls a function.
    pub(super) async fn call<P, R>(self, store: &mut Store<State>, function: TypedFunc<P, R>, given: P) -> wasmtime::Result<R>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        match self {
            Self::AtOnce => function.call(store, given),
            Self::MayWait(wall) => within(wall, function.call_async(store, given)).await,
        }
    }
}

/// One exported interface.
struct Interface<'a> {
    component: &'a Component,
    name: &'a str,
    at: ComponentExportIndex,
}

impl<'a> Interface<'a> {
    /// Of any version that this one is compatible with, older or newer: wasmtime reads names so.
    fn find(component: &'a Component, name: &'a str) -> Option<Self> {
        let at = component.get_export_index(None, format!("gatewright:plugin/{name}@{VERSION}").as_str())?;
        Some(Self { component, name, at })
    }

    fn function(&self, name: &str) -> Result<ComponentExportIndex, GuestError> {
        let found = self.component.get_export_index(Some(&self.at), name);
        found.ok_or_else(|| misfit(&format!("{}.{name} is missing", self.name)))
    }
}

fn typed<P, R>(store: &mut Store<State>, instance: &Instance, at: ComponentExportIndex) -> Result<TypedFunc<P, R>, GuestError>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    instance.get_typed_func(store, at).map_err(|error| misfit(&format!("{error:#}")))
}

fn misfit(why: &str) -> GuestError {
    GuestError::new(GuestErrorKind::Load, format!("what it exports does not fit the contract: {why}"))
}

/// Ends a call that waits in a host function for too long.
async fn within<T>(wall: Duration, call: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    clock::within(wall, call).await.unwrap_or_else(|| Err(wasmtime::Error::new(Stopped(GuestErrorKind::Wall))))
}
