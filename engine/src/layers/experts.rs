//! A feed-forward part that is many (DeepSeek-V3, <https://arxiv.org/abs/2412.19437>): a router chooses a few experts for each row, some are
//! for all rows.
//!
//! Apart because most families have one feed-forward part. It must not know whose rows they are. An expert computes the rows that chose it
//! and no others; a row's experts are added up in their order, so that its sum does not depend on the other rows.

use std::collections::BTreeMap;

use burn::tensor::{Int, Tensor, TensorData};

use super::decoder::mlp;
use super::mlp::Mlp;
use super::{Batch, Bias, Loader, product, read};
use crate::error::EngineError;
use crate::ops::{EngineBackend, Linear};

/// Which layers have experts, and which.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mixture {
    /// Layers before the first that has experts.
    pub(crate) dense_layers: usize,
    pub(crate) experts: usize,
    /// Width of one.
    pub(crate) inner: usize,
    /// Width of the one that all rows pass.
    pub(crate) shared: usize,
    pub(crate) choice: Choice,
}

/// How a row's experts are chosen. They are in groups of the same size, at least two of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    pub(crate) groups: usize,
    /// Groups that are chosen from.
    pub(crate) open_groups: usize,
    /// Experts that are chosen.
    pub(crate) chosen: usize,
    pub(crate) weights: Weighing,
    /// What their weights are multiplied by at last.
    pub(crate) factor: f32,
}

/// What the chosen experts weigh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weighing {
    /// Their scores.
    Scores,
    /// Their shares in the sum of their scores.
    Shares,
}

/// An expert that was chosen, and what it weighs.
type Chosen = (usize, f32);

impl Choice {
    /// The experts of one row, in their order. The bias counts in choosing, not in weighing.
    fn choose(&self, logits: &[f32], bias: &[f32]) -> Vec<Chosen> {
        let scores: Vec<f32> = logits.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect();
        let biased: Vec<f32> = scores.iter().zip(bias).map(|(score, bias)| score + bias).collect();
        let size = biased.len() / self.groups;
        let groups = biased.chunks_exact(size).map(|group| best(group.iter().copied().enumerate(), 2).iter().map(|e| e.1).sum());
        let open = best(groups.enumerate(), self.open_groups);
        let members = open.iter().flat_map(|(group, _)| biased.iter().copied().enumerate().skip(group * size).take(size));
        let mut chosen = best(members, self.chosen);
        chosen.sort_unstable_by_key(|(expert, _)| *expert);
        for (expert, weight) in &mut chosen {
            *weight = scores[*expert];
        }
        let sum = match self.weights {
            Weighing::Scores => 1.0,
            Weighing::Shares => chosen.iter().map(|(_, weight)| weight).sum::<f32>() + 1e-20,
        };
        chosen.iter_mut().for_each(|(_, weight)| *weight = *weight / sum * self.factor);
        chosen
    }
}

/// The `count` greatest, the greatest first; of equals the first.
fn best(scores: impl Iterator<Item = Chosen>, count: usize) -> Vec<Chosen> {
    let mut all: Vec<Chosen> = scores.collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.truncate(count);
    all
}

/// One layer's weights.
#[derive(Debug)]
pub(crate) struct Experts<B: EngineBackend> {
    choice: Choice,
    router: Linear<B>,
    bias: Vec<f32>,
    experts: Vec<Mlp<B>>,
    shared: Mlp<B>,
}

/// The rows of each expert that has any; and of each row's first, second, ... expert, where its result lies and what it weighs.
struct Routes {
    rows: BTreeMap<usize, Vec<i64>>,
    results: Vec<(Vec<i64>, Vec<f32>)>,
}

impl Routes {
    fn new(choices: &[Vec<Chosen>], chosen: usize) -> Self {
        let mut rows: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
        for (row, choice) in choices.iter().enumerate() {
            for (expert, _) in choice {
                rows.entry(*expert).or_default().push(row as i64);
            }
        }
        // Results lie in the order of experts, and for one expert in the order of rows.
        let mut next = BTreeMap::new();
        let mut at = 0;
        for (expert, rows) in &rows {
            next.insert(*expert, at);
            at += rows.len() as i64;
        }
        let mut results = vec![(Vec::new(), Vec::new()); chosen];
        for choice in choices {
            for ((places, weights), (expert, weight)) in results.iter_mut().zip(choice) {
                let place = next.entry(*expert).or_default();
                places.push(*place);
                weights.push(*weight);
                *place += 1;
            }
        }
        Self { rows, results }
    }
}

impl<B: EngineBackend> Experts<B> {
    /// Loads `<prefix>.gate` and so on, of a model so wide.
    pub(super) fn load(loader: &Loader<'_, B>, prefix: &str, mixture: Mixture, hidden: usize) -> Result<Self, EngineError> {
        let Mixture { experts, inner, shared, choice, .. } = mixture;
        let name = |part: &str| format!("{prefix}.{part}");
        let expert = |i| mlp(loader, &name(&format!("experts.{i}")), [hidden, inner], Bias::No);
        Ok(Self {
            choice,
            router: loader.linear(&[(name("gate"), experts)], hidden, Bias::No)?,
            bias: loader.weights.tensor(&name("gate.e_score_correction_bias"), &[experts])?,
            experts: (0..experts).map(expert).collect::<Result<_, _>>()?,
            shared: mlp(loader, &name("shared_experts"), [hidden, shared], Bias::No)?,
        })
    }

    /// `x` `[rows, hidden]`, normalised, to `[rows, hidden]`. The device waits while the CPU chooses.
    ///
    /// # Errors
    /// [`EngineError::Step`] if the device fails.
    pub(crate) fn forward(&self, x: Tensor<B, 2>, kind: Batch<'_>) -> Result<Tensor<B, 2>, EngineError> {
        let logits = read(product(x.clone(), &self.router, kind))?;
        let choices = logits.chunks_exact(self.bias.len()).map(|logits| self.choice.choose(logits, &self.bias));
        let routes = Routes::new(&choices.collect::<Vec<_>>(), self.choice.chosen);
        let device = x.device();
        let ids = |ids: Vec<i64>| {
            let n = ids.len();
            Tensor::<B, 1, Int>::from_data(TensorData::new(ids, [n]), &device)
        };
        let mut results = Vec::with_capacity(routes.rows.len());
        for (expert, rows) in routes.rows {
            if let Some(expert) = self.experts.get(expert) {
                let adapters = kind.adapters_of(&rows);
                results.push(expert.forward(x.clone().select(0, ids(rows)), Batch { adapters: &adapters, ..kind }));
            }
        }
        let results = Tensor::cat(results, 0);
        let parts = routes.results.into_iter().map(|(places, weights)| {
            let n = weights.len();
            results.clone().select(0, ids(places)) * Tensor::from_data(TensorData::new(weights, [n, 1]), &device)
        });
        let shared = self.shared.forward(x, kind);
        Ok(match parts.reduce(|sum, part| sum + part) {
            Some(sum) => sum + shared,
            None => shared,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a score of that size has for a logit.
    fn logit(score: f32) -> f32 {
        (score / (1.0 - score)).ln()
    }

    fn experts(choice: &Choice, scores: &[f32], bias: &[f32]) -> Vec<(usize, f32)> {
        let logits: Vec<f32> = scores.iter().copied().map(logit).collect();
        choice.choose(&logits, bias).into_iter().map(|(expert, weight)| (expert, (weight * 1000.0).round() / 1000.0)).collect()
    }

    const CHOICE: Choice = Choice { groups: 3, open_groups: 2, chosen: 2, weights: Weighing::Scores, factor: 1.0 };

    #[test]
    fn a_group_is_as_good_as_its_two_best() {
        // The best of all stands alone in its group.
        let scores = [0.9, 0.1, 0.1, 0.6, 0.6, 0.1, 0.5, 0.55, 0.1];
        assert_eq!(experts(&CHOICE, &scores, &[0.0; 9]), [(3, 0.6), (4, 0.6)]);
        let three = Choice { chosen: 3, ..CHOICE };
        assert_eq!(experts(&three, &scores, &[0.0; 9]), [(3, 0.6), (4, 0.6), (7, 0.55)]);
    }

    #[test]
    fn the_bias_chooses_and_does_not_weigh() {
        let scores = [0.2, 0.3, 0.8, 0.8, 0.4, 0.4];
        let bias = [1.0, 0.0, 0.0, -1.0, -1.0, 0.9];
        assert_eq!(experts(&CHOICE, &scores, &bias), [(0, 0.2), (5, 0.4)]);
        let shares = Choice { weights: Weighing::Shares, factor: 3.0, ..CHOICE };
        assert_eq!(experts(&shares, &scores, &bias), [(0, 1.0), (5, 2.0)]);
    }

    /// Closed groups are closed even where all that is open is worse than nothing.
    #[test]
    fn biased_scores_below_zero_are_chosen_all_the_same() {
        let scores = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
        assert_eq!(experts(&Choice { groups: 2, open_groups: 1, ..CHOICE }, &scores, &[-5.0; 6]), [(4, 0.5), (5, 0.6)]);
        let equal = Choice { groups: 1, open_groups: 1, ..CHOICE };
        assert_eq!(experts(&equal, &[0.5; 4], &[0.0; 4]), [(0, 0.5), (1, 0.5)], "of equals the first");
    }

    #[test]
    fn what_is_no_number_harms_its_row_alone() {
        assert_eq!(CHOICE.choose(&[f32::NAN; 9], &[0.0; 9]).len(), 2);
    }

    #[test]
    fn results_are_found_where_they_lie() {
        let routes = Routes::new(&[vec![(1, 0.1), (4, 0.2)], vec![(0, 0.3), (1, 0.4)]], 2);
        assert_eq!(routes.rows.into_iter().collect::<Vec<_>>(), [(0, vec![1]), (1, vec![0, 1]), (4, vec![0])]);
        assert_eq!(routes.results, [(vec![1, 0], vec![0.1, 0.3]), (vec![3, 2], vec![0.2, 0.4])]);
    }
}
