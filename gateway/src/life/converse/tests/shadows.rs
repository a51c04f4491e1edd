//! What plugins that are not enforced, or that only listen, do to an answer: nothing.

use gatewright_plugins::Mode;

use super::{BLOCK, REDACT, STREAM};
use crate::life::kit::{Kit, event, events, finish, stream_of};

const SEES_CALLS: &str = "subscribe:\n  - {phases: [chunk], channels: [tool-args]}";

/// A kit with a plugin in shadow, which may hold 100 bytes.
fn shadow(manifest: &str, source: &str) -> Kit {
    let mut kit = Kit::new();
    kit.plugin("quiet", manifest, source);
    kit.facts.plugins.get_mut("quiet").unwrap().operator.mode = Mode::Shadow;
    kit.facts.limits.held_bytes = 100;
    kit
}

#[tokio::test]
async fn a_shadow_hears_whole_calls_while_the_client_gets_their_pieces_as_they_came() {
    let mut kit = shadow(SEES_CALLS, REDACT);
    let piece = |text: &str| event(&format!(r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":"{text}"}}}}]}}"#));
    let begin = r#"{"tool_calls":[{"index":0,"id":"t0","type":"function","function":{"name":"theirs","arguments":""}}]}"#;
    let mut list = vec![event(begin), piece("sk-12"), piece("3456")];
    list.extend((0..30).map(|_| piece("more and more of it")));
    list.push(finish("tool_calls"));
    kit.script(events(&list.iter().map(String::as_str).collect::<Vec<_>>()));
    let heard = kit.chat(STREAM).await;
    assert!(heard.is_done(), "{}", heard.text);
    for event in &list {
        assert!(heard.text.contains(event.as_str()), "{event} is not in {}", heard.text);
    }
    assert!(heard.text.contains("quiet=shadow:edit:tool-args"), "{}", heard.text);
}

#[tokio::test]
async fn a_shadow_sees_answers_whole_as_long_as_that_is_allowed() {
    for (words, word) in [(1, "quiet=shadow:block:assistant"), (30, "answer:whole")] {
        for ask in [super::ASK, STREAM] {
            let mut kit = shadow("subscribe:\n  - {phases: [response], channels: [assistant]}", BLOCK);
            kit.script(stream_of(&vec![r#"{"content":"forbidden words "}"#; words]));
            let heard = kit.chat(ask).await;
            assert_eq!(heard.text.matches("forbidden words").count(), words, "{}", heard.text);
            let told = if ask == STREAM { heard.text.clone() } else { kit.rows()[0].verdicts.clone() };
            let seen =
                if ask == STREAM { told.contains(word) } else { told.contains("shadow:block") || told.contains("answer:whole") };
            assert!(heard.status == 200 && seen, "{told}");
        }
    }
}

#[tokio::test]
async fn a_refusal_after_all_was_said_is_the_only_end() {
    let mut kit = Kit::new();
    kit.plugin("late", "subscribe:\n  - {phases: [chunk], channels: [reasoning]}\n  - {phases: [response], channels: all}", BLOCK);
    kit.script(stream_of(&[r#"{"content":"forbid"}"#, r#"{"content":"den"}"#]));
    kit.script(stream_of(&[r#"{"content":"fine"}"#]));
    let heard = kit.chat(STREAM).await;
    let finishes: Vec<String> =
        heard.events().iter().filter_map(|event| event["choices"][0]["finish_reason"].as_str().map(str::to_owned)).collect();
    assert_eq!((heard.said("content").as_str(), finishes), ("forbidden", vec!["content_filter".to_owned()]));
    assert!(heard.is_done() && heard.text.contains("late=block:assistant"), "{}", heard.text);
    let fine = kit.chat(STREAM).await;
    assert_eq!((fine.finish().as_deref(), fine.is_done()), (Some("stop"), true));
    assert!(fine.text.contains(&finish("stop")), "the end is passed on as it came: {}", fine.text);
    assert_eq!(kit.rows()[0].outcome, "blocked");
}

#[tokio::test]
async fn an_enforced_plugin_that_cannot_see_an_answer_whole_lets_it_not_pass() {
    let mut kit = Kit::new();
    kit.plugin("late", "subscribe:\n  - {phases: [chunk], channels: [reasoning]}\n  - {phases: [response], channels: all}", BLOCK);
    kit.facts.limits.held_bytes = 20;
    kit.script(stream_of(&[r#"{"content":"ten letters"}"#; 3]));
    let heard = kit.chat(STREAM).await;
    assert!(!heard.is_done() && heard.text.contains("may hold back"), "{}", heard.text);
}
