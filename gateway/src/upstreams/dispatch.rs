//! Walks the legs of a route until one speaks.
//!
//! Apart because this is the only place that tries again. Speech begins with the first delta that has content: until then chunks
//! are held here and a failure may be tried again or elsewhere; from then on the stream is handed on, and whoever holds it has no
//! way to retry. It must not know what an upstream is beyond the trait.

mod attempt;
mod hedge;

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatewright_types::{ChatRequest, Fault, FaultKind, Retry, Side};

use self::attempt::{Attempt, Held};
use super::breaker::{Health, Standing};
use super::pick::Merits;
use super::state::{Ticket, health_of};
use super::{Carried, Deadline, Deltas, Upstream};
use crate::conditions::Condition;
use crate::config::facts::{CareFact, Timeouts};
use crate::dialects::length;
use crate::money::Price;
use crate::observe::{AttemptOutcome, Outcome};

/// One leg of a route, ready to be asked.
#[derive(Clone)]
pub struct Leg {
    /// `provider/model`, for records and metrics.
    pub name: String,
    /// Who answers.
    pub upstream: Arc<dyn Upstream>,
    /// The upstream's own name of the model.
    pub model: String,
    /// Tries before it is given up; 0 counts as 1.
    pub attempts: u32,
    /// Its time limits, if it has any.
    pub timeouts: Option<Timeouts>,
    /// What its place among the others goes by, and what it costs.
    pub merits: Merits,
    /// Where it leads, as far as answers may differ by it.
    pub place: [u8; 32],
    /// Which requests it is for; all without one.
    pub when: Option<Arc<Condition>>,
}

impl std::fmt::Debug for Leg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leg").field("name", &self.name).field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

/// What is asked, of whom, by when, and with how much care.
pub struct Asking<'a> {
    /// Who may answer, in order.
    pub legs: Cow<'a, [Leg]>,
    /// What is asked.
    pub request: Arc<ChatRequest>,
    /// By when.
    pub deadline: Deadline,
    /// How long all rounds of the answer may take: a leg that had half of it had its time.
    pub whole: Duration,
    /// With how much care.
    pub care: CareFact,
}

/// An answer that has begun.
pub struct Dispatched {
    /// The answer, from its first chunk.
    pub deltas: Deltas,
    /// Name of the leg that speaks.
    pub leg: String,
    /// What its model costs.
    pub price: Option<Price>,
    /// What became of the request on the way there.
    pub carried: Carried,
}

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which way.
    pub outcome: AttemptOutcome,
    /// In one word, where it failed.
    pub why: Option<&'static str>,
    /// When it began.
    pub began: Instant,
    /// After this long.
    pub took: Duration,
}

/// Who is told of each try while it is made, so that those count too that come to nothing.
pub trait Witness: Sync {
    /// A leg is asked.
    fn asks(&self, leg: &Leg);

    /// The try at this leg ended so. One that was [`AttemptOutcome::Skipped`] was none: nobody was asked, for it is left alone, or for
    /// its retry budget is spent.
    fn ended(&self, leg: &Leg, ended: Ended);
}

/// Why a leg is not asked again that waited for its turn.
const RETRIES: &str = "retries";
/// For so long Retry-Afters are waited for, all of a call together; a longer one is handed on to the client or makes the next leg's turn.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A longer wait comes after other legs that stand by.
const SHORT_WAIT: Duration = Duration::from_secs(1);
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// Asks leg after leg, each as often as it allows and as is left in its budget, until one speaks. One that is left alone is passed over;
/// one that has too much to do, or wants to be waited for, is asked again when no other is left.
///
/// # Errors
/// The last leg's fault; [`Retry::Here`] in it says when to come back. Where a leg took exception to a part of the request, that
/// comes first: it is what the client can do something about.
pub async fn dispatch<W: Witness>(asking: Asking<'_>, witness: &W) -> Result<Dispatched, Fault> {
    let Asking { legs, request, deadline, whole, care } = asking;
    let (spent, turns) = (vec![0; legs.len()], vec![Turn::New; legs.len()]);
    let mut walk = Walk {
        legs: &legs,
        request,
        deadline,
        ample: whole / 2,
        care,
        witness,
        spent,
        too_long: legs.iter().all(|leg| leg.merits.for_long),
        turns,
        hedged: false,
        patience: None,
        rests: None,
        blamed: None,
        last: None,
    };
    while let Some(at) = walk.next() {
        match walk.ask(at).await {
            Next::Spoke(dispatched) => return Ok(dispatched),
            Next::Over(fault) => return Err(fault),
            Next::Leg => {}
        }
    }
    Err(walk.fault())
}

/// What follows after a try.
enum Next {
    Spoke(Dispatched),
    Over(Fault),
    Leg,
}

/// When a leg is asked.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// In its place: it was not asked yet.
    New,
    /// Again at this time, before all others. That is out of its budget already.
    Soon(Instant),
    /// Again from this time on, where no other is left and its budget allows it.
    Later(Instant),
    /// No more.
    Over,
}

/// Whether another try runs beside one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Company {
    None,
    Another,
}

/// A way along the legs.
struct Walk<'a, W> {
    legs: &'a [Leg],
    request: Arc<ChatRequest>,
    deadline: Deadline,
    /// Who says nothing for so long fails, be the time for all at its end or not.
    ample: Duration,
    care: CareFact,
    witness: &'a W,
    /// Tries at each leg.
    spent: Vec<u32>,
    /// Whether the request is too long for a leg: only then those are asked that are for this.
    too_long: bool,
    /// What is next for each leg.
    turns: Vec<Turn>,
    /// Whether a second leg was asked beside another: once is enough.
    hedged: bool,
    /// Until when Retry-Afters are waited for.
    patience: Option<Instant>,
    /// The shortest time that one of them is still left alone.
    rests: Option<Duration>,
    blamed: Option<Fault>,
    last: Option<Fault>,
}

impl<W: Witness> Walk<'_, W> {
    /// Whether a leg was not asked yet and is for this request, as far as that is known by now.
    fn stands_by(&self, at: usize) -> bool {
        matches!(self.turns[at], Turn::New) && (self.too_long || !self.legs[at].merits.for_long)
    }

    /// Whose turn it is.
    fn next(&self) -> Option<usize> {
        let soon = self.turns.iter().position(|turn| matches!(turn, Turn::Soon(_)));
        let new = || (0..self.turns.len()).find(|at| self.stands_by(*at));
        let later = self.turns.iter().enumerate().filter_map(|(at, turn)| match turn {
            Turn::Later(from) => Some((*from, at)),
            _ => None,
        });
        let waiting = || later.min().map(|(_, at)| at);
        soon.or_else(new).or_else(waiting)
    }

    /// Asks a leg, when it is time for it.
    async fn ask(&mut self, at: usize) -> Next {
        let turn = std::mem::replace(&mut self.turns[at], Turn::Over);
        if let Turn::Soon(from) | Turn::Later(from) = turn {
            tokio::time::sleep_until(from.into()).await;
        }
        let Some(ticket) = self.leave(at) else { return Next::Leg };
        let again = matches!(turn, Turn::Later(_));
        let now = Instant::now();
        if again && !self.legs[at].merits.state.may_again(&self.care.retries, now) {
            self.tell((at, now), AttemptOutcome::Skipped, Some(RETRIES));
            return Next::Leg;
        }
        let attempt = self.begin(at, ticket);
        self.hear(attempt).await
    }

    /// A try failed: whether its leg is asked again, and when.
    fn fail(&mut self, (at, began): (usize, Instant), fault: Fault, company: Company) -> Next {
        let now = Instant::now();
        if self.first_word(at).is_some_and(|limit| now.saturating_duration_since(began) >= limit) {
            self.legs[at].merits.state.was_silent();
        }
        let (turn, outcome) = match self.pause(at, &fault) {
            None => (Turn::Over, AttemptOutcome::Failed),
            Some(pause) if company == Company::Another || self.others_first(pause, &fault) => {
                (Turn::Later(now + pause), AttemptOutcome::Failed)
            }
            Some(pause) if self.rests_longer(at, pause) => (Turn::Over, AttemptOutcome::Failed),
            Some(pause) if self.legs[at].merits.state.may_again(&self.care.retries, now) => {
                (Turn::Soon(now + pause), AttemptOutcome::Retried)
            }
            Some(_) => (Turn::Over, AttemptOutcome::Withheld),
        };
        self.turns[at] = turn;
        self.too_long |= length::is_of(&fault);
        self.tell((at, began), outcome, Some(Outcome::of(&fault).as_str()));
        if fault.retry == Retry::Never || now >= self.deadline.0 {
            return Next::Over(fault);
        }
        if fault.side == Side::Caller && fault.kind == FaultKind::InvalidRequest {
            self.blamed.get_or_insert_with(|| fault.clone());
        }
        self.last = Some(fault);
        Next::Leg
    }

    /// How long to wait before the same leg is asked again; `None`: not at all.
    fn pause(&mut self, at: usize, fault: &Fault) -> Option<Duration> {
        let (spent, now) = (self.spent[at], Instant::now());
        let wait = match fault.retry {
            _ if spent >= self.legs[at].attempts.max(1) => return None,
            Retry::Never | Retry::Elsewhere => return None,
            Retry::Here(Some(after)) => {
                let patience = *self.patience.get_or_insert(now + LONGEST_WAIT);
                now.checked_add(after).filter(|until| *until <= patience)?;
                later(after, draw()).max(backoff(1, draw()) / 2)
            }
            Retry::Here(None) => backoff(spent, draw()),
        };
        (now + wait < self.deadline.0).then_some(wait)
    }

    /// Whether other legs come before a leg that failed so is asked again after so long: those that stand by, where it is long or the leg
    /// has too much to do, and one that waits for its turn and has it before.
    fn others_first(&self, pause: Duration, fault: &Fault) -> bool {
        let until = Instant::now() + pause;
        let mut all = 0..self.legs.len();
        let gives_way = pause > SHORT_WAIT || matches!(health_of(fault), Health::Busy(_));
        let is_before = |turn: &Turn| matches!(turn, Turn::Later(from) if *from < until);
        self.turns.iter().any(is_before)
            || (gives_way && all.any(|at| self.stands_by(at) && !self.rests_longer(at, Duration::ZERO)))
    }

    /// Whether a leg is left alone for longer than this.
    fn rests_longer(&self, at: usize, pause: Duration) -> bool {
        let standing = self.legs[at].merits.state.standing(&self.care.breaker, Instant::now());
        matches!(standing, Standing::Open(left) if left > pause)
    }

    /// Leave to ask a leg; one that is left alone is passed over.
    fn leave(&mut self, at: usize) -> Option<Ticket> {
        let (leg, now) = (&self.legs[at], Instant::now());
        match leg.merits.state.ask(&self.care.breaker, now) {
            Ok(ticket) => Some(ticket),
            Err(rest) => {
                self.rests = Some(self.rests.map_or(rest, |known| known.min(rest)));
                self.tell((at, now), AttemptOutcome::Skipped, None);
                None
            }
        }
    }

    /// Begins a try. Nothing is sent before it is polled.
    fn begin(&mut self, at: usize, ticket: Ticket) -> Attempt {
        let leg = &self.legs[at];
        if self.spent[at] == 0 {
            leg.merits.state.asked(Instant::now());
        }
        self.spent[at] += 1;
        self.witness.asks(leg);
        if self.request.model != leg.model {
            Arc::make_mut(&mut self.request).model.clone_from(&leg.model);
        }
        Attempt::begin(at, ticket, (leg, &self.request), (self.deadline, self.first_word(at), self.ample))
    }

    /// How long a leg may take for the first word of a stream.
    fn first_word(&self, at: usize) -> Option<Duration> {
        let own = self.legs[at].timeouts.and_then(|timeouts| timeouts.first_token);
        own.into_iter().chain(self.care.first_token).min().filter(|_| self.request.stream)
    }

    /// A try that spoke.
    fn spoke(&self, attempt: Attempt, held: Held) -> Dispatched {
        let Attempt { at, began, mut ticket, .. } = attempt;
        let (leg, took) = (&self.legs[at], began.elapsed());
        ticket.spoke(took);
        if self.request.stream {
            ticket.first_word(took);
        }
        self.tell((at, began), AttemptOutcome::Spoke, None);
        let carried = leg.upstream.carries(&self.request);
        Dispatched { deltas: held.with(ticket, self.deadline), leg: leg.name.clone(), price: leg.merits.price, carried }
    }

    fn tell(&self, (at, began): (usize, Instant), outcome: AttemptOutcome, why: Option<&'static str>) {
        self.witness.ended(&self.legs[at], Ended { outcome, why, began, took: began.elapsed() });
    }

    /// Why nobody spoke.
    fn fault(self) -> Fault {
        if let Some(fault) = self.blamed.or(self.last) {
            return fault;
        }
        match self.rests {
            Some(rest) => {
                let message = "Nobody who could answer this model does so at present. Try again in a moment.";
                let detail = "all legs are left alone after failures: see `breaker` of the configuration";
                Fault::gateway(FaultKind::Overloaded, message).retry(Retry::Here(Some(rest))).detail(detail)
            }
            None => Fault::gateway(FaultKind::UnknownModel, "This route has no leg."),
        }
    }
}

/// What a fault says of its leg. A call that the end of all time for an answer cut short says nothing, unless it had its time.
fn judge(ticket: &mut Ticket, fault: &Fault, deadline: Option<Deadline>) {
    let now = Instant::now();
    let cut_short = fault.kind == FaultKind::UpstreamTimeout && deadline.is_some_and(|deadline| now >= deadline.0);
    let health = if cut_short { Health::Nothing } else { health_of(fault) };
    ticket.ended(health, now);
}

/// Up to a tenth later by `draw`: all who were told the same time do not come back at once.
fn later(after: Duration, draw: u64) -> Duration {
    after + (after / 10).mul_f64(draw as f64 / u64::MAX as f64)
}

/// Doubles with each attempt, between half and all of it by `draw`, so that many clients do not come back at once.
fn backoff(attempt: u32, draw: u64) -> Duration {
    let full = FIRST_BACKOFF.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(LONGEST_BACKOFF);
    full / 2 + (full / 2).mul_f64(draw as f64 / u64::MAX as f64)
}

/// A number that differs from call to call. For jitter and for the order of legs only.
pub fn draw() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests;
