//! Which conversation a request belongs to, and how its leg is found again: by the client's own name of it, or by what unmodified clients
//! send.
//!
//! Apart because it is the one place where requests are taken for parts of one conversation. It must not know how legs are ordered, nor
//! is what it finds more than a habit: anybody may name any conversation of its tenant's.

use std::sync::Arc;

use gatewright_types::ChatRequest;

use super::authenticate::Caller;
use crate::dialects::{Thread, thread};
use crate::host::Route;
use crate::upstreams::affinity::{Affinities, Key, key};
use crate::upstreams::pick::Strategy;

/// How a request finds the leg of its conversation.
#[derive(Debug, Default)]
pub(super) struct Stay {
    /// What lots are drawn by, where it is a matter of shares: so the leg is the same in each process, and nothing need be remembered.
    pub(super) lot: Option<String>,
    /// Under which its leg is found.
    find: Vec<Key>,
    /// Under which it is remembered.
    keep: Vec<Key>,
}

impl Stay {
    /// Of a request, where its route keeps conversations together. Where legs are asked in an order that is the same for all, there is
    /// nothing to keep.
    pub(super) fn of(caller: &Caller, route: &Route, request: &ChatRequest) -> Self {
        let weighted = route.strategy == Strategy::Weighted;
        if !route.sticky || matches!(route.strategy, Strategy::Ordered | Strategy::LeastCost) {
            return Self::default();
        }
        let key = |id: &str| key(caller.tenant(), &route.name, id);
        // The next request of the conversation may know no more of it than the id of this answer.
        let answer = caller.head.dialect.keeps().then(|| key(&caller.head.answer_id()));
        let (id, constant) = match caller.head.conversation.as_deref().map_or_else(|| thread(request), Thread::Named) {
            Thread::Named(id) => (Some(id), true),
            Thread::Follows(id) => (Some(id), false),
            Thread::Unknown => (None, true),
        };
        let by_lot = weighted && constant;
        let own = id.filter(|_| !by_lot).map(key);
        Self {
            lot: id.filter(|_| by_lot).map(str::to_owned),
            find: answer.into_iter().chain(own).collect(),
            keep: answer.into_iter().chain(own.filter(|_| constant)).collect(),
        }
    }

    /// The leg that answered the conversation last.
    pub(super) fn leg(&self, known: &Affinities) -> Option<Arc<str>> {
        self.find.iter().find_map(|key| known.find(key))
    }

    /// This leg answers it now.
    pub(super) fn answers(&self, known: &Affinities, leg: &str) {
        self.keep.iter().for_each(|key| known.keep(*key, leg));
    }
}
