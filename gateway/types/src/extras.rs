//! The pocket for what a dialect has and the hub lacks: unknown fields, kept as the bytes they came in.
//!
//! Apart because every noun carries one. It must not interpret what it holds.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

/// One JSON value, kept byte for byte as it was received.
pub type RawJson = Box<RawValue>;

/// Unknown fields of one object in the order they came, each value byte for byte. No duplicates are merged.
#[derive(Clone, Debug, Default)]
pub struct Extras(Vec<(Box<str>, RawJson)>);

impl Extras {
    /// An empty pocket; allocates nothing.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether the pocket holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one field at the end.
    pub fn push(&mut self, name: impl Into<Box<str>>, value: RawJson) {
        self.0.push((name.into(), value));
    }

    /// The value of the first field of that name, as JSON text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| &**n == name).map(|(_, v)| v.get())
    }

    /// Takes the first field of that name out of the pocket.
    pub fn take(&mut self, name: &str) -> Option<RawJson> {
        let at = self.0.iter().position(|(n, _)| &**n == name)?;
        Some(self.0.remove(at).1)
    }

    /// Puts a value in the place of the field at this position.
    pub fn set(&mut self, at: usize, value: RawJson) -> Option<()> {
        self.0.get_mut(at)?.1 = value;
        Some(())
    }

    /// Keeps only the fields that `keep` wants, by name and JSON text.
    pub fn retain(&mut self, keep: impl Fn(&str, &str) -> bool) {
        self.0.retain(|(name, value)| keep(name, value.get()));
    }

    /// Moves all fields of `newer` to the end of this pocket; of a name that both have, the newer ones stay.
    pub fn replace(&mut self, newer: Self) {
        if !self.is_empty() {
            self.0.retain(|(name, _)| newer.get(name).is_none());
        }
        self.append(newer);
    }

    /// Name and JSON text of each field, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(n, v)| (&**n, &**v))
    }

    /// Moves all fields of `other` to the end of this pocket.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Writes all fields into a map that is being serialised.
    ///
    /// # Errors
    /// What the serialiser says.
    pub fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        self.0.iter().try_for_each(|(n, v)| map.serialize_entry(&**n, v))
    }
}

impl<'a> FromIterator<(&'a str, &'a RawValue)> for Extras {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a RawValue)>>(fields: I) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name.into(), value.to_owned())).collect())
    }
}

impl PartialEq for Extras {
    fn eq(&self, other: &Self) -> bool {
        self.iter().map(|(n, v)| (n, v.get())).eq(other.iter().map(|(n, v)| (n, v.get())))
    }
}

impl Serialize for Extras {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.write(&mut map)?;
        map.end()
    }
}

impl<'de> serde::Deserialize<'de> for Extras {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> serde::de::Visitor<'de> for Fields {
            type Value = Extras;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Extras, A::Error> {
                let mut extras = Extras::new();
                while let Some((name, value)) = map.next_entry::<Cow<'de, str>, RawJson>()? {
                    extras.push(name.into_owned(), value);
                }
                Ok(extras)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}
