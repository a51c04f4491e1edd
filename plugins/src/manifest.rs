//! `plugin.yaml`: what a plugin says of itself: what it wants to see, how it is bounded, which powers it asks for.
//!
//! Apart because its author is not the operator. It must not know the operator's config (`host` joins the two), nor any sandbox.

use std::collections::BTreeSet;
use std::time::Duration;

use gatewright_types::{Channel, Phase};
use serde_json::Value;

use crate::api::OnError;
use crate::chain::Units;
use crate::grants;
use crate::guest::{Grant, Limits};
use crate::stream::Bounds;
use crate::yaml::{self, Complaint, Node};

/// Which sandbox runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Luau,
    Wasm,
}

/// Which channels it sees, by phase: a bit for each channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscription([u16; Phase::ALL.len()]);

impl Subscription {
    /// Whether it sees this.
    pub(crate) const fn hears(&self, phase: Phase, channel: Channel) -> bool {
        self.0[phase as usize] & (1 << channel as u16) != 0
    }

    /// Whether it sees anything in this phase.
    pub(crate) const fn hears_phase(&self, phase: Phase) -> bool {
        self.0[phase as usize] != 0
    }

    fn add(&mut self, phase: Phase, channel: Channel) {
        self.0[phase as usize] |= 1 << channel as u16;
    }
}

/// A manifest, checked.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) description: String,
    /// File name within the folder.
    pub(crate) entry: String,
    pub(crate) kind: Kind,
    pub(crate) subscription: Subscription,
    pub(crate) bounds: Bounds,
    pub(crate) units: Units,
    pub(crate) grants: BTreeSet<Grant>,
    pub(crate) limits: Limits,
    pub(crate) on_error: OnError,
    /// JSON Schema of its settings.
    pub(crate) settings: Option<Value>,
}

const KEYS: [&str; 12] = [
    "name",
    "version",
    "description",
    "entry",
    "subscribe",
    "window",
    "hold",
    "offsets",
    "grants",
    "limits",
    "on_error",
    "settings",
];

/// Largest window, in characters.
const LARGEST_WINDOW: u64 = 4096;
/// Most characters that may be held.
const LARGEST_HOLD: u64 = 1 << 20;
/// Longest hold, in milliseconds.
const LONGEST_HOLD: u64 = 300_000;

/// What is released when a manifest names no window: characters.
pub(crate) const BOUNDS: Bounds = Bounds { window: 64, hold: 16 << 10, hold_for: Duration::from_secs(30) };

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub(crate) fn parse(text: &str) -> Result<Self, Complaint> {
        yaml::read(text, "manifest", |root| {
            let mut manifest = Self::empty();
            for (key, node) in root.entries(&KEYS)? {
                manifest.take(key, &node)?;
            }
            for (key, value) in [("name", &manifest.name), ("version", &manifest.version), ("entry", &manifest.entry)] {
                if value.is_empty() {
                    return Err(root.complain(format!("`{key}` is missing")));
                }
            }
            Ok(manifest)
        })
    }

    fn empty() -> Self {
        Self {
            name: String::new(),
            version: String::new(),
            description: String::new(),
            entry: String::new(),
            kind: Kind::Luau,
            subscription: Subscription::default(),
            bounds: BOUNDS,
            units: Units::default(),
            grants: BTreeSet::new(),
            limits: Limits::default(),
            on_error: OnError::default(),
            settings: None,
        }
    }

    fn take(&mut self, key: &str, node: &Node<'_>) -> Result<(), Complaint> {
        match key {
            "name" => self.name = plugin_name(node)?,
            "version" => self.version = node.text()?.to_owned(),
            "description" => self.description = node.text()?.to_owned(),
            "entry" => (self.entry, self.kind) = entry(node)?,
            "subscribe" => node.items().iter().try_for_each(|item| self.subscribe(item))?,
            "window" => self.bounds.window = within(node, 1, LARGEST_WINDOW)?,
            "hold" => self.hold(node)?,
            "offsets" => {
                self.units = node.word(&[("bytes", Units::Bytes), ("utf-16", Units::Utf16), ("code-points", Units::CodePoints)])?;
            }
            "grants" => {
                for item in node.items() {
                    self.grants.insert(grants::parse(item.text()?).map_err(|message| item.complain(message))?);
                }
            }
            "limits" => self.lower(node)?,
            "on_error" => self.on_error = node.word(&[("closed", OnError::Closed), ("open", OnError::Open)])?,
            _ => self.settings = Some(node.json()?),
        }
        Ok(())
    }

    fn subscribe(&mut self, node: &Node<'_>) -> Result<(), Complaint> {
        let (mut phases, mut channels) = (Vec::new(), Vec::new());
        for (key, value) in node.entries(&["phases", "channels"])? {
            match key {
                "phases" => phases = words(&value, &Phase::ALL.map(|phase| (phase.as_str(), phase)))?,
                _ => channels = words(&value, &Channel::ALL.map(|channel| (channel.as_str(), channel)))?,
            }
        }
        if phases.is_empty() || channels.is_empty() {
            return Err(node.complain("both `phases` and `channels`, or `all` for either"));
        }
        for phase in phases {
            channels.iter().for_each(|channel| self.subscription.add(phase, *channel));
        }
        Ok(())
    }

    fn hold(&mut self, node: &Node<'_>) -> Result<(), Complaint> {
        for (key, value) in node.entries(&["characters", "milliseconds"])? {
            match key {
                "characters" => self.bounds.hold = within(&value, 0, LARGEST_HOLD)?,
                _ => self.bounds.hold_for = Duration::from_millis(within(&value, 0, LONGEST_HOLD)? as u64),
            }
        }
        Ok(())
    }

    /// A manifest may only lower its limits.
    fn lower(&mut self, node: &Node<'_>) -> Result<(), Complaint> {
        for (key, value) in node.entries(&grants::LIMITS)? {
            let number = value.number(1)?;
            let default = grants::limit(&Limits::default(), key).unwrap_or(0);
            if number > default {
                return Err(value.complain(format!("a manifest may only lower a limit; the default is {default}")));
            }
            grants::set_limit(&mut self.limits, key, number).map_err(|message| value.complain(message))?;
        }
        Ok(())
    }
}

/// Whether a plugin may be named so: `[a-z0-9-]`, 1 to 40 characters, for it becomes part of tool names.
pub fn is_plugin_name(name: &str) -> bool {
    (1..=40).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn plugin_name(node: &Node<'_>) -> Result<String, Complaint> {
    let name = node.text()?;
    is_plugin_name(name).then(|| name.to_owned()).ok_or_else(|| node.complain("1 to 40 of a-z, 0-9 and -"))
}

fn entry(node: &Node<'_>) -> Result<(String, Kind), Complaint> {
    let name = node.text()?;
    if name.contains(['/', '\\']) || name.starts_with('.') {
        return Err(node.complain("a file in the plugin's own folder"));
    }
    let kind = match name.rsplit_once('.') {
        Some((_, "luau")) => Kind::Luau,
        Some((_, "wasm")) => Kind::Wasm,
        _ => return Err(node.complain("a file that ends in .luau or .wasm")),
    };
    Ok((name.to_owned(), kind))
}

fn within(node: &Node<'_>, least: u64, most: u64) -> Result<usize, Complaint> {
    let number = node.number(least)?;
    usize::try_from(number).ok().filter(|_| number <= most).ok_or_else(|| node.complain(format!("{least} to {most}")))
}

fn words<T: Copy>(node: &Node<'_>, known: &[(&str, T)]) -> Result<Vec<T>, Complaint> {
    let mut found = Vec::new();
    for item in node.items() {
        let word = item.text()?;
        if word == "all" {
            return Ok(known.iter().map(|(_, value)| *value).collect());
        }
        let value = known.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
        let names = || known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        found.push(value.ok_or_else(|| item.complain(format!("`{word}` is none of: all, {}", names())))?);
    }
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    const SMALL: &str = "name: a\nversion: 0.1.0\nentry: plugin.luau\n";

    fn complaint(more: &str) -> String {
        Manifest::parse(&format!("{SMALL}{more}")).unwrap_err().to_string()
    }

    #[test]
    fn a_full_manifest_is_read() {
        let more = "subscribe:\n  - phases: [request, chunk]\n    channels: all\n  - {phases: tool-call, channels: [tool-args]}\nwindow: 9\n\
            hold: {characters: 5, milliseconds: 7}\noffsets: utf-16\ngrants: [log]\non_error: open\nlimits: {cpu_us: 500}\n\
            settings: {type: object, properties: {a: {type: integer, default: 1.5}}}\n";
        let manifest = Manifest::parse(&format!("{SMALL}{more}")).unwrap();
        assert!(manifest.subscription.hears(Phase::Chunk, Channel::Other));
        assert!(manifest.subscription.hears(Phase::ToolCall, Channel::ToolArgs));
        assert!(!manifest.subscription.hears(Phase::ToolCall, Channel::User));
        assert!(!manifest.subscription.hears_phase(Phase::Response));
        assert_eq!(manifest.bounds, Bounds { window: 9, hold: 5, hold_for: Duration::from_millis(7) });
        assert_eq!(manifest.limits.cpu, Duration::from_micros(500));
        assert_eq!(manifest.settings.unwrap()["properties"]["a"]["default"], 1.5);
    }

    #[test]
    fn complaints_name_the_line() {
        assert!(complaint("windows: 3\n").starts_with("line 4: manifest: unknown key `windows`; known: name"));
        assert!(complaint("window: 0\n").starts_with("line 4: window: at least 1"));
        assert!(complaint("\nlimits:\n  wall_ms: 5000\n").starts_with("line 6: wall_ms: a manifest may only lower"));
        assert!(complaint("grants: [root]\n").contains("line 4"));
        assert!(complaint("subscribe: {phases: [chunk], channels: [smell]}\n").contains("`smell` is none of"));
        assert!(complaint("x: [\n").contains("line"));
        assert!(Manifest::parse("name: a\n").unwrap_err().to_string().contains("`version` is missing"));
        assert!(Manifest::parse("name: a\nname: b\n").is_err());
        assert!(Manifest::parse("name: a\nentry: ../x.luau\n").unwrap_err().to_string().contains("line 2"));
    }
}
