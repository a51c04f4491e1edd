//! Plugins and the chains that name them.
//!
//! Apart because a plugin is a place or a ready-made policy, and a chain only names. It must not load one: what a manifest says
//! is the plugin host's to check.

use std::collections::BTreeMap;

use gatewright_plugins::{Mode, OnError, Operator, is_plugin_name};
use serde_json::Value;

use super::super::complaint::nearest;
use super::super::facts::PluginFact;
use super::super::policy::Manifest;
use super::super::raw::{self, Plugin, Root};
use super::super::yaml::escape;
use super::Resolver;
use crate::packed;
use crate::supply::PluginSource;
use crate::supply::registry::Place;

impl Resolver<'_> {
    pub(super) fn plugins(&mut self, root: &Root) -> BTreeMap<String, PluginFact> {
        root.plugins.iter().map(|(name, raw)| (name.clone(), self.plugin(name, raw))).collect()
    }

    fn plugin(&mut self, name: &str, raw: &Plugin) -> PluginFact {
        let at = format!("/plugins/{}", escape(name));
        if !is_plugin_name(name) {
            let hint = "use 1 to 40 of a-z, 0-9 and `-`: its tools are named `plugin__tool`".to_owned();
            self.complain_key(&at, "this cannot be a plugin's name", Some(hint));
        }
        let (source, written) = self.source(&at, name, raw);
        let mut operator = operator(name, raw);
        if let (PluginSource::Packed(policy), None) = (&source, &raw.grants) {
            operator.grants = Manifest::of(policy).grants;
        }
        let signed_by = raw.signed_by.as_ref().map(|keys| self.public_keys(&format!("{at}/signed_by"), keys));
        let reach = self.reach(&at, raw, &operator.grants);
        PluginFact { name: name.to_owned(), source, written, signed_by, operator, reach }
    }

    /// Where a plugin comes from, and the same as it is written.
    fn source(&mut self, at: &str, name: &str, raw: &Plugin) -> (PluginSource, String) {
        let named = [("folder", &raw.folder), ("file", &raw.file), ("oci", &raw.oci), ("policy", &raw.policy)];
        let mut named = named.into_iter().filter_map(|(key, text)| Some((key, text.as_deref()?)));
        let first = named.next();
        if let (Some((first, _)), Some((second, _))) = (first, named.next()) {
            self.complain(&format!("{at}/{second}"), format!("give `{first}` or `{second}`, not both"), None);
        }
        let (key, text) = first.unwrap_or(("policy", name));
        let pointer = format!("{at}/{key}");
        let source = match key {
            "folder" => {
                let folder = self.path(&pointer, text);
                if !folder.join("plugin.yaml").is_file() {
                    self.complain(&pointer, format!("{} has no plugin.yaml", folder.display()), None);
                }
                PluginSource::Folder(folder)
            }
            "file" => {
                let file = self.path(&pointer, text);
                if !file.is_file() {
                    let hint = "`gatewright plugin pack FOLDER` makes one".to_owned();
                    self.complain(&pointer, format!("{} is no file", file.display()), Some(hint));
                }
                PluginSource::File(file)
            }
            "oci" => match Place::read(text) {
                Ok(place) => PluginSource::Oci(place),
                Err(message) => {
                    self.complain(&pointer, message, None);
                    PluginSource::Packed(name.to_owned())
                }
            },
            _ => {
                if packed::policy(text).is_none() {
                    self.no_policy(at, text, raw);
                }
                PluginSource::Packed(text.to_owned())
            }
        };
        (source, text.to_owned())
    }

    fn no_policy(&mut self, at: &str, policy: &str, raw: &Plugin) {
        let message = format!("no ready-made policy is named `{policy}`");
        let hint = nearest(policy, packed::policies().iter().map(|(name, _)| *name));
        match raw.policy {
            Some(_) => self.complain(&format!("{at}/policy"), message, hint),
            None => {
                let folder = "give its `folder`, `file` or `oci`";
                self.complain_key(at, message, Some(hint.map_or_else(|| folder.to_owned(), |hint| format!("{hint}, or {folder}"))));
            }
        }
    }

    /// The chain of routes that name none: as the file says, else all plugins in the order in which they are written.
    pub(super) fn default_plugins(&mut self, root: &Root) -> Vec<String> {
        if let Some(chain) = &root.default_plugins {
            return self.chain("/default_plugins", chain);
        }
        self.written("plugins")
    }

    /// A list of plugins' names: each known, none twice.
    pub(super) fn chain(&mut self, pointer: &str, chain: &[String]) -> Vec<String> {
        let known = self.written("plugins");
        for (index, name) in chain.iter().enumerate() {
            let at = format!("{pointer}/{index}");
            if !known.contains(name) {
                let hint = match packed::policy(name) {
                    Some(_) => Some(format!("it is ready-made: add `{name}: {{}}` under `plugins`")),
                    None => nearest(name, known.iter().map(String::as_str)),
                };
                self.complain(&at, format!("no plugin is named `{name}`"), hint);
            } else if chain[..index].contains(name) {
                self.complain(&at, format!("`{name}` is in this chain already"), None);
            }
        }
        chain.to_vec()
    }
}

fn operator(name: &str, raw: &Plugin) -> Operator {
    Operator {
        name: Some(name.to_owned()),
        mode: match raw.mode {
            raw::Mode::Enforce => Mode::Enforce,
            raw::Mode::Shadow => Mode::Shadow,
            raw::Mode::Off => Mode::Off,
        },
        on_error: raw.on_error.map(|on_error| match on_error {
            raw::OnError::Closed => OnError::Closed,
            raw::OnError::Open => OnError::Open,
        }),
        settings: Value::Object(raw.settings.clone()),
        grants: raw.grants.clone().unwrap_or_default(),
        limits: raw.limits.clone(),
        percent: raw.percent,
    }
}
