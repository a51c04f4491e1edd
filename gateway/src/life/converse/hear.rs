//! One chunk of a model's answer on its way out: metered, guarded, held where it must be.
//!
//! Apart because it is the path of every chunk. It must not know upstreams or how a chunk is written.

use std::time::Instant;

use gatewright_plugins::Verdict;
use gatewright_types::{Chunk, Delta, Fault, Phase, Raw, gather_into};
use smallvec::smallvec;

use super::talk::{Attention, Stage, Talk};
use super::whole::{Going, Sent, Unasked, Whole};
use crate::dialects::{is_thought, of_own};
use crate::life::ears;
use crate::life::guard::Chunks;
use crate::life::meter::{Why, text_bytes};

impl Talk {
    /// Takes a chunk from the upstream.
    pub(super) async fn hear(&mut self, mut chunk: Chunk) -> Result<(), Fault> {
        self.meter.hear(&chunk);
        self.notice(&chunk);
        if self.tools.is_some() || self.again.asked {
            // The client gets one bill for all rounds.
            drop_usage(&mut chunk);
        }
        if self.plain {
            self.send((chunk, self.unasked()));
            return Ok(());
        }
        self.hear_guarded(chunk).await
    }

    async fn hear_guarded(&mut self, mut chunk: Chunk) -> Result<(), Fault> {
        let limit = self.caller.host.facts.limits.held_bytes;
        // The answer began in the first round, under that round's id.
        self.continues(&mut chunk);
        if let Some(calls) = &mut self.calls {
            calls.through(&mut chunk, limit)?;
        }
        let (chunks, verdict) = match &mut self.guard {
            Some(guard) => guard.hear(chunk).await,
            None => (smallvec![chunk], Verdict::Pass),
        };
        self.deliver(chunks)?;
        self.stop(verdict).await
    }

    fn deliver(&mut self, chunks: Chunks) -> Result<(), Fault> {
        chunks.into_iter().try_for_each(|chunk| self.deliver_one(chunk))
    }

    /// Hands on what the guard let through.
    fn deliver_one(&mut self, mut chunk: Chunk) -> Result<(), Fault> {
        if let Some(said) = self.said() {
            gather_into(said, Chunk { raw: None, ..chunk.clone() });
        }
        if let Some(tools) = &mut self.tools {
            tools.keep(&mut chunk);
        }
        self.hand_on(chunk)
    }

    /// Hands on something that the guards need not see, and the tool loop does not keep.
    pub(super) fn show(&mut self, delta: Delta) -> Result<(), Fault> {
        self.hand_on(Chunk::of(vec![delta]))
    }

    /// Sends a chunk, or holds it for those who must see the answer whole.
    fn hand_on(&mut self, chunk: Chunk) -> Result<(), Fault> {
        let limit = self.caller.host.facts.limits.held_bytes;
        let unasked = self.unasked();
        match &mut self.attention {
            Attention::None => {}
            Attention::Hold(whole) => return whole.hold((chunk, unasked), limit),
            Attention::Along(whole) => {
                // Where more is said, what looked like the end was none.
                let early = if says(&chunk) { whole.let_go() } else { Vec::new() };
                if whole.holds() || ends(&self.open, &chunk) {
                    whole.hold((chunk, unasked), limit)?;
                    early.into_iter().for_each(|going| self.send(going));
                    return Ok(());
                }
                whole.listen(&chunk, limit)?;
                early.into_iter().for_each(|going| self.send(going));
            }
            Attention::Overhear(whole) => {
                if whole.listen(&chunk, limit).is_err() {
                    self.attention = Attention::None;
                    self.guard.iter().for_each(|guard| guard.missed_for(ears::WHOLE, Why::TooLong));
                }
            }
        }
        self.send((chunk, unasked));
        Ok(())
    }

    /// Puts a chunk in the queue, unless it says nothing.
    fn send(&mut self, (mut chunk, unasked): Going) {
        if let Some(listener) = &mut self.listener {
            let thoughts = &self.caller.host.shared.thoughts;
            listener.hear(&chunk, (thoughts, self.caller.tenant(), Instant::now()));
        }
        self.hide(&mut chunk, unasked);
        if chunk.deltas.is_empty() && chunk.raw.is_none() {
            return;
        }
        if self.guard.is_some() {
            self.mark(&chunk);
        }
        self.out.push_back(chunk);
    }

    /// Whether who answers speaks the client's dialect: what comes as its vendor gave it, or with what only that dialect has.
    fn notice(&mut self, chunk: &Chunk) {
        let dialect = self.caller.head.dialect.name();
        self.own = match &chunk.raw {
            Some(Raw::Event(name, _) | Raw::Body(name, _)) => *name == dialect,
            None => self.own || has_of(dialect, chunk),
        };
    }

    /// What becomes of thought in this round that the client did not ask for: another round's may be sent later than it is heard.
    fn unasked(&self) -> Unasked {
        if self.own { Unasked::Shown } else { Unasked::Hidden }
    }

    /// Takes out the thought that the client did not ask for, unless its own vendor gives it unasked. From then on what is raw does not fit
    /// together any more.
    fn hide(&mut self, chunk: &mut Chunk, unasked: Unasked) {
        if unasked == Unasked::Hidden && self.request.thinking.as_ref().is_some_and(|thinking| thinking.hidden) {
            let before = chunk.deltas.len();
            chunk.deltas.retain(|delta| !is_thought(delta));
            self.hid |= chunk.deltas.len() < before;
        }
        if self.hid {
            chunk.raw = None;
        }
    }

    /// Remembers which choices are under way.
    fn mark(&mut self, chunk: &Chunk) {
        for delta in &chunk.deltas {
            match delta {
                Delta::Finish { choice, .. } => self.open.retain(|open| open != choice),
                Delta::Text { choice, .. }
                | Delta::Reasoning { choice, .. }
                | Delta::Refusal { choice, .. }
                | Delta::ToolCall { choice, .. }
                    if !self.open.contains(choice) && self.open.len() < 128 =>
                {
                    self.open.push(*choice);
                }
                _ => {}
            }
        }
    }

    /// The upstream has said all: what is held is given up, tools are run, or the answer ends.
    pub(super) async fn over(&mut self) -> Result<(), Fault> {
        self.close().await?;
        if !self.listens() {
            return Ok(());
        }
        self.meter.round_ends(&self.request);
        if self.run_tools().await? {
            return Ok(());
        }
        self.bill()?;
        self.conclude().await?;
        if self.listens() {
            self.stage = Stage::Done;
        }
        Ok(())
    }

    /// Lanes and calls that no finish ended, of an upstream that sends none.
    async fn close(&mut self) -> Result<(), Fault> {
        let left = self.calls.as_mut().map(|calls| calls.complete(None)).unwrap_or_default();
        let Some(guard) = &mut self.guard else {
            return if left.is_empty() { Ok(()) } else { self.deliver_one(Chunk::of(left)) };
        };
        if !left.is_empty() {
            let (chunks, verdict) = guard.hear(Chunk::of(left)).await;
            self.deliver(chunks)?;
            self.stop(verdict).await?;
        }
        let Some(guard) = self.guard.as_mut().filter(|_| matches!(self.stage, Stage::Listen(_))) else { return Ok(()) };
        let (chunks, verdict) = guard.close().await;
        self.deliver(chunks)?;
        self.stop(verdict).await
    }

    /// Shows the whole answer to the plugins that want to see it, and sends what was held for them.
    pub(super) async fn conclude(&mut self) -> Result<(), Fault> {
        let (whole, sent) = match std::mem::replace(&mut self.attention, Attention::None) {
            Attention::None => return Ok(()),
            Attention::Hold(whole) => (whole, Sent::Nothing),
            Attention::Along(whole) => (whole, Sent::All),
            // What they would have done to it before it was sent.
            Attention::Overhear(whole) => (whole, Sent::Nothing),
        };
        let Some(guard) = &mut self.guard else { return Ok(()) };
        let mut texts = whole.texts(&guard.ears, sent);
        if texts.segments.is_empty() {
            self.give_up(whole);
            return Ok(());
        }
        let outcome = guard.session.inspect(Phase::Response, &mut texts.segments).await;
        if outcome.verdict != Verdict::Pass {
            return self.stop(outcome.verdict).await;
        }
        match sent {
            Sent::Nothing if outcome.edited => self.send(whole.edited(texts, &outcome.cuts)),
            _ => self.give_up(whole),
        }
        Ok(())
    }

    fn give_up(&mut self, mut whole: Whole) {
        whole.let_go().into_iter().for_each(|going| self.send(going));
    }
}

/// Whether a chunk has something of a dialect's own.
fn has_of(dialect: &str, chunk: &Chunk) -> bool {
    let within = chunk.deltas.iter().filter_map(|delta| if let Delta::Other { delta, .. } = delta { Some(delta) } else { None });
    within.chain([&chunk.extras]).flat_map(|extras| extras.iter()).any(|(name, _)| of_own(dialect, name).is_some())
}

/// Whether a chunk has text.
fn says(chunk: &Chunk) -> bool {
    chunk.deltas.iter().any(|delta| text_bytes(delta) > 0)
}

/// Whether with a chunk no choice is under way any more.
fn ends(open: &[u32], chunk: &Chunk) -> bool {
    let finished = |choice: u32| chunk.deltas.iter().any(|delta| matches!(delta, Delta::Finish { choice: c, .. } if *c == choice));
    let speaks = |delta: &Delta| match delta {
        Delta::Text { choice, .. } | Delta::Reasoning { choice, .. } | Delta::Refusal { choice, .. } => Some(*choice),
        Delta::ToolCall { choice, .. } => Some(*choice),
        _ => None,
    };
    let finishes = chunk.deltas.iter().any(|delta| matches!(delta, Delta::Finish { .. }));
    finishes && open.iter().copied().chain(chunk.deltas.iter().filter_map(speaks)).all(finished)
}

/// Takes the usage out of a chunk.
fn drop_usage(chunk: &mut Chunk) {
    if chunk.deltas.iter().any(|delta| matches!(delta, Delta::Usage(_))) {
        chunk.deltas.retain(|delta| !matches!(delta, Delta::Usage(_)));
        chunk.raw = None;
    }
}
