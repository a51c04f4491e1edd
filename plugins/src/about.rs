//! What a plugin is, for who decides whether to let it in: version, digest, what it sees, how it is bounded, what it asks for, its
//! tools.
//!
//! Apart because deciding is not running. It must not know who decides, or where that is written down.

use std::collections::{BTreeMap, BTreeSet};

use gatewright_types::{Channel, Phase};

use crate::api::DeclaredTool;
use crate::grants::{self, LIMITS};
use crate::guest::Grant;
use crate::host::Plugin;

/// What a plugin is.
#[derive(Clone, Debug)]
pub struct About {
    /// Name in the config.
    pub name: String,
    /// Version, as its manifest says.
    pub version: String,
    /// Description, as its manifest says.
    pub description: String,
    /// BLAKE3 of manifest and entry file, hexadecimal.
    pub digest: String,
    /// Channels that it sees, by phase.
    pub sees: Vec<(Phase, Vec<Channel>)>,
    /// Limits, by the manifest's names.
    pub limits: BTreeMap<&'static str, u64>,
    /// Powers that its manifest asks for, sorted.
    pub asked: Vec<&'static str>,
    /// Of these, those that it was given.
    pub granted: Vec<&'static str>,
    /// Its tools.
    pub tools: Vec<DeclaredTool>,
}

impl About {
    pub(crate) fn of(plugin: &Plugin, (asked, granted): (&BTreeSet<Grant>, &BTreeSet<Grant>)) -> Self {
        let names = |grants: &BTreeSet<Grant>| {
            let mut names: Vec<_> = grants.iter().map(|grant| grants::name(*grant)).collect();
            names.sort_unstable();
            names
        };
        let heard = |phase: Phase| Channel::ALL.into_iter().filter(move |channel| plugin.subscription.hears(phase, *channel));
        let sees = Phase::ALL.into_iter().map(|phase| (phase, heard(phase).collect::<Vec<_>>()));
        Self {
            name: plugin.name.to_string(),
            version: plugin.version().to_owned(),
            description: plugin.description().to_owned(),
            digest: plugin.digest().to_owned(),
            sees: sees.filter(|(_, channels)| !channels.is_empty()).collect(),
            limits: LIMITS.iter().filter_map(|name| Some((*name, grants::limit(&plugin.limits, name)?))).collect(),
            asked: names(asked),
            granted: names(granted),
            tools: plugin.tools.iter().map(|tool| tool.declared.clone()).collect(),
        }
    }
}
