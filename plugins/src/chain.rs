//! What a plugin's actions come to: checked against the contract, and folded into edits, holds, sets, notes and a stop.
//!
//! Pure, and apart, so that every way to break the contract is a test without a guest. It must not know sandboxes or streams.

mod places;

use gatewright_types::{Channel, Phase};
use serde_json::Value;

use crate::guest::{ACTION_BYTES, Action, GuestError, GuestErrorKind};
use crate::stream::Splice;
use places::Places;

/// What a plugin's offsets count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Units {
    /// UTF-8 bytes.
    #[default]
    Bytes,
    /// UTF-16 code units.
    Utf16,
    /// Unicode code points.
    CodePoints,
}

impl Units {
    /// How many units a text has.
    pub(crate) fn count(self, text: &str) -> usize {
        match self {
            Self::Bytes => text.len(),
            Self::CodePoints => text.chars().count(),
            Self::Utf16 => text.chars().map(char::len_utf16).sum(),
        }
    }
}

/// A segment as the host knows it: offsets are checked against it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page<'a> {
    pub(crate) id: u32,
    pub(crate) channel: Channel,
    pub(crate) text: &'a str,
    /// Bytes that are context only.
    pub(crate) sent: usize,
    pub(crate) label: Option<&'a str>,
}

/// How a plugin ends the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Block { code: String, message: String },
    Answer(String),
    Reask { route: Option<String>, instruction: Option<String> },
}

/// What is to be done with one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Ascending, not overlapping, on character boundaries, not before `sent`.
    pub(crate) splices: Vec<Splice>,
    /// Lowest byte that is held.
    pub(crate) hold: Option<usize>,
}

/// All actions of one answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Folded {
    /// One for each page, in order; empty when nothing was done to any.
    pub(crate) marks: Vec<Marks>,
    pub(crate) sets: Vec<(String, Value)>,
    pub(crate) notes: Vec<(String, String)>,
    /// The first block, answer or reask.
    pub(crate) stop: Option<Stop>,
}

/// What the rules depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) phase: Phase,
    pub(crate) units: Units,
    /// Bytes that an answer may have.
    pub(crate) output: usize,
    pub(crate) again: Again,
}

/// Whether the model may still be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    Yes,
    /// Something of its answer was sent.
    Late,
    /// It was asked again as often as it may.
    Enough,
}

/// How often plugins may have the model asked again in one request.
pub(crate) const MOST_REASKS: u32 = 2;
/// Longest instruction of a reask, in bytes.
const INSTRUCTION_BYTES: usize = 16 << 10;

/// Longest key of a note or code of a denial, in bytes.
const KEY_BYTES: usize = 128;
/// Longest value of a note, in bytes.
const NOTE_BYTES: usize = 4096;

/// Checks and folds a plugin's actions.
///
/// # Errors
/// `Contract` for a range outside its segment, before `sent`, inside a character or overlapping another; for a segment that was
/// not shown, a field that may not be set, an action that this phase does not have. `Output` past the byte limit.
pub(crate) fn fold(actions: Vec<Action>, pages: &[Page<'_>], rules: &Rules) -> Result<Folded, GuestError> {
    let mut folded = Folded::default();
    if actions.is_empty() {
        return Ok(folded);
    }
    if actions.iter().map(weight).sum::<usize>() > rules.output {
        return Err(GuestError::new(GuestErrorKind::Output, format!("more than {} bytes", rules.output)));
    }
    folded.marks.resize_with(pages.len(), Marks::default);
    let places = Places::of(&actions, pages, rules.units);
    for action in actions {
        apply(action, &places, rules, &mut folded)?;
    }
    for marks in &mut folded.marks {
        order(&mut marks.splices)?;
    }
    Ok(folded)
}

fn apply(action: Action, places: &Places<'_>, rules: &Rules, folded: &mut Folded) -> Result<(), GuestError> {
    match action {
        Action::Edit { segment, start, end, text } => {
            let index = places.page(segment)?;
            let (start, end) = (places.byte(index, start)?, places.byte(index, end)?);
            if start > end {
                return Err(contract(format!("edit of segment {segment} ends before it starts")));
            }
            folded.marks[index].splices.push(Splice { start, end, text });
        }
        Action::Hold { segment, start } => {
            let index = places.page(segment)?;
            let start = places.byte(index, start)?;
            let hold = &mut folded.marks[index].hold;
            *hold = Some(hold.map_or(start, |lower| lower.min(start)));
        }
        Action::Block { mut code, mut message } => {
            code.truncate(code.floor_char_boundary(KEY_BYTES));
            message.truncate(message.floor_char_boundary(NOTE_BYTES));
            folded.stop.get_or_insert(Stop::Block { code, message });
        }
        Action::Answer(text) => {
            folded.stop.get_or_insert(Stop::Answer(text));
        }
        Action::Reask { route, instruction } => {
            let stop = reask(route, instruction, rules)?;
            folded.stop.get_or_insert(stop);
        }
        Action::Set { pointer, value } => {
            if rules.phase != Phase::Request {
                return Err(contract(format!("set {pointer}: only in phase request")));
            }
            let value = settable(&pointer, &value)?;
            folded.sets.push((pointer, value));
        }
        Action::Note { key, value } => {
            if key.is_empty() || key.len() > KEY_BYTES || value.len() > NOTE_BYTES {
                return Err(contract(format!("note: key of 1 to {KEY_BYTES} bytes, value of at most {NOTE_BYTES}")));
            }
            folded.notes.push((key, value));
        }
    }
    Ok(())
}

/// A reask, where there is an answer to drop that nobody has seen.
fn reask(route: Option<String>, instruction: Option<String>, rules: &Rules) -> Result<Stop, GuestError> {
    let wrong = match rules.phase {
        Phase::Chunk | Phase::Response => match rules.again {
            _ if route.is_none() && instruction.is_none() => Some("name a route, an instruction or both".to_owned()),
            _ if route.as_ref().is_some_and(String::is_empty) => Some("a route's name is not empty".to_owned()),
            _ if instruction.as_ref().is_some_and(|text| text.len() > INSTRUCTION_BYTES) => {
                Some(format!("an instruction has at most {INSTRUCTION_BYTES} bytes"))
            }
            Again::Late => Some("too late: something of the answer was sent".to_owned()),
            Again::Enough => Some(format!("the model was asked again {MOST_REASKS} times in this request already")),
            Again::Yes => None,
        },
        Phase::Request => Some("nothing was asked yet: set /model, and edit".to_owned()),
        Phase::ToolCall | Phase::ToolResult => Some("only in the phases chunk and response".to_owned()),
    };
    match wrong {
        Some(wrong) => Err(contract(format!("reask: {wrong}"))),
        None => Ok(Stop::Reask { route, instruction }),
    }
}

fn order(splices: &mut [Splice]) -> Result<(), GuestError> {
    // Stable: insertions at one place stay in the order given, and come before a replacement that starts there.
    splices.sort_by_key(|splice| (splice.start, splice.end));
    match splices.windows(2).find(|pair| pair[0].end > pair[1].start) {
        Some(pair) => Err(contract(format!("edits {}..{} and {}.. overlap", pair[0].start, pair[0].end, pair[1].start))),
        None => Ok(()),
    }
}

fn weight(action: &Action) -> usize {
    ACTION_BYTES
        + match action {
            Action::Edit { text, .. } | Action::Answer(text) => text.len(),
            Action::Hold { .. } => 0,
            Action::Block { code, message } => code.len() + message.len(),
            Action::Reask { route, instruction } => {
                route.as_ref().map_or(0, String::len) + instruction.as_ref().map_or(0, String::len)
            }
            Action::Set { pointer, value } => pointer.len() + value.len(),
            Action::Note { key, value } => key.len() + value.len(),
        }
}

fn contract(message: impl Into<String>) -> GuestError {
    GuestError::new(GuestErrorKind::Contract, message)
}

/// The value of an allow-listed field, if it has the field's type.
fn settable(pointer: &str, value: &str) -> Result<Value, GuestError> {
    let value: Value =
        serde_json::from_str(value).map_err(|error| contract(format!("set {pointer}: the value is not JSON: {error}")))?;
    let fits = match pointer {
        "/model" => value.as_str().is_some_and(|name| !name.is_empty()),
        "/max_tokens" | "/max_completion_tokens" => value.as_u64().is_some_and(|tokens| tokens > 0),
        "/temperature" | "/top_p" | "/frequency_penalty" | "/presence_penalty" => value.is_number(),
        // What is larger cannot be kept, and would leave the request without a seed.
        "/seed" => value.is_i64(),
        "/stop" => value.is_string() || value.as_array().is_some_and(|all| all.iter().all(Value::is_string)),
        "/tool_choice" => value.is_string() || value.is_object(),
        _ => match pointer.strip_prefix("/metadata/") {
            Some(key) => !key.is_empty() && !key.contains('/') && !value.is_object() && !value.is_array(),
            None => return Err(contract(format!("set {pointer}: not a field that plugins may set"))),
        },
    };
    if fits { Ok(value) } else { Err(contract(format!("set {pointer}: a value of the wrong type"))) }
}

/// Applies splices to a whole text.
pub(crate) fn rewrite(text: &str, splices: &[Splice]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for splice in splices {
        out.push_str(&text[from..splice.start]);
        out.push_str(&splice.text);
        from = splice.end;
    }
    out.push_str(&text[from..]);
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    const PAGE: Page<'static> = Page { id: 3, channel: Channel::User, text: "aé🇩b", sent: 1, label: None };

    fn rules(units: Units) -> Rules {
        Rules { phase: Phase::Request, units, output: 1000, again: Again::Yes }
    }

    fn edit(start: u32, end: u32) -> Action {
        Action::Edit { segment: 3, start, end, text: "-".into() }
    }

    fn kind(actions: Vec<Action>, units: Units) -> Option<GuestErrorKind> {
        fold(actions, &[PAGE], &rules(units)).err().map(|error| error.kind)
    }

    #[test]
    fn offsets_are_read_in_the_plugins_units() {
        for (units, start, end) in [(Units::Bytes, 3, 7), (Units::Utf16, 2, 4), (Units::CodePoints, 2, 3)] {
            let folded = fold(vec![edit(start, end)], &[PAGE], &rules(units)).unwrap();
            assert_eq!(rewrite(PAGE.text, &folded.marks[0].splices), "aé-b", "{units:?}");
        }
    }

    #[test]
    fn many_offsets_are_found_in_one_walk() {
        let text = "é🇩a".repeat(5_000);
        let page = [Page { text: &text, sent: 0, ..PAGE }];
        for (units, width) in [(Units::CodePoints, 3), (Units::Utf16, 4)] {
            // From the last to the first, as a guest may.
            let edits = (0..5_000).rev().map(|at| edit(at * width, at * width + 1)).collect();
            let folded = fold(edits, &page, &Rules { output: 1 << 20, ..rules(units) }).unwrap();
            assert_eq!(rewrite(&text, &folded.marks[0].splices), "-🇩a".repeat(5_000), "{units:?}");
            assert!(fold(vec![edit(0, 5_000 * width + 1)], &page, &rules(units)).is_err());
        }
    }

    #[test]
    fn ranges_that_break_the_contract_are_refused() {
        let wrong = [
            vec![edit(2, 3)],
            vec![edit(3, 99)],
            vec![edit(0, 1)],
            vec![edit(7, 3)],
            vec![edit(1, 7), edit(3, 8)],
            vec![Action::Hold { segment: 3, start: 0 }],
            vec![Action::Hold { segment: 4, start: 1 }],
        ];
        for actions in wrong {
            assert_eq!(kind(actions.clone(), Units::Bytes), Some(GuestErrorKind::Contract), "{actions:?}");
        }
        assert_eq!(kind(vec![edit(3, 4)], Units::Utf16), Some(GuestErrorKind::Contract));
    }

    #[test]
    fn adjacent_edits_and_insertions_are_allowed_in_any_order() {
        let folded = fold(vec![edit(7, 8), edit(3, 7), edit(3, 3)], &[PAGE], &rules(Units::Bytes)).unwrap();
        assert_eq!(rewrite(PAGE.text, &folded.marks[0].splices), "aé---");
    }

    #[test]
    fn edits_find_their_segments_in_any_order() {
        let pages = [9, 3, 7].map(|id| Page { id, ..PAGE });
        let folded = fold(vec![edit(3, 7)], &pages, &rules(Units::Bytes)).unwrap();
        assert_eq!(folded.marks.iter().map(|marks| marks.splices.len()).collect::<Vec<_>>(), [0, 1, 0]);
        assert!(fold(vec![edit(3, 7)], &pages[2..], &rules(Units::Bytes)).is_err());
    }

    #[test]
    fn only_listed_fields_of_the_right_type_are_set() {
        let set = |pointer: &str, value: &str| vec![Action::Set { pointer: pointer.into(), value: value.into() }];
        let known: [(&str, &[&str], &[&str]); 11] = [
            ("/model", &["\"a/b\""], &["3", "\"\"", "null"]),
            ("/max_tokens", &["1"], &["0", "-1", "1.5", "\"1\""]),
            ("/max_completion_tokens", &["1"], &["0", "-1", "null"]),
            ("/temperature", &["0", "0.5"], &["\"0\"", "null"]),
            ("/top_p", &["1"], &["true"]),
            ("/frequency_penalty", &["-0.5"], &["[]"]),
            ("/presence_penalty", &["2"], &["{}"]),
            ("/seed", &["0", "-7"], &["{", "1.5", "18446744073709551615"]),
            ("/stop", &["\"x\"", "[\"x\"]", "[]"], &["3", "[3]"]),
            ("/tool_choice", &["\"none\"", "{\"type\":\"function\"}"], &["1", "[]"]),
            ("/metadata/team", &["\"x\"", "1", "true", "null"], &["{}", "[]"]),
        ];
        for (pointer, right, wrong) in known {
            let said = |values: &[&str]| -> Vec<_> { values.iter().map(|value| kind(set(pointer, value), Units::Bytes)).collect() };
            assert_eq!(said(right), vec![None; right.len()], "{pointer}");
            assert_eq!(said(wrong), vec![Some(GuestErrorKind::Contract); wrong.len()], "{pointer}");
        }
        for pointer in ["/messages/0", "/metadata/", "/metadata/a/b", "/metadata", "/tools", "/stream", "/n", "model", ""] {
            assert_eq!(kind(set(pointer, "\"x\""), Units::Bytes), Some(GuestErrorKind::Contract), "{pointer}");
        }
        let late = Rules { phase: Phase::Chunk, ..rules(Units::Bytes) };
        assert!(fold(set("/model", "\"a\""), &[PAGE], &late).is_err());
    }

    #[test]
    fn the_first_stop_counts_and_the_lowest_hold() {
        let actions = vec![
            Action::Hold { segment: 3, start: 7 },
            Action::Hold { segment: 3, start: 3 },
            Action::Answer("no".into()),
            Action::Block { code: "x".into(), message: String::new() },
        ];
        let folded = fold(actions, &[PAGE], &rules(Units::Bytes)).unwrap();
        assert_eq!(folded.marks[0].hold, Some(3));
        assert_eq!(folded.stop, Some(Stop::Answer("no".into())));
    }

    #[test]
    fn a_reask_needs_an_answer_that_nobody_has_seen() {
        let again = |phase, again, (route, instruction): (Option<&str>, Option<&str>)| {
            let action = Action::Reask { route: route.map(str::to_owned), instruction: instruction.map(str::to_owned) };
            fold(vec![action], &[PAGE], &Rules { phase, again, ..rules(Units::Bytes) }).map(|folded| folded.stop)
        };
        for phase in [Phase::Chunk, Phase::Response] {
            let stop = again(phase, Again::Yes, (Some("other"), None)).unwrap();
            assert_eq!(stop, Some(Stop::Reask { route: Some("other".into()), instruction: None }));
            assert!(again(phase, Again::Late, (Some("other"), None)).unwrap_err().message.contains("too late"));
            assert!(again(phase, Again::Enough, (Some("other"), None)).unwrap_err().message.contains("2 times"));
            let long = "x".repeat(INSTRUCTION_BYTES + 1);
            for wrong in [(None, None), (Some(""), None), (None, Some(long.as_str()))] {
                let rules = Rules { output: 1 << 20, phase, ..rules(Units::Bytes) };
                let (route, instruction) = (wrong.0.map(str::to_owned), wrong.1.map(str::to_owned));
                assert!(fold(vec![Action::Reask { route, instruction }], &[PAGE], &rules).is_err());
            }
        }
        for phase in [Phase::Request, Phase::ToolCall, Phase::ToolResult] {
            let error = again(phase, Again::Yes, (None, Some("shorter"))).unwrap_err();
            assert_eq!(error.kind, GuestErrorKind::Contract, "{phase:?}");
        }
    }

    #[test]
    fn too_many_bytes_are_an_output_error() {
        assert_eq!(kind(vec![edit(1, 1); 100], Units::Bytes), Some(GuestErrorKind::Output));
    }
}
