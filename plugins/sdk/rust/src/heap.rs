//! The heap of a guest: a fixed piece of the memory that it begins with, and the system's allocator behind it.
//!
//! It is apart because a guest whose memory does not grow is made and wiped faster: growing changes the protection of pages, once
//! up and once down for each instance. It must not know what is allocated.
#![allow(unsafe_code, reason = "an allocator hands out raw memory")]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use std::alloc::System;

/// Bytes of the first piece. Pages of it that nobody touches cost nothing.
const BYTES: usize = 512 << 10;

#[repr(C, align(16))]
struct Heap {
    bytes: UnsafeCell<[u8; BYTES]>,
    /// Offset of the first byte that is free.
    free: UnsafeCell<usize>,
}

// SAFETY: a guest has one thread.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap { bytes: UnsafeCell::new([0; BYTES]), free: UnsafeCell::new(0) };

impl Heap {
    /// Where a block in the first piece begins, as an offset; `None` for a block of the system's.
    fn offset(&self, block: *mut u8) -> Option<usize> {
        (block as usize).checked_sub(self.bytes.get() as usize).filter(|offset| *offset < BYTES)
    }

    fn free(&self) -> usize {
        // SAFETY: one thread, and no reference outlives this line.
        unsafe { *self.free.get() }
    }

    fn set_free(&self, offset: usize) {
        // SAFETY: one thread, and no reference outlives this line.
        unsafe { *self.free.get() = offset }
    }
}

// SAFETY: blocks of the first piece do not overlap, for `free` only moves past what was handed out, and back over the last block
// when that is given back; all others come from the system's allocator and go back to it.
unsafe impl GlobalAlloc for Heap {
    // SAFETY: a block of the first piece lies between the old `free` and the new one: nobody else has it.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.bytes.get().cast::<u8>();
        let start = (base as usize + self.free()).next_multiple_of(layout.align()) - base as usize;
        match start.checked_add(layout.size()).filter(|end| *end <= BYTES) {
            Some(end) => {
                self.set_free(end);
                base.wrapping_add(start)
            }
            // SAFETY: the caller's promises are passed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    // SAFETY: only the last block moves `free` back; others stay taken until the guest ends.
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.offset(block) {
            Some(start) if start + layout.size() == self.free() => self.set_free(start),
            Some(_) => {}
            // SAFETY: what is not in the first piece is the system's.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    // SAFETY: a block grows in place only when it is the last one, within the first piece.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        match self.offset(block) {
            // The last block grows and shrinks where it is.
            Some(start) if start + layout.size() == self.free() && start + size <= BYTES => {
                self.set_free(start + size);
                block
            }
            Some(_) => {
                // SAFETY: the alignment is the block's own; the caller says that the size is fit for it.
                let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
                if !new.is_null() {
                    // SAFETY: both blocks have these bytes, and they are different blocks.
                    unsafe { core::ptr::copy_nonoverlapping(block, new, layout.size().min(size)) };
                }
                new
            }
            // SAFETY: what is not in the first piece is the system's.
            None => unsafe { System.realloc(block, layout, size) },
        }
    }
}
