//! From a pattern, the pattern of its beginnings: what a text may end with that becomes a match when the text goes on.
//!
//! It is apart because it is a change of one expression into another, and nothing else. It must not know texts or plugins.

use regex_syntax::hir::{Hir, HirKind, Look, Repetition};

/// Matches what one or more characters of a match leave at the end of a text, where at least one more is to come or something about
/// what comes next is to be known. `None` where that cannot be.
///
/// What it matches may also be no beginning in truth, where a condition on what comes next can never be met; it never lacks one.
pub(super) fn of(pattern: &Hir) -> Option<Hir> {
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) | HirKind::Class(_) => None,
        HirKind::Literal(literal) => match characters(&literal.0).as_slice() {
            [] | [_] => None,
            characters => of_sequence(characters),
        },
        HirKind::Repetition(repetition) => of_repetition(repetition),
        HirKind::Capture(capture) => of(&capture.sub),
        HirKind::Concat(parts) => of_sequence(parts),
        HirKind::Alternation(branches) => either(branches.iter().filter_map(of).collect()),
    }
}

/// The beginning of some part, with all parts before it whole. In halves, so that a long sequence does not nest as deep as it is long.
fn of_sequence(parts: &[Hir]) -> Option<Hir> {
    if let [] | [_] = parts {
        return parts.first().and_then(of);
    }
    let (left, right) = parts.split_at(parts.len() / 2);
    let whole = Hir::concat(left.to_vec());
    // Where the left half is no character, nothing of it is at the end; where it may be none, and is none, nothing is found there,
    // which is seen by the length.
    let cut = (whole.properties().maximum_len() != Some(0)).then(end);
    let after = either(cut.into_iter().chain(of_sequence(right)).collect()).map(|after| Hir::concat(vec![whole, after]));
    either(of_sequence(left).into_iter().chain(after).collect())
}

/// The beginning of one turn, after as many as leave room for it; or fewer turns than must be.
fn of_repetition(repetition: &Repetition) -> Option<Hir> {
    let times = |min, max| Hir::repetition(Repetition { min, max, greedy: true, sub: repetition.sub.clone() });
    let most_before = match repetition.max {
        Some(0) => return None,
        Some(most) => Some(most - 1),
        None => None,
    };
    let inside = of(&repetition.sub).map(|begun| Hir::concat(vec![times(0, most_before), begun]));
    let between = (repetition.min > 1).then(|| Hir::concat(vec![times(1, Some(repetition.min - 1)), end()]));
    either(inside.into_iter().chain(between).collect())
}

fn either(all: Vec<Hir>) -> Option<Hir> {
    if all.is_empty() { None } else { Some(Hir::alternation(all)) }
}

fn end() -> Hir {
    Hir::look(Look::End)
}

/// A literal, one character at a time. One that is no UTF-8 cannot stand in a text.
fn characters(literal: &[u8]) -> Vec<Hir> {
    let text = std::str::from_utf8(literal).unwrap_or_default();
    text.chars().map(|character| Hir::literal(character.to_string().into_bytes())).collect()
}
