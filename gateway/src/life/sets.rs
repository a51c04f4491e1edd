//! The fields of a request that a plugin may set, by JSON pointer: the plugin host checked pointer and type already.
//!
//! Apart because it is a table. It must not know plugins or routes: a new model name is handed back, for the stages to resolve.

use gatewright_types::{ChatRequest, RawJson};
use serde_json::Value;

use crate::dialects::unforced;

/// Applies settings in order; the last `/model` is returned.
pub(super) fn apply(request: &mut ChatRequest, sets: Vec<(String, Value)>) -> Option<String> {
    let mut model = None;
    for (pointer, value) in sets {
        match (pointer.as_str(), value) {
            ("/model", Value::String(name)) => model = Some(name),
            (pointer, value) => set(request, pointer, value),
        }
    }
    model
}

fn set(request: &mut ChatRequest, pointer: &str, value: Value) {
    let sampling = &mut request.sampling;
    match pointer {
        "/max_tokens" | "/max_completion_tokens" => sampling.max_tokens = value.as_u64(),
        "/temperature" => sampling.temperature = value.as_f64(),
        "/top_p" => sampling.top_p = value.as_f64(),
        "/frequency_penalty" => sampling.frequency_penalty = value.as_f64(),
        "/presence_penalty" => sampling.presence_penalty = value.as_f64(),
        "/seed" => sampling.seed = value.as_i64(),
        "/stop" => {
            sampling.stop = match value {
                Value::String(text) => vec![text],
                Value::Array(texts) => texts.into_iter().filter_map(|text| text.as_str().map(str::to_owned)).collect(),
                _ => return,
            }
        }
        "/tool_choice" => {
            unforced(request);
            request.tool_choice = raw(&value);
        }
        _ => match pointer.strip_prefix("/metadata/") {
            Some(key) => set_metadata(request, key, value),
            None => tracing::warn!(pointer, "a plugin set a field that the gateway does not know; ignored"),
        },
    }
}

fn raw(value: &Value) -> Option<RawJson> {
    serde_json::value::to_raw_value(value).ok()
}

fn set_metadata(request: &mut ChatRequest, key: &str, value: Value) {
    let before = request.extras.take("metadata");
    let mut metadata = before.and_then(|json| serde_json::from_str::<serde_json::Map<_, _>>(json.get()).ok()).unwrap_or_default();
    metadata.insert(key.replace("~1", "/").replace("~0", "~"), value);
    if let Some(json) = raw(&Value::Object(metadata)) {
        request.extras.push("metadata", json);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn known_fields_are_set_and_a_model_is_handed_back() {
        let mut request = ChatRequest::default();
        let sets = [
            ("/temperature", json!(0.5)),
            ("/stop", json!("x")),
            ("/metadata/team", json!("a")),
            ("/metadata/more", json!(1)),
            ("/model", json!("other")),
            ("/tool_choice", json!("none")),
        ];
        let model = apply(&mut request, sets.map(|(pointer, value)| (pointer.to_owned(), value)).into());
        assert_eq!(model.as_deref(), Some("other"));
        assert_eq!(request.sampling.temperature, Some(0.5));
        assert_eq!(request.sampling.stop, ["x"]);
        assert_eq!(request.extras.get("metadata"), Some(r#"{"team":"a","more":1}"#));
        assert_eq!(request.tool_choice.unwrap().get(), r#""none""#);
    }
}
