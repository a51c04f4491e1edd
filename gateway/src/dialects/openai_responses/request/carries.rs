//! What becomes of a request in this dialect's words: how much the model is told to think, and what is left out.
//!
//! Apart from writing because it tells what that does not do. It must not know which upstream is asked.

use gatewright_types::{ChatRequest, Extras, Message};

use crate::dialects::openai_responses::{NAME, OPEN, own, sealed};
use crate::dialects::{Carried, Place, anthropic_messages, foreign, is_owned, of_own, openai_chat, signatures, steers};

/// Everybody's fields that are written here under some name, or that only say how something else is spelled.
const WRITTEN: [&str; 10] = [
    "max_completion_tokens",
    "max_tokens",
    "parallel_tool_calls",
    "reasoning_effort",
    "stop",
    "store",
    "stream_options",
    "tools",
    "user",
    "verbosity",
];

/// What becomes of a request here.
pub(in super::super) fn carries(request: &ChatRequest) -> Carried {
    let said = request.extras.get("reasoning_effort").and_then(|json| json.strip_prefix('"')?.strip_suffix('"'));
    // A client's text, on its way into a header.
    let said = said.filter(|word| word.len() <= 32);
    let thinking = said.or_else(|| openai_chat::request::effort(request)).map(|word| format!("effort={word}"));
    let mut carried = Carried { thinking, ..Carried::default() };
    if openai_chat::request::cannot_be_stilled(request) {
        carried.leaves_out("thinking");
    }
    if request.messages.iter().any(leaves_thought) {
        carried.leaves_out("reasoning");
    }
    signatures::foreign(request, NAME).for_each(|name| carried.leaves_out(name));
    if request.sampling.seed.is_some() {
        carried.leaves_out("seed");
    }
    fields(&request.extras).for_each(|name| carried.leaves_out(name));
    foreign::leave_out(request, NAME, &mut carried);
    if request.messages.iter().any(anthropic_messages::failed) {
        carried.leaves_out("is_error");
    }
    carried
}

/// Whether some of a message's thought goes to nobody: only its vendor's seal, or a server that wants it in the open, lets it.
fn leaves_thought(message: &Message) -> bool {
    let Some(thought) = message.reasoning.as_deref().filter(|_| own(&message.extras, OPEN).is_none()) else { return false };
    sealed::pieces(thought, &message.extras).iter().any(|(_, sealed)| sealed.is_none())
}

/// Fields of a request that are not written: everybody's that this dialect has no word for, and other dialects' own.
fn fields(extras: &Extras) -> impl Iterator<Item = &str> {
    let left = |name: &str, json: &str| match is_owned(name) {
        true => of_own(NAME, name).is_none() && !steers(Place::Request, name),
        false => json != "null" && !WRITTEN.contains(&name),
    };
    let names = extras.iter().filter(move |(name, json)| left(name, json.get()));
    let names = names.map(|(name, _)| if is_owned(name) { name.rsplit('.').next().unwrap_or_default() } else { name });
    // A client's text, on its way into a header.
    names.filter(|name| name.len() <= 64 && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter)))
}
