//! Tools that a conversation offers: a calculator under many names and schemas, and others that are none.
//! Apart, because how tools are shown is the chat template's: a test holds the text here to what that renders. It must not know
//! which question comes, nor what is called.

use super::rng::Rng;
use super::words::WORDS;

/// How a calculator is named.
#[rustfmt::skip]
const NAMES: &[&str] = &[
    "calculator", "calculator", "calculator", "calculate", "calculate", "calculator__calculate", "calculator__calculate", "calc",
    "compute", "math", "evaluate", "eval", "eval_expression", "do_math", "arithmetic", "simple_calculator", "calculator_tool",
    "math_eval", "calculate_expression", "evaluate_expression", "run_calculation", "solve", "Calculator", "calculateExpression",
];
/// What is said of it.
#[rustfmt::skip]
const SAID: &[&str] = &[
    "Evaluates an arithmetic expression and gives the number. Operators: + - * / % (modulo) ^ (power) and parentheses. \
Functions: sqrt abs floor ceil round exp ln log10 log2 sin cos tan asin acos atan (radians), min max. Constants: pi e.",
    "Evaluate an arithmetic expression.", "Evaluate an arithmetic expression", "Evaluates a mathematical expression.",
    "Evaluate a mathematical expression", "Calculates the result of an expression.", "A calculator.", "Calculator", "Does arithmetic.",
    "Useful for math.", "Performs basic arithmetic operations.", "Perform arithmetic", "Calculator for simple math expressions.",
    "Computes a mathematical expression and returns the result.", "Use this for calculations.", "Calculate an expression.",
    "Adds, subtracts, multiplies and divides.", "Evaluate math", "Run a calculation and return the number.", "",
];
/// What its parameter is called.
#[rustfmt::skip]
const PARAMETERS: &[&str] = &[
    "expression", "expression", "expression", "expression", "expression", "expression", "expr", "input", "query", "equation",
    "formula", "text", "problem", "math_expression", "calculation", "q",
];
/// What is said of that.
#[rustfmt::skip]
const EXAMPLES: &[&str] = &[
    "", "", "For example: (2 + 3) * sqrt(16) / 2^3", "The expression to evaluate", "The expression to evaluate.", "e.g. 2+2",
    "Arithmetic expression, like 3 * (4 + 5)", "The math expression, e.g. '12 * 7'", "What to calculate",
    "The mathematical expression to evaluate, for example 25 * 4", "Expression",
];
/// Tools that are no calculators: name, what is said of them, parameters.
#[rustfmt::skip]
const OTHERS: &[(&str, &str, &[&str])] = &[
    ("get_weather", "Get the current weather in a city.", &["city"]),
    ("get_current_weather", "Get the current weather in a given location", &["location", "unit"]),
    ("web_search", "Search the web.", &["query"]),
    ("search", "Searches documents and returns passages.", &["query"]),
    ("send_email", "Sends an email.", &["to", "subject", "body"]),
    ("get_time", "The current time in a timezone.", &["timezone"]),
    ("read_file", "Reads a file.", &["path"]),
    ("write_file", "Writes text to a file.", &["path", "content"]),
    ("translate", "Translates a text.", &["text", "language"]),
    ("create_event", "Adds an event to the calendar.", &["title", "date"]),
    ("run_shell", "Runs a command in a shell and returns its output.", &["command"]),
    ("lookup_user", "Finds a user by name.", &["name"]),
    ("get_stock_price", "Price of a stock.", &["symbol"]),
    ("play_music", "", &["song"]),
];

/// What stands before the tools, and behind them: the chat template's words.
const HEAD: &str = "## Tools\nYou can call these tools:\n";
const FOOT: &str = "\nTo call tools, end your answer with this, and nothing behind it:\n\
<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n```json\nARGUMENTS\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>\n\
NAME is the name of a tool, ARGUMENTS a JSON object that its parameters allow. From <｜tool▁call▁begin｜> to <｜tool▁call▁end｜> is \
one call; further calls follow it, each on a new line. You are given what the tools say, and go on.\n\n";

/// One tool as a client declares it.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    /// Its name.
    pub(crate) name: String,
    /// What is said of it; may be empty.
    pub(crate) description: String,
    /// The JSON Schema of its arguments, as the template writes JSON.
    pub(crate) parameters: String,
}

/// The tools of a conversation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offer {
    /// All of them, in the client's order.
    pub(crate) tools: Vec<Tool>,
    /// The name and the parameter of the calculator, if there is one.
    pub(crate) calculator: Option<(String, String)>,
}

/// Whether a calculator has one of the names that people give one, and not one made up of such a name and a word.
pub(crate) fn is_usual(name: &str) -> bool {
    NAMES.contains(&name)
}

/// A calculator, seldom with other tools beside it; or only others.
pub(crate) fn sample(rng: &mut Rng) -> Offer {
    let mut tools = Vec::new();
    if rng.chance(15) {
        for _ in 0..rng.between(1, 2) {
            tools.push(other(rng));
        }
        return Offer { tools, calculator: None };
    }
    let (tool, parameter) = calculator(rng);
    let calculator = Some((tool.name.clone(), parameter));
    tools.push(tool);
    if rng.chance(20) {
        let at = rng.below(2);
        tools.insert(at, other(rng));
    }
    Offer { tools, calculator }
}

impl Offer {
    /// The part of the prompt that shows the tools, as it stands behind the operator's instructions.
    pub(crate) fn shown(&self) -> String {
        let tools = self.tools.iter().map(|tool| {
            let said = if tool.description.is_empty() { String::new() } else { format!("Description: {}\n", tool.description) };
            format!("\n### {}\n{said}Parameters: {}\n", tool.name, tool.parameters)
        });
        format!("{HEAD}{}{FOOT}", tools.collect::<String>())
    }
}

/// A calculator, and the name of its parameter.
fn calculator(rng: &mut Rng) -> (Tool, String) {
    let mut name = rng.pick(NAMES).to_owned();
    match rng.below(100) {
        0..8 => name = format!("{name}_{}", rng.pick(WORDS)),
        8..16 => name = format!("{}_{name}", rng.pick(WORDS)),
        _ => {}
    }
    let parameter = rng.pick(PARAMETERS).to_owned();
    let parameters = schema(&[(&parameter, rng.pick(EXAMPLES))], rng);
    (Tool { name, description: rng.pick(SAID).to_owned(), parameters }, parameter)
}

/// A tool that is of no use for a problem.
fn other(rng: &mut Rng) -> Tool {
    let (name, description, parameters) = OTHERS[rng.below(OTHERS.len())];
    let named: Vec<(&str, &str)> = parameters.iter().map(|p| (*p, "")).collect();
    Tool { name: name.to_owned(), description: description.to_owned(), parameters: schema(&named, rng) }
}

/// A schema of strings, its keys in the order in which people, libraries or an alphabet put them.
fn schema(parameters: &[(&str, &str)], rng: &mut Rng) -> String {
    let (typed_first, titled) = (rng.chance(60), rng.chance(10));
    let properties = parameters.iter().map(|(name, said)| {
        let title = if titled { format!("\"title\": \"{name}\", ") } else { String::new() };
        let body = match (said.is_empty(), typed_first) {
            (true, _) => format!("{title}\"type\": \"string\""),
            (false, true) => format!("{title}\"type\": \"string\", \"description\": \"{said}\""),
            (false, false) => format!("\"description\": \"{said}\", {title}\"type\": \"string\""),
        };
        format!("\"{name}\": {{{body}}}")
    });
    let properties = format!("\"properties\": {{{}}}", properties.collect::<Vec<_>>().join(", "));
    let required: Vec<String> = parameters.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let required = format!("\"required\": [{}]", required.join(", "));
    let kind = "\"type\": \"object\"".to_owned();
    let closed = "\"additionalProperties\": false".to_owned();
    let keys = match rng.below(8) {
        0..3 => vec![kind, properties, required],
        3 => vec![kind, properties, required, closed],
        4 => vec![closed, properties, required, kind],
        5 => vec![properties, required, kind],
        6 => vec![kind, required, properties],
        _ => vec![kind, properties],
    };
    format!("{{{}}}", keys.join(", "))
}
