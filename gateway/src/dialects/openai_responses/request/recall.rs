//! What a request recalls: the answer that it follows, and items of kept answers that it only names.
//!
//! Apart because it is found out before the request is read, for what was kept must be fetched first. It must not know where answers are
//! kept. An item's id holds that of its answer, so that none needs a list of its own.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::{get, text};
use crate::dialects::openai_responses::{PREFIX, PREVIOUS, ids, page};
use crate::dialects::{Asked, Recalled, wire};

/// Answers that one request may recall.
const MOST: usize = 32;
/// Whether a body may recall anything is seen by these words in it.
const WORDS: [&[u8]; 2] = [b"previous_response_id", b"\"id\""];
/// The longest that a name of an item is, bytes: longer items are themselves there.
const LONGEST_NAME: usize = 512;

/// Ids of the answers that a body recalls. What is wrong with it is said when it is read.
pub(in super::super) fn recalls(body: &[u8]) -> Vec<String> {
    let mut ids = Vec::new();
    if !WORDS.iter().any(|word| memchr::memmem::find(body, word).is_some()) {
        return ids;
    }
    let Ok(fields) = serde_json::from_slice::<wire::Fields<'_>>(body) else { return ids };
    ids.extend(text(&fields, PREVIOUS).ok().flatten());
    let items = get(&fields, "input").and_then(|raw| wire::items(raw).ok()).unwrap_or_default();
    for item in items.into_iter().filter(|raw| raw.get().len() <= LONGEST_NAME) {
        let named = wire::object(item).ok().filter(|fields| is_reference(fields));
        let id = named.and_then(|fields| text(&fields, "id").ok().flatten());
        if let Some(id) = id.as_deref().and_then(answer_of).filter(|id| !ids.contains(id) && ids.len() < MOST) {
            ids.push(id);
        }
    }
    ids
}

/// Whether an item is only a name of one. Its type may be left out, as that of a message may, which has a role.
pub(super) fn is_reference(fields: &wire::Fields<'_>) -> bool {
    match get(fields, "type") {
        Some(kind) => kind.get() == "\"item_reference\"",
        None => get(fields, "id").is_some() && ["role", "content"].iter().all(|name| get(fields, name).is_none()),
    }
}

/// The answer whose item has this id.
fn answer_of(item: &str) -> Option<String> {
    let ours = |item| Some(str::rsplit_once(str::split_once(item, '_')?.1, '_')?.0);
    let core = ids::core(item).or_else(|| ours(item))?;
    Some(format!("{PREFIX}{core}"))
}

/// What a request recalls while it is read: each answer is parsed once, and what is taken from all of them is bounded, for each name of an
/// item in a body may stand for far more than it takes there.
pub(super) struct Recall<'a> {
    asked: &'a Asked<'a>,
    answers: HashMap<&'a str, Items<'a>>,
    /// Bytes that were taken.
    taken: usize,
}

/// The items of an answer that was kept.
#[derive(Default)]
struct Items<'a> {
    /// Whether it is not over yet.
    open: bool,
    /// The conversation before it.
    before: Vec<&'a RawValue>,
    /// All of it that can be gone on from.
    output: Vec<&'a RawValue>,
    /// Those of the output, by id.
    by_id: HashMap<String, &'a RawValue>,
}

impl<'a> Recall<'a> {
    pub(super) fn new(asked: &'a Asked<'a>) -> Self {
        Self { asked, answers: HashMap::new(), taken: 0 }
    }

    /// All items of an answer that is over with their ids, the conversation before it first.
    pub(super) fn all(&mut self, answer: &str) -> Option<Vec<(String, &'a RawValue)>> {
        let kept = self.kept(answer).filter(|kept| !kept.open)?;
        let items: Vec<_> = kept.before.iter().chain(&kept.output).copied().enumerate().collect();
        self.taken += items.iter().map(|(_, item)| item.get().len()).sum::<usize>();
        let core = answer.strip_prefix(PREFIX).unwrap_or(answer);
        Some(items.into_iter().map(|item| (page::id(item, core), item.1)).collect())
    }

    /// The item of this id.
    pub(super) fn item(&mut self, id: &str) -> Option<(String, &'a RawValue)> {
        let kept = self.kept(&answer_of(id)?)?;
        let found = match page::number(id) {
            Some(number) => kept.before.get(number),
            None => kept.by_id.get(id),
        };
        let found = *found?;
        self.taken += found.get().len();
        Some((id.to_owned(), found))
    }

    /// The bound that what was recalled is over, if it is.
    pub(super) fn over(&self) -> Option<usize> {
        self.asked.most_recalled.filter(|most| self.taken > *most)
    }

    fn kept(&mut self, answer: &str) -> Option<&Items<'a>> {
        let kept = self.asked.recalled.iter().find(|kept| kept.id == answer)?;
        Some(self.answers.entry(&kept.id).or_insert_with(|| Items::of(kept)))
    }
}

impl<'a> Items<'a> {
    fn of(kept: &'a Recalled) -> Self {
        let body: Option<wire::Fields<'a>> = serde_json::from_str(&kept.body).ok();
        let status = body.as_ref().and_then(|fields| text(fields, "status").ok().flatten());
        let open = matches!(status.as_deref(), Some("queued" | "in_progress"));
        let mut output = body.and_then(|fields| wire::items(get(&fields, "output")?).ok()).unwrap_or_default();
        let mut by_id = HashMap::new();
        output.retain(|item| {
            let Ok(fields) = wire::object(item) else { return true };
            let said = |name: &str| text(&fields, name).ok().flatten();
            // A call that broke off was never made: nobody can say what came of it.
            let whole = said("call_id").is_none() || said("status").as_deref() != Some("incomplete");
            if let Some(id) = said("id").filter(|_| whole) {
                by_id.entry(id).or_insert(*item);
            }
            whole
        });
        Self { open, before: serde_json::from_str(&kept.conversation).unwrap_or_default(), output, by_id }
    }
}
