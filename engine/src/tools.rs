//! Tool calls that a model writes into its text, told as calls while they are written.
//!
//! Apart because it is pure and easy to get wrong: text comes in pieces of any size. Two formats are read, whichever comes: DeepSeek's own
//! (R1's, with a code block, and V3.1's, without), and JSON in `<tool_call>`, of Qwen and Hermes. What only looks like a call is given back
//! as the text that it is. It must not know tokens or tools: whether there is such a tool is the client's to see.

mod object;

use object::{Fed, Object};

pub(crate) const CALLS: &str = "<｜tool▁calls▁begin｜>";
pub(crate) const CALLS_END: &str = "<｜tool▁calls▁end｜>";
pub(crate) const CALL: &str = "<｜tool▁call▁begin｜>";
pub(crate) const CALL_END: &str = "<｜tool▁call▁end｜>";
pub(crate) const SEPARATOR: &str = "<｜tool▁sep｜>";
const FENCE: &str = "\n```";
pub(crate) const TAG: &str = "<tool_call>";
pub(crate) const TAG_END: &str = "</tool_call>";

/// All that a call is known by.
pub(crate) const MARKS: [&str; 7] = [CALLS, CALLS_END, CALL, CALL_END, SEPARATOR, TAG, TAG_END];

/// Bytes that stand before a call's arguments at most: longer, and it is none.
const MOST_HEADER: usize = 1024;

/// What a piece of text turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Text of the answer.
    Text(String),
    /// A call begins: the name of its tool.
    Call(String),
    /// More of the last call's arguments.
    Arguments(String),
}

#[derive(Debug)]
enum State {
    /// In the answer's text.
    Text,
    /// Between two calls of DeepSeek's format.
    Between,
    /// Before the name and behind it.
    Header,
    /// In arguments, up to the end of the call, or of the code block around them.
    Arguments,
    /// In the object of a `<tool_call>`.
    Object(Object),
    /// Behind the arguments: up to this mark there is nothing to tell.
    Rest(&'static str),
}

/// Reads one answer.
#[derive(Debug)]
pub(crate) struct ToolScan {
    state: State,
    held: String,
    /// White space that stood before a mark: the call's, if it is one.
    lead: String,
    /// White space is dropped until something else comes: a call stood before it.
    fresh: bool,
}

impl Default for ToolScan {
    fn default() -> Self {
        Self { state: State::Text, held: String::new(), lead: String::new(), fresh: false }
    }
}

impl ToolScan {
    /// Bytes of text that are held back because a call may begin in them; `None` within a call.
    pub(crate) fn held(&self) -> Option<usize> {
        matches!(self.state, State::Text).then_some(self.held.len())
    }

    /// Takes the next text.
    pub(crate) fn push(&mut self, text: &str) -> Vec<Piece> {
        self.held.push_str(text);
        let mut out = Vec::new();
        while self.step(&mut out) {}
        out
    }

    /// What is left when no more text comes.
    pub(crate) fn finish(&mut self) -> Vec<Piece> {
        let mut out = Vec::new();
        let held = std::mem::take(&mut self.held);
        match std::mem::replace(&mut self.state, State::Text) {
            State::Text => self.text(held, &mut out),
            State::Header => {
                self.no_call(&format!("{CALL}{held}"), &mut out);
            }
            State::Arguments => arguments(held, &mut out),
            State::Object(object) => {
                if let Some(raw) = object.given_up() {
                    self.no_call(&format!("{TAG}{raw}"), &mut out);
                }
            }
            State::Between | State::Rest(_) => {}
        }
        out
    }

    /// Does what the held text allows; false if more must come first.
    fn step(&mut self, out: &mut Vec<Piece>) -> bool {
        match &mut self.state {
            State::Text => self.in_text(out),
            State::Between => self.between(),
            State::Header => self.header(out),
            State::Arguments => self.in_arguments(out),
            State::Object(_) => self.in_object(out),
            State::Rest(end) => {
                let end = *end;
                self.rest(end)
            }
        }
    }

    fn go(&mut self, to: State) -> bool {
        self.state = to;
        true
    }

    fn called(&mut self) {
        self.fresh = true;
        self.lead.clear();
    }

    /// Drops white space.
    fn trim(&mut self) {
        let white = self.held.len() - self.held.trim_start().len();
        self.held.drain(..white);
    }

    /// The mark of the end, unless the model forgot it.
    fn rest(&mut self, end: &'static str) -> bool {
        self.trim();
        let found = self.held.starts_with(end);
        if !found && end.starts_with(&self.held) {
            return false;
        }
        self.held.drain(..if found { end.len() } else { 0 });
        self.go(if end == TAG_END { State::Text } else { State::Between })
    }

    /// Gives back what only looked like a call.
    fn no_call(&mut self, text: &str, out: &mut Vec<Piece>) -> bool {
        let lead = std::mem::take(&mut self.lead);
        self.text(lead + text, out);
        self.go(State::Text)
    }

    fn in_text(&mut self, out: &mut Vec<Piece>) -> bool {
        let (at, found) = match first_of(&self.held, &[CALLS, CALL, TAG]) {
            Found::At(at, mark) => (at, Some(mark)),
            Found::Perhaps(at) => (at, None),
        };
        // White space before a call belongs to the call.
        let kept = self.held.get(..at).unwrap_or_default().trim_end().len();
        let text: String = self.held.drain(..kept).collect();
        self.text(text, out);
        let Some(mark) = found else { return false };
        self.lead = self.held.drain(..at - kept).collect();
        self.held.drain(..mark.len());
        self.go(match mark {
            TAG => State::Object(Object::default()),
            CALL => State::Header,
            _ => State::Between,
        })
    }

    fn text(&mut self, text: String, out: &mut Vec<Piece>) {
        let text = if self.fresh { text.trim_start().to_owned() } else { text };
        if !text.is_empty() {
            self.fresh = false;
            out.push(Piece::Text(text));
        }
    }

    fn between(&mut self) -> bool {
        self.trim();
        for (mark, to) in [(CALL, State::Header), (CALLS_END, State::Text)] {
            if self.held.starts_with(mark) {
                self.held.drain(..mark.len());
                return self.go(to);
            }
            if mark.starts_with(&self.held) {
                return false;
            }
        }
        self.go(State::Text)
    }

    /// `function<sep>NAME` and a code block (R1), or `NAME<sep>` and the arguments (V3.1).
    fn header(&mut self, out: &mut Vec<Piece>) -> bool {
        let Some((name, rest)) = header(&self.held) else {
            if self.held.len() <= MOST_HEADER {
                return false;
            }
            let held = std::mem::take(&mut self.held);
            return self.no_call(&format!("{CALL}{held}"), out);
        };
        let name = name.to_owned();
        self.held.drain(..rest);
        self.called();
        out.push(Piece::Call(name));
        self.go(State::Arguments)
    }

    fn in_arguments(&mut self, out: &mut Vec<Piece>) -> bool {
        match first_of(&self.held, &[FENCE, CALL_END]) {
            Found::At(at, mark) => {
                arguments(self.held.drain(..at).collect(), out);
                // The mark of the call's end is still to come, or is left to be read.
                self.held.drain(..if mark == FENCE { FENCE.len() } else { 0 });
                self.go(State::Rest(CALL_END))
            }
            Found::Perhaps(at) => {
                let kept = self.held.get(..at).unwrap_or_default().trim_end().len();
                let text: String = self.held.drain(..kept).collect();
                if !text.is_empty() {
                    out.push(Piece::Arguments(text));
                }
                false
            }
        }
    }

    fn in_object(&mut self, out: &mut Vec<Piece>) -> bool {
        let State::Object(object) = &mut self.state else { return false };
        let begun = object.has_begun();
        let fed = object.feed(&self.held, out);
        if object.has_begun() && !begun {
            self.called();
        }
        match fed {
            Fed::All => {
                self.held.clear();
                false
            }
            Fed::Done(rest) => {
                self.held.drain(..rest);
                self.go(State::Rest(TAG_END))
            }
            Fed::None(raw, rest) => {
                self.held.drain(..rest);
                self.no_call(&format!("{TAG}{raw}"), out)
            }
        }
    }
}

fn arguments(text: String, out: &mut Vec<Piece>) {
    let text = text.trim_end();
    if !text.is_empty() {
        out.push(Piece::Arguments(text.to_owned()));
    }
}

/// Name, and where the arguments begin; `None` while that is not clear.
fn header(held: &str) -> Option<(&str, usize)> {
    let (kind, rest) = held.split_once(SEPARATOR)?;
    let start = held.len() - rest.len();
    if kind.trim() != "function" {
        return (!kind.trim().is_empty()).then(|| (kind.trim(), start));
    }
    let (name, rest) = rest.split_once('\n')?;
    let block = rest.trim_start();
    let open = match block.strip_prefix("```") {
        // The rest of the line is the block's language.
        Some(language) => language.split_once('\n')?.1,
        None if "```".starts_with(block) => return None,
        None => block,
    };
    (!name.trim().is_empty()).then(|| (name.trim(), held.len() - open.len()))
}

enum Found {
    /// This mark begins here.
    At(usize, &'static str),
    /// No mark, but from here on it may become one.
    Perhaps(usize),
}

/// The first of the marks in the text.
fn first_of(text: &str, marks: &[&'static str]) -> Found {
    if let Some((at, mark)) = marks.iter().filter_map(|mark| Some((text.find(mark)?, *mark))).min_by_key(|(at, _)| *at) {
        return Found::At(at, mark);
    }
    let longest = marks.iter().map(|mark| mark.len()).max().unwrap_or(1);
    let mut ends = (text.len().saturating_sub(longest - 1)..text.len()).filter(|at| text.is_char_boundary(*at));
    Found::Perhaps(ends.find(|at| marks.iter().any(|mark| mark.starts_with(&text[*at..]))).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests;
