//! The numbers of a stream's calls, where a server's own do not tell them apart.
//!
//! Some servers leave the number out and some call every call 0, each in a chunk of its own: what tells such calls apart is that each
//! begins with an id and a name. Where a server gives no ids either, a name after arguments that are whole begins the next. Apart because
//! it lasts for the stream, while choices are read chunk by chunk. It must not know what a call is for.

use serde::de::IgnoredAny;

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
    /// What it said so far, where it has no id.
    arguments: String,
}

/// A piece of a call, as it came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Piece<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) arguments: &'a str,
}

/// As many calls are told apart at most; the upstream's bytes are bounded where they are read.
const MOST_CALLS: usize = 1024;

impl Numbers {
    /// Our number of the call that a piece belongs to: by its choice and the server's number, and by the id and the name that it brings.
    pub(super) fn of(&mut self, (choice, said): (u32, u32), piece: Piece<'_>) -> u32 {
        let id = piece.id.filter(|id| !id.is_empty());
        let named = piece.name.is_some_and(|name| !name.is_empty());
        let same = |call: &Numbered| (call.choice, call.said) == (choice, said);
        let known = id.and_then(|_| self.0.iter().rposition(|call| same(call) && call.id.as_deref() == id));
        let at = known.or_else(|| self.0.iter().rposition(same));
        if let Some(call) = at.and_then(|at| self.0.get_mut(at)) {
            let next = match (id, &call.id) {
                (Some(_), Some(_)) => known.is_none() && named,
                // One that repeats its name to the end has more to say, or nothing.
                (None, None) => named && !piece.arguments.is_empty() && call.is_whole(),
                _ => false,
            };
            if !next {
                call.goes_on(id, piece.arguments);
                return call.index;
            }
        }
        if self.0.len() >= MOST_CALLS { said } else { self.begin((choice, said), (id, piece.arguments)) }
    }

    /// The next call: under the server's number, unless another has it.
    fn begin(&mut self, (choice, said): (u32, u32), (id, arguments): (Option<&str>, &str)) -> u32 {
        let taken = self.0.iter().filter(|call| call.choice == choice).map(|call| call.index);
        let index = if taken.clone().any(|index| index == said) { taken.max().unwrap_or_default().saturating_add(1) } else { said };
        let mut call = Numbered { choice, said, index, id: None, arguments: String::new() };
        call.goes_on(id, arguments);
        self.0.push(call);
        index
    }
}

impl Numbered {
    fn goes_on(&mut self, id: Option<&str>, arguments: &str) {
        if self.id.is_none() {
            self.id = id.map(str::to_owned);
        }
        match self.id {
            None => self.arguments.push_str(arguments),
            Some(_) => self.arguments = String::new(),
        }
    }

    /// Whether its arguments are an object to the last brace.
    fn is_whole(&self) -> bool {
        self.arguments.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(&self.arguments).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{Numbers, Piece};

    fn piece<'a>((id, name): (Option<&'a str>, Option<&'a str>), arguments: &'a str) -> Piece<'a> {
        Piece { id, name, arguments }
    }

    #[test]
    fn calls_are_told_apart_by_what_they_begin_with_and_pieces_follow_the_last_of_their_number() {
        let mut numbers = Numbers::default();
        let (begun, more) = (|id| (Some(id), Some("f")), (None, None));
        let mut of = |said, with| numbers.of((0, said), piece(with, ""));
        assert_eq!((of(0, begun("a")), of(0, more)), (0, 0));
        assert_eq!((of(0, begun("b")), of(0, more), of(0, (Some("b"), None))), (1, 1, 1));
        assert_eq!(of(0, begun("a")), 0, "it comes again with all its names");
        assert_eq!((of(1, begun("c")), of(1, more)), (2, 2), "a number that we have given away");
        assert_eq!((of(7, (None, Some("f"))), of(7, begun("d"))), (7, 7), "the id comes late");
        assert_eq!(of(7, (Some("e"), None)), 7, "an id alone begins nothing");
        assert_eq!(numbers.of((1, 0), piece(begun("b"), "")), 0, "each choice counts for itself");
    }

    #[test]
    fn without_ids_a_name_after_whole_arguments_begins_the_next() {
        let mut numbers = Numbers::default();
        let mut of = |name, arguments| numbers.of((0, 0), piece((Some(""), name), arguments));
        assert_eq!((of(Some("f"), r#"{"x":"#), of(Some("f"), "1}"), of(Some("f"), "")), (0, 0, 0), "it repeats its name");
        assert_eq!((of(Some("f"), r#"{"x":"#), of(None, "2}"), of(Some("g"), "{}")), (1, 1, 2));
        assert_eq!(numbers.of((0, 0), piece((Some("a"), Some("g")), "")), 2, "the id comes late");
    }

    #[test]
    fn calls_are_bounded() {
        let mut numbers = Numbers::default();
        let last = (0..3000).map(|id| numbers.of((0, 0), piece((Some(&id.to_string()), Some("f")), ""))).max();
        assert_eq!(last, Some(1023));
    }
}
