//! What a ready-made policy says of itself, as far as the gateway's defaults need it: whether it inspects, which powers it asks for.
//!
//! Apart because the plugin host reads manifests for good, and this only chooses defaults. It must not judge a manifest.

use serde_json::{Value, json};

use super::yaml;
use crate::packed;

/// Powers that a ready-made policy is given without being named: they reach nothing outside the sandbox.
const HARMLESS: [&str; 2] = ["log", "settings"];

/// The parts of a manifest that defaults need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    /// Whether it looks at texts; pure tool plugins do not, and have no place in a chain that nobody asked for.
    pub(super) inspects: bool,
    /// Of the powers it asks for, those that are harmless.
    pub(super) grants: Vec<String>,
    /// Settings that it cannot do without.
    pub(super) required: Vec<String>,
}

impl Manifest {
    /// The manifest of a packed policy; nothing where it cannot be read, which the plugin host will tell.
    pub(super) fn of(policy: &str) -> Self {
        let files = packed::policy(policy).unwrap_or_default();
        let text = files.iter().find(|(name, _)| *name == "plugin.yaml").map(|(_, bytes)| String::from_utf8_lossy(bytes));
        text.and_then(|text| yaml::read(&text).ok()).map(|document| Self::read(&document.value)).unwrap_or_default()
    }

    fn read(manifest: &Value) -> Self {
        let texts = |value: Option<&Value>| {
            let items = value.and_then(Value::as_array).into_iter().flatten();
            items.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
        };
        let mut grants = texts(manifest.get("grants"));
        grants.retain(|grant| HARMLESS.contains(&grant.as_str()));
        Self {
            inspects: manifest.get("subscribe").is_some_and(|subscribe| !subscribe.is_null()),
            grants,
            required: texts(manifest.pointer("/settings/required")),
        }
    }
}

/// Settings with which a ready-made policy shows what it does to who has configured nothing.
pub(super) fn demonstration(policy: &str) -> Value {
    match policy {
        "topic-deny" => json!({ "terms": ["project bluebird"] }),
        _ => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_far_as_needed() {
        let text = "name: x\nsubscribe: {phases: all}\ngrants: [settings, fetch]\nsettings: {required: [terms]}\n";
        let manifest = Manifest::read(&yaml::read(text).unwrap().value);
        assert!(manifest.inspects);
        assert_eq!((manifest.grants, manifest.required), (vec!["settings".to_owned()], vec!["terms".to_owned()]));
        assert_eq!(Manifest::read(&yaml::read("name: calculator\n").unwrap().value), Manifest::default());
    }

    #[test]
    fn each_packed_policy_that_inspects_has_what_it_needs_without_a_configuration() {
        for (name, _) in packed::policies() {
            let manifest = Manifest::of(name);
            let settings = demonstration(name);
            for needed in manifest.required.iter().filter(|_| manifest.inspects) {
                assert!(settings.get(needed).is_some(), "{name} needs `{needed}`: give it in `demonstration`");
            }
        }
    }
}
