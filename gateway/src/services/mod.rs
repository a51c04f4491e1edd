//! What the gateway does for guests outside their sandboxes: it fetches, and asks models. One of these serves one request.
//!
//! Apart because here strangers' code reaches the network: every rule about it is in this folder. It must not know how guests are
//! run, nor which of them is a plugin of which route.

mod asking;
pub(crate) mod fetch;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gatewright_plugins::{Fetch, FetchRequest, FetchResponse, Notes, Reach, ServiceError};

use crate::host::Host;
use crate::life::Caller;
use crate::life::meter::Meter;
use crate::observe::Errand;

/// How far something may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Range {
    /// Wherever the operator lets it.
    Anywhere,
    /// Of that, what stays with the operator.
    Inside,
}

/// The services of one request.
pub(crate) struct Outside {
    host: Arc<Host>,
    meter: Arc<Meter>,
    /// Of the request: what a plugin asks holds words of its tenant's, which no other's question may be told apart by.
    caller: Arc<Caller>,
    /// Tokens that plugins have used or have set aside, by plugin.
    spent: Mutex<BTreeMap<String, u64>>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outside")
    }
}

/// The way outside for the guests of a request; none where no plugin of this configuration may go there.
pub(crate) fn reach(caller: &Arc<Caller>, meter: &Arc<Meter>) -> Reach {
    let host = &caller.host;
    let facts = || host.facts.plugins.values().map(|plugin| &plugin.reach);
    if !facts().any(|reach| reach.fetch.is_some() || reach.asks.is_some()) {
        return Reach::default();
    }
    let (host, meter, caller) = (Arc::clone(host), Arc::clone(meter), Arc::clone(caller));
    let outside = Arc::new(Outside { host, meter, caller, spent: Mutex::default() });
    Reach::default().with_fetch(Arc::clone(&outside) as Arc<dyn Fetch>).with_ask(outside)
}

impl Outside {
    fn count<T>(&self, plugin: &str, errand: Errand, outcome: &Result<T, ServiceError>) {
        let word = match outcome {
            Ok(_) => "ok",
            Err(ServiceError::Denied) => "denied",
            Err(ServiceError::Limit(_)) => "limit",
            Err(ServiceError::Failed(_)) => "failed",
        };
        self.host.shared.metrics.plugin(plugin).errand(errand, word);
    }

    /// How far what a plugin sends out may go: what must not leave does not leave by a plugin either, and what was noted up to now counts.
    /// Where that can be said of nobody, nothing is sent.
    fn range(&self, notes: &Notes) -> Result<Range, ServiceError> {
        let (kept, bounds) = self.meter.read(|figures| (figures.kept_here.is_some(), figures.bounds.clone()));
        let kept = match bounds.filter(|_| !kept) {
            Some(bounds) => bounds.keep(&self.caller, notes).map_err(|fault| {
                let (id, detail) = (&self.caller.head.request_id, fault.detail.as_deref().unwrap_or_default());
                tracing::warn!(request_id = %id, detail, "a plugin's errand was denied: nobody can say whether the request may leave");
                ServiceError::Denied
            })?,
            None => kept,
        };
        Ok(if kept { Range::Inside } else { Range::Anywhere })
    }

    /// Tokens that a plugin has used so far, to be changed.
    fn spent<T>(&self, plugin: &str, change: impl FnOnce(&mut u64) -> T) -> T {
        change(self.spent.lock().unwrap_or_else(PoisonError::into_inner).entry(plugin.to_owned()).or_default())
    }
}

#[async_trait]
impl Fetch for Outside {
    async fn send(&self, plugin: &str, request: FetchRequest, notes: &Notes) -> Result<FetchResponse, ServiceError> {
        let outcome = match (self.host.fetcher(plugin), self.range(notes)) {
            (Some(fetcher), Ok(range)) => fetcher.send(request, range).await,
            (_, Err(why)) => Err(why),
            (None, _) => Err(ServiceError::Denied),
        };
        self.count(plugin, Errand::Fetch, &outcome);
        outcome
    }
}
