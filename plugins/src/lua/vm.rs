//! One closed Luau VM: which libraries it has, its guards, its host functions, and the plugin's code loaded into it.
//!
//! The list of globals is a list of what is allowed: what a later Luau adds stays out until someone reads it. Apart because it
//! outlives requests. It must not know them: `instance` opens an environment in it for each.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use gatewright_types::{Channel, Phase};
use mlua::chunk::ChunkMode;
use mlua::{Error, FromLuaMulti, Function, IntoLuaMulti, Lua, LuaOptions, LuaString, StdLib, Table, Value};

use super::budget::Budget;
use super::first_lines;
use super::powers::{self, Desk};
use super::safepoint;
use crate::guest::{GuestError, GuestErrorKind, Setup};

/// Globals that plugins have. No `require`, `loadstring`, `getfenv`, `setfenv`, `newproxy`, `collectgarbage`, `gcinfo`, `print`,
/// `os`, `debug`: no files, no clock, no code from data, no view of what another request left behind.
const ALLOWED: [&str; 42] = [
    "_VERSION",
    "assert",
    "error",
    "getmetatable",
    "ipairs",
    "next",
    "pairs",
    "pcall",
    "rawequal",
    "rawget",
    "rawlen",
    "rawset",
    "select",
    "setmetatable",
    "tonumber",
    "tostring",
    "type",
    "typeof",
    "unpack",
    "xpcall",
    "bit32",
    "buffer",
    "coroutine",
    "math",
    "string",
    "table",
    "utf8",
    "vector",
    "answer",
    "block",
    "edit",
    "hold",
    "note",
    "reask",
    "redact",
    "set",
    "fetch",
    "log",
    "metrics",
    "model",
    "settings",
    "store",
];

/// Chance is a power, and a seed would be a way to leave something for the next request.
const NO_MATH: [&str; 2] = ["random", "randomseed"];

const PRELUDE: &str = include_str!("prelude.luau");

/// Functions of the prelude that the host calls.
#[derive(Debug)]
pub(super) struct Glue {
    pub(super) start: Function,
    pub(super) ask_one: Function,
    pub(super) ask: Function,
    pub(super) segment: Function,
    pub(super) note: Function,
}

/// A VM with a plugin's code in it.
#[derive(Debug)]
pub(super) struct Vm {
    pub(super) lua: Lua,
    pub(super) glue: Glue,
    pub(super) budget: Arc<Budget>,
    /// Requests that it has served.
    pub(super) uses: u32,
    /// What its host functions know of the present request.
    pub(super) desk: Arc<Desk>,
    main: Function,
    /// Whether its calls may wait.
    may_wait: bool,
    /// Metatable of every request's environment: reads fall through to the closed globals.
    environment: Table,
    phases: [LuaString; Phase::ALL.len()],
    channels: [LuaString; Channel::ALL.len()],
    base: usize,
}

impl Vm {
    /// Builds and closes a VM, and loads compiled code into it without running it.
    pub(super) fn new(
        code: &[u8],
        settings: &serde_json::Value,
        (setup, ticks): (&Setup, &Arc<AtomicU64>),
    ) -> Result<Self, GuestError> {
        let desk = Arc::new(Desk::default());
        let build = || -> mlua::Result<Self> {
            let libraries = StdLib::COROUTINE
                | StdLib::TABLE
                | StdLib::STRING
                | StdLib::UTF8
                | StdLib::BIT
                | StdLib::MATH
                | StdLib::BUFFER
                | StdLib::VECTOR;
            let lua = Lua::new_with(libraries, LuaOptions::new().catch_rust_panics(false))?;
            let globals = lua.globals();
            let host: Table = lua.load(PRELUDE).set_name("=gatewright").set_compiler(super::compiler()).eval()?;
            powers::open(&lua, settings, (setup, &desk))?;
            close(&globals)?;
            lua.sandbox(true)?;
            let budget = Arc::new(Budget::new(Arc::clone(ticks)));
            safepoint::watch(&lua, &budget)?;
            let environment = lua.create_table()?;
            environment.raw_set("__index", globals)?;
            environment.raw_set("__metatable", "closed")?;
            environment.set_readonly(true);
            let main = lua.load(code).set_name("=plugin").set_mode(ChunkMode::Binary).into_function()?;
            lua.set_memory_limit(setup.limits.memory)?;
            Ok(Self {
                glue: Glue {
                    start: host.raw_get("start")?,
                    ask_one: host.raw_get("ask_one")?,
                    ask: host.raw_get("ask")?,
                    segment: host.raw_get("segment")?,
                    note: host.raw_get("note")?,
                },
                phases: try_map(Phase::ALL, |phase| lua.create_string(phase.as_str()))?,
                channels: try_map(Channel::ALL, |channel| lua.create_string(channel.as_str()))?,
                base: lua.used_memory(),
                budget,
                uses: 0,
                desk,
                main,
                may_wait: setup.may_wait(),
                environment,
                lua,
            })
        };
        build().map_err(|error| GuestError::new(GuestErrorKind::Load, first_lines(&error.to_string())))
    }

    /// The plugin's main chunk in a fresh environment.
    pub(super) fn fresh(&self) -> mlua::Result<Function> {
        let environment = self.lua.create_table()?;
        environment.set_metatable(Some(self.environment.clone()))?;
        environment.set_safeenv(true);
        self.main.set_environment(environment)?;
        Ok(self.main.clone())
    }

    /// Calls a function of the guest, in a coroutine where it may wait.
    pub(super) async fn call<R: FromLuaMulti>(&self, function: &Function, given: impl IntoLuaMulti) -> mlua::Result<R> {
        if self.may_wait { function.call_async(given).await } else { function.call(given) }
    }

    pub(super) const fn phase(&self, phase: Phase) -> &LuaString {
        &self.phases[phase as usize]
    }

    pub(super) const fn channel(&self, channel: Channel) -> &LuaString {
        &self.channels[channel as usize]
    }

    /// Bytes that it has grown by since it was built.
    pub(super) fn growth(&self) -> usize {
        self.lua.used_memory().saturating_sub(self.base)
    }

    /// What an error of the VM means.
    pub(super) fn blame(&self, error: &Error) -> GuestError {
        if let Some(kind) = self.budget.tripped() {
            return GuestError::new(kind, "the call was stopped");
        }
        let kind = if is_memory(error) { GuestErrorKind::Memory } else { GuestErrorKind::Trap };
        GuestError::new(kind, first_lines(&error.to_string()))
    }
}

fn try_map<T: Copy, U, const N: usize>(from: [T; N], map: impl Fn(T) -> mlua::Result<U>) -> mlua::Result<[U; N]> {
    let all = from.into_iter().map(map).collect::<mlua::Result<Vec<U>>>()?;
    all.try_into().map_err(|_| Error::runtime("count"))
}

fn is_memory(error: &Error) -> bool {
    match error {
        Error::MemoryError(_) => true,
        Error::CallbackError { cause, .. } => is_memory(cause),
        Error::RuntimeError(message) => message.contains("not enough memory"),
        _ => false,
    }
}

/// Removes every global that is not on the list.
fn close(globals: &Table) -> mlua::Result<()> {
    let names = globals.pairs::<String, Value>().map(|pair| pair.map(|(name, _)| name)).collect::<mlua::Result<Vec<_>>>()?;
    for name in names.iter().filter(|name| !ALLOWED.contains(&name.as_str())) {
        globals.raw_set(name.as_str(), Value::Nil)?;
    }
    let math: Table = globals.raw_get("math")?;
    NO_MATH.iter().try_for_each(|name| math.raw_set(*name, Value::Nil))
}
