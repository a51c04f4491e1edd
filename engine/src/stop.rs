//! Stop texts: where an answer ends although the model would go on, however the tokens cut them.
//!
//! Apart because it is pure and easy to get wrong. It must not know tokens.

/// Finds the first stop text in text that comes in pieces, and holds back what may still become one.
#[derive(Debug, Default)]
pub(crate) struct StopScan {
    stops: Vec<String>,
    held: String,
}

/// What may be given of the text so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// No stop text yet.
    Open(String),
    /// What came before the stop text, which itself is not given.
    Stopped(String),
}

impl StopScan {
    /// Empty stop texts are ignored.
    pub(crate) fn new(stops: &[String]) -> Self {
        Self { stops: stops.iter().filter(|s| !s.is_empty()).cloned().collect(), held: String::new() }
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &str) -> Scanned {
        if self.stops.is_empty() {
            return Scanned::Open(piece.to_owned());
        }
        self.held.push_str(piece);
        if let Some(at) = self.stops.iter().filter_map(|s| self.held.find(s.as_str())).min() {
            self.held.truncate(at);
            return Scanned::Stopped(std::mem::take(&mut self.held));
        }
        let rest = self.held.split_off(self.safe());
        Scanned::Open(std::mem::replace(&mut self.held, rest))
    }

    /// What was held back, when no more text comes.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Where the longest end of the held text starts that is the start of a stop text.
    fn safe(&self) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let from = self.held.len().saturating_sub(longest.saturating_sub(1));
        let starts = (from..self.held.len()).filter(|at| self.held.is_char_boundary(*at));
        let mut partial = starts.filter(|at| self.stops.iter().any(|s| s.starts_with(&self.held[*at..])));
        partial.next().unwrap_or(self.held.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let stops: Vec<String> = stops.iter().map(|s| (*s).to_owned()).collect();
        let mut scan = StopScan::new(&stops);
        let mut text = String::new();
        for piece in pieces {
            match scan.push(piece) {
                Scanned::Open(t) => text.push_str(&t),
                Scanned::Stopped(t) => return (text + &t, true),
            }
        }
        (text + &scan.finish(), false)
    }

    #[test]
    fn a_stop_text_may_cross_pieces() {
        assert_eq!(scan(&["END"], &["abc E", "N", "D def"]), ("abc ".to_owned(), true));
        assert_eq!(scan(&["END"], &["abc E", "N", "d"]), ("abc ENd".to_owned(), false));
        assert_eq!(scan(&["b", "ab"], &["xa", "b"]), ("x".to_owned(), true));
        assert_eq!(scan(&["é!"], &["caf", "é", "?"]), ("café?".to_owned(), false));
        assert_eq!(scan(&[""], &["a"]), ("a".to_owned(), false));
    }

    #[test]
    fn only_a_possible_start_is_held() {
        let mut s = StopScan::new(&["\n\n".to_owned()]);
        assert_eq!(s.push("line\n"), Scanned::Open("line".to_owned()));
        assert_eq!(s.push("next"), Scanned::Open("\nnext".to_owned()));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(text in "[abé]{0,30}", stop in "[abé]{1,4}", cuts in proptest::collection::vec(0usize..30, 0..8)) {
            let whole: Vec<char> = text.chars().collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(whole.len())).collect();
            cuts.extend([0, whole.len()]);
            cuts.sort_unstable();
            let pieces: Vec<String> = cuts.windows(2).map(|w| whole[w[0]..w[1]].iter().collect()).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let want = text.find(&stop).map_or((text.clone(), false), |at| (text[..at].to_owned(), true));
            prop_assert_eq!(scan(&[&stop], &pieces), want);
        }
    }
}
