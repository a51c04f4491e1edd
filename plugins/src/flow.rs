//! A streamed answer through the chain: each plugin has a window for each lane, and what one releases flows into the next.
//!
//! It is apart from `session` because windows outlive a call. It must not know how a window decides (`stream`).

use gatewright_types::{Channel, Phase};
use tokio::time::Instant;

use crate::api::{Lane, Piece, Released, Verdict};
use crate::chain::{Folded, Marks, Page, Stop};
use crate::guest::{GuestError, GuestErrorKind};
use crate::ledger::Deed;
use crate::seat::{Question, Seat, Shared};
use crate::stream::{Bounds, Ending, Release, Ruling, Window};

/// Most lanes that are open at once: choices times channels and calls.
const MOST_LANES: usize = 1024;
/// Most bytes of one call's arguments, which are held until complete.
const ARGUMENT_BYTES: usize = 1 << 20;

/// One lane of one plugin.
#[derive(Debug)]
struct Open {
    lane: Lane,
    window: Window,
    label: Option<String>,
    /// Whether the guest asked for a hold when it was asked last: then it is asked again, whatever comes.
    holds: bool,
}

/// A plugin's lanes. Few are open at once, so that a list is quicker to search than a map.
type Lanes = Vec<Open>;

/// All windows of a session.
#[derive(Debug)]
pub(crate) struct Flow {
    /// By plugin, in the chain's order.
    lanes: Vec<Lanes>,
    /// How the stream ended, once a plugin ended it.
    over: Option<Verdict>,
    /// Whether any text was released.
    spoke: bool,
}

/// What one plugin lets through of one call.
struct Passage {
    pieces: Vec<Piece>,
    untouched: bool,
}

/// One plugin at one stream.
struct Turn<'a> {
    seat: &'a mut Seat,
    shared: &'a mut Shared,
    bounds: Bounds,
    /// When the pieces came.
    now: Instant,
}

impl Flow {
    pub(crate) fn new(plugins: usize) -> Self {
        Self { lanes: (0..plugins).map(|_| Lanes::new()).collect(), over: None, spoke: false }
    }

    /// Feeds pieces through every plugin. After a stop, nothing of that call or a later one is released: what follows the
    /// plugin in the chain has not seen it.
    pub(crate) async fn feed(
        &mut self,
        seats: &mut [Seat],
        shared: &mut Shared,
        mut pieces: Vec<Piece>,
        ended: &[Lane],
    ) -> Released {
        if let Some(verdict) = &self.over {
            return Released { pieces: Vec::new(), untouched: false, verdict: verdict.clone() };
        }
        let (mut untouched, now) = (true, Instant::now());
        for (seat, lanes) in seats.iter_mut().zip(&mut self.lanes) {
            if !seat.plugin.subscription.hears_phase(Phase::Chunk) {
                continue;
            }
            let bounds = seat.plugin.bounds;
            let mut turn = Turn { seat, shared, bounds, now };
            match turn.pass(lanes, pieces, ended).await {
                Ok(passage) => {
                    pieces = passage.pieces;
                    untouched &= passage.untouched;
                }
                Err(verdict) => {
                    let verdict = self.refuse_late(verdict);
                    self.over = Some(verdict.clone());
                    return Released { pieces: Vec::new(), untouched: false, verdict };
                }
            }
        }
        self.spoke |= pieces.iter().any(|piece| !piece.text.is_empty());
        Released { pieces, untouched, verdict: Verdict::Pass }
    }

    /// An answer after text was sent is a block.
    fn refuse_late(&self, verdict: Verdict) -> Verdict {
        match verdict {
            Verdict::Answer { plugin, text } if self.spoke => Verdict::Block { plugin, code: "answer".into(), message: text },
            verdict => verdict,
        }
    }
}

impl Turn<'_> {
    async fn pass(&mut self, lanes: &mut Lanes, pieces: Vec<Piece>, ended: &[Lane]) -> Result<Passage, Verdict> {
        let mut passage = Passage { pieces: Vec::with_capacity(pieces.len()), untouched: true };
        let mut rest = pieces.into_iter();
        while let Some(piece) = rest.next() {
            if !self.seat.plugin.subscription.hears(Phase::Chunk, piece.lane.channel) {
                passage.pieces.push(piece);
                continue;
            }
            let ends = ended.contains(&piece.lane) && !rest.as_slice().iter().any(|later| later.lane == piece.lane);
            let ending = if ends { Ending::Last } else { Ending::More };
            self.take(lanes, piece, ending, &mut passage).await?;
        }
        for lane in ended {
            if let Some(at) = lanes.iter().position(|open| open.lane == *lane) {
                let mut open = lanes.swap_remove(at);
                passage.untouched &= self.seat.is_shadow() || open.window.pending() == 0;
                let release = self.release(&mut open, Ending::Last, "").await?;
                self.put(open, release, &mut passage);
            }
        }
        Ok(passage)
    }

    /// One piece into its window, and what comes out of it.
    async fn take(&mut self, lanes: &mut Lanes, piece: Piece, ending: Ending, passage: &mut Passage) -> Result<(), Verdict> {
        let Some(at) = self.enter(lanes, &piece)? else {
            passage.pieces.push(piece);
            return Ok(());
        };
        let open = &mut lanes[at];
        let clean = open.window.pending() == 0;
        let fed = piece.text.len();
        open.window.push(&piece.text);
        let release = self.release(open, ending, &piece.text).await?;
        if self.seat.is_shadow() {
            passage.pieces.push(piece);
        } else {
            passage.untouched &= clean && open.window.pending() == 0 && release.edits == 0 && release.text.len() == fed;
            if !release.text.is_empty() {
                passage.pieces.push(Piece { text: release.text, ..piece });
            }
        }
        if ending == Ending::Last {
            lanes.swap_remove(at);
        }
        Ok(())
    }

    /// Where the piece's lane stands among the open ones; it is opened if need be. `None` where there are too many and the plugin
    /// is as if absent.
    fn enter(&mut self, lanes: &mut Lanes, piece: &Piece) -> Result<Option<usize>, Verdict> {
        if let Some(at) = lanes.iter().position(|open| open.lane == piece.lane) {
            return Ok(Some(at));
        }
        let open = Open { lane: piece.lane, window: Window::default(), label: piece.label.clone(), holds: false };
        if lanes.len() >= MOST_LANES {
            let error = contract(format!("more than {MOST_LANES} lanes at once"));
            return self.seat.judge(self.shared, &error, &page(&open), Phase::Chunk).map_or(Ok(None), Err);
        }
        lanes.push(open);
        Ok(Some(lanes.len() - 1))
    }

    fn put(&self, open: Open, release: Release, passage: &mut Passage) {
        if self.seat.is_shadow() {
            return;
        }
        passage.untouched &= release.edits == 0;
        if !release.text.is_empty() {
            passage.pieces.push(Piece { lane: open.lane, label: open.label, text: release.text });
        }
    }

    /// Asks about the window as it stands, and gives what may go on. `fed` is what is new in it.
    async fn release(&mut self, open: &mut Open, ending: Ending, fed: &str) -> Result<Release, Verdict> {
        let waits = open.lane.channel == Channel::ToolArgs && ending == Ending::More;
        if waits && open.window.pending() <= ARGUMENT_BYTES {
            return Ok(Release { text: String::new(), edits: 0 });
        }
        let result = if waits {
            Err(self.seat.fail(contract(format!("tool arguments of more than {ARGUMENT_BYTES} bytes"))))
        } else {
            self.ask(open, ending, fed).await
        };
        match result {
            Ok(Ok(release)) => Ok(release),
            Ok(Err(stop)) => self.stop(stop, open),
            Err(error) => {
                let page = page(open);
                match self.seat.judge(self.shared, &error, &page, Phase::Chunk) {
                    Some(verdict) => Err(verdict),
                    None => Ok(Release { text: open.window.flush(), edits: 0 }),
                }
            }
        }
    }

    /// A stop of a shadow is recorded and changes nothing.
    fn stop(&self, stop: Stop, open: &mut Open) -> Result<Release, Verdict> {
        if self.seat.is_shadow() { Ok(Release { text: open.window.flush(), edits: 0 }) } else { Err(self.seat.verdict(stop)) }
    }

    async fn ask(&mut self, open: &mut Open, ending: Ending, fed: &str) -> Result<Result<Release, Stop>, GuestError> {
        let (view, sent) = (open.window.view(), open.window.sent());
        let prefilter = self.seat.plugin.prefilter.as_ref();
        let begins = prefilter.and_then(|prefilter| prefilter.begins_in(view, sent));
        // What may be a beginning for longer than may be held is for the guest to judge: it holds it, and fails, or lets it go.
        let begun = begins.filter(|at| open.window.may_hold_from(*at, &self.bounds));
        let has_a_say = open.holds || begins != begun || self.seat.plugin.has_a_say(view, sent);
        let pages = [page(open)];
        let question = Question { phase: Phase::Chunk, pages: &pages, ending };
        let mut folded = if has_a_say { self.seat.ask(self.shared, &question).await? } else { Folded::default() };
        self.seat.record(self.shared, &folded, &question);
        let place = self.seat.place(Phase::Chunk, open.lane.channel);
        if let Some(stop) = folded.stop.take() {
            self.shared.ledger.inspected(&place, Deed::Pass, fed.chars().count());
            return Ok(Err(stop));
        }
        let Marks { splices, hold } = folded.marks.pop().unwrap_or_default();
        let ruling = Ruling { splices, hold, begun, ending, now: self.now };
        let release = open.window.settle(&ruling, &self.bounds);
        open.holds = hold.is_some();
        let release = match release {
            Ok(release) => release,
            Err(error) => return Err(self.seat.fail(contract(error.to_string()))),
        };
        let holds = usize::from(hold.is_some() && ending == Ending::More);
        self.shared.ledger.count(&place, Deed::Edit, release.edits);
        self.shared.ledger.count(&place, Deed::Hold, holds);
        self.shared.ledger.count(&place, Deed::Pass, usize::from(release.edits + holds == 0));
        self.shared.ledger.inspected(&place, Deed::Pass, fed.chars().count());
        Ok(Ok(release))
    }
}

fn page(open: &Open) -> Page<'_> {
    Page { id: 0, channel: open.lane.channel, text: open.window.view(), sent: open.window.sent(), label: open.label.as_deref() }
}

fn contract(message: String) -> GuestError {
    GuestError::new(GuestErrorKind::Contract, message)
}
