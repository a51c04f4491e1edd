//! What a request has used so far, and what was done to it: the one place that the stages write to and that settling reads.
//!
//! Apart because the answer's stream, its guards and its seat all know a part of it. It must not know who reads it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gatewright_plugins::{Entry, Tally};
use gatewright_types::{ChatRequest, Chunk, Delta, Usage};
use serde::Serialize;

pub(crate) use super::estimate::{prompt_estimate, tokens_of};
use super::leave::Bounds;
use super::tried::Tried;
use crate::dialects::announces;
use crate::host::Route;
use crate::money::{Bill, Nanos, Price};
use crate::observe::{CacheResult, InFlight};
use crate::upstreams::Carried;

/// How an answer came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The model answered.
    #[default]
    Model,
    /// A plugin refused in the middle.
    Blocked,
    /// A plugin answered in the model's place.
    Plugin,
}

/// The figures; read them under [`Meter::read`].
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Tokens of the rounds that are over, as their answers report them: for the client.
    pub(crate) usage: Usage,
    /// Of those, what was used: an answer out of the cache used nothing, and neither did one that another request pays for.
    pub(crate) used: Usage,
    /// Whether a part of what was used is a guess.
    pub(crate) estimated: bool,
    /// From the head to the first delta with content.
    pub(crate) first_delta: Option<Duration>,
    /// Model calls.
    pub(crate) rounds: u32,
    /// Tries at upstreams.
    pub(crate) attempts: u32,
    /// Each of them, and the legs that were passed over.
    pub(crate) tries: Vec<Tried>,
    /// Tries at the embedded engine that are under way and have not said a word.
    pub(crate) engine_reads: u32,
    /// Who answered last.
    pub(crate) leg: Option<String>,
    /// What was used has cost this.
    pub(crate) bill: Bill,
    /// The answers would have cost this of the model that costs are compared with.
    pub(crate) compared: Bill,
    /// What the first look into the cache found.
    pub(crate) cache: Option<CacheResult>,
    /// How the answer came about.
    pub(crate) ending: Ending,
    /// The plugin that answered in the model's place.
    pub(crate) answered_by: Option<String>,
    /// What the plugins did, by session.
    pub(crate) entries: Vec<Entry>,
    /// Tools of the gateway's own that were run: name, and how it went (`ok` or `failed`).
    pub(crate) tools: Vec<(String, &'static str)>,
    /// The route that the request was sent on to after it was admitted.
    pub(crate) route: Option<Arc<Route>>,
    /// While it is served, on its route.
    pub(super) in_flight: Option<InFlight>,
    /// What no plugin inspected, and where.
    pub(crate) uninspected: Vec<Missed>,
    /// What the plugins cost, by session.
    pub(crate) tallies: Vec<Tally>,
    /// Notes that they left.
    pub(crate) notes: Vec<(String, String)>,
    /// Turns of the history that got their thought back.
    pub(crate) recalled: usize,
    /// What became of the request on its way to who answered last.
    pub(crate) carried: Carried,
    /// Why the request may not leave, if it may not.
    pub(crate) kept_here: Option<Arc<str>>,
    /// How far what its plugins send out may go, where a note can change that.
    pub(crate) bounds: Option<Arc<Bounds>>,
    /// The round that runs.
    pub(super) round: Option<Round>,
}

/// Something that no plugin inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Missed {
    /// What, and where: `request:media`.
    pub(crate) what: &'static str,
    pub(crate) why: Why,
}

/// Why something was not inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Why {
    /// No plugin of the chain listens to it.
    Unheard,
    /// Those that listen to it take no part in this request.
    Absent,
    /// It is longer than what may be held for those that must see it whole.
    TooLong,
}

/// A model call under way.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// As reported.
    usage: Option<Usage>,
    /// Of text, heard.
    bytes: u64,
    /// Whether the answer comes out of the cache.
    cached: bool,
    /// What the model costs that answers.
    price: Option<Price>,
}

/// Figures that the parts of one request share.
#[derive(Debug)]
pub(crate) struct Meter {
    started: Instant,
    /// What the model costs that costs are compared with.
    reference: Option<Price>,
    /// Nanoseconds in which others were waited for.
    waited: AtomicU64,
    figures: Mutex<Figures>,
}

impl Meter {
    pub(super) fn new(started: Instant) -> Self {
        Self { started, reference: None, waited: AtomicU64::new(0), figures: Mutex::default() }
    }

    /// The same, comparing costs with this price.
    pub(super) fn comparing(mut self, reference: Option<Price>) -> Self {
        self.reference = reference;
        self
    }

    /// An upstream or the cache was waited for.
    pub(super) fn waited(&self, time: Duration) {
        self.waited.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The gateway's own time so far: what has passed since the head, less the waiting for others.
    pub(crate) fn overhead(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_nanos(self.waited.load(Ordering::Relaxed)))
    }

    /// Looks at the figures, or changes them. Never call it within itself.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&mut Figures) -> T) -> T {
        look(&mut self.figures.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A model call begins.
    pub(super) fn round_begins(&self) {
        self.read(|figures| {
            figures.rounds += 1;
            figures.round = Some(Round::default());
        });
    }

    /// What the look into the cache found for this round.
    pub(super) fn found(&self, what: CacheResult) {
        self.read(|figures| {
            if let Some(round) = &mut figures.round {
                round.cached = matches!(what, CacheResult::Hit | CacheResult::Shared);
            }
            figures.cache.get_or_insert(what);
        });
    }

    /// A leg begins to answer.
    pub(super) fn speaks(&self, leg: String, (price, carried): (Option<Price>, Carried)) {
        self.read(|figures| {
            figures.leg = Some(leg);
            figures.carried = carried;
            if let Some(round) = &mut figures.round {
                round.price = price;
            }
        });
    }

    /// A piece of a model's answer, as the model gave it.
    pub(super) fn hear(&self, chunk: &Chunk) {
        self.read(|figures| {
            let Some(Round { usage, bytes, .. }) = &mut figures.round else { return };
            for delta in &chunk.deltas {
                match delta {
                    Delta::Usage(reported) => *usage = Some(reported.clone()),
                    other => *bytes += text_bytes(other) as u64,
                }
            }
            if figures.first_delta.is_none() && *bytes > 0 {
                figures.first_delta = Some(self.started.elapsed());
            }
        });
    }

    /// A plugin's own question to a model used this: as reported, else a guess that is marked as one. The client is not told of it.
    pub(crate) fn spent(&self, reported: Option<Usage>, guess: Usage, price: Option<Price>) -> Usage {
        self.read(|figures| {
            figures.estimated |= reported.is_none();
            let used = reported.unwrap_or(guess);
            figures.bill.add(price.map(|price| price.of(&used)));
            add(&mut figures.used, &used);
            used
        })
    }

    /// The model call failed: what was not heard is not counted.
    pub(super) fn round_fails(&self, request: &ChatRequest) {
        let silent = |round: &mut Round| matches!(round, Round { usage: None, bytes: 0, .. });
        self.read(|figures| drop(figures.round.take_if(silent)));
        self.round_ends(request);
    }

    /// The model call is over, or was cut: what it reported counts, else an estimate that is marked as one.
    pub(super) fn round_ends(&self, request: &ChatRequest) {
        self.read(|figures| {
            let Some(Round { usage, bytes, cached, price }) = figures.round.take() else { return };
            let estimated = usage.is_none();
            let usage = usage.unwrap_or_else(|| {
                let (prompt, completion) = (prompt_estimate(request), tokens_of(bytes));
                Usage { prompt, completion, ..Usage::default() }
            });
            // What comes out of the cache costs nothing, and would have cost all of it elsewhere.
            let cost = if cached { Some(Nanos(0)) } else { price.map(|price| price.of(&usage)) };
            figures.bill.add(cost);
            if let Some(reference) = self.reference {
                figures.compared.add(Some(reference.of(&usage)));
            }
            if !cached {
                figures.estimated |= estimated;
                add(&mut figures.used, &usage);
            }
            add(&mut figures.usage, &usage);
            figures.usage.extras = usage.extras;
        });
    }
}

/// Upstreams may report anything: a sum ends where the numbers do.
fn add(total: &mut Usage, usage: &Usage) {
    total.prompt = total.prompt.saturating_add(usage.prompt);
    total.completion = total.completion.saturating_add(usage.completion);
    total.reasoning = sum(total.reasoning, usage.reasoning);
    total.cached = sum(total.cached, usage.cached);
    total.cache_written = sum(total.cache_written, usage.cache_written);
    total.cache_written_long = sum(total.cache_written_long, usage.cache_written_long);
}

fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (a, b) => a.or(b),
    }
}

/// Bytes of text in a delta.
pub(crate) fn text_bytes(delta: &Delta) -> usize {
    match delta {
        Delta::Text { text, .. } | Delta::Reasoning { text, .. } | Delta::Refusal { text, .. } => text.len(),
        Delta::ToolCall { name, arguments, .. } => name.as_ref().map_or(0, String::len) + arguments.len(),
        _ => 0,
    }
}

/// Whether a client would see something of the answer in this chunk.
pub(super) fn has_content(chunk: &Chunk) -> bool {
    let says = |delta: &Delta| match delta {
        Delta::Start { .. } | Delta::ToolResult { .. } | Delta::Usage(_) => false,
        Delta::Finish { .. } | Delta::Logprobs { .. } => true,
        Delta::Other { delta, .. } => delta.iter().any(|(name, _)| !announces(name)),
        Delta::ToolCall { .. } => true,
        text => text_bytes(text) > 0,
    };
    chunk.deltas.iter().any(says)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Rates;
    use gatewright_types::{Message, Role};

    fn said(text: &str) -> Chunk {
        Chunk::of(vec![Delta::Text { choice: 0, text: text.to_owned() }])
    }

    #[test]
    fn reported_usage_counts_and_rounds_add_up() {
        let meter = Meter::new(Instant::now());
        for _ in 0..2 {
            meter.round_begins();
            meter.hear(&said("hello"));
            meter.hear(&Chunk::of(vec![Delta::Usage(Usage { prompt: 3, completion: 2, reasoning: Some(1), ..Usage::default() })]));
            meter.round_ends(&ChatRequest::default());
        }
        meter.read(|figures| {
            assert_eq!((figures.usage.prompt, figures.usage.completion, figures.usage.reasoning), (6, 4, Some(2)));
            assert!(!figures.estimated && figures.rounds == 2 && figures.first_delta.is_some());
        });
    }

    #[test]
    fn a_round_out_of_the_cache_uses_nothing_and_the_client_is_told_its_usage_all_the_same() {
        let meter = Meter::new(Instant::now());
        for what in [CacheResult::Shared, CacheResult::Miss, CacheResult::Hit] {
            meter.round_begins();
            meter.found(what);
            meter.hear(&Chunk::of(vec![Delta::Usage(Usage { prompt: 3, completion: 2, ..Usage::default() })]));
            meter.round_ends(&ChatRequest::default());
        }
        meter.read(|figures| {
            assert_eq!((figures.usage.prompt, figures.usage.completion), (9, 6));
            assert_eq!((figures.used.prompt, figures.used.completion), (3, 2));
            assert_eq!((figures.cache, figures.estimated), (Some(CacheResult::Shared), false));
        });
    }

    #[test]
    fn each_round_costs_its_legs_price_and_one_out_of_the_cache_nothing() {
        let price = |dollars: u64| {
            let rate = Nanos(dollars * 1_000_000_000);
            Price::flat(Rates { input: rate, cached: Nanos(0), written: rate, written_long: rate, output: rate })
        };
        let usage = || Chunk::of(vec![Delta::Usage(Usage { prompt: 3, completion: 2, cached: Some(1), ..Usage::default() })]);
        let meter = Meter::new(Instant::now()).comparing(Some(price(10)));
        let round = |what, of: Option<Price>| {
            meter.round_begins();
            meter.found(what);
            meter.speaks("p/m".to_owned(), (of, Carried::default()));
            meter.hear(&usage());
            meter.round_ends(&ChatRequest::default());
            meter.read(|figures| (figures.bill.total(), figures.compared.total()))
        };
        assert_eq!(round(CacheResult::Miss, Some(price(1))), (Some(Nanos(4_000)), Some(Nanos(40_000))));
        assert_eq!(round(CacheResult::Hit, None), (Some(Nanos(4_000)), Some(Nanos(80_000))));
        assert_eq!(meter.spent(None, Usage { prompt: 1, ..Usage::default() }, Some(price(2))).prompt, 1);
        assert_eq!(meter.read(|figures| figures.bill.total()), Some(Nanos(6_000)));
        assert_eq!(round(CacheResult::Bypass, None), (None, Some(Nanos(120_000))), "nobody knows what this leg costs");
    }

    #[test]
    fn absurd_figures_do_not_overflow() {
        let meter = Meter::new(Instant::now());
        for _ in 0..3 {
            meter.round_begins();
            let usage = Usage { prompt: u64::MAX, completion: u64::MAX, cached: Some(u64::MAX), ..Usage::default() };
            meter.hear(&Chunk::of(vec![Delta::Usage(usage)]));
            meter.round_ends(&ChatRequest::default());
        }
        meter.read(|figures| assert_eq!((figures.used.prompt, figures.used.cached), (u64::MAX, Some(u64::MAX))));
    }

    #[test]
    fn an_answer_without_usage_is_estimated_and_marked() {
        let request = ChatRequest { messages: vec![Message::text(Role::User, "12345678")], ..ChatRequest::default() };
        let meter = Meter::new(Instant::now());
        meter.round_begins();
        meter.hear(&said("12345678"));
        meter.round_ends(&request);
        meter.read(|figures| {
            assert_eq!((figures.usage.prompt, figures.usage.completion, figures.estimated), (6, 2, true));
        });
    }
}
