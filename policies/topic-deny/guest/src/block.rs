//! Sixteen bytes of a text at once: which of them are in a set of ASCII characters.
//!
//! It is apart because it is the one place that knows the processor's vectors. Where there are none, as in native tests, a loop says
//! the same, a byte at a time. It must not know what a character means.

/// Bytes of a block. Answers about a block have a bit for each, the first byte's the lowest.
pub const WIDTH: usize = 16;

/// A set of ASCII characters: a byte for each low half of a character, a bit of it for each high half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set([u8; WIDTH]);

impl Set {
    /// With nothing in it.
    pub const EMPTY: Self = Self([0; WIDTH]);

    /// And this ASCII character too.
    #[must_use]
    pub const fn with(mut self, byte: u8) -> Self {
        assert!(byte.is_ascii(), "a set has no room for what is not ASCII");
        self.0[(byte & 15) as usize] |= 1 << (byte >> 4);
        self
    }

    /// What is in either of two sets.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self((u128::from_le_bytes(self.0) | u128::from_le_bytes(other.0)).to_le_bytes())
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self((u128::from_le_bytes(self.0) & !u128::from_le_bytes(other.0)).to_le_bytes())
    }

    /// Whether a byte is in it. What is not ASCII never is.
    #[inline]
    pub const fn has(&self, byte: u8) -> bool {
        byte.is_ascii() && self.0[(byte & 15) as usize] >> (byte >> 4) & 1 == 1
    }

    /// Which bytes of a block are in it.
    #[inline]
    pub fn among(&self, block: &[u8; WIDTH]) -> u16 {
        among(self, block)
    }
}

/// How many bytes at the beginning are ASCII.
pub fn ascii_up_to(bytes: &[u8]) -> usize {
    let (fours, _) = bytes.as_chunks::<{ 4 * WIDTH }>();
    let all_ascii = |four: &&[u8; 4 * WIDTH]| four.as_chunks().0.iter().fold(0, |any, block| any | beyond_ascii(block)) == 0;
    let mut sure = fours.iter().take_while(all_ascii).count() * 4 * WIDTH;
    sure += bytes[sure..].as_chunks().0.iter().take_while(|block| beyond_ascii(block) == 0).count() * WIDTH;
    bytes[sure..].iter().position(|byte| !byte.is_ascii()).map_or(bytes.len(), |it| sure + it)
}

#[cfg(target_feature = "simd128")]
use vectors::{among, beyond_ascii};

#[cfg(target_feature = "simd128")]
mod vectors {
    use core::arch::wasm32::{i8x16_bitmask, u8x16_eq, u8x16_shr, u8x16_splat, u8x16_swizzle, u64x2, u64x2_splat, v128, v128_and};

    use super::{Set, WIDTH};

    /// By the high half of a byte, the bit that a set has for it; none for what is not ASCII.
    const BITS: [u8; WIDTH] = [1, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0, 0];

    #[inline]
    pub(super) fn among(set: &Set, block: &[u8; WIDTH]) -> u16 {
        let bytes = load(block);
        let row = u8x16_swizzle(load(&set.0), v128_and(bytes, u8x16_splat(15)));
        let bit = u8x16_swizzle(load(&BITS), u8x16_shr(bytes, 4));
        !i8x16_bitmask(u8x16_eq(v128_and(row, bit), u64x2_splat(0)))
    }

    #[inline]
    pub(super) fn beyond_ascii(block: &[u8; WIDTH]) -> u16 {
        i8x16_bitmask(load(block))
    }

    /// Two halves, which the compiler makes one load of.
    #[inline]
    fn load(bytes: &[u8; WIDTH]) -> v128 {
        let both = u128::from_le_bytes(*bytes);
        u64x2(both as u64, (both >> 64) as u64)
    }
}

#[cfg(not(target_feature = "simd128"))]
fn among(set: &Set, block: &[u8; WIDTH]) -> u16 {
    mask(block, |byte| set.has(byte))
}

#[cfg(not(target_feature = "simd128"))]
fn beyond_ascii(block: &[u8; WIDTH]) -> u16 {
    mask(block, |byte| !byte.is_ascii())
}

#[cfg(not(target_feature = "simd128"))]
#[inline]
fn mask(block: &[u8; WIDTH], says: impl Fn(u8) -> bool) -> u16 {
    block.iter().rev().fold(0, |mask, &byte| mask << 1 | u16::from(says(byte)))
}

#[cfg(test)]
mod tests {
    use super::{Set, WIDTH, ascii_up_to};

    #[test]
    fn a_set_is_what_was_put_into_it() {
        let chosen = |byte: u8| byte.is_ascii() && byte.wrapping_mul(37) % 5 < 2;
        let set = (0..128).filter(|&byte| chosen(byte)).fold(Set::EMPTY, Set::with);
        for byte in 0..=255 {
            assert_eq!(set.has(byte), chosen(byte), "{byte}");
            for at in 0..WIDTH {
                let block: [u8; WIDTH] = core::array::from_fn(|it| byte.wrapping_add((it * 7 + at) as u8));
                let each = (0..WIDTH).fold(0, |mask, it| mask | u16::from(set.has(block[it])) << it);
                assert_eq!(set.among(&block), each, "{block:?}");
            }
        }
        let (one, other) = (Set::EMPTY.with(b'a'), Set::EMPTY.with(b'b').with(0).with(127));
        assert_eq!((one.or(other), one.or(other).without(one)), (other.with(b'a'), other));
    }

    #[test]
    fn ascii_ends_where_it_ends() {
        for length in 0..200 {
            let mut text = vec![b'a'; length];
            assert_eq!(ascii_up_to(&text), length);
            for other in (0..length).rev() {
                text[other] = 0x80;
                assert_eq!(ascii_up_to(&text), other);
            }
        }
    }
}
