//! A second leg asked beside one that is slow to begin: whoever speaks first is heard, and the other is let go.
//!
//! Apart because only here two tries run at once: at most one second one for a model call, out of the slow leg's retry budget, and only
//! for streams, whose first word is what is waited for. It must not know how a try is judged.

use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use gatewright_types::Fault;

use super::attempt::{Attempt, Held};
use super::{Company, Next, Turn, Walk, Witness};
use crate::observe::AttemptOutcome;
use crate::upstreams::breaker::Health;

/// A leg without a limit for its first word that was waited for so many times as long as it usually takes says nothing at all.
const SEVERAL: u32 = 10;

/// After so many silences for all of its time, and no word between them, a leg that has a limit is taken to say nothing at all. One that
/// exceeds it now and then does not come to so many.
const SILENCES: u32 = 3;

impl<W: Witness> Walk<'_, W> {
    /// Listens to a try until it speaks; another one may speak in its place.
    pub(super) async fn hear(&mut self, mut first: Attempt) -> Next {
        let Some(delay) = self.delay(first.at).filter(|_| !self.must_show(&first)) else {
            let heard = (&mut first).await;
            return self.heard(first, heard);
        };
        if let Ok(heard) = tokio::time::timeout(delay, &mut first).await {
            return self.heard(first, heard);
        }
        let Some(mut second) = self.second(first.at) else {
            let heard = (&mut first).await;
            return self.heard(first, heard);
        };
        let (heard, of_first) = match select(&mut first, &mut second).await {
            Either::Left((heard, _)) => (heard, true),
            Either::Right((heard, _)) => (heard, false),
        };
        match (heard, of_first) {
            (Ok(held), true) => {
                self.lost(second);
                Next::Spoke(self.spoke(first, held))
            }
            (Ok(held), false) => {
                self.outwaited(&mut first, (second.at, delay));
                self.lost(first);
                Next::Spoke(self.spoke(second, held))
            }
            (Err(fault), true) => self.alone((first, fault), second).await,
            (Err(fault), false) => self.alone((second, fault), first).await,
        }
    }

    /// One of two tries has failed, and the other goes on alone. What is wrong with the request is so everywhere.
    async fn alone(&mut self, (failed, fault): (Attempt, Fault), mut other: Attempt) -> Next {
        match self.fail((failed.at, failed.began), fault, Company::Another) {
            Next::Leg => {
                let heard = (&mut other).await;
                self.heard(other, heard)
            }
            over => {
                self.lost(other);
                over
            }
        }
    }

    fn heard(&mut self, attempt: Attempt, heard: Result<Held, Fault>) -> Next {
        match heard {
            Ok(held) => Next::Spoke(self.spoke(attempt, held)),
            Err(fault) => self.fail((attempt.at, attempt.began), fault, Company::None),
        }
    }

    /// Whether a try is waited for alone, for the time that its leg has for its first word: a probe, and one at a leg that was let go for as
    /// long as that. Where another always speaks in its place, one that is slow within its limit looks like one that never says a word.
    fn must_show(&self, attempt: &Attempt) -> bool {
        let must = |limit| self.legs[attempt.at].merits.state.must_show(limit, Instant::now());
        self.first_word(attempt.at).is_some_and(|limit| attempt.ticket.is_probe() || must(limit))
    }

    /// After how long a second leg is asked beside this one.
    fn delay(&self, at: usize) -> Option<Duration> {
        let hedge = self.care.hedge.filter(|_| self.request.stream && !self.hedged)?;
        let usual = hedge.percentile.map(|percent| self.legs[at].merits.state.percentile(percent));
        match (usual, hedge.after) {
            (None, after) => after,
            // Of how long it takes too little is known: the fixed time, if there is one.
            (Some(None), after) => after,
            (Some(Some(usual)), after) => Some(after.map_or(usual, |after| after.max(usual))),
        }
    }

    /// A second try: at the next leg that was not asked yet and is not left alone, else at the same one, as often as that may be asked.
    fn second(&mut self, at: usize) -> Option<Attempt> {
        let now = Instant::now();
        if now >= self.deadline.0 {
            return None;
        }
        let again = (self.spent[at] < self.legs[at].attempts.max(1)).then_some(at);
        let mut others = (at + 1..self.legs.len()).filter(|other| self.stands_by(*other)).chain(again);
        let asks = |other: usize| Some((other, self.legs[other].merits.state.ask(&self.care.breaker, now).ok()?));
        let (other, ticket) = others.find_map(asks)?;
        // Not before it is known that somebody can be asked.
        if !self.legs[at].merits.state.may_again(&self.care.retries, now) {
            return None;
        }
        (self.turns[other], self.hedged) = (Turn::Over, true);
        Some(self.begin(other, ticket))
    }

    /// The first try was let go, for one at that leg spoke. Where only those that were fast enough counted, the usual time would shrink with
    /// every hedge; and a leg that never says a word is one that fails, though nobody waits for it to the end: one that said none in all
    /// of its time, time and again, and none since, or one that has no such limit and was waited for long enough in all. One that speaks
    /// at another try does say a word.
    fn outwaited(&self, first: &mut Attempt, (spoke, delay): (usize, Duration)) {
        let now = Instant::now();
        let state = &self.legs[first.at].merits.state;
        let silent = state.outwaited(first.began.elapsed(), now);
        let fails = match self.first_word(first.at) {
            Some(_) => state.silences() >= SILENCES,
            None => silent >= delay.saturating_mul(SEVERAL),
        };
        if first.at != spoke && fails {
            first.ticket.ended(Health::Bad, now);
        }
    }

    /// A try was let go, for another one spoke or all is over.
    fn lost(&self, attempt: Attempt) {
        self.tell((attempt.at, attempt.began), AttemptOutcome::Lost, None);
    }
}
