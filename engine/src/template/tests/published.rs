//! Templates as models carry them, and ours, against what jinja2 makes of them: `tests/reference/templates`, made by its `make.py`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gatewright_types::{Tool, ToolDefinition};

use super::*;
use crate::config::GenerationConfig;
use crate::tokens::Vocabulary;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/templates")
}

fn file(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

fn table<T: serde::de::DeserializeOwned>(name: &str) -> BTreeMap<String, T> {
    serde_json::from_str(&file(name)).unwrap()
}

fn special() -> Vec<(&'static str, String)> {
    vec![("bos_token", "<｜begin▁of▁sentence｜>".to_owned()), ("eos_token", "<｜end▁of▁sentence｜>".to_owned())]
}

/// The template of that name in `rendered.json`, as the engine takes it.
fn named(name: &str) -> ChatTemplate {
    let old = file("r1_old.jinja");
    let (source, choice) = match name {
        "r1_new" => (
            old.replace("{{'<｜Assistant｜>'}}{% endif %}", "{{'<｜Assistant｜><think>\\n'}}{% endif %}"),
            TemplateChoice::Original,
        ),
        "ours" => (old, TemplateChoice::Repaired),
        "ours_0528" => (file("r1_0528.jinja"), TemplateChoice::Repaired),
        _ => (file(&format!("{name}.jinja")), TemplateChoice::Original),
    };
    ChatTemplate::chosen(source, special(), choice).unwrap()
}

fn text(json: &Json) -> String {
    json.as_str().unwrap().to_owned()
}

fn message(json: &Json) -> Message {
    let role = match json["role"].as_str().unwrap() {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => Role::Tool,
    };
    let calls = json["tool_calls"].as_array().into_iter().flatten().map(|call| {
        let (name, arguments) = (text(&call["function"]["name"]), text(&call["function"]["arguments"]));
        ToolCall { id: text(&call["id"]), name, arguments, extras: Extras::new() }
    });
    Message {
        content: json["content"].as_str().map_or(Content::Null, |text| Content::Text(text.to_owned())),
        tool_calls: calls.collect(),
        tool_call_id: json["tool_call_id"].as_str().map(str::to_owned),
        ..Message::text(role, "")
    }
}

fn tool(json: &Json) -> Tool {
    let function = &json["function"];
    Tool::Function(ToolDefinition {
        name: text(&function["name"]),
        description: function["description"].as_str().map(str::to_owned),
        parameters: function.get("parameters").map(|schema| serde_json::value::to_raw_value(schema).unwrap()),
        function_extras: Extras::new(),
        extras: Extras::new(),
    })
}

fn request(json: &Json) -> (ChatRequest, Map<String, Json>) {
    let list = |name: &str| json[name].as_array().cloned().unwrap_or_default();
    let (messages, tools) = (list("messages").iter().map(message).collect(), list("tools").iter().map(tool).collect());
    (ChatRequest { messages, tools, ..ChatRequest::default() }, json["kwargs"].as_object().cloned().unwrap_or_default())
}

#[test]
fn templates_render_as_jinja2_renders_them() {
    let conversations = table::<Json>("conversations.json");
    let rendered = table::<BTreeMap<String, Option<String>>>("rendered.json");
    assert_eq!(rendered.len(), 8);
    for (name, wanted) in rendered {
        let template = named(&name);
        assert_eq!(wanted.len(), conversations.len());
        for (title, wanted) in wanted {
            let (request, given) = request(&conversations[&title]);
            let got = template.render(&request, (&given, NOW)).ok();
            assert_eq!(got, wanted, "{name}: {title}");
        }
    }
}

#[test]
fn the_beginning_is_marked_once() {
    let files = reference("untied");
    let config: Json = files.json("tokenizer_config.json").unwrap();
    assert_eq!(config["add_bos_token"], true, "the tokenizer would add one as well");
    let vocabulary = Vocabulary::read(&files, &config, &GenerationConfig::default()).unwrap();
    let bos = vocabulary.token("<｜begin▁of▁sentence｜>").unwrap();
    for name in table::<Json>("rendered.json").into_keys() {
        let prompt = named(&name).render(&ask(&[(Role::User, "Hi")]), (&Map::new(), NOW)).unwrap();
        let ids = vocabulary.encode(&prompt).unwrap();
        assert_eq!((ids[0], ids.iter().filter(|id| **id == bos).count()), (bos, 1), "{name}");
    }
}

#[test]
fn ours_stands_in_for_deepseek_r1s_alone() {
    let sources = ["r1_old", "r1_0528", "distill_llama", "distill_qwen"].map(|name| file(&format!("{name}.jinja")));
    assert!(sources.iter().all(|source| repaired::is_r1(source)));
    // V3's is R1's of old without thoughts.
    assert!(!repaired::is_r1(&file("v31.jinja")) && !repaired::is_r1(&sources[0].replace("</think>", "")));
    assert!(!repaired::is_r1(&format!("{}{{% if tools %}}{{% endif %}}", sources[0])));
    let calls = |name| named(name).calls();
    assert_eq!((calls("ours"), calls("r1_old"), calls("v31")), (CallFormat::R1, CallFormat::R1, CallFormat::V31));
    assert_eq!(template("<tool_call>").calls(), CallFormat::Tag);
}

/// What is wrong with theirs, one by one: if this fails, a repair may have lost its reason.
#[test]
fn what_ours_repairs_is_broken_in_theirs() {
    let rendered = table::<BTreeMap<String, Option<String>>>("rendered.json");
    let of = |name: &str, title: &str| rendered[name][title].clone().unwrap();
    assert!(!of("r1_new", "tools offered").contains("weather") && of("ours", "tools offered").contains("weather"));
    let second = |name: &str| {
        of(name, "a second turn of calls").matches("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>clock").count()
    };
    assert_eq!((second("r1_new"), second("ours")), (0, 1));
    let thinks = |name: &str| of(name, "a call and its result").ends_with("<｜Assistant｜><think>\n");
    assert_eq!((thinks("r1_new"), thinks("ours")), (false, true));
}

#[test]
fn a_role_that_is_none_is_refused() {
    let mut odd = ask(&[(Role::User, "Hi")]);
    odd.messages[0].role = Role::Other("owner".into());
    let refused = named("ours").render(&odd, (&Map::new(), NOW)).unwrap_err();
    assert!(refused.to_string().contains("no such role: owner"), "{refused}");
}
