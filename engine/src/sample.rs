//! Which token comes next: greedy, or a draw with a generator that is the sequence's own.
//!
//! Apart because it is pure and its order of operations is a promise: the same seed and logits give the same tokens, whoever else is
//! served. The order is that of vLLM (<https://docs.vllm.ai/en/stable/api/vllm/v1/sample/sampler/>): `logit_bias`, penalties,
//! temperature, min-p, top-k, top-p, each on what the one before it left. Sums are taken in a fixed order. It must not know models.

mod draws;
pub(crate) mod shaping;

pub(crate) use draws::Draws;

/// How a sequence samples; checked when the request came in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sampler {
    /// The likeliest token; of equals the one with the least id.
    Greedy,
    /// A draw.
    Draw {
        /// Above 0.
        temperature: f64,
        /// In [0, 1]: tokens that have less than this of the likeliest one's probability are out.
        min_p: f64,
        /// So many likeliest tokens; 0 is all.
        top_k: usize,
        /// In [0, 1]: the least set of likeliest tokens whose probabilities add up to this. At least one stays.
        top_p: f64,
    },
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
    let Sampler::Draw { temperature, min_p, top_k, top_p } = sampler else { return u32::try_from(best).ok() };
    // Of the likeliest it is 1.
    let weight = |l: f32| if l.is_nan() { 0.0 } else { ((f64::from(l) - f64::from(top)) / temperature).exp() };
    let weights = (0u32..).zip(logits.iter().map(|l| weight(*l)));
    let mut all: Vec<(u32, f64)> = weights.filter(|(_, w)| *w >= min_p).collect();
    if top_k != 0 && top_k < all.len() {
        all.select_nth_unstable_by(top_k, by_weight);
        all.truncate(top_k);
        all.sort_unstable_by(by_weight);
    }
    let total: f64 = all.iter().map(|(_, w)| w).sum();
    let kept = nucleus(&mut all, top_p * total);
    let mut left = draws.unit() * kept.iter().map(|(_, w)| w).sum::<f64>();
    for (id, w) in kept {
        left -= w;
        if left < 0.0 {
            return Some(*id);
        }
    }
    kept.first().map(|(id, _)| *id)
}

/// The likelier first; of equals the one with the least id.
fn by_weight(a: &(u32, f64), b: &(u32, f64)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// The likeliest candidates first, cut where their weights add up to `enough`.
fn nucleus(all: &mut [(u32, f64)], enough: f64) -> &[(u32, f64)] {
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
            if sum >= enough {
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
        Sampler::Draw { temperature, top_p, top_k, min_p: 0.0 }
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
        // Of the two likeliest the first has 5/8: what top-k leaves is the whole of which top-p takes its part.
        assert_eq!(seen(draw(1.0, 0.62, 2)), Some(0));
        assert_eq!(seen(draw(1.0, 0.63, 2)), Some(1));
    }

    #[test]
    fn min_p_keeps_what_is_near_the_likeliest() {
        let logits: Vec<f32> = [0.5f32, 0.3, 0.15, 0.05].iter().map(|p| p.ln()).collect();
        let mut d = Draws::new(7, 0);
        let mut seen = |temperature, top_p, min_p| {
            let sampler = Sampler::Draw { temperature, top_p, top_k: 0, min_p };
            (0..2000).filter_map(|_| sample(&logits, sampler, &mut d)).max()
        };
        assert_eq!(seen(1.0, 1.0, 0.09), Some(3));
        assert_eq!(seen(1.0, 1.0, 0.11), Some(2));
        assert_eq!(seen(1.0, 1.0, 1.0), Some(0));
        // It looks at what temperature made: squared, the second has 0.36 of the first.
        assert_eq!(seen(0.5, 1.0, 0.35), Some(1));
        assert_eq!(seen(0.5, 1.0, 0.37), Some(0));
        // What it leaves is the whole of which top-p takes its part: 5/8.
        assert_eq!(seen(1.0, 0.62, 0.5), Some(0));
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
        fn the_nucleus_is_what_a_whole_sort_gives(weights in proptest::collection::vec(0.0f64..1.0, 1..600), part in 0.01f64..1.0) {
            let all: Vec<(u32, f64)> = (0u32..).zip(weights).collect();
            let enough = part * all.iter().map(|a| a.1).sum::<f64>();
            let mut sorted = all.clone();
            sorted.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
            let mut sum = 0.0;
            let want = sorted.iter().position(|a| { sum += a.1; sum >= enough }).unwrap_or(sorted.len() - 1);
            let mut all = all;
            prop_assert_eq!(nucleus(&mut all, enough), &sorted[..=want]);
        }
    }
}
