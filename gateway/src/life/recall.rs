//! Thought that goes back to models whose servers demand it: what was thought before tools were called is kept for a while, found
//! again by the call, and put into a history that a client sends without it.
//!
//! Apart because most clients drop thought, and some servers (DeepSeek's) refuse a history of calls without it. Only what a client was
//! given is kept, after all policies, for its tenant alone, in memory, bounded in bytes and time; and what is put back passes the
//! policies of the request like anything else in it. It must not know which upstream will be asked: those that do not demand it never
//! see it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gatewright_types::{ChatRequest, Chunk, Completion, Delta, FinishReason, Message, Role, ToolCall, gather_into};
use serde_json::Value;

use crate::dialects::recalled;

/// How long a thought is kept.
const LIFE: Duration = Duration::from_secs(24 * 3600);
/// All thoughts, bytes; the oldest go first.
const MOST_BYTES: usize = 64 << 20;
/// One thought, bytes; a longer one is not kept.
const LONGEST: usize = 1 << 20;
/// What an entry takes besides its text, bytes.
const ENTRY: usize = 192;

/// Whose, and of which call.
type Key = [u8; 32];

/// Thoughts by the calls that they came before.
#[derive(Debug, Default)]
pub struct Thoughts(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_call: HashMap<Key, Thought>,
    /// By age.
    order: BTreeMap<u64, Key>,
    bytes: usize,
    next: u64,
}

#[derive(Debug)]
struct Thought {
    text: Arc<str>,
    until: Instant,
    number: u64,
}

impl Kept {
    fn forget(&mut self, key: &Key) {
        if let Some(thought) = self.by_call.remove(key) {
            self.order.remove(&thought.number);
            self.bytes -= thought.text.len() + ENTRY;
        }
    }

    fn keep(&mut self, key: Key, text: Arc<str>, now: Instant) {
        self.forget(&key);
        self.bytes += text.len() + ENTRY;
        self.next += 1;
        self.order.insert(self.next, key);
        self.by_call.insert(key, Thought { text, until: now + LIFE, number: self.next });
        while let Some((_, oldest)) = self.order.first_key_value()
            && (self.bytes > MOST_BYTES || self.by_call.get(oldest).is_none_or(|thought| thought.until <= now))
        {
            let oldest = *oldest;
            self.forget(&oldest);
        }
    }
}

impl Thoughts {
    /// Keeps what was thought before these calls.
    fn keep(&self, tenant: &str, (text, calls): (&str, &[ToolCall]), now: Instant) {
        if text.is_empty() || text.len() > LONGEST {
            return;
        }
        let text: Arc<str> = text.into();
        // Made before, for all wait while one holds the lock.
        let keys: Vec<Key> = calls.iter().filter_map(|call| key(tenant, call)).collect();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.into_iter().for_each(|key| kept.keep(key, Arc::clone(&text), now));
    }

    /// What was thought before this call.
    fn find(&self, tenant: &str, call: &ToolCall, now: Instant) -> Option<Arc<str>> {
        let key = key(tenant, call)?;
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let thought = kept.by_call.get(&key).filter(|thought| thought.until > now)?;
        Some(Arc::clone(&thought.text))
    }

    /// Puts thought back where a turn that called tools has none: in how many turns.
    pub(super) fn put_back(&self, tenant: &str, request: &mut ChatRequest, now: Instant) -> usize {
        let mut thoughtful = false;
        let mut found = 0;
        for message in &mut request.messages {
            thoughtful = message.reasoning.is_some() || (message.continues && thoughtful);
            if thoughtful || message.role != Role::Assistant {
                continue;
            }
            if let Some(text) = message.tool_calls.iter().find_map(|call| self.find(tenant, call, now)) {
                put(message, &text);
                (thoughtful, found) = (true, found + 1);
            }
        }
        if found > 0 {
            recalled::mark(&mut request.extras);
        }
        found
    }
}

fn put(message: &mut Message, text: &str) {
    message.reasoning = Some(text.to_owned());
    recalled::mark(&mut message.extras);
}

/// The id alone is not enough: some servers count their calls anew in each answer. A call that is too long has none.
fn key(tenant: &str, call: &ToolCall) -> Option<Key> {
    if call.arguments.len() > LONGEST {
        return None;
    }
    let mut hasher = blake3::Hasher::new_derive_key("gatewright thought before a call");
    for part in [tenant, &call.id, &call.name, &canonical(&call.arguments)] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    Some(*hasher.finalize().as_bytes())
}

/// Arguments as they are whoever wrote them down: clients read them and write them anew.
fn canonical(arguments: &str) -> String {
    fn sorted(value: Value) -> Value {
        match value {
            Value::Object(fields) => {
                let fields: BTreeMap<String, Value> = fields.into_iter().map(|(name, value)| (name, sorted(value))).collect();
                Value::Object(fields.into_iter().collect())
            }
            Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
            other => other,
        }
    }
    let text = arguments.trim();
    match serde_json::from_str(if text.is_empty() { "{}" } else { text }) {
        Ok(value) => sorted(value).to_string(),
        Err(_) => text.to_owned(),
    }
}

/// What one answer thinks and calls, as the client is given it.
#[derive(Debug, Default)]
pub(super) struct Listener {
    said: Completion,
    bytes: usize,
}

impl Listener {
    /// Listens to a chunk on its way out. Where a choice ends in calls, what was thought before them is kept.
    pub(super) fn hear(&mut self, chunk: &Chunk, (thoughts, tenant, now): (&Thoughts, &str, Instant)) {
        for delta in &chunk.deltas {
            match delta {
                Delta::Reasoning { text, .. } => self.add(delta, text.len()),
                Delta::ToolCall { arguments, .. } => self.add(delta, arguments.len()),
                Delta::Finish { choice, reason } if *reason != FinishReason::ContentFilter => {
                    let choice = self.said.choices.get(*choice as usize);
                    if let Some((text, choice)) = choice.and_then(|choice| Some((choice.reasoning.as_deref()?, choice))) {
                        thoughts.keep(tenant, (text, &choice.tool_calls), now);
                    }
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, delta: &Delta, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        // Half a thought is none.
        if self.bytes <= 2 * LONGEST {
            gather_into(&mut self.said, Chunk::of(vec![delta.clone()]));
        } else {
            self.said = Completion::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatewright_types::Extras;

    fn call(id: &str, arguments: &str) -> ToolCall {
        ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments: arguments.to_owned(), extras: Extras::new() }
    }

    fn history(calls: Vec<ToolCall>) -> ChatRequest {
        let asked = Message { tool_calls: calls, ..Message::text(Role::Assistant, "") };
        ChatRequest { messages: vec![Message::text(Role::User, "x"), asked], ..ChatRequest::default() }
    }

    #[test]
    fn a_thought_is_found_by_its_call_for_its_tenant_until_its_time_is_over() {
        let (thoughts, now) = (Thoughts::default(), Instant::now());
        thoughts.keep("acme", ("I think.", &[call("a", r#"{"x":1,"y":[2]}"#), call("b", "")]), now);
        let mut request = history(vec![call("a", r#"{ "y": [2], "x": 1 }"#)]);
        assert_eq!(thoughts.put_back("acme", &mut request, now), 1);
        assert_eq!(request.messages[1].reasoning.as_deref(), Some("I think."));
        assert_eq!(thoughts.put_back("acme", &mut request, now), 0, "it is there already");
        assert_eq!(thoughts.put_back("acme", &mut history(vec![call("b", "{}")]), now), 1, "of parallel calls, any");
        for (tenant, call, at) in [
            ("other", call("a", r#"{"x":1,"y":[2]}"#), now),
            ("acme", call("a", r#"{"x":2}"#), now),
            ("acme", call("c", r#"{"x":1,"y":[2]}"#), now),
            ("acme", call("a", r#"{"x":1,"y":[2]}"#), now + LIFE),
        ] {
            assert_eq!(thoughts.put_back(tenant, &mut history(vec![call]), at), 0);
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_go_first() {
        let (thoughts, now) = (Thoughts::default(), Instant::now());
        let long = "x".repeat(LONGEST);
        for n in 0..100 {
            thoughts.keep("t", (&long, &[call(&n.to_string(), "")]), now);
            thoughts.keep("t", (&long, &[call("again", "")]), now);
        }
        let kept = thoughts.0.lock().unwrap();
        assert!(kept.bytes <= MOST_BYTES && kept.order.len() == kept.by_call.len() && kept.order.len() < 65, "{}", kept.bytes);
        drop(kept);
        assert!(thoughts.find("t", &call("0", ""), now).is_none() && thoughts.find("t", &call("99", ""), now).is_some());
        thoughts.keep("t", ("short", &[call("new", "")]), now + LIFE);
        assert_eq!(thoughts.0.lock().unwrap().by_call.len(), 1, "what is too old goes with the next");
        thoughts.keep("t", (&"x".repeat(LONGEST + 1), &[call("long", "")]), now);
        assert!(thoughts.find("t", &call("long", ""), now).is_none());
        let much = call("much", &"x".repeat(LONGEST + 1));
        thoughts.keep("t", ("short", std::slice::from_ref(&much)), now);
        assert!(thoughts.find("t", &much, now).is_none(), "its arguments are not read");
    }

    #[test]
    fn an_answer_is_listened_to_choice_by_choice() {
        let (thoughts, now) = (Thoughts::default(), Instant::now());
        let mut listener = Listener::default();
        let thinks = |choice, text: &str| Delta::Reasoning { choice, text: text.to_owned() };
        let calls = |choice, id: &str| Delta::ToolCall {
            choice,
            index: 0,
            id: Some(id.to_owned()),
            name: Some("f".to_owned()),
            arguments: "{}".to_owned(),
            extras: Extras::new(),
        };
        let ends = |choice, reason| Delta::Finish { choice, reason };
        let deltas = [
            vec![thinks(0, "I "), thinks(1, "we"), thinks(0, "think"), calls(0, "a"), calls(1, "b")],
            vec![ends(0, FinishReason::ToolCalls), ends(1, FinishReason::ContentFilter)],
        ];
        deltas.into_iter().for_each(|deltas| listener.hear(&Chunk::of(deltas), (&thoughts, "t", now)));
        assert_eq!(thoughts.find("t", &call("a", "{}"), now).as_deref(), Some("I think"));
        assert!(thoughts.find("t", &call("b", "{}"), now).is_none(), "it was cut by a policy");
    }
}
