//! A request as conditions see it: names and what they stand for.
//!
//! Apart because it is a table, and the documentation's words. It must not know what is asked of it: what nobody names costs nothing.

use std::collections::HashMap;
use std::sync::OnceLock;

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
    /// The model's name as it was asked for, where the request has the name of who answers.
    pub model: Option<&'a str>,
    /// How many of its tools are the client's, where the gateway's own follow them.
    pub tools: Option<usize>,
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

/// A request while one condition is evaluated: what was looked up is kept, for a loop may ask for it in every round.
pub(super) struct Memo<'a> {
    seen: &'a Seen<'a>,
    /// By the place of their names.
    values: [OnceLock<Option<Box<dyn Val + 'a>>>; NAMES.len() + OF_REQUEST.len()],
}

impl<'a> Memo<'a> {
    /// Nothing was looked up yet.
    pub(super) fn of(seen: &'a Seen<'a>) -> Self {
        Self { seen, values: [const { OnceLock::new() }; NAMES.len() + OF_REQUEST.len()] }
    }
}

impl VariableResolver for Memo<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let at = match variable.strip_prefix("request.") {
            Some(field) => NAMES.len() + OF_REQUEST.iter().position(|name| *name == field)?,
            None => NAMES.iter().position(|name| *name == variable)?,
        };
        let value = self.values.get(at)?.get_or_init(|| self.seen.value(variable).map(CowVal::into_owned));
        value.as_deref().map(CowVal::Borrowed)
    }
}

impl<'a> Seen<'a> {
    fn value(&'a self, variable: &str) -> Option<CowVal<'a, 'a>> {
        let text = |text: &'a str| Some(CowVal::owned(CelString::from(text)));
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
                ("model", request) => text(self.model.unwrap_or(request.map_or("", |request| &request.model))),
                ("tools", Some(request)) => made(tools(request, self.tools)),
                (field, Some(request)) => made(of_request(field, request)?),
                (field, None) => made(of_request(field, &ChatRequest::default())?),
            },
        }
    }
}

fn made<'a>(value: Value) -> Option<CowVal<'a, 'a>> {
    let value: Box<dyn Val> = value.try_into().ok()?;
    Some(CowVal::Owned(value))
}

fn of_request(field: &str, request: &ChatRequest) -> Option<Value> {
    Some(match field {
        "stream" => Value::Bool(request.stream),
        "messages" => whole(request.messages.len() as u64),
        // Not given it is 0: whoever asks for more than some number does not mean those.
        "max_tokens" => whole(request.sampling.max_tokens.unwrap_or_default()),
        "tools" => tools(request, None),
        "images" => Value::Bool(has_images(request)),
        "metadata" => Value::from(metadata(request)),
        _ => return None,
    })
}

/// The names of a request's tools, of so many.
fn tools(request: &ChatRequest, most: Option<usize>) -> Value {
    Value::from(request.tools.iter().take(most.unwrap_or(usize::MAX)).map(tool).collect::<Vec<&str>>())
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
