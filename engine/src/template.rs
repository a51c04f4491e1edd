//! The model's own chat template: a conversation to the text that the model was trained on.
//!
//! Apart because templates are code of the checkpoint, written in Jinja for Python; here is what makes them run alike. It must not
//! know tokens. Templates are rendered as Hugging Face transformers does (trim_blocks, lstrip_blocks, `raise_exception`,
//! `strftime_now`, Python's string methods), <https://huggingface.co/docs/transformers/chat_templating>.

mod clock;
mod messages;
mod repaired;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, Error, ErrorKind, State};
use serde_json::Value as Json;

use crate::error::EngineError;
use crate::grammar::CallFormat;
use crate::options::{ModelFiles, TemplateChoice};
use crate::tokens::special_text;
use gatewright_types::ChatRequest;
pub(crate) use messages::Arguments;

const NAME: &str = "chat";
/// Where a rendering keeps the time for `strftime_now`.
const NOW: &str = "gatewright_now";
const SPECIAL: [&str; 4] = ["bos_token", "eos_token", "unk_token", "pad_token"];

/// Variables that the request gives, and the time.
pub(crate) type Beside<'a> = (&'a serde_json::Map<String, Json>, u64);

/// A model's chat template, compiled.
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    special: Vec<(&'static str, String)>,
    calls: CallFormat,
    teaches_thought: bool,
    /// How it is given the arguments of calls first.
    arguments: Arguments,
}

impl ChatTemplate {
    /// Takes `chat_template.jinja`, or `chat_template` of tokenizer_config.json (a text, or a list with one named `default`); in the place
    /// of one that is DeepSeek-R1's, our own, unless theirs is wanted.
    pub(crate) fn read(files: &ModelFiles, config: &Json, choice: TemplateChoice) -> Result<Self, EngineError> {
        let from_file = files.find("chat_template.jinja")?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let source = from_file.or_else(|| in_config(config)).ok_or_else(|| {
            EngineError::load(format!(
                "{}: no chat_template, and no chat_template.jinja beside it",
                files.name("tokenizer_config.json")
            ))
        })?;
        let special = SPECIAL.iter().filter_map(|name| Some((*name, special_text(config, name)?))).collect();
        Self::chosen(source, special, choice).map_err(|e| EngineError::load(format!("chat template of {}: {e:#}", files.name(""))))
    }

    fn chosen(source: String, special: Vec<(&'static str, String)>, choice: TemplateChoice) -> Result<Self, Error> {
        let teaches_thought = repaired::is_r1(&source);
        if teaches_thought && choice == TemplateChoice::Repaired {
            // Calls as the model wrote them: a conversation that goes on begins with what the model has read before.
            let ours = Self::compile(repaired::of(&source), special)?;
            return Ok(Self { teaches_thought, arguments: Arguments::Text, ..ours });
        }
        Ok(Self { teaches_thought, ..Self::compile(source, special)? })
    }

    fn compile(source: String, special: Vec<(&'static str, String)>) -> Result<Self, Error> {
        let calls = CallFormat::of(&source);
        let mut environment = Environment::new();
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_function("strftime_now", |state: &State<'_, '_>, format: String| {
            let now = state.lookup(NOW).and_then(|now| u64::try_from(now).ok());
            clock::strftime(&format, now.unwrap_or_default())
        });
        environment.add_filter("tojson", tojson);
        environment.add_template_owned(NAME, source)?;
        Ok(Self { environment, special, calls, teaches_thought: false, arguments: Arguments::Object })
    }

    /// In what form it teaches the model to write calls.
    pub(crate) fn calls(&self) -> CallFormat {
        self.calls
    }

    /// Whether its model thinks before each answer.
    pub(crate) fn teaches_thought(&self) -> bool {
        self.teaches_thought
    }

    /// The prompt, with the opening of the assistant's turn at its end, of the conversation and what the request gives the template
    /// beside it; `now` is in Unix seconds.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] with what the template said, or for content that has no text.
    pub(crate) fn render(&self, request: &ChatRequest, beside: Beside<'_>) -> Result<String, EngineError> {
        // Some templates want a call's arguments as an object, others as text; which one shows only when they fail.
        let rendered = self.try_render(request, beside, self.arguments)?;
        let rendered = if rendered.is_err() && messages::has_calls(request) && self.arguments == Arguments::Object {
            self.try_render(request, beside, Arguments::Text)?
        } else {
            rendered
        };
        rendered.map_err(|e| {
            let said = e.detail().map_or_else(|| e.to_string(), str::to_owned);
            EngineError::unsupported("messages", format!("the model's chat template cannot render this conversation: {said}"))
        })
    }

    fn try_render(
        &self,
        request: &ChatRequest,
        (given, now): Beside<'_>,
        arguments: Arguments,
    ) -> Result<Result<String, Error>, EngineError> {
        let mut context = given.clone();
        context.insert("messages".into(), messages::messages(request, arguments)?);
        context.insert("tools".into(), messages::tools(request)?);
        context.insert("add_generation_prompt".into(), Json::Bool(true));
        context.insert(NOW.into(), Json::from(now));
        for (name, text) in &self.special {
            context.insert((*name).to_owned(), Json::String(text.clone()));
        }
        let template = self.environment.get_template(NAME);
        Ok(template.and_then(|t| t.render(Value::from(Serde(&context)))))
    }
}

fn in_config(config: &Json) -> Option<String> {
    match config.get("chat_template")? {
        Json::String(source) => Some(source.clone()),
        Json::Array(named) => {
            let default =
                named.iter().find(|t| t.get("name").and_then(Json::as_str) == Some("default")).or_else(|| named.first())?;
            default.get("template")?.as_str().map(str::to_owned)
        }
        _ => None,
    }
}

/// JSON as Python's `json.dumps(ensure_ascii=False)` writes it: transformers' filter, unlike Jinja's own, escapes nothing for HTML.
fn tojson(value: &Value, indent: Option<Value>, args: Kwargs) -> Result<Value, Error> {
    let _: Option<bool> = args.get("ensure_ascii")?;
    let escaped = minijinja::filters::tojson(value, indent, args)?;
    Ok(Value::from_safe_string(unescape(escaped.as_str().unwrap_or_default())))
}

fn unescape(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let known = [("\\u003c", '<'), ("\\u003e", '>'), ("\\u0026", '&'), ("\\u0027", '\'')];
        if let Some((escape, plain)) = known.iter().find(|(e, _)| from.starts_with(e)) {
            out.push(*plain);
            rest = &from[escape.len()..];
        } else {
            // The backslash and what it escapes: one ASCII character.
            let end = from.char_indices().nth(2).map_or(from.len(), |(i, _)| i);
            out.push_str(&from[..end]);
            rest = &from[end..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests;
