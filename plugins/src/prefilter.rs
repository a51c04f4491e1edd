//! The prefilter of a plugin: whether what it looks for may begin in a text, or may be beginning at the text's end.
//!
//! A plugin says with regular expressions what all of its matches begin with. The host searches for these itself, which takes it
//! nanoseconds, and calls the guest only where one is found. It is apart because two things rest on it: a guest is not called for a
//! text in which it has nothing to say, and yet no match that a stream cuts in two is missed. It must not know guests or windows.

mod beginnings;
mod search;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;
use search::{Automaton, GaveUp};

/// Most patterns of one plugin.
const MOST: usize = 1024;
/// Longest pattern, in bytes. What begins a match is short; and what is made of a pattern nests as deep as it is long.
const LONGEST: usize = 512;
/// How deep a pattern may nest.
const DEEPEST: u32 = 32;

/// The patterns of one plugin, compiled.
#[derive(Debug)]
pub(crate) struct Prefilter {
    matches: Automaton,
    /// What may become a match when the text goes on: the beginnings of matches, at the end of the text.
    begun: Option<Automaton>,
}

impl Prefilter {
    /// Of these patterns, in the syntax of the crate `regex`; `None` of none, which says nothing about any text.
    ///
    /// # Errors
    /// Which pattern is wrong, and how; or that they are too many, too long, or too much together.
    pub(crate) fn new(patterns: &[String]) -> Result<Option<Self>, String> {
        if patterns.is_empty() {
            return Ok(None);
        }
        if patterns.len() > MOST {
            return Err(format!("prefilter: {} patterns, and at most {MOST} are allowed", patterns.len()));
        }
        let patterns = patterns.iter().map(|pattern| parse(pattern)).collect::<Result<Vec<_>, _>>()?;
        let beginnings: Vec<Hir> = patterns.iter().filter_map(beginnings::of).collect();
        let wrong = |what: String| format!("prefilter: {what}");
        let matches = Automaton::forward(&Hir::alternation(patterns)).map_err(wrong)?;
        let begun = (!beginnings.is_empty()).then(|| Automaton::backward(&Hir::alternation(beginnings))).transpose();
        Ok(Some(Self { matches, begun: begun.map_err(wrong)? }))
    }

    /// Whether a match stands in the text, and begins at this byte or later. Where that would take too long to tell, one may: the
    /// guest is asked then, on its own time.
    pub(crate) fn stands_in(&self, text: &str, from: usize) -> bool {
        self.matches.matches(text, from).unwrap_or(true)
    }

    /// The first byte, at or after this one, from which the rest of the text is the beginning of a match and not all of it. Where
    /// that would take too long to tell, it is this one: all stays back, and past the bounds of a hold the guest is asked.
    pub(crate) fn begins_in(&self, text: &str, from: usize) -> Option<usize> {
        let found = match self.begun.as_ref()?.longest_at_end(text, from) {
            Ok(found) => found?,
            Err(GaveUp) => from,
        };
        Some(found).filter(|at| *at < text.len())
    }
}

fn parse(pattern: &str) -> Result<Hir, String> {
    let wrong = |what: &dyn std::fmt::Display| format!("prefilter: the pattern {:?}: {what}", shortened(pattern));
    if pattern.len() > LONGEST {
        return Err(wrong(&format_args!("longer than {LONGEST} bytes")));
    }
    let hir = ParserBuilder::new().nest_limit(DEEPEST).build().parse(pattern).map_err(|error| match error {
        regex_syntax::Error::Parse(error) => wrong(&format_args!("{} at byte {}", error.kind(), error.span().start.offset)),
        regex_syntax::Error::Translate(error) => wrong(&format_args!("{} at byte {}", error.kind(), error.span().start.offset)),
        error => wrong(&error),
    })?;
    if hir.properties().minimum_len() == Some(0) {
        return Err(wrong(&"it matches nothing at all, and so stands in every text"));
    }
    Ok(hir)
}

fn shortened(pattern: &str) -> &str {
    &pattern[..pattern.floor_char_boundary(64)]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;
    use regex_automata::meta::Regex;
    use regex_automata::{Anchored, Input};

    use super::*;

    fn prefilter(patterns: &[&str]) -> Prefilter {
        Prefilter::new(&patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>()).unwrap().unwrap()
    }

    #[test]
    fn a_match_is_found_where_it_begins_late_enough() {
        let prefilter = prefilter(&["sk-", "(?i)bearer ", "é-"]);
        for (text, from, stands) in
            [("BEARER x", 0, true), ("BEARER x", 1, false), ("sk_ earer", 0, false), ("café-", 0, true), ("", 0, false)]
        {
            assert_eq!(prefilter.stands_in(text, from), stands, "{text} from {from}");
        }
        let bounded = super::Prefilter::new(&[r"\bsk-".to_owned()]).unwrap().unwrap();
        assert!(bounded.stands_in("a sk-", 2) && !bounded.stands_in("disk-", 2), "what stands before is looked at");
    }

    #[test]
    fn a_beginning_is_found_where_it_is_longest() {
        let prefilter = prefilter(&["-----BEGIN ", "(?i)sk-", "é-", "x{3}", "(?:no|yes)+!", r"word\b"]);
        for (text, at) in [
            ("", None),
            ("task", Some(2)),
            ("disk ", None),
            ("a S", Some(2)),
            ("ask", Some(1)),
            ("sk-s", Some(3)),
            ("a -----BEG", Some(2)),
            ("-------", Some(2)),
            ("café", Some(3)),
            ("cafe", None),
            ("axx", Some(1)),
            ("axxxx", Some(3)),
            ("so noyesnoye", Some(3)),
            ("a word", Some(2)),
        ] {
            assert_eq!(prefilter.begins_in(text, 0), at, "{text}");
        }
        assert_eq!(prefilter.begins_in("-------", 4), Some(4), "what was sent is past");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let complaint = |pattern: &str| Prefilter::new(&[pattern.to_owned()]).unwrap_err();
        assert_eq!(complaint("a(b"), "prefilter: the pattern \"a(b\": unclosed group at byte 1");
        assert!(complaint("a*").contains("stands in every text"));
        assert!(complaint(r"\b").contains("stands in every text"));
        assert!(complaint(&"x".repeat(513)).contains("longer than 512 bytes"));
        assert!(complaint(r"\pL{1000}{1000}").contains("1048576 bytes"));
        assert!(complaint(&format!("{}a{}", "(".repeat(40), ")".repeat(40))).contains("nest"));
        assert!(Prefilter::new(&vec!["a".to_owned(); 1025]).unwrap_err().contains("1025 patterns"));
        assert!(Prefilter::new(&[]).unwrap().is_none());
    }

    #[test]
    fn the_longest_pattern_is_no_trouble() {
        let pattern = "ab".repeat(256);
        let prefilter = prefilter(&[&pattern]);
        assert!(prefilter.stands_in(&pattern, 0));
        assert_eq!(prefilter.begins_in(&format!("b{}", &pattern[..511]), 0), Some(1));
    }

    /// Patterns whose states are without end: it gives up early, and does not miss anything.
    #[test]
    fn a_pattern_that_takes_too_much_is_given_up() {
        let prefilter = prefilter(&["[ab]*a[ab]{200}[cd]*c[cd]{200}"]);
        let mut state = 1_u64;
        let mut letter = |two: [char; 2]| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            two[(state >> 63) as usize]
        };
        let text: String = (0..400_000).map(|_| letter(['a', 'b'])).collect();
        assert!(prefilter.stands_in(&text, 0), "nobody knows");
        assert_eq!(prefilter.matches.matches(&text, 0), Err(GaveUp));
        assert_eq!(prefilter.begins_in(&text, 7), Some(7));
    }

    /// Patterns of few letters, so that texts of the same letters meet them.
    fn patterns() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "[abc é]{1,3}",
            Just("[ab]".to_owned()),
            Just("[^a]".to_owned()),
            Just(r"\b".to_owned()),
            Just(r"\B".to_owned()),
            Just(r"(?-u:\b{start-half})".to_owned()),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 2..4).prop_map(|all| all.concat()),
                proptest::collection::vec(inner.clone(), 2..4).prop_map(|all| format!("(?:{})", all.join("|"))),
                (inner.clone(), prop_oneof![Just("*"), Just("+"), Just("?"), Just("{2}"), Just("{1,3}"), Just("{0,2}?")])
                    .prop_map(|(one, times)| format!("(?:{one}){times}")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, max_global_rejects: 100_000, ..ProptestConfig::default() })]
        #[test]
        fn wherever_a_match_is_cut_its_beginning_is_found(
            patterns in proptest::collection::vec(patterns(), 1..3), text in "[abc é]{0,12}", sent in 0usize..4
        ) {
            let Ok(Some(prefilter)) = Prefilter::new(&patterns) else { return Err(TestCaseError::reject("matches nothing")) };
            let sent = text.char_indices().nth(sent).map_or(text.len(), |(at, _)| at);
            // Another engine says where the first match is, and whether one is there when less of the text is known.
            let oracle = Regex::new_many(&patterns).unwrap();
            let found = oracle.find(Input::new(&text).span(sent..text.len()));
            prop_assert!(found.is_none() || prefilter.stands_in(&text, sent), "{:?} from {} with {:?}", text, sent, patterns);
            let Some(found) = found else { return Ok(()) };
            for (cut, _) in text.char_indices().filter(|(cut, _)| *cut > found.start()) {
                let seen = &text[..cut];
                let kept = prefilter.begins_in(seen, sent).is_some_and(|begun| begun <= found.start());
                let shown = oracle.is_match(Input::new(seen).span(found.start()..cut).anchored(Anchored::Yes));
                prop_assert!(kept || shown, "{:?} cut at {} with {:?}", text, cut, patterns);
            }
        }
    }
}
