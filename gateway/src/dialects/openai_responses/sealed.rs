//! Thought that its vendor has sealed: what of a message's thought it is, whose, and the vendor's own word for it, byte for byte.
//!
//! Apart because here, and nowhere else, a vendor's seal meets the text that it came with: it goes back on that very text, to that very
//! vendor, and is dropped where a policy changed it. On its way through a client whose it is stands before the word, for there it is kept
//! alone. It must not know our own envelopes.

use std::borrow::Cow;

use gatewright_types::{ChatRequest, Chunk, Delta, Extras, RawJson};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{NAME, SEALED, keep_value};
use crate::dialects::of_own;

/// What stands before whose a word is, which a point ends. Nobody's is one whose vendor is not known, and that looks marked itself, for it
/// comes from another gateway: taken off again, the mark that is the vendor's own stays.
const MARK: &str = "\"gatewright.by.";

/// A seal, and what it is on.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Sealed {
    /// Where the text begins in the thought.
    at: usize,
    bytes: usize,
    sum: String,
    /// What the vendor shows of it.
    pub(super) shown: Shown,
    /// The vendor's word.
    pub(super) word: Box<RawValue>,
    /// Whose it is, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

/// What is shown of a thought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Shown {
    /// The thought itself.
    #[default]
    Text,
    /// A summary of it.
    Summary,
}

fn sum(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

impl Sealed {
    /// A vendor's word on this text, which begins there in the thought.
    pub(super) fn new((at, text): (usize, &str), shown: Shown, word: &RawValue) -> Self {
        Self { at, bytes: text.len(), sum: sum(text), shown, word: word.to_owned(), by: None }
    }

    /// The same of what a client was told of one.
    pub(super) fn read(place: (usize, &str), shown: Shown, word: &RawValue) -> Self {
        let marked = word.get().strip_prefix(MARK).and_then(|rest| rest.split_once('.'));
        match marked.and_then(|(by, word)| Some((by, RawValue::from_string(format!("\"{word}")).ok()?))) {
            Some((by, word)) => Self { by: Some(by.to_owned()).filter(|by| !by.is_empty()), ..Self::new(place, shown, &word) },
            None => Self::new(place, shown, word),
        }
    }

    /// What a client is told of it.
    pub(super) fn told(&self) -> RawJson {
        let nobody = self.word.get().starts_with(MARK).then_some("");
        let word = self.by.as_deref().or(nobody).zip(self.word.get().strip_prefix('"'));
        let marked = word.and_then(|(by, word)| RawValue::from_string(format!("{MARK}{by}.{word}")).ok());
        marked.unwrap_or_else(|| self.word.clone())
    }

    /// All that are in a pocket.
    pub(super) fn all(extras: &Extras) -> Vec<Self> {
        let named = extras.iter().filter(|(name, _)| of_own(NAME, name) == Some(SEALED));
        named.filter_map(|(_, value)| serde_json::from_str(value.get()).ok()).collect()
    }

    /// Puts it into a pocket.
    pub(super) fn put(&self, extras: &mut Extras) {
        keep_value(extras, SEALED, self);
    }

    /// Whether it is on this text.
    pub(super) fn is_on(&self, text: &str) -> bool {
        self.bytes == text.len() && self.sum == sum(text)
    }
}

/// Stands for a provider in words that clients keep: they need not learn who it is.
fn mark(provider: &str) -> String {
    sum(provider)[..16].to_owned()
}

/// Notes in what a provider answers that its seals are its own.
pub(super) fn stamp(chunk: &mut Chunk, provider: &str) {
    for delta in &mut chunk.deltas {
        let Delta::Other { delta, .. } = delta else { continue };
        let sealed = Sealed::all(delta);
        if sealed.is_empty() {
            continue;
        }
        delta.retain(|name, _| of_own(NAME, name) != Some(SEALED));
        sealed.into_iter().for_each(|sealed| Sealed { by: Some(mark(provider)), ..sealed }.put(delta));
    }
}

/// Whether there are seals in a request, by the mark of whose they are, that this says of.
fn any(request: &ChatRequest, says: impl Fn(Option<&str>) -> bool) -> bool {
    request.messages.iter().flat_map(|message| Sealed::all(&message.extras)).any(|sealed| says(sealed.by.as_deref()))
}

/// Whether a request has thought that is sealed.
pub(super) fn has(request: &ChatRequest) -> bool {
    any(request, |_| true)
}

/// Whether it has some that another than this provider has sealed.
pub(super) fn has_others(request: &ChatRequest, provider: &str) -> bool {
    let own = mark(provider);
    any(request, |by| by.is_some_and(|by| by != own))
}

/// The request without what others than this provider have sealed: it could not open that, and would refuse it all.
pub(super) fn withhold<'a>(request: Cow<'a, ChatRequest>, provider: &str) -> Cow<'a, ChatRequest> {
    if !has_others(&request, provider) {
        return request;
    }
    let (mut request, own) = (request.into_owned(), mark(provider));
    for message in &mut request.messages {
        let mut sealed = Sealed::all(&message.extras);
        message.extras.retain(|name, _| of_own(NAME, name) != Some(SEALED));
        sealed.retain(|sealed| sealed.by.as_ref().is_none_or(|by| *by == own));
        sealed.iter().for_each(|sealed| sealed.put(&mut message.extras));
    }
    Cow::Owned(request)
}

/// A thought in the pieces that were sealed, and those between them. What was changed has no seal any more.
pub(super) fn pieces<'a>(text: &'a str, extras: &Extras) -> Vec<(&'a str, Option<Sealed>)> {
    let (mut from, mut pieces) = (0, Vec::new());
    for sealed in Sealed::all(extras) {
        let until = sealed.at.saturating_add(sealed.bytes);
        let Some(said) = text.get(sealed.at..until).filter(|said| sealed.at >= from && sealed.is_on(said)) else { continue };
        pieces.extend(text.get(from..sealed.at).map(|between| (between, None)));
        pieces.push((said, Some(sealed)));
        from = until;
    }
    pieces.extend(text.get(from..).map(|rest| (rest, None)));
    pieces.retain(|(text, sealed)| !text.is_empty() || sealed.is_some());
    pieces
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dialects::openai_responses::OpenAiResponses;
    use crate::dialects::{Asked, Dialect};

    fn asking(word: &str) -> ChatRequest {
        let thought = json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "t"}], "encrypted_content": word});
        let body = json!({"model": "m", "input": [thought, {"role": "user", "content": "x"}]}).to_string();
        OpenAiResponses.read(body.as_bytes(), &Asked { keeps: true, ..Asked::default() }).unwrap()
    }

    fn sent(request: &ChatRequest, provider: &str) -> String {
        String::from_utf8(OpenAiResponses.write(&withhold(Cow::Borrowed(request), provider)).unwrap().into()).unwrap()
    }

    #[test]
    fn a_seal_goes_back_to_its_vendor_alone_byte_for_byte() {
        let mut delta = Extras::new();
        let word = RawValue::from_string("\"gA\\/+=.x\"".to_owned()).unwrap();
        Sealed::new((0, "t"), Shown::Summary, &word).put(&mut delta);
        let mut chunk = Chunk::of(vec![Delta::Other { choice: 0, delta, around: Extras::new() }]);
        stamp(&mut chunk, "first-vendor");
        let [Delta::Other { delta, .. }] = &chunk.deltas[..] else { panic!() };
        let told = Sealed::all(delta)[0].told();
        assert!(told.get().starts_with(MARK) && !told.get().contains("first-vendor"), "{told}");
        let body = format!(r#"{{"model":"m","input":[{{"type":"reasoning","summary":[],"encrypted_content":{told}}}]}}"#);
        let request = OpenAiResponses.read(body.as_bytes(), &Asked { keeps: true, ..Asked::default() }).unwrap();
        assert!(sent(&request, "first-vendor").contains(&format!(r#""encrypted_content":{word}"#)), "as it came");
        assert!(!sent(&request, "second-vendor").contains("gA") && has(&request));
        assert!(has_others(&request, "second-vendor") && !has_others(&request, "first-vendor"));
        let kept = OpenAiResponses.echo(&request).unwrap().conversation.unwrap();
        assert!(kept.contains(told.get()), "whose it is is kept too: {kept}");
    }

    /// What a client is told of a word that a vendor put on a thought that it does not show.
    fn told(word: &RawValue, provider: Option<&str>) -> RawJson {
        let mut delta = Extras::new();
        Sealed::new((0, ""), Shown::Text, word).put(&mut delta);
        let mut chunk = Chunk::of(vec![Delta::Other { choice: 0, delta, around: Extras::new() }]);
        provider.into_iter().for_each(|provider| stamp(&mut chunk, provider));
        let [Delta::Other { delta, .. }] = &chunk.deltas[..] else { panic!() };
        Sealed::all(delta)[0].told()
    }

    #[test]
    fn a_seal_that_another_gateway_has_marked_goes_back_to_it_with_its_mark() {
        let word = RawValue::from_string("\"gAAAA\"".to_owned()).unwrap();
        let within = told(&word, Some("vendor"));
        for outside in [None, Some("inner")] {
            let shown = told(&within, outside);
            let text: String = serde_json::from_str(shown.get()).unwrap();
            let request = asking(&text);
            let expected = format!("\"encrypted_content\":{within}");
            assert!(sent(&request, "inner").contains(&expected), "{outside:?}: {shown}");
            assert_eq!(has_others(&request, "another"), outside.is_some());
            let kept = OpenAiResponses.echo(&request).unwrap().conversation.unwrap();
            assert!(kept.contains(shown.get()), "{kept}");
        }
        let text: String = serde_json::from_str(within.get()).unwrap();
        assert!(sent(&asking(&text), "vendor").contains("\"gAAAA\""));
    }

    #[test]
    fn what_nobody_knows_the_vendor_of_goes_to_any() {
        let request = asking("gAAAA");
        assert!(sent(&request, "one").contains("gAAAA") && sent(&request, "two").contains("gAAAA"));
        assert!(!has_others(&request, "one"));
        let odd = asking("gatewright.by.nobody");
        let kept = OpenAiResponses.echo(&odd).unwrap().conversation.unwrap();
        assert!(kept.contains("\"gatewright.by..gatewright.by.nobody\""), "{kept}");
        assert!(sent(&odd, "one").contains("gatewright.by.nobody"));
    }
}
