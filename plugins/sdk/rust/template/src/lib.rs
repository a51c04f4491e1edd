//! Redacts the words of a list. One function serves prompts, thought and speech, whole and in streams.

// [tools]
use gatewright_plugin::{Failure, Tool};
// [/tools]
use gatewright_plugin::{Action, Context, Event, Json, Load, Redactor, Words, settings};

/// What is made of the settings once, before the first event.
struct Listed(Redactor<Words>);

impl Load for Listed {
    fn load() -> Result<Self, String> {
        let settings = settings::get().map_err(|error| format!("the settings: {error:?}"))?;
        let settings = Json::parse(&settings)?;
        let words = settings.get("words").and_then(Json::as_list).unwrap_or_default();
        let words = Words::new(words.iter().filter_map(Json::as_str));
        Ok(Self(Redactor::new(words, "[redacted]")))
    }
}

#[gatewright_plugin::filter]
fn inspect(listed: &Listed, _context: &Context, event: &Event) -> Vec<Action> {
    listed.0.redact(event)
}
// [tools]

gatewright_plugin::tools!(declare, call, results);

fn declare() -> Vec<Tool> {
    let parameters = r#"{
        "type": "object",
        "properties": {"word": {"type": "string", "minLength": 1}, "text": {"type": "string"}},
        "required": ["word", "text"]
    }"#;
    vec![Tool {
        name: "count".to_owned(),
        description: "Counts how often a word stands in a text.".to_owned(),
        parameters: parameters.to_owned(),
        read_only: true,
    }]
}

/// What `count` gives back.
fn results() -> Vec<(String, String)> {
    vec![("count".to_owned(), r#"{"type": "integer", "minimum": 0}"#.to_owned())]
}

/// The host has checked the arguments against the schema.
fn call(_context: &Context, _name: &str, arguments: &str) -> Result<String, Failure> {
    let arguments = Json::parse(arguments).map_err(Failure::BadArguments)?;
    let text = |key: &str| arguments.get(key).and_then(Json::as_str).unwrap_or_default();
    Ok(text("text").matches(text("word")).count().to_string())
}
// [/tools]
