//! YAML text -> a JSON value, with the place of each key and value.
//!
//! Apart because it is the only file that knows YAML. Input is bounded in size, depth and nodes (aliases count as what they
//! stand for), so that no text costs much. It must not know what the keys mean.

mod scalar;

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr::{Scalar, ScalarStyle, Tag};
use saphyr_parser::{Event, Marker, Parser, Span};
use serde_json::{Map, Number, Value};

use self::scalar::Source;
use super::complaint::{Complaint, Mark};

const MAX_BYTES: usize = 1 << 20;
const MAX_DEPTH: usize = 32;
const MAX_NODES: usize = 50_000;

/// A document and where its parts stand.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// The document. Empty text is an empty object.
    pub value: Value,
    marks: HashMap<String, Place>,
    /// What it was read from; nothing where it was made.
    text: String,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    key: Option<Mark>,
    value: Mark,
    /// How it is written, where it is no list and no object.
    style: Option<ScalarStyle>,
}

impl Document {
    /// A document that was made of another one: the places are those of what its parts were made of.
    pub(super) fn made(value: Value, places: impl IntoIterator<Item = (String, Mark)>) -> Self {
        let place = |(pointer, mark)| (pointer, Place { key: Some(mark), value: mark, style: None });
        Self { value, marks: places.into_iter().map(place).collect(), text: String::new() }
    }

    /// Where the value at this JSON pointer stands; what stands nearest above it when it is not in the text itself.
    pub fn mark(&self, pointer: &str) -> Option<Mark> {
        self.place(pointer).map(|place| place.value)
    }

    /// Where the key of this JSON pointer stands; the value itself for items of a list.
    pub fn key_mark(&self, pointer: &str) -> Option<Mark> {
        self.place(pointer).map(|place| place.key.unwrap_or(place.value))
    }

    /// Where a character of the text at this JSON pointer stands, by its line and column in that text, both from 1.
    pub(super) fn mark_in(&self, pointer: &str, at: (usize, usize)) -> Option<Mark> {
        let Place { value: start, style, .. } = *self.marks.get(pointer)?;
        let line = self.text.split_inclusive('\n').take(start.line.checked_sub(1)?).map(str::len).sum();
        let text = self.text.get(line..)?;
        let begin = text.char_indices().nth(start.column.checked_sub(1)?).map_or(text.len(), |(at, _)| at);
        let value = self.value.pointer(pointer)?.as_str()?;
        Source { text: text.get(begin..)?, start, style: style?, value }.place(at)
    }

    fn place(&self, mut pointer: &str) -> Option<Place> {
        loop {
            if let Some(place) = self.marks.get(pointer) {
                return Some(*place);
            }
            pointer = pointer.rsplit_once('/')?.0;
        }
    }
}

/// A key or index as a part of a JSON pointer.
pub(crate) fn escape(key: &str) -> Cow<'_, str> {
    match key.contains(['~', '/']) {
        true => Cow::Owned(key.replace('~', "~0").replace('/', "~1")),
        false => Cow::Borrowed(key),
    }
}

/// A JSON pointer as people write it: `routes.fast.legs[0]`.
pub(crate) fn readable(pointer: &str) -> String {
    let mut text = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        match part.parse::<usize>() {
            Ok(index) => text.push_str(&format!("[{index}]")),
            Err(_) if text.is_empty() => text.push_str(&part),
            Err(_) => text.push_str(&format!(".{part}")),
        }
    }
    text
}

/// Reads one document that must be without mistakes.
///
/// # Errors
/// All complaints that can be told apart.
pub fn read(text: &str) -> Result<Document, Vec<Complaint>> {
    let (document, complaints) = read_all(text);
    document.filter(|_| complaints.is_empty()).ok_or(complaints)
}

/// Reads one document as far as it can be read, and all complaints that can be told apart: text that is no YAML ends the reading,
/// and there is no document; of a key that is written twice the first counts, and a value that is not of its kind is null.
pub fn read_all(text: &str) -> (Option<Document>, Vec<Complaint>) {
    if text.len() > MAX_BYTES {
        let message = format!("the text has {} bytes; at most {MAX_BYTES} are read", text.len());
        return (None, vec![Complaint::of_file(message)]);
    }
    let mut reader = Reader::new(text);
    match reader.stream() {
        Ok(value) => {
            let value = value.unwrap_or_else(|| Value::Object(Map::new()));
            (Some(Document { value, marks: reader.marks, text: reader.text.to_owned() }), reader.complaints)
        }
        Err(fatal) => {
            reader.complaints.push(fatal);
            (None, reader.complaints)
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, (Value, usize)>,
    marks: HashMap<String, Place>,
    complaints: Vec<Complaint>,
    nodes: usize,
}

type Step<T> = Result<T, Complaint>;

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        let text = text.trim_start_matches('\u{feff}');
        let parser = Parser::new_from_str(text);
        Self { text, parser, anchors: HashMap::new(), marks: HashMap::new(), complaints: Vec::new(), nodes: 0 }
    }

    fn next(&mut self) -> Step<(Event<'a>, Span)> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.not_yaml(error.info(), mark(error.marker()))),
            None => Err(Complaint::of_file("the text ends too early")),
        }
    }

    /// What the parser says, where a reader would look for it.
    fn not_yaml(&self, info: &str, mark: Mark) -> Complaint {
        let mut complaint =
            Complaint { mark: Some(mark), path: String::new(), message: format!("this is not YAML: {info}"), hint: None };
        if info.contains("recursion limit") {
            complaint.message = too_deep();
        } else if info.contains("tab") {
            // The parser names the value before the tab; people look for the line that the tab indents.
            let indented = |line: &str| line.find('\t').filter(|at| line[..*at].trim().is_empty());
            let lines = self.text.lines().enumerate().skip(mark.line.saturating_sub(1));
            complaint.mark = lines
                .filter_map(|(number, line)| Some(Mark { line: number + 1, column: indented(line)? + 1 }))
                .next()
                .or(complaint.mark);
            complaint.hint = Some("indent with spaces".to_owned());
        }
        complaint
    }

    /// The only document of the stream.
    fn stream(&mut self) -> Step<Option<Value>> {
        let mut found = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(found),
                Event::DocumentStart(_) if found.is_some() => {
                    return Err(at(&span, "", "a second document begins here; the file must have one"));
                }
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                event => {
                    let value = self.node(event, &span, &mut Path { pointer: String::new(), depth: 0 })?;
                    found = Some(if value.is_null() { Value::Object(Map::new()) } else { value });
                }
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: &Span, path: &mut Path) -> Step<Value> {
        let before = self.nodes;
        self.count(1, span, &path.pointer)?;
        self.marks.entry(path.pointer.clone()).or_insert(Place { key: None, value: mark(&span.start), style: None });
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.marks.entry(path.pointer.clone()).and_modify(|place| place.style = Some(style));
                (self.scalar(Written { text, style, tag }, span, &path.pointer), anchor)
            }
            Event::SequenceStart(anchor, _) => (self.sequence(span, path)?, anchor),
            Event::MappingStart(anchor, _) => (self.mapping(span, path)?, anchor),
            Event::Alias(anchor) => return self.alias(anchor, span, &path.pointer),
            _ => return Err(at(span, &path.pointer, "this is not YAML: a value was expected")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (value.clone(), self.nodes - before));
        }
        Ok(value)
    }

    fn alias(&mut self, anchor: usize, span: &Span, pointer: &str) -> Step<Value> {
        let Some((value, nodes)) = self.anchors.get(&anchor) else {
            return Err(at(span, pointer, "this alias stands inside what it stands for"));
        };
        let (value, nodes) = (value.clone(), *nodes);
        self.count(nodes, span, pointer)?;
        Ok(value)
    }

    fn count(&mut self, nodes: usize, span: &Span, pointer: &str) -> Step<()> {
        self.nodes += nodes;
        match self.nodes > MAX_NODES {
            true => Err(at(span, pointer, &format!("the file has more than {MAX_NODES} values"))),
            false => Ok(()),
        }
    }

    fn scalar(&mut self, written: Written<'a>, span: &Span, pointer: &str) -> Value {
        let Written { text, style, tag } = written;
        let shown = text.clone();
        let value = match Scalar::parse_from_cow_and_metadata(text, style, tag.as_ref()) {
            Some(Scalar::Null) => Some(Value::Null),
            Some(Scalar::Boolean(value)) => Some(Value::Bool(value)),
            Some(Scalar::Integer(value)) => Some(Value::from(value)),
            Some(Scalar::FloatingPoint(value)) => Number::from_f64(value.into_inner()).map(Value::Number),
            Some(Scalar::String(value)) => Some(Value::String(value.into_owned())),
            None => None,
        };
        value.unwrap_or_else(|| {
            self.complaints.push(at(span, pointer, &format!("`{shown}` is not a value of its kind")));
            Value::Null
        })
    }

    fn sequence(&mut self, span: &Span, path: &mut Path) -> Step<Value> {
        path.deeper(span)?;
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                path.depth -= 1;
                return Ok(Value::Array(items));
            }
            let above = path.push(&items.len().to_string());
            let item = self.node(event, &span, path)?;
            path.pointer.truncate(above);
            items.push(item);
        }
    }

    fn mapping(&mut self, span: &Span, path: &mut Path) -> Step<Value> {
        path.deeper(span)?;
        let mut object = Map::new();
        loop {
            let (event, span) = self.next()?;
            let key = match event {
                Event::MappingEnd => {
                    path.depth -= 1;
                    return Ok(Value::Object(object));
                }
                Event::Scalar(key, ..) => key.into_owned(),
                _ => return Err(at(&span, &path.pointer, "a key must be plain text")),
            };
            let again = object.contains_key(&key);
            if again {
                let first = self.key_line(&path.pointer, &key);
                let message = format!("`{key}` is written twice{first}");
                self.complaints.push(at(&span, &path.pointer, &message));
            }
            let (event, value_span) = self.next()?;
            let above = path.push(&key);
            if !again {
                self.marks.insert(
                    path.pointer.clone(),
                    Place { key: Some(mark(&span.start)), value: mark(&value_span.start), style: None },
                );
            }
            let value = self.node(event, &value_span, path)?;
            path.pointer.truncate(above);
            object.entry(key).or_insert(value);
        }
    }

    fn key_line(&self, pointer: &str, key: &str) -> String {
        let first = self.marks.get(&format!("{pointer}/{}", escape(key)));
        first.and_then(|place| place.key).map_or_else(String::new, |mark| format!(", first on line {}", mark.line))
    }
}

struct Written<'a> {
    text: Cow<'a, str>,
    style: ScalarStyle,
    tag: Option<Cow<'a, Tag>>,
}

struct Path {
    pointer: String,
    depth: usize,
}

impl Path {
    fn deeper(&mut self, span: &Span) -> Step<()> {
        self.depth += 1;
        match self.depth > MAX_DEPTH {
            true => Err(at(span, &self.pointer, &too_deep())),
            false => Ok(()),
        }
    }

    /// Goes one part down; what to truncate the pointer to in order to come back.
    fn push(&mut self, part: &str) -> usize {
        let above = self.pointer.len();
        self.pointer.push('/');
        self.pointer.push_str(&escape(part));
        above
    }
}

fn too_deep() -> String {
    format!("the file is nested more than {MAX_DEPTH} deep")
}

fn mark(marker: &Marker) -> Mark {
    Mark { line: marker.line(), column: marker.col() + 1 }
}

fn at(span: &Span, pointer: &str, message: &str) -> Complaint {
    Complaint { mark: Some(mark(&span.start)), path: readable(pointer), message: message.to_owned(), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_and_their_places() {
        let document = read("# c\nlisten: 1.2.3.4:5\nroutes:\n  a/b:\n    legs: [x, \"2\", 3, true, ~]\n").unwrap();
        assert_eq!(document.value, json!({"listen": "1.2.3.4:5", "routes": {"a/b": {"legs": ["x", "2", 3, true, null]}}}));
        assert_eq!(document.mark("/routes/a~1b/legs/1"), Some(Mark { line: 5, column: 15 }));
        assert_eq!(document.key_mark("/routes/a~1b"), Some(Mark { line: 4, column: 3 }));
        assert_eq!(document.mark("/listen/deeper/still"), Some(Mark { line: 2, column: 9 }));
        assert_eq!(readable("/routes/a~1b/legs/1"), "routes.a/b.legs[1]");
    }

    #[test]
    fn empty_text_is_an_empty_object() {
        for text in ["", "# only a comment\n", "---\n", "~"] {
            assert_eq!(read(text).unwrap().value, json!({}), "{text:?}");
        }
    }

    #[test]
    fn duplicate_keys_are_all_told() {
        let complaints = read("a: 1\nb: {c: 1, c: 2}\na: 3\n").unwrap_err();
        let told: Vec<_> = complaints.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["2:11: b: `c` is written twice, first on line 2", "3:1: `a` is written twice, first on line 1"]);
    }

    #[test]
    fn no_text_costs_much() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let one = format!("*a{}, ", level - 1);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", one.repeat(9)));
        }
        let deep = "[".repeat(10_000);
        let large = " ".repeat(MAX_BYTES + 1);
        for (text, says) in [(&bomb, "values"), (&deep, "nested"), (&large, "bytes")] {
            let complaints = read(text).unwrap_err();
            assert!(complaints[0].message.contains(says), "{complaints:?}");
        }
    }

    #[test]
    fn what_is_not_one_yaml_document_is_told_with_its_place() {
        for (text, place) in
            [("a: [1\nb: 2", 2), ("a: 1\n\tb: 2\n", 2), ("a: 1\n---\nb: 2\n", 2), ("a: &x [*x]\n", 1), ("? [a]\n: b\n", 1)]
        {
            let complaints = read(text).unwrap_err();
            assert_eq!(complaints[0].mark.map(|mark| mark.line), Some(place), "{text:?}: {complaints:?}");
        }
    }

    #[test]
    fn an_alias_is_what_it_stands_for() {
        assert_eq!(read("a: &x {b: 1}\nc: *x\n").unwrap().value, json!({"a": {"b": 1}, "c": {"b": 1}}));
    }
}
