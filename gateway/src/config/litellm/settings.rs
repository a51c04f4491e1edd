//! LiteLLM's settings: how its router chooses, tries again and falls back.
//!
//! Apart because they are three sections that say the same things in other words. It must not know deployments.

use serde_json::Value;

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
    /// Who is asked where a prompt is too long.
    pub(super) context_fallbacks: Vec<Chain>,
    /// Who is asked where nobody else answers.
    pub(super) fallbacks: Vec<Chain>,
    /// Another name, of whom, and where that stands.
    pub(super) aliases: Vec<(String, String, String)>,
}

/// To whom a name falls back.
pub(super) struct Chain {
    /// Whose it is; of all that have none of their own without a name.
    pub(super) of: Option<String>,
    /// Where that stands.
    pub(super) at: String,
    /// To whom, and where that stands.
    pub(super) to: Vec<(String, String)>,
}

/// A number of seconds as a length of time of ours.
pub(super) fn seconds(value: &Value) -> Option<String> {
    let seconds = value.as_f64().filter(|seconds| *seconds > 0.0 && *seconds < 1e6)?;
    let millis = (seconds * 1000.0).ceil() as u64;
    Some(if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") })
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
            context_fallbacks: Vec::new(),
            fallbacks: Vec::new(),
            aliases: Vec::new(),
        };
        for section in ["litellm_settings", "router_settings", "general_settings"] {
            let document = self.document;
            let value = document.value.get(section).filter(|value| !value.is_null());
            if value.is_some_and(|value| !value.is_object()) {
                self.note(&format!("/{section}"), "settings by their names are expected here");
            }
            let entries = value.and_then(Value::as_object);
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
                    (_, "fallbacks") => self.fallbacks(&at, value, &mut settings.fallbacks),
                    (_, "context_window_fallbacks") => self.fallbacks(&at, value, &mut settings.context_fallbacks),
                    (_, "default_fallbacks") => {
                        let to = self.names(&at, value);
                        settings.fallbacks.push(Chain { of: None, at: at.clone(), to });
                        true
                    }
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

    /// `[{of: [to, ...]}, ...]`; a name alone is of all.
    fn fallbacks(&mut self, at: &str, value: &Value, chains: &mut Vec<Chain>) -> bool {
        let Some(entries) = value.as_array() else { return value.is_null() };
        for (index, entry) in entries.iter().enumerate() {
            let at = format!("{at}/{index}");
            if let Some(name) = entry.as_str() {
                chains.push(Chain { of: None, at: at.clone(), to: vec![(name.to_owned(), at)] });
                continue;
            }
            let Some(entry) = entry.as_object() else {
                self.note(&at, "a name and a list of names are expected here");
                continue;
            };
            for (of, to) in entry {
                let at = format!("{at}/{}", escape(of));
                let to = self.names(&at, to);
                chains.push(Chain { of: (of != "*").then(|| of.clone()), at, to });
            }
        }
        true
    }

    /// A list of names, each with its place.
    fn names(&mut self, at: &str, value: &Value) -> Vec<(String, String)> {
        if !value.is_array() && !value.is_null() {
            self.note(at, "a list of names is expected here");
        }
        let mut names = Vec::new();
        for (index, value) in value.as_array().into_iter().flatten().enumerate() {
            let at = format!("{at}/{index}");
            match value.as_str() {
                Some(name) => names.push((name.to_owned(), at)),
                None => self.note(&at, "a fallback that is not a name is not carried over"),
            }
        }
        names
    }

    fn aliases(&mut self, at: &str, value: &Value, settings: &mut Settings) -> bool {
        let Some(entries) = value.as_object() else { return value.is_null() };
        for (alias, of) in entries {
            let at = format!("{at}/{}", escape(alias));
            if of.get("hidden") == Some(&Value::Bool(true)) {
                self.note(&at, "the name is listed under `/v1/models` all the same");
            }
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
