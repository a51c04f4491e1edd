//! OpenAI's embeddings and moderations: texts go in as `input`, and what comes out is no text but numbers.
//!
//! Apart because both are one shape: the input is messages of the canonical request, which policies inspect and edit as any prompt; the
//! answer's body is kept as it came, vectors in base64 and all, and only its usage is read. It must not know HTTP, sockets or time.

use bytes::Bytes;
use gatewright_types::{ChatRequest, Chunk, Completion, Delta, Extras, Fault, FinishReason, Raw};
use serde::de::{DeserializeSeed, MapAccess};
use serde_json::Value;
use serde_json::value::RawValue;

use super::openai_chat::{self, OpenAiChat, delta, fault};
use super::out::Out;
use super::wire::{self, ObjectInto, Take};
use super::{ANSWER, Asked, Begin, Dialect, Listed, ReadEvents, Said, WriteEvents, body, own, texts};

/// One of these APIs.
#[derive(Clone, Copy, Debug)]
pub struct OpenAiInput {
    name: &'static str,
    path: &'static str,
    /// The field of an answer without which it is none.
    answer: &'static str,
    /// The model of who names none.
    model: Option<&'static str>,
}

/// `/v1/embeddings`.
pub const EMBEDDINGS: OpenAiInput = OpenAiInput { name: "openai_embeddings", path: "/v1/embeddings", answer: "data", model: None };
/// `/v1/moderations`.
pub const MODERATIONS: OpenAiInput =
    OpenAiInput { name: "openai_moderations", path: "/v1/moderations", answer: "results", model: Some("omni-moderation-latest") };

impl Dialect for OpenAiInput {
    fn name(&self) -> &'static str {
        self.name
    }

    fn path(&self) -> &'static str {
        self.path
    }

    fn beside(&self) -> Option<&'static str> {
        Some(openai_chat::NAME)
    }

    fn answers_in_text(&self) -> bool {
        false
    }

    fn read(&self, body: &[u8], _: &Asked<'_>) -> Result<ChatRequest, Fault> {
        let fields = body::fields(body)?;
        let mut request = ChatRequest { spoken: self.name, wants: self.name, ..ChatRequest::default() };
        let mut model = self.model.map(str::to_owned);
        for (name, raw) in &fields.0 {
            let read = match &**name {
                "model" if self.model.is_some() && wire::is_null(raw) => Ok(()),
                "model" => wire::string(raw).map(|name| model = Some(name)),
                "input" => texts::read(&mut request, raw),
                _ => {
                    request.extras.push(&**name, (*raw).to_owned());
                    Ok(())
                }
            };
            read.map_err(|wrong| body::invalid(wrong.within(name)))?;
        }
        request.model = model.ok_or_else(|| body::missing("model"))?;
        if request.messages.is_empty() {
            return Err(body::missing("input"));
        }
        Ok(request)
    }

    fn events(&self, begin: Begin) -> Box<dyn WriteEvents> {
        // Nobody can ask for a stream of these.
        OpenAiChat.events(begin)
    }

    fn whole(&self, answer: &Completion, _: &Begin) -> Bytes {
        answer.extras.get(&own(self.name, ANSWER)).map(|json| Bytes::copy_from_slice(json.as_bytes())).unwrap_or_default()
    }

    fn envelope(&self, fault: &Fault, request_id: &str) -> Bytes {
        OpenAiChat.envelope(fault, request_id)
    }

    fn id_prefix(&self) -> &'static str {
        ""
    }

    fn model(&self, model: &Listed<'_>) -> Value {
        OpenAiChat.model(model)
    }

    fn models(&self, models: Vec<Value>) -> Value {
        OpenAiChat.models(models)
    }

    fn url(&self, base: &str) -> String {
        format!("{base}{}", self.path.trim_start_matches("/v1"))
    }

    fn credentials(&self, key: Option<&str>) -> Vec<(&'static str, String)> {
        OpenAiChat.credentials(key)
    }

    fn write(&self, request: &ChatRequest) -> Result<Bytes, Fault> {
        let mut out = Out::with_room(1024);
        out.open();
        out.text("model", &request.model);
        texts::write(&mut out, request, ("input", request.messages.iter()));
        out.extras(&request.extras, |name, _| !matches!(name, "model" | "input"));
        out.close();
        Ok(out.done())
    }

    fn reader(&self) -> Box<dyn ReadEvents> {
        OpenAiChat.reader()
    }

    fn read_body(&self, body: Bytes) -> Result<Chunk, Fault> {
        let text = std::str::from_utf8(&body).map_err(|_| delta::unreadable("it is not UTF-8", &body))?;
        let whole: &RawValue = serde_json::from_str(text.trim()).map_err(|_| delta::unreadable("it is not JSON", &body))?;
        let mut answer = Answer { wanted: self.answer, ..Answer::default() };
        let mut json = serde_json::Deserializer::from_str(whole.get());
        ObjectInto(&mut answer).deserialize(&mut json).map_err(|_| delta::unreadable("it is no object", &body))?;
        if let Some(error) = answer.error {
            return Err(fault::said(error, &body));
        }
        if !answer.there {
            return Err(delta::unreadable(&format!("the body has no `{}`", self.answer), &body));
        }
        let mut deltas = vec![Delta::Start { id: String::new(), model: answer.model.unwrap_or_default(), created: 0 }];
        deltas.extend(answer.usage.and_then(delta::usage::read).map(Delta::Usage));
        deltas.push(Delta::Finish { choice: 0, reason: FinishReason::Stop });
        let mut extras = Extras::new();
        extras.push(own(self.name, ANSWER), whole.to_owned());
        Ok(Chunk { deltas, extras, raw: Some(Raw::Body(self.name, body.clone())) })
    }

    fn said(&self, body: &[u8]) -> Option<Said> {
        OpenAiChat.said(body)
    }
}

/// What is read of an answer.
#[derive(Default)]
struct Answer<'a> {
    wanted: &'static str,
    there: bool,
    model: Option<String>,
    error: Option<&'a RawValue>,
    usage: Option<&'a RawValue>,
}

impl<'de> Take<'de> for Answer<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let raw: &'de RawValue = map.next_value()?;
        match name {
            _ if wire::is_null(raw) => {}
            "model" => self.model = wire::string(raw).ok(),
            "error" => self.error = Some(raw),
            "usage" => self.usage = Some(raw),
            name => self.there |= name == self.wanted,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(dialect: &OpenAiInput, body: &str) -> String {
        let request = dialect.read(body.as_bytes(), &Asked::default()).unwrap();
        String::from_utf8(dialect.write(&request).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn every_form_of_input_leaves_as_it_came() {
        for body in [
            r#"{"model":"e","input":"one","encoding_format":"base64","dimensions":3}"#,
            r#"{"model":"e","input":["one"],"user":"u"}"#,
            r#"{"model":"e","input":["one","two"]}"#,
            r#"{"model":"e","input":[1,22,333]}"#,
            r#"{"model":"e","input":[[1,22],[333]]}"#,
        ] {
            assert_eq!(sent(&EMBEDDINGS, body), body);
        }
        let parts =
            r#"{"model":"m","input":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"https://e.example/a"}}]}"#;
        assert_eq!(sent(&MODERATIONS, parts), parts);
        assert_eq!(sent(&MODERATIONS, r#"{"input":"x"}"#), r#"{"model":"omni-moderation-latest","input":"x"}"#);
    }

    #[test]
    fn what_is_no_request_is_refused_with_the_fields_name() {
        for (body, param) in [
            (r#"{"input":"x"}"#, "model"),
            (r#"{"model":"e"}"#, "input"),
            (r#"{"model":"e","input":null}"#, "input"),
            (r#"{"model":"e","input":[]}"#, "input"),
            (r#"{"model":"e","input":["a",true]}"#, "input[1]"),
        ] {
            let fault = EMBEDDINGS.read(body.as_bytes(), &Asked::default()).unwrap_err();
            assert_eq!((fault.status(), fault.param.as_deref()), (400, Some(param)), "{body}");
        }
    }

    #[test]
    fn an_answer_keeps_its_bytes_and_tells_its_usage() {
        let body = r#"{"object":"list","data":[{"embedding":"AACAPw==","index":0}],"model":"e-1","usage":{"prompt_tokens":4,"total_tokens":4}}"#;
        let chunk = EMBEDDINGS.read_body(Bytes::from(body)).unwrap();
        assert!(matches!(&chunk.raw, Some(Raw::Body("openai_embeddings", raw)) if raw == body));
        assert!(
            chunk.deltas.iter().any(|delta| matches!(delta, Delta::Usage(usage) if (usage.prompt, usage.completion) == (4, 0)))
        );
        // Out of the cache, which keeps no raw copies.
        let mut answer = Completion::default();
        gatewright_types::gather_into(&mut answer, Chunk { raw: None, ..chunk });
        assert_eq!(EMBEDDINGS.whole(&answer, &Begin::default()), body);
    }

    #[test]
    fn what_is_no_answer_is_a_fault() {
        for (body, status) in [("{}", 502), ("{\"data\":[", 502), (r#"{"error":{"message":"m","code":429}}"#, 429)] {
            assert_eq!(EMBEDDINGS.read_body(Bytes::from(body)).unwrap_err().status(), status, "{body}");
        }
    }
}
