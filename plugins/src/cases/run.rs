//! Running cases: each in a session of its own, streams whole and cut at many places.
//!
//! Apart from reading them so that either can be seen at once. It must not know where a plugin lies.

use std::sync::Arc;

use gatewright_types::Phase;
use serde_json::{Map, Value};

use super::show::{Made, Shown, open, show};
use super::{Ask, Case, Expect, Expected, cut};
use crate::api::{Busy, LoadError, Operator, Source, Verdict};
use crate::host::{Host, Plugin};
use crate::session::Chain;

/// How a case went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// The plugin cannot be loaded with these settings.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The plugin has no instance that is free.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// Something else came of it than what is expected.
    #[error("{what}: expected {expected}, got {got}{}", .cut.as_ref().map(|cut| format!("; the stream was cut as {cut:?}")).unwrap_or_default())]
    Differs {
        /// What was looked at.
        what: &'static str,
        /// What the case says.
        expected: String,
        /// What came.
        got: String,
        /// How a stream was cut, where that made the difference.
        cut: Option<Vec<String>>,
    },
}

impl Wrong {
    fn new(what: &'static str, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self::Differs { what, expected: expected.into(), got: got.into(), cut: None }
    }

    fn cut(mut self, pieces: &[String]) -> Self {
        if let Self::Differs { cut, .. } = &mut self {
            *cut = Some(pieces.to_vec());
        }
        self
    }
}

/// A plugin that is tried. It is loaded once for each kind of settings that its cases have.
#[derive(Debug)]
pub struct Trials<'a> {
    host: &'a Host,
    source: Source,
    operator: Operator,
    /// Ways that a stream is cut, beside whole.
    splits: u64,
    loaded: Vec<(Value, Arc<Plugin>)>,
}

impl<'a> Trials<'a> {
    /// Trials of a plugin, with the operator's grants, limits and mode; settings come from the cases. A stream is fed whole and cut in
    /// `splits` ways.
    pub fn new(host: &'a Host, source: Source, operator: Operator, splits: u64) -> Self {
        Self { host, source, operator, splits, loaded: Vec::new() }
    }

    /// Runs one case. What it cost is that of the text as a whole, however a stream is cut besides; see
    /// [`Session::fuel`](crate::Session::fuel).
    ///
    /// # Errors
    /// [`Wrong`], at the first difference.
    pub async fn run(&mut self, case: &Case) -> Result<u64, Wrong> {
        let chain = Chain::new(vec![self.plugin(&case.settings)?]);
        let fuel = match &case.ask {
            Ask::Call { tool, arguments } => called(&chain, (tool, arguments), &case.expect).await?,
            Ask::Given { phase, channel, text, label } => {
                let whole = [text.clone()];
                let shown = Shown { phase: *phase, channel: *channel, label: label.as_deref(), pieces: &whole };
                let made = show(&chain, &shown).await?;
                let fuel = made.fuel;
                check(made, &case.expect)?;
                let splits = if *phase == Phase::Chunk { self.splits } else { 0 };
                for seed in 0..splits {
                    let pieces = cut(text, seed);
                    let made = show(&chain, &Shown { pieces: &pieces, ..shown }).await?;
                    check(made, &case.expect).map_err(|wrong| wrong.cut(&pieces))?;
                }
                fuel
            }
        };
        match case.expect.max_fuel {
            Some(most) if fuel > most => Err(Wrong::new("fuel", format!("at most {most}"), fuel.to_string())),
            _ => Ok(fuel),
        }
    }

    /// The plugin with these settings.
    fn plugin(&mut self, settings: &Value) -> Result<Arc<Plugin>, LoadError> {
        if let Some((_, plugin)) = self.loaded.iter().find(|(known, _)| known == settings) {
            return Ok(Arc::clone(plugin));
        }
        let operator = Operator { settings: settings.clone(), ..self.operator.clone() };
        let plugin = self.host.load(&self.source, &operator)?;
        self.loaded.push((settings.clone(), Arc::clone(&plugin)));
        Ok(plugin)
    }
}

/// Whether what came of a text is what the case says.
fn check(made: Made, expect: &Expect) -> Result<(), Wrong> {
    let (verdict, text) = match made.verdict {
        Verdict::Pass => (Expected::Pass, made.text),
        Verdict::Answer { text, .. } => (Expected::Answer, text),
        Verdict::Block { code, message, .. } => {
            if let Some(wanted) = expect.code.as_ref().filter(|wanted| **wanted != code && expect.verdict == Expected::Block) {
                return Err(Wrong::new("code", wanted, code));
            }
            says(expect, &message)?;
            (Expected::Block, made.text)
        }
        Verdict::Failed { reason, .. } => {
            if expect.verdict != Expected::Failed {
                return Err(Wrong::new("verdict", expect.verdict.as_str(), format!("failed ({reason})")));
            }
            says(expect, &reason)?;
            (Expected::Failed, made.text)
        }
        Verdict::Reask { instruction, .. } => (Expected::Reask, instruction.unwrap_or_default()),
    };
    if verdict != expect.verdict {
        return Err(Wrong::new("verdict", expect.verdict.as_str(), verdict.as_str()));
    }
    if let Some(wanted) = expect.text.as_ref().filter(|wanted| **wanted != text) {
        return Err(Wrong::new("text", format!("{wanted:?}"), format!("{text:?}")));
    }
    if let Some((key, value)) = expect.notes.iter().find(|note| !made.notes.contains(note)) {
        return Err(Wrong::new("notes", format!("{key}: {value}"), format!("{:?}", made.notes)));
    }
    let set = |pointer: &String| made.sets.iter().rfind(|(found, _)| found == pointer).map(|(_, value)| value);
    match expect.sets.iter().find(|(pointer, value)| set(pointer) != Some(value)) {
        Some((pointer, value)) => {
            let got = made.sets.into_iter().collect::<Map<_, _>>();
            Err(Wrong::new("sets", format!("{pointer}: {value}"), Value::Object(got).to_string()))
        }
        None => Ok(()),
    }
}

/// Whether a failure's text has the words that are expected.
fn says(expect: &Expect, text: &str) -> Result<(), Wrong> {
    match expect.contains.as_ref().filter(|words| !text.contains(words.as_str())) {
        Some(words) => Err(Wrong::new("failure", format!("words {words:?}"), format!("{text:?}"))),
        None => Ok(()),
    }
}

impl Expected {
    /// Its word in a case.
    pub fn as_str(self) -> &'static str {
        super::VERDICTS.iter().find(|(_, verdict)| *verdict == self).map_or("pass", |(word, _)| word)
    }
}

/// Calls a tool of the chain's one plugin; what that cost.
async fn called(chain: &Chain, (tool, arguments): (&str, &str), expect: &Expect) -> Result<u64, Wrong> {
    let plugin = chain.plugins().first().map_or("", |plugin| &plugin.name);
    let mut session = open(chain).await?;
    let answer = session.call_tool(&format!("{plugin}__{tool}"), arguments).await;
    match (answer, &expect.failure, &expect.result) {
        (Ok(_), None, None) => {}
        (Ok(result), None, Some(wanted)) if *wanted == result => {}
        (Ok(result), None, Some(wanted)) => return Err(Wrong::new("result", format!("{wanted:?}"), format!("{result:?}"))),
        (Ok(result), Some(kind), _) => return Err(Wrong::new("failure", kind, format!("the result {result:?}"))),
        (Err(failure), Some(kind), _) if kind == failure.kind() => says(expect, &failure.to_string())?,
        (Err(failure), kind, _) => {
            let wanted = kind.as_deref().unwrap_or("a result");
            return Err(Wrong::new("failure", wanted, format!("{} ({failure})", failure.kind())));
        }
    }
    Ok(session.fuel())
}
