//! Plugins of a trial: each replaces what its rules say, from the left, and the first rule that fits counts.
//!
//! Apart because they stand where a sandbox does, so that all above it is the real thing. It must not know chains or windows.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;

use crate::api::{Context, ToolFailure};
use crate::guest::{Action, Declared, Event, Guest, GuestError, GuestErrorKind, Permit, Program, Sandbox, Setup, ToolRun, View};

/// What such a plugin does; its JSON is its code.
#[derive(Clone, Debug, Default, Deserialize, serde::Serialize)]
pub(super) struct Script {
    /// What is replaced, and by what. One character by itself and something before it is an insertion: `b` by `|b`.
    pub(super) rules: Vec<(String, String)>,
    /// Whether it holds what may become a match, in place of a window.
    pub(super) holds: bool,
    pub(super) prefilter: Vec<String>,
}

impl Script {
    /// What becomes of a whole text.
    pub(super) fn apply(&self, text: &str) -> String {
        let mut out = String::new();
        let mut at = 0;
        while let Some(character) = text[at..].chars().next() {
            match self.rules.iter().find(|(from, _)| text[at..].starts_with(from.as_str())) {
                Some((from, to)) => {
                    out.push_str(to);
                    at += from.len();
                }
                None => {
                    out.push(character);
                    at += character.len_utf8();
                }
            }
        }
        out
    }

    /// What it says about one segment.
    fn inspect(&self, view: &View<'_>, event: &Event<'_>) -> Vec<Action> {
        let (segment, text, last) = (view.id, view.text, event.last);
        let mut actions = Vec::new();
        let mut at = view.sent as usize;
        while let Some(character) = text[at..].chars().next() {
            let rest = &text[at..];
            let may_become = |from: &str| from.starts_with(rest) && from.len() > rest.len();
            let rule =
                self.rules.iter().find(|(from, _)| rest.starts_with(from.as_str()) || (self.holds && !last && may_become(from)));
            match rule {
                Some((from, _)) if !rest.starts_with(from.as_str()) => {
                    actions.push(Action::Hold { segment, start: number(at) });
                    return actions;
                }
                Some((from, to)) => {
                    // An insertion does not say how far its match goes: only of one character is that clear.
                    let inserted = to.strip_suffix(from.as_str()).filter(|_| from.chars().count() == 1);
                    let (end, text) = inserted.map_or((at + from.len(), to.as_str()), |inserted| (at, inserted));
                    actions.push(Action::Edit { segment, start: number(at), end: number(end), text: text.to_owned() });
                    at += from.len();
                }
                None => at += character.len_utf8(),
            }
        }
        actions
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Takes scripts for code.
#[derive(Debug)]
pub(super) struct Plain;

impl Sandbox for Plain {
    fn load(&self, code: &[u8], _setup: Setup) -> Result<Arc<dyn Program>, GuestError> {
        let script: Script =
            serde_json::from_slice(code).map_err(|error| GuestError::new(GuestErrorKind::Load, error.to_string()))?;
        let declared = Declared { prefilter: script.prefilter.clone(), ..Declared::default() };
        Ok(Arc::new(Loaded { script: Arc::new(script), declared }))
    }
}

#[derive(Debug)]
struct Loaded {
    script: Arc<Script>,
    declared: Declared,
}

#[async_trait]
impl Program for Loaded {
    async fn instantiate(&self, _context: Arc<Context>, _permit: Permit) -> Result<Box<dyn Guest>, GuestError> {
        Ok(Box::new(Running(Arc::clone(&self.script))))
    }

    fn declared(&self) -> &Declared {
        &self.declared
    }
}

struct Running(Arc<Script>);

#[async_trait]
impl Guest for Running {
    async fn inspect(&mut self, event: &Event<'_>) -> Result<Vec<Action>, GuestError> {
        Ok(event.segments.iter().flat_map(|view| self.0.inspect(view, event)).collect())
    }

    async fn call_tool(&mut self, _call: ToolRun<'_>) -> Result<Result<String, ToolFailure>, GuestError> {
        Ok(Err(ToolFailure::Denied("no tools".into())))
    }

    fn memory(&self) -> usize {
        0
    }

    fn fuel(&self) -> u64 {
        0
    }
}
