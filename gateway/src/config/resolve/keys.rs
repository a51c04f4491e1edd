//! Clients' keys: digests, and the names that a key may use.
//!
//! Apart because it is about who may ask. It must not know how a key is presented.

use std::collections::{BTreeSet, HashMap};

use super::super::complaint::nearest;
use super::super::facts::KeyFact;
use super::super::keys::{PREFIX, digest, from_hex, hex};
use super::super::raw::{Key, Root};
use super::super::yaml::escape;
use super::Resolver;

/// Different lists of plugins that keys may name: each is linked with every route.
const MOST_CHAINS: usize = 64;

impl Resolver<'_> {
    pub(super) fn keys(&mut self, root: &Root) -> Vec<KeyFact> {
        let mut seen: HashMap<[u8; 32], &str> = HashMap::new();
        let mut keys = Vec::new();
        let mut chains: BTreeSet<&[String]> = BTreeSet::new();
        for (name, raw) in &root.keys {
            let at = format!("/keys/{}", escape(name));
            self.allowed_models(&at, raw);
            let plugins = self.chain(&format!("{at}/plugins"), &raw.plugins);
            if chains.insert(&raw.plugins) && chains.len() == MOST_CHAINS + 1 {
                let message = format!("the keys have more than {MOST_CHAINS} different lists of plugins");
                self.complain(&format!("{at}/plugins"), message, Some("each makes a chain of its own with every route".to_owned()));
            }
            let Some(sha256) = self.sha256(&format!("{at}/sha256"), &raw.sha256) else { continue };
            if let Some(other) = seen.insert(sha256, name) {
                self.complain(&format!("{at}/sha256"), format!("key `{other}` has the same digest"), None);
            }
            keys.push(KeyFact {
                name: name.clone(),
                sha256,
                tenant: raw.tenant.clone().unwrap_or_else(|| name.clone()),
                team: raw.team.clone(),
                models: raw.models.clone(),
                plugins,
                revoked: raw.revoked,
                priority: self.word(&format!("{at}/priority"), raw.priority.as_deref()),
                requests_per_minute: raw.requests_per_minute,
                tokens_per_minute: raw.tokens_per_minute,
                in_flight: raw.in_flight,
            });
        }
        keys
    }

    fn sha256(&mut self, pointer: &str, text: &str) -> Option<[u8; 32]> {
        let found = from_hex(text);
        if found.is_none() {
            let hint = match text.starts_with(PREFIX) {
                true => format!("this is the key itself; write its SHA-256: {}", hex(&digest(text))),
                false => "`gatewright key new` makes a key and prints this line".to_owned(),
            };
            self.complain(pointer, "this is not a SHA-256 of 64 hexadecimal digits", Some(hint));
        }
        found
    }

    /// Names without `*` must be names that can be asked for: a typing mistake there would lock the key out silently.
    fn allowed_models(&mut self, at: &str, raw: &Key) {
        let names: Vec<String> = [self.written("routes"), self.written("models"), self.written_adapters()].concat();
        let providers = self.written("providers");
        for (index, model) in raw.models.iter().enumerate() {
            let pointer = format!("{at}/models/{index}");
            let stem = model.strip_suffix('*').unwrap_or(model);
            let of_provider = model.split_once('/').is_some_and(|(provider, _)| providers.iter().any(|name| name == provider));
            if stem.contains('*') {
                self.complain(&pointer, "`*` counts only at the end", None);
            } else if stem.len() == model.len() && !of_provider && !names.contains(model) && !self.is_route(model) {
                let hint = nearest(model, names.iter().map(String::as_str));
                self.complain(&pointer, format!("`{model}` is no route, model or `provider/model`"), hint);
            }
        }
    }
}
