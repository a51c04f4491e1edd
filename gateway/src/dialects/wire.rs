//! Reading JSON: objects as names and raw values, typed leaves with errors that carry a path, and one-pass visiting for answers.
//!
//! Apart because requests need errors that name the field while answers need speed. It must not know any field's name; but those under
//! which a dialect keeps what is its own are ours to give, and are passed over where a stranger sends them.

use std::borrow::Cow;
use std::fmt;

use gatewright_types::{Extras, RawJson};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::is_owned;

/// What a value is instead of what it should be, and where: the path grows outwards as the error travels up.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Path of the field (`messages[2].content`).
    pub(super) path: String,
    /// For the client, without the path.
    pub(super) message: String,
}

impl Wrong {
    /// A value of the wrong type.
    pub(super) fn kind(expected: &str, found: &RawValue) -> Self {
        Self::says(format!("expected {expected}, but got {}", kind(found)))
    }

    /// Any other complaint.
    pub(super) fn says(message: impl Into<String>) -> Self {
        Self { path: String::new(), message: message.into() }
    }

    /// The same, one field further out.
    pub(super) fn within(mut self, field: &str) -> Self {
        let joint = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{field}{joint}{}", self.path);
        self
    }

    /// The same, one list further out.
    pub(super) fn item(self, index: usize) -> Self {
        self.within(&format!("[{index}]"))
    }
}

/// The fields of one object in their order: names, and values as text that was checked to be JSON.
pub(super) struct Fields<'a>(pub(super) SmallVec<[(Cow<'a, str>, &'a RawValue); 12]>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for All<'a> {
            type Value = Fields<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'a>, A::Error> {
                let mut fields = SmallVec::new();
                while let Some(name) = map.next_key_seed(Name)? {
                    let value = map.next_value::<&'de RawValue>()?;
                    if !is_owned(&name) {
                        fields.push((name, value));
                    }
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(All(std::marker::PhantomData))
    }
}

/// A field's name, borrowed unless it has escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }
    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }
    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// What kind of value this is, in words.
pub(super) fn kind(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Whether it is null.
pub(super) fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// Whether it is a string.
pub(super) fn is_string(raw: &RawValue) -> bool {
    raw.get().starts_with('"')
}

/// An object's fields.
pub(super) fn object(raw: &RawValue) -> Result<Fields<'_>, Wrong> {
    serde_json::from_str(raw.get()).map_err(|_| Wrong::kind("an object", raw))
}

/// A list's items.
pub(super) fn items(raw: &RawValue) -> Result<Vec<&RawValue>, Wrong> {
    serde_json::from_str(raw.get()).map_err(|_| Wrong::kind("an array", raw))
}

/// A string.
pub(super) fn string(raw: &RawValue) -> Result<String, Wrong> {
    text(raw).map(Cow::into_owned)
}

/// A string, borrowed unless it has escapes.
pub(super) fn text(raw: &RawValue) -> Result<Cow<'_, str>, Wrong> {
    let json = raw.get();
    let Some(inner) = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Err(Wrong::kind("a string", raw));
    };
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    // What is left to be wrong is a surrogate without its twin: there is no text that it stands for.
    serde_json::from_str(json)
        .map(Cow::Owned)
        .map_err(|_| Wrong::says("expected a string of valid Unicode, but an escape in it is not"))
}

/// A value that `FromStr` reads from JSON's own notation: whole numbers of a width, booleans.
pub(super) fn plain<T: std::str::FromStr>(raw: &RawValue, expected: &str) -> Result<T, Wrong> {
    raw.get().parse().map_err(|_| match raw.get().as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => Wrong::says(format!("expected {expected}, but got {}", raw.get())),
        _ => Wrong::kind(expected, raw),
    })
}

/// A finite number.
pub(super) fn float(raw: &RawValue) -> Result<f64, Wrong> {
    if !matches!(raw.get().as_bytes().first(), Some(b'-' | b'0'..=b'9')) {
        return Err(Wrong::kind("a number", raw));
    }
    let number: f64 = plain(raw, "a number")?;
    if number.is_finite() { Ok(number) } else { Err(Wrong::says("expected a number that fits a double")) }
}

/// What takes the fields of an object one by one while it is being parsed.
pub(super) trait Take<'de> {
    /// Takes the value of `name` out of `map`, whatever it is.
    fn field<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error>;
}

/// Parses an object (or null, which has no fields) into a taker.
pub(super) struct ObjectInto<'t, T>(pub(super) &'t mut T);

impl<'de, T: Take<'de>> DeserializeSeed<'de> for ObjectInto<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Take<'de>> Visitor<'de> for ObjectInto<'_, T> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            if is_owned(&name) {
                skip(&mut map)?;
            } else {
                self.0.field(&name, &mut map)?;
            }
        }
        Ok(())
    }
}

/// Parses a list (or null, which has no items) of objects, each into a fresh taker.
pub(super) struct ListInto<'t, T>(pub(super) &'t mut Vec<T>);

impl<'de, T: Take<'de> + Default> DeserializeSeed<'de> for ListInto<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Take<'de> + Default> Visitor<'de> for ListInto<'_, T> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        loop {
            let mut next = T::default();
            if list.next_element_seed(ObjectInto(&mut next))?.is_none() {
                return Ok(());
            }
            self.0.push(next);
        }
    }
}

/// Takes a value and drops it.
pub(super) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

/// Takes a value into a pocket.
pub(super) fn keep<'de, A: MapAccess<'de>>(map: &mut A, name: &str, pocket: &mut Extras) -> Result<(), A::Error> {
    let value: RawJson = map.next_value()?;
    pocket.push(name, value);
    Ok(())
}

/// A string as well as it can be read: half a surrogate pair, as some servers cut them between two events, becomes U+FFFD.
pub(super) fn lenient(raw: &RawValue) -> String {
    string(raw).unwrap_or_else(|_| serde_json::from_str(&whole_pairs(raw.get())).unwrap_or_default())
}

/// JSON text whose escapes of halves without their other half are replaced.
fn whole_pairs(json: &str) -> String {
    let half = |text: &str| {
        let digits = text.strip_prefix("\\u").and_then(|rest| rest.get(..4));
        digits.and_then(|digits| u16::from_str_radix(digits, 16).ok())
    };
    let (mut out, mut rest) = (String::with_capacity(json.len()), json);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let second = || escape.get(6..).and_then(half);
        let length = match half(escape) {
            Some(0xD800..=0xDBFF) if matches!(second(), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => {
                out.push('\u{FFFD}');
                rest = escape.get(6..).unwrap_or_default();
                continue;
            }
            _ => 2,
        };
        let (escape, after) = escape.split_at_checked(length).unwrap_or((escape, ""));
        out.push_str(escape);
        rest = after;
    }
    out + rest
}

/// Takes a text: a string becomes the text, null becomes nothing, anything else goes into the pocket.
pub(super) fn take_text<'de, A: MapAccess<'de>>(map: &mut A, name: &str, pocket: &mut Extras) -> Result<Option<String>, A::Error> {
    let raw: &'de RawValue = map.next_value()?;
    if is_string(raw) {
        return Ok(Some(lenient(raw)));
    }
    if !is_null(raw) {
        pocket.push(name, raw.to_owned());
    }
    Ok(None)
}
