//! Scripts of tokens, and the deltas that they make.

use super::*;
use crate::config::GenerationConfig;
use crate::fixtures::reference;

fn vocabulary() -> Vocabulary {
    let files = reference("untied");
    Vocabulary::read(&files, &files.json("tokenizer_config.json").unwrap(), &GenerationConfig::read(&files).unwrap()).unwrap()
}

/// Thought, text and end of the tokens of `script`, with their most deltas at once.
fn run(channel: Channel, script: &str, stops: &[&str], limit: usize) -> (String, String, Option<FinishReason>, Answer) {
    let v = vocabulary();
    let opening = Opening { channel, stops: stops.iter().map(|s| (*s).to_owned()).collect(), limit, ..Opening::default() };
    let mut answer = Answer::new(0, &opening, &v);
    let (mut thought, mut text, mut end) = (String::new(), String::new(), None);
    for id in v.encode(script).unwrap() {
        let mut out = Vec::new();
        let progress = answer.push((id, None), &v, &mut out);
        assert!(out.len() < MOST_DELTAS);
        for delta in out {
            match delta {
                Delta::Reasoning { text: t, .. } => thought.push_str(&t),
                Delta::Text { text: t, .. } => text.push_str(&t),
                Delta::Finish { reason, .. } => end = Some(reason),
                other => panic!("{other:?}"),
            }
        }
        if progress == Progress::Done {
            assert!(end.is_some());
            break;
        }
    }
    (thought, text, end, answer)
}

#[test]
fn thought_then_answer_then_end() {
    let (thought, text, end, answer) = run(Channel::Reasoning, "ab\n</think>\n\nxy🙂<｜end▁of▁sentence｜>zz", &[], 100);
    assert_eq!((thought.as_str(), text.as_str(), end), ("ab", "xy🙂", Some(FinishReason::Stop)));
    assert_eq!(answer.reasoning(), 4, "a, b, line break, </think>");
    assert!(answer.generated() > answer.reasoning() + 5);
}

#[test]
fn stop_texts_end_the_answer_and_not_the_thought() {
    let (thought, text, end, _) = run(Channel::Text, "<think>a##b</think>c##d", &["##"], 100);
    assert_eq!((thought.as_str(), text.as_str(), end), ("a##b", "c", Some(FinishReason::Stop)));
}

/// Log probabilities never tell of a text that was cut off, nor of a token before its text.
#[test]
fn what_a_stop_text_cuts_off_has_no_log_probabilities() {
    let v = vocabulary();
    let opening = Opening { stops: vec!["##".to_owned()], limit: 100, ..Opening::default() };
    let (mut answer, mut told, mut text) = (Answer::new(0, &opening, &v), Vec::new(), String::new());
    for id in v.encode("a#é#b##c").unwrap() {
        let mut out = Vec::new();
        let progress = answer.push((id, Some(Scored::of(&[0.0; 320], id, 0))), &v, &mut out);
        for delta in out {
            match delta {
                Delta::Text { text: t, .. } => text.push_str(&t),
                Delta::Logprobs { value, .. } => {
                    let value: serde_json::Value = serde_json::from_str(value.get()).unwrap();
                    let bytes = value["content"].as_array().unwrap().iter().flat_map(|e| e["bytes"].as_array().unwrap().clone());
                    told.extend(bytes.map(|b| u8::try_from(b.as_u64().unwrap()).unwrap()));
                }
                _ => {}
            }
        }
        if progress == Progress::Done {
            break;
        }
    }
    assert_eq!((text.as_str(), String::from_utf8(told).unwrap().as_str()), ("a#é#b", "a#é#b"));
}

#[test]
fn the_limit_ends_it_and_gives_what_was_held() {
    let (_, text, end, answer) = run(Channel::Text, "ab#", &["##"], 3);
    assert_eq!((text.as_str(), end, answer.generated()), ("ab#", Some(FinishReason::Length), 3));
    let (_, text, end, _) = run(Channel::Text, "ab##", &["##"], 4);
    assert_eq!((text.as_str(), end), ("ab", Some(FinishReason::Stop)));
}

/// All deltas of the tokens of `script`.
fn deltas(opening: &Opening, script: &str) -> Vec<Delta> {
    let v = vocabulary();
    let mut answer = Answer::new(0, opening, &v);
    let mut all = Vec::new();
    for id in v.encode(script).unwrap() {
        let mut out = Vec::new();
        let progress = answer.push((id, Some(Scored::of(&[0.0; 320], id, 0))), &v, &mut out);
        assert!(out.len() < MOST_DELTAS);
        all.extend(out);
        if progress == Progress::Done {
            break;
        }
    }
    all
}

const CALLS: &str = "So:\n<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"##\"}}</tool_call>\n\
    <tool_call>{\"name\": \"g\", \"arguments\": {}}</tool_call><｜end▁of▁sentence｜>";

#[test]
fn calls_are_told_apart_from_the_text() {
    let opening = Opening { stops: vec!["##".to_owned()], limit: 1000, calls: 128, call_seed: 5, ..Opening::default() };
    let (mut text, mut calls, mut told, mut ids) = (String::new(), vec![String::new(); 2], 0, Vec::new());
    let all = deltas(&opening, CALLS);
    for delta in &all {
        match delta {
            Delta::Text { text: t, .. } => text.push_str(t),
            Delta::ToolCall { index, id, name, arguments, .. } => {
                ids.extend(id.clone());
                calls[*index as usize].push_str(name.as_deref().unwrap_or_default());
                calls[*index as usize].push_str(arguments);
            }
            Delta::Logprobs { value, .. } => told += value.get().matches("logprob\":").count(),
            _ => {}
        }
    }
    assert_eq!((text.as_str(), told), ("So:", 3), "of the text alone are probabilities told");
    assert_eq!(calls, ["f{\"a\": \"##\"}", "g{}"], "and in the text alone are stop texts looked for");
    assert!(ids.len() == 2 && ids[0] != ids[1]);
    assert!(matches!(all.last(), Some(Delta::Finish { reason: FinishReason::ToolCalls, .. })));
    let again = deltas(&opening, CALLS);
    assert_eq!(format!("{all:?}"), format!("{again:?}"));
}

#[test]
fn one_call_where_one_is_asked_for_and_none_where_no_tool_is_offered() {
    let names = |calls| {
        let all = deltas(&Opening { limit: 1000, calls, ..Opening::default() }, CALLS);
        let name = |delta: &Delta| if let Delta::ToolCall { name, .. } = delta { name.clone() } else { None };
        (all.iter().filter_map(name).collect::<Vec<_>>(), all.last().cloned())
    };
    let (called, end) = names(1);
    assert_eq!(called, ["f"]);
    assert!(matches!(end, Some(Delta::Finish { reason: FinishReason::ToolCalls, .. })));
    let (called, end) = names(0);
    assert!(called.is_empty());
    assert!(matches!(end, Some(Delta::Finish { reason: FinishReason::Stop, .. })));
}

#[test]
fn a_thought_that_is_not_shown_is_counted() {
    let thinking = Thinking { budget: Some(3), shown: Shown::No };
    let opening = Opening { channel: Channel::Reasoning, limit: 1000, thinking, ..Opening::default() };
    let all = deltas(&opening, "abcd</think>x<｜end▁of▁sentence｜>");
    assert!(!all.iter().any(|delta| matches!(delta, Delta::Reasoning { .. })));
    let v = vocabulary();
    let mut answer = Answer::new(0, &opening, &v);
    let spent = |id| {
        answer.push((id, None), &v, &mut Vec::new());
        answer.has_thought_enough()
    };
    let ids = v.encode("ab🙂</think>").unwrap();
    let got: Vec<bool> = ids.into_iter().map(spent).collect();
    // The third token is the first of the emoji's: it comes whole before the thought is closed.
    assert_eq!(got.iter().position(|spent| *spent), Some(got.len() - 2), "{got:?}");
    assert!(!got[got.len() - 1], "it is closed");
}

#[test]
fn an_answer_that_repeats_itself_is_ended_and_says_so() {
    let all = deltas(&Opening { limit: 5000, ..Opening::default() }, &"ab,".repeat(1500));
    assert!(matches!(all.last(), Some(Delta::Finish { reason: FinishReason::Other(word), .. }) if word == "repetition"));
    let texts = all.iter().filter(|delta| matches!(delta, Delta::Text { .. })).count();
    assert_eq!(texts, 1024);
}

/// What is told beside the finish.
fn missed(opening: &Opening, script: &str) -> Option<String> {
    let all = deltas(opening, script);
    let beside =
        |delta: &Delta| if let Delta::Other { around, .. } = delta { around.get("stop_reason").map(str::to_owned) } else { None };
    assert!(
        matches!(all.last(), Some(Delta::Finish { reason: FinishReason::Stop | FinishReason::Length, .. })),
        "the reason stays"
    );
    all.iter().find_map(beside)
}

#[test]
fn a_thought_that_was_due_and_not_made_is_told() {
    let due = |channel| Opening { channel, limit: 100, thought_due: true, ..Opening::default() };
    let (thought, text, end) = (due(Channel::Reasoning), due(Channel::Text), "<｜end▁of▁sentence｜>");
    for (opening, script, told) in [
        (&thought, "hm</think>x", None),
        (&thought, "\n \n</think>\n\nx", Some("\"empty_thought\"")),
        (&thought, "hm, x", Some("\"unfinished_thought\"")),
        (&text, "<think>hm</think>x", None),
        (&text, "<think></think>x", Some("\"empty_thought\"")),
        (&text, "x", Some("\"skipped_thought\"")),
        (&Opening { thought_due: false, ..text.clone() }, "x", None),
        (&Opening { limit: 2, ..thought.clone() }, "hm, x", None),
        (&Opening { thinking: Thinking { budget: Some(0), shown: Shown::Yes }, ..thought.clone() }, "</think>x", None),
    ] {
        assert_eq!(missed(opening, &format!("{script}{end}")).as_deref(), told, "{script}");
    }
}
