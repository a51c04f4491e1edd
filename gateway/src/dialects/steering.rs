//! Which of the dialects' own fields say how to answer, and which may hold text that a model is shown.
//!
//! Apart because policies inspect the latter and not the former: a name here is a promise. It must not know what a field holds.

use gatewright_types::ChatRequest;

use super::{is_owned, openai_responses};

/// Where a field of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the request itself.
    Request,
    /// On a message.
    Message,
    /// On a part, a call or a tool.
    Within,
}

/// Fields of the dialects' own, on a request itself, that say how to answer and never reach the model. What holds instructions, as
/// `context_management` may, does.
const STEERING: [&str; 22] = [
    "background",
    "cache_control",
    "client_metadata",
    "header.anthropic-beta",
    "header.anthropic-version",
    "include",
    "inference_geo",
    "max_tool_calls",
    "metadata",
    "output_config",
    "previous_response_id",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "recalled",
    "service_tier",
    "store",
    "thinking",
    "tool_choice",
    "truncation",
];
/// The same, on its messages: the last three are notes of our own, which no client can write.
const STEERING_MESSAGES: [&str; 6] = ["cache_control", "type", "inline", "instructions", "signed", "recalled"];
/// The same, on what is within messages, and on tools.
const STEERING_WITHIN: [&str; 2] = ["cache_control", "type"];

/// Whether a field in the extras of a request, or of what is in it, is a dialect's own and never reaches the model as text.
pub(crate) fn steers(place: Place, name: &str) -> bool {
    let names: &[&str] = match place {
        Place::Request => &STEERING,
        Place::Message => &STEERING_MESSAGES,
        Place::Within => &STEERING_WITHIN,
    };
    openai_responses::is_known_note(place, name)
        || name.split_once('.').is_some_and(|(_, field)| is_owned(name) && names.contains(&field))
}

/// Takes off what a dialect has noted of the tool that a client wants called: someone else has the word now.
pub(crate) fn unforced(request: &mut ChatRequest) {
    request.extras.retain(|name, _| !(is_owned(name) && name.ends_with(".tool_choice")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_dialects_own_is_told_by_its_name() {
        assert!(is_owned("anthropic_messages.cache_control") && !is_owned("cache_control") && !is_owned("a.b"));
        let steers_all = |name| [Place::Request, Place::Message, Place::Within].map(|place| steers(place, name));
        assert_eq!(steers_all("anthropic_messages.cache_control"), [true; 3]);
        for none in ["cache_control", "anthropic_messages.container", "openai.metadata", "anthropic_messages.context_management"] {
            assert_eq!(steers_all(none), [false; 3], "{none}");
        }
        assert_eq!(steers_all("anthropic_messages.thinking"), [true, false, false]);
        assert_eq!(steers_all("anthropic_messages.signed"), [false, true, false]);
        assert_eq!(steers_all("openai_responses.phase"), [false, true, false]);
        assert_eq!(steers_all("openai_responses.item_id"), [false, true, true]);
        assert_eq!((steers_all("anthropic_messages.phase"), steers_all("anthropic_messages.item_id")), ([false; 3], [false; 3]));
    }
}
