//! What comes beside the text of an answer, through the real router.

use serde_json::{Value, json};

use super::{ASK, EVERYWHERE, REDACT, STREAM};
use crate::life::kit::{Kit, body_of, events, finish};

/// An event with a text, its log probabilities, and a field that nobody knows.
fn said(text: &str, number: u32) -> String {
    json!({ "id": "c-1", "object": "chat.completion.chunk", "created": 7, "model": "m-1", "system_fingerprint": "fp-1",
        "choices": [{ "index": 0, "delta": { "content": text, "odd": format!("odd {number} of {text}") }, "finish_reason": null,
            "logprobs": { "content": [{ "token": text, "logprob": -1.0 }] } }] })
    .to_string()
}

fn script(kit: &Kit, texts: &[&str]) {
    let mut list: Vec<String> = (0..).zip(texts).map(|(number, text)| said(text, number)).collect();
    list.push(finish("stop"));
    kit.script(events(&list.iter().map(String::as_str).collect::<Vec<_>>()));
}

/// All that was said under a pointer into a choice, in order.
fn all(events: &[Value], pointer: &str) -> Vec<String> {
    let values = events.iter().filter_map(|event| event["choices"][0].pointer(pointer));
    values
        .flat_map(|value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]))
        .map(|value| value.to_string())
        .collect()
}

#[tokio::test]
async fn what_comes_beside_a_held_text_comes_with_it() {
    let mut kit = Kit::new();
    kit.plugin("redact", EVERYWHERE, REDACT);
    let texts = ["one ", "two ", "three ", "and a long four ", "five"];
    script(&kit, &texts);
    let heard = kit.chat(STREAM).await;
    assert_eq!((heard.said("content").as_str(), heard.finish().as_deref()), ("one two three and a long four five", Some("stop")));
    let events = heard.events();
    let tokens: Vec<String> = texts.iter().map(|text| json!({ "token": text, "logprob": -1.0 }).to_string()).collect();
    let told: Vec<Value> = all(&events, "/logprobs/content").iter().map(|json| serde_json::from_str(json).unwrap()).collect();
    assert_eq!(told, tokens.iter().map(|json| serde_json::from_str::<Value>(json).unwrap()).collect::<Vec<_>>());
    let odd: Vec<String> = (0..).zip(texts).map(|(number, text)| format!("\"odd {number} of {text}\"")).collect();
    assert_eq!(all(&events, "/delta/odd"), odd);
    let mut so_far = String::new();
    for event in &events {
        so_far.push_str(event["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
        for (number, text) in (0..).zip(texts) {
            let early = event.to_string().contains(&format!("odd {number}")) && !so_far.contains(text);
            assert!(!early, "{event} tells of `{text}` after `{so_far}`");
        }
    }
}

#[tokio::test]
async fn what_comes_beside_an_edited_text_does_not_come() {
    let mut kit = Kit::new();
    kit.plugin("redact", "window: 10\nsubscribe:\n  - {phases: [chunk], channels: all}", REDACT);
    script(&kit, &["the key is ", "sk-12", "3456", ", is it not? ", "It is what it is."]);
    let heard = kit.chat(STREAM).await;
    assert_eq!(heard.said("content"), "the key is [redacted], is it not? It is what it is.");
    assert!(heard.text.contains("odd 0 of") && heard.text.contains("fp-1"), "{}", heard.text);
    for leak in ["sk-12", "3456"] {
        assert!(!heard.text.contains(leak), "{leak} is in {}", heard.text);
    }
    assert!(heard.text.contains("answer:other"), "{}", heard.text);
}

#[tokio::test]
async fn fields_of_the_answer_itself_are_recorded_and_dropped_where_it_was_edited() {
    for (text, kept) in [("fine", true), ("sk-123456", false)] {
        let mut kit = Kit::new();
        kit.plugin("redact", EVERYWHERE, REDACT);
        let body = json!({ "id": "c", "object": "chat.completion", "created": 1, "model": "m-1", "system_fingerprint": "fp-1",
            "citations": [format!("https://x/{text}")], "choices": [{ "index": 0, "seen": format!("{text}"), "number": 1,
                "message": { "role": "assistant", "content": text, "annotations": [] }, "finish_reason": "stop" }] });
        kit.script(body_of(&body.to_string()));
        let heard = kit.chat(ASK).await;
        let answer = heard.json();
        assert_eq!(answer.get("citations").is_some(), kept, "{answer}");
        assert_eq!(answer["choices"][0].get("seen").is_some(), kept, "{answer}");
        assert_eq!((answer["choices"][0]["number"].as_u64(), answer["system_fingerprint"].as_str()), (Some(1), Some("fp-1")));
        assert!(!heard.text.contains("sk-1"));
        assert!(heard.header("x-gatewright-plugins").contains("answer:other"), "{:?}", heard.headers);
    }
}

#[tokio::test]
async fn an_answer_that_was_edited_whole_loses_what_repeats_it() {
    let source = r#"return { inspect = function(ctx, event)
      return { edit(event.segments[1], 1, #event.segments[1].text, "other") } end }"#;
    let mut kit = Kit::new();
    kit.plugin("other", "subscribe:\n  - {phases: [response], channels: [assistant]}", source);
    script(&kit, &["secret"]);
    let heard = kit.chat(STREAM).await;
    assert_eq!(heard.said("content"), "other");
    assert!(!heard.text.contains("secret") && heard.text.contains("fp-1"), "{}", heard.text);
}

#[tokio::test]
async fn a_strict_route_takes_fields_without_a_channel_out_of_the_answer() {
    let mut kit = Kit::new();
    kit.plugin("redact", EVERYWHERE, REDACT);
    kit.route().strict = true;
    script(&kit, &["fine"]);
    let heard = kit.chat(STREAM).await;
    assert_eq!(heard.said("content"), "fine");
    assert!(!heard.text.contains("odd 0") && heard.text.contains("fp-1"), "{}", heard.text);
}

#[tokio::test]
async fn a_route_that_a_plugin_chose_is_as_strict_as_it_is() {
    let way = r#"return { inspect = function(ctx, event)
      if event.phase == "request" then return { set("/model", "other") } end end }"#;
    let image = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"u"}}]}]}"#;
    for (ask, status) in [(image, 400), (STREAM, 200)] {
        let mut kit = Kit::new();
        kit.plugin("way", "subscribe:\n  - {phases: [request, chunk], channels: [user, assistant]}", way);
        let mut other = kit.route().clone();
        (other.name, other.strict) = ("other".to_owned(), true);
        kit.facts.routes.insert("other".to_owned(), other);
        script(&kit, &["fine"]);
        let heard = kit.chat(ask).await;
        assert_eq!(heard.status, status, "{}", heard.text);
        assert!(!heard.text.contains("odd 0"), "{}", heard.text);
    }
}
