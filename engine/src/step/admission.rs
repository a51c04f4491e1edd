//! Who is in: requests come out of the queue, are let in as there are places and pages, give them up for others, and go.
//!
//! Apart because it is the half of the loop that computes nothing. It must not know tensors. The order is [`crate::schedule`]'s.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::Worker;
use super::open::Open;
use crate::answer::MOST_DELTAS;
use crate::ops::EngineBackend;
use crate::pages::Holding;
use crate::queue::{Job, Seat};
use crate::schedule::{Rank, Seen, Turn, outranked, turn, victim};
use crate::sequence::Sequence;

impl<B: EngineBackend> Worker<B> {
    /// Those whose readers left, and those whose time is over.
    pub(super) fn forget_the_gone(&mut self) {
        let now = Instant::now();
        self.requests.values_mut().for_each(|open| open.expire(now));
        let pace = &mut self.pace;
        self.requests.retain(|_, open| {
            let gone = open.is_left() || open.is_done();
            if gone {
                pace.ended(open, now);
            }
            !gone
        });
        let requests = &self.requests;
        self.running.retain(|s| requests.contains_key(&s.request));
        self.waiting.retain(|_, s| requests.contains_key(&s.request));
    }

    /// All that the queue has: from here on it is the schedule's order that counts.
    pub(super) fn take_in(&mut self) {
        while let Some((job, seat)) = self.queue.take() {
            self.open(job, seat);
        }
    }

    fn open(&mut self, job: Job, seat: Seat) {
        self.arrived += 1;
        for choice in 0..job.plan.choices {
            let holding = Holding::new(self.book.clone(), job.salt.clone());
            let sequence = Sequence::new(&job, (self.arrived, choice), holding, &self.vocabulary);
            self.waiting.insert(sequence.rank, sequence);
        }
        self.requests.insert(self.arrived, Open::new(job, seat, &self.vocabulary));
    }

    /// In order: who needs many pages is not passed by others who need less.
    pub(super) fn admit(&mut self) {
        let now = Instant::now();
        // Who gives its place up here comes again in the next step at the earliest.
        for _ in 0..self.waiting.len() {
            let Some(mut sequence) = self.next() else { break };
            let rank = sequence.rank;
            let known = sequence.adopt();
            let (has, all) = sequence.pages();
            // One more for each that runs, so that they do not come to want what it takes in the next steps.
            let wants = all.saturating_sub(has) + self.running.len();
            if !self.make_place(&rank, wants) {
                sequence.give_up_pages();
                self.waiting.insert(rank, sequence);
                break;
            }
            // Now, so that who comes next sees what is left.
            sequence.settle();
            sequence.served = self.steps;
            if let Some(open) = self.requests.get_mut(&sequence.request) {
                let mut stats = self.queue.stats.lock();
                open.begins(now, known, &mut stats);
                if sequence.choice == 0 {
                    open.tell(sequence.reading());
                }
            }
            self.running.push(sequence);
        }
    }

    /// The first in order whose reader has room for it beside those of its request that run, as [`Self::seen`] counts it: others would
    /// sit out, and choices of one request would give way to each other without end.
    fn next(&mut self) -> Option<Sequence> {
        let mut beside: BTreeMap<u64, usize> = BTreeMap::new();
        self.running.iter().for_each(|s| *beside.entry(s.request).or_default() += 1);
        let requests = &self.requests;
        let has_room = |s: &Sequence| {
            let beside = beside.get(&s.request).copied().unwrap_or_default();
            requests.get(&s.request).is_some_and(|open| open.has_room(beside))
        };
        let rank = self.waiting.iter().find(|(_, s)| has_room(s)).map(|(rank, _)| *rank)?;
        self.waiting.remove(&rank)
    }

    /// Whether there is a place and so many pages, if need be those of less urgent ones.
    fn make_place(&mut self, rank: &Rank, wants: usize) -> bool {
        let fits = |worker: &Self, places: usize, pages: usize| {
            worker.running.len() < worker.memory.most_running() + places && worker.book.borrow().available() + pages >= wants
        };
        if fits(self, 0, 0) {
            return true;
        }
        // Who sits out keeps no place and no pages that somebody could use.
        let ranks = self.ranks(&self.seen());
        let (mut places, mut pages, mut leave) = (0, 0, Vec::new());
        for at in outranked(rank, &ranks) {
            places += 1;
            pages += self.running.get(at).map_or(0, |s| s.pages().0);
            leave.push(at);
            if fits(self, places, pages) {
                break;
            }
        }
        if !fits(self, places, pages) {
            return false;
        }
        leave.sort_unstable();
        leave.into_iter().rev().for_each(|at| self.preempt(at));
        // Pages that others hold too were not freed.
        fits(self, 0, 0)
    }

    /// The next step, with pages for all that it writes. Where there are not enough, who sits out or comes last gives its own up.
    pub(super) fn plan(&mut self) -> Turn {
        loop {
            self.running.iter_mut().for_each(|s| _ = s.adopt());
            let seen = self.seen();
            let turn = turn(&seen);
            match self.reserve(&turn, &self.ranks(&seen)) {
                None => return turn,
                Some(at) => self.preempt(at),
            }
        }
    }

    /// Those whose readers have no room come last.
    fn ranks(&self, seen: &[Seen]) -> Vec<Rank> {
        self.running.iter().zip(seen).map(|(s, seen)| if seen.ready { s.rank } else { s.rank.sitting_out() }).collect()
    }

    /// Takes the pages that a step needs, for the first in order first. Gives who must leave, if there are not enough.
    fn reserve(&mut self, turn: &Turn, ranks: &[Rank]) -> Option<usize> {
        let mut who: Vec<usize> = turn.write.iter().copied().chain(turn.read.map(|(at, _)| at)).collect();
        who.sort_unstable_by_key(|at| self.running.get(*at).map(|s| s.rank));
        for at in who {
            let Some(sequence) = self.running.get_mut(at) else { continue };
            if !sequence.reserve() {
                return victim(&sequence.rank, ranks);
            }
        }
        None
    }

    fn preempt(&mut self, at: usize) {
        let mut sequence = self.running.swap_remove(at);
        sequence.give_up_pages();
        self.queue.stats.lock().preemptions += 1;
        self.waiting.insert(sequence.rank, sequence);
    }

    fn seen(&self) -> Vec<Seen> {
        let mut planned: BTreeMap<u64, usize> = BTreeMap::new();
        let seen = self.running.iter().map(|s| {
            // Room for all choices of a request at once: they share one channel.
            let claims = planned.entry(s.request).or_default();
            *claims += MOST_DELTAS;
            let room = self.requests.get(&s.request).map_or(0, Open::room);
            Seen { work: s.work(), ready: room >= *claims, served: s.served, priority: s.rank.priority }
        });
        seen.collect()
    }

    /// After the device failed: what any page holds cannot be trusted. Those that did not fail with it are computed again.
    pub(super) fn begin_anew(&mut self) {
        self.running.iter_mut().for_each(Sequence::give_up_pages);
        self.forget_pages();
    }

    pub(super) fn forget_pages(&mut self) {
        self.book.borrow_mut().forget_all();
        self.pool = self.model.pool(self.memory.pages());
    }

    /// Publishes the loop's numbers.
    pub(super) fn tell(&self) {
        let running: BTreeSet<u64> = self.running.iter().map(|s| s.request).collect();
        let waiting = self.requests.len() - self.requests.keys().filter(|request| running.contains(request)).count();
        let counts = self.book.borrow().counts();
        let mut stats = self.queue.stats.lock();
        stats.waiting = waiting;
        (stats.pages_used, stats.pages_cached, stats.pages_free) = (counts.used, counts.cached, counts.free);
        drop(stats);
        self.queue.expect(self.pace.next(running.len()));
    }
}
