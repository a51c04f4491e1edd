//! LiteLLM's settings: how its router chooses, tries again and falls back.
//!
//! Apart because they are three sections that say the same things in other words. It must not know deployments.

use serde_json::{Map, Value};

use super::super::yaml::escape;
use super::Carrier;

/// What its settings come to here.
pub(super) struct Settings {
    /// Our word for how a leg is chosen.
    pub(super) strategy: &'static str,
    /// Tries of a leg, where they say how many.
    pub(super) attempts: Option<u64>,
    /// Time for a whole answer, where they say it.
    pub(super) timeout: Option<String>,
    /// Whether parameters that are not supported are left out.
    pub(super) drop_params: bool,
    /// Of whom, to whom, and where that stands.
    fallbacks: Vec<(Option<String>, String, String)>,
    /// Another name, of whom, and where that stands.
    pub(super) aliases: Vec<(String, String, String)>,
}

impl Settings {
    /// To whom a group falls back, each with its place. What holds for all counts only for groups that say nothing.
    pub(super) fn fallbacks_of<'a>(&'a self, group: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let own = self.fallbacks.iter().any(|(of, ..)| of.as_deref() == Some(group));
        let wanted = move |of: Option<&str>| of == own.then_some(group);
        let found = self.fallbacks.iter().filter(move |(of, to, _)| wanted(of.as_deref()) && to != group);
        found.map(|(_, to, pointer)| (pointer.as_str(), to.as_str()))
    }
}

/// A number of seconds as a length of time of ours.
pub(super) fn seconds(value: &Value) -> Option<String> {
    let seconds = value.as_f64().filter(|seconds| *seconds > 0.0 && *seconds < 1e6)?;
    Some(format!("{}ms", (seconds * 1000.0).ceil() as u64))
}

/// The most tries of a leg that our configuration takes.
const MOST_ATTEMPTS: u64 = 10;

impl Carrier<'_> {
    pub(super) fn settings(&mut self) -> Settings {
        let mut settings = Settings {
            strategy: "weighted",
            attempts: None,
            timeout: None,
            drop_params: false,
            fallbacks: Vec::new(),
            aliases: Vec::new(),
        };
        for section in ["litellm_settings", "router_settings", "general_settings"] {
            let document = self.document;
            let entries = document.value.get(section).and_then(Value::as_object);
            for (key, value) in entries.into_iter().flatten() {
                let at = format!("/{section}/{}", escape(key));
                let taken = match (section, key.as_str()) {
                    ("general_settings", "master_key") => true,
                    ("general_settings", _) => false,
                    ("router_settings", "routing_strategy") => self.strategy(&at, value, &mut settings),
                    ("router_settings", "model_group_alias") => self.aliases(&at, value, &mut settings),
                    ("router_settings", "timeout") | ("litellm_settings", "request_timeout") => {
                        settings.timeout = seconds(value);
                        settings.timeout.is_some()
                    }
                    ("litellm_settings", "drop_params") => {
                        settings.drop_params = value == true;
                        true
                    }
                    (_, "num_retries") => {
                        settings.attempts = self.attempts(&at, value);
                        settings.attempts.is_some()
                    }
                    (_, "fallbacks") => self.fallbacks(&at, value, &mut settings),
                    (_, "default_fallbacks") => self.default_fallbacks(&at, value, &mut settings),
                    _ => false,
                };
                if !taken {
                    self.note(&at, "this setting is not carried over");
                }
            }
        }
        settings
    }

    fn strategy(&mut self, at: &str, value: &Value, settings: &mut Settings) -> bool {
        settings.strategy = match value.as_str() {
            Some("simple-shuffle") => "weighted",
            Some("least-busy") => "least_busy",
            Some("latency-based-routing") => "least_latency",
            Some("cost-based-routing") => "least_cost",
            Some("usage-based-routing" | "usage-based-routing-v2") => {
                self.note(at, "routed by requests in flight (`least_busy`), not by tokens a minute");
                "least_busy"
            }
            _ => return false,
        };
        true
    }

    /// Tries of a leg: one more than retries.
    pub(super) fn attempts(&mut self, at: &str, value: &Value) -> Option<u64> {
        let attempts = value.as_u64()?.saturating_add(1);
        if attempts > MOST_ATTEMPTS {
            self.note(at, format!("more than {} retries are not made", MOST_ATTEMPTS - 1));
        }
        Some(attempts.min(MOST_ATTEMPTS))
    }

    /// `[{of: [to, ...]}, ...]`.
    fn fallbacks(&mut self, at: &str, value: &Value, settings: &mut Settings) -> bool {
        let Some(entries) = value.as_array() else { return value.is_null() };
        for (index, entry) in entries.iter().enumerate() {
            let at = format!("{at}/{index}");
            let Some(entry) = entry.as_object() else {
                self.note(&at, "a name and a list of names are expected here");
                continue;
            };
            for (of, to) in entry {
                let of = (of != "*").then(|| of.clone());
                self.names(&at, to, |name| settings.fallbacks.push((of.clone(), name, at.clone())));
            }
        }
        true
    }

    fn default_fallbacks(&mut self, at: &str, value: &Value, settings: &mut Settings) -> bool {
        self.names(at, value, |name| settings.fallbacks.push((None, name, at.to_owned())));
        true
    }

    fn names(&mut self, at: &str, value: &Value, mut take: impl FnMut(String)) {
        for value in value.as_array().into_iter().flatten() {
            match value.as_str() {
                Some(name) => take(name.to_owned()),
                None => self.note(at, "a fallback that is not a name is not carried over"),
            }
        }
    }

    fn aliases(&mut self, at: &str, value: &Value, settings: &mut Settings) -> bool {
        for (alias, of) in value.as_object().into_iter().flat_map(Map::iter) {
            let at = format!("{at}/{}", escape(alias));
            // `{model: name, hidden: true}` stands for the name too.
            let of = of.as_str().or_else(|| of.get("model").and_then(Value::as_str));
            match of {
                Some(of) => settings.aliases.push((alias.clone(), of.to_owned(), at)),
                None => self.note(&at, "an alias that is not a name is not carried over"),
            }
        }
        true
    }
}
