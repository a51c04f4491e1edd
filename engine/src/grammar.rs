//! Grammars that an answer must follow: compiled once for a request, walked once for each of its choices.
//!
//! Apart because it is the only place that knows llguidance. Compiling takes as long as a stranger's grammar is, so the caller chooses
//! the thread, and one is compiled at a time; what a token costs later has llguidance's bounds. It must not know how a token is chosen.

mod calls;
mod vocabulary;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use llguidance::api::{GrammarWithLexer, TopLevelGrammar};
use llguidance::toktrie::TokEnv;
use llguidance::{Matcher, ParserFactory, TokenParser};

use crate::check::Form;
use crate::check::shape::Shape;
use crate::error::EngineError;
use crate::tokens::Vocabulary;
pub(crate) use calls::CallFormat;

/// Bytes of the stack that a grammar is compiled on: the compiler recurses as deep as rules refer to each other. Only what is used of
/// them is taken.
const STACK: usize = 256 << 20;
/// Characters of a complaint that a client is told.
const MAX_COMPLAINT: usize = 1000;
/// States of one answer's lexer, of up to 2 kB each: a stranger's expression may have as many as there are.
const MAX_LEXER_STATES: usize = 20_000;
/// What its lexer may do for one token, in llguidance's measure: a few milliseconds, in which no other answer goes on.
const STEP_LEXER_FUEL: u64 = 50_000;
const TEXT: &str = "text";

/// What compiles grammars for one model.
pub(crate) struct Grammars {
    vocabulary: Arc<Vocabulary>,
    format: CallFormat,
    /// Made for the first grammar: it takes a moment, and a table of all tokens.
    factory: OnceLock<Result<ParserFactory, String>>,
    /// Held while one is compiled, and no longer: others wait for it.
    turn: Mutex<()>,
}

/// One choice's way through its grammar.
#[derive(Clone)]
pub(crate) struct Guide {
    matcher: Matcher,
    field: Arc<str>,
    /// The token that opens a thought before the answer, while one may come.
    opens: Option<u32>,
}

impl Grammars {
    /// Grammars over these tokens; calls are written in the format that the model's template teaches.
    pub(crate) fn new(vocabulary: Arc<Vocabulary>, format: CallFormat) -> Self {
        Self { vocabulary, format, factory: OnceLock::new(), turn: Mutex::default() }
    }

    /// The grammar of this form, with so many calls at most, one or any number; `None` if it leaves all open, or if nobody waits for it
    /// any more when its turn comes. Blocking.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] that names the field, with what the compiler says.
    pub(crate) fn guide(&self, form: &Form, most_calls: u32, waits: impl Fn() -> bool) -> Result<Option<Guide>, EngineError> {
        let Some(grammar) = self.grammar(form, most_calls) else { return Ok(None) };
        let first = form.text.as_ref().map(|text| &text.field).or_else(|| form.tools.first().map(|tool| &tool.field));
        let field = first.map_or("response_format", String::as_str);
        if !self.vocabulary.is_byte_level() || self.vocabulary.eos().is_empty() {
            let why = "the model's tokenizer is not byte-level or has no token that ends an answer, so that no grammar can be kept";
            return Err(EngineError::unsupported(field, format!("`{field}`: {why}")));
        }
        match self.compile(grammar, &waits) {
            Ok(parser) => Ok(parser.map(|parser| Guide { matcher: Matcher::new(Ok(parser)), field: field.into(), opens: None })),
            Err(complaint) => Err(self.blame(form, (field, complaint), &waits)),
        }
    }

    fn grammar(&self, form: &Form, most_calls: u32) -> Option<TopLevelGrammar> {
        let text = form.text.as_ref().map(|text| of_shape(&text.shape));
        if form.tools.is_empty() {
            return text.map(TopLevelGrammar::from_grammar);
        }
        let names: Vec<&str> = form.tools.iter().map(|tool| tool.name.as_str()).collect();
        let mut rules = self.format.rules(&names, most_calls, |mark| self.vocabulary.token(mark));
        let start = if text.is_some() { format!("start: @{TEXT} | calls\n") } else { "start: calls\n".to_owned() };
        rules.insert_str(0, &start);
        let mut grammars = vec![GrammarWithLexer::from_lark(rules)];
        grammars.extend(text.map(|text| GrammarWithLexer { name: Some(TEXT.to_owned()), ..text }));
        grammars.extend(form.tools.iter().enumerate().map(|(at, tool)| GrammarWithLexer {
            name: Some(calls::arguments_of(at)),
            ..GrammarWithLexer::from_json_schema(tool.arguments.clone())
        }));
        Some(TopLevelGrammar { grammars, max_tokens: None })
    }

    /// One at a time; `None` if nobody waits for it.
    fn compile(&self, grammar: TopLevelGrammar, waits: &dyn Fn() -> bool) -> Result<Option<TokenParser>, String> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if !waits() {
            return Ok(None);
        }
        let factory = self.factory.get_or_init(|| factory(&self.vocabulary)).as_ref().map_err(Clone::clone)?;
        let work = || factory.create_parser(grammar).map_err(|e| complaint(&format!("{e:#}")));
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("gatewright-grammar".to_owned()).stack_size(STACK);
            let thread = thread.spawn_scoped(scope, work).map_err(|e| format!("no thread to compile it: {e}"))?;
            thread.join().unwrap_or_else(|_| Err("it cannot be compiled".to_owned())).map(Some)
        })
    }

    /// Whose fault it is: of several schemas the first that cannot be compiled by itself.
    fn blame(&self, form: &Form, (field, complaint): (&str, String), waits: &dyn Fn() -> bool) -> EngineError {
        let fault = |field: &str, complaint: String| EngineError::unsupported(field, format!("`{field}`: {complaint}"));
        let text = form.text.iter().map(|text| (text.field.as_str(), of_shape(&text.shape)));
        let tools = form.tools.iter().map(|tool| (tool.field.as_str(), GrammarWithLexer::from_json_schema(tool.arguments.clone())));
        if form.tools.len() + usize::from(form.text.is_some()) > 1 {
            for (field, grammar) in text.chain(tools) {
                match self.compile(TopLevelGrammar::from_grammar(grammar), waits) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(complaint) => return fault(field, complaint),
                }
            }
        }
        fault(field, complaint)
    }
}

impl Guide {
    /// The same, for an answer before which the model may think if it begins with this token.
    pub(crate) fn after_thought(self, opens: Option<u32>) -> Self {
        Self { opens, ..self }
    }

    /// Leaves the tokens that may come next as they are, and makes all others impossible.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] if the grammar became too complex, or no token can go on.
    pub(crate) fn keep(&mut self, logits: &mut [f32], vocabulary: &Vocabulary) -> Result<(), EngineError> {
        let mut allowed = self.matcher.compute_mask_or_eos().map_err(|e| self.fault(&e.to_string()))?;
        if !self.matcher.is_accepting().map_err(|e| self.fault(&e.to_string()))? {
            // A grammar may use the end of the answer as the end of one of its parts; an answer that ends must be whole.
            vocabulary.eos().iter().for_each(|id| allowed.disallow_token(*id));
        }
        if allowed.is_zero() {
            return Err(self.fault("no token of this model can go on here"));
        }
        let words = allowed.as_slice();
        for (at, logit) in logits.iter_mut().enumerate() {
            let is_allowed = words.get(at / 32).is_some_and(|word| (word >> (at % 32)) & 1 == 1);
            if !is_allowed && self.opens.is_none_or(|id| id as usize != at) {
                *logit = f32::NEG_INFINITY;
            }
        }
        Ok(())
    }

    /// Takes the token that was chosen of those.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] if the grammar became too complex.
    pub(crate) fn take(&mut self, id: u32, vocabulary: &Vocabulary) -> Result<(), EngineError> {
        if self.opens.take() == Some(id) || vocabulary.ends(id) {
            return Ok(());
        }
        self.matcher.consume_token(id).map_err(|e| self.fault(&e.to_string()))
    }

    fn fault(&self, what: &str) -> EngineError {
        EngineError::unsupported(&*self.field, format!("`{}`: {}", self.field, complaint(what)))
    }
}

fn of_shape(shape: &Shape) -> GrammarWithLexer {
    match shape {
        Shape::Json(schema) => GrammarWithLexer::from_json_schema(schema.clone()),
        Shape::Regex(expression) => GrammarWithLexer::from_regex(expression),
        Shape::Lark(grammar) => GrammarWithLexer::from_lark(grammar.clone()),
        Shape::Choice(texts) => {
            let texts: Vec<String> = texts.iter().map(|text| calls::quoted(text)).collect();
            GrammarWithLexer::from_lark(format!("start: {}\n", texts.join(" | ")))
        }
    }
}

fn factory(vocabulary: &Arc<Vocabulary>) -> Result<ParserFactory, String> {
    let tokens: TokEnv = Arc::new(vocabulary::Tokens::new(vocabulary.clone()));
    let mut factory = ParserFactory::new_simple(&tokens).map_err(|e| complaint(&e.to_string()))?;
    factory.quiet();
    let limits = factory.limits_mut();
    limits.verbose_errors = false;
    (limits.max_lexer_states, limits.step_lexer_fuel) = (MAX_LEXER_STATES, STEP_LEXER_FUEL);
    Ok(factory)
}

/// What a client is told: not what the compiler says of itself behind it.
fn complaint(said: &str) -> String {
    let end = ["\n<backtrace>", "\n<state>", "\n<non-verbose/>"].iter().filter_map(|mark| said.find(mark)).min();
    said[..end.unwrap_or(said.len())].chars().take(MAX_COMPLAINT).collect()
}

#[cfg(test)]
mod tests;
