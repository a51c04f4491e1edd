//! Tools of kinds that one API's servers alone have: those that they run themselves, and those whose arguments are no JSON.
//!
//! Apart because every other dialect does the same with them: it leaves them out, says so, and refuses a request that demands one. It must
//! not know what such a tool does.

use gatewright_types::{ChatRequest, Fault, FaultKind, Retry, Tool};
use serde::Deserialize;
use serde_json::Value;

use super::Carried;

/// The tools that a dialect can say: all functions, and all others where the request was read in it.
pub(super) fn sayable<'a>(request: &'a ChatRequest, dialect: &str) -> Vec<&'a Tool> {
    let own = request.spoken.is_empty() || request.spoken == dialect;
    request.tools.iter().filter(|tool| own || matches!(tool, Tool::Function(_))).collect()
}

/// Names those that it cannot.
pub(super) fn leave_out(request: &ChatRequest, dialect: &str, carried: &mut Carried) {
    unsayable(request, dialect).for_each(|tool| carried.leaves_out(&format!("tools:{}", tool.kind())));
}

/// Refuses a request that demands one of them, or any where no other is left; another leg may have it.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] at the choice.
pub(super) fn refuse(request: &ChatRequest, dialect: &str) -> Result<(), Fault> {
    let foreign: Vec<Foreign> = unsayable(request, dialect).collect();
    let Some(choice) = request.tool_choice.as_ref().filter(|_| !foreign.is_empty()) else { return Ok(()) };
    let choice: Value = serde_json::from_str(choice.get()).unwrap_or_default();
    let named = ["function", "custom"].into_iter().find_map(|kind| choice[kind]["name"].as_str());
    let is_function = |name: &str| request.tools.iter().any(|tool| matches!(tool, Tool::Function(tool) if tool.name == name));
    let demanded = match named {
        Some(name) if is_function(name) => None,
        Some(name) => foreign.iter().find(|tool| tool.name() == Some(name)),
        None if choice == "required" && foreign.len() == request.tools.len() => foreign.first(),
        None => None,
    };
    let Some(tool) = demanded else { return Ok(()) };
    let message = format!("The model that would answer has no tool of the kind `{}`.", tool.kind());
    Err(Fault::caller(FaultKind::InvalidRequest, message).at("tool_choice").retry(Retry::Elsewhere))
}

/// A tool of such a kind, as far as all of them are alike.
#[derive(Deserialize)]
struct Foreign {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    custom: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    name: Option<String>,
}

impl Foreign {
    /// Its kind: a client's text, on its way into a header.
    fn kind(&self) -> &str {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
        if self.kind.len() <= 64 && self.kind.chars().all(plain) { &self.kind } else { "unknown" }
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref().or_else(|| self.custom.as_ref()?.name.as_deref())
    }
}

fn unsayable<'a>(request: &'a ChatRequest, dialect: &str) -> impl Iterator<Item = Foreign> + use<'a> {
    let own = request.spoken.is_empty() || request.spoken == dialect;
    request.tools.iter().filter_map(move |tool| match tool {
        Tool::Other(raw) if !own => serde_json::from_str(raw.get()).ok(),
        _ => None,
    })
}
