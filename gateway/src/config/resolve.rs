//! What a file says -> facts: names linked, secrets loaded, units read, defaults filled in. All mistakes are told, not the first.
//!
//! Apart from `raw` because this is about meaning, and from `schema` because that is about shape. It must not know YAML.

mod care;
mod catalog;
mod keys;
mod patterns;
mod plugins;
mod providers;
mod reach;
mod routes;
mod rules;
mod supply;
mod texts;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gatewright_types::DeviceChoice;
use serde_json::Value;

use super::complaint::Complaint;
use super::facts::{CacheFact, ConversationFacts, Facts, LimitFacts};
use super::raw::{Compat, Format, Root, Size, Span};
use super::units;
use super::yaml::{Document, readable};
use super::zero::loopback;
use crate::environment::Environment;
use crate::upstreams::catalog::Catalog;

/// What a file is read against.
pub(crate) struct Surroundings<'a> {
    /// The document, for places and for the order of keys.
    pub(crate) document: &'a Document,
    /// The process's environment.
    pub(crate) environment: &'a Environment,
    /// The file's folder: relative paths start there.
    pub(crate) folder: &'a Path,
}

/// Makes facts of a file, and tells all mistakes, in no order: with any, the facts are only good for looking for more.
pub(crate) fn resolve(root: &Root, around: Surroundings<'_>) -> (Facts, Vec<Complaint>) {
    let mut resolver = Resolver { around, complaints: Vec::new(), catalog: Catalog::default() };
    let facts = resolver.facts(root);
    (facts, resolver.complaints)
}

/// Walks the file and gathers complaints; where something is wrong, a stand-in goes on so that the rest is looked at too.
struct Resolver<'a> {
    around: Surroundings<'a>,
    complaints: Vec<Complaint>,
    /// Providers that are known by name.
    catalog: Catalog,
}

impl Resolver<'_> {
    fn facts(&mut self, root: &Root) -> Facts {
        let catalog = self.read_catalog(root);
        let providers = self.providers(root);
        let models = self.models(root);
        let plugins = self.plugins(root);
        Facts {
            listen: self.address("/listen", root.listen.as_deref(), 4000),
            admin_listen: self.admin_address(root),
            data: root.data.as_deref().map_or_else(|| self.around.environment.data_folder(), |text| self.path("/data", text)),
            allowed_hosts: self.allowed_hosts(root),
            device: self.device(root),
            routes: self.routes(root, &providers, &models),
            global_plugins: self.chain("/global_plugins", &root.global_plugins),
            default_plugins: self.default_plugins(root),
            rules: self.rules("", &root.rules, (&providers, &models)),
            breaker: self.breaker(root),
            retries: self.retries(root),
            keys: self.keys(root),
            reference: self.reference(root, &providers),
            providers,
            models,
            plugins,
            supply: self.supply(root),
            cache: self.cache(root),
            conversations: self.conversations(root),
            limits: self.limits(root),
            verdict_headers: root.verdict_headers,
            catalog,
            litellm_headers: root.compat == Some(Compat::Litellm),
            notes: Vec::new(),
            log_prompts: root.logging.prompts,
            log_json: root.logging.format == Format::Json,
        }
    }

    /// Raises a complaint about the value at a pointer.
    fn complain(&mut self, pointer: &str, message: impl Into<String>, hint: Option<String>) {
        let mark = self.around.document.mark(pointer);
        self.complaints.push(Complaint { mark, path: readable(pointer), message: message.into(), hint });
    }

    /// Raises a complaint about the key at a pointer.
    fn complain_key(&mut self, pointer: &str, message: impl Into<String>, hint: Option<String>) {
        let mark = self.around.document.key_mark(pointer);
        self.complaints.push(Complaint { mark, path: readable(pointer), message: message.into(), hint });
    }

    /// Names that the file has in a section, also those whose entries are wrong: nobody is told that they are missing.
    fn written(&self, section: &str) -> Vec<String> {
        let section = self.around.document.value.get(section).and_then(Value::as_object);
        section.map(|entries| entries.keys().cloned().collect()).unwrap_or_default()
    }

    /// Names of the adapters of all models.
    fn written_adapters(&self) -> Vec<String> {
        let models = self.around.document.value.get("models").and_then(Value::as_object);
        let adapters = models.into_iter().flat_map(|models| models.values()).filter_map(|model| model.get("adapters")?.as_object());
        adapters.flat_map(|adapters| adapters.keys().cloned()).collect()
    }

    fn address(&mut self, pointer: &str, text: Option<&str>, port: u16) -> SocketAddr {
        let Some(text) = text else { return loopback(port) };
        parse_address(text).unwrap_or_else(|message| {
            self.complain(pointer, message, Some("write it like `127.0.0.1:4000` or `[::]:4000`".to_owned()));
            loopback(port)
        })
    }

    fn admin_address(&mut self, root: &Root) -> SocketAddr {
        let admin = self.address("/admin_listen", root.admin_listen.as_deref(), 4001);
        let client = root.listen.as_deref().and_then(|text| parse_address(text).ok()).unwrap_or_else(|| loopback(4000));
        if admin == client && admin.port() != 0 {
            let pointer = if root.admin_listen.is_some() { "/admin_listen" } else { "/listen" };
            self.complain(pointer, format!("clients and admin cannot both be served at {admin}"), None);
        }
        admin
    }

    fn allowed_hosts(&mut self, root: &Root) -> Vec<String> {
        for (index, host) in root.allowed_hosts.iter().enumerate() {
            if host.is_empty() || host.contains(['/', ':', ' ', '*']) {
                let hint = "give the name alone, without scheme and port: `gateway.example.com`".to_owned();
                self.complain(&format!("/allowed_hosts/{index}"), format!("`{host}` is not a host's name"), Some(hint));
            }
        }
        root.allowed_hosts.iter().map(|host| host.to_ascii_lowercase()).collect()
    }

    fn device(&mut self, root: &Root) -> DeviceChoice {
        root.device.as_deref().map_or(DeviceChoice::Auto, |text| {
            text.parse().unwrap_or_else(|message: String| {
                self.complain("/device", message, None);
                DeviceChoice::Auto
            })
        })
    }

    fn cache(&mut self, root: &Root) -> CacheFact {
        let default = CacheFact::default();
        let max_bytes = self.size("/cache/max_size", root.cache.max_size.as_ref(), default.max_bytes);
        let max_entry_bytes =
            self.size("/cache/max_entry", root.cache.max_entry.as_ref(), default.max_entry_bytes.min(max_bytes / 8));
        if max_bytes < CacheFact::LEAST_BYTES {
            self.complain("/cache/max_size", "less than 16MiB has no room for answers beside the log that holds them", None);
        }
        if max_entry_bytes > max_bytes / 8 {
            self.complain("/cache/max_entry", "an entry cannot be larger than an eighth of the cache (`cache.max_size`)", None);
        }
        CacheFact { max_bytes, max_entry_bytes, across_tenants: root.cache.across_tenants }
    }

    fn conversations(&mut self, root: &Root) -> ConversationFacts {
        let (raw, default) = (&root.conversations, ConversationFacts::default());
        ConversationFacts {
            keep: raw.keep.unwrap_or(default.keep),
            time: self.span("/conversations/time", raw.time.as_ref(), default.time),
            max_bytes: self.size("/conversations/max_size", raw.max_size.as_ref(), default.max_bytes),
        }
    }

    fn limits(&mut self, root: &Root) -> LimitFacts {
        let (raw, default) = (&root.limits, LimitFacts::default());
        let body_bytes = self.length("/limits/body", raw.body.as_ref(), default.body_bytes);
        let bodies_bytes = self.length("/limits/bodies", raw.bodies.as_ref(), default.bodies_bytes.max(body_bytes));
        if bodies_bytes < body_bytes {
            self.complain("/limits/bodies", "less than one body may have (`limits.body`)", None);
        }
        LimitFacts {
            body_bytes,
            bodies_bytes,
            connections: raw.connections.unwrap_or(default.connections),
            in_flight: raw.in_flight.unwrap_or(default.in_flight),
            header_time: self.span("/limits/header_time", raw.header_time.as_ref(), default.header_time),
            body_time: self.span("/limits/body_time", raw.body_time.as_ref(), default.body_time),
            write_time: self.span("/limits/write_time", raw.write_time.as_ref(), default.write_time),
            keep_alive: self.span("/limits/keep_alive", raw.keep_alive.as_ref(), default.keep_alive),
            held_bytes: self.length("/limits/held", raw.held.as_ref(), default.held_bytes),
            answer_bytes: self.length("/limits/answer", raw.answer.as_ref(), default.answer_bytes),
            drain_time: self.span("/limits/drain_time", raw.drain_time.as_ref(), default.drain_time),
            plugin_slots: raw.plugin_slots.unwrap_or(default.plugin_slots),
            record_queue: raw.record_queue.unwrap_or(default.record_queue),
        }
    }

    fn span(&mut self, pointer: &str, text: Option<&Span>, default: Duration) -> Duration {
        let Some(Span(text)) = text else { return default };
        units::span(text).unwrap_or_else(|(message, hint)| {
            self.complain(pointer, message, Some(hint.to_owned()));
            default
        })
    }

    fn size(&mut self, pointer: &str, text: Option<&Size>, default: u64) -> u64 {
        let Some(Size(text)) = text else { return default };
        units::size(text).unwrap_or_else(|(message, hint)| {
            self.complain(pointer, message, Some(hint.to_owned()));
            default
        })
    }

    /// A size that must fit in memory's address range.
    fn length(&mut self, pointer: &str, text: Option<&Size>, default: usize) -> usize {
        let bytes = self.size(pointer, text, u64::try_from(default).unwrap_or(u64::MAX));
        usize::try_from(bytes).unwrap_or(default)
    }

    /// A path of the file, `${VARIABLE}` filled in, relative to the file's folder.
    fn path(&mut self, pointer: &str, text: &str) -> PathBuf {
        let text = self.text(pointer, text);
        self.around.folder.join(text)
    }
}

/// An address and port; `localhost` is 127.0.0.1. Also what `--listen` takes.
///
/// # Errors
/// What is wrong.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    text.parse().map_err(|_| format!("`{text}` is not an address with a port"))
}
