//! What clients send that is the same, or follows on, in all requests of a conversation.
//!
//! Apart because each dialect has a field of its own for it, and none is meant for us. It must not know what is done with it.

use gatewright_types::ChatRequest;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::is_owned;

/// What a request says of its conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thread<'a> {
    /// This, in each of its requests.
    Named(&'a str),
    /// That it follows this answer.
    Follows(&'a str),
    /// Nothing.
    Unknown,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    user_id: Option<&'a RawValue>,
}

/// What a request says of its conversation: the key of its prompt's cache, the answer that it follows, or else who its user is (Claude
/// Code names its session there).
pub(crate) fn thread(request: &ChatRequest) -> Thread<'_> {
    let is =
        |name: &str, wanted: &str| name == wanted || (is_owned(name) && name.split_once('.').is_some_and(|(_, own)| own == wanted));
    let field =
        |wanted: &'static str| request.extras.iter().filter(move |(name, _)| is(name, wanted)).map(|(_, value)| value.get());
    let text = |wanted| field(wanted).find_map(text);
    let of_metadata = || field("metadata").find_map(|json| text_of(serde_json::from_str::<Metadata<'_>>(json).ok()?.user_id?));
    if let Some(key) = text("prompt_cache_key") {
        return Thread::Named(key);
    }
    if let Some(answer) = text("previous_response_id") {
        return Thread::Follows(answer);
    }
    of_metadata().or_else(|| text("user")).map_or(Thread::Unknown, Thread::Named)
}

fn text_of(value: &RawValue) -> Option<&str> {
    text(value.get())
}

/// A string of JSON, as it is written; one with nothing in it says nothing.
fn text(json: &str) -> Option<&str> {
    json.strip_prefix('"')?.strip_suffix('"').filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::{ALL, Asked};

    #[test]
    fn each_dialects_clients_name_their_conversation_in_a_field_of_its_own() {
        let chat = r#""model":"m","messages":[{"role":"user","content":"hi"}]"#;
        let long = "x".repeat(200);
        for (dialect, fields, says) in [
            ("openai_chat", r#""user":"u""#.to_owned(), Thread::Named("u")),
            ("openai_chat", r#""user":"u","prompt_cache_key":"k""#.to_owned(), Thread::Named("k")),
            ("openai_chat", r#""user":null,"prompt_cache_key":"""#.to_owned(), Thread::Unknown),
            ("anthropic_messages", format!(r#""max_tokens":9,"metadata":{{"user_id":"{long}"}}"#), Thread::Named(&long)),
            ("anthropic_messages", r#""max_tokens":9,"metadata":{"user_id":null}"#.to_owned(), Thread::Unknown),
            ("openai_responses", r#""prompt_cache_key":"k","user":"u""#.to_owned(), Thread::Named("k")),
            ("openai_responses", r#""user":"u""#.to_owned(), Thread::Named("u")),
        ] {
            let chat = if dialect == "openai_responses" { r#""model":"m","input":"hi""# } else { chat };
            let dialect = ALL.into_iter().find(|known| known.name() == dialect).unwrap();
            let body = format!("{{{chat},{fields}}}");
            let request = dialect.read(body.as_bytes(), &Asked::default()).unwrap();
            assert_eq!(thread(&request), says, "{body}");
        }
    }
}
