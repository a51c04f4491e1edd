//! Rotary position embedding: the angles of a step's rows (Su et al., <https://arxiv.org/abs/2104.09864>), and the ways in which its
//! frequencies are stretched for contexts longer than those of training.
//!
//! Apart because positions are all that it needs. The rounding is that of Hugging Face transformers: frequencies and angles in f32. It
//! must not know sequences or weights.

use std::f64::consts::TAU;

use crate::ops::{Heads, Rotation};

/// Which frequencies a model has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spectrum {
    /// Their base.
    pub(crate) theta: f64,
    pub(crate) scaling: Scaling,
}

/// How they are stretched.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scaling {
    None,
    /// All alike.
    Linear {
        factor: f64,
    },
    /// The slow ones by `factor`, the fast ones not, those between by a part of it (Llama 3.1). `low` and `high` are turns within the
    /// `original` context.
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original: f64,
    },
    Yarn(Yarn),
    /// Each by a factor of its own.
    Factors(Vec<f32>),
}

/// YaRN (Peng et al., <https://arxiv.org/abs/2309.00071>).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Yarn {
    pub(crate) factor: f64,
    /// Positions of training.
    pub(crate) original: f64,
    /// What cosines and sines are multiplied by: its square scales the scores.
    pub(crate) attention: f64,
    /// Turns within `original` from which on a frequency stays as it is.
    pub(crate) fast: f64,
    /// Turns up to which it is stretched whole.
    pub(crate) slow: f64,
    /// Whether the bounds between are whole numbers.
    pub(crate) truncate: bool,
}

/// Frequencies of one model.
#[derive(Clone, Debug)]
pub(crate) struct Rope {
    heads: Heads,
    frequencies: Vec<f32>,
    attention: f32,
}

impl Rope {
    /// Frequencies `theta^(-2i / head_dim)`, stretched.
    pub(crate) fn new(heads: Heads, spectrum: &Spectrum) -> Self {
        let power = |i: usize| (spectrum.theta as f32).powf((2 * i) as f32 / heads.head_dim as f32);
        let powers = (0..heads.head_dim / 2).map(power);
        let (frequencies, attention) = match &spectrum.scaling {
            Scaling::None => (powers.map(|p| 1.0 / p).collect(), 1.0),
            Scaling::Linear { factor } => (powers.map(|p| 1.0 / p / *factor as f32).collect(), 1.0),
            Scaling::Llama3 { factor, low, high, original } => {
                let bounds = [*low as f32, *high as f32, *original as f32];
                (powers.map(|p| llama3(1.0 / p, *factor as f32, bounds)).collect(), 1.0)
            }
            Scaling::Factors(factors) => (powers.zip(factors).map(|(p, factor)| 1.0 / p / factor).collect(), 1.0),
            Scaling::Yarn(yarn) => (yarn.stretch(powers, spectrum.theta, heads.head_dim), yarn.attention as f32),
        };
        Self { heads, frequencies, attention }
    }

    /// The rotation of rows at these positions.
    pub(crate) fn at(&self, positions: impl Iterator<Item = usize> + Clone) -> Rotation {
        let angles = positions.flat_map(|p| self.frequencies.iter().map(move |f| p as f32 * f));
        let cos = angles.clone().map(|a| a.cos() * self.attention).collect();
        Rotation { heads: self.heads, cos, sin: angles.map(|a| a.sin() * self.attention).collect() }
    }
}

fn llama3(frequency: f32, factor: f32, [low, high, original]: [f32; 3]) -> f32 {
    let wave = TAU as f32 / frequency;
    if wave < original / high {
        frequency
    } else if wave > original / low {
        frequency / factor
    } else {
        let smooth = (original / wave - low) / (high - low);
        (1.0 - smooth) * frequency / factor + smooth * frequency
    }
}

impl Yarn {
    fn stretch(&self, powers: impl Iterator<Item = f32>, theta: f64, head_dim: usize) -> Vec<f32> {
        let width = head_dim as f64;
        let turns = |n: f64| width * (self.original / (n * TAU)).ln() / (2.0 * theta.ln());
        let (low, high) = (turns(self.fast), turns(self.slow));
        let (low, high) = if self.truncate { (low.floor(), high.ceil()) } else { (low, high) };
        let (low, mut high) = (low.max(0.0), high.min(width - 1.0));
        if low == high {
            // A step in place of a ramp, and no division by 0.
            high += 0.001;
        }
        let stretched = powers.enumerate().map(|(i, power)| {
            let ramp = ((i as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
            let kept = 1.0 - ramp;
            1.0 / (self.factor as f32 * power) * (1.0 - kept) + 1.0 / power * kept
        });
        stretched.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADS: Heads = Heads { heads: 1, kv_heads: 1, head_dim: 128 };

    fn frequencies(scaling: Scaling) -> Vec<f32> {
        Rope::new(HEADS, &Spectrum { theta: 1e6, scaling }).frequencies
    }

    #[test]
    fn the_fast_stay_and_the_slow_are_stretched() {
        let plain = frequencies(Scaling::None);
        let yarn = Yarn { factor: 4.0, original: 32_768.0, attention: 1.0, fast: 32.0, slow: 1.0, truncate: true };
        for scaled in
            [frequencies(Scaling::Yarn(yarn)), frequencies(Scaling::Llama3 { factor: 4.0, low: 1.0, high: 4.0, original: 8192.0 })]
        {
            assert_eq!(scaled[..10], plain[..10]);
            assert!((scaled[63] * 4.0 / plain[63] - 1.0).abs() < 1e-6);
            assert!(scaled.windows(2).all(|pair| pair[0] > pair[1]), "the order stays");
        }
        assert_eq!(frequencies(Scaling::Linear { factor: 2.0 })[5], plain[5] / 2.0);
    }

    /// Bounds that meet: a checkpoint may say so, and nothing may become no number.
    #[test]
    fn a_ramp_without_width_is_a_step() {
        let yarn = Yarn { factor: 4.0, original: 1.0, attention: 1.0, fast: 1.0, slow: 1.0, truncate: false };
        assert!(frequencies(Scaling::Yarn(yarn)).iter().all(|f| f.is_finite()));
    }
}
