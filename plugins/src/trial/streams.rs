//! The promise of streaming, through whole chains: what comes out does not depend on how a stream is cut, nothing is lost, and what
//! was sent never ends inside a grapheme.
//!
//! Apart because it puts chains, lanes and cuts together. It must not know how a window is kept: it sees what comes out.

use std::sync::Arc;

use futures_util::FutureExt;
use gatewright_types::Channel;
use unicode_segmentation::UnicodeSegmentation;

use super::draw::Draw;
use super::rules::{Plain, Script};
use crate::api::{Context, Lane, Operator, Piece, Source, Verdict};
use crate::host::{Host, Plugin};
use crate::session::Chain;

/// Few of each kind, so that something is found; and what makes graphemes of several characters.
const LETTERS: [&str; 16] = ["a", "b", "c", "d", "e", "\u{301}", "👩", "\u{200d}", "👧", "🇩", "🇪", "漢", "字", "x", "\r\n", " "];
/// What is replaced by what: one plugin makes what the next one looks for, and rules overlap, grow, shrink and insert.
const RULES: [&[(&str, &str)]; 9] = [
    &[("ab", "c"), ("bcd", "")],
    &[("cc", "x"), ("e\u{301}", "E")],
    &[("漢字", "kanji"), ("字", "")],
    &[("👩\u{200d}👧", "family"), ("👩", "a"), ("\u{200d}", "")],
    &[("b", "|b"), ("xx", "||xx")],
    &[("abc", "cab"), ("ab", ""), ("c", "abab")],
    &[("🇩🇪", "de"), ("🇩", "d"), ("\u{301}", "'")],
    &[("\r\n", "\n"), ("a b", "a\u{301}")],
    &[("abababab", "*"), (" ", "")],
];
const CHANNELS: [Channel; 4] = [Channel::Assistant, Channel::Reasoning, Channel::Refusal, Channel::ToolArgs];
/// Most characters of one text.
const LONGEST: usize = 64;

/// How a plugin makes sure that no match of its rules is cut in two.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// A window as long as the longest match and this many more.
    Window(usize),
    /// Holds of its own.
    Holds,
    /// Patterns for all of a match.
    Prefilter,
    /// Patterns for the beginning of a match, and holds for the rest.
    PrefilterAndHolds,
}

const MANNERS: [Manner; 5] = [Manner::Window(0), Manner::Window(7), Manner::Holds, Manner::Prefilter, Manner::PrefilterAndHolds];

/// Plugins to make chains of.
#[derive(Debug)]
pub struct Streams(Vec<Part>);

/// A plugin, what it does, and its files: those of this kind live as long as the process, and so does a trial.
#[derive(Debug)]
struct Part {
    script: Script,
    plugin: Arc<Plugin>,
    _files: Files,
}

type Files = &'static [(&'static str, &'static [u8])];

/// A stream in pieces: which lane, which text.
type Cut = Vec<(usize, String)>;

impl Default for Streams {
    fn default() -> Self {
        Self::new()
    }
}

impl Streams {
    /// Loads them.
    pub fn new() -> Self {
        let host = Host::with(Box::new(Plain), 8);
        let all = RULES.iter().enumerate().flat_map(|(at, rules)| MANNERS.map(|manner| (at, rules, manner)));
        Self(all.map(|(at, rules, manner)| plugin(&host, (at, rules), manner)).collect())
    }

    /// One trial.
    pub fn check(&self, bytes: &[u8]) {
        let mut draw = Draw::new(bytes);
        let chosen: Vec<&Part> = (0..draw.below(4)).map(|_| draw.of(&self.0)).collect();
        let chain = Chain::new(chosen.iter().map(|part| Arc::clone(&part.plugin)).collect());
        let lanes: Vec<Lane> =
            (0..=draw.below(2)).map(|choice| Lane { choice: choice as u32, channel: *draw.of(&CHANNELS), index: 0 }).collect();
        let texts: Vec<String> = lanes.iter().map(|_| draw.text(&LETTERS, LONGEST)).collect();
        let cut = cut(&mut draw, &texts);
        let what = || format!("{texts:?} cut as {cut:?} through {:?}", chosen.iter().map(|part| &part.script).collect::<Vec<_>>());
        let got = run(&chain, &lanes, &cut);
        for (at, text) in texts.iter().enumerate() {
            let wanted = chosen.iter().fold(text.clone(), |text, part| part.script.apply(&text));
            assert_eq!(got[at].concat(), wanted, "lane {at} of {}", what());
            if wanted == *text {
                assert!(ends_well(&got[at], at, &cut), "{:?} of lane {at} of {}", got[at], what());
            }
        }
    }
}

fn plugin(host: &Host, (at, rules): (usize, &[(&str, &str)]), manner: Manner) -> Part {
    let longest = rules.iter().map(|(from, _)| from.chars().count()).max().unwrap_or(1);
    let escaped = |characters: usize| {
        let beginning = |from: &str| from.chars().take(characters).collect::<String>();
        rules.iter().map(|(from, _)| regex_syntax::escape(&beginning(from))).collect::<Vec<_>>()
    };
    let (window, holds, prefilter) = match manner {
        Manner::Window(more) => (longest + more, false, Vec::new()),
        Manner::Holds => (1, true, Vec::new()),
        Manner::Prefilter => (1, false, escaped(longest)),
        Manner::PrefilterAndHolds => (1, true, escaped(2)),
    };
    let rules = rules.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
    let script = Script { rules, holds, prefilter };
    let manifest =
        format!("name: p\nversion: 0.0.1\nentry: p.luau\nsubscribe: {{phases: chunk, channels: all}}\nwindow: {window}\n");
    let files: Files =
        vec![("plugin.yaml", &*manifest.into_bytes().leak()), ("p.luau", &*serde_json::to_vec(&script).expect("JSON").leak())]
            .leak();
    let operator = Operator { name: Some(format!("rules-{at}")), ..Operator::default() };
    let plugin = host.load(&Source::Packed(files), &operator).expect("a plugin");
    Part { script, plugin, _files: files }
}

/// Cuts the texts anywhere, and mixes their pieces.
fn cut(draw: &mut Draw<'_>, texts: &[String]) -> Cut {
    let mut rest: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut cut = Vec::new();
    while rest.iter().any(|rest| !rest.is_empty()) {
        let at = draw.below(rest.len());
        let at = if rest[at].is_empty() { (at + 1) % rest.len() } else { at };
        // With no more to draw, all in one piece.
        let length = if draw.is_empty() { LONGEST * 8 } else { draw.below(9) };
        let end = rest[at].char_indices().nth(length).map_or(rest[at].len(), |(end, _)| end);
        let (piece, after) = rest[at].split_at(end);
        cut.push((at, piece.to_owned()));
        rest[at] = after;
    }
    cut
}

/// What comes out on each lane, piece by piece.
fn run(chain: &Chain, lanes: &[Lane], cut: &Cut) -> Vec<Vec<String>> {
    let mut session = chain.open(Context::default()).now_or_never().expect("opens at once").expect("a place");
    let mut got = vec![Vec::new(); lanes.len()];
    let last = |at: usize| cut.iter().rposition(|(lane, _)| *lane == at);
    let mut feed = |pieces: Vec<Piece>, ended: &[Lane], fed: Option<usize>| {
        let released = session.feed(pieces, ended).now_or_never().expect("these plugins never wait");
        assert_eq!(released.verdict, Verdict::Pass);
        for (at, lane) in lanes.iter().enumerate() {
            let text: String =
                released.pieces.iter().filter(|piece| piece.lane == *lane).map(|piece| piece.text.as_str()).collect();
            if fed == Some(at) || !text.is_empty() {
                got[at].push(text);
            }
        }
    };
    for (position, (at, text)) in cut.iter().enumerate() {
        // A lane ends with its last piece, or after it.
        let ends = last(*at) == Some(position) && text.len() % 2 == 0;
        let piece = Piece { lane: lanes[*at], label: None, text: text.clone() };
        feed(vec![piece], if ends { &lanes[*at..=*at] } else { &[] }, Some(*at));
    }
    feed(Vec::new(), lanes, None);
    got
}

/// Whether what was sent always ended between graphemes of what had come.
fn ends_well(got: &[String], lane: usize, cut: &Cut) -> bool {
    let mut seen = String::new();
    let mut sent = 0;
    cut.iter().filter(|(at, _)| *at == lane).zip(got).all(|((_, piece), out)| {
        seen.push_str(piece);
        sent += out.len();
        sent == seen.len() || seen.grapheme_indices(true).any(|(at, _)| at == sent)
    })
}
