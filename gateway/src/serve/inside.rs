//! A gateway without ports, for a command that asks it itself: the same host, router, plugins and records as those that clients meet.
//!
//! Apart because nothing is drained or reloaded here. It must not know what is asked.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Router;

use super::reload::Configuration;
use super::{Clients, data, open};
use crate::host::{HostCell, Shared};
use crate::http::client_router;

/// A host that is set up.
pub(crate) struct Inside {
    cell: Arc<HostCell>,
    shared: Arc<Shared>,
}

impl Inside {
    /// Opens stores, models and plugins. Whoever may read the configuration needs no key for it.
    ///
    /// # Errors
    /// Every reason why it cannot serve, each for people.
    pub(crate) async fn open(configuration: &Configuration) -> Result<Self, Vec<String>> {
        let one = |problem| vec![problem];
        let mut facts = configuration.facts()?;
        facts.keys.clear();
        facts.listen.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        data::prepare(&facts.data).map_err(one)?;
        let token = data::admin_token(&facts.data).map_err(one)?;
        let clients = Clients::new(&configuration.environment.proxies());
        let lots = blake3::derive_key("gatewright lots of a roll-out", &token.sha256);
        let opened = tokio::task::spawn_blocking(move || open(facts, clients, lots)).await;
        let (host, _) = opened.map_err(|error| one(error.to_string()))??;
        let shared = Arc::clone(&host.shared);
        Ok(Self { cell: Arc::new(HostCell::from_pointee(host)), shared })
    }

    /// What a client would be served by.
    pub(crate) fn router(&self) -> Router {
        client_router(Arc::clone(&self.cell))
    }

    /// Names of the routes, less those that are patterns.
    pub(crate) fn routes(&self) -> Vec<String> {
        self.cell.load().facts.routes.keys().filter(|name| !name.contains('*')).cloned().collect()
    }

    /// Flushes what must not be lost.
    pub(crate) async fn close(self) {
        let shared = self.shared;
        // Nothing is left to be told if this goes wrong: the conversation is over.
        let _ = tokio::task::spawn_blocking(move || {
            shared.cache.close();
            shared.records.close()
        })
        .await;
    }
}
