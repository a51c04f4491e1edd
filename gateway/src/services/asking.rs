//! A plugin's own question to a model: one call, through the legs of a route, within the budget of its operator.
//!
//! It goes past all plugins, tools and the cache: so a plugin's question can never bring the plugin itself about. What it uses is the
//! request's, in its row and its key's limits. Apart because it is the one way to a model beside the life of a request. It must not
//! know the client's own conversation.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::StreamExt;
use gatewright_plugins::{Ask, Notes, Question, ServiceError};
use gatewright_types::{ChatRequest, Chunk, Completion, Delta, Fault, Message, Role, Usage, gather_into};

use super::{Outside, Range};
use crate::conditions::Seen;
use crate::config::facts::AskFact;
use crate::host::{Lean, Route};
use crate::life::leave::fitting;
use crate::life::meter::{prompt_estimate, text_bytes, tokens_of};
use crate::money::Price;
use crate::observe::Errand;
use crate::upstreams::Deadline;
use crate::upstreams::dispatch::{Dispatched, Ended, Leg, Witness, dispatch};

#[async_trait]
impl Ask for Outside {
    async fn ask(&self, plugin: &str, question: Question, notes: &Notes) -> Result<String, ServiceError> {
        let outcome = self.answer(plugin, question, notes).await;
        self.count(plugin, Errand::Question, &outcome);
        outcome
    }
}

impl Outside {
    async fn answer(&self, plugin: &str, question: Question, notes: &Notes) -> Result<String, ServiceError> {
        let fact = self.host.facts.plugins.get(plugin).and_then(|fact| fact.reach.asks.as_ref()).ok_or(ServiceError::Denied)?;
        // The operator's list is the permission, whoever the client is.
        if !fact.routes.contains(&question.route) {
            return Err(ServiceError::Denied);
        }
        let route = self.host.route(None, &question.route);
        let route = route.ok_or_else(|| ServiceError::Failed(format!("there is no route `{}`", question.route)))?;
        let legs = match self.range(notes)? {
            Range::Inside => route.local_legs().ok_or(ServiceError::Denied)?,
            Range::Anywhere => &route.legs,
        };
        let messages = vec![Message::text(Role::User, question.prompt)];
        let origin = self.caller.origin();
        let mut request = ChatRequest { model: route.name.clone(), messages, origin, ..ChatRequest::default() };
        let mut bill = Bill::open(self, plugin, fact, (prompt_estimate(&request), question.max_tokens))?;
        request.sampling.max_tokens = Some(bill.most);
        let until = Deadline(Instant::now() + route.max_time);
        // A plugin's own question has no notes, no conversation and no headers; whose it is counts.
        let seen = Seen {
            request: Some(&request),
            tokens: Some(prompt_estimate),
            route: &route.name,
            key: self.caller.name(),
            tenant: self.caller.tenant(),
            team: self.caller.team().unwrap_or_default(),
            ..Seen::default()
        };
        let legs = fitting(legs, &route, &seen).map_err(|fault| bill.failed(&fault))?;
        let asked = dispatch(route.asking(&legs, (Arc::new(request), until, Lean::default())), &Tries(&route)).await;
        let Dispatched { mut deltas, price, .. } = asked.map_err(|fault| bill.failed(&fault))?;
        bill.price = price;
        let mut whole = Completion::default();
        while let Some(chunk) = deltas.next().await {
            let chunk = chunk.map_err(|fault| bill.failed(&fault))?;
            bill.hear(&chunk);
            if bill.bytes > self.host.facts.limits.held_bytes as u64 {
                return Err(ServiceError::Limit("the answer is longer than what may be held".to_owned()));
            }
            gather_into(&mut whole, chunk);
        }
        Ok(whole.choices.into_iter().next().and_then(|choice| choice.text).unwrap_or_default())
    }
}

/// What one question costs: set aside before it is asked, and settled when this is dropped, however the question ends.
struct Bill<'a> {
    outside: &'a Outside,
    plugin: &'a str,
    /// Tokens of the prompt, guessed.
    prompt: u64,
    /// Tokens that the answer may have.
    most: u64,
    /// Of text, heard.
    bytes: u64,
    usage: Option<Usage>,
    /// What the model costs that answers.
    price: Option<Price>,
    failed: bool,
}

impl<'a> Bill<'a> {
    fn open(outside: &'a Outside, plugin: &'a str, fact: &AskFact, (prompt, wanted): (u64, u32)) -> Result<Self, ServiceError> {
        let most = outside.spent(plugin, |spent| {
            let left = fact.max_tokens.saturating_sub(*spent).saturating_sub(prompt);
            let most = if wanted == 0 { left } else { left.min(wanted.into()) };
            *spent += if most > 0 { prompt + most } else { 0 };
            most
        });
        if most == 0 {
            return Err(ServiceError::Limit(format!("{} tokens in one request", fact.max_tokens)));
        }
        Ok(Self { outside, plugin, prompt, most, bytes: 0, usage: None, price: None, failed: false })
    }

    fn hear(&mut self, chunk: &Chunk) {
        for delta in &chunk.deltas {
            match delta {
                Delta::Usage(usage) => self.usage = Some(usage.clone()),
                other => self.bytes += text_bytes(other) as u64,
            }
        }
    }

    /// The question failed; what the guest is told of it.
    fn failed(&mut self, fault: &Fault) -> ServiceError {
        self.failed = true;
        ServiceError::Failed(fault.message.clone())
    }
}

impl Drop for Bill<'_> {
    fn drop(&mut self) {
        let set_aside = self.prompt.saturating_add(self.most);
        // As with the client's own calls: a failed one of which nothing was heard used nothing.
        let nothing = self.failed && self.bytes == 0 && self.usage.is_none();
        let guess = Usage { prompt: self.prompt, completion: tokens_of(self.bytes), ..Usage::default() };
        let used = if nothing { Usage::default() } else { self.outside.meter.spent(self.usage.take(), guess, self.price) };
        let tokens = used.prompt.saturating_add(used.completion);
        self.outside.spent(self.plugin, |spent| *spent = spent.saturating_sub(set_aside).saturating_add(tokens));
        let metrics = self.outside.host.shared.metrics.plugin(self.plugin);
        metrics.tokens("prompt", used.prompt);
        metrics.tokens("completion", used.completion);
    }
}

/// Counts tries in the legs' metrics.
struct Tries<'a>(&'a Route);

impl Witness for Tries<'_> {
    fn asks(&self, _: &Leg) {}

    fn ended(&self, leg: &Leg, ended: Ended) {
        if let Some(metrics) = self.0.leg_metrics(&leg.name) {
            metrics.attempt(ended.outcome, ended.took);
        }
    }
}
