//! What the operator set: terms, message, code, channels. Parsed once per instance.
//!
//! It is apart because it is the only place that reads JSON. It must not know how a term is looked for.

use gatewright_plugin::{Action, Channel, HostError, Json, Load, Phase, settings};

use crate::names::{channel, phase};
use crate::terms::Terms;

/// What is inspected where the operator names no channels.
const CHANNELS: [Channel; 5] = [Channel::User, Channel::Assistant, Channel::Reasoning, Channel::ToolArgs, Channel::ToolOutput];
/// What the caller reads where the operator gave no words.
const MESSAGE: &str = "This topic is not available here.";

/// The settings, ready for use.
pub struct Rules {
    /// What is denied.
    pub terms: Terms,
    message: String,
    channels: Vec<Channel>,
    /// All, where it is `None`.
    phases: Option<Vec<Phase>>,
}

impl Load for Rules {
    fn load() -> Result<Self, String> {
        match settings::get() {
            Ok(json) => Self::parse(&json),
            Err(HostError::Denied) => Err("it needs the grant `settings`".to_owned()),
            Err(HostError::Limit(why) | HostError::Failed(why)) => Err(why),
        }
    }
}

impl Rules {
    /// Reads the settings.
    ///
    /// # Errors
    /// What is wrong, for the operator.
    pub fn parse(json: &str) -> Result<Self, String> {
        let value = Json::parse(json).map_err(|error| format!("settings: {error}"))?;
        let listed = strings(&value, "terms")?.unwrap_or_default();
        let channels = named(&value, "channels", channel)?.unwrap_or_else(|| CHANNELS.to_vec());
        let phases = named(&value, "phases", phase)?;
        let message = value.get("message").and_then(Json::as_str).unwrap_or(MESSAGE).to_owned();
        Ok(Self { terms: Terms::new(&listed)?, message, channels, phases })
    }

    /// Whether segments of this channel are inspected.
    pub fn covers(&self, channel: Channel) -> bool {
        self.channels.contains(&channel)
    }

    /// Whether events of this phase are inspected.
    pub fn covers_phase(&self, phase: Phase) -> bool {
        self.phases.as_ref().is_none_or(|phases| phases.contains(&phase))
    }

    /// The refusal, and a note for the operator that says which term it was.
    pub fn denial(&self, term: usize) -> Vec<Action> {
        vec![Action::note("topic-deny.term", self.terms.name(term)), Action::block("topic_denied", self.message.clone())]
    }
}

fn strings<'a>(value: &'a Json, key: &str) -> Result<Option<Vec<&'a str>>, String> {
    let Some(list) = value.get(key) else { return Ok(None) };
    let wrong = || format!("settings: {key} must be a list of strings");
    let list = list.as_list().ok_or_else(wrong)?;
    list.iter().map(|it| it.as_str().ok_or_else(wrong)).collect::<Result<_, _>>().map(Some)
}

fn named<T>(value: &Json, key: &str, find: impl Fn(&str) -> Option<T>) -> Result<Option<Vec<T>>, String> {
    let Some(names) = strings(value, key)? else { return Ok(None) };
    let found = names.into_iter().map(|name| find(name).ok_or_else(|| format!("settings: {key} has no {name}")));
    found.collect::<Result<_, _>>().map(Some)
}
