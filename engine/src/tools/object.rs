//! The object in a `<tool_call>`, read a character at a time: `{"name": ..., "arguments": {...}}`, in any order.
//!
//! Apart because arguments are given as they are written, which a parser of whole JSON cannot do. It must not judge the arguments: they are
//! the model's own text.

use super::Piece;

/// What became of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// More must come.
    All,
    /// The object ended before this byte.
    Done(usize),
    /// It is no call. All that was taken, and before which byte that ended.
    None(String, usize),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Open,
    Key,
    Colon,
    Value,
    Comma,
}

/// One object.
#[derive(Debug, Default)]
pub(super) struct Object {
    at: At,
    /// All text, until the call has begun.
    raw: String,
    /// The key or value that is read.
    item: String,
    key: String,
    depth: usize,
    in_text: bool,
    escaped: bool,
    name: Option<String>,
    /// Arguments that came before the name.
    early: Option<String>,
    begun: bool,
    /// The value that is read is given as it comes.
    streams: bool,
}

impl Object {
    /// Whether the call was told.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// All text, if no more comes and no call was told.
    pub(super) fn given_up(self) -> Option<String> {
        (!self.begun).then_some(self.raw)
    }

    /// Takes the next text.
    pub(super) fn feed(&mut self, text: &str, out: &mut Vec<Piece>) -> Fed {
        let mut streamed = String::new();
        let mut fed = Fed::All;
        for (at, c) in text.char_indices() {
            if !self.begun {
                self.raw.push(c);
            }
            let step = self.step(c, &mut streamed, out);
            let end = at + c.len_utf8();
            match step {
                Ok(false) => {}
                Ok(true) => {
                    fed = self.close(end, out);
                    break;
                }
                // Broken after it began: what was told stays told.
                Err(()) if self.begun => {
                    fed = Fed::Done(end);
                    break;
                }
                Err(()) => {
                    fed = Fed::None(std::mem::take(&mut self.raw), end);
                    break;
                }
            }
        }
        if !streamed.is_empty() {
            out.push(Piece::Arguments(streamed));
        }
        fed
    }

    /// Whether the object ended; an error if it is none.
    fn step(&mut self, c: char, streamed: &mut String, out: &mut Vec<Piece>) -> Result<bool, ()> {
        let white = c.is_ascii_whitespace() && !self.in_text;
        match (self.at, c) {
            (At::Open | At::Colon | At::Comma, _) if white => {}
            (At::Key, _) if white && self.item.is_empty() => {}
            (At::Open, '{') | (At::Comma, ',') => self.at = At::Key,
            (At::Key, '}') if self.item.is_empty() => return Ok(true),
            (At::Key, _) if c == '"' || self.in_text => {
                self.item.push(c);
                if self.quote(c) {
                    self.key = text_of(&std::mem::take(&mut self.item)).ok_or(())?;
                    self.at = At::Colon;
                }
            }
            (At::Colon, ':') => self.at = At::Value,
            (At::Value, _) if white && self.item.is_empty() && !self.streams => {}
            (At::Value, _) => return self.value(c, streamed, out),
            (At::Comma, '}') => return Ok(true),
            _ => return Err(()),
        }
        Ok(false)
    }

    /// Follows texts; whether one ended.
    fn quote(&mut self, c: char) -> bool {
        let ends = self.in_text && c == '"' && !self.escaped;
        self.escaped = self.in_text && c == '\\' && !self.escaped;
        if c == '"' && (ends || !self.in_text) {
            self.in_text = !self.in_text;
        }
        ends
    }

    fn value(&mut self, c: char, streamed: &mut String, out: &mut Vec<Piece>) -> Result<bool, ()> {
        let bare = !self.item.is_empty() && !self.item.starts_with(['"', '{', '[']) && !self.streams;
        if bare && matches!(c, ',' | '}') {
            // A number or a word ends where the next thing begins.
            self.end_value(out)?;
            self.at = At::Comma;
            return self.step(c, streamed, out);
        }
        let first = self.item.is_empty() && !self.streams;
        if first && matches!(c, '{' | '[') && self.is_arguments() && self.name.is_some() && !self.begun {
            self.begin(out);
            self.streams = true;
        }
        if self.streams {
            streamed.push(c)
        } else {
            self.item.push(c)
        }
        let ends = self.quote(c);
        match c {
            '{' | '[' if !self.in_text => self.depth += 1,
            '}' | ']' if !self.in_text => self.depth = self.depth.checked_sub(1).ok_or(())?,
            _ => {}
        }
        if self.depth == 0 && (ends || (!self.in_text && matches!(c, '}' | ']'))) {
            if std::mem::take(&mut self.streams) { Ok(()) } else { self.end_value(out) }?;
            self.at = At::Comma;
        }
        Ok(false)
    }

    fn is_arguments(&self) -> bool {
        matches!(self.key.as_str(), "arguments" | "parameters")
    }

    fn begin(&mut self, out: &mut Vec<Piece>) {
        self.begun = true;
        self.raw.clear();
        out.push(Piece::Call(self.name.clone().unwrap_or_default()));
    }

    fn end_value(&mut self, out: &mut Vec<Piece>) -> Result<(), ()> {
        let item = std::mem::take(&mut self.item);
        if self.key == "name" {
            self.name = Some(text_of(&item).filter(|name| !name.is_empty()).ok_or(())?);
        } else if self.is_arguments() {
            // Some models write them as a text.
            self.early = Some(text_of(&item).unwrap_or_else(|| item.trim_end().to_owned()));
        }
        if self.name.is_some()
            && !self.begun
            && let Some(arguments) = self.early.take()
        {
            self.begin(out);
            out.push(Piece::Arguments(arguments));
        }
        Ok(())
    }

    fn close(&mut self, end: usize, out: &mut Vec<Piece>) -> Fed {
        if self.name.is_none() {
            return Fed::None(std::mem::take(&mut self.raw), end);
        }
        if !self.begun {
            self.begin(out);
            out.push(Piece::Arguments("{}".to_owned()));
        }
        Fed::Done(end)
    }
}

/// What a JSON text says, or `None` if it is none.
fn text_of(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}
