//! What a store carries besides the guest: the plugin's powers, and what is left of its limits. Host functions are its methods.
//!
//! It is apart because this is all that a guest can reach. It must not know actions or events.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::oneshot::Receiver;
use wasmtime::ResourceLimiter;

use super::bindings::gatewright::plugin::{fetch, log, metrics, model, settings, store, types};
use super::engine::MOST_MEMORY;
use super::meter::Meter;
use crate::guest::{ACTION_BYTES, Grant, Level, Setup};
use crate::reach::{FetchRequest, FetchResponse, Question, Reach, ServiceError};
use crate::services::LINE_BYTES;

/// What one element of a table counts toward the memory limit.
const ELEMENT_BYTES: usize = 16;

/// The data of one store.
#[derive(Debug)]
pub(super) struct State {
    pub(super) setup: Arc<Setup>,
    pub(super) memory: Memory,
    pub(super) meter: Meter,
    /// Bytes that this call may still log.
    left: usize,
    /// Whose request it serves.
    pub(super) tenant: Arc<str>,
    /// Where the numbers are that WASI takes for chance.
    drawn: u64,
    /// Who fetches and asks models in it.
    pub(super) reach: Reach,
    /// Who waits for the present call, where it runs apart from them.
    pub(super) asker: Option<Weak<Receiver<()>>>,
}

/// How much memory an instance has, over all its linear memories and tables.
#[derive(Debug)]
pub(super) struct Memory {
    most: usize,
    used: usize,
    /// Whether more was refused in this call: a trap soon after is put down to it.
    pub(super) refused: bool,
}

/// Memory that one instruction fills in a small part of a millisecond.
const QUICK: usize = 4 << 20;

impl State {
    /// A fresh state; nothing may run before [`State::begin`].
    pub(super) fn new(setup: Arc<Setup>) -> Self {
        let most = setup.limits.memory.min(MOST_MEMORY);
        let meter = Meter::start(Duration::ZERO, Duration::ZERO);
        Self {
            setup,
            memory: Memory { most, used: 0, refused: false },
            meter,
            left: 0,
            tenant: Arc::default(),
            drawn: 0,
            reach: Reach::default(),
            asker: None,
        }
    }

    /// Gives a new call its budget.
    pub(super) fn begin(&mut self, cpu: Duration) {
        self.meter = Meter::start(cpu, self.setup.limits.wall);
        self.left = self.setup.limits.output;
        self.memory.refused = false;
        self.look();
    }

    /// Has the meter count at once where one instruction may take long.
    fn look(&mut self) {
        if self.memory.used > QUICK {
            self.meter.look();
        }
    }

    /// Whether nobody waits for the present call any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.asker.as_ref().is_some_and(|asker| asker.strong_count() == 0)
    }

    /// The next number of a sequence that is the same in every instance: chance is no power that a guest has. (splitmix64)
    pub(super) fn no_chance(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.drawn ^ (self.drawn >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn allow(&self, power: Grant) -> Result<(), types::HostError> {
        if self.setup.granted.contains(&power) { Ok(()) } else { Err(types::HostError::Denied) }
    }
}

impl Memory {
    /// Bytes that it has.
    pub(super) const fn used(&self) -> usize {
        self.used
    }

    fn grow(&mut self, more: usize) -> bool {
        match self.used.checked_add(more).filter(|used| *used <= self.most) {
            Some(used) => {
                self.used = used;
                true
            }
            None => {
                self.refused = true;
                false
            }
        }
    }
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let declared = maximum.is_none_or(|most| desired <= most);
        let grows = declared && self.memory.grow(desired.saturating_sub(current));
        self.look();
        Ok(grows)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let declared = maximum.is_none_or(|most| desired <= most);
        Ok(declared && self.memory.grow(desired.saturating_sub(current).saturating_mul(ELEMENT_BYTES)))
    }
}

impl types::Host for State {}

impl log::Host for State {
    fn write(&mut self, at: log::Level, text: String) -> Result<(), types::HostError> {
        self.allow(Grant::Log)?;
        let line = &text[..text.floor_char_boundary(LINE_BYTES)];
        match self.left.checked_sub(line.len() + ACTION_BYTES) {
            Some(left) => self.left = left,
            None => return Err(types::HostError::Limit("this call has logged enough".to_owned())),
        }
        let level = match at {
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        self.setup.services.log.write(&self.setup.name, level, line);
        Ok(())
    }
}

impl settings::Host for State {
    fn get(&mut self) -> Result<String, types::HostError> {
        self.allow(Grant::Settings)?;
        Ok(self.setup.settings.to_string())
    }
}

impl store::Host for State {
    fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, types::HostError> {
        self.allow(Grant::Store)?;
        let kept = self.setup.services.store.get(&self.tenant, &key, Instant::now());
        kept.map(|value| value.map(|value| value.to_vec())).map_err(limit)
    }

    fn put(&mut self, key: String, value: Vec<u8>, ttl_seconds: u32) -> Result<(), types::HostError> {
        self.allow(Grant::Store)?;
        let ttl = Duration::from_secs(ttl_seconds.into());
        self.setup.services.store.put(&self.tenant, (&key, &value), ttl, Instant::now()).map_err(limit)
    }
}

fn limit(refused: impl std::fmt::Display) -> types::HostError {
    types::HostError::Limit(refused.to_string())
}

fn refused(why: ServiceError) -> types::HostError {
    match why {
        ServiceError::Denied => types::HostError::Denied,
        ServiceError::Limit(what) => types::HostError::Limit(what),
        ServiceError::Failed(why) => types::HostError::Failed(why),
    }
}

impl fetch::Host for State {
    async fn send(&mut self, req: fetch::Request) -> Result<fetch::Response, types::HostError> {
        self.allow(Grant::Fetch)?;
        self.meter.pause();
        let fetch::Request { method, url, headers, body } = req;
        let sent = self.reach.fetch(&self.setup.name, FetchRequest { method, url, headers, body }).await;
        self.look();
        sent.map(|FetchResponse { status, headers, body }| fetch::Response { status, headers, body }).map_err(refused)
    }
}

impl model::Host for State {
    async fn ask(&mut self, route: String, prompt: String, max_tokens: u32) -> Result<String, types::HostError> {
        self.allow(Grant::Model)?;
        self.meter.pause();
        let answer = self.reach.ask(&self.setup.name, Question { route, prompt, max_tokens }).await;
        self.look();
        answer.map_err(refused)
    }
}

impl metrics::Host for State {
    fn count(&mut self, name: String, by: u64) -> Result<(), types::HostError> {
        self.allow(Grant::Metrics)?;
        self.setup.services.counts.add(&self.setup.name, &name, by).map_err(limit)
    }
}
