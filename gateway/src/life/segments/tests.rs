//! Which text of a request goes where, and back.

use super::*;
use crate::dialects::openai_chat::request::read;

fn request(json: &serde_json::Value) -> ChatRequest {
    read(json.to_string().as_bytes()).unwrap()
}

fn full() -> ChatRequest {
    request(&serde_json::json!({
        "model": "m", "user": "u-1", "documents": ["secret"], "temperature": 0.5,
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "name": "Ann", "content": [
                {"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:x"}}]},
            {"role": "assistant", "content": null, "reasoning_content": "hm",
             "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "find", "arguments": "{\"q\":1}"}}]},
            {"role": "tool", "tool_call_id": "t1", "content": "found"}],
        "tools": [{"type": "function", "function": {"name": "find", "description": "finds", "parameters": {"type": "object"}}}]
    }))
}

#[test]
fn every_text_has_a_channel() {
    let layout = lay(&full(), &Ears::all());
    let seen: Vec<(Channel, &str)> = layout.segments.iter().map(|s| (s.channel, s.text.as_str())).collect();
    for wanted in [
        (Channel::System, "be kind"),
        (Channel::User, "look"),
        (Channel::Other, "Ann"),
        (Channel::Reasoning, "hm"),
        (Channel::ToolArgs, "{\"q\":1}"),
        (Channel::ToolOutput, "found"),
        (Channel::ToolDefinition, "finds"),
        (Channel::Other, r#"["secret"]"#),
        (Channel::Other, r#""u-1""#),
    ] {
        assert!(seen.contains(&wanted), "{wanted:?} is not among {seen:?}");
    }
    assert!(seen.iter().any(|(channel, text)| *channel == Channel::Media && text.contains("data:x")));
    let output = layout.segments.iter().find(|s| s.channel == Channel::ToolOutput).unwrap();
    assert_eq!(output.label.as_deref(), Some("find"));
    assert!(layout.unheard.is_empty());
}

#[test]
fn what_nobody_hears_is_named() {
    let layout = lay(&full(), &Ears::default());
    assert!(layout.segments.is_empty());
    assert!(layout.unheard.contains(&"request:media") && layout.unheard.contains(&"request:other"));
    let harmless = request(&serde_json::json!({"model": "m", "user": "u", "messages": [{"role": "user", "content": "x"}]}));
    assert_eq!(lay(&harmless, &Ears::default()).unheard, ["request:user"]);
}

#[test]
fn edits_go_back_to_where_the_text_came_from() {
    let mut asked = full();
    let mut layout = lay(&asked, &Ears::all());
    for segment in &mut layout.segments {
        match segment.channel {
            Channel::User => segment.text = "edited".into(),
            Channel::ToolArgs => segment.text = "{}".into(),
            Channel::Media => segment.text = r#"{"type":"text","text":"[removed]"}"#.into(),
            _ => {}
        }
    }
    layout.write_back(&mut asked, &Ears::all()).unwrap();
    let Content::Parts(parts) = &asked.messages[1].content else { panic!("parts stay parts") };
    assert!(matches!(&parts[0], Part::Text { text, .. } if text == "edited"));
    assert!(matches!(&parts[1], Part::Other { raw, .. } if raw.get().contains("[removed]")));
    assert_eq!(asked.messages[2].tool_calls[0].arguments, "{}");
    assert_eq!(asked.messages[0], full().messages[0]);
}

#[test]
fn an_edit_that_is_no_json_where_json_must_be_is_refused() {
    let mut asked = full();
    let mut layout = lay(&asked, &Ears::all());
    let media = layout.segments.iter_mut().find(|s| s.channel == Channel::Media).unwrap();
    media.text = "not json".into();
    assert_eq!(layout.write_back(&mut asked, &Ears::all()), Err(NotJson(Channel::Media)));
}
