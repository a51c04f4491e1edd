//! The heap of a guest: what is left of the memory that it begins with, and the system's allocator behind it.
//!
//! It is apart because a guest is made and wiped faster the less memory it touches: growing changes the protection of pages, once up
//! and once down for each instance, and each page that was touched is wiped. It must not know what is allocated.
//!
//! A guest is handed the blocks of an event, and gives them back before the next one comes. What it makes of its settings meanwhile
//! stays. So the memory is split when that is made: the next event takes the place of the first one, and what is longer goes behind
//! what stays.
//!
//! It is for guests without an operating system. Where there is WASI, the C library's allocator takes the same memory.
#![allow(unsafe_code, reason = "an allocator hands out raw memory")]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use std::alloc::System;

use crate::piece::Piece;

// SAFETY: the linker defines both, around what it leaves free; only their addresses are taken. On this target the system's allocator
// never takes what lies between them: it grows the memory.
unsafe extern "C" {
    static __heap_base: u8;
    static __heap_end: u8;
}

/// The pieces before and behind what stays. All is the first one's until something is to stay.
struct Pieces {
    first: Piece,
    second: Piece,
}

struct Heap(UnsafeCell<Pieces>);

// SAFETY: a guest has one thread.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(Pieces { first: Piece::NONE, second: Piece::NONE }));

/// Makes what stays until the guest ends.
pub(crate) fn keep<T>(make: impl FnOnce() -> T) -> T {
    HEAP.with(|pieces| {
        if pieces.second.is_none() {
            pieces.second = pieces.first.split();
        }
    });
    let made = make();
    HEAP.with(|pieces| pieces.second = pieces.second.split());
    made
}

impl Heap {
    #[inline(always)]
    fn with<T>(&self, tell: impl FnOnce(&mut Pieces) -> T) -> T {
        // SAFETY: one thread, and who is told calls nobody who allocates.
        tell(unsafe { &mut *self.0.get() })
    }
}

impl Pieces {
    #[inline(always)]
    fn take(&mut self, layout: Layout) -> Option<usize> {
        if self.first.is_none() && self.second.is_none() {
            self.first = Piece::new(&raw const __heap_base as usize, &raw const __heap_end as usize);
        }
        let (size, align) = (layout.size(), layout.align());
        self.first.take(size, align).or_else(|| self.second.take(size, align))
    }

    /// The piece that a block is of.
    #[inline(always)]
    fn of(&mut self, block: usize) -> Option<&mut Piece> {
        if self.first.has(block) { Some(&mut self.first) } else { Some(&mut self.second).filter(|it| it.has(block)) }
    }
}

/// Whether a block is of the memory that the guest began with.
fn is_ours(block: *mut u8) -> bool {
    (block as usize) < &raw const __heap_end as usize
}

// SAFETY: blocks of the pieces do not overlap, for a piece is taken from its beginning to its end, and from its beginning again when
// all blocks are back; all others come from the system's allocator and go back to it.
unsafe impl GlobalAlloc for Heap {
    // SAFETY: a block of a piece lies within it, and nobody else has it.
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.with(|pieces| pieces.take(layout)) {
            Some(block) => block as *mut u8,
            // SAFETY: the caller's promises are passed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    // SAFETY: a block goes back to where it came from; one that stays is not missed.
    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_ours(block) {
            self.with(|pieces| pieces.of(block as usize).map(|piece| piece.give_back(block as usize, layout.size())));
        } else {
            // SAFETY: what is not of the pieces is the system's.
            unsafe { System.dealloc(block, layout) }
        }
    }

    // SAFETY: a block grows in place only when it was taken last, within its piece.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !is_ours(block) {
            // SAFETY: what is not of the pieces is the system's.
            return unsafe { System.realloc(block, layout, size) };
        }
        if self.with(|pieces| pieces.of(block as usize)?.resize(block as usize, layout.size(), size)).is_some() {
            return block;
        }
        // SAFETY: the alignment is the block's own; the caller says that the size is fit for it.
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both blocks have these bytes, they are different blocks, and the old one is not used any more.
            unsafe {
                core::ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                self.dealloc(block, layout);
            }
        }
        new
    }
}
