//! Requests as clients send them: items and their order, tools, what is refused by name, what is recalled.

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

/// What asks an upstream of a dialect, what is left out there, and what the answer says again.
fn becomes(dialect: &dyn Dialect, fields: &Value) -> (Value, Vec<String>, Value) {
    let mut body = json!({"model": "m", "input": "x"});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let request = try_asking(&body).unwrap();
    let echo = OpenAiResponses.echo(&request).unwrap();
    let sent = serde_json::from_slice(&dialect.write(&request).unwrap()).unwrap();
    let [before, after] = &echo.fields;
    (sent, dialect.carries(&request).left_out, serde_json::from_str(&format!("{{{before},{after}}}")).unwrap())
}

#[test]
fn the_word_on_tools_that_only_their_vendor_runs_reaches_it_and_is_told_where_it_is_lost() {
    let hosted = |kind: &str| json!({"type": kind});
    let allowed = json!({"type": "allowed_tools", "mode": "required", "tools": [hosted("web_search")]});
    let mcp = json!({"type": "mcp", "server_label": "s", "name": "t"});
    for (choice, lost) in [
        (json!("required"), true),
        (json!("none"), false),
        (hosted("web_search"), true),
        (hosted("file_search"), true),
        (mcp, true),
        (allowed, true),
    ] {
        let asked = json!({"tools": [hosted("web_search")], "tool_choice": choice});
        let (sent, left_out, echoed) = becomes(&OpenAiResponses, &asked);
        assert_eq!((&sent["tool_choice"], &echoed["tool_choice"]), (&choice, &choice));
        assert!(left_out.is_empty());
        for dialect in [&OpenAiChat as &dyn Dialect, &AnthropicMessages] {
            let (sent, left_out, _) = becomes(dialect, &asked);
            assert_eq!((sent.get("tool_choice"), left_out.contains(&"tool_choice".to_owned())), (None, lost), "{choice}");
        }
    }
    let function = json!({"type": "function", "name": "f"});
    for choice in [json!("required"), function.clone(), json!({"type": "allowed_tools", "tools": [function]})] {
        let asked = json!({"tools": [hosted("web_search"), function], "tool_choice": choice});
        let (sent, left_out, _) = becomes(&OpenAiChat, &asked);
        assert!(sent["tool_choice"] != json!(null) && left_out.is_empty(), "{choice}: functions say it");
        assert_eq!(becomes(&OpenAiResponses, &asked).0["tool_choice"], choice);
    }
    let mut request = try_asking(&json!({"model": "m", "input": "x", "tool_choice": hosted("web_search")})).unwrap();
    crate::dialects::unforced(&mut request);
    assert_eq!(request.extras.iter().filter(|(name, _)| name.contains("tool_choice")).count(), 0, "another has the word");
}

#[test]
fn what_says_how_to_answer_goes_where_it_is_known_and_is_told_elsewhere() {
    let asked = json!({"metadata": {"topic": "demo"}, "parallel_tool_calls": false, "max_tool_calls": 3, "truncation": "auto",
        "service_tier": "flex", "prompt_cache_key": "k", "prompt_cache_retention": "24h", "safety_identifier": "s", "user": "u"});
    let has = |body: &Value, name: &str| body[name] == asked[name];
    let (sent, left_out, echoed) = becomes(&OpenAiResponses, &asked);
    assert!(asked.as_object().unwrap().keys().all(|name| has(&sent, name) && has(&echoed, name)), "{sent} {echoed}");
    assert!(left_out.is_empty());
    let here = ["max_tool_calls", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier", "truncation"];
    for dialect in [&OpenAiChat as &dyn Dialect, &AnthropicMessages] {
        let (sent, mut left_out, _) = becomes(dialect, &asked);
        left_out.sort_unstable();
        assert_eq!(left_out, here);
        assert!(here.iter().all(|name| sent.get(name).is_none()));
    }
    let mut body = json!({"model": "m", "input": "x"});
    body.as_object_mut().unwrap().extend(asked.as_object().unwrap().clone());
    let request = try_asking(&body).unwrap();
    let mut fitted = std::borrow::Cow::Borrowed(&request);
    share(&mut fitted, "service_tier");
    share(&mut fitted, "truncation");
    let sent: Value = serde_json::from_slice(&OpenAiChat.write(&fitted).unwrap()).unwrap();
    assert!(has(&sent, "service_tier") && sent.get("truncation").is_none(), "who takes it gets it: {sent}");
    assert!(!OpenAiChat.carries(&fitted).left_out.iter().any(|name| name == "service_tier"));
    let again: Value = serde_json::from_slice(&OpenAiResponses.write(&fitted).unwrap()).unwrap();
    assert_eq!(again["service_tier"], "flex");
    assert_eq!(param(&json!({"model": "m", "input": "x", "service_tier": 3})).1, "service_tier");
}

fn kept() -> Recalled {
    let conversation = json!([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "my name is Ada"}]}]);
    let output = json!([
        {"type": "reasoning", "id": "rs_1_0", "summary": [], "content": [{"type": "reasoning_text", "text": "Ada."}]},
        {"type": "message", "id": "msg_1_1", "role": "assistant", "content": [{"type": "output_text", "text": "Hello Ada."}]}
    ]);
    let body = json!({"id": "resp_1", "output": output}).to_string();
    Recalled { id: "resp_1".into(), body: Arc::from(body), conversation: Arc::from(conversation.to_string()) }
}

#[test]
fn an_answer_that_was_kept_is_gone_on_from() {
    let body = json!({"model": "m", "previous_response_id": "resp_1", "instructions": "Help.", "input": "who am I?"}).to_string();
    assert_eq!(recalls(body.as_bytes()), ["resp_1"]);
    let request = read(body.as_bytes(), &Asked { keeps: true, recalled: &[kept()], ..Asked::default() }).unwrap();
    let said: Vec<(&Role, &str)> = request
        .messages
        .iter()
        .map(|message| (&message.role, message.content.joined()))
        .map(|(role, text)| (role, Box::leak(text.into_owned().into_boxed_str()) as &str))
        .collect();
    let wanted =
        [(&Role::System, "Help."), (&Role::User, "my name is Ada"), (&Role::Assistant, "Hello Ada."), (&Role::User, "who am I?")];
    assert_eq!(said, wanted);
    assert_eq!(request.messages[2].reasoning.as_deref(), Some("Ada."));
}

#[test]
fn an_item_that_was_kept_can_be_named() {
    let body = json!({"model": "m", "input": [{"type": "item_reference", "id": "msg_1_1"}, {"role": "user", "content": "and?"}]})
        .to_string();
    assert_eq!(recalls(body.as_bytes()), ["resp_1"]);
    let request = read(body.as_bytes(), &Asked { keeps: true, recalled: &[kept()], ..Asked::default() }).unwrap();
    assert_eq!(request.messages[0].content.joined(), "Hello Ada.");
    for name in [json!({"id": "msg_1_1"}), json!({"id": "msg_1_1", "type": null})] {
        let body = json!({"model": "m", "input": [name]}).to_string();
        assert_eq!(recalls(body.as_bytes()), ["resp_1"], "the type may be left out");
        let request = read(body.as_bytes(), &Asked { keeps: true, recalled: &[kept()], ..Asked::default() }).unwrap();
        assert_eq!(request.messages[0].content.joined(), "Hello Ada.");
    }
    assert_eq!(param(&json!({"model": "m", "input": [{"id": "msg_1_1", "content": "x"}]})).1, "input[0].type");
    assert!(recalls(br#"{"model":"m","input":"previous_response_id"}"#).is_empty());
}

#[test]
fn an_item_that_an_upstream_ran_can_be_named_and_goes_to_it_under_its_own_id() {
    let output = json!([{"type": "web_search_call", "id": "ws_up-gw-1_0", "status": "completed"}]);
    let kept = Recalled {
        id: "resp_1".into(),
        body: Arc::from(json!({"id": "resp_1", "output": output}).to_string()),
        conversation: Arc::from("[]"),
    };
    let named = json!([{"type": "item_reference", "id": "ws_up-gw-1_0"}, {"role": "user", "content": "and?"}]);
    let body = json!({"model": "m", "input": named}).to_string();
    assert_eq!(recalls(body.as_bytes()), ["resp_1"]);
    let request = read(body.as_bytes(), &Asked { keeps: true, recalled: &[kept], ..Asked::default() }).unwrap();
    assert_eq!(asks(&request)[0], json!({"id": "ws_up", "type": "web_search_call", "status": "completed"}));
    let kept = OpenAiResponses.echo(&request).unwrap().conversation.unwrap();
    assert!(kept.contains("ws_up-gw-1_0"), "{kept}");
}

#[test]
fn what_is_recalled_stays_known_by_its_id_here_and_is_not_told_upstreams() {
    let call = json!({"type": "function_call", "id": "fc_1_2", "call_id": "c", "name": "f", "arguments": "{}"});
    let mut first = kept();
    let mut body: Value = serde_json::from_str(&first.body).unwrap();
    body["output"].as_array_mut().unwrap().push(call);
    first.body = Arc::from(body.to_string());
    let result = json!({"type": "function_call_output", "call_id": "c", "output": "x"});
    let body = json!({"model": "m", "previous_response_id": "resp_1", "input": [result]}).to_string();
    let request = read(body.as_bytes(), &Asked { keeps: true, recalled: &[first], ..Asked::default() }).unwrap();
    let conversation = OpenAiResponses.echo(&request).unwrap().conversation.unwrap();
    let second = Recalled { id: "resp_2".into(), body: "{}".into(), conversation };
    let page = Page { limit: 9, newest_first: false, after: None };
    let page: Value = serde_json::from_slice(&OpenAiResponses.items(&second, &page).unwrap()).unwrap();
    let ids: Vec<&Value> = page["data"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
    assert_eq!(ids, ["msg_1_i0", "rs_1_0", "msg_1_1", "fc_1_2", "fco_2_i4"]);
    assert!(asks(&request).iter().all(|item| item["id"].is_null()));
    let heard = crate::dialects::steers(crate::dialects::Place::Message, "openai_responses.item_id");
    assert!(heard, "no policy need look at ids of ours");
}

#[test]
fn a_call_that_broke_off_is_not_gone_on_from() {
    let call = |id: &str, status: &str| json!({"type": "function_call", "id": id, "call_id": id, "name": "f", "arguments": "{", "status": status});
    let body = json!({"output": [call("fc_1_0", "completed"), call("fc_1_1", "incomplete")]}).to_string();
    let kept = Recalled { id: "resp_1".into(), body: body.into(), conversation: "[]".into() };
    let body = r#"{"model":"m","previous_response_id":"resp_1","input":"go on"}"#;
    let request = read(body.as_bytes(), &Asked { keeps: true, recalled: &[kept], ..Asked::default() }).unwrap();
    assert_eq!(request.messages[0].tool_calls.len(), 1);
}

#[test]
fn what_is_recalled_is_bounded_however_short_its_names_are() {
    let asked = |most| Asked { keeps: true, recalled: &[], most_recalled: Some(most), ..Asked::default() };
    let kept = [kept()];
    let named = json!({"type": "item_reference", "id": "msg_1_1"});
    let numbered = json!({"type": "item_reference", "id": "msg_1_i0"});
    let read_with = |body: &Value, most| read(body.to_string().as_bytes(), &Asked { recalled: &kept, ..asked(most) });
    let many = json!({"model": "m", "input": vec![named; 50]});
    let fault = read_with(&many, 1000).unwrap_err();
    assert_eq!((fault.kind, fault.param.as_deref().is_some_and(|at| at.starts_with("input["))), (FaultKind::BodyTooLarge, true));
    assert_eq!(read_with(&many, 10_000).unwrap().messages.len(), 50);
    assert_eq!(
        read_with(&json!({"model": "m", "input": [numbered]}), 1000).unwrap().messages[0].content.joined(),
        "my name is Ada"
    );
    let follows = json!({"model": "m", "previous_response_id": "resp_1", "input": "x"});
    let fault = read_with(&follows, 100).unwrap_err();
    assert_eq!((fault.kind, fault.param.as_deref()), (FaultKind::BodyTooLarge, Some("previous_response_id")));
}

/// An upstream may answer with any item, and one that names itself is read but once.
#[test]
fn a_kept_item_that_is_only_a_name_is_not_looked_up_again() {
    let output = r#"{"output":[{"type":"item_reference","id":"x_1_0"},{"type":"message","role":"user","content":"hi"}]}"#;
    let kept = Recalled { id: "resp_1".into(), body: output.into(), conversation: "[]".into() };
    let body = r#"{"model":"m","input":[{"type":"item_reference","id":"x_1_0"},{"role":"user","content":"y"}]}"#;
    let request = read(body.as_bytes(), &Asked { keeps: true, recalled: &[kept], ..Asked::default() }).unwrap();
    assert_eq!(request.messages.len(), 1);
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
fn items_that_other_dialects_leave_out_are_told_by_their_kind() {
    let odd = json!({"type": "odd: \n", "x": 1});
    let request = asking(json!([
        {"type": "web_search_call", "id": "w"}, {"role": "user", "content": "hi"}, {"type": "computer_call"}, odd
    ]));
    for dialect in [&OpenAiChat as &dyn Dialect, &AnthropicMessages] {
        let left_out = dialect.carries(&request).left_out;
        assert!(["web_search_call", "computer_call"].iter().all(|kind| left_out.iter().any(|name| name == kind)), "{left_out:?}");
        assert!(!left_out.iter().any(|name| name.contains("odd")), "{left_out:?}");
    }
    assert!(OpenAiResponses.carries(&request).left_out.is_empty());
}

/// OpenAI takes no thought in the open, others no other.
#[test]
fn thought_in_the_open_goes_back_to_servers_that_want_it_so_and_is_told_of_elsewhere() {
    let open = json!({"type": "reasoning", "id": "rs_x", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]});
    let request = asking(json!([{"role": "user", "content": "q"}, open, {"role": "assistant", "content": "a"}]));
    let sent = |quirks: &str| {
        let quirks = toml::from_str(quirks).unwrap();
        let fitted = crate::upstreams::quirks::fit(&quirks, &request).unwrap();
        let body: Value = serde_json::from_slice(&OpenAiResponses.write(&fitted).unwrap()).unwrap();
        (body["input"].clone(), OpenAiResponses.carries(&fitted).left_out)
    };
    let (input, left_out) = sent("");
    assert_eq!((&input[1]["type"], left_out), (&json!("message"), vec!["reasoning".to_owned()]));
    let (input, left_out) = sent("reasoning = 'open'");
    let item = &input[1];
    assert_eq!((&item["type"], &item["summary"], &item["content"]), (&json!("reasoning"), &json!([]), &open["content"]));
    assert!(item["id"].as_str().is_some_and(|id| id.starts_with("rs_")) && item.get("encrypted_content").is_none(), "{item}");
    assert!(left_out.is_empty(), "{left_out:?}");
}

#[test]
fn what_others_say_and_this_dialect_has_no_word_for_is_told() {
    let chat = json!({"model": "m", "reasoning_effort": "low", "seed": 5, "logit_bias": {"1": 2}, "top_k": 3, "max_completion_tokens": 9,
        "user": "u", "parallel_tool_calls": false, "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "q"}]});
    let carried = OpenAiResponses.carries(&crate::dialects::openai_chat::request::read(chat.to_string().as_bytes()).unwrap());
    assert_eq!(carried.thinking.as_deref(), Some("effort=low"));
    assert_eq!(carried.left_out, ["seed", "logit_bias", "top_k"]);
    let messages = json!({"model": "m", "max_tokens": 9, "thinking": {"type": "disabled"}, "mcp_servers": [{"name": "s"}],
        "messages": [{"role": "user", "content": "q"}]});
    let asked = AnthropicMessages.read(messages.to_string().as_bytes(), &Asked::default()).unwrap();
    let carried = OpenAiResponses.carries(&asked);
    assert_eq!((carried.thinking, &carried.left_out[..]), (None, &["thinking".to_owned(), "mcp_servers".into()][..]));
    let own = OpenAiResponses.carries(&asking(json!("hi")));
    assert_eq!(own, crate::dialects::Carried::default());
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
