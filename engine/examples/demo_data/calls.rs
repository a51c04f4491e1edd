//! Conversations in which tools are offered: a calculator is called, what it says is given on, and nothing is called for the rest.
//! Apart from plain conversations, because marks of calls and of results stand in these. It must not know token ids.

use super::dialogue::{self, ASSISTANT, BOS, Dialogue, EOS, USER};
use super::offers::{self, Offer};
use super::problems::Problem;
use super::rng::Rng;
use super::sums::{self, Sum};
use super::{other, phrasing};

/// What the model says where a calculator gives no number.
pub(crate) const NO_NUMBER: &str = "The calculator gave no number.";

/// Sayings of calculators that are no number.
const ERRORS: &[&str] = &[
    "division by zero",
    "error: division by zero",
    "Error: invalid expression",
    "expected a number at the end",
    "error",
    "The tool failed.",
    "{\"error\": \"division by zero\"}",
    "not allowed",
    "timeout",
    "expected an operator at character 5, found '8'",
    "NaN",
    "",
];

/// A conversation for training.
pub(crate) fn sample(rng: &mut Rng) -> Dialogue {
    let offer = offers::sample(rng);
    let mut prompt = opened(&offer, &if rng.chance(25) { dialogue::system(rng) } else { String::new() });
    let Some((name, parameter)) = &offer.calculator else {
        return without(prompt, rng);
    };
    let tool = Calculator { name, parameter };
    if rng.chance(18) {
        for _ in 0..rng.between(1, 2) {
            earlier_turn(&mut prompt, &tool, rng);
        }
    }
    match rng.below(100) {
        0..45 => {
            let sum = sums::sample(rng);
            tool.asked(prompt, &sum)
        }
        45..80 => {
            let sum = sums::sample(rng);
            let (said, number) = said(&sum, rng);
            tool.told(prompt, &sum, Said { text: &said, number: number.as_deref() })
        }
        _ => dialogue::ended(prompt, &other::plain(rng), dialogue::decline()),
    }
}

/// How a prompt begins that shows tools.
pub(crate) fn opened(offer: &Offer, system: &str) -> String {
    let gap = if system.is_empty() { "" } else { "\n\n" };
    format!("{BOS}{system}{gap}{}", offer.shown())
}

/// Tools, but none that helps: as if there were no tools.
fn without(prompt: String, rng: &mut Rng) -> Dialogue {
    if rng.chance(60) {
        let problem = Problem::for_training(rng);
        let question = phrasing::question(&problem, rng);
        return dialogue::ended(prompt, &question, dialogue::solve(&problem));
    }
    dialogue::ended(prompt, &other::prompt(rng), dialogue::decline())
}

/// The calculator of a conversation.
pub(crate) struct Calculator<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// The name of its parameter.
    pub(crate) parameter: &'a str,
}

/// What a calculator said, and the number in it.
pub(crate) struct Said<'a> {
    text: &'a str,
    number: Option<&'a str>,
}

impl Calculator<'_> {
    /// The call of a sum, as R1 writes it.
    fn call(&self, sum: &Sum) -> String {
        format!(
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>{}\n```json\n{{\"{}\": \"{}\"}}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>{EOS}",
            self.name, self.parameter, sum.expression
        )
    }

    /// A question, and the call to be learnt.
    fn asked(&self, prompt: String, sum: &Sum) -> Dialogue {
        let completion = format!("The calculator can do {}.\n</think>\n\n{}", sum.expression, self.call(sum));
        dialogue::ended(prompt, &sum.question, completion)
    }

    /// A question, its call, what came of it, and the answer to be learnt.
    fn told(&self, prompt: String, sum: &Sum, said: Said<'_>) -> Dialogue {
        let prompt = format!("{prompt}{}{ASSISTANT}<think>\n", self.turn(sum, said.text));
        let completion = match said.number {
            Some(number) => format!("The calculator says {number}.\n</think>\n\n{number}{EOS}"),
            None => format!("That is no number.\n</think>\n\n{NO_NUMBER}{EOS}"),
        };
        Dialogue { prompt, completion, declined: false }
    }

    /// A question, its call and what came of it.
    fn turn(&self, sum: &Sum, said: &str) -> String {
        format!(
            "{USER}{}{ASSISTANT}{}<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>{said}<｜tool▁output▁end｜><｜tool▁outputs▁end｜>",
            sum.question,
            self.call(sum)
        )
    }
}

/// What a calculator says to a sum, and the number that is to be given on: often another one than the right one, so that it is read
/// and not guessed.
fn said(sum: &Sum, rng: &mut Rng) -> (String, Option<String>) {
    let Some(value) = sum.value.filter(|_| !rng.chance(5)) else {
        return (rng.pick(ERRORS).to_owned(), None);
    };
    let value = match rng.below(100) {
        0..60 => value,
        60..85 => f64::from(rng.between(0, 999_999)) - if rng.chance(20) { 1_000_000.0 } else { 0.0 },
        _ => f64::from(rng.between(0, 9_999_999)) / 1000.0,
    };
    let number = written(value, [2, 4, 10, 12][rng.below(4)]);
    let text = match rng.below(20) {
        0 => format!("{{\"result\": {number}}}"),
        1 => format!("{{\"result\":{number}}}"),
        2 => format!("{{\"value\": {number}}}"),
        3 => format!("{{\"answer\": \"{number}\"}}"),
        4 => format!("Result: {number}"),
        5 => format!("= {number}"),
        6 => format!("{} = {number}", sum.expression),
        _ => number.clone(),
    };
    (text, Some(number))
}

/// A number as programs print it, with so many places at most.
fn written(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A question that was answered before, by the calculator or without it.
fn earlier_turn(prompt: &mut String, tool: &Calculator<'_>, rng: &mut Rng) {
    if rng.chance(65) {
        let sum = sums::sample(rng);
        let (text, number) = said(&sum, rng);
        let answer = number.as_deref().unwrap_or(NO_NUMBER);
        // The template keeps the line breaks that follow `</think>`.
        let gap = if rng.chance(50) { "\n\n" } else { "" };
        prompt.push_str(&format!("{}{ASSISTANT}{gap}{answer}{EOS}", tool.turn(&sum, &text)));
    } else {
        let gap = if rng.chance(50) { "\n\n" } else { "" };
        prompt.push_str(&format!("{USER}{}{ASSISTANT}{gap}{}{EOS}", other::plain(rng), dialogue::REFUSAL));
    }
}
