//! Turns conversations into padded batches, cut into parts that threads work on at the same time.
//! Apart, so that a step's data depend only on seed and step: a resumed run sees the same. It must not know the model.

use crate::Failure;
use crate::demo_data::dialogue::{self, Dialogue};
use crate::demo_data::rng::Rng;
use crate::tokenizer;
use tokenizers::Tokenizer;

/// Padded rows and the places that are learnt from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part {
    /// Ids, row after row.
    pub(crate) tokens: Vec<i64>,
    /// How many rows.
    pub(crate) rows: usize,
    /// The length of a row.
    pub(crate) length: usize,
    /// `row * length + position` of each place whose next token is learnt.
    pub(crate) places: Vec<i64>,
    /// The next token at each place.
    pub(crate) targets: Vec<i64>,
    /// How much each place counts.
    pub(crate) weights: Vec<f32>,
    /// The row of each place.
    pub(crate) owners: Vec<usize>,
}

/// One encoded conversation.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    ids: Vec<u32>,
    start: usize,
    declined: bool,
}

/// Longer prompts are left out of training.
const LONGEST: usize = 640;
/// Of the sentence that declines, most conversations teach only the beginning: the rest is easy.
const DECLINED_TOKENS: usize = 8;

/// Encodes a conversation.
pub(crate) fn encode(tokenizer: &Tokenizer, made: &Dialogue) -> Result<Encoded, Failure> {
    let mut ids = tokenizer::encode(tokenizer, &made.prompt)?;
    let start = ids.len();
    ids.extend(tokenizer::encode(tokenizer, &made.completion)?);
    Ok(Encoded { ids, start, declined: made.declined })
}

/// The parts of a training step, of similar length within a part.
pub(crate) fn step(tokenizer: &Tokenizer, order: &Order) -> Result<Vec<Part>, Failure> {
    let mut rng = Rng::new(order.seed, order.step as u64);
    let mut list = Vec::with_capacity(order.rows);
    while list.len() < order.rows {
        let mut one = encode(tokenizer, &dialogue::sample(&mut rng))?;
        if one.declined && !rng.chance(25) {
            one.ids.truncate(one.start + DECLINED_TOKENS);
        }
        if one.ids.len() <= LONGEST {
            list.push(one);
        }
    }
    list.sort_by_key(|one| std::cmp::Reverse(one.ids.len()));
    let total: usize = list.iter().map(|one| one.ids.len()).sum();
    let target = total / order.parts;
    let (mut parts, mut open) = (Vec::new(), Vec::new());
    for one in list {
        let longest = open.first().map_or(one.ids.len(), |first: &Encoded| first.ids.len());
        if !open.is_empty() && longest * (open.len() + 1) > target {
            parts.push(pad(&open));
            open.clear();
        }
        open.push(one);
    }
    parts.push(pad(&open));
    Ok(parts)
}

/// What a step is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// The seed of the run.
    pub(crate) seed: u64,
    /// The number of the step.
    pub(crate) step: usize,
    /// How many conversations.
    pub(crate) rows: usize,
    /// About how many parts to cut them into.
    pub(crate) parts: usize,
}

/// Pads conversations to the longest of them.
pub(crate) fn pad(list: &[Encoded]) -> Part {
    let length = list.iter().map(|one| one.ids.len()).max().unwrap_or(1) - 1;
    let mut part = Part { rows: list.len(), length, ..Part::default() };
    for (row, one) in list.iter().enumerate() {
        let inputs = &one.ids[..one.ids.len() - 1];
        part.tokens.extend(inputs.iter().map(|&id| i64::from(id)));
        part.tokens.resize((row + 1) * length, 0);
        for at in one.start - 1..inputs.len() {
            part.places.push((row * length + at) as i64);
            part.targets.push(i64::from(one.ids[at + 1]));
            part.owners.push(row);
            // The first token decides whether the question is answered or declined.
            part.weights.push(if at + 1 == one.start { 2.0 } else { 1.0 });
        }
    }
    part
}
