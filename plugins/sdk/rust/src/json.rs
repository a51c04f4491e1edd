//! A small reader of JSON, for settings and arguments.
//!
//! It is apart because a full JSON crate is three times the size of a small plugin. It must not be used for what needs numbers
//! exactly: they are kept as they are written.

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object, in order.
    Map(Vec<(String, Json)>),
}

/// Deepest nesting that is read.
const DEEPEST: usize = 64;

impl Json {
    /// Reads one value.
    ///
    /// # Errors
    /// The byte at which it is not JSON, or nested too deep.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0).and_then(|value| reader.end().map(|()| value));
        value.ok_or_else(|| format!("not JSON at byte {}", reader.at))
    }

    /// A member of an object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of an array.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// The sign that comes next, if it is this one.
    fn sign(&mut self, sign: u8) -> Option<()> {
        (self.peek()? == sign).then(|| self.at += 1)
    }

    fn eat(&mut self, word: &str) -> Option<()> {
        self.peek();
        self.text.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        if depth > DEEPEST {
            return None;
        }
        match self.peek()? {
            b'n' => self.eat("null").map(|()| Json::Null),
            b't' => self.eat("true").map(|()| Json::Bool(true)),
            b'f' => self.eat("false").map(|()| Json::Bool(false)),
            b'"' => self.string().map(Json::Text),
            b'[' => self.list(depth),
            b'{' => self.map(depth),
            b'-' | b'0'..=b'9' => {
                let rest = self.text.get(self.at..)?;
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '-' | '.')).unwrap_or(rest.len());
                self.at += end;
                Some(Json::Number(rest[..end].to_owned()))
            }
            _ => None,
        }
    }

    fn list(&mut self, depth: usize) -> Option<Json> {
        let mut list = Vec::new();
        self.sign(b'[')?;
        if self.sign(b']').is_some() {
            return Some(Json::List(list));
        }
        loop {
            list.push(self.value(depth + 1)?);
            if self.sign(b']').is_some() {
                return Some(Json::List(list));
            }
            self.sign(b',')?;
        }
    }

    fn map(&mut self, depth: usize) -> Option<Json> {
        let mut members = Vec::new();
        self.sign(b'{')?;
        if self.sign(b'}').is_some() {
            return Some(Json::Map(members));
        }
        loop {
            self.peek();
            let key = self.string()?;
            self.sign(b':')?;
            members.push((key, self.value(depth + 1)?));
            if self.sign(b'}').is_some() {
                return Some(Json::Map(members));
            }
            self.sign(b',')?;
        }
    }

    fn string(&mut self) -> Option<String> {
        self.sign(b'"')?;
        let mut out = String::new();
        loop {
            let rest = self.text.get(self.at..)?;
            let end = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\'))?;
            let (piece, closed) = (&rest[..end], rest.as_bytes()[end] == b'"');
            self.at += end + 1;
            if closed && out.is_empty() {
                return Some(piece.to_owned());
            }
            out.push_str(piece);
            if closed {
                return Some(out);
            }
            let escaped = *self.text.as_bytes().get(self.at)?;
            self.at += 1;
            out.push(match escaped {
                b'"' | b'\\' | b'/' => escaped as char,
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => self.unicode()?,
                _ => return None,
            });
        }
    }

    /// Four hexadecimal digits, or a pair of surrogates; what is neither becomes the replacement character.
    fn unicode(&mut self) -> Option<char> {
        let first = self.hex()?;
        if (0xD800..0xDC00).contains(&first) && self.text.get(self.at..)?.starts_with("\\u") {
            let back = self.at;
            self.at += 2;
            let second = self.hex()?;
            if (0xDC00..0xE000).contains(&second) {
                return char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00));
            }
            self.at = back;
        }
        Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn values_are_read() {
        let json = Json::parse(r#" {"a": ["x\n\u00e9\ud83d\ude00", null, true, -1.5e3], "b": {}} "#).unwrap();
        assert_eq!(json.get("a").unwrap().as_list().unwrap()[0].as_str(), Some("x\n\u{e9}\u{1f600}"));
        assert_eq!(json.get("a").unwrap().as_list().unwrap()[3], Json::Number("-1.5e3".to_owned()));
        assert_eq!(json.get("b"), Some(&Json::Map(Vec::new())));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let deep = "[".repeat(1000);
        for text in ["", "{", "[1,]", "\"", "\"\\q\"", "nul", "1 2", "{\"a\" 1}", deep.as_str(), "\"\\u12", "\"\\ud800\\u"] {
            assert!(Json::parse(text).is_err(), "{text}");
        }
    }
}
