//! First stage: whose request is this? From the headers alone, before a byte of the body is read.
//!
//! Apart so that nothing of a stranger's body is ever looked at. It must not know models or limits, and never repeats a key.

use std::sync::Arc;
use std::time::Instant;

use gatewright_types::{Fault, FaultKind, Origin};

use crate::config::facts::{KeyFact, Secret};
use crate::dialects::{DialectRef, Sealer};
use crate::host::Host;
use crate::limits::KeyState;
use crate::observe::Outcome;
use crate::records::{Row, micros};

/// What a request's headers say, as far as the stages want to know.
#[derive(Debug, Default)]
pub struct Head {
    /// What the client speaks.
    pub dialect: DialectRef,
    /// Those of its headers that its dialect's upstreams want to see.
    pub kept: Vec<(&'static str, String)>,
    /// Id of the request: the client's own if it is sane, else a new one.
    pub request_id: String,
    /// The text after `Bearer`, or of `x-api-key`.
    pub bearer: Option<Secret>,
    /// Whether the client wants no cache.
    pub no_store: bool,
    /// All headers but credentials, where conditions ask for some; names in small letters.
    pub headers: Vec<(String, String)>,
    /// Id of the conversation, where the client gave one.
    pub conversation: Option<String>,
    /// What the answer's id is made of, where it is not the request's: answers that are kept need one that no client chose.
    pub answer_id: Option<String>,
    /// Bytes that the body is said to have.
    pub content_length: Option<u64>,
}

impl Head {
    /// Id of the answer, where nobody else names it.
    pub(crate) fn answer_id(&self) -> String {
        format!("{}{}", self.dialect.id_prefix(), self.answer_id.as_ref().unwrap_or(&self.request_id))
    }
}

/// Who asks, when, and of which host: the same for the whole life of a request.
#[derive(Debug)]
pub struct Caller {
    pub(crate) host: Arc<Host>,
    pub(crate) key: Option<Arc<KeyFact>>,
    pub(crate) limits: Option<Arc<KeyState>>,
    pub(crate) head: Head,
    pub(crate) started: Instant,
    pub(crate) at_ms: u64,
}

/// Name and tenant of whoever asks while there are no keys.
pub(crate) const ANONYMOUS: &str = "-";

impl Caller {
    /// The key's name; `-` without keys.
    pub(crate) fn name(&self) -> &str {
        self.key.as_ref().map_or(ANONYMOUS, |key| &key.name)
    }

    /// Whose data this is.
    pub(crate) fn tenant(&self) -> &str {
        self.key.as_ref().map_or(ANONYMOUS, |key| &key.tenant)
    }

    /// What an upstream of ours knows of it: whose prompts may share what is computed, and how urgent they are.
    pub(crate) fn origin(&self) -> Origin {
        let priority = self.key.as_ref().map(|key| key.priority);
        Origin { tenant: self.tenant().to_owned(), priority, ..Origin::default() }
    }

    /// Seals reasoning for this caller.
    pub(crate) fn sealer(&self) -> Sealer {
        self.host.shared.seal.of(self.tenant())
    }

    /// The key's team.
    pub(crate) fn team(&self) -> Option<&str> {
        self.key.as_ref().and_then(|key| key.team.as_deref())
    }

    /// What every row says, whatever became of the request: who asked, when, for which model, and how it ended. The rest is
    /// that of a request that reached nothing.
    pub(super) fn row(&self, model: String, outcome: Outcome, status: u16) -> Row {
        Row {
            request_id: self.head.request_id.clone(),
            at_ms: self.at_ms,
            key: self.name().to_owned(),
            tenant: self.tenant().to_owned(),
            team: self.team().map(str::to_owned),
            model,
            outcome: outcome.as_str().to_owned(),
            status,
            total_us: micros(self.started.elapsed()),
            ..Row::default()
        }
    }

    /// Whether this key may use a model of this name. A `*` at the end of an entry matches any rest; no entries allow all.
    pub(crate) fn may_use(&self, model: &str) -> bool {
        let allowed = self.key.as_ref().map_or(&[][..], |key| &key.models);
        let matches = |entry: &String| match entry.strip_suffix('*') {
            Some(start) => model.starts_with(start),
            None => model == entry,
        };
        allowed.is_empty() || allowed.iter().any(matches)
    }
}

/// A request whose sender is known.
#[derive(Debug)]
pub struct Authenticated {
    pub(super) caller: Arc<Caller>,
    // Private, so that only this file can make one.
    _made_here: (),
}

impl Authenticated {
    /// Who asks.
    pub(crate) fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }
}

/// Finds the key of a request. Without any keys in the configuration everybody is the anonymous tenant `-`.
///
/// # Errors
/// [`FaultKind::Unauthenticated`] when the key is missing, unknown or revoked: one message for the last two.
pub fn authenticate(host: Arc<Host>, head: Head) -> Result<Authenticated, Fault> {
    // A stranger leaves no row, so that strangers cannot fill the disk.
    let key = key(&host, &head).inspect_err(|fault| crate::logging::stranger(&head.request_id, fault.status()))?;
    let limits = key.as_ref().and_then(|key| host.limits_of(key));
    let at_ms = host.shared.clock.now_ms();
    let caller = Caller { host, key, limits, head, started: Instant::now(), at_ms };
    Ok(Authenticated { caller: Arc::new(caller), _made_here: () })
}

fn key(host: &Host, head: &Head) -> Result<Option<Arc<KeyFact>>, Fault> {
    if host.keys.is_empty() {
        return Ok(None);
    }
    let Some(text) = &head.bearer else {
        let message = "This gateway wants an API key: send `Authorization: Bearer <key>` or `x-api-key: <key>`.";
        return Err(Fault::caller(FaultKind::Unauthenticated, message));
    };
    host.keys.find(text.reveal()).filter(|key| !key.revoked).map(Some).ok_or_else(|| {
        Fault::caller(FaultKind::Unauthenticated, "The API key is not valid here. Ask the operator of this gateway for one.")
    })
}
