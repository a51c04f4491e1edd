//! A streamed answer through the chain: each plugin has a window for each lane, and what one releases flows into the next.
//!
//! It is apart from `session` because windows outlive a call. It must not know how a window decides (`stream`).

use std::collections::HashMap;

use gatewright_types::{Channel, Phase};
use tokio::time::Instant;

use crate::api::{Lane, Piece, Released, Verdict};
use crate::chain::{Marks, Page, Stop};
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
    window: Window,
    label: Option<String>,
}

/// All windows of a session.
#[derive(Debug)]
pub(crate) struct Flow {
    /// By plugin, in the chain's order.
    lanes: Vec<HashMap<Lane, Open>>,
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
}

impl Flow {
    pub(crate) fn new(plugins: usize) -> Self {
        Self { lanes: (0..plugins).map(|_| HashMap::new()).collect(), over: None, spoke: false }
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
        let mut untouched = true;
        for (seat, lanes) in seats.iter_mut().zip(&mut self.lanes) {
            if !seat.plugin.subscription.hears_phase(Phase::Chunk) {
                continue;
            }
            let bounds = seat.plugin.bounds;
            let mut turn = Turn { seat, shared, bounds };
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
    async fn pass(&mut self, lanes: &mut HashMap<Lane, Open>, pieces: Vec<Piece>, ended: &[Lane]) -> Result<Passage, Verdict> {
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
            if let Some(mut open) = lanes.remove(lane) {
                passage.untouched &= open.window.pending() == 0;
                let release = self.release(lane, &mut open, Ending::Last, "").await?;
                self.put(lane, &open, release, &mut passage);
            }
        }
        Ok(passage)
    }

    /// One piece into its window, and what comes out of it.
    async fn take(
        &mut self,
        lanes: &mut HashMap<Lane, Open>,
        piece: Piece,
        ending: Ending,
        passage: &mut Passage,
    ) -> Result<(), Verdict> {
        let lane = piece.lane.clone();
        let mut open = lanes.remove(&lane).unwrap_or_else(|| Open { window: Window::default(), label: piece.label.clone() });
        if lanes.len() >= MOST_LANES {
            let error = contract(format!("more than {MOST_LANES} lanes at once"));
            return Err(Verdict::Failed { plugin: self.seat.plugin.name.to_string(), reason: error.to_string() });
        }
        let clean = open.window.pending() == 0;
        let fed = piece.text.len();
        open.window.push(&piece.text);
        let release = self.release(&lane, &mut open, ending, &piece.text).await?;
        if self.seat.is_shadow() {
            passage.pieces.push(piece);
        } else {
            passage.untouched &= clean && open.window.pending() == 0 && release.edits == 0 && release.text.len() == fed;
            if !release.text.is_empty() {
                passage.pieces.push(Piece { text: release.text, ..piece });
            }
        }
        if ending == Ending::More {
            lanes.insert(lane, open);
        }
        Ok(())
    }

    fn put(&self, lane: &Lane, open: &Open, release: Release, passage: &mut Passage) {
        if self.seat.is_shadow() {
            return;
        }
        passage.untouched &= release.edits == 0;
        if !release.text.is_empty() {
            passage.pieces.push(Piece { lane: lane.clone(), label: open.label.clone(), text: release.text });
        }
    }

    /// Asks about the window as it stands, and gives what may go on. `fed` is what is new in it.
    async fn release(&mut self, lane: &Lane, open: &mut Open, ending: Ending, fed: &str) -> Result<Release, Verdict> {
        let waits = lane.channel == Channel::ToolArgs && ending == Ending::More;
        if waits && open.window.pending() <= ARGUMENT_BYTES {
            return Ok(Release { text: String::new(), edits: 0 });
        }
        let result = if waits {
            Err(self.seat.fail(contract(format!("tool arguments of more than {ARGUMENT_BYTES} bytes"))))
        } else {
            self.ask(lane, open, ending, fed).await
        };
        match result {
            Ok(Ok(release)) => Ok(release),
            Ok(Err(stop)) => self.stop(stop, open),
            Err(error) => {
                let page = page(lane, open);
                match self.seat.judge(self.shared, &error, &page, Phase::Chunk) {
                    Some(verdict) => Err(verdict),
                    None => Ok(Release { text: open.window.flush(), edits: 0 }),
                }
            }
        }
    }

    /// A stop of a shadow is recorded and changes nothing.
    fn stop(&self, stop: Stop, open: &mut Open) -> Result<Release, Verdict> {
        let plugin = self.seat.plugin.name.to_string();
        match stop {
            _ if self.seat.is_shadow() => Ok(Release { text: open.window.flush(), edits: 0 }),
            Stop::Block { code, message } => Err(Verdict::Block { plugin, code, message }),
            Stop::Answer(text) => Err(Verdict::Answer { plugin, text }),
        }
    }

    async fn ask(&mut self, lane: &Lane, open: &mut Open, ending: Ending, fed: &str) -> Result<Result<Release, Stop>, GuestError> {
        let pages = [page(lane, open)];
        let question = Question { phase: Phase::Chunk, pages: &pages, ending };
        let mut folded = self.seat.ask(self.shared, &question).await?;
        self.seat.record(self.shared, &folded, &question);
        let place = self.seat.place(Phase::Chunk, &pages[0]);
        if let Some(stop) = folded.stop.take() {
            self.shared.ledger.inspected(&place, Deed::Pass, fed);
            return Ok(Err(stop));
        }
        let Marks { splices, hold } = folded.marks.pop().unwrap_or_default();
        let ruling = Ruling { splices, hold, ending, now: Instant::now() };
        let release = open.window.settle(&ruling, &self.bounds);
        let release = match release {
            Ok(release) => release,
            Err(error) => return Err(self.seat.fail(contract(error.to_string()))),
        };
        let holds = usize::from(hold.is_some() && ending == Ending::More);
        self.shared.ledger.count(&place, Deed::Edit, release.edits);
        self.shared.ledger.count(&place, Deed::Hold, holds);
        self.shared.ledger.count(&place, Deed::Pass, usize::from(release.edits + holds == 0));
        self.shared.ledger.inspected(&place, Deed::Pass, fed);
        Ok(Ok(release))
    }
}

fn page<'a>(lane: &Lane, open: &'a Open) -> Page<'a> {
    Page { id: 0, channel: lane.channel, text: open.window.view(), sent: open.window.sent(), label: open.label.as_deref() }
}

fn contract(message: String) -> GuestError {
    GuestError::new(GuestErrorKind::Contract, message)
}
