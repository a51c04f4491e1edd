//! Cases of a plugin: what it is given and what is expected of it, as `cases/*.yaml` beside it says.
//!
//! Apart so that authors (`gatewright plugin test`) and the tests of this crate read and run them by the same code. It must not know
//! any plugin.

mod cut;
mod run;
mod show;

use gatewright_types::{Channel, Phase};
use serde_json::{Map, Value};

pub use self::cut::cut;
pub use self::run::{Trials, Wrong};
pub use self::show::{Made, Shown, show};
use crate::yaml::{self, Complaint, Node};

/// One case.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What it shows, for people.
    pub name: String,
    /// Where it stands in its file, from 1.
    pub line: usize,
    /// Settings of the plugin; `null` for its defaults.
    pub settings: Value,
    /// What is done.
    pub ask: Ask,
    /// What must come of it.
    pub expect: Expect,
}

/// What a case does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A text is shown; in phase `chunk` as a stream, whole and cut at many places.
    Given {
        /// When.
        phase: Phase,
        /// What kind of text.
        channel: Channel,
        /// The text.
        text: String,
        /// Tool name or media type.
        label: Option<String>,
    },
    /// A tool is called.
    Call {
        /// Its name as the plugin declares it.
        tool: String,
        /// JSON, as a model writes it.
        arguments: String,
    },
}

/// What must come of a case. What is not named is not looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expect {
    /// How the plugin leaves the request.
    pub verdict: Expected,
    /// Code of a block.
    pub code: Option<String>,
    /// The text that goes on, the answer that is given in the model's place, or the instruction with which it is asked again.
    pub text: Option<String>,
    /// Notes that must have been made, among others.
    pub notes: Vec<(String, String)>,
    /// Fields that must have been set, among others: JSON pointer, value.
    pub sets: Map<String, Value>,
    /// What a tool gives back.
    pub result: Option<String>,
    /// How a tool fails: `bad-arguments`, `denied`, `try-later` or `internal`.
    pub failure: Option<String>,
    /// Words in the failure's text.
    pub contains: Option<String>,
    /// Most that it may cost, shown whole.
    pub max_fuel: Option<u64>,
}

/// How a plugin leaves a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// It goes on.
    #[default]
    Pass,
    /// It is refused.
    Block,
    /// The plugin answers.
    Answer,
    /// The model is asked again.
    Reask,
    /// The plugin fails.
    Failed,
}

/// A file of cases that cannot be read: `line 3: channel: ...`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct Unreadable(Complaint);

/// Reads a file of cases: a list of them.
///
/// # Errors
/// [`Unreadable`]: the first thing that is wrong, with its line.
pub fn read(text: &str) -> Result<Vec<Case>, Unreadable> {
    yaml::read(text, "cases", |root| root.list()?.iter().map(case).collect()).map_err(Unreadable)
}

fn case(node: &Node<'_>) -> Result<Case, Complaint> {
    let (mut name, mut settings, mut ask, mut expect) = (None, Value::Null, None, None);
    for (key, value) in node.entries(&["name", "settings", "given", "call", "expect"])? {
        match key {
            "name" => name = Some(value.text()?.to_owned()),
            "settings" => settings = value.json()?,
            "expect" => expect = Some(self::expect(&value)?),
            _ if ask.is_some() => return Err(value.complain("a case has either `given` or `call`")),
            "given" => ask = Some(given(&value)?),
            _ => ask = Some(call(&value)?),
        }
    }
    Ok(Case {
        name: name.ok_or_else(|| node.complain("`name` is missing"))?,
        line: node.line(),
        settings,
        ask: ask.ok_or_else(|| node.complain("`given` or `call` is missing"))?,
        expect: expect.ok_or_else(|| node.complain("`expect` is missing"))?,
    })
}

fn given(node: &Node<'_>) -> Result<Ask, Complaint> {
    let (mut phase, mut channel, mut text, mut label) = (None, None, None, None);
    for (key, value) in node.entries(&["phase", "channel", "text", "label"])? {
        match key {
            "phase" => phase = Some(value.word(&Phase::ALL.map(|phase| (phase.as_str(), phase)))?),
            "channel" => channel = Some(value.word(&Channel::ALL.map(|channel| (channel.as_str(), channel)))?),
            "text" => text = Some(value.text()?.to_owned()),
            _ => label = Some(value.text()?.to_owned()),
        }
    }
    let missing = |key: &str| node.complain(format!("`{key}` is missing"));
    Ok(Ask::Given {
        phase: phase.ok_or_else(|| missing("phase"))?,
        channel: channel.ok_or_else(|| missing("channel"))?,
        text: text.ok_or_else(|| missing("text"))?,
        label,
    })
}

fn call(node: &Node<'_>) -> Result<Ask, Complaint> {
    let (mut tool, mut arguments) = (None, String::new());
    for (key, value) in node.entries(&["tool", "arguments"])? {
        match key {
            "tool" => tool = Some(value.text()?.to_owned()),
            // A model writes text; a case may give the value that it stands for.
            _ => arguments = value.text().map_or_else(|_| value.json().map(|json| json.to_string()), |text| Ok(text.to_owned()))?,
        }
    }
    Ok(Ask::Call { tool: tool.ok_or_else(|| node.complain("`tool` is missing"))?, arguments })
}

const VERDICTS: [(&str, Expected); 5] = [
    ("pass", Expected::Pass),
    ("block", Expected::Block),
    ("answer", Expected::Answer),
    ("reask", Expected::Reask),
    ("failed", Expected::Failed),
];
const FAILURES: [(&str, &str); 4] =
    [("bad-arguments", "bad-arguments"), ("denied", "denied"), ("try-later", "try-later"), ("internal", "internal")];

fn expect(node: &Node<'_>) -> Result<Expect, Complaint> {
    let mut expect = Expect::default();
    for (key, value) in node.entries(&["verdict", "code", "text", "notes", "sets", "result", "failure", "contains", "max_fuel"])? {
        match key {
            "verdict" => expect.verdict = value.word(&VERDICTS)?,
            "code" => expect.code = Some(value.text()?.to_owned()),
            "text" => expect.text = Some(value.text()?.to_owned()),
            "notes" => {
                let texts = object(&value)?.into_iter().map(|(key, note)| match note {
                    Value::String(note) => Ok((key, note)),
                    _ => Err(value.complain("expected strings")),
                });
                expect.notes = texts.collect::<Result<_, _>>()?;
            }
            "sets" => expect.sets = object(&value)?,
            "result" => expect.result = Some(value.text()?.to_owned()),
            "failure" => expect.failure = Some(value.word(&FAILURES)?.to_owned()),
            "max_fuel" => expect.max_fuel = Some(value.number(0)?),
            _ => expect.contains = Some(value.text()?.to_owned()),
        }
    }
    Ok(expect)
}

fn object(node: &Node<'_>) -> Result<Map<String, Value>, Complaint> {
    match node.json()? {
        Value::Object(map) => Ok(map),
        _ => Err(node.complain("expected keys and values")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn cases_are_read_with_their_lines() {
        let text = "# two\n- name: a\n  settings: {x: 1}\n  given: {phase: chunk, channel: reasoning, text: hm}\n  expect: {text: h}\n\
            - name: b\n  call: {tool: add, arguments: {a: 1}}\n  expect: {failure: denied, contains: no}\n";
        let cases = read(text).unwrap();
        assert_eq!((cases[0].line, cases[1].line), (2, 6));
        assert_eq!(cases[0].settings, serde_json::json!({"x": 1}));
        let given = Ask::Given { phase: Phase::Chunk, channel: Channel::Reasoning, text: "hm".into(), label: None };
        assert_eq!(cases[0].ask, given);
        assert_eq!(cases[1].ask, Ask::Call { tool: "add".into(), arguments: r#"{"a":1}"#.into() });
        assert_eq!(cases[1].expect.failure.as_deref(), Some("denied"));
    }

    #[test]
    fn complaints_name_the_line_and_what_is_known() {
        let complaint = |text: &str| read(text).unwrap_err().to_string();
        assert!(complaint("- name: a\n  expect: {}\n").contains("line 1: cases: `given` or `call` is missing"));
        assert!(complaint("- name: a\n  given: {phase: sometimes}\n").contains("line 2: phase: `sometimes` is none of: request"));
        assert!(complaint("- name: a\n  given: {phase: chunk, channel: user, text: x}\n  call: {tool: t}\n").contains("line 3"));
        assert!(complaint("name: a\n").contains("expected a list"));
        assert!(complaint("- name: a\n  expects: {}\n").contains("unknown key `expects`"));
    }
}
