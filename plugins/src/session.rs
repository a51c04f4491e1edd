//! Chains, and a chain at work for one request: whole segments in order, tools, the record. Streams are in `flow`.
//!
//! Apart because it is what a caller holds. It must not know how a guest is run or what a phase means to the gateway.

use std::sync::Arc;

use gatewright_types::{Channel, Phase, Segment};
use smallvec::SmallVec;

use crate::api::{
    Absence, Busy, Context, Cut, DeclaredTool, Entry, Lane, Mode, Outcome, Piece, Released, Tally, ToolFailure, Verdict,
};
use crate::chain::{self, Folded, Page};
use crate::flow::Flow;
use crate::guest::{GuestError, GuestErrorKind, ToolRun};
use crate::host::Plugin;
use crate::ledger::{Deed, Ledger, Place};
use crate::seat::{Bill, Question, Seat, Shared};
use crate::stream::Ending;

/// Plugins in order, for one route. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Chain(Arc<[Arc<Plugin>]>);

impl Chain {
    /// A chain in this order. Plugins that are `off` are left out.
    pub fn new(plugins: Vec<Arc<Plugin>>) -> Self {
        Self(plugins.into_iter().filter(|plugin| plugin.mode != Mode::Off).collect())
    }

    /// Whether no plugin of the chain subscribes to this phase with this channel: then there is no need to ask.
    pub fn is_deaf(&self, phase: Phase, channel: Channel) -> bool {
        !self.0.iter().any(|plugin| plugin.hears(phase, channel))
    }

    /// Whether the chain must see the answer whole: some enforced plugin subscribes to `response` and not to `chunk`.
    pub fn wants_whole(&self) -> bool {
        self.0.iter().any(|plugin| plugin.wants_whole())
    }

    /// Tools that the chain's enforced plugins declare, named `plugin__tool`.
    pub fn tools(&self) -> Vec<DeclaredTool> {
        let enforced = self.0.iter().filter(|plugin| plugin.mode == Mode::Enforce);
        enforced.flat_map(|plugin| plugin.tools.iter().map(|tool| tool.declared.clone())).collect()
    }

    /// The plugins, in order.
    pub fn plugins(&self) -> &[Arc<Plugin>] {
        &self.0
    }

    /// Takes a place in every plugin's pool for one request; they go back with the session. Instances are made when they are
    /// first needed, and dropped after an error. Left out, and recorded, is a plugin whose share of the requests this one is not in,
    /// and a shadow for which there is no place.
    ///
    /// # Errors
    /// [`Busy`] when a pool of an enforced plugin is exhausted.
    pub async fn open(&self, context: Context) -> Result<Session, Busy> {
        self.open_after(context, Vec::new()).await
    }

    /// The same, for a request on which plugins of another chain have left notes.
    ///
    /// # Errors
    /// As [`Chain::open`].
    pub async fn open_after(&self, context: Context, notes: Vec<(String, String)>) -> Result<Session, Busy> {
        let mut seats = Vec::with_capacity(self.0.len());
        let (mut ledger, mut absent) = (Ledger::default(), Vec::new());
        for plugin in self.0.iter() {
            if !plugin.share.takes(&plugin.name, &context) {
                absent.push((Arc::clone(plugin), Absence::RollOut));
                continue;
            }
            match Arc::clone(&plugin.seats).try_acquire_owned() {
                Ok(permit) => seats.push(Seat::new(Arc::clone(plugin), Arc::new(permit))),
                Err(_) if plugin.mode == Mode::Shadow => {
                    left_out(plugin, &mut ledger);
                    absent.push((Arc::clone(plugin), Absence::NoInstance));
                }
                Err(_) => return Err(Busy { plugin: plugin.name.to_string() }),
            }
        }
        let reasks = context.reasks;
        context.reach.noted(&notes);
        let shared = Shared { context: Arc::new(context), notes, ledger, spoken: false, reasks };
        Ok(Session { flow: Flow::new(seats.len()), seats, absent, shared })
    }
}

/// The chain at work for one request.
#[derive(Debug)]
pub struct Session {
    seats: Vec<Seat>,
    absent: Vec<(Arc<Plugin>, Absence)>,
    shared: Shared,
    flow: Flow,
}

impl Session {
    /// Asks every plugin that subscribes, in order, about whole segments (phases `request`, `response`, `tool-call`,
    /// `tool-result`). Edits are applied to `segments`; stops at the first block, answer or closed error.
    pub async fn inspect(&mut self, phase: Phase, segments: &mut Vec<Segment>) -> Outcome {
        let mut outcome = Outcome { verdict: Verdict::Pass, edited: false, cuts: Vec::new(), sets: Vec::new(), notes: Vec::new() };
        let mut lengths = Lengths::from_elem(None, segments.len());
        for seat in &mut self.seats {
            if !seat.plugin.subscription.hears_phase(phase) {
                continue;
            }
            outcome.verdict =
                whole(seat, &mut self.shared, &mut Whole { phase, segments, lengths: &mut lengths, outcome: &mut outcome }).await;
            if outcome.verdict != Verdict::Pass {
                break;
            }
        }
        outcome.notes.clone_from(&self.shared.notes);
        outcome
    }

    /// Feeds pieces of a streamed answer through every plugin's hold-back window. `ended` names lanes that end with this call
    /// (a call's arguments are complete, or the choice finishes): what they hold is released.
    pub async fn feed(&mut self, pieces: Vec<Piece>, ended: &[Lane]) -> Released {
        self.flow.feed(&mut self.seats, &mut self.shared, pieces, ended).await
    }

    /// Whether a plugin that takes part and acts declares this tool, by its `plugin__tool` name.
    pub fn offers(&self, name: &str) -> bool {
        let acting = self.seats.iter().filter(|seat| !seat.is_shadow());
        acting.flat_map(|seat| &seat.plugin.tools).any(|tool| tool.declared.name == name)
    }

    /// Something of the answer is sent: from now on the model cannot be asked again.
    pub fn spoke(&mut self) {
        self.shared.spoken = true;
    }

    /// How often plugins of this request have had the model asked again.
    pub fn reasks(&self) -> u32 {
        self.shared.reasks
    }

    /// Forgets the answer so far: the model is asked again. Instances stay, and what they keep in their environments.
    pub fn restart(&mut self) {
        self.flow = Flow::new(self.seats.len());
    }

    /// Calls a declared tool by its `plugin__tool` name. Arguments are checked against its schema first, its result afterwards.
    ///
    /// # Errors
    /// [`ToolFailure`]: its text is what the model is shown.
    pub async fn call_tool(&mut self, name: &str, arguments: &str) -> Result<String, ToolFailure> {
        for seat in self.seats.iter_mut().filter(|seat| !seat.is_shadow()) {
            let plugin = Arc::clone(&seat.plugin);
            let Some(tool) = plugin.tools.iter().find(|tool| tool.declared.name == name) else { continue };
            tool.accept(arguments)?;
            let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
            let run = ToolRun { name: &tool.own, arguments, notes: &self.shared.notes };
            let said = match seat.call(&self.shared, run).await {
                Ok(Ok(text)) => match tool.accept_result(&text) {
                    Ok(()) => Ok(Ok(text)),
                    Err(why) => Err(seat.fail(GuestError::new(GuestErrorKind::Contract, why))),
                },
                said => said,
            };
            return match said {
                Ok(said) => said,
                Err(error) => {
                    let place = seat.place(Phase::ToolCall, Channel::ToolArgs);
                    Err(ToolFailure::Internal(seat.report(&mut self.shared, &error, &place)))
                }
            };
        }
        Err(ToolFailure::Denied(format!("no tool {name}")))
    }

    /// What was done so far, for the record.
    pub fn record(&self) -> &[Entry] {
        self.shared.ledger.entries()
    }

    /// What each plugin of the chain has cost so far, those that take no part last.
    pub fn tallies(&self) -> impl Iterator<Item = Tally> {
        let absent = self.absent.iter().map(|(plugin, why)| Bill::default().tally(plugin, Some(*why)));
        self.seats.iter().map(Seat::tally).chain(absent)
    }

    /// The plugins that take part, in order.
    pub fn plugins(&self) -> impl Iterator<Item = &Plugin> + Clone {
        self.seats.iter().map(|seat| &*seat.plugin)
    }

    /// Whether every plugin of the chain takes part.
    pub fn is_whole(&self) -> bool {
        self.absent.is_empty()
    }

    /// What the guests have computed so far, start-up code included: the same in each run. WASM counts instructions, on a host that
    /// counts them ([`Host::counting`](crate::Host::counting)); Luau counts safepoints: calls, returns and turns of loops. A guest that
    /// failed counts no more.
    pub fn fuel(&self) -> u64 {
        self.seats.iter().map(Seat::fuel).sum()
    }

    /// Notes so far.
    pub fn notes(&self) -> &[(String, String)] {
        &self.shared.notes
    }
}

/// Records, at the first thing that it would hear, that a plugin is not asked in this session.
fn left_out(plugin: &Plugin, ledger: &mut Ledger) {
    let mut all = Phase::ALL.into_iter().flat_map(|phase| Channel::ALL.map(|channel| (phase, channel)));
    if let Some((phase, channel)) = all.find(|(phase, channel)| plugin.subscription.hears(*phase, *channel)) {
        let place = Place { plugin: &plugin.name, mode: plugin.mode, phase, channel };
        ledger.error(&place, "no instance was free: it was not asked in this request");
    }
}

/// Characters of texts that plugins were shown, in the order of the segments, as long as nobody has edited them: counted once for all.
type Lengths = SmallVec<[Option<usize>; 4]>;

struct Whole<'a> {
    phase: Phase,
    segments: &'a mut Vec<Segment>,
    lengths: &'a mut Lengths,
    outcome: &'a mut Outcome,
}

/// One plugin's turn at whole segments.
async fn whole(seat: &mut Seat, shared: &mut Shared, whole: &mut Whole<'_>) -> Verdict {
    let phase = whole.phase;
    let hears = |segment: &Segment| seat.plugin.subscription.hears(phase, segment.channel);
    let heard = whole.segments.iter().enumerate().filter(|(_, segment)| hears(segment));
    let (places, pages): (Vec<usize>, Vec<Page<'_>>) = heard.map(|(place, segment)| (place, page(segment))).unzip();
    let Some(first) = pages.first() else { return Verdict::Pass };
    let question = Question { phase, pages: &pages, ending: Ending::Last };
    let has_a_say = pages.iter().any(|page| seat.plugin.has_a_say(page.text, page.sent));
    let answer = if has_a_say { seat.ask(shared, &question).await } else { Ok(Folded::default()) };
    let folded = match answer {
        Ok(folded) => folded,
        Err(error) => return seat.judge(shared, &error, first, phase).unwrap_or(Verdict::Pass),
    };
    seat.record(shared, &folded, &question);
    for (index, page) in pages.iter().enumerate() {
        let edits = folded.marks.get(index).map_or(0, |marks| marks.splices.len());
        let deed = if edits > 0 { Deed::Edit } else { Deed::Pass };
        let place = seat.place(phase, page.channel);
        shared.ledger.count(&place, deed, edits.max(1));
        let count = || page.text[page.sent..].chars().count();
        let length = match places.get(index).and_then(|place| whole.lengths.get_mut(*place)) {
            Some(known) => *known.get_or_insert_with(count),
            None => count(),
        };
        shared.ledger.inspected(&place, deed, length);
    }
    if seat.is_shadow() {
        return Verdict::Pass;
    }
    apply(&folded, &places, whole);
    whole.outcome.sets.extend(folded.sets);
    folded.stop.map_or(Verdict::Pass, |stop| seat.verdict(stop))
}

fn page(segment: &Segment) -> Page<'_> {
    Page {
        id: segment.id,
        channel: segment.channel,
        text: &segment.text,
        sent: segment.sent.min(segment.text.len()),
        label: segment.label.as_deref(),
    }
}

/// `places` are those of the segments that were shown, in the order of their marks.
fn apply(folded: &Folded, places: &[usize], whole: &mut Whole<'_>) {
    for (marks, place) in folded.marks.iter().zip(places).filter(|(marks, _)| !marks.splices.is_empty()) {
        if let (Some(segment), Some(length)) = (whole.segments.get_mut(*place), whole.lengths.get_mut(*place)) {
            segment.text = chain::rewrite(&segment.text, &marks.splices);
            *length = None;
            // From the end, for a range counts bytes of the text before these edits.
            let cuts = marks.splices.iter().rev();
            whole.outcome.cuts.extend(cuts.map(|splice| Cut {
                segment: segment.id,
                start: splice.start,
                end: splice.end,
                length: splice.text.len(),
            }));
            whole.outcome.edited = true;
        }
    }
}
