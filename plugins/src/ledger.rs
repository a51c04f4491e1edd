//! The honest record: which plugin saw which channel in which phase, what it did, and how often.
//!
//! Apart because `seat`, `session` and `flow` all write in it. It must not know what an action means: it counts. One entry for each
//! (plugin, phase, channel, deed), so that it is bounded by the chain's length and not by the stream's.

use std::sync::Arc;

use gatewright_types::{Channel, Phase};

use crate::api::{Entry, Mode};

/// What a plugin did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Pass,
    Edit,
    Hold,
    Block,
    Answer,
    Reask,
    Set,
    Note,
    Error,
}

impl Deed {
    const fn words(self) -> [&'static str; 2] {
        match self {
            Self::Pass => ["pass", "shadow:pass"],
            Self::Edit => ["edit", "shadow:edit"],
            Self::Hold => ["hold", "shadow:hold"],
            Self::Block => ["block", "shadow:block"],
            Self::Answer => ["answer", "shadow:answer"],
            Self::Reask => ["reask", "shadow:reask"],
            Self::Set => ["set", "shadow:set"],
            Self::Note => ["note", "shadow:note"],
            Self::Error => ["error", "shadow:error"],
        }
    }
}

/// Who, when and on what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) plugin: &'a Arc<str>,
    pub(crate) mode: Mode,
    pub(crate) phase: Phase,
    pub(crate) channel: Channel,
}

/// The record of one session.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: Vec<Entry>,
    /// What tells each entry from the others: they are looked for with every deed of every plugin.
    keys: Vec<Key>,
}

/// The address of the plugin's name, which its entry keeps alive; phase, channel and deed.
type Key = (usize, Phase, Channel, Deed);

impl Ledger {
    /// What was recorded.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Counts a deed `count` times. Nothing when `count` is 0.
    pub(crate) fn count(&mut self, place: &Place<'_>, deed: Deed, count: usize) {
        if count > 0 {
            self.entry(place, deed).count += count as u64;
        }
    }

    /// Counts so many characters that were inspected, on the entry of this deed.
    pub(crate) fn inspected(&mut self, place: &Place<'_>, deed: Deed, characters: usize) {
        self.entry(place, deed).characters += characters as u64;
    }

    /// Counts an error and keeps the first reason.
    pub(crate) fn error(&mut self, place: &Place<'_>, why: &str) {
        let entry = self.entry(place, Deed::Error);
        entry.count += 1;
        entry.why.get_or_insert_with(|| why.to_owned());
    }

    fn entry(&mut self, place: &Place<'_>, deed: Deed) -> &mut Entry {
        let key = (Arc::as_ptr(place.plugin).cast::<u8>().addr(), place.phase, place.channel, deed);
        let index = self.keys.iter().position(|known| *known == key).unwrap_or(self.keys.len());
        if index == self.keys.len() {
            self.keys.push(key);
            self.entries.push(Entry {
                plugin: Arc::clone(place.plugin),
                phase: place.phase,
                channel: place.channel,
                characters: 0,
                did: deed.words()[usize::from(place.mode == Mode::Shadow)],
                count: 0,
                why: None,
            });
        }
        &mut self.entries[index]
    }
}
