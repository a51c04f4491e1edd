//! What stages must know of a dialect's own fields beside an answer's text: which begin an item, which hold no text, which point into one.
//!
//! Apart because stages ask it of a name alone. It must not know what else a field holds.

use gatewright_types::Delta;

use super::openai_responses;

/// Whether an item of an answer begins with this delta: the text before it is over.
pub(crate) fn begins_item(delta: &Delta) -> bool {
    matches!(delta, Delta::Other { delta, .. } if delta.iter().any(|(name, _)| openai_responses::begins_item(name)))
}

/// Whether a field only says what kind of text comes next: nothing was said yet.
pub(crate) fn announces(name: &str) -> bool {
    openai_responses::announces(name)
}

/// Whether a field is a note of ours that holds a word of ours, and no text.
pub(crate) fn is_note(name: &str, json: &str) -> bool {
    openai_responses::is_note(name) && is_word(json)
}

/// Whether a field says where in a text something is.
pub(crate) fn points_into_text(name: &str) -> bool {
    name == "annotations" || openai_responses::is_annotation(name)
}

/// A text in JSON that is a name.
pub(crate) fn is_word(json: &str) -> bool {
    const LONGEST: usize = 64;
    let word = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let fits = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'_' | b'-' | b'.');
    word.is_some_and(|word| word.len() <= LONGEST && word.bytes().all(fits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_a_word_under_a_name_of_ours() {
        assert!(is_note("openai_responses.phase", "\"commentary\""));
        for (name, json) in [
            ("phase", "\"commentary\""),
            ("openai_responses.item", "\"commentary\""),
            ("openai_responses.phase", "\"my secret\""),
            ("openai_responses.other_phase", "\"sk-123456\""),
            ("openai_responses.namespace", "\"sk-123456\""),
            ("openai_responses.phase", "{\"a\":1}"),
        ] {
            assert!(!is_note(name, json), "{name}: {json}");
        }
    }
}
