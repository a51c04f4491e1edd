//! Writing JSON straight into bytes: objects and lists with their commas, strings escaped, raw values as they are.
//!
//! Apart because every writer of the dialect needs it and a tree of values would be built only to be thrown away. It must not know
//! any field's name.

use std::io::Write as _;

use gatewright_types::Extras;
use serde_json::value::RawValue;

use super::{is_owned, of_own};

/// JSON being written. Whoever writes closes what it opened.
#[derive(Default)]
pub(super) struct Out(Vec<u8>);

impl Out {
    /// An empty text with room for `room` bytes.
    pub(super) fn with_room(room: usize) -> Self {
        Self(Vec::with_capacity(room))
    }

    /// What was written.
    pub(super) fn done(self) -> bytes::Bytes {
        self.0.into()
    }

    /// Bytes as they are, no comma.
    pub(super) fn bare(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A comma, unless this is the first thing in its object or list, or follows a name.
    fn comma(&mut self) {
        if !matches!(self.0.last(), None | Some(b'{' | b'[' | b':' | b' ')) {
            self.0.push(b',');
        }
    }

    /// Opens an object, as an item or as the value of the name before it.
    pub(super) fn open(&mut self) {
        self.comma();
        self.0.push(b'{');
    }

    /// Closes an object.
    pub(super) fn close(&mut self) {
        self.0.push(b'}');
    }

    /// Opens a list.
    pub(super) fn open_list(&mut self) {
        self.comma();
        self.0.push(b'[');
    }

    /// Closes a list.
    pub(super) fn close_list(&mut self) {
        self.0.push(b']');
    }

    /// A name that needs no escapes.
    pub(super) fn name(&mut self, name: &str) {
        self.comma();
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    /// A string.
    pub(super) fn string(&mut self, text: &str) {
        self.comma();
        self.0.push(b'"');
        let mut rest = text.as_bytes();
        while let Some(at) = first_to_escape(rest) {
            self.0.extend_from_slice(&rest[..at]);
            self.escape(rest[at]);
            rest = &rest[at + 1..];
        }
        self.0.extend_from_slice(rest);
        self.0.push(b'"');
    }

    /// A character that JSON's strings cannot hold as it is (RFC 8259, section 7).
    fn escape(&mut self, byte: u8) {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0C => b'f',
            // Writing into a vector cannot fail.
            _ => return drop(write!(self.0, "\\u{byte:04x}")),
        };
        self.0.extend_from_slice(&[b'\\', short]);
    }

    /// A raw value.
    pub(super) fn raw(&mut self, json: &str) {
        self.comma();
        self.0.extend_from_slice(json.as_bytes());
    }

    /// A whole number, or anything else whose `Display` is JSON.
    pub(super) fn plain(&mut self, value: impl std::fmt::Display) {
        self.comma();
        let _ = write!(self.0, "{value}");
    }

    /// A number; whole ones without a point, so that an upstream that wants an integer gets one.
    pub(super) fn float(&mut self, number: f64) {
        if number.fract() == 0.0 && number.abs() < 9e15 {
            self.plain(number as i64);
        } else {
            self.plain(number);
        }
    }

    /// A field that is a string.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.string(text);
    }

    /// A field that is a raw value.
    pub(super) fn value(&mut self, name: &str, json: &RawValue) {
        self.name(name);
        self.raw(json.get());
    }

    /// A field that is a whole number.
    pub(super) fn number(&mut self, name: &str, number: impl std::fmt::Display) {
        self.name(name);
        self.plain(number);
    }

    /// The fields of a pocket that `wanted` lets through, but for those that are some dialect's own.
    pub(super) fn extras(&mut self, extras: &Extras, wanted: impl Fn(&str, &str) -> bool) {
        for (name, value) in extras.iter() {
            if wanted(name, value.get()) && !is_owned(name) {
                self.field(name, value.get());
            }
        }
    }

    /// The fields of a pocket that are this dialect's own and that `wanted` lets through, under their own names.
    pub(super) fn own(&mut self, dialect: &str, extras: &Extras, wanted: impl Fn(&str) -> bool) {
        for (name, value) in extras.iter() {
            if let Some(field) = of_own(dialect, name).filter(|field| wanted(field)) {
                self.field(field, value.get());
            }
        }
    }

    /// A field that is raw JSON, of any name.
    pub(super) fn field(&mut self, name: &str, json: &str) {
        self.string(name);
        self.0.push(b':');
        self.raw(json);
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts all from there on one line: a line break in JSON is only layout, but it would end an event's line.
    pub(super) fn on_one_line(&mut self, from: usize) {
        let written = self.0.get_mut(from..).unwrap_or_default();
        if memchr::memchr2(b'\n', b'\r', written).is_some() {
            written.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        }
    }

    /// The data of one server-sent event, on one line.
    pub(super) fn line(&mut self, data: &[u8]) {
        // A line break in JSON is only layout, but it would end the event's line.
        if memchr::memchr2(b'\n', b'\r', data).is_some() {
            self.0.extend(data.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
        } else {
            self.bare(data);
        }
    }
}

/// Where the first byte stands that is escaped in JSON. Prompts are long and hold few: blocks are looked at as one, which compiles to
/// vector instructions.
fn first_to_escape(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 32;
    let is = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    let mut from = 0;
    for block in bytes.chunks(BLOCK) {
        if block.iter().fold(false, |any, byte| any | is(*byte)) {
            return block.iter().position(|byte| is(*byte)).map(|at| from + at);
        }
        from += block.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Out;

    proptest! {
        #[test]
        fn strings_are_written_as_serde_json_writes_them(text in "(?s)[\\x00-\\x22\\\\a-c\u{7f}é🙂]{0,100}") {
            let mut out = Out::default();
            out.string(&text);
            prop_assert_eq!(out.done(), serde_json::to_vec(&text).unwrap_or_default());
        }
    }
}
