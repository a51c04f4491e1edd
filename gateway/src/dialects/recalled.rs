//! The mark on thought that a client did not send and the gateway put back into a history, for upstreams that demand it.
//!
//! Apart because one puts it there and another takes it off again: an upstream that demands no such thought shall not see what its
//! client did not send. No client can write it, for it is a name of ours. It must not know where the thought came from.

use gatewright_types::{ChatRequest, Extras};
use serde_json::value::RawValue;

use super::openai_chat::NAME;
use super::{keep, own};

const MARK: &str = "recalled";

/// Marks a message with such thought, or the request that has such messages.
pub(crate) fn mark(extras: &mut Extras) {
    keep(extras, NAME, (MARK, RawValue::TRUE));
}

/// Whether a message, or a request, has it.
pub(crate) fn is_marked(extras: &Extras) -> bool {
    !extras.is_empty() && extras.get(&own(NAME, MARK)).is_some()
}

/// Takes all such thought out.
pub(crate) fn take(request: &mut ChatRequest) {
    for message in request.messages.iter_mut().filter(|message| is_marked(&message.extras)) {
        message.reasoning = None;
    }
}
