//! The random numbers of one choice: its own generator, so that who else is served changes nothing.
//!
//! Apart because it is a published algorithm. It must not know what the numbers are for.

/// xoshiro256++ 1.0, seeded through SplitMix64 (Blackman and Vigna, <https://prng.di.unimi.it>).
#[derive(Clone, Debug)]
pub(crate) struct Draws([u64; 4]);

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Draws {
    /// The generator of one choice of a request.
    pub(crate) fn new(seed: u64, choice: u32) -> Self {
        let mut state = seed;
        let mut state = split_mix(&mut state) ^ u64::from(choice);
        Self(std::array::from_fn(|_| split_mix(&mut state)))
    }

    /// 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// In [0, 1), 53 bits.
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_xoshiro256_plus_plus() {
        // First outputs of the reference implementation from the state 1, 2, 3, 4.
        let mut d = Draws([1, 2, 3, 4]);
        assert_eq!([d.bits(), d.bits(), d.bits()], [41_943_041, 58_720_359, 3_588_806_011_781_223]);
    }
}
