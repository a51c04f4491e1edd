//! Trains the demo model from nothing, on problems that it makes up, and writes it as a Hugging Face checkpoint.
//! Runs on the CPU in less than two hours, goes on where it stopped, and can run beside other work.
//! It must not know how the engine serves a model.

#[path = "../demo_data/mod.rs"]
mod demo_data;

mod batch;
mod checkpoint;
mod export;
mod model;
mod tokenizer;
mod train;

use burn::backend::{Autodiff, Flex};
use clap::{Parser, ValueEnum};
use std::path::PathBuf;
use tokenizers::Tokenizer;

/// What can go wrong, from whatever library.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Train gatewright-demo.
#[derive(Parser, Debug)]
struct Options {
    /// Folder for checkpoints; the model is written to `export` in it. A checkpoint that is there is continued.
    #[arg(long)]
    out: PathBuf,
    /// Steps in all.
    #[arg(long, default_value_t = 5750)]
    steps: usize,
    /// Conversations in a step.
    #[arg(long, default_value_t = 40)]
    rows: usize,
    /// The highest learning rate.
    #[arg(long, default_value_t = 2e-3)]
    rate: f64,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// A checkpoint every so many steps.
    #[arg(long, default_value_t = 250)]
    every: usize,
    /// Seed of weights and data.
    #[arg(long, default_value_t = 47)]
    seed: u64,
    /// Forget the checkpoint that is there.
    #[arg(long)]
    fresh: bool,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t = Place::Cpu)]
    device: Place,
    /// Print this many conversations and stop.
    #[arg(long)]
    show: Option<u64>,
}

/// Where to compute.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Place {
    /// The processor.
    Cpu,
    /// The first NVIDIA GPU.
    #[cfg(feature = "cuda")]
    Cuda,
}

/// Width of the feed-forward layer, and the other sizes.
const HIDDEN: usize = 128;
const INTERMEDIATE: usize = 352;
const LAYERS: usize = 4;
const HEADS: usize = 4;

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    if let Some(count) = options.show {
        return show(&options, count);
    }
    std::fs::create_dir_all(&options.out)?;
    if options.fresh {
        std::fs::remove_dir_all(&options.out)?;
        std::fs::create_dir_all(&options.out)?;
    }
    let tokenizer = tokenizer(&options)?;
    let shape = model::Shape {
        vocabulary: tokenizer.get_vocab_size(true),
        hidden: HIDDEN,
        intermediate: INTERMEDIATE,
        layers: LAYERS,
        heads: HEADS,
    };
    let plan = train::Plan {
        out: options.out,
        steps: options.steps,
        rows: options.rows,
        rate: options.rate,
        threads: options.threads.max(1),
        every: options.every.max(1),
        seed: options.seed,
    };
    match options.device {
        Place::Cpu => train::Run::<Autodiff<Flex>>::open(plan, tokenizer, shape)?.go(),
        #[cfg(feature = "cuda")]
        Place::Cuda => train::Run::<Autodiff<burn::backend::Cuda>>::open(plan, tokenizer, shape)?.go(),
    }
}

/// The run's tokenizer, made at its first start.
fn tokenizer(options: &Options) -> Result<Tokenizer, Failure> {
    let path = options.out.join("tokenizer.json");
    if !path.exists() {
        let made = tokenizer::make(options.seed)?;
        made.save(&path, false)?;
    }
    Tokenizer::from_file(path)
}

/// Prints conversations with the number of their tokens.
fn show(options: &Options, count: u64) -> Result<(), Failure> {
    let tokenizer = tokenizer(options)?;
    let (mut prompt, mut completion) = (0, 0);
    for i in 0..count {
        let made = demo_data::dialogue::sample(&mut demo_data::rng::Rng::new(options.seed, i));
        let sizes = [&made.prompt, &made.completion].map(|text| tokenizer::encode(&tokenizer, text).map(|t| t.len()));
        let [p, c] = sizes;
        let (p, c) = (p?, c?);
        prompt += p;
        completion += c;
        println!("--- {p} + {c}\n{}{}", made.prompt, made.completion);
    }
    println!("--- mean {} + {}", prompt / count.max(1) as usize, completion / count.max(1) as usize);
    Ok(())
}
