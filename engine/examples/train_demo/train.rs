//! The training loop: schedule, parallel gradients, progress, checkpoints and measurements on the way.
//! Apart from the program's options. It must not know how data are worded.

use crate::Failure;
use crate::batch::{self, Order, Part};
use crate::checkpoint::Checkpoint;
use crate::demo_data::calls;
use crate::demo_data::dialogue::{self, Dialogue};
use crate::demo_data::other;
use crate::demo_data::phrasing;
use crate::demo_data::problems::Problem;
use crate::demo_data::rng::Rng;
use crate::export::{self, Target};
use crate::model::{Network, Shape};
use burn::module::{AutodiffModule, Module};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{AdamW, AdamWConfig, GradientsAccumulator, GradientsParams, Optimizer};
use burn::tensor::activation::log_softmax;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Device, ElementConversion, Tensor, TensorData};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokenizers::Tokenizer;

type Optim<B> = OptimizerAdaptor<AdamW, Network<B>, B>;

/// What a run is told.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Where checkpoints and the exported model go.
    pub(crate) out: PathBuf,
    /// How many steps in all.
    pub(crate) steps: usize,
    /// Conversations in a step.
    pub(crate) rows: usize,
    /// The highest learning rate.
    pub(crate) rate: f64,
    /// How many threads compute gradients.
    pub(crate) threads: usize,
    /// A checkpoint, an export and a measurement every so many steps.
    pub(crate) every: usize,
    /// The seed of weights and data.
    pub(crate) seed: u64,
}

/// The last part of the run, at half the learning rate or less: the high rate learns fast and errs, the low one does not.
const CALM: f64 = 0.375;
/// The part of it in which the learning rate falls to nearly nothing.
const FALL: f64 = 0.35;
/// Steps until the learning rate is reached.
const WARMUP: usize = 100;
/// Parts of a step for each thread.
const PARTS: usize = 3;
/// Problems and other prompts of a measurement.
const MEASURED: usize = 128;
/// Between two lines of the log.
const LINE: Duration = Duration::from_secs(30);

/// A run under way.
pub(crate) struct Run<B: AutodiffBackend> {
    plan: Plan,
    shape: Shape,
    tokenizer: Tokenizer,
    device: Device<B>,
    network: Network<B>,
    optimizer: Optim<B>,
    step: usize,
}

impl<B: AutodiffBackend> Run<B> {
    /// Begins anew, or goes on where the folder's checkpoint stands.
    pub(crate) fn open(plan: Plan, tokenizer: Tokenizer, shape: Shape) -> Result<Self, Failure> {
        let device = Device::<B>::default();
        B::seed(&device, plan.seed);
        let mut network = Network::<B>::new(&shape, &device);
        let mut optimizer: Optim<B> = AdamWConfig::new()
            .with_beta_2(0.98)
            .with_epsilon(1e-8)
            .with_weight_decay(0.02)
            .with_grad_clipping(Some(burn::grad_clipping::GradientClippingConfig::Norm(1.0)))
            .init();
        let mut step = 0;
        if let Some(saved) = Checkpoint::read(&plan.out)? {
            network = network.load_record(saved.record(&saved.weights, &device)?);
            optimizer = optimizer.load_record(saved.record(&saved.moments, &device)?);
            step = saved.step;
        }
        eprintln!("{} parameters, step {step} of {}", network.num_params(), plan.steps);
        Ok(Self { plan, shape, tokenizer, device, network, optimizer, step })
    }

    /// Trains to the last step.
    pub(crate) fn go(mut self) -> Result<(), Failure> {
        let mut log = Log::new(self.plan.steps, self.step);
        while self.step < self.plan.steps {
            let (loss, tokens);
            (self, loss, tokens) = self.advance()?;
            log.step(self.step, loss, tokens);
            if self.step.is_multiple_of(self.plan.every) || self.step == self.plan.steps {
                self.save()?;
                log.say(&format!("step {}: {}", self.step, self.measure()?));
            }
        }
        Ok(())
    }

    /// One step; its loss, and how many tokens it took.
    fn advance(mut self) -> Result<(Self, f64, usize), Failure> {
        let order = Order { seed: self.plan.seed, step: self.step, rows: self.plan.rows, parts: self.plan.threads * PARTS };
        let parts = batch::step(&self.tokenizer, &order)?;
        let tokens = parts.iter().map(|part| part.rows * part.length).sum();
        let (loss, grads) = self.gradients(&parts)?;
        let rate = self.plan.rate * schedule(self.step, self.plan.steps);
        self.network = self.optimizer.step(rate, self.network, grads);
        self.step += 1;
        Ok((self, loss, tokens))
    }

    /// The loss and the gradients of a step; threads take parts, and sums are made in the order of the parts.
    fn gradients(&self, parts: &[Part]) -> Result<(f64, GradientsParams), Failure> {
        let total: f32 = parts.iter().flat_map(|part| &part.weights).sum();
        let next = std::sync::atomic::AtomicUsize::new(0);
        let work = |network: Network<B>| {
            let mut done = Vec::new();
            while let Some((at, part)) = take(&next, parts) {
                let loss = loss(&network, part, &self.device) / total;
                let value: f64 = loss.clone().into_scalar().elem();
                let grads = GradientsParams::from_grads(loss.backward(), &network);
                done.push((at, value, grads));
            }
            done
        };
        let mut all = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.plan.threads)
                .map(|_| {
                    let network = self.network.clone().fork(&self.device);
                    scope.spawn(|| work(network))
                })
                .collect();
            let mut all = Vec::new();
            for thread in threads {
                all.extend(thread.join().map_err(|_| "a training thread failed")?);
            }
            Ok::<_, Failure>(all)
        })?;
        all.sort_by_key(|(at, ..)| *at);
        let (mut sum, mut value) = (GradientsAccumulator::new(), 0.0);
        for (_, part, grads) in all {
            sum.accumulate(&self.network, grads);
            value += part;
        }
        Ok((value, sum.grads()))
    }

    /// Writes the checkpoint and the model as it is now.
    fn save(&self) -> Result<(), Failure> {
        Checkpoint::write(&self.plan.out, self.step, &self.network, &self.optimizer)?;
        let folder = self.plan.out.join("export");
        export::write(&self.network, &self.shape, Target { folder: &folder, tokenizer: &self.tokenizer })
    }

    /// How many of some unseen problems, other prompts and conversations with tools would be answered token by token as taught.
    fn measure(&self) -> Result<String, Failure> {
        let network = self.network.valid();
        let mut rng = Rng::new(self.plan.seed, u64::MAX);
        let (mut asked, mut other, mut tools) = (Vec::new(), Vec::new(), Vec::new());
        for problem in Problem::held_out(MEASURED) {
            let prompt = dialogue::single(&phrasing::question(&problem, &mut rng));
            asked.push(Dialogue { prompt, completion: dialogue::solve(&problem), declined: false });
            let prompt = dialogue::single(&other::prompt(&mut rng));
            other.push(Dialogue { prompt, completion: dialogue::decline(), declined: true });
            tools.push(calls::sample(&mut rng));
        }
        let mut figures = Vec::new();
        for list in [&asked, &other, &tools] {
            let mut right = 0;
            for chunk in list.chunks(32) {
                let made: Result<Vec<_>, _> = chunk.iter().map(|d| batch::encode(&self.tokenizer, d)).collect();
                right += exact(&network, &batch::pad(&made?));
            }
            figures.push(100.0 * right as f64 / list.len() as f64);
        }
        Ok(format!("{:.1}% of unseen problems, {:.1}% of other prompts, {:.1}% with tools", figures[0], figures[1], figures[2]))
    }
}

/// The next part that no thread has taken.
fn take<'a>(next: &std::sync::atomic::AtomicUsize, parts: &'a [Part]) -> Option<(usize, &'a Part)> {
    let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    parts.get(at).map(|part| (at, part))
}

/// The share of the learning rate at a step: warm-up, a plateau, then half of it, falling.
fn schedule(step: usize, steps: usize) -> f64 {
    let warm = (step + 1) as f64 / WARMUP as f64;
    let left = (steps - step) as f64 / steps as f64;
    let calm = if left > CALM { 1.0 } else { 0.5 * (left / FALL).clamp(0.01, 1.0) };
    warm.min(1.0) * calm
}

/// The logits at a part's places.
fn logits<B: Backend>(network: &Network<B>, part: &Part, device: &Device<B>) -> Tensor<B, 2> {
    let tokens = TensorData::new(part.tokens.clone(), [part.rows, part.length]);
    let places = TensorData::new(part.places.clone(), [part.places.len()]);
    network.forward(Tensor::from_data(tokens, device), Tensor::from_data(places, device))
}

/// The weighted sum of a part's losses.
fn loss<B: Backend>(network: &Network<B>, part: &Part, device: &Device<B>) -> Tensor<B, 1> {
    let count = part.targets.len();
    let targets = Tensor::from_data(TensorData::new(part.targets.clone(), [count, 1]), device);
    let weights = Tensor::from_data(TensorData::new(part.weights.clone(), [count, 1]), device);
    let picked: Tensor<B, 2> = log_softmax(logits(network, part, device), 1).gather(1, targets);
    (picked * weights).sum().neg()
}

/// How many rows have the right next token at every place.
fn exact<B: Backend>(network: &Network<B>, part: &Part) -> usize {
    let best = logits(network, part, &network.norm.device()).argmax(1);
    let best: Vec<i64> = best.into_data().iter::<i64>().collect();
    let mut right = vec![true; part.rows];
    for ((&owner, &target), &found) in part.owners.iter().zip(&part.targets).zip(&best) {
        right[owner] &= target == found;
    }
    right.iter().filter(|&&row| row).count()
}

/// A bar on a terminal, a line now and then elsewhere.
struct Log {
    bar: Option<ProgressBar>,
    steps: usize,
    since: Instant,
    count: usize,
    tokens: usize,
    loss: f64,
}

impl Log {
    fn new(steps: usize, step: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg} ETA {eta}");
            let bar = ProgressBar::new(steps as u64).with_position(step as u64);
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, steps, since: Instant::now(), count: 0, tokens: 0, loss: 0.0 }
    }

    fn step(&mut self, step: usize, loss: f64, tokens: usize) {
        self.count += 1;
        self.tokens += tokens;
        self.loss += loss;
        let seconds = self.since.elapsed().as_secs_f64();
        let (speed, mean) = (self.tokens as f64 / seconds, self.loss / self.count as f64);
        if let Some(bar) = &self.bar {
            bar.set_position(step as u64);
            bar.set_message(format!("loss {loss:.4}, {speed:.0} tokens/s"));
        } else if self.since.elapsed() > LINE {
            let left = (self.steps - step) as f64 * seconds / self.count as f64 / 60.0;
            eprintln!("step {step}/{}: loss {mean:.4}, {speed:.0} tokens/s, {left:.0} min left", self.steps);
            (self.since, self.count, self.tokens, self.loss) = (Instant::now(), 0, 0, 0.0);
        }
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use burn::backend::{Autodiff, Flex};

    use super::*;

    /// The weights of a tiny run that was stopped after each of these numbers of steps.
    fn trained(sessions: &[usize]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let tokenizer = Tokenizer::from_file(concat!(env!("CARGO_MANIFEST_DIR"), "/demo/tokenizer.json")).unwrap();
        let shape = Shape { vocabulary: tokenizer.get_vocab_size(true), hidden: 16, intermediate: 24, layers: 2, heads: 2 };
        let out = folder.path().to_owned();
        let plan = Plan { out: out.clone(), steps: 10, rows: 4, rate: 1e-2, threads: 2, every: 1, seed: 47 };
        for steps in sessions {
            let mut run = Run::<Autodiff<Flex>>::open(plan.clone(), tokenizer.clone(), shape).unwrap();
            for _ in 0..*steps {
                (run, ..) = run.advance().unwrap();
            }
            run.save().unwrap();
        }
        std::fs::read(out.join("export/model.safetensors")).unwrap()
    }

    #[test]
    fn a_run_that_was_stopped_goes_on_as_if_it_had_not_been() {
        let whole = trained(&[3]);
        assert!(whole == trained(&[1, 2]), "the weights differ: something of the run is not in its checkpoint");
        assert!(whole != trained(&[2]), "a step changes something");
    }
}
