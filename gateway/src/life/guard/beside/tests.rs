//! What waits, what goes, and what never does.

use serde_json::value::RawValue;

use super::*;

const LANE: Lane = Lane { choice: 0, channel: gatewright_types::Channel::Assistant, index: 0 };

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn text(text: &str) -> Delta {
    Delta::Text { choice: 0, text: text.to_owned() }
}

fn logprobs(of: &str) -> Delta {
    Delta::Logprobs { choice: 0, value: raw(&format!("\"{of}\"")) }
}

fn other(name: &str, of: &str) -> Delta {
    let mut delta = Extras::new();
    delta.push(name, raw(&format!("\"{of}\"")));
    Delta::Other { choice: 0, delta, around: Extras::new() }
}

fn finish() -> Delta {
    Delta::Finish { choice: 0, reason: gatewright_types::FinishReason::Stop }
}

/// What goes out of a chunk with these deltas, of which plugins give `given`: the JSON of each chunk's things beside the text.
fn pass(beside: &mut Beside, deltas: Vec<Delta>, given: &str) -> Vec<String> {
    let mut chunk = Chunk::of(deltas);
    let mut heard = Vec::new();
    for delta in &chunk.deltas {
        if let Delta::Text { text, .. } = delta {
            beside.came(LANE, text);
            heard.push(LANE);
        }
    }
    let ended = if finishes(&chunk, 0) { vec![LANE] } else { Vec::new() };
    let pieces = if given.is_empty() { Vec::new() } else { vec![Piece { lane: LANE, label: None, text: given.to_owned() }] };
    let ready = beside.pass(&mut chunk, &pieces, Turn { heard: &heard, ended: &ended });
    told(beside.assemble(chunk, ready))
}

/// The same of a chunk that the plugins let through.
fn whole(beside: &mut Beside, deltas: Vec<Delta>) -> Vec<String> {
    told(beside.whole(Chunk::of(deltas), Turn { heard: &[LANE], ended: &[] }))
}

fn told(chunks: Chunks) -> Vec<String> {
    let beside = |chunk: &Chunk| {
        let values = chunk.deltas.iter().filter_map(|delta| match delta {
            Delta::Logprobs { value, .. } => Some(value.get().to_owned()),
            Delta::Other { delta, .. } => Some(delta.iter().map(|(_, value)| value.get()).collect()),
            _ => None,
        });
        values.collect::<Vec<_>>().join(" ")
    };
    chunks.iter().map(beside).filter(|told| !told.is_empty()).collect()
}

#[test]
fn it_waits_until_the_text_was_given_and_then_goes() {
    let mut beside = Beside::default();
    assert!(pass(&mut beside, vec![text("abc"), logprobs("abc")], "ab").is_empty());
    assert_eq!(pass(&mut beside, vec![text("d"), logprobs("d")], "c"), [r#""abc""#]);
    assert_eq!(pass(&mut beside, vec![finish()], "d"), [r#""d""#]);
}

#[test]
fn it_never_goes_where_other_text_was_given() {
    let mut beside = Beside::default();
    assert!(pass(&mut beside, vec![text("key "), logprobs("key ")], "").is_empty());
    assert_eq!(pass(&mut beside, vec![text("sk-1"), logprobs("sk-1"), other("odd", "sk-1")], "key [x]"), [r#""key ""#]);
    assert!(pass(&mut beside, vec![text(" so"), logprobs(" so")], " so").is_empty(), "nobody knows whether more is held");
    assert_eq!(whole(&mut beside, vec![text("it"), logprobs("it")]), [r#""it""#]);
    assert!(beside.waiting.is_empty());
}

#[test]
fn a_text_that_was_taken_out_takes_what_was_beside_it_along() {
    let mut beside = Beside::default();
    assert!(pass(&mut beside, vec![text("sk-1"), logprobs("sk-1")], "").is_empty());
    assert_eq!(whole(&mut beside, vec![text("sk"), logprobs("sk")]), [r#""sk""#], "of the text that came now");
    assert!(beside.waiting.is_empty());
    assert!(pass(&mut beside, vec![text("sk-2"), logprobs("sk-2")], "").is_empty());
    assert!(pass(&mut beside, vec![finish()], "").is_empty());
    assert!(beside.waiting.is_empty() && beside.accounts.is_empty());
}

#[test]
fn log_probabilities_that_come_before_their_text_wait_for_it() {
    for (given, told) in [("sk-1", vec![r#""sk-1""#]), ("[x]", vec![])] {
        let mut beside = Beside::default();
        assert!(beside.concerns(&Chunk::of(vec![logprobs("sk-1")])));
        assert!(pass(&mut beside, vec![logprobs("sk-1")], "").is_empty());
        assert_eq!(pass(&mut beside, vec![text("sk-1")], given), told);
    }
    let mut beside = Beside::default();
    assert!(pass(&mut beside, vec![logprobs("a")], "").is_empty());
    assert_eq!(whole(&mut beside, vec![text("a")]), [r#""a""#]);
}

#[test]
fn fields_of_one_name_go_one_after_the_other_and_the_end_is_last() {
    let mut beside = Beside::default();
    assert!(pass(&mut beside, vec![text("a"), other("odd", "1")], "").is_empty());
    assert!(pass(&mut beside, vec![text("b"), other("odd", "2"), other("even", "3")], "").is_empty());
    let mut chunk = Chunk::of(vec![finish()]);
    let pieces = [Piece { lane: LANE, label: None, text: "ab".to_owned() }];
    let ready = beside.pass(&mut chunk, &pieces, Turn { heard: &[], ended: &[LANE] });
    let chunks = beside.assemble(chunk, ready);
    assert!(matches!(chunks.last().and_then(|chunk| chunk.deltas.last()), Some(Delta::Finish { .. })));
    assert_eq!(told(chunks), [r#""1""#, r#""2" "3""#]);
}

#[test]
fn fields_of_a_chunk_that_says_nothing_go_with_the_next_one() {
    let mut beside = Beside::default();
    let mut chunk = Chunk::default();
    chunk.extras.push("system_fingerprint", raw("\"fp\""));
    assert!(beside.assemble(chunk, Vec::new()).is_empty());
    let next = beside.assemble(Chunk::of(vec![text("a")]), Vec::new());
    assert_eq!(next[0].extras.get("system_fingerprint"), Some("\"fp\""));
}

#[test]
fn what_waits_is_bounded() {
    let mut beside = Beside::default();
    for _ in 0..MOST_WAITING + 10 {
        assert!(pass(&mut beside, vec![text("a"), logprobs("a")], "").is_empty());
    }
    assert_eq!(beside.waiting.len(), MOST_WAITING);
    pass(&mut beside, vec![text("a"), logprobs(&"x".repeat(MOST_BYTES))], "");
    assert!(beside.waiting.is_empty());
}
