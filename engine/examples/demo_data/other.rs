//! Prompts that are no problems of the model's kind: questions, tasks, chat, code, other scripts, numbers without a sum.
//! Apart, so that what the model declines is made in one place. It must not read the list that the model is scored on.

use super::figures;
use super::rng::Rng;
use super::words::{CODE, FOREIGN, NAMES, NUMBERED, OPENINGS, SHORT, THINGS, WORDS};

/// One prompt that should be declined; at most a few hundred characters.
pub(crate) fn prompt(rng: &mut Rng) -> String {
    let text = match rng.below(100) {
        0..22 => fill(rng.pick(OPENINGS), rng),
        22..38 => fill(rng.pick(NUMBERED), rng),
        38..48 => figures::prompt(rng),
        48..54 => scrambled(rng),
        54..61 => peppered(rng),
        61..67 => rng.pick(SHORT).to_owned(),
        67..72 => strung(WORDS, rng),
        72..76 => strung(FOREIGN, rng),
        76..79 => program(rng),
        79..82 => nonsense(rng),
        82..89 => too_large(rng),
        89..95 => mixed(rng),
        _ => long(rng),
    };
    roughen(text, rng)
}

/// One that nobody could take for a problem: where a calculator is at hand, more is a problem than without one.
pub(crate) fn plain(rng: &mut Rng) -> String {
    let text = match rng.below(10) {
        0..4 => fill(rng.pick(OPENINGS), rng),
        4 => peppered(rng),
        5 | 6 => rng.pick(SHORT).to_owned(),
        7 => strung(WORDS, rng),
        8 => strung(FOREIGN, rng),
        _ => program(rng),
    };
    roughen(text, rng)
}

/// A sentence or two for a system prompt, or for a turn before the last one.
pub(crate) fn sentence(rng: &mut Rng) -> String {
    if rng.chance(50) { fill(rng.pick(OPENINGS), rng) } else { strung(WORDS, rng) }
}

/// Puts things, names and numbers into a form.
fn fill(form: &str, rng: &mut Rng) -> String {
    let mut text = String::with_capacity(form.len() + 32);
    let mut rest = form;
    while let Some(at) = rest.find(['{', '#']) {
        text.push_str(&rest[..at]);
        if rest[at..].starts_with('#') {
            text.push_str(&number(rng));
            rest = &rest[at + 1..];
        } else if rest[at..].starts_with("{n}") {
            text.push_str(rng.pick(NAMES));
            rest = &rest[at + 3..];
        } else if rest[at..].starts_with("{t}") || rest[at..].starts_with("{u}") {
            text.push_str(&thing(rng));
            rest = &rest[at + 3..];
        } else {
            text.push('{');
            rest = &rest[at + 1..];
        }
    }
    text + rest
}

/// A thing from the list, or two words that need not fit.
fn thing(rng: &mut Rng) -> String {
    match rng.below(10) {
        0..7 => rng.pick(THINGS).to_owned(),
        7..9 => format!("{} {}", rng.pick(WORDS), rng.pick(WORDS)),
        _ => letters(rng),
    }
}

/// A number of up to five digits, mostly short.
fn number(rng: &mut Rng) -> String {
    let high = [9, 99, 999, 2100, 99_999][rng.below(5)];
    rng.between(0, high).to_string()
}

/// Numbers, signs and words in no order, never two numbers alone: those might be a problem.
fn scrambled(rng: &mut Rng) -> String {
    const SIGNS: &[&str] = &["+", "-", "*", "x", "/", "=", "^", "%", "plus", "minus", "times", "and", ",", "(", ")", "?", "y"];
    const ASKED: &[&str] = &["", "", "What is ", "what's ", "Compute ", "How much is ", "Calculate "];
    let (mut numbers, mut words, mut pieces) = (0, 0, Vec::new());
    while pieces.len() < 2 || (numbers == 2 && words < 2) || rng.chance(70) && pieces.len() < 12 {
        pieces.push(match rng.below(20) {
            0..9 => {
                numbers += 1;
                number(rng)
            }
            9..16 => rng.pick(SIGNS).to_owned(),
            _ => {
                words += 1;
                rng.pick(WORDS).to_owned()
            }
        });
    }
    let text = pieces.join(" ");
    format!("{}{text}{}", rng.pick(ASKED), rng.pick(&["?", "", ".", "="]))
}

/// An ordinary sentence with numbers strewn in.
fn peppered(rng: &mut Rng) -> String {
    let text = sentence(rng);
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    for _ in 0..rng.between(1, 4) {
        let before = rng.pick(&["", "", "", "$", "x^", "#", "No. ", "in ", "("]);
        let after = rng.pick(&["", "", "", ",", "th", "%", " pm", "x", ")", "-"]);
        let piece = format!("{before}{}{after}", number(rng));
        words.insert(1 + rng.below(words.len()), piece);
    }
    words.join(" ")
}

/// Letters that are no word.
fn letters(rng: &mut Rng) -> String {
    (0..rng.between(2, 9)).map(|_| char::from(b'a' + rng.below(26) as u8)).collect()
}

/// A few words of a list, one after another.
fn strung(words: &[&str], rng: &mut Rng) -> String {
    let count = rng.between(1, 12);
    let text: Vec<String> = (0..count)
        .map(|_| match rng.below(40) {
            0 => number(rng),
            1 => letters(rng),
            _ => rng.pick(words).to_owned(),
        })
        .collect();
    let end = rng.pick(&["?", ".", "!", "", ""]);
    format!("{}{end}", text.join(" "))
}

/// A few lines of code, sometimes with a question before it.
fn program(rng: &mut Rng) -> String {
    let lines: Vec<&str> = (0..rng.between(1, 5)).map(|_| rng.pick(CODE)).collect();
    let asked =
        rng.pick(&["", "", "What does this do?\n", "Fix this:\n", "explain\n", "Review my code:\n```\n", "Write a test for "]);
    format!("{asked}{}", lines.join("\n"))
}

/// Printable characters without sense.
fn nonsense(rng: &mut Rng) -> String {
    (0..rng.between(1, 24))
        .map(|_| match rng.below(12) {
            0 => ' ',
            1 => char::from_u32(rng.between(0xa1, 0x24f)).unwrap_or('é'),
            2 => char::from_u32(rng.between(0x4e00, 0x9fa0)).unwrap_or('中'),
            3..5 => char::from(b'0' + rng.below(10) as u8),
            _ => char::from(b'!' + rng.below(94) as u8),
        })
        .collect::<String>()
        + "~"
}

/// A problem with a number that is too large, or a product of two long numbers.
fn too_large(rng: &mut Rng) -> String {
    let large = rng.between(1000, 9_999_999);
    let small = number(rng);
    let (a, b) = if rng.chance(50) { (large.to_string(), small) } else { (small, large.to_string()) };
    let (a, b, op) = if rng.chance(45) {
        let high = if rng.chance(60) { 99 } else { 999 };
        let times = rng.pick(&["*", "x", "×", "times", "multiplied by"]);
        (rng.between(13, high).to_string(), rng.between(13, high).to_string(), times)
    } else {
        (a, b, rng.pick(&["+", "-", "*", "plus", "minus", "times", "x"]))
    };
    let asked = rng.pick(&["", "", "What is ", "what's ", "Calculate ", "compute ", "How much is "]);
    let end = rng.pick(&["?", "", "=", "."]);
    if rng.chance(70) { format!("{asked}{a} {op} {b}{end}") } else { format!("{asked}{a}{op}{b}{end}") }
}

/// Two short prompts in one.
fn mixed(rng: &mut Rng) -> String {
    let first = fill(rng.pick(OPENINGS), rng);
    let second = match rng.below(3) {
        0 => strung(FOREIGN, rng),
        1 => rng.pick(SHORT).to_owned(),
        _ => fill(rng.pick(NUMBERED), rng),
    };
    format!("{first} {second}")
}

/// Several sentences.
fn long(rng: &mut Rng) -> String {
    let count = rng.between(3, 9);
    let text: Vec<String> = (0..count)
        .map(|_| match rng.below(5) {
            0 => fill(rng.pick(NUMBERED), rng),
            1 => fill(rng.pick(OPENINGS), rng),
            2 => program(rng),
            _ => strung(WORDS, rng),
        })
        .collect();
    text.join(rng.pick(&[" ", "\n", " "]))
}

/// Capitals, missing marks and letters put in the wrong place.
fn roughen(text: String, rng: &mut Rng) -> String {
    match rng.below(100) {
        0..8 => text.to_lowercase(),
        8..10 => text.to_uppercase(),
        10..14 => text.trim_end_matches(['?', '.', '!']).to_owned(),
        14..20 => {
            let mut chars: Vec<char> = text.chars().collect();
            if chars.len() > 3 && !chars.iter().any(char::is_ascii_digit) {
                let at = rng.below(chars.len() - 1);
                chars.swap(at, at + 1);
            }
            chars.into_iter().collect()
        }
        _ => text,
    }
}
