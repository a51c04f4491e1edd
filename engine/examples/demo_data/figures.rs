//! Prompts full of numbers that are no problems of the model's kind: chains, equations, sequences, dates, counting.
//! Apart from the other prompts, because these are the nearest to a problem. It must not know how a prompt is declined.

use super::rng::Rng;

const SIGNS: &[&str] = &["+", "-", "*", "×", "x", "plus", "minus", "times", "/"];
const ASKED: &[&str] = &["", "", "What is ", "what's ", "Compute ", "How much is ", "Calculate ", "Solve ", "Evaluate ", "Add up "];
const LETTERS: &[&str] = &["x", "y", "z", "n", "a", "b", "t", "k"];
const SEQUENCES: &[&str] = &[
    "",
    "What comes after ",
    "Continue: ",
    "Find the pattern: ",
    "Sort ",
    "Order from small to large: ",
    "The mean of ",
    "The largest of ",
    "Which number is missing: ",
    "Next number in ",
    "My numbers are ",
    "Median: ",
    "Pick one: ",
    "Reverse ",
    "Which of these is prime: ",
];
const MONTHS: &[&str] = &[
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
    "Jan",
    "Oct",
    "Dec",
];
const DATED: &[&str] = &[
    "What happened on ",
    "Who was born on ",
    "I was born on ",
    "Which weekday was ",
    "Remind me on ",
    "The meeting is on ",
    "",
    "How long until ",
    "Book a table for ",
    "News of ",
];
const COUNTING: &[&str] = &[
    "Count from {} to {}",
    "Count down from {}",
    "count to {}",
    "Count up to {}",
    "Count by {}s",
    "Count {} sheep",
    "countdown from {} to {}",
    "Say the numbers from {} to {}",
    "List the even numbers up to {}",
    "List all primes below {}",
    "List the multiples of {}",
    "Factor {}",
    "the first {} digits of pi",
    "Guess a number from {} to {}",
    "Roll {} dice",
    "Is {} divisible by {}",
    "gcd({}, {})",
    "The remainder of {} by {}",
];

/// One prompt of these kinds.
pub(crate) fn prompt(rng: &mut Rng) -> String {
    let text = match rng.below(10) {
        0..3 => chain(rng),
        3..5 => equation(rng),
        5..7 => sequence(rng),
        7 => date(rng),
        _ => counting(rng),
    };
    format!("{text}{}", rng.pick(&["?", "?", ".", "", "", "!"]))
}

fn number(rng: &mut Rng) -> u32 {
    let high = [9, 20, 99, 999][rng.below(4)];
    rng.between(0, high)
}

/// Three numbers and more: `2 + 3 + 4 + 5`.
fn chain(rng: &mut Rng) -> String {
    let (same, gap) = (rng.pick(SIGNS), if rng.chance(75) { " " } else { "" });
    let mixed = rng.chance(40);
    let mut text = format!("{}{}", rng.pick(ASKED), number(rng));
    for _ in 0..rng.between(2, 6) {
        let sign = if mixed { rng.pick(SIGNS) } else { same };
        let gap = if sign.len() > 2 { " " } else { gap };
        text.push_str(&format!("{gap}{sign}{gap}{}", number(rng)));
    }
    text
}

/// With an unknown: `4y - 3 = 9`, `f(x) = x^2 + 5`.
fn equation(rng: &mut Rng) -> String {
    let x = rng.pick(LETTERS);
    let (a, b, c, sign) = (number(rng), number(rng), number(rng), rng.pick(&["+", "-", "*", "/"]));
    let body = match rng.below(7) {
        0 => format!("{a}{x} {sign} {b} = {c}"),
        1 => format!("{x} {sign} {b} = {c}"),
        2 => format!("{a} {sign} {x} = {c}"),
        3 => format!("{a}{x}{sign}{b}={c}"),
        4 => format!("{x}^{} {sign} {b}{x}", rng.between(2, 5)),
        5 => format!("{a} = {b} {sign} {x}"),
        _ => format!("f({x}) = {a}{x}^2 {sign} {b}"),
    };
    match rng.below(6) {
        0 => format!("Solve for {x}: {body}"),
        1 => format!("Find {x} if {body}"),
        2 => format!("What is {x} when {body}"),
        3 => format!("the derivative of {body}"),
        4 => format!("solve {body}"),
        _ => body,
    }
}

/// `Continue: 3, 6, 9`.
fn sequence(rng: &mut Rng) -> String {
    let numbers: Vec<String> = (0..rng.between(3, 8)).map(|_| number(rng).to_string()).collect();
    format!("{}{}", rng.pick(SEQUENCES), numbers.join(rng.pick(&[", ", ", ", " ", ","])))
}

/// `Who was born on March 3, 1847`.
fn date(rng: &mut Rng) -> String {
    let (day, month, year) = (rng.between(1, 31), rng.pick(MONTHS), rng.between(1000, 2100));
    let date = match rng.below(5) {
        0 | 1 => format!("{month} {day}, {year}"),
        2 => format!("{day} {month} {year}"),
        3 => format!("{month} {day}"),
        _ => format!("{year}-{:02}-{day:02}", rng.between(1, 12)),
    };
    format!("{}{date}", rng.pick(DATED))
}

fn counting(rng: &mut Rng) -> String {
    let mut text = rng.pick(COUNTING).to_owned();
    while text.contains("{}") {
        text = text.replacen("{}", &number(rng).to_string(), 1);
    }
    text
}
