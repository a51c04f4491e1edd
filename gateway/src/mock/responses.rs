//! The same rules in OpenAI's Responses: what is understood of a request, and the events and bodies that answer it.
//!
//! Apart because it is the mock's third language, from its own few lines. It must not wait or send, or keep a response.

use serde_json::{Map, Value, json};

use super::answer::{Answer, CREATED};
use super::question::{OwnTool, Question, text, tokens};
use super::script::Call;

/// What stands for a thought that only its vendor can read.
const ENCRYPTED: &str = "bW9jayByZWFzb25pbmc=";

impl Question {
    /// Reads a request's body; `None` if it is not JSON.
    pub(super) fn read_responses(body: &[u8]) -> Option<Self> {
        let mut question = Self::read(body)?;
        let body: Value = serde_json::from_slice(body).ok()?;
        let said = [json!({"role": "user", "content": body["input"]})];
        let items = body["input"].as_array().map_or(&said[..], Vec::as_slice);
        let user = items.iter().rev().find(|item| item["role"] == "user");
        question.user = user.map(|item| text(&item["content"])).unwrap_or_default();
        let result = |item: &&Value| item["type"].as_str().is_some_and(|kind| kind.ends_with("_call_output"));
        question.tool_result = items.last().filter(result).map(|item| text(&item["output"]));
        let offered: Vec<OwnTool> = body["tools"].as_array().into_iter().flatten().flat_map(tools).collect();
        question.tools = offered.iter().map(|tool| tool.called.clone()).collect();
        question.own_tools = offered.into_iter().filter(|tool| tool.takes_text || tool.namespace.is_some()).collect();
        let characters = |item: &Value| text(&item["content"]).chars().count() + text(&item["output"]).chars().count();
        question.prompt_tokens = tokens(items.iter().map(characters).sum()) + tokens(text(&body["instructions"]).chars().count());
        question.choices = 1;
        Some(question)
    }
}

/// What one entry of `tools` offers; nothing where the vendor runs it.
fn tools(entry: &Value) -> Vec<OwnTool> {
    let one = |tool: &Value, namespace: Option<&str>| {
        let name = tool["name"].as_str()?.to_owned();
        let called = namespace.map_or_else(|| name.clone(), |space| format!("{space}__{name}"));
        Some(OwnTool { called, name, namespace: namespace.map(str::to_owned), takes_text: tool["type"] == "custom" })
    };
    match entry["type"].as_str() {
        Some("namespace") => {
            let inside = entry["tools"].as_array().into_iter().flatten();
            inside.filter_map(|tool| one(tool, entry["name"].as_str())).collect()
        }
        _ => one(entry, None).into_iter().collect(),
    }
}

/// An item of the answer: as it begins, its pieces, and what it is in the end.
struct Item {
    kind: Kind,
    pieces: Vec<String>,
    done: Value,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Reasoning,
    Text,
    Refusal,
    Call,
    TextCall,
}

impl Kind {
    /// Types of the events of its pieces and of the one that says it all, and the name of the field that it stands in there.
    fn events(self) -> [&'static str; 3] {
        match self {
            Self::Reasoning => ["response.reasoning_text.delta", "response.reasoning_text.done", "text"],
            Self::Text => ["response.output_text.delta", "response.output_text.done", "text"],
            Self::Refusal => ["response.refusal.delta", "response.refusal.done", "refusal"],
            Self::Call => ["response.function_call_arguments.delta", "response.function_call_arguments.done", "arguments"],
            Self::TextCall => ["response.custom_tool_call_input.delta", "response.custom_tool_call_input.done", "input"],
        }
    }

    /// The part that holds its text; a call has none.
    fn part(self, said: &str) -> Option<Value> {
        match self {
            Self::Reasoning => Some(json!({"type": "reasoning_text", "text": said})),
            Self::Refusal => Some(json!({"type": "refusal", "refusal": said})),
            Self::Text => Some(json!({"type": "output_text", "text": said, "annotations": [], "logprobs": []})),
            Self::Call | Self::TextCall => None,
        }
    }
}

impl Answer<'_> {
    fn items(&self) -> Vec<Item> {
        let mut items = Vec::new();
        let id = |prefix: &str, at: usize| format!("{prefix}_mock_{}_{at}", self.call);
        let said = [(Kind::Reasoning, &self.then.reasoning), (Kind::Text, &self.then.text), (Kind::Refusal, &self.then.refusal)];
        for (kind, said) in said {
            let pieces = self.pieces(said);
            let Some(part) = kind.part(&pieces.concat()).filter(|_| !pieces.is_empty()) else { continue };
            let done = match kind {
                Kind::Reasoning => json!({"type": "reasoning", "id": id("rs", items.len()), "summary": [], "content": [part],
                    "encrypted_content": ENCRYPTED, "status": "completed"}),
                _ => {
                    json!({"type": "message", "id": id("msg", items.len()), "role": "assistant", "content": [part], "status": "completed"})
                }
            };
            items.push(Item { kind, pieces, done });
        }
        for (index, call) in self.then.tool_calls.iter().enumerate() {
            items.push(self.call_item(call, (id("fc", items.len()), self.call_id(index))));
        }
        items
    }

    /// A call, in the way that its tool was offered in.
    fn call_item(&self, call: &Call, (id, call_id): (String, String)) -> Item {
        let called = self.question.fill(&call.name);
        let tool = self.question.own_tools.iter().find(|tool| tool.called == called);
        let name = tool.map_or(&called, |tool| &tool.name);
        let mut pieces = self.pieces(&call.arguments);
        let (kind, mut done) = if tool.is_some_and(|tool| tool.takes_text) {
            let arguments = pieces.concat();
            let fields: Value = serde_json::from_str(&arguments).unwrap_or_default();
            let input = fields["input"].as_str().unwrap_or(&arguments);
            pieces = self.cut(input);
            (Kind::TextCall, json!({"type": "custom_tool_call", "id": id, "call_id": call_id, "name": name, "input": input}))
        } else {
            let done = json!({"type": "function_call", "id": id, "call_id": call_id, "name": name, "arguments": pieces.concat(),
                "status": "completed"});
            (Kind::Call, done)
        };
        if let Some(space) = tool.and_then(|tool| tool.namespace.as_deref()) {
            done["namespace"] = space.into();
        }
        Item { kind, pieces, done }
    }

    /// Type and data of each event, in order.
    pub(super) fn response_events(&self) -> Vec<(&'static str, String)> {
        let mut events = Events(Vec::new());
        for kind in ["response.created", "response.in_progress"] {
            let response = self.response(json!([]), [("status", "in_progress".into()), ("usage", Value::Null)]);
            events.push(kind, json!({"response": response}));
        }
        let items = self.items();
        for (at, item) in items.iter().enumerate() {
            events.item(at, item);
        }
        let response = self.finished(items);
        let kind = if response["status"] == "completed" { "response.completed" } else { "response.incomplete" };
        events.push(kind, json!({"response": response}));
        events.0.into_iter().map(|(kind, data)| (kind, data.to_string())).collect()
    }

    /// The body of a whole answer.
    pub(super) fn response_body(&self) -> String {
        self.finished(self.items()).to_string()
    }

    fn finished(&self, items: Vec<Item>) -> Value {
        let output = items.into_iter().map(|item| item.done).collect();
        let why = match self.finish() {
            "length" => "max_output_tokens",
            "content_filter" => "content_filter",
            _ => return self.response(output, [("status", "completed".into()), ("usage", self.response_usage())]),
        };
        let mut response = self.response(output, [("status", "incomplete".into()), ("usage", self.response_usage())]);
        response["incomplete_details"] = json!({"reason": why});
        response
    }

    fn response(&self, output: Value, changes: [(&str, Value); 2]) -> Value {
        let mut fields = Map::new();
        fields.insert("id".to_owned(), format!("resp_mock_{}", self.call).into());
        fields.insert("object".to_owned(), "response".into());
        fields.insert("created_at".to_owned(), CREATED.into());
        for absent in ["error", "incomplete_details", "instructions", "max_output_tokens", "previous_response_id"] {
            fields.insert(absent.to_owned(), Value::Null);
        }
        fields.insert("model".to_owned(), self.question.model.as_str().into());
        fields.insert("output".to_owned(), output);
        fields.insert("parallel_tool_calls".to_owned(), true.into());
        fields.insert("store".to_owned(), false.into());
        fields.insert("tool_choice".to_owned(), "auto".into());
        fields.insert("tools".to_owned(), json!([]));
        fields.insert("metadata".to_owned(), json!({}));
        fields.extend(self.then.extra.clone());
        fields.extend(changes.map(|(name, value)| (name.to_owned(), value)));
        Value::Object(fields)
    }

    fn response_usage(&self) -> Value {
        let usage = self.usage();
        json!({
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": usage["prompt_tokens_details"],
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": usage["completion_tokens_details"],
            "total_tokens": usage["total_tokens"],
        })
    }
}

/// Events while they are put together.
struct Events(Vec<(&'static str, Value)>);

impl Events {
    fn push(&mut self, kind: &'static str, fields: Value) {
        let mut data = Map::new();
        data.insert("type".to_owned(), kind.into());
        data.insert("sequence_number".to_owned(), self.0.len().into());
        if let Value::Object(fields) = fields {
            data.extend(fields);
        }
        self.0.push((kind, Value::Object(data)));
    }

    fn item(&mut self, at: usize, item: &Item) {
        let mut begun = item.done.clone();
        if begun.get("status").is_some() {
            begun["status"] = "in_progress".into();
        }
        let part = |said: &str| item.kind.part(said);
        let has_part = part("").is_some();
        let [delta, done, field] = item.kind.events();
        let emptied = if has_part { ("content", json!([])) } else { (field, json!("")) };
        begun[emptied.0] = emptied.1;
        self.push("response.output_item.added", json!({"output_index": at, "item": begun}));
        let place = |mut fields: Value| {
            fields["item_id"] = item.done["id"].clone();
            fields["output_index"] = at.into();
            if has_part {
                fields["content_index"] = 0.into();
            }
            fields
        };
        let whole = item.pieces.concat();
        if let Some(part) = part("") {
            self.push("response.content_part.added", place(json!({"part": part})));
        }
        for piece in &item.pieces {
            let mut fields = json!({"delta": piece});
            if item.kind == Kind::Text {
                fields["logprobs"] = json!([]);
            }
            self.push(delta, place(fields));
        }
        let mut fields = json!({field: whole});
        match item.kind {
            Kind::Text => fields["logprobs"] = json!([]),
            Kind::Call => fields["name"] = item.done["name"].clone(),
            _ => {}
        }
        self.push(done, place(fields));
        if let Some(part) = part(&whole) {
            self.push("response.content_part.done", place(json!({"part": part})));
        }
        self.push("response.output_item.done", json!({"output_index": at, "item": item.done}));
    }
}
