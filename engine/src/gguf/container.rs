//! The container itself, versions 2 and 3 (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>): key and value pairs, then
//! tensors' names, shapes and places, then their bytes.
//!
//! Apart because what comes out of here was checked: every length against the file's, every place, every text. A file that lies costs an
//! error and no more memory than it has bytes. It must not know what keys or names mean.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use crate::packing::{ALL, Packing};

/// A value of a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Whole(i128),
    Number(f64),
    Bool(bool),
    Text(String),
    List(List),
}

/// A list's values stay in the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct List {
    kind: u32,
    len: usize,
    place: Range<usize>,
}

/// Where a tensor is.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) packing: Packing,
    /// As row-major tensors are described: the width last.
    pub(super) shape: Vec<usize>,
    pub(super) place: Range<usize>,
}

/// All that the file says before its tensors' bytes.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) values: BTreeMap<String, Value>,
    pub(super) tensors: HashMap<String, Entry>,
}

const TEXT: u32 = 8;
const LIST: u32 = 9;
/// Where tensors lie where the file does not say.
const ALIGNMENT: usize = 32;
const MOST_DIMENSIONS: usize = 4;

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len());
        let end = end
            .ok_or_else(|| format!("it ends at byte {} within a part that begins at {}: cut short?", self.bytes.len(), self.at))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| "cut short".to_owned())
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn length(&mut self) -> Result<usize, String> {
        let length = u64::from_le_bytes(self.array()?);
        usize::try_from(length).map_err(|_| format!("a length of {length} at byte {}", self.at))
    }

    fn text(&mut self) -> Result<&'a str, String> {
        let length = self.length()?;
        let at = self.at;
        std::str::from_utf8(self.take(length)?).map_err(|_| format!("the text at byte {at} is not UTF-8"))
    }

    fn value(&mut self, kind: u32) -> Result<Value, String> {
        Ok(match kind {
            0 => Value::Whole(u8::from_le_bytes(self.array()?).into()),
            1 => Value::Whole(i8::from_le_bytes(self.array()?).into()),
            2 => Value::Whole(u16::from_le_bytes(self.array()?).into()),
            3 => Value::Whole(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Whole(self.u32()?.into()),
            5 => Value::Whole(i32::from_le_bytes(self.array()?).into()),
            6 => Value::Number(f32::from_le_bytes(self.array()?).into()),
            7 => Value::Bool(self.array::<1>()? != [0]),
            TEXT => Value::Text(self.text()?.to_owned()),
            LIST => {
                let (kind, len) = (self.u32()?, self.length()?);
                let from = self.at;
                match size(kind) {
                    Some(size) => {
                        self.take(len.checked_mul(size).ok_or("a list that is longer than memory")?)?;
                    }
                    None if kind == TEXT => (0..len).try_for_each(|_| self.text().map(drop))?,
                    None => return Err(format!("a list of values of kind {kind}")),
                }
                Value::List(List { kind, len, place: from..self.at })
            }
            10 => Value::Whole(u64::from_le_bytes(self.array()?).into()),
            11 => Value::Whole(i64::from_le_bytes(self.array()?).into()),
            12 => Value::Number(f64::from_le_bytes(self.array()?)),
            other => return Err(format!("a value of kind {other}")),
        })
    }
}

/// Bytes of a value that always has as many.
fn size(kind: u32) -> Option<usize> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// GGML's numbers of the formats that are read here.
fn packing(kind: u32) -> Option<Packing> {
    let number = |packing: &Packing| match packing {
        Packing::F32 => 0,
        Packing::F16 => 1,
        Packing::Q4_0 => 2,
        Packing::Q4_1 => 3,
        Packing::Q5_0 => 6,
        Packing::Q5_1 => 7,
        Packing::Q8_0 => 8,
        Packing::Q4K => 12,
        Packing::Q5K => 13,
        Packing::Q6K => 14,
        Packing::Bf16 => 30,
    };
    ALL.into_iter().find(|packing| number(packing) == kind)
}

impl Container {
    /// Reads and checks all but the tensors' bytes.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { bytes, at: 0 };
        if reader.take(4)? != b"GGUF" {
            return Err("not a GGUF file".to_owned());
        }
        match reader.u32()? {
            2 | 3 => {}
            swapped if matches!(swapped.swap_bytes(), 2 | 3) => return Err("a big-endian file".to_owned()),
            version => return Err(format!("version {version} of the format; 2 and 3 are read here")),
        }
        let (tensors, pairs) = (reader.length()?, reader.length()?);
        let mut values = BTreeMap::new();
        for _ in 0..pairs {
            let key = reader.text()?;
            let kind = reader.u32()?;
            let value = reader.value(kind).map_err(|what| format!("key `{key}`: {what}"))?;
            if values.insert(key.to_owned(), value).is_some() {
                return Err(format!("key `{key}` is there twice"));
            }
        }
        let mut entries = HashMap::new();
        let mut offsets = Vec::new();
        for _ in 0..tensors {
            let name = reader.text()?;
            let (entry, offset) = entry(&mut reader).map_err(|what| format!("tensor `{name}`: {what}"))?;
            if entries.insert(name.to_owned(), entry).is_some() {
                return Err(format!("tensor `{name}` is there twice"));
            }
            offsets.push((name, offset));
        }
        let mut container = Self { values, tensors: entries };
        container.lay(reader, &offsets)?;
        Ok(container)
    }

    /// Turns offsets into places.
    fn lay(&mut self, reader: Reader<'_>, offsets: &[(&str, usize)]) -> Result<(), String> {
        let alignment = self.whole("general.alignment")?.unwrap_or(ALIGNMENT);
        if alignment == 0 {
            return Err("general.alignment is 0".to_owned());
        }
        let end = reader.bytes.len();
        let start = reader.at.checked_next_multiple_of(alignment);
        for (name, offset) in offsets {
            let Some(entry) = self.tensors.get_mut(*name) else { continue };
            let from = start.and_then(|start| start.checked_add(*offset));
            let place = from.and_then(|from| Some(from..from.checked_add(entry.place.len())?));
            entry.place = place.filter(|place| place.end <= end).ok_or_else(|| {
                format!("tensor `{name}` of {} bytes lies outside the file of {end}: cut short?", entry.place.len())
            })?;
        }
        Ok(())
    }

    /// A whole number of a key; one below 0 or that is none is an error.
    pub(super) fn whole(&self, key: &str) -> Result<Option<usize>, String> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Whole(n)) => usize::try_from(*n).map(Some).map_err(|_| format!("`{key}` is {n}")),
            Some(_) => Err(format!("`{key}` is not a whole number")),
        }
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, String> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Number(n)) if !n.is_finite() => Err(format!("`{key}` is {n}")),
            Some(Value::Number(n)) => Ok(Some(*n)),
            Some(Value::Whole(n)) => Ok(Some(*n as f64)),
            Some(_) => Err(format!("`{key}` is not a number")),
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&str>, String> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(format!("`{key}` is not a text")),
        }
    }

    /// A list of texts, out of the file's bytes.
    pub(super) fn texts<'a>(&self, key: &str, bytes: &'a [u8]) -> Result<Vec<&'a str>, String> {
        let (list, bytes) = self.list(key, bytes)?;
        if list.kind != TEXT {
            return Err(format!("`{key}` is not a list of texts"));
        }
        let mut reader = Reader { bytes, at: 0 };
        (0..list.len).map(|_| reader.text()).collect()
    }

    /// A list of so many whole numbers, out of the file's bytes. A number takes more memory than it has bytes there, so that its length is
    /// looked at first.
    pub(super) fn wholes(&self, key: &str, len: usize, bytes: &[u8]) -> Result<Vec<i128>, String> {
        let (list, bytes) = self.list(key, bytes)?;
        if list.len != len {
            return Err(format!("`{key}` has {} numbers where {len} belong", list.len));
        }
        let mut reader = Reader { bytes, at: 0 };
        let one = |_| match reader.value(list.kind)? {
            Value::Whole(n) => Ok(n),
            _ => Err(format!("`{key}` is not a list of whole numbers")),
        };
        (0..list.len).map(one).collect()
    }

    fn list<'a>(&self, key: &str, bytes: &'a [u8]) -> Result<(&List, &'a [u8]), String> {
        match self.values.get(key) {
            None => Err(format!("`{key}` is missing")),
            Some(Value::List(list)) => Ok((list, bytes.get(list.place.clone()).unwrap_or_default())),
            Some(_) => Err(format!("`{key}` is not a list")),
        }
    }
}

/// A tensor's description, with its length as its place, and its offset.
fn entry(reader: &mut Reader<'_>) -> Result<(Entry, usize), String> {
    let dimensions = reader.u32()? as usize;
    if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
        return Err(format!("{dimensions} dimensions"));
    }
    let mut shape = (0..dimensions).map(|_| reader.length()).collect::<Result<Vec<_>, _>>()?;
    shape.reverse();
    let kind = reader.u32()?;
    let known = || ALL.map(Packing::name).join(", ");
    let packing = packing(kind).ok_or_else(|| format!("is of GGML's type {kind}; this engine reads {}", known()))?;
    let offset = reader.length()?;
    let row = shape.last().and_then(|width| packing.row_bytes(*width));
    let bytes = shape.iter().rev().skip(1).try_fold(row, |bytes, n| Some(bytes?.checked_mul(*n)));
    let bytes = bytes.flatten().ok_or_else(|| format!("shape {shape:?} does not fit {}", packing.name()))?;
    Ok((Entry { packing, shape, place: 0..bytes }, offset))
}
