//! What comes beside the text of an answer: log probabilities, unknown fields. They may repeat the text, and no plugin sees them.
//!
//! Apart because one rule holds for all of them: **they go out only once the client was given the very text that they came with**.
//! While plugins hold that text they wait; once it was edited they are dropped. So what was taken out of a text cannot be read
//! beside it. It must not know plugins.

use gatewright_plugins::{Lane, Piece};
use gatewright_types::{Channel, Chunk, Delta, Extras};
use smallvec::SmallVec;

use crate::dialects::{is_answer, is_note, points_into_text};
use crate::life::segments::has_text;

/// Chunks that go out in place of one: more than one where fields of the same name come together.
pub(in crate::life) type Chunks = SmallVec<[Chunk; 1]>;

/// Fields that tell how an answer was made, and no text of it.
const PLAIN: [&str; 6] = ["system_fingerprint", "service_tier", "provider", "obfuscation", "x_groq", "type"];
/// Most things that wait.
const MOST_WAITING: usize = 4096;
/// Most bytes of them.
const MOST_BYTES: usize = 1 << 20;

/// Whether a field may repeat the text of an answer. An answer that is no text repeats none.
pub(in crate::life) fn tells(name: &str, json: &str) -> bool {
    has_text(json) && !PLAIN.contains(&name) && !is_answer(name) && !is_note(name, json)
}

/// Whether some field may.
pub(in crate::life) fn tell(extras: &Extras) -> bool {
    extras.iter().any(|(name, value)| tells(name, value.get()))
}

/// Drops the fields that may repeat the text.
pub(in crate::life) fn strip(extras: &mut Extras) {
    extras.retain(|name, value| !tells(name, value));
}

/// A lane's text between what came and what was given.
#[derive(Debug)]
struct Account {
    lane: Lane,
    /// What came and was not given yet.
    pending: String,
    came: u64,
    given: u64,
    /// Something else was given than came.
    edited: bool,
}

impl Account {
    fn give(&mut self, text: &str) {
        if self.edited {
            // What is given no longer tells what of the pending text it was.
            return;
        }
        let same = self.pending.bytes().zip(text.bytes()).take_while(|(came, given)| came == given).count();
        let same = self.pending.floor_char_boundary(same);
        self.edited = same < text.len();
        self.given += same as u64;
        self.pending.drain(..same);
    }

    /// Plugins hold nothing of it, and gave what came last as it came.
    fn level(&mut self) {
        self.pending.clear();
        (self.given, self.edited) = (self.came, false);
    }
}

/// So many bytes of these lanes.
type Given = SmallVec<[(Lane, u64); 2]>;

/// What must have been given before something goes out.
#[derive(Debug)]
enum Needs {
    /// The next text of the choice, whatever that will be.
    Next,
    Given(Given),
}

enum State {
    Waits,
    Given,
    Edited,
}

/// Something that comes beside a text.
#[derive(Debug)]
pub(super) enum What {
    Delta(Delta),
    /// Fields of the chunk itself.
    Fields(Extras),
}

#[derive(Debug)]
struct Waiting {
    /// `None` for what belongs to the chunk itself.
    choice: Option<u32>,
    needs: Needs,
    what: What,
}

/// What a chunk is to the lanes of an answer.
#[derive(Clone, Copy)]
pub(super) struct Turn<'a> {
    /// Lanes that it has text of.
    pub(super) heard: &'a [Lane],
    /// Lanes of which nothing more comes.
    pub(super) ended: &'a [Lane],
}

/// The things beside the text of one answer.
#[derive(Debug, Default)]
pub(super) struct Beside {
    accounts: Vec<Account>,
    waiting: Vec<Waiting>,
    /// Fields of chunks of which nothing else went out: they go with the next one.
    carried: Extras,
    /// Choices of which a text was edited.
    changed: SmallVec<[u32; 1]>,
}

impl Beside {
    /// Whether something in a chunk that says nothing to the plugins must wait for a text, or was waited for.
    pub(super) fn concerns(&self, chunk: &Chunk) -> bool {
        let pending = self.accounts.iter().any(|account| !account.pending.is_empty());
        let concerns = |delta: &Delta| match delta {
            Delta::Logprobs { choice, .. } => !says(chunk, *choice),
            Delta::Other { delta, around, .. } => pending && (tell(delta) || tell(around)),
            Delta::Finish { .. } => !self.waiting.is_empty(),
            _ => false,
        };
        chunk.deltas.iter().any(concerns) || (pending && tell(&chunk.extras))
    }

    /// A chunk whose text came through as it is, and nothing of its lanes is held: it goes out as it is, after what waited for it.
    pub(super) fn whole(&mut self, chunk: Chunk, turn: Turn<'_>) -> Chunks {
        let mut chunks = Chunks::new();
        if !self.accounts.is_empty() || !self.waiting.is_empty() {
            // What is pending of these lanes was never given, and will not be.
            self.despair_of(turn.heard);
            self.despair_of(turn.ended);
            let mut ready = self.resolve();
            self.accounts.iter_mut().filter(|account| turn.heard.contains(&account.lane)).for_each(Account::level);
            self.bind(&chunk, turn);
            ready.append(&mut self.resolve());
            self.accounts.retain(|account| !turn.ended.contains(&account.lane));
            if !ready.is_empty() {
                chunks = self.assemble(Chunk::default(), ready);
            }
        }
        chunks.push(self.carry_into(chunk));
        chunks
    }

    /// Text came for a lane.
    pub(super) fn came(&mut self, lane: Lane, text: &str) {
        let account = self.account(lane);
        account.pending.push_str(text);
        account.came += text.len() as u64;
    }

    /// Takes out of a chunk what came beside its text, and gives what of that, and of what waited, may go out with these pieces.
    pub(super) fn pass(&mut self, chunk: &mut Chunk, pieces: &[Piece], turn: Turn<'_>) -> Vec<What> {
        for piece in pieces {
            self.account(piece.lane).give(&piece.text);
        }
        self.despair_of(turn.ended);
        self.bind(chunk, turn);
        self.take(chunk, turn);
        let ready = self.resolve();
        self.accounts.retain(|account| !turn.ended.contains(&account.lane));
        ready
    }

    /// A chunk with these things in it. Where two have a field of the same name, they go one after the other.
    pub(super) fn assemble(&mut self, mut chunk: Chunk, ready: Vec<What>) -> Chunks {
        let ends = |delta: &mut Delta| matches!(delta, Delta::Finish { .. } | Delta::Usage(_));
        let ends: Vec<Delta> = chunk.deltas.extract_if(.., ends).collect();
        let mut before = Chunks::new();
        for what in ready {
            match what {
                What::Fields(fields) => chunk.extras.replace(fields),
                What::Delta(delta) => {
                    if collides(&chunk, &delta) {
                        before.push(std::mem::take(&mut chunk));
                    }
                    chunk.deltas.push(delta);
                }
            }
        }
        chunk.deltas.extend(ends);
        before.push(chunk);
        let mut chunks = Chunks::new();
        for chunk in before {
            if chunk.deltas.is_empty() {
                self.carried.replace(chunk.extras);
            } else {
                let chunk = self.carry_into(chunk);
                chunks.push(chunk);
            }
        }
        chunks
    }

    /// What comes now is said of another text.
    pub(super) fn begins_anew(&mut self) {
        self.changed.clear();
    }

    /// Drops what says where in a text something is, where a text was edited: it is there no longer.
    pub(super) fn drop_misplaced(&self, chunk: &mut Chunk) {
        for delta in &mut chunk.deltas {
            if let Delta::Other { choice, delta, .. } = delta
                && self.changed.contains(choice)
                && delta.iter().any(|(name, _)| points_into_text(name))
            {
                delta.retain(|name, _| !points_into_text(name));
                chunk.raw = None;
            }
        }
    }

    /// The answer is ended here: what waits is dropped.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// Fields that were carried go with a chunk, where it has none of their names.
    pub(super) fn carry_into(&mut self, mut chunk: Chunk) -> Chunk {
        if !self.carried.is_empty() {
            let mut fields = std::mem::take(&mut self.carried);
            fields.retain(|name, _| chunk.extras.get(name).is_none());
            if !fields.is_empty() {
                chunk.raw = None;
                chunk.extras.append(fields);
            }
        }
        chunk
    }

    fn account(&mut self, lane: Lane) -> &mut Account {
        let at = self.accounts.iter().position(|account| account.lane == lane).unwrap_or(self.accounts.len());
        if at == self.accounts.len() {
            self.accounts.push(Account { lane, pending: String::new(), came: 0, given: 0, edited: false });
        }
        &mut self.accounts[at]
    }

    fn despair_of(&mut self, lanes: &[Lane]) {
        for account in self.accounts.iter_mut().filter(|account| lanes.contains(&account.lane)) {
            account.edited |= !account.pending.is_empty();
        }
    }

    /// What waits for the next text of its choice waits for that of this chunk.
    fn bind(&mut self, chunk: &Chunk, turn: Turn<'_>) {
        for at in 0..self.waiting.len() {
            let Waiting { choice: Some(choice), needs: Needs::Next, .. } = self.waiting[at] else { continue };
            if says(chunk, choice) || finishes(chunk, choice) || turn.ended.iter().any(|lane| lane.choice == choice) {
                self.waiting[at].needs = Needs::Given(self.needs(Some(choice), chunk, turn));
            }
        }
    }

    /// What something of this chunk needs: the text of its choice in it, or, where it has none, all that is pending.
    fn needs(&self, choice: Option<u32>, chunk: &Chunk, turn: Turn<'_>) -> Given {
        let speaks = choice.map_or(!turn.heard.is_empty(), |choice| says(chunk, choice));
        let ours = |account: &&Account| choice.is_none_or(|choice| account.lane.choice == choice);
        let asked = |account: &&Account| match speaks {
            true => turn.heard.contains(&account.lane),
            false => account.edited || !account.pending.is_empty(),
        };
        self.accounts.iter().filter(ours).filter(asked).map(|account| (account.lane, account.came)).collect()
    }

    /// Takes out of a chunk what may repeat its text.
    fn take(&mut self, chunk: &mut Chunk, turn: Turn<'_>) {
        let beside = |delta: &mut Delta| match delta {
            Delta::Logprobs { .. } => true,
            Delta::Other { delta, around, .. } => tell(delta) || tell(around),
            _ => false,
        };
        let taken: Vec<Delta> = chunk.deltas.extract_if(.., beside).collect();
        for delta in taken {
            let (Delta::Logprobs { choice, .. } | Delta::Other { choice, .. }) = delta else { continue };
            // Log probabilities without a text may be those of the next one.
            let early = matches!(delta, Delta::Logprobs { .. }) && !says(chunk, choice) && !finishes(chunk, choice);
            let needs = if early { Needs::Next } else { Needs::Given(self.needs(Some(choice), chunk, turn)) };
            self.waiting.push(Waiting { choice: Some(choice), needs, what: What::Delta(delta) });
        }
        if tell(&chunk.extras) {
            let fields = std::mem::take(&mut chunk.extras);
            for (name, value) in fields.iter().filter(|(name, value)| !tells(name, value.get())) {
                chunk.extras.push(name, value.to_owned());
            }
            let needs = Needs::Given(self.needs(None, chunk, turn));
            self.waiting.push(Waiting { choice: None, needs, what: What::Fields(fields) });
        }
    }

    /// What waits no longer: as it came, or without what may repeat an edited text.
    fn resolve(&mut self) -> Vec<What> {
        for account in self.accounts.iter().filter(|account| account.edited && account.lane.channel == Channel::Assistant) {
            if !self.changed.contains(&account.lane.choice) {
                self.changed.push(account.lane.choice);
            }
        }
        let mut ready = Vec::new();
        for waiting in std::mem::take(&mut self.waiting) {
            match self.state(&waiting.needs) {
                State::Waits => self.waiting.push(waiting),
                State::Given => ready.push(waiting.what),
                State::Edited => ready.extend(waiting.what.stripped()),
            }
        }
        let mut bytes: usize = self.waiting.iter().map(|waiting| waiting.what.bytes()).sum();
        while self.waiting.len() > MOST_WAITING || bytes > MOST_BYTES {
            let oldest = self.waiting.remove(0);
            bytes -= oldest.what.bytes();
            tracing::debug!("more waits beside a held text than may: the oldest of it is dropped");
            ready.extend(oldest.what.stripped());
        }
        ready
    }

    fn state(&self, needs: &Needs) -> State {
        let Needs::Given(texts) = needs else { return State::Waits };
        let mut state = State::Given;
        for (lane, until) in texts {
            match self.accounts.iter().find(|account| account.lane == *lane) {
                Some(account) if account.given >= *until => {}
                Some(account) if !account.edited => state = State::Waits,
                _ => return State::Edited,
            }
        }
        state
    }
}

impl What {
    fn bytes(&self) -> usize {
        let of = |extras: &Extras| extras.iter().map(|(name, value)| name.len() + value.get().len()).sum::<usize>();
        match self {
            Self::Fields(fields) => of(fields),
            Self::Delta(Delta::Logprobs { value, .. }) => value.get().len(),
            Self::Delta(Delta::Other { delta, around, .. }) => of(delta) + of(around),
            Self::Delta(_) => 0,
        }
    }

    /// What of it repeats no text.
    fn stripped(self) -> Option<Self> {
        match self {
            Self::Delta(Delta::Other { choice, mut delta, mut around }) => {
                strip(&mut delta);
                strip(&mut around);
                let empty = delta.is_empty() && around.is_empty();
                (!empty).then_some(Self::Delta(Delta::Other { choice, delta, around }))
            }
            _ => None,
        }
    }
}

/// Whether a chunk has text of a choice.
fn says(chunk: &Chunk, of: u32) -> bool {
    chunk.deltas.iter().any(|delta| match delta {
        Delta::Text { choice, text } | Delta::Reasoning { choice, text } | Delta::Refusal { choice, text } => {
            *choice == of && !text.is_empty()
        }
        Delta::ToolCall { choice, .. } => *choice == of,
        _ => false,
    })
}

fn finishes(chunk: &Chunk, of: u32) -> bool {
    chunk.deltas.iter().any(|delta| matches!(delta, Delta::Finish { choice, .. } if *choice == of))
}

/// Whether a chunk has a field already that this has too.
fn collides(chunk: &Chunk, new: &Delta) -> bool {
    let Delta::Other { choice: of, delta, around } = new else { return false };
    let share = |a: &Extras, b: &Extras| a.iter().any(|(name, _)| b.get(name).is_some());
    chunk.deltas.iter().any(|there| match there {
        Delta::Other { choice, delta: d, around: a } => choice == of && (share(d, delta) || share(a, around)),
        _ => false,
    })
}

#[cfg(test)]
mod tests;
