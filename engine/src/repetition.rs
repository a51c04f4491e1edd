//! Endless repetition: an answer whose end is one piece over and over.
//!
//! Apart because it is pure. It must not know text: tokens repeat exactly where a model is caught in a loop, and a list or a table that a
//! reader wants does not, for so long.

/// The longest piece that is looked for, in tokens.
const LONGEST: usize = 256;
/// How often a piece must follow itself.
const TIMES: usize = 16;
/// How many tokens the repetition must take at least.
const LEAST: usize = 1024;

/// Looks for pieces of up to 256 tokens that follow themselves 16 times, and for at least 1,024 tokens. Each token costs the same.
#[derive(Debug)]
pub(crate) struct Loops {
    /// The last tokens, the newest at `at`.
    ring: Vec<u32>,
    at: usize,
    seen: usize,
    /// For each length of a piece, how many tokens in a row were equal to the one that length before.
    runs: Vec<usize>,
}

impl Default for Loops {
    fn default() -> Self {
        Self { ring: vec![0; LONGEST], at: 0, seen: 0, runs: vec![0; LONGEST] }
    }
}

impl Loops {
    /// Takes the next token. Whether the answer has come to repeat itself.
    pub(crate) fn push(&mut self, id: u32) -> bool {
        let mut caught = false;
        for (run, length) in self.runs.iter_mut().zip(1usize..) {
            let before = self.ring.get((self.at + LONGEST + 1 - length) % LONGEST);
            *run = if length <= self.seen && before == Some(&id) { *run + 1 } else { 0 };
            caught |= *run + length >= LEAST.max(TIMES * length);
        }
        self.at = (self.at + 1) % LONGEST;
        if let Some(newest) = self.ring.get_mut(self.at) {
            *newest = id;
        }
        self.seen += 1;
        caught
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many tokens it is noticed.
    fn noticed(tokens: impl Iterator<Item = u32>) -> Option<usize> {
        let mut loops = Loops::default();
        tokens.take(20_000).position(|id| loops.push(id)).map(|at| at + 1)
    }

    #[test]
    fn a_piece_that_follows_itself_is_noticed_in_time() {
        for length in [1usize, 2, 7, 64, 100, 256] {
            let period = u32::try_from(length).unwrap();
            assert_eq!(noticed((0u32..).map(|i| i % period)), Some(1024.max(16 * length)), "{length}");
            // Whatever came before it.
            let before = (0..500u32).map(|i| 1000 + i * i % 977);
            assert_eq!(noticed(before.chain((0u32..).map(|i| i % period))), Some(500 + 1024.max(16 * length)), "{length}");
        }
    }

    #[test]
    fn what_only_resembles_itself_is_not() {
        assert_eq!(noticed((0u32..).map(|i| i % 257)), None, "longer than is looked for");
        assert_eq!(noticed((0u32..).map(|i| if i % 1000 == 0 { i } else { 5 })), None, "a table with a number in each row");
        assert_eq!(noticed((0u32..).flat_map(|i| [7, 8, i])), None);
        assert_eq!(noticed(std::iter::repeat_n(0, 1023)), None);
    }
}
