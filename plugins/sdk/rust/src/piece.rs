//! A piece of memory whose blocks are taken one after the other, and are free again together.
//!
//! It is apart so that it can be tested without raw memory: it only counts, and addresses are numbers to it. It must not know what a
//! block holds, nor which piece a block should come from.

/// A piece, and how far it is taken.
pub(crate) struct Piece {
    begin: usize,
    end: usize,
    /// From here on all is free.
    rest: usize,
    /// Blocks that were taken and not given back.
    taken: usize,
}

impl Piece {
    /// With no room at all.
    pub(crate) const NONE: Self = Self::new(0, 0);

    /// With nothing taken.
    pub(crate) const fn new(begin: usize, end: usize) -> Self {
        Self { begin, end, rest: begin, taken: 0 }
    }

    /// Whether it has no room at all, taken or free.
    #[inline]
    pub(crate) fn is_none(&self) -> bool {
        self.begin == self.end
    }

    /// Whether an address lies in it.
    #[inline]
    pub(crate) fn has(&self, block: usize) -> bool {
        (self.begin..self.end).contains(&block)
    }

    /// Takes a block; `None` where there is no room for it. The alignment is a power of two.
    #[inline]
    pub(crate) fn take(&mut self, size: usize, align: usize) -> Option<usize> {
        let block = self.rest.checked_add(align - 1)? & !(align - 1);
        self.rest = block.checked_add(size).filter(|end| *end <= self.end)?;
        self.taken += 1;
        Some(block)
    }

    /// Gives another size to the block that was taken last; `None` for another one, and where there is no room.
    #[inline]
    pub(crate) fn resize(&mut self, block: usize, from: usize, to: usize) -> Option<()> {
        let end = block.checked_add(to).filter(|end| *end <= self.end)?;
        (block + from == self.rest).then(|| self.rest = end)
    }

    /// Takes a block back. It is free at once if it was taken last, and at the latest when all others are back.
    #[inline]
    pub(crate) fn give_back(&mut self, block: usize, size: usize) {
        self.taken -= 1;
        if self.taken == 0 {
            self.rest = self.begin;
        } else if block + size == self.rest {
            self.rest = block;
        }
    }

    /// Leaves what is taken to this piece, and what is free to a new one.
    pub(crate) fn split(&mut self) -> Self {
        let rest = Self::new(self.rest, self.end);
        self.end = self.rest;
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::Piece;

    #[test]
    fn blocks_that_are_all_given_back_leave_their_room_to_the_next() {
        let mut piece = Piece::new(16, 1000);
        let blocks = [96, 36, 7, 1].map(|size| (piece.take(size, 4).unwrap(), size));
        assert_eq!(blocks, [(16, 96), (112, 36), (148, 7), (156, 1)]);
        blocks.into_iter().for_each(|(block, size)| piece.give_back(block, size));
        assert_eq!(piece.take(984, 16), Some(16));
        assert_eq!(piece.take(1, 1), None);
    }

    #[test]
    fn the_last_block_changes_its_size_and_leaves_its_room() {
        let mut piece = Piece::new(0, 100);
        let (first, last) = (piece.take(10, 1).unwrap(), piece.take(10, 1).unwrap());
        assert_eq!(piece.resize(first, 10, 20), None);
        assert_eq!(piece.resize(last, 10, 90), Some(()));
        assert_eq!((piece.resize(last, 90, 91), piece.resize(last, 90, usize::MAX)), (None, None));
        assert_eq!((piece.take(1, 1), piece.take(usize::MAX, 1), piece.take(0, 128)), (None, None, None));
        piece.give_back(last, 90);
        assert_eq!(piece.take(90, 2), Some(10));
    }

    #[test]
    fn a_piece_is_split_where_its_free_part_begins() {
        let mut piece = Piece::new(0, 100);
        assert!(!piece.is_none() && Piece::NONE.is_none());
        let block = piece.take(30, 1).unwrap();
        let mut rest = piece.split();
        assert!(piece.has(29) && !piece.has(30) && rest.has(30) && rest.has(99) && !rest.has(100));
        assert_eq!((piece.take(1, 1), rest.take(70, 1), rest.take(1, 1)), (None, Some(30), None));
        piece.give_back(block, 30);
        assert_eq!((piece.take(30, 1), piece.take(1, 1)), (Some(0), None));
    }
}
