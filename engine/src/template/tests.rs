//! What templates of real models need: each test is one of their habits.

use gatewright_types::{ChatRequest, Content, Extras, Message, Role, ToolCall};
use serde_json::Map;

use super::*;
use crate::fixtures::reference;

mod published;

/// The first of March of 2000.
const NOW: u64 = 951_868_800;

fn template(source: &str) -> ChatTemplate {
    let special = vec![("bos_token", "<s>".to_owned()), ("eos_token", "</s>".to_owned())];
    ChatTemplate::compile(source.to_owned(), special).unwrap()
}

fn ask(messages: &[(Role, &str)]) -> ChatRequest {
    let messages = messages.iter().map(|(role, text)| Message::text(role.clone(), *text)).collect();
    ChatRequest { messages, ..ChatRequest::default() }
}

#[test]
fn the_reference_renders_as_transformers_does() {
    let files = reference("untied");
    let template = ChatTemplate::read(&files, &files.json("tokenizer_config.json").unwrap(), TemplateChoice::Repaired).unwrap();
    let request = ask(&[
        (Role::System, "Be kind."),
        (Role::User, "Hi"),
        (Role::Assistant, "<think>hm</think>\n\nHello"),
        (Role::User, "Bye"),
    ]);
    let want = files.require("rendered.txt").unwrap();
    assert_eq!(template.render(&request, (&Map::new(), NOW)).unwrap(), std::str::from_utf8(&want).unwrap());
}

#[test]
fn the_templates_own_refusal_reaches_the_client() {
    let files = reference("untied");
    let template = ChatTemplate::read(&files, &files.json("tokenizer_config.json").unwrap(), TemplateChoice::Repaired).unwrap();
    let refused = template.render(&ask(&[(Role::Tool, "42")]), (&Map::new(), NOW)).unwrap_err();
    assert!(
        matches!(&refused, EngineError::Unsupported { param, message } if param == "messages" && message.contains("no such role: tool"))
    );
}

#[test]
fn blocks_are_trimmed_and_dates_are_those_of_the_request() {
    let t = template("  {% if true %}\n{{ bos_token }}{{ strftime_now('%d %b %Y') }}\n  {% endif %}\n|{{ 'a b'.split(' ')[-1] }}");
    assert_eq!(t.render(&ask(&[]), (&Map::new(), NOW)).unwrap(), "<s>01 Mar 2000\n|b");
    assert_eq!(t.render(&ask(&[]), (&Map::new(), NOW + 86_400)).unwrap(), "<s>02 Mar 2000\n|b");
}

#[test]
fn json_is_that_of_python() {
    let t = template("{{ messages[0] | tojson }}");
    let got = t.render(&ask(&[(Role::User, "<é> 'q' & \\u003c \"")]), (&Map::new(), NOW)).unwrap();
    assert_eq!(got, r#"{"role": "user", "content": "<é> 'q' & \\u003c \""}"#);
}

#[test]
fn null_content_is_empty_but_for_calls() {
    let t = template("{% for m in messages %}{{ 'none' if m.content is none else '[' + m.content + ']' }}{% endfor %}");
    let mut request = ask(&[(Role::User, "a"), (Role::Assistant, ""), (Role::Assistant, "")]);
    request.messages[1].content = Content::Null;
    request.messages[2].content = Content::Absent;
    request.messages[2].tool_calls =
        vec![ToolCall { id: "1".into(), name: "f".into(), arguments: "{}".into(), extras: Extras::new() }];
    assert_eq!(t.render(&request, (&Map::new(), NOW)).unwrap(), "[a][]none");
}

#[test]
fn arguments_come_as_the_template_wants_them() {
    let mut request = ask(&[(Role::Assistant, "")]);
    request.messages[0].tool_calls =
        vec![ToolCall { id: "1".into(), name: "f".into(), arguments: r#"{"a": 1}"#.into(), extras: Extras::new() }];
    let object = template("{% for c in messages[0].tool_calls %}{{ c.function.arguments | tojson }}{% endfor %}");
    assert_eq!(object.render(&request, (&Map::new(), NOW)).unwrap(), r#"{"a": 1}"#);
    let text = template("{% for c in messages[0]['tool_calls'] %}{{ '>' + c['function']['arguments'] }}{% endfor %}");
    assert_eq!(text.render(&request, (&Map::new(), NOW)).unwrap(), r#">{"a": 1}"#);
}
