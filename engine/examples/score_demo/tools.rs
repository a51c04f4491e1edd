//! The rounds of a tool with the demo model: it calls the calculator that is offered to it, is told something, and gives that on.
//! Apart, because the program that scores and the test that guards the committed model ask the same. It must not know how the model
//! was trained.

use crate::demo_data::offers::{self, Offer};
use crate::demo_data::problems::Problem;
use crate::demo_data::rng::Rng;
use crate::demo_data::sums::{self, Sum};
use futures_util::StreamExt;
use gatewright_engine::{Engine, Terms};
use gatewright_types::{ChatRequest, Content, Delta, FinishReason, Message, Role, Tool, ToolCall, ToolDefinition};
use std::sync::Arc;

/// What can go wrong, from whatever library.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// No turn is longer.
const LONGEST: u64 = 200;

/// A question with a calculator at hand, and what that will say.
pub(crate) struct Round {
    offer: Offer,
    sum: Sum,
    result: String,
}

/// How the calculators of a list are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// As people name them: training showed these names.
    Usual,
    /// By such a name and a word, which has to be read off the offer.
    MadeUp,
}

/// The fixed list of rounds: problems that training never showed and larger ones by turns, under schemas drawn anew. What the calculator
/// says is seldom right, so that a model that guesses is found out.
pub(crate) fn rounds(count: usize, names: Names) -> Vec<Round> {
    let mut rng = Rng::new(1000, 2);
    let problems = Problem::held_out(count.div_ceil(2)).into_iter();
    let rounds = problems.flat_map(|problem| {
        let large = sums::large(&mut rng);
        [problem, large].map(|problem| {
            let fits = |name: &str| offers::is_usual(name) == (names == Names::Usual);
            let offer = std::iter::repeat_with(|| offers::sample(&mut rng))
                .find(|offer| offer.calculator.as_ref().is_some_and(|(name, _)| fits(name)));
            let sum = sums::of(&problem, &mut rng);
            Round { offer: offer.unwrap_or_default(), sum, result: rng.between(0, 999_999).to_string() }
        })
    });
    rounds.take(count).collect()
}

impl Round {
    /// What is wrong with the call or with the answer; nothing if both are right.
    ///
    /// # Errors
    /// What the engine says where it cannot answer.
    pub(crate) async fn ask(&self, engine: &Engine, temperature: f64) -> Result<Option<String>, Failure> {
        let mut messages = vec![Message::text(Role::User, self.sum.question.as_str())];
        let first = self.turn(engine, (messages.clone(), temperature)).await?;
        let wrong = format!("{:?} wants {}, said {first:?}", self.sum.question, self.sum.expression);
        let [call] = &first.calls[..] else { return Ok(Some(wrong)) };
        if !self.is_right(call) || first.finish != Some(FinishReason::ToolCalls) {
            return Ok(Some(wrong));
        }
        messages.push(Message { content: Content::Null, tool_calls: first.calls, ..Message::text(Role::Assistant, "") });
        messages.push(Message { tool_call_id: Some("call".into()), ..Message::text(Role::Tool, self.result.as_str()) });
        let second = self.turn(engine, (messages, temperature)).await?;
        let right = second.calls.is_empty() && second.text.trim() == self.result;
        Ok((!right).then(|| format!("{:?} came to {}, said {second:?}", self.sum.question, self.result)))
    }

    fn is_right(&self, call: &ToolCall) -> bool {
        let arguments: Option<serde_json::Value> = serde_json::from_str(&call.arguments).ok();
        self.offer.calculator.as_ref().is_some_and(|(name, parameter)| {
            let mut wanted = serde_json::Map::new();
            wanted.insert(parameter.clone(), self.sum.expression.as_str().into());
            call.name == *name && arguments == Some(wanted.into())
        })
    }

    async fn turn(&self, engine: &Engine, (messages, temperature): (Vec<Message>, f64)) -> Result<Turn, Failure> {
        let tools: Result<Vec<Tool>, Failure> = self.offer.tools.iter().map(tool).collect();
        let mut request = ChatRequest { messages, tools: tools?, ..ChatRequest::default() };
        request.sampling.temperature = Some(temperature);
        request.sampling.max_tokens = Some(LONGEST);
        request.sampling.seed = Some(0);
        let (mut deltas, reading) = engine.submit(Arc::new(request), Terms::default())?;
        reading.run();
        let mut turn = Turn::default();
        while let Some(delta) = deltas.next().await {
            turn.take(delta?);
        }
        Ok(turn)
    }
}

/// A tool as a client declares it.
fn tool(tool: &offers::Tool) -> Result<Tool, Failure> {
    Ok(Tool::Function(ToolDefinition {
        name: tool.name.clone(),
        description: Some(tool.description.clone()).filter(|said| !said.is_empty()),
        parameters: Some(serde_json::value::RawValue::from_string(tool.parameters.clone())?),
        function_extras: Default::default(),
        extras: Default::default(),
    }))
}

/// What the model did in one turn.
#[derive(Debug, Default)]
struct Turn {
    thought: String,
    text: String,
    calls: Vec<ToolCall>,
    finish: Option<FinishReason>,
}

impl Turn {
    fn take(&mut self, delta: Delta) {
        match delta {
            Delta::Reasoning { text, .. } => self.thought.push_str(&text),
            Delta::Text { text, .. } => self.text.push_str(&text),
            Delta::ToolCall { name, arguments, .. } => {
                if let Some(name) = name {
                    let (id, arguments, extras) = ("call".into(), String::new(), Default::default());
                    self.calls.push(ToolCall { id, name, arguments, extras });
                }
                if let Some(call) = self.calls.last_mut() {
                    call.arguments.push_str(&arguments);
                }
            }
            Delta::Finish { reason, .. } => self.finish = Some(reason),
            _ => {}
        }
    }
}
