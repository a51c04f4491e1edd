//! A request as conditions see it: names and what they stand for.
//!
//! Apart because it is a table, and the documentation's words. It must not know what is asked of it: what nobody names costs nothing.

use std::collections::HashMap;

use cel::Value;
use cel::common::types::CelString;
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use gatewright_types::{ChatRequest, Content, Part, Tool};

/// What stands by itself.
pub(super) const NAMES: [&str; 8] = ["tokens", "notes", "route", "key", "tenant", "team", "conversation", "dialect"];
/// What stands behind `request.`.
pub(super) const OF_REQUEST: [&str; 8] = ["model", "stream", "messages", "max_tokens", "tools", "images", "metadata", "headers"];

/// A request, and what is known of who asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen<'a> {
    /// The request, as the plugins left it. Nothing of its texts is shown.
    pub request: Option<&'a ChatRequest>,
    /// About how many tokens its prompt has.
    pub tokens: Option<fn(&ChatRequest) -> u64>,
    /// Notes that plugins left.
    pub notes: &'a [(String, String)],
    /// Name of the route.
    pub route: &'a str,
    /// Name of the key; `-` without keys.
    pub key: &'a str,
    /// Its tenant.
    pub tenant: &'a str,
    /// Its team, if it has one.
    pub team: &'a str,
    /// The client's id of the conversation, if it gave one.
    pub conversation: &'a str,
    /// What the client speaks.
    pub dialect: &'a str,
    /// Headers, names in small letters; no credentials.
    pub headers: &'a [(String, String)],
}

impl VariableResolver for Seen<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let text = |text: &'b str| Some(CowVal::owned(CelString::from(text)));
        match variable {
            "route" => text(self.route),
            "key" => text(self.key),
            "tenant" => text(self.tenant),
            "team" => text(self.team),
            "conversation" => text(self.conversation),
            "dialect" => text(self.dialect),
            "notes" => made(pairs(self.notes)),
            "tokens" => made(whole(self.request.zip(self.tokens).map_or(0, |(request, tokens)| tokens(request)))),
            "request.headers" => made(pairs(self.headers)),
            _ => match (variable.strip_prefix("request.")?, self.request) {
                ("model", request) => text(request.map_or("", |request| &request.model)),
                (field, Some(request)) => made(of_request(field, request)?),
                (field, None) => made(of_request(field, &ChatRequest::default())?),
            },
        }
    }
}

fn made<'b>(value: Value) -> Option<CowVal<'b, 'b>> {
    let value: Box<dyn Val> = value.try_into().ok()?;
    Some(CowVal::Owned(value))
}

fn of_request(field: &str, request: &ChatRequest) -> Option<Value> {
    Some(match field {
        "stream" => Value::Bool(request.stream),
        "messages" => whole(request.messages.len() as u64),
        // Not given it is 0: whoever asks for more than some number does not mean those.
        "max_tokens" => whole(request.sampling.max_tokens.unwrap_or_default()),
        "tools" => Value::from(request.tools.iter().map(tool).collect::<Vec<&str>>()),
        "images" => Value::Bool(has_images(request)),
        "metadata" => Value::from(metadata(request)),
        _ => return None,
    })
}

/// The name of a tool; a kind that is not known is its `type`.
fn tool(tool: &Tool) -> &str {
    #[derive(serde::Deserialize)]
    struct Kind<'a> {
        #[serde(borrow, rename = "type")]
        kind: &'a str,
    }
    match tool {
        Tool::Function(tool) => &tool.name,
        Tool::Other(raw) => serde_json::from_str::<Kind<'_>>(raw.get()).map_or("", |kind| kind.kind),
    }
}

/// Whether some part of a message is an image, whatever its dialect calls it.
fn has_images(request: &ChatRequest) -> bool {
    let image = |part: &Part| matches!(part, Part::Other { kind, .. } if kind.contains("image"));
    request.messages.iter().any(|message| matches!(&message.content, Content::Parts(parts) if parts.iter().any(image)))
}

/// The request's own metadata, as far as it is texts.
fn metadata(request: &ChatRequest) -> HashMap<String, String> {
    let fields = request.extras.get("metadata").and_then(|json| serde_json::from_str::<serde_json::Map<_, _>>(json).ok());
    let texts = fields.into_iter().flatten().filter_map(|(key, value)| Some((key, value.as_str()?.to_owned())));
    texts.collect()
}

fn pairs(list: &[(String, String)]) -> Value {
    // Of two of one name the last counts, as everywhere.
    Value::from(list.iter().cloned().collect::<HashMap<String, String>>())
}

fn whole(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}
