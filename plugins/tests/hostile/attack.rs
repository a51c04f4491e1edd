//! One attack: a plugin, what it ends in, and what must stay as it was. Each is tried in a chain between two honest plugins, with
//! another request beside it, failing open and failing closed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gatewright_plugins::{Chain, Context, Host, OnError, Operator, Plugin, Session, Verdict};
use gatewright_types::Phase;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Runtime};

use super::kit::wat::{self, Wat};
use super::kit::{ALL, load, named, user};
use super::outside;

/// What everyone is asked about, and what honest plugins make of it.
pub(super) const TEXT: &str = "the bad 👩\u{200d}👧 end";
const ALONE: &str = "the good 👩\u{200d}👧 END";
/// Instances of a plugin.
const SLOTS: usize = 3;
/// What a call may compute beyond its limit where nothing is optimised and the machine is busy; the benchmark measures it.
const TOLERANCE: Duration = Duration::from_millis(400);
const POWERS: [&str; 6] = ["log", "settings", "store", "metrics", "fetch", "model"];

/// How an attack ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// As an error of that plugin whose reason begins so.
    Error(&'static str),
    /// In nothing.
    Harmless,
}

#[derive(Clone, Debug)]
enum Code {
    Luau(String),
    Wasm(Wat),
}

#[derive(Clone, Debug)]
pub(super) struct Attack {
    pub(super) name: String,
    code: Code,
    end: End,
    limits: &'static [(&'static str, u64)],
    granted: bool,
}

impl Attack {
    pub(super) fn luau(name: impl Into<String>, code: String, end: End) -> Self {
        Self { name: format!("luau {}", name.into()), code: Code::Luau(code), end, limits: &[], granted: false }
    }

    pub(super) fn wasm(name: impl Into<String>, wat: Wat, end: End) -> Self {
        Self { name: format!("wasm {}", name.into()), code: Code::Wasm(wat), end, limits: &[], granted: false }
    }

    /// With these limits.
    pub(super) fn limited(self, limits: &'static [(&'static str, u64)]) -> Self {
        Self { limits, ..self }
    }

    /// With every power.
    pub(super) fn granted(self) -> Self {
        Self { granted: true, ..self }
    }

    fn operator(&self, on_error: OnError) -> Operator {
        // The wall clock is not what is tried here, and a busy machine is no attack.
        let mut limits = BTreeMap::from([("wall_ms".to_owned(), 60_000)]);
        limits.extend(self.limits.iter().map(|(name, number)| ((*name).to_owned(), *number)));
        let grants = if self.granted { POWERS.map(str::to_owned).to_vec() } else { Vec::new() };
        Operator { on_error: Some(on_error), limits, grants, ..named("evil") }
    }

    fn load(&self, host: &Host, on_error: OnError) -> Arc<Plugin> {
        let more = format!("{ALL}grants: [{}]\n", POWERS.join(", "));
        match &self.code {
            Code::Luau(code) => load(host, &more, code, &self.operator(on_error)),
            Code::Wasm(wat) => wat::load(host, &more, wat, &self.operator(on_error)),
        }
    }

    fn allowed(&self) -> Duration {
        let cpu = self.limits.iter().find(|(name, _)| *name == "cpu_us").map_or(3600, |(_, number)| *number);
        Duration::from_micros(cpu) + TOLERANCE
    }
}

/// Where attacks are tried.
struct Stage {
    host: Host,
    honest: [Arc<Plugin>; 2],
    runtime: Runtime,
}

/// What honest plugins came to: the text, and their part of the record.
type Honest = (String, Vec<(String, &'static str, u64, u64)>);

impl Stage {
    fn new() -> Self {
        let host = Host::new(SLOTS);
        let shout = "return { inspect = function(_, event)
            local s = event.segments[1]
            local a, b = string.find(s.text, 'end', 1, true)
            if a then return { edit(s, a, b, 'END') } end
        end }";
        let patient = |name: &str| Operator {
            limits: [("cpu_us".to_owned(), 5_000_000), ("wall_ms".to_owned(), 60_000)].into(),
            ..named(name)
        };
        let honest = [wat::load(&host, ALL, &wat::redactor(), &patient("before")), load(&host, ALL, shout, &patient("after"))];
        // On one thread, so that its CPU clock sees all of a call.
        Self { host, honest, runtime: Builder::new_current_thread().enable_all().build().unwrap() }
    }

    /// A request, whose way outside leads to `outside`.
    fn session(&self, runtime: &Runtime, chain: &Chain) -> Session {
        let context = Context { request_id: "r1".into(), tenant: "t1".into(), reach: outside::reach(), ..Context::default() };
        runtime.block_on(chain.open(context)).unwrap()
    }

    fn chain(&self, evil: Option<Arc<Plugin>>) -> Chain {
        let [before, after] = self.honest.clone();
        Chain::new([Some(before), evil, Some(after)].into_iter().flatten().collect())
    }

    /// One attack: what is wrong, or what it computed.
    fn attempt(&self, attack: &Attack, alone: &Honest) -> Result<Duration, String> {
        let evil = attack.load(&self.host, OnError::Open);
        let open = self.chain(Some(Arc::clone(&evil)));
        let mut most = Duration::ZERO;
        let mut session = self.session(&self.runtime, &open);
        for _ in 0..2 {
            let mut segments = user(TEXT);
            let from = cpu();
            let outcome = self.runtime.block_on(session.inspect(Phase::Request, &mut segments));
            most = most.max(cpu().saturating_sub(from));
            same(&outcome.verdict, &Verdict::Pass)?;
            same(&segments[0].text, &alone.0)?;
            same(&outcome.notes.len(), &0)?;
        }
        let why: Vec<&str> = session
            .record()
            .iter()
            .filter(|entry| &*entry.plugin == "evil" && entry.did == "error")
            .filter_map(|entry| entry.why.as_deref())
            .collect();
        match (attack.end, why.as_slice()) {
            (End::Harmless, []) => {}
            (End::Error(kind), [why]) if why.starts_with(kind) && why.len() < 600 => {}
            (end, why) => return Err(format!("{end:?} was expected, and it was {why:?}")),
        }
        if most > attack.allowed() {
            return Err(format!("it computed for {most:?}"));
        }
        drop(session);
        self.closed(attack)?;
        // Every place is free again.
        let evil = Chain::new(vec![evil]);
        let places: Vec<_> = (0..SLOTS).map(|_| self.runtime.block_on(evil.open(Default::default()))).collect();
        if places.iter().any(Result::is_err) { Err("a place is still taken".to_owned()) } else { Ok(most) }
    }

    fn closed(&self, attack: &Attack) -> Result<(), String> {
        let closed = self.chain(Some(attack.load(&self.host, OnError::Closed)));
        let mut session = self.session(&self.runtime, &closed);
        let verdict = self.runtime.block_on(session.inspect(Phase::Request, &mut user(TEXT))).verdict;
        match (attack.end, &verdict) {
            (End::Harmless, Verdict::Pass) => Ok(()),
            (End::Error(kind), Verdict::Failed { plugin, reason }) if plugin == "evil" && reason.starts_with(kind) => Ok(()),
            _ => Err(format!("closed: {verdict:?}")),
        }
    }

    /// What honest plugins come to where nobody disturbs them, or somebody beside them does.
    fn honest(&self, runtime: &Runtime) -> Honest {
        let mut session = self.session(runtime, &self.chain(None));
        let mut segments = user(TEXT);
        let outcome = runtime.block_on(session.inspect(Phase::Request, &mut segments));
        assert_eq!(outcome.verdict, Verdict::Pass);
        let record = session.record().iter();
        (
            segments.remove(0).text,
            record.map(|entry| (entry.plugin.to_string(), entry.did, entry.count, entry.characters)).collect(),
        )
    }
}

/// Tries them all while another request runs beside them over and over, and says which went wrong.
pub(super) fn attempt(attacks: &[Attack]) {
    let stage = Stage::new();
    let alone = stage.honest(&stage.runtime);
    assert_eq!(alone.0, ALONE);
    let over = AtomicBool::new(false);
    let mut wrong = Vec::new();
    let mut times: Vec<(Duration, &str)> = Vec::new();
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let mut rounds = 0;
            while rounds < 10 || !over.load(Ordering::Relaxed) {
                assert_eq!(stage.honest(&runtime), alone, "a request beside");
                rounds += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        for attack in attacks {
            match stage.attempt(attack, &alone) {
                Ok(took) => times.push((took, &attack.name)),
                Err(why) => wrong.push(format!("{}: {why}", attack.name)),
            }
        }
        over.store(true, Ordering::Relaxed);
        beside.join().unwrap();
    });
    times.sort_unstable();
    times.iter().rev().take(12).for_each(|(took, name)| println!("{took:>12.3?} {name}"));
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), attacks.len(), wrong.join("\n"));
}

fn same<T: PartialEq + std::fmt::Debug>(got: &T, wanted: &T) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("{got:?} in place of {wanted:?}")) }
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
