//! Which token comes next: greedy, or temperature, top-k and top-p with a generator that is the sequence's own.
//!
//! Apart because it is pure and its order of operations is a promise: the same seed and logits give the same tokens, whoever else is
//! served. It must not know models.

/// How a sequence samples; checked when the request came in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sampler {
    /// The likeliest token; of equals the one with the least id.
    Greedy,
    /// A draw.
    Draw {
        /// Above 0.
        temperature: f64,
        /// In (0, 1]: the least set of likeliest tokens whose probabilities add up to this. At least one stays.
        top_p: f64,
        /// So many likeliest tokens; 0 is all.
        top_k: usize,
    },
}

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

    fn bits(&mut self) -> u64 {
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
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The next token. `None` if the greatest logit is no finite number: the step went wrong.
pub(crate) fn sample(logits: &[f32], sampler: Sampler, draws: &mut Draws) -> Option<u32> {
    let best = logits.iter().enumerate().filter(|(_, l)| !l.is_nan());
    let (best, top) = best.fold(None, |best: Option<(usize, f32)>, (i, l)| match best {
        Some((_, top)) if top >= *l => best,
        _ => Some((i, *l)),
    })?;
    if !top.is_finite() {
        return None;
    }
    let Sampler::Draw { temperature, top_p, top_k } = sampler else { return u32::try_from(best).ok() };
    let weight = |l: f32| ((f64::from(l) - f64::from(top)) / temperature).exp();
    let mut all: Vec<(u32, f64)> = (0u32..).zip(logits.iter().map(|l| if l.is_nan() { 0.0 } else { weight(*l) })).collect();
    let total: f64 = all.iter().map(|(_, w)| w).sum();
    let kept = nucleus(&mut all, top_p * total, if top_k == 0 { usize::MAX } else { top_k });
    let mut left = draws.unit() * kept.iter().map(|(_, w)| w).sum::<f64>();
    for (id, w) in kept {
        left -= w;
        if left < 0.0 {
            return Some(*id);
        }
    }
    kept.first().map(|(id, _)| *id)
}

/// The likeliest candidates first, cut where their weights add up to `enough`, and at `most`.
fn nucleus(all: &mut [(u32, f64)], enough: f64, most: usize) -> &[(u32, f64)] {
    let by_weight = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    let mut head = 128.min(all.len());
    loop {
        // Sorting a head that is nearly always enough saves sorting a vocabulary of 150,000 for each token.
        if head < all.len() {
            all.select_nth_unstable_by(head, by_weight);
        }
        all[..head].sort_unstable_by(by_weight);
        let mut sum = 0.0;
        for (i, (_, w)) in all[..head].iter().enumerate() {
            sum += w;
            if sum >= enough || i + 1 >= most {
                return &all[..=i];
            }
        }
        if head == all.len() {
            return all;
        }
        head = (head * 16).min(all.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn draw(temperature: f64, top_p: f64, top_k: usize) -> Sampler {
        Sampler::Draw { temperature, top_p, top_k }
    }

    #[test]
    fn greedy_takes_the_first_of_equals_and_no_nan() {
        let mut d = Draws::new(0, 0);
        assert_eq!(sample(&[1.0, f32::NAN, 3.0, 3.0], Sampler::Greedy, &mut d), Some(2));
        assert_eq!(sample(&[f32::NAN], Sampler::Greedy, &mut d), None);
        assert_eq!(sample(&[], Sampler::Greedy, &mut d), None);
    }

    #[test]
    fn infinite_logits_are_a_fault_or_impossible_tokens() {
        let (inf, mut d) = (f32::INFINITY, Draws::new(0, 0));
        let many: Vec<f32> = (0..1000u16).map(|i| if i % 3 == 0 { inf } else { f32::from(i) }).collect();
        for sampler in [Sampler::Greedy, draw(1.0, 0.9, 50), draw(1.0, 1.0, 0)] {
            assert_eq!(sample(&many, sampler, &mut d), None);
            assert_eq!(sample(&[-inf, f32::NAN, -inf], sampler, &mut d), None);
            assert_eq!(sample(&[-inf, 1.0, f32::NAN, -inf], sampler, &mut d), Some(1));
        }
    }

    #[test]
    fn the_generator_is_xoshiro256_plus_plus() {
        // First outputs of the reference implementation from the state 1, 2, 3, 4.
        let mut d = Draws([1, 2, 3, 4]);
        assert_eq!([d.bits(), d.bits(), d.bits()], [41_943_041, 58_720_359, 3_588_806_011_781_223]);
    }

    #[test]
    fn top_p_and_top_k_cut_the_tail() {
        let logits: Vec<f32> = [0.5f32, 0.3, 0.15, 0.05].iter().map(|p| p.ln()).collect();
        let mut d = Draws::new(7, 0);
        let mut seen = |s| (0..2000).filter_map(|_| sample(&logits, s, &mut d)).max();
        assert_eq!(seen(draw(1.0, 1.0, 0)), Some(3));
        assert_eq!(seen(draw(1.0, 0.79, 0)), Some(1));
        assert_eq!(seen(draw(1.0, 0.81, 0)), Some(2));
        assert_eq!(seen(draw(1.0, 1.0, 2)), Some(1));
        assert_eq!(seen(draw(1.0, 1e-9, 0)), Some(0));
        assert_eq!(seen(draw(0.01, 1.0, 0)), Some(0));
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let logits: Vec<f32> = [0.5f32, 0.3, 0.2].iter().map(|p| 2.0 * p.ln()).collect();
        let mut d = Draws::new(11, 0);
        let mut counts = [0u32; 3];
        for _ in 0..20_000 {
            counts[sample(&logits, draw(2.0, 1.0, 0), &mut d).unwrap() as usize] += 1;
        }
        for (count, p) in counts.iter().zip([0.5, 0.3, 0.2]) {
            assert!((f64::from(*count) / 20_000.0 - p).abs() < 0.015, "{counts:?}");
        }
    }

    #[test]
    fn choices_of_one_seed_differ_and_repeat() {
        let logits = vec![0.0f32; 1000];
        let take = |seed, choice| {
            let mut d = Draws::new(seed, choice);
            (0..8).map(|_| sample(&logits, draw(1.0, 1.0, 0), &mut d).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(take(5, 0), take(5, 0));
        assert_ne!(take(5, 0), take(5, 1));
        assert_ne!(take(5, 0), take(6, 0));
    }

    proptest! {
        #[test]
        fn the_nucleus_is_what_a_whole_sort_gives(
            weights in proptest::collection::vec(0.0f64..1.0, 1..600), part in 0.01f64..1.0, most in 1usize..600,
        ) {
            let all: Vec<(u32, f64)> = (0u32..).zip(weights).collect();
            let enough = part * all.iter().map(|a| a.1).sum::<f64>();
            let mut sorted = all.clone();
            sorted.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
            let mut sum = 0.0;
            let want = sorted.iter().position(|a| { sum += a.1; sum >= enough }).unwrap_or(sorted.len() - 1).min(most - 1);
            let mut all = all;
            prop_assert_eq!(nucleus(&mut all, enough, most), &sorted[..=want]);
        }
    }
}
