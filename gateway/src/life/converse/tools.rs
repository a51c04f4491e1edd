//! The gateway's own tools: offered to the model beside the client's, called here, and their results shown to the model.
//!
//! Apart because only here a model is asked more than once. It must not know how tools are sandboxed.
//!
//! An answer that calls any tool of the client's goes to the client with those calls alone: ours in it are not run, for the
//! model could not be shown their results before it hears from the client, and it may call them again then.

use std::sync::Arc;
use std::time::Instant;

use gatewright_plugins::Verdict;
use gatewright_types::{
    Channel, ChatRequest, Choice, Chunk, Completion, Content, Delta, Fault, FaultKind, Message, Phase, Role, Segment, Tool,
    ToolCall,
};

use super::talk::{Stage, Talk};
use crate::config::facts::ToolLoopFact;
use crate::dialects::{owned, said_before, unforced};
use crate::host::Route;
use crate::life::ears;
use crate::life::guard::Guard;

/// The tool loop of one request.
pub(super) struct Loop {
    pub(super) fact: ToolLoopFact,
    /// Our tools that were offered.
    ours: Vec<String>,
    /// Whether the client offered tools of its own.
    theirs: bool,
    /// Model calls so far, this one included.
    pub(super) rounds: u32,
    /// What the model said in this round, as the guards let it through.
    pub(super) said: Completion,
    /// Calls and finishes of this round, held until it is known whose they are.
    calls: Vec<Delta>,
    finishes: Vec<Delta>,
}

/// Calls of our tools in one round.
const MAX_CALLS: usize = 32;

impl Loop {
    /// Offers the tools of the route's plugins that take part, unless the client wants none, wants several answers, or has tools of the same names.
    pub(super) fn offer(route: &Route, guard: Option<&Guard>, request: &mut ChatRequest) -> Option<Self> {
        let offer = route.tools.as_ref().filter(|_| request.wants.is_empty())?;
        let none = request.tool_choice.as_ref().is_some_and(|choice| choice.get() == "\"none\"");
        if none || request.sampling.n.is_some_and(|n| n > 1) {
            return None;
        }
        let theirs = !request.tools.is_empty();
        let taken = |name: &str| request.tools.iter().any(|tool| matches!(tool, Tool::Function(theirs) if theirs.name == name));
        let has = |name: &str| guard.is_some_and(|guard| guard.session.offers(name));
        let offered: Vec<_> = offer.tools.iter().filter(|tool| !taken(&tool.name) && has(&tool.name)).cloned().collect();
        if offered.is_empty() {
            return None;
        }
        let ours = offered.iter().map(|tool| tool.name.clone()).collect();
        request.tools.extend(offered.into_iter().map(Tool::Function));
        let (said, calls, finishes) = (Completion::default(), Vec::new(), Vec::new());
        Some(Self { fact: offer.fact, ours, theirs, rounds: 1, said, calls, finishes })
    }

    /// Takes its tools out of a request again.
    pub(super) fn withdraw(&self, request: &mut ChatRequest) {
        request.tools.retain(|tool| !matches!(tool, Tool::Function(tool) if self.ours.contains(&tool.name)));
    }

    /// Takes calls and finishes out of a chunk.
    pub(super) fn keep(&mut self, chunk: &mut Chunk) {
        let kept = |delta: &Delta| matches!(delta, Delta::ToolCall { .. } | Delta::Finish { .. });
        if !chunk.deltas.iter().any(kept) {
            return;
        }
        chunk.raw = None;
        for delta in std::mem::take(&mut chunk.deltas) {
            match delta {
                Delta::ToolCall { .. } => self.calls.push(delta),
                Delta::Finish { .. } => self.finishes.push(delta),
                other => chunk.deltas.push(other),
            }
        }
    }

    /// Whether a call is for us: of our tools, or of none that anybody offered.
    fn is_ours(&self, delta: &Delta) -> bool {
        matches!(delta, Delta::ToolCall { name, .. } if !self.theirs || name.as_ref().is_some_and(|name| self.ours.contains(name)))
    }

    /// What goes to the client at the end: calls of its own tools, numbered anew where ours are left out, and the finishes.
    fn ending(&mut self) -> Vec<Delta> {
        let (ours, mut theirs): (Vec<_>, Vec<_>) = std::mem::take(&mut self.calls).into_iter().partition(|call| self.is_ours(call));
        if !ours.is_empty() {
            tracing::info!(left_out = ours.len(), "an answer calls tools of the client's and of ours: ours are not run");
            for (position, delta) in (0u32..).zip(&mut theirs) {
                if let Delta::ToolCall { index, .. } = delta {
                    *index = position;
                }
            }
        }
        theirs.append(&mut self.finishes);
        theirs
    }

    /// The calls of this round, if all of them are ours.
    fn all_ours(&self) -> Option<Vec<ToolCall>> {
        if self.calls.is_empty() || !self.calls.iter().all(|call| self.is_ours(call)) {
            return None;
        }
        Some(self.said.choices.first().map(|choice| choice.tool_calls.clone()).unwrap_or_default())
    }
}

impl Talk {
    /// Runs the tools that this round's answer calls, and makes the next round ready; `false` when the answer is over.
    pub(super) async fn run_tools(&mut self) -> Result<bool, Fault> {
        let Some(tools) = &mut self.tools else { return Ok(false) };
        let Some(calls) = tools.all_ours() else {
            let ending = tools.ending();
            self.finish(ending)?;
            return Ok(false);
        };
        if tools.rounds >= tools.fact.max_rounds || calls.len() > MAX_CALLS {
            let message = format!("The model called tools of this gateway in more than {} rounds.", tools.fact.max_rounds);
            return Err(Fault::gateway(FaultKind::ToolLoop, message));
        }
        let mut results = Vec::with_capacity(calls.len());
        let mut shown = Vec::with_capacity(calls.len());
        for mut call in calls {
            let Some(text) = self.run_tool(&mut call).await? else { return Ok(true) };
            self.show(Delta::ToolResult { id: call.id.clone(), name: call.name.clone(), text: text.clone() })?;
            results.push(Message { tool_call_id: Some(call.id.clone()), ..Message::text(Role::Tool, text) });
            shown.push(call);
        }
        self.next_round(shown, results);
        Ok(true)
    }

    fn finish(&mut self, ending: Vec<Delta>) -> Result<(), Fault> {
        for delta in ending {
            self.show(delta)?;
        }
        let usage = self.meter.read(|figures| figures.usage.clone());
        self.show(Delta::Usage(usage))
    }

    /// One call of one tool, through the plugins' phases around it. `None` when a plugin ended the answer.
    async fn run_tool(&mut self, call: &mut ToolCall) -> Result<Option<String>, Fault> {
        let deadline = self.deadline;
        let arguments = call.json().to_owned();
        match self.pass(Phase::ToolCall, Channel::ToolArgs, (arguments, &call.name)).await? {
            Some(arguments) => call.arguments = arguments,
            None => return Ok(None),
        }
        let Some(guard) = &mut self.guard else { return Ok(Some("no such tool".to_owned())) };
        let known = self.tools.as_ref().is_some_and(|tools| tools.ours.contains(&call.name));
        let text = if known {
            let running = guard.session.call_tool(&call.name, &call.arguments);
            let result = tokio::time::timeout_at(deadline.into(), running).await;
            let how = if matches!(result, Ok(Ok(_))) { "ok" } else { "failed" };
            self.meter.read(|figures| figures.tools.push((call.name.clone(), how)));
            result.map_err(|_| out_of_time())?.unwrap_or_else(|failure| failure.to_string())
        } else {
            format!("there is no tool named `{}`", call.name)
        };
        self.pass(Phase::ToolResult, Channel::ToolOutput, (text, &call.name)).await
    }

    /// One text through the plugins of a tool phase. `None` when a plugin ended the answer.
    async fn pass(&mut self, phase: Phase, channel: Channel, (text, name): (String, &str)) -> Result<Option<String>, Fault> {
        let Some(guard) = &mut self.guard else { return Ok(Some(text)) };
        if !guard.ears.hears(phase, channel) {
            guard.missed(ears::of_tool(phase));
            return Ok(Some(text));
        }
        let mut segments = vec![Segment { id: 0, channel, text, sent: 0, label: Some(name.to_owned()) }];
        let outcome = guard.session.inspect(phase, &mut segments).await;
        if outcome.verdict != Verdict::Pass {
            self.stop(outcome.verdict).await?;
            return Ok(None);
        }
        Ok(segments.pop().map(|segment| segment.text))
    }

    /// Makes the request of the next round: what was said and called, and the results.
    fn next_round(&mut self, calls: Vec<ToolCall>, results: Vec<Message>) {
        // Lets go of the upstream's hold on the request, and of the plugins', so that it is changed in place.
        self.stage = Stage::Ask;
        self.meter.read(|figures| figures.bounds = None);
        let Some(tools) = &mut self.tools else { return };
        tools.rounds += 1;
        tools.calls.clear();
        tools.finishes.clear();
        let said = std::mem::take(&mut tools.said).choices.into_iter().next().unwrap_or_default();
        let said = Choice { tool_calls: calls, ..said };
        let messages = said_before(&said).unwrap_or_else(|| vec![message(said)]);
        let request = Arc::make_mut(&mut self.request);
        request.messages.extend(messages);
        request.messages.extend(results);
        // A client that forces a call means the first one: forced again, the loop would never end.
        request.tool_choice = None;
        unforced(request);
    }
}

/// An answer as one message of a conversation.
fn message(said: Choice) -> Message {
    Message {
        content: said.text.filter(|text| !text.is_empty()).map_or(Content::Null, Content::Text),
        reasoning: said.reasoning.filter(|text| !text.is_empty()),
        tool_calls: said.tool_calls,
        extras: owned(said.message_extras),
        ..Message::text(Role::Assistant, "")
    }
}

fn out_of_time() -> Fault {
    Fault::gateway(FaultKind::ToolLoop, "The tools of this gateway took longer than their time.")
}

/// Whether a tool loop is out of time.
pub(super) fn check_time(deadline: Instant) -> Result<(), Fault> {
    if Instant::now() >= deadline { Err(out_of_time()) } else { Ok(()) }
}
