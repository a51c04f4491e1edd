//! Any actions on any segments: they are refused, or come to what a naive model says.
//!
//! Apart because the model must share nothing with what it checks. It must not know how actions are folded.

use gatewright_types::{Channel, Phase};

use super::draw::Draw;
use crate::chain::{self, Again, Folded, Page, Rules, Stop, Units};
use crate::guest::{ACTION_BYTES, Action, GuestErrorKind};

const LETTERS: [&str; 9] = ["a", "b", "é", "e\u{301}", "🇩", "👩\u{200d}👧", "漢", "\r\n", " "];
/// Fields and values, and whether they may be set.
const SETS: [(&str, &str, bool); 12] = [
    ("/model", "\"a/b\"", true),
    ("/model", "\"\"", false),
    ("/model", "{", false),
    ("/temperature", "0.5", true),
    ("/max_tokens", "0", false),
    ("/max_tokens", "18446744073709551616", false),
    ("/stop", "[\"x\"]", true),
    ("/stop", "[1]", false),
    ("/metadata/a", "\"b\"", true),
    ("/metadata/a", "{}", false),
    ("/messages/0/content", "\"x\"", false),
    ("", "null", false),
];
const PHASES: [Phase; 4] = [Phase::Request, Phase::Chunk, Phase::Response, Phase::ToolCall];

/// One trial.
pub fn fold(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    let units = *draw.of(&[Units::Bytes, Units::Utf16, Units::CodePoints]);
    let phase = *draw.of(&PHASES);
    let output = *draw.of(&[40_000, 2000, 300, 64, 0]);
    let again = *draw.of(&[Again::Yes, Again::Yes, Again::Late, Again::Enough]);
    let rules = Rules { phase, units, output, again };
    let texts: Vec<(u32, String, usize)> = (0..=draw.below(3))
        .map(|at| {
            let text = draw.text(&LETTERS, 12);
            let ends: Vec<usize> = text.char_indices().map(|(end, _)| end).chain([text.len()]).collect();
            ([7, 0, u32::MAX][at], text, ends[draw.below(2) * draw.below(ends.len())])
        })
        .collect();
    let page = |(id, text, sent): &'_ (u32, String, usize)| (*id, *sent, text.clone());
    let owned: Vec<(u32, usize, String)> = texts.iter().map(page).collect();
    let pages: Vec<Page<'_>> =
        owned.iter().map(|(id, sent, text)| Page { id: *id, channel: Channel::User, text, sent: *sent, label: None }).collect();
    let mut actions = Vec::new();
    while !draw.is_empty() && actions.len() < 40 {
        actions.push(action(&mut draw));
    }
    match (chain::fold(actions.clone(), &pages, &rules), model(&actions, &pages, &rules)) {
        (Err(error), Err(kind)) => assert_eq!(error.kind, kind, "{error} {actions:?}"),
        (Ok(folded), Ok(expected)) => same(&folded, &expected, (&actions, &pages)),
        (got, expected) => panic!("{got:?}, and the model: {expected:?}: {actions:?} on {pages:?}"),
    }
}

fn action(draw: &mut Draw<'_>) -> Action {
    let segment = *draw.of(&[7, 7, 7, 0, u32::MAX, 3]);
    let mut place = || if draw.below(16) == 0 { u32::MAX } else { draw.below(24) as u32 };
    let (start, end) = (place(), place());
    match draw.below(13) {
        0 => Action::Hold { segment, start },
        1 => Action::Block { code: "c".repeat(draw.below(200)), message: draw.text(&LETTERS, 4) },
        2 => Action::Answer(draw.text(&LETTERS, 4)),
        3 => {
            let (pointer, value, _) = *draw.of(&SETS);
            Action::Set { pointer: pointer.into(), value: value.into() }
        }
        12 => Action::Reask {
            route: [None, Some(String::new()), Some("r".into())][draw.below(3)].clone(),
            instruction: [None, Some("i".into()), Some("i".repeat((16 << 10) + draw.below(2)))][draw.below(3)].clone(),
        },
        4 => Action::Note { key: "k".repeat(draw.below(140)), value: "é".repeat(draw.below(3) * 2048) },
        // Short and in order, so that many of them fit together.
        5..=8 => Action::Edit { segment, start, end: start.saturating_add(draw.below(3) as u32), text: draw.text(&LETTERS, 3) },
        _ => Action::Edit { segment, start, end, text: draw.text(&LETTERS, 3) },
    }
}

/// What each page becomes and from where it is held.
type Expected = Vec<(String, Option<usize>)>;

fn model(actions: &[Action], pages: &[Page<'_>], rules: &Rules) -> Result<Expected, GuestErrorKind> {
    let weight: usize = actions.iter().map(weight).sum();
    if weight > rules.output {
        return Err(GuestErrorKind::Output);
    }
    let mut edits: Vec<(usize, usize, usize, &str)> = Vec::new();
    let mut holds = vec![None::<usize>; pages.len()];
    let place = |segment: u32, offset: u32| {
        let page = pages.iter().position(|page| page.id == segment).ok_or(GuestErrorKind::Contract)?;
        let at = meaning(&pages[page], offset, rules.units).ok_or(GuestErrorKind::Contract)?;
        Ok((page, at))
    };
    for action in actions {
        match action {
            Action::Edit { segment, start, end, text } => {
                let ((page, start), (_, end)) = (place(*segment, *start)?, place(*segment, *end)?);
                if start > end || edits.iter().any(|other| other.0 == page && overlap((other.1, other.2), (start, end))) {
                    return Err(GuestErrorKind::Contract);
                }
                edits.push((page, start, end, text));
            }
            Action::Hold { segment, start } => {
                let (page, at) = place(*segment, *start)?;
                holds[page] = Some(holds[page].unwrap_or(at).min(at));
            }
            Action::Set { pointer, value } => {
                let known = SETS.iter().any(|(of, to, may)| *may && of == pointer && to == value);
                if !known || rules.phase != Phase::Request {
                    return Err(GuestErrorKind::Contract);
                }
            }
            Action::Reask { route, instruction } => {
                let streams = matches!(rules.phase, Phase::Chunk | Phase::Response) && rules.again == Again::Yes;
                let route = route.as_deref();
                let short = instruction.as_ref().is_none_or(|text| text.len() <= 16_384);
                if !streams || route == Some("") || (route, instruction) == (None, &None) || !short {
                    return Err(GuestErrorKind::Contract);
                }
            }
            Action::Note { key, value } if key.is_empty() || key.len() > 128 || value.len() > 4096 => {
                return Err(GuestErrorKind::Contract);
            }
            _ => {}
        }
    }
    let edited = |(at, page): (usize, &Page<'_>)| edited(page.text, edits.iter().filter(|edit| edit.0 == at));
    Ok(pages.iter().enumerate().map(edited).zip(holds).collect())
}

/// The byte that an offset means: found by counting.
fn meaning(page: &Page<'_>, offset: u32, units: Units) -> Option<usize> {
    let mut count = 0;
    for (at, character) in page.text.char_indices().map(|(at, c)| (at, Some(c))).chain([(page.text.len(), None)]) {
        if count == offset {
            return (at >= page.sent).then_some(at);
        }
        count += character.map_or(0, |character| match units {
            Units::Bytes => character.len_utf8() as u32,
            Units::Utf16 => character.len_utf16() as u32,
            Units::CodePoints => 1,
        });
    }
    None
}

fn overlap(a: (usize, usize), b: (usize, usize)) -> bool {
    if a.0 == a.1 && b.0 == b.1 { false } else { a.0 < b.1 && b.0 < a.1 }
}

/// Walks the text: at each byte the insertions, in the order given, then what stands there or takes its place.
fn edited<'a>(text: &str, edits: impl Iterator<Item = &'a (usize, usize, usize, &'a str)> + Clone) -> String {
    let mut out = String::new();
    let mut at = 0;
    loop {
        edits.clone().filter(|edit| edit.1 == at && edit.2 == at).for_each(|edit| out.push_str(edit.3));
        if let Some(edit) = edits.clone().find(|edit| edit.1 == at && edit.2 > at) {
            out.push_str(edit.3);
            at = edit.2;
        } else if let Some(character) = text[at..].chars().next() {
            out.push(character);
            at += character.len_utf8();
        } else {
            return out;
        }
    }
}

fn weight(action: &Action) -> usize {
    let texts = match action {
        Action::Edit { text, .. } | Action::Answer(text) => text.len(),
        Action::Block { code, message } => code.len() + message.len(),
        Action::Set { pointer: one, value: two } | Action::Note { key: one, value: two } => one.len() + two.len(),
        Action::Reask { route, instruction } => [route, instruction].into_iter().flatten().map(String::len).sum(),
        Action::Hold { .. } => 0,
    };
    texts + ACTION_BYTES
}

fn same(folded: &Folded, expected: &Expected, (actions, pages): (&[Action], &[Page<'_>])) {
    for (at, (text, hold)) in expected.iter().enumerate() {
        let marks = folded.marks.get(at).cloned().unwrap_or_default();
        assert_eq!(chain::rewrite(pages[at].text, &marks.splices), *text, "{actions:?}");
        assert_eq!(marks.hold, *hold, "{actions:?}");
    }
    let stop = actions.iter().find(|action| matches!(action, Action::Block { .. } | Action::Answer(_) | Action::Reask { .. }));
    match (stop, &folded.stop) {
        (None, None) => {}
        (Some(Action::Answer(text)), Some(Stop::Answer(said))) => assert_eq!(text, said),
        (Some(Action::Block { code, message }), Some(Stop::Block { code: short, message: said })) => {
            assert!(code.starts_with(short.as_str()) && short.len() == code.len().min(128) && message == said);
        }
        (Some(Action::Reask { route, instruction }), Some(Stop::Reask { route: to, instruction: with })) => {
            assert_eq!((route, instruction), (to, with));
        }
        (wanted, got) => panic!("{wanted:?} and {got:?}"),
    }
    let sets = actions.iter().filter(|action| matches!(action, Action::Set { .. })).count();
    let notes = actions.iter().filter(|action| matches!(action, Action::Note { .. })).count();
    assert_eq!((folded.sets.len(), folded.notes.len()), (sets, notes));
}
