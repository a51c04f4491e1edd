//! That the prefilter's expressions miss nothing: wherever the scan finds a term, one of them matches; wherever it finds what may be
//! the beginning of one, one of them is under way there.
//!
//! It is apart from what says that the scan is right. Expressions are run by the crate that the host runs them with.

mod texts;

use regex_automata::hybrid::dfa::DFA;
use regex_automata::{Anchored, Input};
use texts::{Dice, TERMS, json, text};
use topic_deny::escapes;
use topic_deny::prefilter::patterns;
use topic_deny::scan::{Found, Reach, scan};
use topic_deny::terms::Terms;

/// What the expressions make of a text from one place on.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// None of them begins here.
    Nothing,
    /// One may, if the text goes on.
    Begun,
    Match,
}

struct Prefilter {
    dfa: DFA,
    cache: regex_automata::hybrid::dfa::Cache,
}

impl Prefilter {
    fn new(terms: &Terms) -> Self {
        let dfa = DFA::builder().build_many(&patterns(terms)).unwrap();
        let cache = dfa.create_cache();
        Self { dfa, cache }
    }

    fn at(&mut self, text: &str, from: usize) -> Seen {
        let input = Input::new(text).span(from..text.len()).anchored(Anchored::Yes);
        let mut state = self.dfa.start_state_forward(&mut self.cache, &input).unwrap();
        for &byte in &text.as_bytes()[from..] {
            state = self.dfa.next_state(&mut self.cache, state, byte).unwrap();
            if state.is_match() {
                return Seen::Match;
            }
            if state.is_dead() {
                return Seen::Nothing;
            }
        }
        let end = self.dfa.next_eoi_state(&mut self.cache, state).unwrap();
        if end.is_match() { Seen::Match } else { Seen::Begun }
    }

    /// Whether it matches, from any place on that was not sent.
    fn matches(&mut self, text: &str, sent: usize) -> bool {
        (sent..=text.len()).filter(|&at| text.is_char_boundary(at)).any(|at| self.at(text, at) == Seen::Match)
    }

    fn assert_misses_nothing(&mut self, list: &[&str], terms: &Terms, text: &str, sent: usize) {
        for reach in [Reach::Whole, Reach::Cut] {
            let about = || format!("{list:?} in {text:?}, {sent} sent, {reach:?}");
            match scan(terms, text, sent, reach) {
                // One that begins in what was sent is not found in a stream: its beginning was held.
                Found::Denied { .. } if sent == 0 => assert!(self.matches(text, 0), "{}", about()),
                Found::Open { start } if start >= sent => {
                    // Where any other matches, the scan is asked, and holds for itself.
                    let mut places = (sent..=start).filter(|&at| text.is_char_boundary(at));
                    let held = self.matches(text, sent) || places.any(|at| self.at(text, at) != Seen::Nothing);
                    assert!(held, "{}: {start}", about());
                }
                _ => {}
            }
        }
    }
}

/// What the host makes of a stream that is cut at these places: whether it is denied. Nothing but what may be the beginning of
/// something stays back.
fn is_denied(prefilter: &mut Prefilter, terms: &Terms, text: &str, cuts: &[usize]) -> bool {
    let (mut sent, mut holds) = (0, false);
    for &end in cuts.iter().chain([&text.len()]) {
        let (seen, last) = (&text[..end], end == text.len());
        let mut open = None;
        if holds || prefilter.matches(seen, sent) {
            match scan(terms, seen, sent, if last { Reach::Whole } else { Reach::Cut }) {
                Found::Denied { .. } => return true,
                Found::Open { start } => open = Some(start.max(sent)),
                Found::Nothing => {}
            }
        }
        let begun = (sent..end).filter(|&at| seen.is_char_boundary(at)).find(|&at| prefilter.at(seen, at) == Seen::Begun);
        holds = open.is_some();
        sent = [open, begun, Some(end)].into_iter().flatten().min().unwrap_or(end);
    }
    false
}

#[test]
fn what_is_denied_does_not_depend_on_the_cuts() {
    let all: Vec<&str> = TERMS.split('|').collect();
    let rounds = std::env::var("TOPIC_DENY_ROUNDS").ok().and_then(|it| it.parse().ok()).unwrap_or(300);
    let mut dice = Dice(std::env::var("TOPIC_DENY_SEED").ok().and_then(|it| it.parse().ok()).unwrap_or(5));
    for _ in 0..rounds {
        let list: Vec<&str> = (0..=dice.below(3)).map(|_| dice.one(&all)).collect();
        let terms = Terms::new(&list).unwrap();
        let mut prefilter = Prefilter::new(&terms);
        for _ in 0..8 {
            let text = text(&mut dice, &list);
            let whole = matches!(scan(&terms, &text, 0, Reach::Whole), Found::Denied { .. });
            let often = 1 + dice.below(9);
            let cuts: Vec<usize> = text.char_indices().map(|(at, _)| at).filter(|_| dice.below(often) == 0).collect();
            assert_eq!(is_denied(&mut prefilter, &terms, &text, &cuts), whole, "{list:?} in {text:?} cut at {cuts:?}");
        }
    }
}

#[test]
fn nothing_is_missed() {
    let all: Vec<&str> = TERMS.split('|').collect();
    let rounds = std::env::var("TOPIC_DENY_ROUNDS").ok().and_then(|it| it.parse().ok()).unwrap_or(1_000);
    let mut dice = Dice(std::env::var("TOPIC_DENY_SEED").ok().and_then(|it| it.parse().ok()).unwrap_or(1));
    for _ in 0..rounds {
        let list: Vec<&str> = (0..=dice.below(3)).map(|_| dice.one(&all)).collect();
        let terms = Terms::new(&list).unwrap();
        let mut prefilter = Prefilter::new(&terms);
        for _ in 0..8 {
            let text = text(&mut dice, &list);
            for sent in [0, text.len(), dice.below(text.len() + 1)] {
                let sent = text.floor_char_boundary(sent);
                // An underscore may be the beginning of a match: none was sent before what follows it was seen.
                let sent = sent - text[..sent].bytes().rev().take_while(|&it| it == b'_').count();
                prefilter.assert_misses_nothing(&list, &terms, &text, sent);
            }
        }
    }
}

/// Of JSON as it is on the wire the host says what it says of any text; the scan reads its escapes.
#[test]
fn nothing_that_is_written_as_an_escape_is_missed() {
    let all: Vec<&str> = TERMS.split('|').collect();
    let rounds = std::env::var("TOPIC_DENY_ROUNDS").ok().and_then(|it| it.parse().ok()).unwrap_or(1_000);
    let mut dice = Dice(std::env::var("TOPIC_DENY_SEED").ok().and_then(|it| it.parse().ok()).unwrap_or(7));
    let mut denied = 0;
    for _ in 0..rounds {
        let list: Vec<&str> = (0..=dice.below(3)).map(|_| dice.one(&all)).collect();
        let terms = Terms::new(&list).unwrap();
        let mut prefilter = Prefilter::new(&terms);
        for _ in 0..8 {
            let text = text(&mut dice, &list);
            let written = json(&mut dice, &text);
            let Some(read) = escapes::read(&written) else { continue };
            assert_eq!(read.replace('<', ">"), text.replace('<', ">"), "{written:?}");
            if let Found::Denied { .. } = scan(&terms, &read, 0, Reach::Whole) {
                denied += 1;
                assert!(prefilter.matches(&written, 0), "{list:?} in {written:?}");
            }
        }
    }
    assert!(denied > rounds, "{denied}");
}

#[test]
fn any_two_characters_are_seen() {
    for list in ["ok", "lil", "*lil", "il*", "a b", "r2d2", "*2", "o", "bé", "бомба", "ail|ml", "s1|11", "ton|*cat|gq"] {
        let list: Vec<&str> = list.split('|').collect();
        let terms = Terms::new(&list).unwrap();
        let mut prefilter = Prefilter::new(&terms);
        for (first, second) in ('\0'..='\x7f').flat_map(|first| ('\0'..='\x7f').map(move |second| (first, second))) {
            for text in [format!("{first}{second}"), format!("x {first}{second}l "), format!("_{first}{second}")] {
                prefilter.assert_misses_nothing(&list, &terms, &text, 0);
            }
        }
    }
}

/// A long list of terms, for which three letters would be too many expressions.
#[test]
fn many_terms_have_shorter_expressions() {
    let letters = "abcdefghijklmnopqrstuvwxyz";
    let list: Vec<String> = letters.chars().flat_map(|a| letters.chars().map(move |b| format!("{a}{b}q word"))).collect();
    let list: Vec<&str> = list.iter().map(String::as_str).collect();
    let terms = Terms::new(&list).unwrap();
    assert_eq!(patterns(&terms).len(), 26 + 3);
    let mut prefilter = Prefilter::new(&terms);
    let mut dice = Dice(4);
    for _ in 0..100 {
        let text = text(&mut dice, &list);
        prefilter.assert_misses_nothing(&[], &terms, &text, 0);
    }
}

#[test]
fn ordinary_text_is_seldom_asked_about() {
    let terms = Terms::new(&["project nightingale", "acquisition of globex*", "kompromat"]).unwrap();
    let mut prefilter = Prefilter::new(&terms);
    for (text, matches) in [
        ("The quick brown fox jumps over a lazy dog, and all are at peace.", false),
        ("a problem", true),
        ("p. r - o", true),
        ("4cq", true),
        ("xpro", false),
        ("snake_project", true),
        ("naïve", true),
        (r#"{"text":"lines\nof\tmany \"words\"\r\n\u003cb\u003e\/x\\"}"#, false),
        (r#"{"text":"lines\nproject"}"#, true),
        (r#"{"text":"k\no\nm"}"#, true),
        (r#"{"text":"k\u006fm"}"#, true),
        (r#"{"text":"\u4f60"}"#, true),
    ] {
        assert_eq!(prefilter.matches(text, 0), matches, "{text}");
    }
}
