//! Who runs next. Everyone who decodes gets one token a step; of those whose prompt is not read yet, the one that waited longest reads
//! one bounded piece of it. So a long prompt delays others by one piece at most, and nobody starves.
//!
//! Apart because it is pure. It must not know tensors or text. The pieces of a prompt do not depend on who else is there: what a
//! sequence computes is the same alone and in company.

/// Tokens of a prompt that are read in one step.
pub(crate) const PIECE: usize = 256;

/// What the schedule sees of a sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Tokens of the prompt that are not read yet; 0 while it decodes.
    pub(crate) unread: usize,
    /// Whether its reader has room for what a step may say.
    pub(crate) ready: bool,
    /// The step that it last ran in, or came in.
    pub(crate) served: u64,
}

/// Who runs in one step, by index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// One token each.
    pub(crate) decode: Vec<usize>,
    /// So many tokens of its prompt.
    pub(crate) prefill: Option<(usize, usize)>,
}

impl Turn {
    /// Whether nobody runs.
    pub(crate) fn is_empty(&self) -> bool {
        self.decode.is_empty() && self.prefill.is_none()
    }
}

/// The next step.
pub(crate) fn turn(sequences: &[Seen]) -> Turn {
    let ready = || sequences.iter().enumerate().filter(|(_, s)| s.ready);
    Turn {
        decode: ready().filter(|(_, s)| s.unread == 0).map(|(i, _)| i).collect(),
        prefill: ready().filter(|(_, s)| s.unread > 0).min_by_key(|(_, s)| s.served).map(|(i, s)| (i, s.unread.min(PIECE))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(unread: usize, served: u64) -> Seen {
        Seen { unread, ready: true, served }
    }

    #[test]
    fn all_decode_and_one_reads() {
        let got = turn(&[seen(0, 9), seen(1000, 5), seen(0, 1), seen(10, 4)]);
        assert_eq!(got, Turn { decode: vec![0, 2], prefill: Some((3, 10)) });
        assert!(turn(&[Seen { unread: 0, ready: false, served: 0 }]).is_empty());
        assert!(turn(&[]).is_empty());
    }

    proptest! {
        /// Each prompt is read within as many steps as all pieces of those before it in turn; decoding never waits.
        #[test]
        fn nobody_starves(prompts in proptest::collection::vec(1usize..2000, 1..8)) {
            let pieces = |n: &usize| n.div_ceil(PIECE);
            let bound: usize = prompts.iter().map(pieces).sum();
            let mut all: Vec<Seen> = prompts.iter().map(|n| seen(*n, 0)).collect();
            for step in 1..=bound {
                let t = turn(&all);
                let decoding: Vec<usize> = (0..all.len()).filter(|i| all[*i].unread == 0).collect();
                prop_assert_eq!(&t.decode, &decoding);
                let (i, n) = t.prefill.unwrap();
                all[i].unread -= n;
                all[i].served = step as u64;
                let spread = |s: &Seen| s.served;
                let waiting: Vec<u64> = all.iter().filter(|s| s.unread > 0).map(spread).collect();
                prop_assert!(waiting.iter().all(|s| step as u64 - s <= all.len() as u64 + 1));
            }
            prop_assert!(all.iter().all(|s| s.unread == 0));
        }

        /// However many come, in whatever order they stand: who waits reads a piece within as many steps as there are places.
        #[test]
        fn nobody_starves_while_others_come(long in 300usize..4000, come in proptest::collection::vec(1usize..600, 40), places in 2usize..8) {
            let mut all = vec![seen(long, 0)];
            let mut come = come.into_iter();
            for step in 0..40u64 {
                // As the loop does it: the newest may stand anywhere.
                all.retain(|s| s.unread > 0);
                while all.len() < places && let Some(n) = come.next() {
                    all.insert(0, seen(n, step));
                }
                let Some((i, n)) = turn(&all).prefill else { break };
                all[i].unread -= n;
                all[i].served = step + 1;
                prop_assert!(all.iter().all(|s| s.unread == 0 || step + 1 - s.served <= places as u64), "{all:?}");
            }
        }
    }
}
