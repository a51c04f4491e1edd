//! Images and files of a message, as each dialect spells them, and what all spellings say.
//!
//! Apart so that no dialect knows another's: each writes from [`Media`], and what came in its own spelling passes as it is. It must not
//! look into the data.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::wire;

/// What a part carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Media<'a> {
    pub(super) what: What,
    pub(super) source: Source<'a>,
    /// Name of the file.
    pub(super) name: Option<Cow<'a, str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Image,
    File,
}

/// Where its bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source<'a> {
    /// Here, in base64.
    Data { media_type: Cow<'a, str>, data: Cow<'a, str> },
    /// Elsewhere.
    Url(Cow<'a, str>),
}

impl<'a> Media<'a> {
    /// Reads a part of this kind; `None` when it is none that can be told in every spelling.
    pub(super) fn read(kind: &str, raw: &'a RawValue) -> Option<Self> {
        let fields = Fields(wire::object(raw).ok()?);
        match kind {
            "image" => Some(Self { what: What::Image, source: sourced(&fields)?, name: None }),
            "document" => Some(Self { what: What::File, source: sourced(&fields)?, name: fields.text("title") }),
            "image_url" => {
                let url = fields.get("image_url")?;
                let url = wire::text(url).ok().or_else(|| Fields(wire::object(url).ok()?).text("url"))?;
                Some(Self { what: What::Image, source: at(url), name: None })
            }
            "file" => {
                let file = Fields(wire::object(fields.get("file")?).ok()?);
                Some(Self { what: What::File, source: at(file.text("file_data")?), name: file.text("filename") })
            }
            _ => None,
        }
    }

    /// Its address; data as a `data:` URL.
    pub(super) fn url(&self) -> Cow<'_, str> {
        match &self.source {
            Source::Url(url) => Cow::Borrowed(url),
            Source::Data { media_type, data } => Cow::Owned(format!("data:{media_type};base64,{data}")),
        }
    }
}

struct Fields<'a>(wire::Fields<'a>);

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.0.iter().find(|(field, _)| field == name).map(|(_, raw)| *raw)
    }

    fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        wire::text(self.get(name)?).ok()
    }
}

/// A `source` object: `{type: base64, media_type, data}` or `{type: url, url}`.
fn sourced<'a>(fields: &Fields<'a>) -> Option<Source<'a>> {
    let source = Fields(wire::object(fields.get("source")?).ok()?);
    match &*source.text("type")? {
        "base64" => Some(Source::Data { media_type: source.text("media_type")?, data: source.text("data")? }),
        "url" => Some(Source::Url(source.text("url")?)),
        _ => None,
    }
}

/// What an address stands for.
fn at(url: Cow<'_, str>) -> Source<'_> {
    let parts = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    match (parts, &url) {
        (Some((kind, data)), Cow::Owned(_)) => Source::Data { media_type: kind.to_owned().into(), data: data.to_owned().into() },
        (Some(_), Cow::Borrowed(text)) => {
            let (kind, data) = text.trim_start_matches("data:").split_once(";base64,").unwrap_or_default();
            Source::Data { media_type: kind.into(), data: data.into() }
        }
        (None, _) => Source::Url(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(kind: &str, json: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        Media::read(kind, raw).map(|media| media.url().into_owned())
    }

    #[test]
    fn every_spelling_says_the_same() {
        let data = Some("data:image/png;base64,aGk=".to_owned());
        assert_eq!(url("image", r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}}"#), data);
        assert_eq!(url("image_url", r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}}"#), data);
        assert_eq!(url("image", r#"{"source":{"type":"url","url":"https://h/x"}}"#).as_deref(), Some("https://h/x"));
        assert_eq!(
            url("file", r#"{"file":{"file_data":"data:a/b;base64,eA==","filename":"f"}}"#).as_deref(),
            Some("data:a/b;base64,eA==")
        );
        assert_eq!(url("image", r#"{"source":{"type":"file","file_id":"f_1"}}"#), None);
        assert_eq!(url("input_audio", "{}"), None);
    }
}
