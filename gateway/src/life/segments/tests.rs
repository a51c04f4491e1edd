//! Which text of a request goes where, and back.

use gatewright_plugins::Cut;

use super::*;
use crate::dialects::openai_chat::request::read;

fn request(json: &serde_json::Value) -> ChatRequest {
    read(json.to_string().as_bytes()).unwrap()
}

/// Replaces all text of a segment.
fn replace(layout: &mut Layout, at: usize, text: &str) -> Cut {
    let segment = &mut layout.segments[at];
    let cut = Cut { segment: segment.id, start: 0, end: segment.text.len(), length: text.len() };
    segment.text = text.to_owned();
    cut
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
    let mut cuts = Vec::new();
    for at in 0..layout.segments.len() {
        let text = match layout.segments[at].channel {
            Channel::User => "edited",
            Channel::ToolArgs => "{}",
            Channel::Media => r#"{"type":"text","text":"[removed]"}"#,
            _ => continue,
        };
        cuts.push(replace(&mut layout, at, text));
    }
    layout.write_back(&mut asked, &cuts, &Ears::all()).unwrap();
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
    let media = layout.segments.iter().position(|s| s.channel == Channel::Media).unwrap();
    let cut = replace(&mut layout, media, "not json");
    assert_eq!(layout.write_back(&mut asked, &[cut], &Ears::all()), Err(NotJson(Channel::Media)));
}

#[test]
fn texts_without_a_field_of_their_own_have_a_channel_too() {
    let mut asked = request(&serde_json::json!({
        "model": "m", "stop": ["stop-text"],
        "messages": [
            {"role": "assistant", "content": null, "tool_calls": [{"id": "id-text", "type": "function", "more": "call-text",
                "function": {"name": "name-text", "arguments": "{}", "inner": "inner-text"}}]},
            {"role": "tool", "tool_call_id": "other-id", "content": "x"},
            {"role": "oracle", "content": "x"}],
        "tools": [{"type": "function", "around": "around-text",
            "function": {"name": "tool-text", "strict": true, "x-note": "note-text"}}]
    }));
    let mut layout = lay(&asked, &Ears::all());
    let mut cuts = Vec::new();
    for wanted in [
        "stop-text",
        "id-text",
        "call-text",
        "name-text",
        "inner-text",
        "other-id",
        "oracle",
        "around-text",
        "tool-text",
        "note-text",
    ] {
        let at = layout.segments.iter().position(|segment| segment.text.contains(wanted)).unwrap_or_else(|| panic!("{wanted}"));
        let text = layout.segments[at].text.replace(wanted, "gone");
        cuts.push(replace(&mut layout, at, &text));
    }
    assert!(lay(&asked, &Ears::default()).unheard.contains(&"request:tool-definition"));
    layout.write_back(&mut asked, &cuts, &Ears::all()).unwrap();
    let sent = String::from_utf8(crate::dialects::openai_chat::request::write(&asked).to_vec()).unwrap();
    assert!(!sent.contains("-text") && !sent.contains("other-id") && !sent.contains("oracle"), "{sent}");
    assert_eq!(sent.matches("gone").count(), 10, "{sent}");
}

#[test]
fn of_two_fields_of_one_name_the_one_that_was_edited_changes() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"x","odd":"first","odd":"second"}]}"#;
    let mut asked = read(body.as_bytes()).unwrap();
    let mut layout = lay(&asked, &Ears::all());
    let second = layout.segments.iter().position(|segment| segment.text.contains("second")).unwrap();
    let cut = replace(&mut layout, second, "\"new\"");
    layout.write_back(&mut asked, &[cut], &Ears::all()).unwrap();
    let fields: Vec<&str> = asked.messages[0].extras.iter().map(|(_, value)| value.get()).collect();
    assert_eq!(fields, ["\"first\"", "\"new\""]);
}

fn in_parts() -> ChatRequest {
    request(&serde_json::json!({"model": "m", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "a bo"}, {"type": "text", "text": "m", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "b is sk-1"}, {"type": "image_url", "image_url": {"url": "u"}}, {"type": "text", "text": "end"}]}]}))
}

#[test]
fn texts_in_a_row_are_one_segment() {
    let layout = lay(&in_parts(), &Ears::all());
    let texts: Vec<&str> = layout.segments.iter().filter(|s| s.channel == Channel::User).map(|s| s.text.as_str()).collect();
    assert_eq!(texts, ["a bomb is sk-1", "end"]);
}

#[test]
fn an_edit_across_parts_goes_to_the_first_of_them() {
    let mut asked = in_parts();
    let mut layout = lay(&asked, &Ears::all());
    // From the end, as the plugin host does them: the key, the word, and something before it.
    let mut cuts = Vec::new();
    for (start, end, new) in [(10, 14, "[redacted]"), (2, 6, "****"), (0, 0, ">")] {
        layout.segments[0].text.replace_range(start..end, new);
        cuts.push(Cut { segment: 0, start, end, length: new.len() });
    }
    layout.write_back(&mut asked, &cuts, &Ears::all()).unwrap();
    let Content::Parts(parts) = &asked.messages[0].content else { panic!("parts stay parts") };
    let texts: Vec<&str> =
        parts.iter().map(|part| if let Part::Text { text, .. } = part { text.as_str() } else { "image" }).collect();
    assert_eq!(texts, [">a ****", "", " is [redacted]", "image", "end"]);
    assert!(matches!(&parts[1], Part::Text { extras, .. } if extras.get("cache_control").is_some()));
}

#[test]
fn what_was_not_inspected_beside_an_edited_text_is_dropped() {
    let mut asked = in_parts();
    asked.messages[0].extras.push("odd", serde_json::value::RawValue::from_string("\"a bomb\"".to_owned()).unwrap());
    let mut layout = lay(&asked, &Ears::all());
    let cut = replace(&mut layout, 0, "x");
    layout.write_back(&mut asked, &[cut], &Ears::default()).unwrap();
    let sent = String::from_utf8(crate::dialects::openai_chat::request::write(&asked).to_vec()).unwrap();
    assert!(!sent.contains("odd") && !sent.contains("cache_control") && sent.contains("image_url"), "{sent}");
}

#[test]
fn many_results_of_many_calls_find_their_tools() {
    // Were each looked for among all, this would take minutes.
    let number = 60_000;
    let mut asked = ChatRequest::default();
    for id in 0..number {
        let call = ToolCall { id: id.to_string(), name: format!("f{id}"), arguments: "{}".into(), extras: Extras::new() };
        asked.messages.push(Message { tool_calls: vec![call], ..Message::text(Role::Assistant, "") });
    }
    for id in 0..number {
        asked.messages.push(Message { tool_call_id: Some(id.to_string()), ..Message::text(Role::Tool, "x") });
    }
    let layout = lay(&asked, &Ears::all());
    let outputs = layout.segments.iter().filter(|segment| segment.channel == Channel::ToolOutput);
    assert!((0..number).map(|id| format!("f{id}")).eq(outputs.map(|segment| segment.label.clone().unwrap())));
}
