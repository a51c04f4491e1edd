//! Conditions of an operator's on requests, in CEL (the Common Expression Language): `tokens > 8000 && !request.stream`.
//!
//! They are read and checked when the configuration is; what a request is seen as is [`Seen`], and only the parts that a condition names
//! are looked up. An expression is bounded in length and depth, and loops do not nest, so that what one costs is bounded by its text and
//! the request. Apart because it is the only room that knows CEL. It must not know routes, nor what follows from a condition.

mod check;
mod seen;

use std::fmt;
use std::sync::Arc;

use cel::{Context, Env, ExecutionError, Program, Value};

use self::seen::Memo;
pub use self::seen::Seen;

/// A condition that was read.
pub struct Condition {
    text: String,
    program: Program,
    env: Arc<Env>,
    headers: bool,
}

/// What is wrong with a text that should be a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Line and column in the text, both from 1, where they are known.
    pub at: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A condition that could not be evaluated for a request: it is neither true nor false.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the condition `{condition}` could not be evaluated: {why}")]
pub struct Undecided {
    condition: String,
    /// In words that repeat nothing of the request.
    why: String,
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.text).finish()
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Condition {}

/// Longest text of a condition, bytes.
const LONGEST: usize = 1024;
/// How deep an expression may nest: it is evaluated where requests are served, on stacks of a usual size.
const DEEPEST: usize = 40;
/// Stack for reading one: the parser calls itself several times for each level, and finds out only then how deep it is.
const STACK: usize = 128 << 20;

impl Condition {
    /// Reads a condition, and tries it on a request with nothing in it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, Vec<Mistake>> {
        if text.len() > LONGEST {
            let message = format!("the condition has {} bytes; at most {LONGEST} are read", text.len());
            return Err(vec![Mistake { at: None, message, hint: None }]);
        }
        let reading = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("condition".to_owned()).stack_size(STACK);
            thread.spawn_scoped(scope, || read(text)).map(|reading| reading.join().unwrap_or_else(|_| Err(vec![no_reason()])))
        });
        let program = reading.unwrap_or_else(|_| Err(vec![no_reason()]))?;
        let env = Arc::new(Env::default().with_optional_support(false).with_stdlib());
        let headers = check::names_headers(program.expression());
        let condition = Self { text: text.to_owned(), program, env, headers };
        condition.tried()?;
        Ok(condition)
    }

    /// Whether it holds for a request.
    ///
    /// # Errors
    /// [`Undecided`]: a value was not there, or of the wrong type.
    pub fn holds(&self, seen: &Seen<'_>) -> Result<bool, Undecided> {
        let undecided = |why: String| Undecided { condition: self.text.clone(), why };
        match self.run(seen) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(undecided(format!("it comes to a {}", other.type_of()))),
            Err(error) => Err(undecided(words(&error))),
        }
    }

    /// Whether it asks for request headers.
    pub fn names_headers(&self) -> bool {
        self.headers
    }

    fn run(&self, seen: &Seen<'_>) -> Result<Value, ExecutionError> {
        let memo = Memo::of(seen);
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.set_variable_resolver(&memo);
        self.program.execute(&context)
    }

    /// What would fail for a request that has nothing fails for many.
    fn tried(&self) -> Result<(), Vec<Mistake>> {
        let (message, hint) = match self.run(&Seen::default()) {
            Ok(Value::Bool(_)) => return Ok(()),
            Ok(other) => (format!("a condition is true or false, and this is a {}", other.type_of()), None),
            Err(ExecutionError::NoSuchKey(key)) => {
                let hint = format!("ask first whether it is there: `has(...{key}) && ...`, or `\"{key}\" in ... && ...`");
                (format!("a request without `{key}` could not be judged"), Some(hint))
            }
            Err(error) => (words(&error), None),
        };
        Err(vec![Mistake { at: None, message, hint }])
    }
}

/// Reads and checks an expression; what is too deep does not leave.
fn read(text: &str) -> Result<Program, Vec<Mistake>> {
    let program = Program::compile(text).map_err(|errors| errors.errors.iter().map(check::unread).collect::<Vec<_>>())?;
    if check::is_deeper(program.expression(), DEEPEST) {
        let message = format!("the condition nests deeper than {DEEPEST} levels");
        return Err(vec![Mistake { at: None, message, hint: None }]);
    }
    let mistakes = check::mistakes(program.expression(), program.source_info());
    if mistakes.is_empty() { Ok(program) } else { Err(mistakes) }
}

/// There was no thread to read it.
fn no_reason() -> Mistake {
    Mistake { at: None, message: "the condition could not be read at present".to_owned(), hint: None }
}

/// An error without the values that it came about by: they may be the client's.
fn words(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("there is no `{key}`"),
        ExecutionError::NoSuchOverload(overload) => {
            let name = overload.function().trim_matches(['_', '@']);
            format!("`{name}` is not for {}", overload.argument_types().join(" and "))
        }
        ExecutionError::UndeclaredReference(name) => format!("there is nothing of the name `{name}`"),
        ExecutionError::UnexpectedType { got, want } => format!("there is a {got} where a {want} should be"),
        ExecutionError::InvalidArgumentCount { expected, actual } => format!("{actual} arguments where {expected} should be"),
        ExecutionError::IndexOutOfBounds(_) => "a list is not as long as that".to_owned(),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "a division by zero".to_owned(),
        ExecutionError::Overflow(..) => "a number is too large".to_owned(),
        ExecutionError::ValuesNotComparable(a, b) => format!("a {} and a {} have no order", a.type_of(), b.type_of()),
        ExecutionError::UnsupportedIndex(a, b) => format!("a {} is no index of a {}", a.type_of(), b.type_of()),
        _ => "a value is not of the right type".to_owned(),
    }
}

#[cfg(test)]
mod tests;
