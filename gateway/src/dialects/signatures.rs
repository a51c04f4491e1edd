//! Vendors' signatures on thought in a conversation, as they are told to a client when they go to nobody.
//!
//! Apart because each dialect keeps its own, and each of the others leaves them out: a signature goes to its vendor alone. It must not know
//! what a signature holds.

use gatewright_types::ChatRequest;

use super::{anthropic_messages, of_own};

/// Whose field on a message it is, the field, and the name that it is told under.
const ALL: [(&str, &str, &str); 3] = [
    (anthropic_messages::NAME, "signed", "thinking.signature"),
    (anthropic_messages::NAME, "redacted_thinking", "thinking.signature"),
    (anthropic_messages::NAME, "signature", "thinking.signature"),
];

/// The names of those that a dialect has no place for.
pub(super) fn foreign<'a>(request: &'a ChatRequest, dialect: &'a str) -> impl Iterator<Item = &'static str> + 'a {
    let names = request.messages.iter().flat_map(|message| message.extras.iter()).map(|(name, _)| name);
    let others = ALL.iter().filter(move |(whose, ..)| *whose != dialect);
    names.filter_map(move |name| {
        let known = others.clone().find(|(whose, field, _)| of_own(whose, name) == Some(field));
        known.map(|(.., told)| *told)
    })
}
