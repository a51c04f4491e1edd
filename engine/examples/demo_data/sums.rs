//! What is asked where a calculator is at hand: the model's own problems, and such as it could never work out itself.
//! Apart from the problems, because nobody works these out in steps: they are only copied. It must not know tools.

use super::phrasing;
use super::problems::{Op, Problem};
use super::rng::Rng;

/// A question, the expression that it is about, and the number that comes out.
#[derive(Clone, Debug)]
pub(crate) struct Sum {
    /// As a person words it.
    pub(crate) question: String,
    /// With `+`, `-`, `*`, `/`, brackets, and spaces around the signs.
    pub(crate) expression: String,
    /// What it comes to; none where it is divided by nought.
    pub(crate) value: Option<f64>,
}

#[rustfmt::skip]
const ASK: &[&str] = &[
    "", "", "", "What is ", "What is ", "what is ", "what's ", "Calculate ", "calculate ", "Compute ", "compute ", "How much is ",
    "Evaluate ", "Solve ", "Work out ", "Please calculate ", "Can you calculate ", "Use the calculator: ", "Use the calculator for ",
    "Tell me ", "Result of ", "Find ", "Use your tools to compute ", "With the calculator, what is ",
];
const END: &[&str] = &["?", "?", "", "", ".", " =", "=", " = ?"];

/// One of any kind, of numbers that may be shown in training.
pub(crate) fn sample(rng: &mut Rng) -> Sum {
    match rng.below(100) {
        0..45 => {
            let problem = Problem::for_training(rng);
            of(&problem, rng)
        }
        45..70 => of(&large(rng), rng),
        70..80 => quotient(rng),
        80..92 => chain(rng),
        _ => decimals(rng),
    }
}

/// A problem in one of its wordings.
pub(crate) fn of(problem: &Problem, rng: &mut Rng) -> Sum {
    let sign = match problem.op {
        Op::Add => '+',
        Op::Sub => '-',
        Op::Mul => '*',
    };
    Sum {
        question: phrasing::question(problem, rng),
        expression: format!("{} {sign} {}", problem.a, problem.b),
        value: Some(problem.answer() as f64),
    }
}

/// A problem whose numbers are too large to be worked out.
pub(crate) fn large(rng: &mut Rng) -> Problem {
    let op = [Op::Add, Op::Sub, Op::Mul][rng.below(3)];
    let (a, b) = if op == Op::Mul { (number(rng, 4), number(rng, 4)) } else { (number(rng, 6), number(rng, 6)) };
    Problem { op, a: a.max(13), b: b.max(13) }
}

/// A number with up to so many digits, each length as likely as the others.
fn number(rng: &mut Rng, digits: u32) -> u32 {
    let digits = rng.between(1, digits);
    rng.between(if digits == 1 { 0 } else { 10u32.pow(digits - 1) }, 10u32.pow(digits) - 1)
}

fn quotient(rng: &mut Rng) -> Sum {
    let (a, b) = (number(rng, 5), number(rng, 3));
    let (asked, end) = (rng.pick(ASK), rng.pick(END));
    let question = match rng.below(6) {
        0 => format!("{asked}{a}/{b}{end}"),
        1 | 2 => format!("{asked}{a} / {b}{end}"),
        3 => format!("{asked}{a} divided by {b}{end}"),
        4 => format!("{asked}{a} ÷ {b}{end}"),
        _ => format!("Divide {a} by {b}{}", rng.pick(&["", "."])),
    };
    let value = if b == 0 { None } else { Some(f64::from(a) / f64::from(b)) };
    Sum { question, expression: format!("{a} / {b}"), value }
}

/// `2 + 3 * 4`, with brackets or without.
fn chain(rng: &mut Rng) -> Sum {
    let [a, b, c] = [number(rng, 3), number(rng, 3), number(rng, 3)];
    let [x, y, z] = [f64::from(a), f64::from(b), f64::from(c)];
    let (expression, value) = match rng.below(8) {
        0 => (format!("{a} + {b} + {c}"), x + y + z),
        1 => (format!("{a} + {b} - {c}"), x + y - z),
        2 => (format!("{a} - {b} - {c}"), x - y - z),
        3 => (format!("{a} * {b} + {c}"), x * y + z),
        4 => (format!("{a} + {b} * {c}"), x + y * z),
        5 => (format!("({a} + {b}) * {c}"), (x + y) * z),
        6 => (format!("{a} * ({b} + {c})"), x * (y + z)),
        _ => (format!("{a} * ({b} - {c})"), x * (y - z)),
    };
    asked(expression, value, rng)
}

fn decimals(rng: &mut Rng) -> Sum {
    let mut decimal = || {
        let (whole, rest) = (number(rng, 3), number(rng, 2));
        (format!("{whole}.{rest}"), format!("{whole}.{rest}").parse().unwrap_or(0.0))
    };
    let ((a, x), (b, y)): ((String, f64), (String, f64)) = (decimal(), decimal());
    let (sign, value) = [('+', x + y), ('-', x - y), ('*', x * y)][rng.below(3)];
    asked(format!("{a} {sign} {b}"), value, rng)
}

/// An expression as it is, with spaces or without, and something asked before it.
fn asked(expression: String, value: f64, rng: &mut Rng) -> Sum {
    let mut written = expression.clone();
    if rng.chance(30) {
        written = written.replace(' ', "");
    }
    if rng.chance(20) {
        written = written.replace('*', rng.pick(&["×", "x"]));
    }
    Sum { question: format!("{}{written}{}", rng.pick(ASK), rng.pick(END)), expression, value: Some(value) }
}
