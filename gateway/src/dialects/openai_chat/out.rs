//! Writing JSON straight into bytes: objects and lists with their commas, strings escaped, raw values as they are.
//!
//! Apart because every writer of the dialect needs it and a tree of values would be built only to be thrown away. It must not know
//! any field's name.

use std::io::Write as _;

use gatewright_types::Extras;
use serde_json::value::RawValue;

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
        // Writing into a vector cannot fail.
        let _ = serde_json::to_writer(&mut self.0, text);
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

    /// The fields of a pocket that `wanted` lets through.
    pub(super) fn extras(&mut self, extras: &Extras, wanted: impl Fn(&str, &str) -> bool) {
        for (name, value) in extras.iter() {
            if wanted(name, value.get()) {
                self.string(name);
                self.0.push(b':');
                self.raw(value.get());
            }
        }
    }
}
