//! How people word a problem: symbols, words, spaces, capitals and politeness.
//! Apart from the problems, so that a new wording is one line. It must not know how a problem is solved.

use super::problems::{Op, Problem};
use super::rng::Rng;

const PLUS: &[&str] = &["+", "+", "+", "+", "plus", "plus", "and", "added to"];
const MINUS: &[&str] = &["-", "-", "-", "-", "−", "–", "minus", "minus", "take away", "less"];
const TIMES: &[&str] = &["*", "*", "x", "x", "×", "×", "X", "·", "times", "times", "multiplied by"];

#[rustfmt::skip]
const ASK: &[&str] = &[
    "What is", "What is", "What is", "What's", "what is", "what's", "whats", "How much is", "how much is", "Calculate",
    "calculate", "Compute", "compute", "Solve", "solve", "Work out", "Evaluate", "Find", "Tell me", "Can you tell me what is",
    "Could you calculate", "Please compute", "please calculate", "Do you know what", "I need to know", "What does",
    "What do you get for", "Give me the result of", "Quick:", "Result of", "Math:", "Can you do", "Can you solve",
    "Can you add up", "Please tell me", "Question:", "Q:", "so what is", "Now", "And what is", "And", "and", "Help me with",
    "Can you help me with", "Let's do", "What would be", "What about", "Show me", "Explain", "Try", "Do",
    "Could you please tell me what is", "I want to know what is",
];
#[rustfmt::skip]
const SUM: &[&str] = &[
    "add {a} and {b}", "Add {a} and {b}", "add {a} to {b}", "Add {a} to {b}", "Add {a} + {b}", "sum {a} and {b}",
    "What is the sum of {a} and {b}", "the sum of {a} and {b}", "Find the sum of {a} and {b}", "sum of {a} and {b}",
    "What do {a} and {b} add up to", "What is the total of {a} and {b}", "Please add {a} and {b}",
    "What do you get if you add {a} and {b}", "What do I get when I add {a} to {b}", "Can you add {a} and {b}", "Sum: {a}, {b}",
    "What is {a} added to {b}", "{a} plus {b} equals", "{a} + {b} equals what", "How much do {a} and {b} make",
    "calculate the sum of {a} and {b}", "If I add {a} and {b}, what do I get",
];
#[rustfmt::skip]
const DIFFERENCE: &[&str] = &[
    "subtract {b} from {a}", "Subtract {b} from {a}", "take {b} from {a}", "Take {b} away from {a}",
    "What is the difference between {a} and {b}", "the difference of {a} and {b}", "Find the difference {a} - {b}",
    "What is left if you take {b} from {a}", "Please subtract {b} from {a}", "Can you subtract {b} from {a}",
    "What do you get if you subtract {b} from {a}", "{a} minus {b} equals", "{a} - {b} equals what", "What is {a} less {b}",
    "How much is left of {a} after taking away {b}", "Remove {b} from {a}", "calculate the difference between {a} and {b}",
    "If I subtract {b} from {a}, what do I get",
];
#[rustfmt::skip]
const PRODUCT: &[&str] = &[
    "multiply {a} by {b}", "Multiply {a} by {b}", "multiply {a} and {b}", "Multiply {a} with {b}", "{a} times {b}",
    "What is the product of {a} and {b}", "the product of {a} and {b}", "Find the product of {a} and {b}",
    "product of {a} and {b}", "Please multiply {a} by {b}", "Can you multiply {a} and {b}",
    "What do you get if you multiply {a} by {b}", "{a} times {b} equals", "{a} * {b} equals what", "How much is {a} times {b}",
    "calculate the product of {a} and {b}", "If I multiply {a} by {b}, what do I get",
];
#[rustfmt::skip]
const BEFORE: &[&str] = &[
    "Hi! ", "Hello, ", "Hey, ", "hi ", "Hello! ", "Hey there. ", "Please help: ", "OK, ", "Okay. ", "Thanks! ",
    "Good morning. ", "I have a question. ", "One more: ", "Quick question: ", "Great, ", "Hmm, ", "Next: ", "ok ",
    "Thank you. ", "Cool. ", "My homework asks: ", "Can you help me? ", "Homework: ", "Maths question: ", "so ",
];
#[rustfmt::skip]
const AFTER: &[&str] = &[
    " Thanks!", " Thanks.", " Thank you.", " Show your work.", " Think step by step.", " Answer with just the number.",
    " Please explain.", " Only give the number.", " Show the steps.", " Be quick.", " Explain your steps.",
    " Please show your steps.", " Reply with the number only.", " Just the answer please.", " Step by step, please.",
    " Let's think step by step.", " I need it for school.", " please", " pls", " thanks", " quickly",
];
const END: &[&str] = &["?", "?", "?", "", "", ".", " ?", "!", " =", "=", "=?", " = ?", "??"];

/// One of many wordings of a problem.
pub(crate) fn question(problem: &Problem, rng: &mut Rng) -> String {
    let mut text = if rng.chance(28) { sentence(problem, rng) } else { expression(problem, rng) };
    if rng.chance(14) {
        text = format!("{}{text}", rng.pick(BEFORE));
    }
    if rng.chance(14) {
        text.push_str(rng.pick(AFTER));
    }
    match rng.below(100) {
        0..5 => text.to_lowercase(),
        5..7 => text.to_uppercase(),
        7..9 => format!("{text}\n"),
        9..10 => format!(" {text}"),
        _ => text,
    }
}

/// `What is 47 + 85?` and `47+85`.
fn expression(problem: &Problem, rng: &mut Rng) -> String {
    let words = match problem.op {
        Op::Add => PLUS,
        Op::Sub => MINUS,
        Op::Mul => TIMES,
    };
    let op = rng.pick(words);
    let asked = rng.chance(65);
    let op = if op == "and" && !asked { "+" } else { op };
    let spaced = rng.chance(70) || (op.len() > 3 && op.is_ascii());
    let (a, b) = (problem.a, problem.b);
    let body = match (op == "and", spaced) {
        (true, _) => return format!("How much is {a} and {b}{}", rng.pick(END)),
        (_, true) => format!("{a} {op} {b}"),
        (_, false) => format!("{a}{op}{b}"),
    };
    let body = if rng.chance(3) { format!("({body})") } else { body };
    let end = rng.pick(END);
    if asked { format!("{} {body}{end}", rng.pick(ASK)) } else { format!("{body}{end}") }
}

/// `Subtract 47 from 85.`
fn sentence(problem: &Problem, rng: &mut Rng) -> String {
    let forms = match problem.op {
        Op::Add => SUM,
        Op::Sub => DIFFERENCE,
        Op::Mul => PRODUCT,
    };
    let form = rng.pick(forms);
    let end = rng.pick(&["?", "?", ".", "", "!"]);
    let text = form.replace("{a}", &problem.a.to_string()).replace("{b}", &problem.b.to_string());
    format!("{text}{end}")
}
