//! Images and files of a message, as each dialect spells them, what all spellings say, and about how many tokens they are.
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

/// Tokens of an image at most: its pixels by 750, after it was scaled down to what comes to this (Anthropic, "Vision").
const IMAGE: usize = 1600;
/// Of one that is to be looked at in low detail (OpenAI, "Images and vision").
const LOW_DETAIL: usize = 85;
/// Of a page of a PDF: 1,500 to 3,000 (Anthropic, "PDF support").
const PAGE: usize = 2250;
/// Bytes of a page. Nobody says; pages of text have fewer, scanned ones more.
const PAGE_BYTES: usize = 50_000;
/// Bytes of sound that are one token: a tenth of a second (OpenAI, "Managing costs"), at 128 kbit/s.
const SOUND_BYTES: usize = 1600;

/// A rough number of tokens in a part that is no text: of words a quarter of their bytes, of media what vendors say as a rule. Nothing is
/// decoded, and nothing is fetched.
pub(crate) fn tokens_of(kind: &str, raw: &RawValue) -> u64 {
    let tokens = wire::object(raw).ok().and_then(|fields| known(kind, &Fields(fields)));
    tokens.unwrap_or_else(|| words(raw.get().len())) as u64
}

fn known(kind: &str, fields: &Fields<'_>) -> Option<usize> {
    match kind.rsplit('.').next()? {
        "image" | "image_url" | "input_image" => {
            let detail = || Fields(wire::object(fields.get("image_url")?).ok()?).text("detail");
            let low = fields.text("detail").or_else(detail).is_some_and(|detail| detail == "low");
            Some(if low { LOW_DETAIL } else { IMAGE })
        }
        "document" => document(&Fields(wire::object(fields.get("source")?).ok()?)),
        "file" => {
            let data = Fields(wire::object(fields.get("file")?).ok()?).text("file_data");
            Some(data.map_or(PAGE, |data| file(&data)))
        }
        "input_file" => Some(fields.text("file_data").map_or(PAGE, |data| file(&data))),
        "input_audio" => {
            let data = Fields(wire::object(fields.get("input_audio")?).ok()?).text("data")?;
            Some(decoded(data.len()).div_ceil(SOUND_BYTES))
        }
        _ => None,
    }
}

fn document(source: &Fields<'_>) -> Option<usize> {
    match &*source.text("type")? {
        "text" => Some(words(source.text("data")?.len())),
        // Blocks of words, as a rule.
        "content" => Some(words(source.get("content")?.get().len())),
        "base64" if source.text("media_type").is_some_and(|kind| kind.starts_with("text/")) => {
            Some(words(decoded(source.text("data")?.len())))
        }
        "base64" => Some(pages(decoded(source.text("data")?.len()))),
        _ => Some(PAGE),
    }
}

/// A file that is given as a `data:` URL, or as base64 alone.
fn file(data: &str) -> usize {
    let bytes = decoded(data.len());
    if data.starts_with("data:text/") { words(bytes) } else { pages(bytes) }
}

fn words(bytes: usize) -> usize {
    bytes.div_ceil(4)
}

fn pages(bytes: usize) -> usize {
    bytes.div_ceil(PAGE_BYTES).max(1) * PAGE
}

/// Bytes of what has so many letters in base64.
fn decoded(letters: usize) -> usize {
    letters / 4 * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(kind: &str, json: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        Media::read(kind, raw).map(|media| media.url().into_owned())
    }

    fn tokens(kind: &str, value: &serde_json::Value) -> u64 {
        tokens_of(kind, &serde_json::value::to_raw_value(value).unwrap())
    }

    #[test]
    fn what_is_no_text_has_about_the_tokens_that_vendors_say() {
        use serde_json::json;
        let document = |source| tokens("document", &json!({"type": "document", "source": source}));
        let base64 = |kind: &str, letters: usize| json!({"type": "base64", "media_type": kind, "data": "A".repeat(letters)});
        assert_eq!(document(json!({"type": "text", "media_type": "text/plain", "data": "x".repeat(40_000)})), 10_000);
        assert_eq!(document(base64("text/plain", 40_000)), 7_500);
        assert_eq!((document(base64("application/pdf", 4_000)), document(base64("application/pdf", 400_000))), (2250, 13_500));
        assert_eq!(document(json!({"type": "url", "url": "https://h/x.pdf"})), 2250);
        let blocks = document(json!({"type": "content", "content": [{"type": "text", "text": "x".repeat(4000)}]}));
        assert!((1000..1020).contains(&blocks), "{blocks}");
        assert_eq!(tokens("image", &json!({"source": base64("image/png", 4_000_000)})), 1600);
        let detail = |word: &str| tokens("image_url", &json!({"image_url": {"url": "https://h/x", "detail": word}}));
        assert_eq!((detail("auto"), detail("low")), (1600, 85));
        assert_eq!(tokens("openai_responses.input_image", &json!({"file_id": "f_1"})), 1600);
        assert_eq!(tokens("file", &json!({"file": {"file_data": "A".repeat(4_000)}})), 2250);
        assert_eq!(tokens("input_audio", &json!({"input_audio": {"data": "A".repeat(64_000), "format": "mp3"}})), 30);
        assert_eq!(tokens("anthropic_messages.search_result", &json!({"text": "x".repeat(389)})), 100);
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
