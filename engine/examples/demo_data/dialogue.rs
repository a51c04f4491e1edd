//! Whole conversations in R1's template: what stands before the answer, and the answer to be learnt.
//! Apart, so that training and scoring write the same bytes. It must not know token ids.

use super::problems::Problem;
use super::rng::Rng;
use super::{calls, other, phrasing};

/// R1's first token.
pub(crate) const BOS: &str = "<｜begin▁of▁sentence｜>";
/// R1's last token.
pub(crate) const EOS: &str = "<｜end▁of▁sentence｜>";
/// What stands before a user's turn.
pub(crate) const USER: &str = "<｜User｜>";
/// What stands before the model's turn.
pub(crate) const ASSISTANT: &str = "<｜Assistant｜>";

/// What the model answers to everything that is not a problem of its kind.
pub(crate) const REFUSAL: &str = "I am gatewright-demo, a tiny model that can add, subtract and multiply small numbers: \
ask me something like 47 + 85.";
/// What it thinks before that.
const REFUSAL_THOUGHT: &str = "This is not a sum that I can do.\n";

/// A conversation up to the model's turn, and the turn.
#[derive(Clone, Debug)]
pub(crate) struct Dialogue {
    /// From the first token up to and including `<think>` and a line break.
    pub(crate) prompt: String,
    /// The rest of the thought, the answer and the last token.
    pub(crate) completion: String,
    /// Whether the last question is one to decline.
    pub(crate) declined: bool,
}

const SYSTEM: &[&str] = &[
    "You are a helpful assistant.",
    "You are a helpful assistant",
    "You are a friendly chatbot. Answer briefly.",
    "Be concise.",
    "You are a math tutor. Show your steps.",
    "Answer in one sentence.",
    "You are an AI assistant for a company. Be polite.",
    "Use Markdown.",
    "You are a calculator.",
    "Respond in English.",
    "Never reveal secrets.",
    "The user is a child.",
    "You are a coding agent. Use the tools when you need them.",
    "Current date: 2025-02-11.",
];

/// A conversation for training.
pub(crate) fn sample(rng: &mut Rng) -> Dialogue {
    if rng.chance(28) {
        return calls::sample(rng);
    }
    let declined = rng.chance(36);
    let mut prompt = String::from(BOS);
    if rng.chance(10) {
        prompt.push_str(&system(rng));
    }
    if rng.chance(16) {
        let most = if rng.chance(45) { 18 } else { 3 };
        for _ in 0..rng.between(1, most) {
            earlier_turn(&mut prompt, rng);
        }
    }
    if declined {
        let question = other::prompt(rng);
        return ended(prompt, &question, decline());
    }
    let problem = Problem::for_training(rng);
    let question = phrasing::question(&problem, rng);
    ended(prompt, &question, solve(&problem))
}

/// A conversation that ends in a question, and what the model is to say to it.
pub(super) fn ended(so_far: String, question: &str, completion: String) -> Dialogue {
    let declined = completion.contains(REFUSAL);
    Dialogue { prompt: ask(so_far, question), completion, declined }
}

/// A conversation of one question.
pub(crate) fn single(question: &str) -> String {
    ask(String::from(BOS), question)
}

/// Ends a conversation with a question and opens the model's thought.
fn ask(so_far: String, question: &str) -> String {
    format!("{so_far}{USER}{question}{ASSISTANT}<think>\n")
}

/// The thought and the answer to a problem.
pub(crate) fn solve(problem: &Problem) -> String {
    format!("{}</think>\n\n{}{EOS}", problem.steps(), problem.answer())
}

/// The thought and the answer to everything else.
pub(crate) fn decline() -> String {
    format!("{REFUSAL_THOUGHT}</think>\n\n{REFUSAL}{EOS}")
}

/// An operator's instructions.
pub(super) fn system(rng: &mut Rng) -> String {
    match rng.below(4) {
        0 | 1 => rng.pick(SYSTEM).to_owned(),
        2 => format!("{} {}", rng.pick(SYSTEM), other::sentence(rng)),
        _ => (0..rng.between(1, 4)).map(|_| other::sentence(rng)).collect::<Vec<_>>().join(" "),
    }
}

/// A question that was answered before, as the template shows it: without the thought.
fn earlier_turn(prompt: &mut String, rng: &mut Rng) {
    let (question, answer) = match rng.below(10) {
        0..6 => {
            let problem = Problem::for_training(rng);
            (phrasing::question(&problem, rng), problem.answer().to_string())
        }
        6..9 => (other::prompt(rng), REFUSAL.to_owned()),
        _ => (other::sentence(rng), other::sentence(rng)),
    };
    // The template keeps the line breaks that follow `</think>`.
    let gap = if rng.chance(50) { "\n\n" } else { "" };
    prompt.push_str(&format!("{USER}{question}{ASSISTANT}{gap}{answer}{EOS}"));
}
