//! One automaton that is made as a text needs it, and given up where that costs too much: what patterns of a stranger may take.
//!
//! It is apart because it bounds the time of a search, whatever the pattern: a byte costs one step of a table, but where a state is
//! new; of those there are only so many before the automaton gives up. It must not know what a match means.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use regex_automata::hybrid::dfa::{Builder, Cache, Config, DFA};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::pool::Pool;
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::Hir;

/// Most memory of what patterns are compiled to, and of each thread's states, in bytes.
const LARGEST: usize = 1 << 20;
/// How often a thread's states may be thrown away before a search that makes many new ones gives up.
const CLEARED: usize = 4;
/// Bytes of text that a state must be good for then.
const BYTES_PER_STATE: usize = 64;

type MakeCache = Box<dyn Fn() -> Cache + Send + Sync + UnwindSafe + RefUnwindSafe>;

/// An automaton for some patterns, run in one direction.
pub(super) struct Automaton {
    dfa: DFA,
    states: Pool<Cache, MakeCache>,
}

/// The search took too much, or met what the automaton cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GaveUp;

impl fmt::Debug for Automaton {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Automaton").field("bytes", &self.dfa.memory_usage()).finish_non_exhaustive()
    }
}

impl Automaton {
    /// To be run from the left, and to stop at the end of any match.
    pub(super) fn forward(pattern: &Hir) -> Result<Self, String> {
        Self::new(pattern, thompson::Config::new(), MatchKind::LeftmostFirst)
    }

    /// To be run from the end of a text to the left, as far as any match goes.
    pub(super) fn backward(pattern: &Hir) -> Result<Self, String> {
        Self::new(pattern, thompson::Config::new().reverse(true), MatchKind::All)
    }

    fn new(pattern: &Hir, config: thompson::Config, kind: MatchKind) -> Result<Self, String> {
        let config = config.which_captures(WhichCaptures::None).nfa_size_limit(Some(LARGEST));
        let nfa: NFA =
            thompson::Compiler::new().configure(config).build_from_hir(pattern).map_err(|error| match error.size_limit() {
                Some(_) => format!("the patterns take more than {LARGEST} bytes when they are compiled"),
                None => error.to_string(),
            })?;
        let config = Config::new()
            .match_kind(kind)
            .unicode_word_boundary(true)
            .cache_capacity(LARGEST)
            .skip_cache_capacity_check(true)
            .minimum_cache_clear_count(Some(CLEARED))
            .minimum_bytes_per_state(Some(BYTES_PER_STATE));
        let dfa = Builder::new().configure(config).build_from_nfa(nfa).map_err(|error| error.to_string())?;
        let maker = dfa.clone();
        Ok(Self { dfa, states: Pool::new(Box::new(move || maker.create_cache())) })
    }

    /// Whether a match begins at this byte or later.
    pub(super) fn matches(&self, text: &str, from: usize) -> Result<bool, GaveUp> {
        let input = Input::new(text).span(from..text.len()).earliest(true);
        let found = self.dfa.try_search_fwd(&mut self.states.get(), &input);
        found.map(|found| found.is_some()).map_err(|_| GaveUp)
    }

    /// Where the longest match begins that ends where the text does, at this byte or later.
    pub(super) fn longest_at_end(&self, text: &str, from: usize) -> Result<Option<usize>, GaveUp> {
        let input = Input::new(text).span(from..text.len()).anchored(Anchored::Yes);
        let found = self.dfa.try_search_rev(&mut self.states.get(), &input);
        found.map(|found| found.map(|found| found.offset())).map_err(|_| GaveUp)
    }
}
