//! One plugin's place in a session: its instance, its errors, and one question put to it.
//!
//! It is apart so that whole segments (`session`) and streams (`flow`) ask in the same way. It must not know what becomes of
//! the answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gatewright_types::{Channel, Phase};
use smallvec::SmallVec;

use crate::api::{Absence, Context, Mode, OnError, Tally, ToolFailure, Trip, Verdict};
use crate::chain::{self, Again, Folded, MOST_REASKS, Page, Rules, Stop};
use crate::guest::{Event, Guest, GuestError, GuestErrorKind, Permit, ToolRun, View};
use crate::host::Plugin;
use crate::ledger::{Deed, Ledger, Place};
use crate::stream::Ending;

/// After so many errors in one session a plugin is not asked again: each would cost its full limit.
const MOST_ERRORS: u32 = 3;
/// Most notes of one session, of all plugins.
const MOST_NOTES: usize = 256;

/// What all plugins of a session share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) context: Arc<Context>,
    pub(crate) notes: Vec<(String, String)>,
    pub(crate) ledger: Ledger,
    /// Whether something of the answer was sent.
    pub(crate) spoken: bool,
    /// How often the model was asked again.
    pub(crate) reasks: u32,
}

impl Shared {
    fn again(&self) -> Again {
        match self.spoken {
            true => Again::Late,
            false if self.reasks >= MOST_REASKS => Again::Enough,
            false => Again::Yes,
        }
    }
}

/// A question.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) phase: Phase,
    /// At least one.
    pub(crate) pages: &'a [Page<'a>],
    pub(crate) ending: Ending,
}

/// A plugin in a session.
pub(crate) struct Seat {
    pub(crate) plugin: Arc<Plugin>,
    /// The instance's place, which is free again when the session and the instance have ended.
    permit: Permit,
    /// Made when it is first needed; gone after an error.
    guest: Option<Box<dyn Guest>>,
    errors: u32,
    bill: Bill,
}

/// What a plugin has cost in a session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bill {
    calls: u64,
    time: Duration,
    memory: usize,
    trips: [u32; Trip::ALL.len()],
}

impl Bill {
    /// The same, with the plugin's particulars.
    pub(crate) fn tally(self, plugin: &Plugin, absent: Option<Absence>) -> Tally {
        let Self { calls, time, memory, trips } = self;
        let [name, version, digest] = [&plugin.name, &plugin.version, &plugin.digest].map(Arc::clone);
        Tally { plugin: name, version, digest, calls, time, memory, trips, absent }
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").field("plugin", &self.plugin.name).field("errors", &self.errors).finish_non_exhaustive()
    }
}

impl Seat {
    pub(crate) fn new(plugin: Arc<Plugin>, permit: Permit) -> Self {
        Self { plugin, permit, guest: None, errors: 0, bill: Bill::default() }
    }

    /// Whether what it says is only recorded.
    pub(crate) fn is_shadow(&self) -> bool {
        self.plugin.mode == Mode::Shadow
    }

    /// Puts a question, checks the answer and keeps its notes (an enforced plugin's only).
    ///
    /// # Errors
    /// What the guest broke. The instance is gone then.
    pub(crate) async fn ask(&mut self, shared: &mut Shared, question: &Question<'_>) -> Result<Folded, GuestError> {
        let units = self.plugin.units;
        let view = |page: &Page<'_>| units.count(&page.text[..page.sent]);
        let views: SmallVec<[View<'_>; 2]> = question
            .pages
            .iter()
            .map(|page| View {
                id: page.id,
                channel: page.channel,
                text: page.text,
                sent: u32::try_from(view(page)).unwrap_or(u32::MAX),
                label: page.label,
            })
            .collect();
        let last = question.ending == Ending::Last;
        let event = Event { phase: question.phase, segments: &views, last, notes: &shared.notes };
        let started = Instant::now();
        let answer = match self.instance(&shared.context).await {
            Ok(guest) => guest.inspect(&event).await,
            Err(error) => Err(error),
        };
        self.pay(started.elapsed());
        let rules = Rules { phase: question.phase, units, output: self.plugin.limits.output, again: shared.again() };
        let folded = answer.and_then(|actions| chain::fold(actions, question.pages, &rules));
        match folded {
            Ok(mut folded) => self.keep_notes(shared, &mut folded).map(|()| folded).map_err(|error| self.fail(error)),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Calls a tool of the plugin: what it says, or why it does not.
    ///
    /// # Errors
    /// What the guest broke. The instance is gone then.
    pub(crate) async fn call(&mut self, shared: &Shared, run: ToolRun<'_>) -> Result<Result<String, ToolFailure>, GuestError> {
        let started = Instant::now();
        let answer = match self.instance(&shared.context).await {
            Ok(guest) => guest.call_tool(run).await,
            Err(error) => Err(error),
        };
        self.pay(started.elapsed());
        let limit = self.plugin.limits.output;
        let answer = match answer {
            Ok(Ok(text)) if text.len() > limit => Err(GuestError::new(GuestErrorKind::Output, format!("more than {limit} bytes"))),
            answer => answer,
        };
        answer.map_err(|error| self.fail(error))
    }

    /// What its instance has computed.
    pub(crate) fn fuel(&self) -> u64 {
        self.guest.as_ref().map_or(0, |guest| guest.fuel())
    }

    /// Drops the instance after an error that was found outside of `ask`.
    pub(crate) fn fail(&mut self, error: GuestError) -> GuestError {
        self.guest = None;
        self.errors += 1;
        self.plugin.counters.fail();
        let trip = match error.kind {
            GuestErrorKind::Cpu => Trip::Cpu,
            GuestErrorKind::Wall => Trip::Wall,
            GuestErrorKind::Memory => {
                // The instance is gone, and had all that it may have.
                self.bill.memory = self.bill.memory.max(self.plugin.limits.memory);
                Trip::Memory
            }
            GuestErrorKind::Output => Trip::Output,
            GuestErrorKind::Trap | GuestErrorKind::Guest | GuestErrorKind::Contract | GuestErrorKind::Load => Trip::Other,
        };
        self.bill.trips[trip as usize] += 1;
        error
    }

    /// What it has cost so far.
    pub(crate) fn tally(&self) -> Tally {
        self.bill.tally(&self.plugin, None)
    }

    /// Counts one call.
    fn pay(&mut self, took: Duration) {
        self.plugin.counters.add(took);
        self.bill.calls += 1;
        self.bill.time += took;
        let memory = self.guest.as_ref().map_or(0, |guest| guest.memory());
        self.bill.memory = self.bill.memory.max(memory);
    }

    /// What an error means for the request; `None` where the plugin is as if absent. Records it.
    pub(crate) fn judge(&self, shared: &mut Shared, error: &GuestError, page: &Page<'_>, phase: Phase) -> Option<Verdict> {
        let reason = self.report(shared, error, &self.place(phase, page.channel));
        let closed = self.plugin.on_error == OnError::Closed && !self.is_shadow();
        closed.then(|| Verdict::Failed { plugin: self.plugin.name.to_string(), reason })
    }

    /// Records an error, and words it.
    pub(crate) fn report(&self, shared: &mut Shared, error: &GuestError, place: &Place<'_>) -> String {
        let reason = error.to_string();
        shared.ledger.error(place, &reason);
        tracing::warn!(target: "gatewright::plugin", plugin = %self.plugin.name, reason, "plugin failed");
        reason
    }

    /// Records what is not about one channel: sets, notes and the stop, at the first page.
    pub(crate) fn record(&self, shared: &mut Shared, folded: &Folded, question: &Question<'_>) {
        let Some(first) = question.pages.first() else { return };
        let place = self.place(question.phase, first.channel);
        shared.ledger.count(&place, Deed::Set, folded.sets.len());
        shared.ledger.count(&place, Deed::Note, folded.notes.len());
        match folded.stop {
            Some(Stop::Block { .. }) => shared.ledger.count(&place, Deed::Block, 1),
            Some(Stop::Answer(_)) => shared.ledger.count(&place, Deed::Answer, 1),
            Some(Stop::Reask { .. }) => {
                shared.ledger.count(&place, Deed::Reask, 1);
                shared.reasks += u32::from(!self.is_shadow());
            }
            None => {}
        }
    }

    /// What its stop means for the request.
    pub(crate) fn verdict(&self, stop: Stop) -> Verdict {
        let plugin = self.plugin.name.to_string();
        match stop {
            Stop::Block { code, message } => Verdict::Block { plugin, code, message },
            Stop::Answer(text) => Verdict::Answer { plugin, text },
            Stop::Reask { route, instruction } => Verdict::Reask { plugin, route, instruction },
        }
    }

    /// Where an entry of the record belongs.
    pub(crate) fn place(&self, phase: Phase, channel: Channel) -> Place<'_> {
        Place { plugin: &self.plugin.name, mode: self.plugin.mode, phase, channel }
    }

    async fn instance(&mut self, context: &Arc<Context>) -> Result<&mut Box<dyn Guest>, GuestError> {
        if self.errors >= MOST_ERRORS {
            return Err(GuestError::new(GuestErrorKind::Guest, format!("not asked again after {MOST_ERRORS} errors")));
        }
        let guest = match self.guest.take() {
            Some(guest) => guest,
            None => self.plugin.program.instantiate(Arc::clone(context), Arc::clone(&self.permit)).await?,
        };
        Ok(self.guest.insert(guest))
    }

    fn keep_notes(&self, shared: &mut Shared, folded: &mut Folded) -> Result<(), GuestError> {
        if self.is_shadow() || folded.notes.is_empty() {
            return Ok(());
        }
        if shared.notes.len() + folded.notes.len() > MOST_NOTES {
            return Err(GuestError::new(GuestErrorKind::Contract, format!("more than {MOST_NOTES} notes in one request")));
        }
        shared.notes.extend(folded.notes.iter().cloned());
        shared.context.reach.noted(&shared.notes);
        Ok(())
    }
}
