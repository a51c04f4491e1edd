//! The hold-back window: what of a stream's text may be sent once a plugin has seen so much of it.
//!
//! It is apart because the promise of streaming rests on it alone: **if every match fits the window, what the client gets does
//! not depend on how the text was cut.** Pending text is kept as it came; edits are applied only to what is released, and what
//! is not released is asked about again, so that a match that was seen half is never acted on by halves.
//! It must not know guests, chains or the clock: edits, holds and the time are given.

use std::time::Duration;

use tokio::time::Instant;
use unicode_segmentation::GraphemeCursor;

/// Characters of released text that a plugin is still shown, as context.
pub(crate) const CONTEXT: usize = 256;

/// A replacement in bytes of the view. `start == end` inserts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Splice {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) text: String,
}

/// What bounds a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Characters that the longest match may have; at least 1.
    pub(crate) window: usize,
    /// Characters that may be held beyond the window.
    pub(crate) hold: usize,
    /// How long text may be held beyond the window.
    pub(crate) hold_for: Duration,
}

/// Whether more text of the lane may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    More,
    Last,
}

/// A plugin's answer about the present view.
#[derive(Debug)]
pub(crate) struct Ruling {
    /// In ascending order, not overlapping, within the pending text.
    pub(crate) splices: Vec<Splice>,
    /// Send nothing from this byte of the view on.
    pub(crate) hold: Option<usize>,
    /// What the plugin looks for may be beginning at this byte: nothing is sent from there on. It is no further back than
    /// [`Window::may_hold_from`] allows.
    pub(crate) begun: Option<usize>,
    pub(crate) ending: Ending,
    pub(crate) now: Instant,
}

/// Text that may go on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) text: String,
    /// Edits that were applied.
    pub(crate) edits: usize,
}

/// A hold that went past its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Overheld {
    #[error("held more than {0} characters")]
    Characters(usize),
    #[error("held longer than {0:?}")]
    Time(Duration),
}

/// One lane of one plugin: a tail of what was released, then what is pending.
#[derive(Debug, Default)]
pub(crate) struct Window {
    buffer: String,
    sent: usize,
    held_since: Option<Instant>,
}

impl Window {
    /// Appends text as it came.
    pub(crate) fn push(&mut self, text: &str) {
        self.buffer.push_str(text);
    }

    /// Context and pending text.
    pub(crate) fn view(&self) -> &str {
        &self.buffer
    }

    /// Bytes of the view that are context.
    pub(crate) const fn sent(&self) -> usize {
        self.sent
    }

    /// Bytes that are pending.
    pub(crate) const fn pending(&self) -> usize {
        self.buffer.len() - self.sent
    }

    /// Whether what stays back is within the bounds, if nothing is sent from this byte on.
    pub(crate) fn may_hold_from(&self, at: usize, bounds: &Bounds) -> bool {
        let natural = back(&self.buffer, bounds.window.saturating_sub(1));
        !is_past(self.buffer.get(at..natural).unwrap_or_default(), bounds)
    }

    /// Applies a ruling: gives what may be sent now and keeps the rest, as it came.
    ///
    /// # Errors
    /// [`Overheld`] when what stays back is past the bounds; the window is unchanged then.
    pub(crate) fn settle(&mut self, ruling: &Ruling, bounds: &Bounds) -> Result<Release, Overheld> {
        let at = match ruling.ending {
            Ending::Last => self.buffer.len(),
            Ending::More => self.release_point(ruling, bounds)?,
        };
        let release = self.splice(ruling, at);
        self.sent = at;
        self.trim();
        Ok(release)
    }

    /// Gives up everything that is pending, unedited.
    pub(crate) fn flush(&mut self) -> String {
        let text = self.buffer[self.sent..].to_owned();
        self.sent = self.buffer.len();
        self.held_since = None;
        self.trim();
        text
    }

    /// The byte up to which text may be sent.
    fn release_point(&mut self, ruling: &Ruling, bounds: &Bounds) -> Result<usize, Overheld> {
        let natural = back(&self.buffer, bounds.window.saturating_sub(1)).max(self.sent);
        let mut at = [ruling.hold, ruling.begun].into_iter().flatten().fold(natural, |at, from| at.min(from.max(self.sent)));
        loop {
            let before = at;
            if let Some(splice) = ruling.splices.iter().find(|splice| straddles(splice, at)) {
                at = if splice.start < at { splice.start } else { back(&self.buffer[..at], 1) };
            }
            at = grapheme_floor(&self.buffer, at).max(self.sent);
            if at == before || at == self.sent {
                break;
            }
        }
        self.check_held(at, natural, &Held { bounds, ruling })?;
        Ok(at)
    }

    /// Characters are bounded for any reason that text stays back; time only where the plugin asked to hold.
    fn check_held(&mut self, at: usize, natural: usize, held: &Held<'_>) -> Result<(), Overheld> {
        if at >= natural {
            self.held_since = None;
            return Ok(());
        }
        if is_past(&self.buffer[at..natural], held.bounds) {
            return Err(Overheld::Characters(held.bounds.hold));
        }
        if held.ruling.hold.is_none() {
            self.held_since = None;
            return Ok(());
        }
        let now = held.ruling.now;
        let since = if at > self.sent { now } else { self.held_since.unwrap_or(now) };
        if now.duration_since(since) > held.bounds.hold_for {
            return Err(Overheld::Time(held.bounds.hold_for));
        }
        self.held_since = Some(since);
        Ok(())
    }

    /// Pending text up to `at` with the splices that lie before it.
    fn splice(&self, ruling: &Ruling, at: usize) -> Release {
        let mut text = String::with_capacity(at - self.sent);
        let mut from = self.sent;
        let mut edits = 0;
        for splice in ruling.splices.iter().filter(|splice| splice.end <= at) {
            if splice.start == at && ruling.ending == Ending::More {
                continue;
            }
            text.push_str(&self.buffer[from..splice.start]);
            text.push_str(&splice.text);
            from = splice.end;
            edits += 1;
        }
        text.push_str(&self.buffer[from..at]);
        Release { text, edits }
    }

    /// Drops context beyond [`CONTEXT`] characters.
    fn trim(&mut self) {
        let keep = back(&self.buffer[..self.sent], CONTEXT);
        if keep > 0 {
            self.buffer.drain(..keep);
            self.sent -= keep;
        }
    }
}

struct Held<'a> {
    bounds: &'a Bounds,
    ruling: &'a Ruling,
}

/// Whether a text is longer than what may be held.
fn is_past(text: &str, bounds: &Bounds) -> bool {
    text.len() > bounds.hold && text.chars().count() > bounds.hold
}

/// Whether releasing up to `at` would cut the splice, or would leave it open whether an insertion was made.
fn straddles(splice: &Splice, at: usize) -> bool {
    (splice.start < at && at < splice.end) || (splice.start == splice.end && splice.start == at)
}

/// The byte where the last `characters` characters of `text` begin.
fn back(text: &str, characters: usize) -> usize {
    if characters == 0 {
        return text.len();
    }
    if text.len() <= characters {
        return 0;
    }
    let tail = &text.as_bytes()[text.len() - characters..];
    if tail.is_ascii() {
        return text.len() - characters;
    }
    text.char_indices().rev().nth(characters - 1).map_or(0, |(at, _)| at)
}

/// The nearest grapheme boundary at or before `at`. The end of the text counts as one, though a mark may follow: to wait for what
/// follows would hold back the last character of every piece.
fn grapheme_floor(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    if at == 0 || at >= bytes.len() {
        return at;
    }
    let (before, after) = (bytes[at - 1], bytes[at]);
    if before.is_ascii() && after.is_ascii() && !(before == b'\r' && after == b'\n') {
        return at;
    }
    let mut cursor = GraphemeCursor::new(at, text.len(), true);
    if cursor.is_boundary(text, 0).unwrap_or(true) {
        return at;
    }
    cursor.prev_boundary(text, 0).ok().flatten().unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bounds(window: usize) -> Bounds {
        Bounds { window, hold: 64, hold_for: Duration::from_secs(5) }
    }

    /// Replaces `<...>` of at most 8 characters and any run of `x`, as a plugin would that searches from `sent` on.
    fn redact(view: &str, sent: usize) -> Vec<Splice> {
        let mut splices = Vec::new();
        let mut at = sent;
        while at < view.len() {
            let rest = &view[at..];
            if let Some(end) = rest.strip_prefix('<').and_then(|inner| inner.char_indices().take(7).find(|(_, c)| *c == '>')) {
                splices.push(Splice { start: at, end: at + 2 + end.0, text: "[tag]".into() });
                at += 2 + end.0;
            } else if rest.starts_with("xx") {
                let run = rest.bytes().take_while(|b| *b == b'x').count();
                splices.push(Splice { start: at, end: at + run, text: "X".into() });
                at += run;
            } else {
                at += rest.chars().next().map_or(1, char::len_utf8);
            }
        }
        splices
    }

    fn run(chunks: &[String], window: usize) -> Vec<String> {
        let mut lane = Window::default();
        let now = Instant::now();
        let mut out = Vec::new();
        for (index, chunk) in chunks.iter().enumerate() {
            lane.push(chunk);
            let ending = if index + 1 == chunks.len() { Ending::Last } else { Ending::More };
            let splices = redact(lane.view(), lane.sent());
            out.push(lane.settle(&Ruling { splices, hold: None, begun: None, ending, now }, &bounds(window)).unwrap().text);
        }
        out
    }

    fn cut(text: &str, cuts: &[usize]) -> Vec<String> {
        let characters: Vec<char> = text.chars().collect();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (characters.len() + 1)).collect();
        at.extend([0, characters.len()]);
        at.sort_unstable();
        at.windows(2).map(|pair| characters[pair[0]..pair[1]].iter().collect()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn what_the_client_gets_does_not_depend_on_the_cuts(
            text in "[<>xab\\nе́🇩🇪]{0,60}", cuts in proptest::collection::vec(0usize..80, 0..20)
        ) {
            let whole = run(std::slice::from_ref(&text), 8).concat();
            prop_assert_eq!(run(&cut(&text, &cuts), 8).concat(), whole);
        }

        #[test]
        fn no_release_ends_inside_a_grapheme_that_was_seen(
            text in "(a|e\u{301}|🇩🇪|👩\u{200d}👧|\r\n){0,20}",
            cuts in proptest::collection::vec(0usize..80, 0..20),
            window in 1usize..6
        ) {
            use unicode_segmentation::UnicodeSegmentation;
            let chunks = cut(&text, &cuts);
            let (mut at, mut seen) = (0, 0);
            for (chunk, piece) in chunks.iter().zip(run(&chunks, window)) {
                (at, seen) = (at + piece.len(), seen + chunk.len());
                let boundary = at == seen || text[..seen].grapheme_indices(true).any(|(boundary, _)| boundary == at);
                prop_assert!(boundary, "{} of {} in {:?}", at, seen, text);
            }
            prop_assert_eq!(at, text.len());
        }
    }

    fn one(lane: &mut Window, ruling: Ruling) -> Result<Release, Overheld> {
        lane.settle(&ruling, &bounds(4))
    }

    fn ruling(hold: Option<usize>, now: Instant) -> Ruling {
        Ruling { splices: Vec::new(), hold, begun: None, ending: Ending::More, now }
    }

    #[test]
    fn all_but_the_last_window_less_one_characters_are_sent() {
        let mut lane = Window::default();
        lane.push("abcdefgh");
        assert_eq!(one(&mut lane, ruling(None, Instant::now())).unwrap().text, "abcde");
        assert_eq!((lane.view(), lane.sent()), ("abcdefgh", 5));
    }

    #[test]
    fn a_hold_is_bounded_in_characters_and_in_time() {
        let now = Instant::now();
        let mut lane = Window::default();
        lane.push("ab<");
        lane.push("cdefgh");
        assert_eq!(one(&mut lane, ruling(Some(2), now)).unwrap().text, "ab");
        lane.push(&"y".repeat(60));
        let late = now + Duration::from_secs(6);
        assert_eq!(one(&mut lane, ruling(Some(2), late)), Err(Overheld::Time(Duration::from_secs(5))));
        lane.push("more");
        assert_eq!(one(&mut lane, ruling(Some(2), now)), Err(Overheld::Characters(64)));
    }

    #[test]
    fn what_may_have_begun_is_bounded_like_a_hold() {
        let mut lane = Window::default();
        lane.push(&format!("ab{}", "c".repeat(67)));
        assert!(lane.may_hold_from(2, &bounds(4)) && !lane.may_hold_from(1, &bounds(4)));
        let begun = |begun| Ruling { begun: Some(begun), ..ruling(None, Instant::now()) };
        assert_eq!(one(&mut lane, begun(1)), Err(Overheld::Characters(64)));
        assert_eq!(one(&mut lane, begun(2)).unwrap().text, "ab");
    }

    #[test]
    fn an_insertion_is_made_once() {
        let now = Instant::now();
        let mut lane = Window::default();
        let mut out = String::new();
        for chunk in ["ab", "c|", "d", "efg", "h"] {
            lane.push(chunk);
            let splices = lane.view()[lane.sent()..].match_indices('|').map(|(at, _)| at + lane.sent()).collect::<Vec<_>>();
            let splices = splices.into_iter().map(|at| Splice { start: at, end: at, text: "!".into() }).collect();
            out += &lane.settle(&Ruling { splices, hold: None, begun: None, ending: Ending::More, now }, &bounds(3)).unwrap().text;
        }
        assert_eq!(out + &lane.flush(), "abc!|defgh");
    }

    #[test]
    fn context_is_bounded() {
        let mut lane = Window::default();
        for _ in 0..100 {
            lane.push("0123456789");
            one(&mut lane, ruling(None, Instant::now())).unwrap();
        }
        assert_eq!(lane.sent(), CONTEXT);
        assert_eq!(lane.pending(), 3);
    }
}
