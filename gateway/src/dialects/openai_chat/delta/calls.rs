//! The numbers of a stream's calls, where a server's own do not tell them apart.
//!
//! Some servers leave the number out and some call every call 0, each in a chunk of its own: what tells such calls apart is that each
//! begins with an id and a name. Apart because it lasts for the stream, while choices are read chunk by chunk. It must not know what a
//! call says.

/// The calls of one stream so far.
#[derive(Debug, Default)]
pub(super) struct Numbers(Vec<Numbered>);

#[derive(Debug)]
struct Numbered {
    choice: u32,
    /// The server's number.
    said: u32,
    /// Ours.
    index: u32,
    id: Option<String>,
}

/// As many calls are told apart at most; the upstream's bytes are bounded where they are read.
const MOST_CALLS: usize = 1024;

impl Numbers {
    /// Our number of the call that a piece belongs to: by its choice and the server's number, and by the id and the name that it brings.
    pub(super) fn of(&mut self, (choice, said): (u32, u32), (id, name): (Option<&str>, Option<&str>)) -> u32 {
        let id = id.filter(|id| !id.is_empty());
        let begins = id.is_some() && name.is_some_and(|name| !name.is_empty());
        let same = |call: &Numbered| (call.choice, call.said) == (choice, said);
        let known = id.and_then(|_| self.0.iter().rposition(|call| same(call) && call.id.as_deref() == id));
        let at = known.or_else(|| self.0.iter().rposition(same));
        if let Some(call) = at.and_then(|at| self.0.get_mut(at))
            && (known.is_some() || !begins || call.id.is_none())
        {
            if call.id.is_none() {
                call.id = id.map(str::to_owned);
            }
            return call.index;
        }
        if self.0.len() >= MOST_CALLS { said } else { self.begin((choice, said), id) }
    }

    /// The next call: under the server's number, unless another has it.
    fn begin(&mut self, (choice, said): (u32, u32), id: Option<&str>) -> u32 {
        let taken = self.0.iter().filter(|call| call.choice == choice).map(|call| call.index);
        let index = if taken.clone().any(|index| index == said) { taken.max().unwrap_or_default().saturating_add(1) } else { said };
        self.0.push(Numbered { choice, said, index, id: id.map(str::to_owned) });
        index
    }
}

#[cfg(test)]
mod tests {
    use super::Numbers;

    #[test]
    fn calls_are_told_apart_by_what_they_begin_with_and_pieces_follow_the_last_of_their_number() {
        let mut numbers = Numbers::default();
        let (begun, piece) = (|id| (Some(id), Some("f")), (None, None));
        let mut of = |said, with| numbers.of((0, said), with);
        assert_eq!((of(0, begun("a")), of(0, piece)), (0, 0));
        assert_eq!((of(0, begun("b")), of(0, piece), of(0, (Some("b"), None))), (1, 1, 1));
        assert_eq!(of(0, begun("a")), 0, "it comes again with all its names");
        assert_eq!((of(1, begun("c")), of(1, piece)), (2, 2), "a number that we have given away");
        assert_eq!((of(7, (None, Some("f"))), of(7, begun("d"))), (7, 7), "the id comes late");
        assert_eq!(of(7, (Some("e"), None)), 7, "an id alone begins nothing");
        assert_eq!(numbers.of((1, 0), begun("b")), 0, "each choice counts for itself");
    }

    #[test]
    fn calls_are_bounded() {
        let mut numbers = Numbers::default();
        let last = (0..3000).map(|id| numbers.of((0, 0), (Some(&id.to_string()), Some("f")))).max();
        assert_eq!(last, Some(1023));
    }
}
