//! What plugins from outside are held to: keys, registries, and the lock beside the file.
//!
//! Apart because it is about others' plugins, whichever they are. It must not load one, or ask a registry.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use super::super::raw::{KeyText, Root};
use super::super::yaml::escape;
use super::{Complaint, Resolver};
use crate::supply::SupplyFacts;
use crate::supply::lock::Lock;
use crate::supply::registry::{Login, Place, Registries};
use crate::supply::signature::PublicKey;

const MAX_KEY: u64 = 16 << 10;

impl Resolver<'_> {
    pub(super) fn supply(&mut self, root: &Root) -> SupplyFacts {
        let lock = Lock::read(self.around.folder).unwrap_or_else(|message| {
            self.complaints.push(Complaint::of_file(message));
            None
        });
        let logins = self.logins(root);
        SupplyFacts {
            lock,
            keys: self.public_keys("/plugin_keys", &root.plugin_keys),
            registries: Registries { logins, proxies: self.around.environment.proxies() },
        }
    }

    fn logins(&mut self, root: &Root) -> BTreeMap<String, Login> {
        let mut logins = BTreeMap::new();
        for (host, raw) in &root.registries {
            let at = format!("/registries/{}", escape(host));
            if Place::read(&format!("oci://{host}/x")).is_err() {
                let hint = "give the host alone, with its port where it has one: `registry.example.com`".to_owned();
                self.complain_key(&at, format!("`{host}` is not a registry's host"), Some(hint));
            }
            if raw.username.is_empty() {
                self.complain(&format!("{at}/username"), "the name is empty", None);
            }
            let password = self.secret(&format!("{at}/password"), &raw.password);
            logins.insert(host.clone(), Login { username: raw.username.clone(), password });
        }
        logins
    }

    /// Public keys; those that are none are told.
    pub(super) fn public_keys(&mut self, pointer: &str, keys: &[KeyText]) -> Vec<PublicKey> {
        let mut read = Vec::new();
        for (index, KeyText(text)) in keys.iter().enumerate() {
            let at = format!("{pointer}/{index}");
            let found = match text.strip_prefix("file:") {
                Some(path) => self.key_file(&at, path).and_then(|pem| PublicKey::read(&pem, Some(text))),
                None => PublicKey::read(text, None),
            };
            match found {
                Ok(key) => read.push(key),
                Err(message) => self.complain(&at, message, None),
            }
        }
        read
    }

    fn key_file(&mut self, pointer: &str, path: &str) -> Result<String, String> {
        let path = self.path(pointer, path);
        let mut text = String::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_KEY).read_to_string(&mut text));
        read.map(|_| text).map_err(|error| format!("cannot read {}: {error}", path.display()))
    }
}
