//! The problems: which exist, which are kept out of training, and how one is worked out step by step.
//! Apart, so that training and scoring agree on what was never shown. It must not know how a question is worded.

use super::rng::{Rng, mix};
use std::fmt::Write;

/// What is done with the two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a × b
    Mul,
}

/// Two numbers and what is done with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What is done.
    pub(crate) op: Op,
    /// The first number.
    pub(crate) a: u32,
    /// The second number.
    pub(crate) b: u32,
}

/// One problem in this many is kept out of training.
const HELD_OUT_SHARE: u64 = 10;

impl Problem {
    /// The right answer: what the model is scored against.
    pub(crate) fn answer(&self) -> i64 {
        let (a, b) = (i64::from(self.a), i64::from(self.b));
        match self.op {
            Op::Add => a + b,
            Op::Sub => a - b,
            Op::Mul => a * b,
        }
    }

    /// Whether training never shows this problem, in neither order of its numbers.
    pub(crate) fn is_held_out(&self) -> bool {
        let (low, high) = (self.a.min(self.b), self.a.max(self.b));
        if high < 10 || (self.op == Op::Mul && low >= 10) {
            return false;
        }
        let key = (self.op as u64) << 40 | u64::from(low) << 20 | u64::from(high);
        mix(mix(key ^ 0x6761_7465)).is_multiple_of(HELD_OUT_SHARE)
    }

    /// Any problem of the model's range, held out or not.
    pub(crate) fn any(rng: &mut Rng) -> Self {
        match rng.below(100) {
            0..36 => Self { op: Op::Add, a: number(rng), b: number(rng) },
            36..72 => difference(rng),
            _ => product(rng),
        }
    }

    /// A problem that training may show.
    pub(crate) fn for_training(rng: &mut Rng) -> Self {
        loop {
            let problem = Self::any(rng);
            if !problem.is_held_out() {
                return problem;
            }
        }
    }

    /// The fixed list of problems for scoring: all held out, all different.
    pub(crate) fn held_out(count: usize) -> Vec<Self> {
        let mut rng = Rng::new(20_250_120, 7);
        let mut list: Vec<Self> = Vec::with_capacity(count);
        while list.len() < count {
            let problem = Self::any(&mut rng);
            if problem.is_held_out() && !list.contains(&problem) {
                list.push(problem);
            }
        }
        list
    }

    /// What the model is taught to think: the problem in one form, then column by column.
    pub(crate) fn steps(&self) -> String {
        match self.op {
            Op::Add => format!("{}+{}:\n{}", self.a, self.b, add_columns(self.a, self.b)),
            Op::Sub => subtract(self.a, self.b),
            Op::Mul => multiply(self.a, self.b),
        }
    }
}

/// A number up to 999; the number of digits is drawn first, so that short numbers are not rare.
fn number(rng: &mut Rng) -> u32 {
    match rng.below(100) {
        0..16 => rng.between(0, 9),
        16..56 => rng.between(10, 99),
        _ => rng.between(100, 999),
    }
}

/// Mostly the greater number first, and often two that are close to each other.
fn difference(rng: &mut Rng) -> Problem {
    let (mut a, mut b) = (number(rng), number(rng));
    if rng.chance(15) {
        b = (a + rng.between(0, 20)).saturating_sub(10).min(999);
    }
    if a < b && rng.chance(60) {
        (a, b) = (b, a);
    }
    Problem { op: Op::Sub, a, b }
}

/// One digit times up to three digits in either order, and the table up to 12 × 12.
fn product(rng: &mut Rng) -> Problem {
    let mut a = match rng.below(100) {
        0..20 => rng.between(0, 9),
        20..75 => rng.between(10, 99),
        _ => rng.between(100, 999),
    };
    let mut b = rng.between(0, 9);
    if rng.chance(4) {
        (a, b) = (rng.between(10, 12), rng.between(10, 12));
    }
    if rng.chance(50) {
        (a, b) = (b, a);
    }
    Problem { op: Op::Mul, a, b }
}

/// The digit of a column, 0 being the ones.
fn digit(n: u32, column: u32) -> u32 {
    n / 10u32.pow(column) % 10
}

/// How many digits a number has.
fn width(n: u32) -> u32 {
    n.checked_ilog10().map_or(1, |log| log + 1)
}

/// `7+5=12, carry 1: 2`, then `4+8+1=13: 132`.
fn add_columns(a: u32, b: u32) -> String {
    let columns = width(a).max(width(b));
    let (mut text, mut carry, mut so_far) = (String::new(), 0, String::new());
    for column in 0..columns {
        let (x, y) = (digit(a, column), digit(b, column));
        let sum = x + y + carry;
        let carried = if carry > 0 { "+1" } else { "" };
        let _ = write!(text, "{x}+{y}{carried}={sum}");
        carry = sum / 10;
        finish_column(&mut text, &mut so_far, Column { value: sum, last: column + 1 == columns });
    }
    text
}

/// The value of a column, and whether it is the leftmost one.
struct Column {
    value: u32,
    last: bool,
}

/// Ends a line: the carry if there is one, and the digits of the result so far.
fn finish_column(text: &mut String, so_far: &mut String, column: Column) {
    if column.last {
        *so_far = format!("{}{so_far}", column.value);
    } else {
        *so_far = format!("{}{so_far}", column.value % 10);
        if column.value >= 10 {
            let _ = write!(text, ", carry {}", column.value / 10);
        }
    }
    let _ = writeln!(text, ": {so_far}");
}

/// Which number is greater, digit by digit, then the columns.
fn subtract(a: u32, b: u32) -> String {
    let mut text = format!("{a}-{b}: ");
    for column in (0..width(a).max(width(b))).rev() {
        let (x, y) = (digit(a, column), digit(b, column));
        let sign = match x.cmp(&y) {
            std::cmp::Ordering::Less => '<',
            std::cmp::Ordering::Equal => '=',
            std::cmp::Ordering::Greater => '>',
        };
        let _ = write!(text, "{x}{sign}{y}");
        if x != y {
            break;
        }
        if column > 0 {
            text.push(',');
        }
    }
    if a < b {
        let _ = write!(text, ", so -({b}-{a})");
    }
    format!("{text}\n{}", subtract_columns(a.max(b), a.min(b)))
}

/// `15-7=8, borrow 1: 8`, then `8-4-1=3: 38`.
fn subtract_columns(a: u32, b: u32) -> String {
    let (mut text, mut borrow, mut so_far) = (String::new(), 0, String::new());
    for column in 0..width(a) {
        let (mut x, y) = (digit(a, column), digit(b, column));
        let borrowed = if borrow > 0 { "-1" } else { "" };
        let taken = y + borrow;
        borrow = u32::from(x < taken);
        x += 10 * borrow;
        so_far = format!("{}{so_far}", x - taken);
        let _ = write!(text, "{x}-{y}{borrowed}={}", x - taken);
        if borrow > 0 {
            text.push_str(", borrow 1");
        }
        let _ = writeln!(text, ": {so_far}");
    }
    text
}

/// The longer number first, times one digit: `5×7=35, carry 3: 5`, then `8×7=56, +3=59: 595`.
fn multiply(a: u32, b: u32) -> String {
    let (long, short) = if width(a) >= width(b) { (a, b) } else { (b, a) };
    let mut text = format!("{long}×{short}:\n");
    if short >= 10 {
        let (tens, ones) = (long * 10, long * (short - 10));
        let _ = writeln!(text, "{tens}+{ones}={}", tens + ones);
        return text;
    }
    let (columns, mut carry, mut so_far) = (width(long), 0, String::new());
    for column in 0..columns {
        let x = digit(long, column);
        let _ = write!(text, "{x}×{short}={}", x * short);
        let value = x * short + carry;
        if carry > 0 {
            let _ = write!(text, ", +{carry}={value}");
        }
        carry = value / 10;
        finish_column(&mut text, &mut so_far, Column { value, last: column + 1 == columns });
    }
    text
}
