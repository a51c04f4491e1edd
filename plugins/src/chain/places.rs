//! Which bytes of which page the offsets of an answer mean.
//!
//! It is apart because an answer may have as many offsets as a text has characters: all of a page are found in one walk through it.
//! It must not know what is done at a place.

use super::{Page, Units, contract};
use crate::guest::{Action, GuestError};

/// The places that an answer names.
pub(super) struct Places<'a> {
    pages: &'a [Page<'a>],
    units: Units,
    /// Ids of the pages and where they stand, in the ids' order.
    ids: Vec<(u32, usize)>,
    /// By page, where offsets are not bytes: those that are named and lie in it, in order, and what they mean.
    known: Vec<Vec<(u32, usize)>>,
}

impl<'a> Places<'a> {
    pub(super) fn of(actions: &[Action], pages: &'a [Page<'a>], units: Units) -> Self {
        let mut ids: Vec<(u32, usize)> = pages.iter().enumerate().map(|(index, page)| (page.id, index)).collect();
        ids.sort_unstable();
        let mut places = Self { pages, units, ids, known: Vec::new() };
        if units != Units::Bytes {
            places.known = places.look_up(actions);
        }
        places
    }

    /// Where the page of this id stands.
    pub(super) fn page(&self, id: u32) -> Result<usize, GuestError> {
        let found = self.ids.binary_search_by_key(&id, |(id, _)| *id);
        found.map(|at| self.ids[at].1).map_err(|_| contract(format!("segment {id} was not shown")))
    }

    /// The byte of a page that an offset means, which must not be sent yet.
    pub(super) fn byte(&self, page: usize, offset: u32) -> Result<usize, GuestError> {
        let Page { id, text, sent, .. } = self.pages[page];
        let at = match self.known.get(page) {
            None => usize::try_from(offset).ok().filter(|at| text.is_char_boundary(*at)),
            Some(known) => known.binary_search_by_key(&offset, |(offset, _)| *offset).ok().map(|at| known[at].1),
        };
        let at = at.ok_or_else(|| contract(format!("offset {offset} of segment {id} is outside it or inside a character")))?;
        if at < sent {
            return Err(contract(format!("offset {offset} of segment {id} was already sent")));
        }
        Ok(at)
    }

    fn look_up(&self, actions: &[Action]) -> Vec<Vec<(u32, usize)>> {
        let mut named: Vec<Vec<u32>> = vec![Vec::new(); self.pages.len()];
        for action in actions {
            let (segment, offsets): (u32, &[u32]) = match action {
                Action::Edit { segment, start, end, .. } => (*segment, &[*start, *end]),
                Action::Hold { segment, start } => (*segment, &[*start]),
                _ => continue,
            };
            if let Ok(page) = self.page(segment) {
                named[page].extend_from_slice(offsets);
            }
        }
        self.pages.iter().zip(named).map(|(page, named)| walk(page.text, named, self.units)).collect()
    }
}

/// What offsets mean in a text; those that mean nothing are left out.
fn walk(text: &str, mut offsets: Vec<u32>, units: Units) -> Vec<(u32, usize)> {
    offsets.sort_unstable();
    offsets.dedup();
    let mut known = Vec::with_capacity(offsets.len());
    let (mut at, mut count) = (0, 0);
    for offset in offsets {
        let wanted = usize::try_from(offset).unwrap_or(usize::MAX);
        for character in text[at..].chars() {
            if count >= wanted {
                break;
            }
            at += character.len_utf8();
            count += if units == Units::Utf16 { character.len_utf16() } else { 1 };
        }
        if count == wanted {
            known.push((offset, at));
        }
    }
    known
}
