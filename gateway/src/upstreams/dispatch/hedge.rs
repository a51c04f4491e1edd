//! A second leg asked beside one that is slow to begin: whoever speaks first is heard, and the other is let go.
//!
//! Apart because only here two tries run at once: at most one second one for a model call, out of the slow leg's retry budget, and only
//! for streams, whose first word is what is waited for. It must not know how a try is judged.

use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use gatewright_types::{Fault, Side};

use super::attempt::Attempt;
use super::{Dispatched, Walk, Witness};
use crate::observe::AttemptOutcome;

impl<W: Witness> Walk<'_, W> {
    /// Listens to a try until it speaks; another one may speak in its place.
    ///
    /// # Errors
    /// What the first try failed with, which is not told yet; of a second one all was told.
    pub(super) async fn hear(&mut self, mut first: Attempt) -> Result<Dispatched, Fault> {
        let Some(delay) = self.delay(first.at) else { return first.await.map(|heard| self.spoke(heard)) };
        if let Ok(heard) = tokio::time::timeout(delay, &mut first).await {
            return heard.map(|heard| self.spoke(heard));
        }
        let Some(second) = self.second(first.at) else { return first.await.map(|heard| self.spoke(heard)) };
        let (of_first, of_second) = ((first.at, first.began), (second.at, second.began));
        match select(first, second).await {
            Either::Left((Ok(heard), rest)) => {
                drop(rest);
                self.lost(of_second);
                Ok(self.spoke(heard))
            }
            Either::Right((Ok(heard), rest)) => {
                drop(rest);
                self.lost(of_first);
                // At least so long: where only those that were fast enough counted, the usual time would shrink with every hedge.
                self.legs[of_first.0].merits.state.outwaited(of_first.1.elapsed());
                Ok(self.spoke(heard))
            }
            Either::Left((Err(fault), second)) => match second.await {
                Ok(heard) => {
                    self.failed(of_first, &fault);
                    Ok(self.spoke(heard))
                }
                Err(other) => {
                    self.failed(of_second, &other);
                    self.give_up(other);
                    Err(fault)
                }
            },
            Either::Right((Err(other), first)) => {
                self.failed(of_second, &other);
                self.give_up(other);
                first.await.map(|heard| self.spoke(heard))
            }
        }
    }

    /// After how long a second leg is asked beside this one.
    fn delay(&self, at: usize) -> Option<Duration> {
        let hedge = self.care.hedge.filter(|_| self.request.stream && self.hedged.is_none())?;
        let usual = hedge.percentile.map(|percent| self.legs[at].merits.state.percentile(percent));
        match (usual, hedge.after) {
            (None, after) => after,
            // Of how long it takes too little is known: the fixed time, if there is one.
            (Some(None), after) => after,
            (Some(Some(usual)), after) => Some(after.map_or(usual, |after| after.max(usual))),
        }
    }

    /// A second try: at the next leg that was not asked yet and is not left alone, else at the same one.
    fn second(&mut self, at: usize) -> Option<Attempt> {
        if Instant::now() >= self.deadline.0 || !self.legs[at].merits.state.may_again(&self.care.retries, Instant::now()) {
            return None;
        }
        self.hedged = Some(Instant::now());
        let others = (at + 1..self.legs.len())
            .filter(|other| self.spent[*other] == 0 && self.is_for(*other))
            .chain([at])
            .collect::<Vec<_>>();
        for other in others {
            if let Ok(ticket) = self.legs[other].merits.state.ask(&self.care.breaker, Instant::now()) {
                return Some(self.begin(other, ticket));
            }
        }
        None
    }

    /// A try was let go, for another one spoke.
    fn lost(&self, (at, began): (usize, Instant)) {
        self.tell(at, (AttemptOutcome::Lost, began), None);
    }

    /// A try failed beside another one.
    fn failed(&self, (at, began): (usize, Instant), fault: &Fault) {
        if fault.side != Side::Caller {
            self.legs[at].merits.state.failed();
        }
        self.tell(at, (AttemptOutcome::Failed, began), Some(fault));
    }
}
