//! The host functions that need a grant: `log`, `settings`, `store`, `metrics`; those that wait are in `outside`. Each is there, and says no where it is not granted.
//!
//! Apart because this is all of the world outside that a Luau plugin can reach. It must not know events.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mlua::{Function, Lua, LuaString, Table, Value};

use super::{json, outside};
use crate::guest::{Grant, Level, Setup};
use crate::reach::Reach;
use crate::services::LINE_BYTES;
use crate::services::store::LONGEST;

/// What host functions know of the request that a VM serves.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// Bytes that the present call may still log.
    log_left: AtomicUsize,
    /// Whose request it is.
    tenant: Mutex<Arc<str>>,
    /// Who fetches and asks models in it.
    reach: Mutex<Reach>,
    /// Calls that wait outside.
    pub(super) away: AtomicUsize,
}

impl Desk {
    /// A call begins, which may log so many bytes.
    pub(super) fn begin(&self, log_left: usize) {
        self.log_left.store(log_left, Ordering::Relaxed);
    }

    /// A request begins.
    pub(super) fn serve(&self, tenant: &str) {
        let mut place = self.tenant.lock().unwrap_or_else(PoisonError::into_inner);
        if **place != *tenant {
            *place = tenant.into();
        }
    }

    /// The way outside for the present request; the default is none.
    pub(super) fn set_reach(&self, reach: Reach) {
        *self.reach.lock().unwrap_or_else(PoisonError::into_inner) = reach;
    }

    pub(super) fn reach(&self) -> Reach {
        self.reach.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tenant(&self) -> Arc<str> {
        Arc::clone(&self.tenant.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// `true`, or nil and why not.
type Done = (Option<bool>, Option<String>);

fn done<E: std::fmt::Display>(outcome: Result<(), E>) -> Done {
    match outcome {
        Ok(()) => (Some(true), None),
        Err(why) => (None, Some(why.to_string())),
    }
}

fn denied() -> Done {
    (None, Some("denied".to_owned()))
}

/// Puts the functions among the globals.
pub(super) fn open(lua: &Lua, settings: &serde_json::Value, (setup, desk): (&Setup, &Arc<Desk>)) -> mlua::Result<()> {
    let globals = lua.globals();
    globals.raw_set("log", log(lua, setup, Arc::clone(desk))?)?;
    globals.raw_set("settings", get_settings(lua, settings, setup)?)?;
    globals.raw_set("store", store(lua, setup, desk)?)?;
    globals.raw_set("metrics", metrics(lua, setup)?)?;
    outside::open(lua, (setup, desk))
}

/// `log(level, text)`: true, or nil and why not.
fn log(lua: &Lua, setup: &Setup, desk: Arc<Desk>) -> mlua::Result<Function> {
    let granted = setup.granted.contains(&Grant::Log);
    let (name, sink) = (Arc::clone(&setup.name), Arc::clone(&setup.services.log));
    lua.create_function(move |_, (level, text): (LuaString, LuaString)| {
        if !granted {
            return Ok(denied());
        }
        let Some(level) = level.to_str().ok().and_then(|level| Level::parse(&level)) else {
            return Ok((None, Some("the level is one of debug, info, warn, error".to_owned())));
        };
        let bytes = text.as_bytes();
        let line = String::from_utf8_lossy(&bytes[..bytes.len().min(LINE_BYTES)]);
        let Some(rest) = desk.log_left.load(Ordering::Relaxed).checked_sub(line.len().max(64)) else {
            return Ok((None, Some("limit".to_owned())));
        };
        desk.log_left.store(rest, Ordering::Relaxed);
        sink.write(&name, level, &line);
        Ok((Some(true), None))
    })
}

/// `settings()`: the settings, read-only, or nil and `denied`.
fn get_settings(lua: &Lua, settings: &serde_json::Value, setup: &Setup) -> mlua::Result<Function> {
    if !setup.granted.contains(&Grant::Settings) {
        return lua.create_function(|_, ()| Ok((Value::Nil, "denied")));
    }
    let settings = json::to_luau(lua, settings)?;
    lua.create_function(move |_, ()| Ok(settings.clone()))
}

/// `store.get(key)`: a string, nil where nothing is kept, or nil and why not. `store.put(key, value, seconds)`: true, or nil and why not.
fn store(lua: &Lua, setup: &Setup, desk: &Arc<Desk>) -> mlua::Result<Table> {
    let granted = setup.granted.contains(&Grant::Store);
    let table = lua.create_table()?;
    let (shelf, mine) = (Arc::clone(&setup.services.store), Arc::clone(desk));
    let get = move |lua: &Lua, key: LuaString| {
        if !granted {
            return Ok((None, Some("denied".to_owned())));
        }
        let Ok(key) = key.to_str() else { return Ok((None, Some("a key is UTF-8".to_owned()))) };
        match shelf.get(&mine.tenant(), &key, Instant::now()) {
            Ok(value) => Ok((value.map(|value| lua.create_string(&value)).transpose()?, None)),
            Err(why) => Ok((None, Some(why.to_string()))),
        }
    };
    table.raw_set("get", lua.create_function(get)?)?;
    let (shelf, mine) = (Arc::clone(&setup.services.store), Arc::clone(desk));
    let put = move |_: &Lua, (key, value, seconds): (LuaString, LuaString, f64)| {
        if !granted {
            return Ok(denied());
        }
        let Ok(key) = key.to_str() else { return Ok((None, Some("a key is UTF-8".to_owned()))) };
        // More than can be said is as good as the longest.
        let ttl = Duration::try_from_secs_f64((if seconds.is_nan() { -1.0 } else { seconds }).min(LONGEST.as_secs_f64()));
        let Ok(ttl) = ttl else { return Ok((None, Some("seconds are 0 or more".to_owned()))) };
        Ok(done(shelf.put(&mine.tenant(), (&key, &value.as_bytes()), ttl, Instant::now())))
    };
    table.raw_set("put", lua.create_function(put)?)?;
    table.set_readonly(true);
    Ok(table)
}

/// `metrics.count(name, by)`: true, or nil and why not. `by` is 1 where it is not given.
fn metrics(lua: &Lua, setup: &Setup) -> mlua::Result<Table> {
    let granted = setup.granted.contains(&Grant::Metrics);
    let (name, counts) = (Arc::clone(&setup.name), Arc::clone(&setup.services.counts));
    let table = lua.create_table()?;
    let count = move |_: &Lua, (of, by): (LuaString, Option<f64>)| {
        let by = by.unwrap_or(1.0);
        if !granted {
            return Ok(denied());
        }
        if !(by >= 0.0 && by.fract() == 0.0) {
            return Ok((None, Some("a count is a whole number of 0 or more".to_owned())));
        }
        Ok(done(counts.add(&name, &of.to_string_lossy(), by as u64)))
    };
    table.raw_set("count", lua.create_function(count)?)?;
    table.set_readonly(true);
    Ok(table)
}
