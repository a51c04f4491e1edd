//! Requests as clients send them: items and their order, tools, what is refused by name, what is recalled.

mod carried;
mod recall;

use std::sync::Arc;

use gatewright_types::{ChatRequest, Content, Fault, FaultKind, Role, Tool};
use serde_json::{Value, json};

use super::{read, recalls};
use crate::dialects::anthropic_messages::AnthropicMessages;
use crate::dialects::openai_chat::OpenAiChat;
use crate::dialects::openai_responses::{HOSTED, OpenAiResponses, own, share};
use crate::dialects::{Asked, Dialect, Page, Recalled, Seal};

fn try_asking(body: &Value) -> Result<ChatRequest, Fault> {
    read(body.to_string().as_bytes(), &Asked { keeps: true, ..Asked::default() })
}

fn asking(input: Value) -> ChatRequest {
    try_asking(&json!({"model": "m", "input": input})).unwrap()
}

fn param(body: &Value) -> (FaultKind, String) {
    let fault = try_asking(body).unwrap_err();
    (fault.kind, fault.param.unwrap_or_default())
}

#[test]
fn thought_words_and_calls_that_follow_each_other_are_one_answer() {
    let call = |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"});
    let said = |text: &str| json!({"role": "assistant", "content": text});
    let thought = |text: &str| json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": text}]});
    let result = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "x"});
    let request = asking(json!([
        {"role": "user", "content": "hi"}, thought("a"), said("b"), call("1"), call("2"), thought("c"), call("3"),
        result("1"), result("2"), result("3"), said("d"), said("e")
    ]));
    let shape: Vec<(bool, Option<&str>, String, usize)> = request
        .messages
        .iter()
        .map(|message| {
            (message.continues, message.reasoning.as_deref(), message.content.joined().into_owned(), message.tool_calls.len())
        })
        .collect();
    let plain = |text: &str| (false, None, text.to_owned(), 0);
    assert_eq!(
        shape,
        [
            plain("hi"),
            (false, Some("a"), "b".to_owned(), 2),
            (true, Some("c"), String::new(), 1),
            plain("x"),
            plain("x"),
            plain("x"),
            plain("d"),
            plain("e")
        ]
    );
}

#[test]
fn our_own_envelope_is_opened_and_a_strangers_says_nothing() {
    let sealer = Seal::new([9; 32]).of("t");
    let read_with = |item: Value| {
        let body = json!({"model": "m", "input": [item, {"role": "assistant", "content": "b"}]}).to_string();
        read(body.as_bytes(), &Asked { sealer: Some(&sealer), ..Asked::default() }).unwrap().messages[0].reasoning.clone()
    };
    let item = |sealed: &str| json!({"type": "reasoning", "summary": [], "encrypted_content": sealed});
    assert_eq!(read_with(item(&sealer.envelope("I think."))).as_deref(), Some("I think."));
    let forged = sealer.envelope("I think.").replace("gatewright.1.", "gatewright.1.x");
    for foreign in ["gAAAAABo", &forged, &Seal::new([9; 32]).of("other").envelope("I think.")] {
        assert_eq!(read_with(item(foreign)), None, "{foreign}");
    }
}

#[test]
fn what_is_not_to_be_had_is_refused_by_name() {
    let with = |name: &str, value: Value| {
        let mut body = json!({"model": "m", "input": "x"});
        body[name] = value;
        body
    };
    for (name, value) in [
        ("background", json!("yes")),
        ("conversation", json!("conv_1")),
        ("prompt", json!({"id": "p"})),
        ("temperature", json!("hot")),
        ("store", json!("yes")),
        ("hosted_tools", json!(["x"])),
    ] {
        assert_eq!(param(&with(name, value)), (FaultKind::InvalidRequest, name.to_owned()));
    }
    assert_eq!(param(&with("tool_choice", json!("any"))), (FaultKind::InvalidRequest, "tool_choice".to_owned()));
    assert_eq!(param(&with("input", json!([{"role": "user", "content": [{"type": "input_text"}]}]))).1, "input[0].content[0].text");
    assert_eq!(param(&with("input", json!([{"type": "item_reference", "id": "msg_1_0"}]))).1, "input[0].id");
    let unknown = (FaultKind::UnknownAnswer, "previous_response_id".to_owned());
    assert_eq!(param(&with("previous_response_id", json!("resp_1"))), unknown);
    assert_eq!((param(&json!({"input": "x"})).1, param(&json!({"model": "m"})).1), ("model".to_owned(), "input".to_owned()));
    assert!(try_asking(&with("background", json!(false))).is_ok());
    let mut unkept = with("background", json!(true));
    assert!(try_asking(&unkept).is_ok());
    unkept["store"] = false.into();
    assert_eq!(param(&unkept), (FaultKind::InvalidRequest, "background".to_owned()), "it must be kept");
}

#[test]
fn names_in_namespaces_are_joined_short_and_unique() {
    let long = "n".repeat(60);
    let space = |name: &str, tools: Value| json!({"type": "namespace", "name": name, "tools": tools});
    let function = |name: &str| json!({"type": "function", "name": name});
    let tools = json!([
        function("a__b"), space("a", json!([function("b"), function("c d")])), space("mcp__x__", json!([function("t")])),
        space(&long, json!([function("tool")])), {"type": "web_search"}
    ]);
    let request = try_asking(&json!({"model": "m", "input": "x", "tools": tools})).unwrap();
    let names: Vec<&str> =
        request.tools.iter().map(|tool| if let Tool::Function(tool) = tool { tool.name.as_str() } else { panic!() }).collect();
    assert_eq!((names[0], names[2], names[3]), ("a__b", "a__c_d", "mcp__x__t"));
    assert!(names[1].starts_with("a__b_") && names[4].len() == 64);
    assert_eq!(own(&request.extras, HOSTED), Some(r#"[{"type":"web_search"}]"#));
}

#[test]
fn only_the_tools_that_are_allowed_are_offered() {
    let tools = json!([{"type": "function", "name": "a"}, {"type": "function", "name": "b"}]);
    let choice = json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "b"}]});
    let request = try_asking(&json!({"model": "m", "input": "x", "tools": tools, "tool_choice": choice})).unwrap();
    assert!(matches!(&request.tools[..], [Tool::Function(tool)] if tool.name == "b"));
    assert_eq!(request.tool_choice.unwrap().get(), "\"required\"");
}

fn asks(request: &ChatRequest) -> Vec<Value> {
    let body: Value = serde_json::from_slice(&OpenAiResponses.write(request).unwrap()).unwrap();
    body["input"].as_array().unwrap().clone()
}

/// An upstream that ran something itself wants to see it again where it stood.
#[test]
fn items_of_kinds_that_we_do_not_know_keep_their_place_on_the_way_up() {
    let thought = |word: &str| json!({"type": "reasoning", "summary": [], "encrypted_content": word});
    let said = |text: &str| json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]});
    let odd = |kind: &str| json!({"type": kind, "id": "x"});
    let call = |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"});
    let result = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "y"});
    let user = json!({"role": "user", "content": "hi"});
    for items in [
        vec![user.clone(), thought("a"), odd("computer_call"), odd("computer_call_output"), thought("b"), said("Done.")],
        vec![user.clone(), odd("web_search_call"), said("a"), odd("web_search_call"), said("b"), odd("web_search_call")],
        vec![user.clone(), said("a"), call("1"), odd("web_search_call"), call("2"), result("1"), result("2"), said("b")],
    ] {
        let request = asking(Value::Array(items.clone()));
        let kinds = |items: &[Value]| -> Vec<Value> { items.iter().map(|item| item["type"].clone()).collect() };
        let mut wanted = kinds(&items);
        wanted[0] = json!("message");
        assert_eq!(kinds(&asks(&request)), wanted);
        // Others see whole turns: what is called is answered at once.
        let chat: Value = serde_json::from_slice(&OpenAiChat.write(&request).unwrap()).unwrap();
        let messages = chat["messages"].as_array().unwrap();
        for (at, message) in messages.iter().enumerate() {
            let calls = message["tool_calls"].as_array().map_or(0, Vec::len);
            assert!(messages[at + 1..].iter().take(calls).all(|message| message["role"] == "tool"), "{chat}");
        }
    }
}

#[test]
fn messages_keep_their_phase_and_what_is_said_of_their_text() {
    let cited = json!([{"type": "url_citation", "start_index": 0, "end_index": 2, "url": "u", "title": "t"}]);
    let said = |text: &str, phase: &str| {
        json!({"type": "message", "role": "assistant", "phase": phase,
            "content": [{"type": "output_text", "text": text, "annotations": cited}]})
    };
    let request = asking(json!([said("I look.", "commentary"), said("Done.", "final_answer"), {"role": "user", "content": "x"}]));
    let asked = asks(&request);
    assert_eq!(
        (&asked[0]["phase"], &asked[1]["phase"], &asked[2]["phase"]),
        (&json!("commentary"), &json!("final_answer"), &Value::Null)
    );
    assert!(asked[..2].iter().all(|item| item["content"][0]["annotations"] == cited), "{asked:?}");
    for dialect in [&OpenAiChat as &dyn Dialect, &AnthropicMessages] {
        let body = String::from_utf8(dialect.write(&request).unwrap().to_vec()).unwrap();
        assert!(!body.contains("commentary") && !body.contains("url_citation"), "{body}");
    }
    let odd = asking(json!([said("x", "some_other_phase")]));
    assert_eq!((own(&odd.messages[0].extras, "phase"), &asks(&odd)[0]["phase"]), (None, &json!("some_other_phase")));
    let steers = |name: &str| crate::dialects::steers(crate::dialects::Place::Message, name);
    assert!(steers("openai_responses.phase") && !steers("openai_responses.other_phase"), "policies see what is no known word");
    let wrong = json!({"model": "m", "input": [said("x", "all of it")]});
    assert_eq!(param(&wrong), (FaultKind::InvalidRequest, "input[0].phase".to_owned()));
}

/// Its vendor had it from a search for tools, and the client declared it to nobody.
#[test]
fn a_call_of_a_tool_that_nobody_declared_keeps_its_namespace() {
    let call = json!({"type": "function_call", "call_id": "1", "name": "create", "namespace": "mcp__linear", "arguments": "{}"});
    let text = json!({"type": "custom_tool_call", "call_id": "2", "name": "note", "input": "say \"x\""});
    let results = ["1", "2"].map(|id| json!({"type": "custom_tool_call_output", "call_id": id, "output": "y"}));
    let request = asking(json!([call, text, results[0], results[1]]));
    let asked = asks(&request);
    assert_eq!((&asked[0]["name"], &asked[0]["namespace"]), (&json!("create"), &json!("mcp__linear")));
    assert_eq!((&asked[1]["type"], &asked[1]["input"]), (&json!("custom_tool_call"), &json!("say \"x\"")));
    assert_eq!(
        (&asked[2]["type"], &asked[3]["type"]),
        (&json!("function_call_output"), &json!("custom_tool_call_output")),
        "{asked:?}"
    );
    assert_eq!(request.messages[0].tool_calls[0].name, "mcp__linear__create", "as other upstreams see it");
}

/// A list of each that is as long as the other would take minutes if each were looked for in the whole other.
#[test]
fn many_tools_and_many_calls_of_them_are_told_apart() {
    let names: Vec<String> = (0..5000).map(|n| format!("t{n}")).collect();
    let tools: Vec<Value> = names.iter().map(|name| json!({"type": "function", "name": name})).collect();
    let calls =
        names.iter().map(|name| json!({"type": "function_call", "call_id": name, "name": name, "namespace": "s", "arguments": ""}));
    let chosen: Vec<Value> = names.iter().skip(1).map(|name| json!({"type": "function", "name": name, "namespace": "s"})).collect();
    let body = json!({"model": "m", "tools": [{"type": "namespace", "name": "s", "tools": tools}], "input": calls.collect::<Vec<_>>(),
        "tool_choice": {"type": "allowed_tools", "tools": chosen}});
    let request = try_asking(&body).unwrap();
    assert_eq!(request.tools.len(), 4999);
    let calls = &request.messages[0].tool_calls;
    assert_eq!((calls.len(), &*calls[1].name, &*calls[4999].name), (5000, "s__t1", "s__t4999"));
    let kept = OpenAiResponses.echo(&request).unwrap().conversation.unwrap();
    let kept: Vec<Value> = serde_json::from_str(&kept).unwrap();
    assert_eq!((&kept[4999]["name"], &kept[4999]["namespace"]), (&json!("t4999"), &json!("s")));
}

#[test]
fn unknown_kinds_of_items_and_parts_do_no_harm() {
    let request = asking(json!([
        {"type": "compaction", "encrypted_content": "x"},
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}, {"type": "input_image", "file_id": "file_1"}]},
        {"type": "new_call", "odd": 1}
    ]));
    assert_eq!(request.messages.len(), 1);
    let Content::Parts(parts) = &request.messages[0].content else { panic!() };
    assert_eq!(parts.len(), 2);
    assert_eq!(request.messages[0].extras.iter().count(), 2);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
        let _ = read(&body, &Asked::default());
        let _ = recalls(&body);
    }

    #[test]
    fn no_items_make_it_panic(items in r#"\[(\{"(type|role|content|id|call_id)":("(message|reasoning|item_reference|function_call|user)"|\[\]|1|null)(,"(content|summary|name)":("x"|\[\{\}\]|\{\}))?\},?){0,3}\]"#) {
        let _ = read(format!(r#"{{"model":"m","previous_response_id":"a_b_c","input":{items}}}"#).as_bytes(), &Asked::default());
    }
}
