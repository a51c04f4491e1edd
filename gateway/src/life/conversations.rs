//! Answers that were kept for a tenant: what a request goes on from, and what a client asks for by id.
//!
//! Apart because it alone waits for the records, on a thread that may block: before a request is read, and never while it is answered. It
//! must not know what is in an answer.

use std::sync::Arc;

use bytes::Bytes;
use gatewright_types::{Fault, FaultKind};

use super::admit;
use super::authenticate::{Authenticated, Caller};
use super::background::closed;
use super::refused::Refused;
use crate::dialects::{DialectRef, Recalled, Stage};
use crate::records::Conversation;

/// Bodies as large as any may be that one request may have looked at, of which it names a part.
const LOOKED_AT: usize = 8;

/// Those of these answers that are kept for whoever asks, each as it is now.
///
/// # Errors
/// [`FaultKind::Internal`] when the records cannot be read.
pub(super) async fn recall(caller: &Caller, ids: Vec<String>) -> Result<Vec<Recalled>, Fault> {
    let host = Arc::clone(&caller.host);
    if ids.is_empty() || !host.facts.conversations.keep {
        return Ok(Vec::new());
    }
    let (tenant, now, dialect) = (caller.tenant().to_owned(), host.shared.clock.now_ms(), caller.head.dialect);
    // What a request names is bounded in bytes when it is read; this is what is looked at for it.
    let most = host.facts.limits.body_bytes.saturating_mul(LOOKED_AT);
    let read = move || {
        let mut looked = 0_usize;
        let found = ids.into_iter().map(|id| {
            // Before it is read: one that is over by then is kept as it ended.
            let is_made = host.shared.background.find(&tenant, &id).is_some();
            let kept = host.shared.records.recall((&tenant, &id), now)?.filter(|kept| {
                looked = looked.saturating_add(kept.body.len() + kept.before.len());
                looked <= most
            });
            Ok(kept.map(|kept| {
                let body = if is_made { Arc::clone(&kept.body) } else { left(&kept.body, dialect) };
                Recalled { id, body, conversation: Arc::clone(&kept.before) }
            }))
        });
        found.filter_map(Result::transpose).collect::<Result<Vec<_>, crate::records::RecordsError>>()
    };
    let unreadable = |why: &dyn std::fmt::Display| Fault::gateway(FaultKind::Internal, "What was kept cannot be read.").detail(why);
    tokio::task::spawn_blocking(read).await.map_err(|error| unreadable(&error))?.map_err(|error| unreadable(&error))
}

/// An answer that nobody makes: one that is kept as if it were still made has failed.
fn left(body: &Arc<str>, dialect: DialectRef) -> Arc<str> {
    match dialect.later().filter(|later| later.is_open(body)) {
        Some(later) => String::from_utf8_lossy(&later.restated(body, Stage::Failed(&closed()))).into(),
        None => Arc::clone(body),
    }
}

/// Counts whoever asks for an answer that was kept: that is one of its key's requests.
///
/// # Errors
/// A limit of the key.
pub(crate) fn count(authenticated: &Authenticated) -> Result<(), Refused> {
    admit::count(&authenticated.caller)
}

/// An answer that is kept for whoever asks.
///
/// # Errors
/// [`FaultKind::NotFound`] when there is none, or it is another tenant's.
pub(crate) async fn kept(caller: &Caller, id: &str) -> Result<Recalled, Refused> {
    let found = recall(caller, vec![id.to_owned()]).await.map_err(|fault| caller.turn_away("", fault))?;
    let missing = || {
        let id = &id[..id.floor_char_boundary(128)];
        let why = if caller.host.facts.conversations.keep { "" } else { ": this gateway keeps none" };
        Refused::from(Fault::caller(FaultKind::NotFound, format!("Response with id '{id}' not found{why}.")))
    };
    found.into_iter().next().ok_or_else(missing)
}

/// The same once more, or of what this gateway makes for whoever asked: it counts for nothing.
///
/// # Errors
/// [`FaultKind::Internal`] when the records cannot be read.
pub(crate) async fn look_up(caller: &Caller, id: &str) -> Result<Option<Recalled>, Fault> {
    Ok(recall(caller, vec![id.to_owned()]).await?.into_iter().next())
}

/// Keeps an answer for whoever asked, with the conversation before it: never waits. Whether there was room.
pub(crate) fn keep(caller: &Caller, body: &Bytes, before: Arc<str>) -> bool {
    let facts = caller.host.facts.conversations;
    let Ok(body) = std::str::from_utf8(body) else { return false };
    let time = u64::try_from(facts.time.as_millis()).unwrap_or(u64::MAX);
    let (tenant, at_ms, until_ms) = (caller.tenant().to_owned(), caller.at_ms, caller.at_ms.saturating_add(time));
    let answer = Conversation { tenant, id: caller.head.answer_id(), at_ms, until_ms, body: body.into(), before };
    let kept = caller.host.shared.records.keep(answer, facts.max_bytes);
    if !kept {
        tracing::warn!(request_id = %caller.head.request_id, "the records do not keep up: an answer was not kept");
    }
    kept
}

/// Forgets an answer of whoever asks.
///
/// # Errors
/// [`FaultKind::Overloaded`] when the disk does not keep up.
pub(crate) fn forget(caller: &Caller, id: &str) -> Result<(), Fault> {
    let added = caller.host.shared.records.forget((caller.tenant(), id));
    added.then_some(()).ok_or_else(|| admit::full("records that wait to be written"))
}
