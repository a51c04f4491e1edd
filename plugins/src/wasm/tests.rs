//! What the WASM sandbox promises, tried with guests that keep to nothing.
//!
//! Guests are written as text (`tests/guest.wat` around a body), because no compiler would let through what they do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod compiled;
mod hostile;
mod outside;
mod powers;
mod waiting;
mod wasi;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gatewright_types::{Channel, Phase};
use tokio::sync::Semaphore;

use super::Wasm;
use crate::api::Context;
use crate::guest::{
    Action, Event, Grant, Guest, GuestError, GuestErrorKind, Level, Limits, Permit, Program, Sandbox, Setup, Sink, View,
};
use crate::services::Services;
use crate::services::store::{ROOM, Shelf};

/// What a test says of its guest; the rest is usual.
struct Wat {
    imports: &'static str,
    with: &'static str,
    core: String,
    pages: u32,
}

/// A guest with this core module and no imports.
fn wat(core: &str) -> Wat {
    Wat { imports: "", with: "", core: core.to_owned(), pages: 2 }
}

/// A guest whose `inspect` is this body, which leaves the address of its answer.
fn body(body: &str) -> Wat {
    wat(&format!("(func (export \"inspect\") (param i32) (result i32) {body})"))
}

/// A guest that answers with as many actions as it is told, read from where it is told.
fn actions(address: u32, count: u32) -> Wat {
    body(&format!("(i32.store (i32.const 20) (i32.const {address})) (i32.store (i32.const 24) (i32.const {count})) (i32.const 16)"))
}

/// A guest that has nothing to say.
fn quiet() -> Wat {
    actions(0, 0)
}

impl Wat {
    fn code(&self) -> Vec<u8> {
        include_str!("tests/guest.wat")
            .replace("{PAGES}", &self.pages.to_string())
            .replace("{IMPORTS}", self.imports)
            .replace("{CORE}", &self.core)
            .replace("{WITH}", self.with)
            .into_bytes()
    }
}

/// Keeps the lines.
#[derive(Debug, Default)]
pub(crate) struct Lines(Mutex<Vec<String>>);

impl Sink for Lines {
    fn write(&self, plugin: &str, _at: Level, text: &str) {
        self.0.lock().unwrap().push(format!("{plugin}: {text}"));
    }
}

/// Setup with these grants, and time enough that only an endless guest runs out of it.
pub(crate) fn setup(granted: &[Grant], log: &Arc<Lines>) -> Setup {
    let limits = Limits { cpu: Duration::from_millis(50), wall: Duration::from_secs(60), ..Limits::default() };
    Setup {
        name: "guest".into(),
        limits,
        granted: granted.iter().copied().collect::<BTreeSet<_>>(),
        settings: r#"{"word":"teapot"}"#.into(),
        services: Services { log: Arc::clone(log) as Arc<dyn Sink>, store: Arc::new(Shelf::new(ROOM)), counts: Arc::default() },
        slots: 4,
    }
}

fn load(sandbox: &Wasm, wat: &Wat) -> Result<Arc<dyn Program>, GuestError> {
    sandbox.load(&wat.code(), setup(&[], &Arc::default()))
}

async fn start(program: &Arc<dyn Program>) -> Result<Box<dyn Guest>, GuestError> {
    program.instantiate(Arc::new(Context::default()), permit()).await
}

fn permit() -> Permit {
    Arc::new(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap())
}

async fn ask(guest: &mut Box<dyn Guest>, text: &str) -> Result<Vec<Action>, GuestError> {
    let view = View { id: 7, channel: Channel::User, text, sent: 0, label: None };
    guest.inspect(&Event { phase: Phase::Request, segments: &[view], last: true, notes: &[] }).await
}

/// Loads, starts and asks once.
async fn outcome(wat: &Wat) -> Result<Vec<Action>, GuestError> {
    let sandbox = Wasm::new(4);
    let program = load(&sandbox, wat)?;
    ask(&mut start(&program).await?, "hello").await
}
