//! What plugins may reach: hosts, secrets, routes.
//!
//! Apart because a slip here opens the network to strangers' code. It must not fetch or ask anything.

use std::time::Duration;

use super::super::complaint::nearest;
use super::super::facts::{ASK_TOKENS, AskFact, FetchFact, HostFact, ReachFact};
use super::super::raw::{Asks, Fetch, Plugin};
use super::super::yaml::escape;
use super::Resolver;

impl Resolver<'_> {
    pub(super) fn reach(&mut self, at: &str, raw: &Plugin, grants: &[String]) -> ReachFact {
        for (key, given) in [("fetch", raw.fetch.is_some()), ("model", raw.model.is_some())] {
            if given && !grants.iter().any(|grant| grant == key) {
                let hint = Some(format!("add `{key}` to its `grants`"));
                self.complain_key(&format!("{at}/{key}"), format!("`{key}` is not granted to this plugin"), hint);
            }
        }
        ReachFact {
            fetch: raw.fetch.as_ref().map(|raw| self.fetch(&format!("{at}/fetch"), raw)),
            asks: raw.model.as_ref().map(|raw| self.asks(&format!("{at}/model"), raw)),
        }
    }

    fn fetch(&mut self, at: &str, raw: &Fetch) -> FetchFact {
        let mut hosts = self.hosts(&format!("{at}/hosts"), &raw.hosts);
        let private = self.hosts(&format!("{at}/private_hosts"), &raw.private_hosts);
        hosts.extend(private.into_iter().map(|host| HostFact { private: true, ..host }));
        let secrets = raw.secrets.iter().map(|(name, text)| {
            let pointer = format!("{at}/secrets/{}", escape(name));
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
                let hint = Some("use letters, digits, `_` and `-`: a plugin writes `${secret:NAME}`".to_owned());
                self.complain_key(&pointer, "this cannot be a secret's name", hint);
            }
            (name.clone(), self.secret(&pointer, text))
        });
        let secrets = secrets.collect();
        FetchFact {
            hosts,
            secrets,
            max_bytes: self.length(&format!("{at}/max_size"), raw.max_size.as_ref(), 1 << 20),
            timeout: self.span(&format!("{at}/timeout"), raw.timeout.as_ref(), Duration::from_secs(5)),
        }
    }

    fn hosts(&mut self, pointer: &str, entries: &[String]) -> Vec<HostFact> {
        let mut hosts = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            match HostFact::parse(entry) {
                Ok(host) => hosts.push(host),
                Err(wrong) => {
                    let hint = "write it like `api.example.com`, `*.example.org` or `http://127.0.0.1:8080`".to_owned();
                    self.complain(&format!("{pointer}/{index}"), wrong, Some(hint));
                }
            }
        }
        hosts
    }

    fn asks(&mut self, at: &str, raw: &Asks) -> AskFact {
        let names: Vec<String> = [self.written("routes"), self.written("models")].concat();
        let providers = self.written("providers");
        for (index, route) in raw.routes.iter().enumerate() {
            let of_provider = route.split_once('/').is_some_and(|(provider, _)| providers.iter().any(|name| name == provider));
            if !of_provider && (route.contains('*') || !names.contains(route)) && !self.is_route(route) {
                let hint = nearest(route, names.iter().map(String::as_str));
                self.complain(&format!("{at}/routes/{index}"), format!("`{route}` is no route, model or `provider/model`"), hint);
            }
        }
        AskFact { routes: raw.routes.clone(), max_tokens: raw.max_tokens.unwrap_or(ASK_TOKENS) }
    }
}
