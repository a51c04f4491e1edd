//! Calls as a grammar writes them, in the formats that [`crate::tools`] reads.
//!
//! Apart because it is the reading turned round. It must not know arguments: they have a grammar of their own each.

use std::fmt::Write;

use crate::tools::{CALL, CALL_END, CALLS, CALLS_END, SEPARATOR, TAG, TAG_END};

/// In what form a model writes calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CallFormat {
    /// DeepSeek R1's: `function`, the name, and arguments in a code block.
    R1,
    /// DeepSeek V3.1's: the name, and arguments.
    V31,
    /// JSON in `<tool_call>`: Qwen's and Hermes'.
    #[default]
    Tag,
}

/// The grammar of the arguments of the tool at this place.
pub(super) fn arguments_of(at: usize) -> String {
    format!("arguments_{at}")
}

/// A text in a grammar.
pub(super) fn quoted(text: &str) -> String {
    // JSON, but for one character that a grammar cannot hold as it is.
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

impl CallFormat {
    /// What a template teaches.
    pub(crate) fn of(template: &str) -> Self {
        match (template.contains(CALLS), template.contains("```json")) {
            (true, true) => Self::R1,
            (true, false) => Self::V31,
            (false, _) => Self::Tag,
        }
    }

    /// The rule `calls` and what it needs: calls of these tools, one or more. `token` knows marks that are a token.
    pub(super) fn rules(self, names: &[&str], most: u32, token: impl Fn(&str) -> Option<u32>) -> String {
        let mark = |text: &str| token(text).map_or_else(|| quoted(text), |id| format!("<[{id}]>"));
        let between = if self == Self::V31 { "" } else { "\"\\n\" " };
        let more = if most > 1 { format!(" ({between}call)*") } else { String::new() };
        let mut rules = match self {
            Self::Tag => format!("calls: call{more}\n"),
            Self::R1 | Self::V31 => format!("calls: {} call{more} {}\n", mark(CALLS), mark(CALLS_END)),
        };
        let alternatives: Vec<String> = (0..names.len()).map(|at| format!("call_{at}")).collect();
        let _ = writeln!(rules, "call: {}", alternatives.join(" | "));
        for (at, name) in names.iter().enumerate() {
            let arguments = arguments_of(at);
            let call = match self {
                Self::R1 => {
                    let (name, end) = (quoted(&format!("{name}\n```json\n")), quoted("\n```"));
                    format!("{} \"function\" {} {name} @{arguments} {end} {}", mark(CALL), mark(SEPARATOR), mark(CALL_END))
                }
                Self::V31 => format!("{} {} {} @{arguments} {}", mark(CALL), quoted(name), mark(SEPARATOR), mark(CALL_END)),
                Self::Tag => {
                    let name = serde_json::Value::from(*name);
                    let begin = quoted(&format!("\n{{\"name\": {name}, \"arguments\": "));
                    format!("{} {begin} @{arguments} {} {}", mark(TAG), quoted("}\n"), mark(TAG_END))
                }
            };
            let _ = writeln!(rules, "call_{at}: {call}");
        }
        rules
    }
}
