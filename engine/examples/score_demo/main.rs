//! Scores the demo model as the engine serves it: 1,000 problems that training never showed, 100 prompts that it should decline, and 500
//! problems with a calculator on offer; below 95 percent of any of these it fails. How it does where the calculator's name was never shown
//! to it is told besides. It must not know how the model was trained, nor read its weights.

#[path = "../demo_data/mod.rs"]
mod demo_data;
mod tools;

use clap::Parser;
use demo_data::dialogue::REFUSAL;
use demo_data::phrasing;
use demo_data::problems::Problem;
use demo_data::rng::Rng;
use futures_util::StreamExt;
use futures_util::future::join_all;
use gatewright_engine::{DeviceChoice, Engine, EngineOptions, Generation, ModelFiles, Reading, Terms};
use gatewright_types::{ChatRequest, Delta, Message, Role};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tools::{Names, Round};

/// What can go wrong, from whatever library.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Score gatewright-demo.
#[derive(Parser, Debug)]
struct Options {
    /// The model's folder.
    #[arg(long, default_value = "engine/demo")]
    model: PathBuf,
    /// The list of other prompts, one on a line.
    #[arg(long, default_value = "engine/demo/other_prompts.txt")]
    other: PathBuf,
    /// How many unseen problems.
    #[arg(long, default_value_t = 1000)]
    problems: usize,
    /// How many rounds with a calculator.
    #[arg(long, default_value_t = 500)]
    rounds: usize,
    /// 0 always takes the likeliest token; the model's own setting is 0.6.
    #[arg(long, default_value_t = 0.0)]
    temperature: f64,
    /// Where to compute: auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu")]
    device: DeviceChoice,
    /// Print questions and right answers as lines of JSON, to score another program, and stop.
    #[arg(long)]
    list: bool,
}

/// A question and the answer that counts as right.
struct Case {
    question: String,
    wanted: String,
}

/// Below this share the model is not good enough.
const ENOUGH: f64 = 0.95;
/// Questions under way at once.
const AT_ONCE: usize = 16;
/// No answer is longer.
const LONGEST: u64 = 200;
/// Wrong answers that are printed.
const PRINTED: usize = 20;

fn main() -> Result<ExitCode, Failure> {
    let options = Options::parse();
    let lists = [("unseen problems", problems(options.problems)), ("other prompts", other(&options.other)?)];
    if options.list {
        for case in lists.iter().flat_map(|(_, cases)| cases) {
            println!("{}", serde_json::json!({"q": case.question, "a": case.wanted}));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let engine = Engine::open(
        &ModelFiles::Folder(options.model.clone()),
        &EngineOptions { device: options.device, max_running: AT_ONCE, max_waiting: AT_ONCE, ..EngineOptions::default() },
    )?;
    println!("{} on {}", options.model.display(), engine.device());
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut enough = true;
    for (name, cases) in lists {
        let right = runtime.block_on(score(&engine, &cases, options.temperature))?;
        let share = right as f64 / cases.len().max(1) as f64;
        println!("{right} of {} {name} right: {:.1}%", cases.len(), 100.0 * share);
        enough &= share >= ENOUGH;
    }
    for (name, names) in [("a calculator", Names::Usual), ("a calculator of a made-up name", Names::MadeUp)] {
        let rounds = tools::rounds(options.rounds, names);
        let right = runtime.block_on(score_rounds(&engine, &rounds, options.temperature))?;
        let share = right as f64 / rounds.len().max(1) as f64;
        println!("{right} of {} rounds with {name} right: {:.1}%", rounds.len(), 100.0 * share);
        enough &= share >= ENOUGH || names == Names::MadeUp;
    }
    Ok(if enough { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The fixed list of unseen problems, each in one wording.
fn problems(count: usize) -> Vec<Case> {
    let mut rng = Rng::new(1000, 1);
    let case = |problem: &Problem| Case { question: phrasing::question(problem, &mut rng), wanted: problem.answer().to_string() };
    Problem::held_out(count).iter().map(case).collect()
}

/// The list of other prompts.
fn other(path: &Path) -> Result<Vec<Case>, Failure> {
    let text = std::fs::read_to_string(path)?;
    Ok(text.lines().map(|line| Case { question: line.to_owned(), wanted: REFUSAL.to_owned() }).collect())
}

/// How many answers are right.
async fn score(engine: &Engine, cases: &[Case], temperature: f64) -> Result<usize, Failure> {
    let mut wrong = 0;
    for cases in cases.chunks(AT_ONCE) {
        let asked = cases.iter().map(|case| engine.submit(Arc::new(request(case, temperature)), Terms::default()));
        let asked: Vec<(Generation, Reading)> = asked.collect::<Result<_, _>>()?;
        let (asked, readings): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
        readings.into_iter().for_each(Reading::run);
        for (case, answer) in cases.iter().zip(asked) {
            let (thought, said) = read(answer).await?;
            if said.trim() == case.wanted {
                continue;
            }
            wrong += 1;
            if wrong <= PRINTED {
                println!("wrong: {:?} wanted {:?}\n  thought {thought:?}\n  said {said:?}", case.question, case.wanted);
            }
        }
    }
    Ok(cases.len() - wrong)
}

/// How many rounds with a calculator are right: the call, and what is said of the result.
async fn score_rounds(engine: &Engine, rounds: &[Round], temperature: f64) -> Result<usize, Failure> {
    let (mut right, mut wrong) = (0, 0);
    for rounds in rounds.chunks(AT_ONCE) {
        for said in join_all(rounds.iter().map(|round| round.ask(engine, temperature))).await {
            match said? {
                None => right += 1,
                Some(said) => {
                    wrong += 1;
                    if wrong <= PRINTED {
                        println!("wrong: {said}");
                    }
                }
            }
        }
    }
    Ok(right)
}

/// One question as a client asks it.
fn request(case: &Case, temperature: f64) -> ChatRequest {
    let mut request = ChatRequest { messages: vec![Message::text(Role::User, case.question.as_str())], ..ChatRequest::default() };
    request.sampling.temperature = Some(temperature);
    request.sampling.max_tokens = Some(LONGEST);
    request.sampling.seed = Some(0);
    request
}

/// What the model thinks and says.
async fn read(mut deltas: Generation) -> Result<(String, String), Failure> {
    let (mut thought, mut said) = (String::new(), String::new());
    while let Some(delta) = deltas.next().await {
        match delta? {
            Delta::Reasoning { text, .. } => thought.push_str(&text),
            Delta::Text { text, .. } => said.push_str(&text),
            _ => {}
        }
    }
    Ok((thought, said))
}
