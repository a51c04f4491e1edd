//! Names with `*` in them: which names they mean, what stands in place of each `*`, and which of two is meant more closely.
//!
//! Apart because the configuration, LiteLLM's and the host read them alike. It must not know what a name leads to.

/// A name with at least one `*`: each stands for any text, an empty one too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(String);

/// How closely a pattern means a name: by its letters, then by how long its beginning is.
pub(crate) type Closeness = (usize, usize);

impl Pattern {
    /// The pattern that a text is, if it is one.
    pub(crate) fn of(text: &str) -> Option<Self> {
        text.contains('*').then(|| Self(text.to_owned()))
    }

    /// What stands in place of each `*` in a name that it means: the first has as much as it can.
    pub(crate) fn parts<'a>(&self, name: &'a str) -> Option<Vec<&'a str>> {
        let (first, rest) = self.0.split_once('*')?;
        let (middle, last) = rest.rsplit_once('*').map_or((None, rest), |(middle, last)| (Some(middle), last));
        let mut open = name.strip_prefix(first)?.strip_suffix(last)?;
        let mut parts = Vec::new();
        for piece in middle.into_iter().flat_map(|middle| middle.rsplit('*')) {
            let at = open.rfind(piece)?;
            parts.push(&open[at + piece.len()..]);
            open = &open[..at];
        }
        parts.push(open);
        parts.reverse();
        Some(parts)
    }

    /// How closely it means its names. Of all patterns that mean a name, the closest counts.
    pub(crate) fn closeness(&self) -> Closeness {
        (self.0.len() - stars(&self.0), self.0.find('*').unwrap_or_default())
    }

    /// Whether there is a name that both mean.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.0.as_bytes(), other.0.as_bytes());
        // Whether what follows here and there can be the same text; from the end.
        let mut below = vec![false; theirs.len() + 1];
        for at in (0..=ours.len()).rev() {
            let mut row = vec![false; theirs.len() + 1];
            for with in (0..=theirs.len()).rev() {
                row[with] = match (ours.get(at), theirs.get(with)) {
                    (None, None) => true,
                    (Some(b'*'), Some(_)) => below[with] || row[with + 1],
                    (Some(b'*'), None) => below[with],
                    (_, Some(b'*')) => row[with + 1] || (at < ours.len() && below[with]),
                    (Some(one), Some(other)) => one == other && below[with + 1],
                    (None, Some(_)) | (Some(_), None) => false,
                };
            }
            below = row;
        }
        below[0]
    }
}

/// How many `*` a text has.
pub(crate) fn stars(text: &str) -> usize {
    text.matches('*').count()
}

/// A text with these parts in place of its `*`.
pub(crate) fn filled(text: &str, parts: &[&str]) -> String {
    let mut parts = parts.iter();
    text.split_inclusive('*')
        .map(|piece| {
            piece.strip_suffix('*').map_or_else(|| piece.to_owned(), |start| format!("{start}{}", parts.next().unwrap_or(&"*")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::of(text).unwrap()
    }

    #[test]
    fn a_pattern_means_names_and_says_what_stands_in_place_of_each_star() {
        for (text, name, parts) in [
            ("claude-*", "claude-opus-5", Some(vec!["opus-5"])),
            ("*", "anything/at all", Some(vec!["anything/at all"])),
            ("*-mini", "gpt-mini-mini", Some(vec!["gpt-mini"])),
            ("a*b*c", "a1b2b3c", Some(vec!["1b2", "3"])),
            ("x::*::y::*", "x::1::y::2", Some(vec!["1", "2"])),
            ("*llama*", "llama-3", Some(vec!["", "-3"])),
            ("ab*ba", "aba", None),
            ("claude-*", "claude", None),
            ("a*b*c", "ac", None),
        ] {
            assert_eq!(pattern(text).parts(name), parts, "{text} {name}");
        }
        assert_eq!(Pattern::of("plain"), None);
        assert_eq!(filled("m-*-of-*", &["1", "2"]), "m-1-of-2");
        assert_eq!((filled("plain", &["1"]), filled("*", &["é"])), ("plain".to_owned(), "é".to_owned()));
    }

    #[test]
    fn the_closest_of_patterns_has_the_most_letters_and_then_the_longest_beginning() {
        let mut all = ["*", "*-mini", "gpt-*", "gpt-5-*", "gpt*-", "openai/*"].map(pattern);
        all.sort_by_key(|pattern| std::cmp::Reverse(pattern.closeness()));
        assert_eq!(all.map(|pattern| pattern.0), ["openai/*", "gpt-5-*", "*-mini", "gpt-*", "gpt*-", "*"]);
    }

    #[test]
    fn two_patterns_meet_where_a_name_could_be_meant_by_both() {
        for (one, other, meet) in [
            ("a*bc*", "a*cb*", true),
            ("a*", "b*", false),
            ("*a", "*b", false),
            ("a*", "*b", true),
            ("a*c", "a*d", false),
            ("**", "*", true),
            ("*x*", "y*", true),
        ] {
            assert_eq!((pattern(one).meets(&pattern(other)), pattern(other).meets(&pattern(one))), (meet, meet), "{one} {other}");
        }
    }
}
