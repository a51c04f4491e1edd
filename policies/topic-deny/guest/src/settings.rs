//! What the operator set: terms, message, code, channels. Parsed once per instance.
//!
//! It is apart because it is the only place that reads JSON. It must not know how a term is looked for.

use gatewright_plugin::{Action, Channel, HostError, Json, Load, Phase, settings};

use crate::names::{channel, phase};
use crate::terms::Terms;

/// What is inspected where the operator names no channels.
const CHANNELS: [Channel; 9] = [
    Channel::System,
    Channel::User,
    Channel::Assistant,
    Channel::Reasoning,
    Channel::Refusal,
    Channel::ToolDefinition,
    Channel::ToolArgs,
    Channel::ToolOutput,
    Channel::Other,
];
/// What the caller reads where the operator gave no words.
const MESSAGE: &str = "This topic is not available here.";

/// The settings, ready for use.
pub struct Rules {
    /// What is denied.
    pub terms: Terms,
    /// As the operator wrote them: a denial takes its words from here.
    said: Json,
    /// A bit for each channel and phase that is inspected.
    channels: u16,
    phases: u16,
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
        let channels = named(&value, "channels", |name| channel(name).map(bit_of_channel))?;
        let channels = channels.unwrap_or_else(|| CHANNELS.into_iter().fold(0, |bits, it| bits | bit_of_channel(it)));
        let phases = named(&value, "phases", |name| phase(name).map(bit_of_phase))?.unwrap_or(u16::MAX);
        let terms = Terms::new(&listed)?;
        Ok(Self { terms, said: value, channels, phases })
    }

    /// Whether segments of this channel are inspected.
    pub fn covers(&self, channel: Channel) -> bool {
        self.channels & bit_of_channel(channel) != 0
    }

    /// Whether events of this phase are inspected.
    pub fn covers_phase(&self, phase: Phase) -> bool {
        self.phases & bit_of_phase(phase) != 0
    }

    /// The refusal, and a note for the operator that says which term it was.
    pub fn denial(&self, term: usize) -> Vec<Action> {
        let named = self.said.get("terms").and_then(Json::as_list).and_then(|terms| terms.get(term)).and_then(Json::as_str);
        let message = self.said.get("message").and_then(Json::as_str).unwrap_or(MESSAGE);
        vec![Action::note("topic-deny.term", named.unwrap_or_default()), Action::block("topic_denied", message)]
    }
}

fn bit_of_channel(channel: Channel) -> u16 {
    1 << channel as u16
}

fn bit_of_phase(phase: Phase) -> u16 {
    1 << phase as u16
}

fn strings<'a>(value: &'a Json, key: &str) -> Result<Option<Vec<&'a str>>, String> {
    let Some(list) = value.get(key) else { return Ok(None) };
    let wrong = || format!("settings: {key} must be a list of strings");
    let list = list.as_list().ok_or_else(wrong)?;
    list.iter().map(|it| it.as_str().ok_or_else(wrong)).collect::<Result<_, _>>().map(Some)
}

/// All the bits of what a list names.
fn named(value: &Json, key: &str, find: impl Fn(&str) -> Option<u16>) -> Result<Option<u16>, String> {
    let Some(names) = strings(value, key)? else { return Ok(None) };
    let mut found = names.into_iter().map(|name| find(name).ok_or_else(|| format!("settings: {key} has no {name}")));
    found.try_fold(0, |bits, bit| bit.map(|bit| bits | bit)).map(Some)
}
