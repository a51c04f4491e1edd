//! What was kept, gone on from and named.
//!
//! Apart because it needs answers that are kept. It must not know who keeps them.

use super::*;

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

/// Each costs its own time alone: were all that is there looked through for each, this would take minutes.
#[test]
fn very_many_sealed_thoughts_are_read_each_by_itself() {
    const MANY: usize = 50_000;
    let thoughts = json!(vec![json!({"type": "reasoning", "encrypted_content": "x"}); MANY]);
    let seals = |request: &ChatRequest| request.messages[0].extras.iter().filter(|(name, _)| name.ends_with(".sealed")).count();
    let request = asking(thoughts.clone());
    assert_eq!((request.messages.len(), seals(&request)), (1, MANY));
    let kept = Recalled { id: "resp_1".into(), body: "{}".into(), conversation: Arc::from(thoughts.to_string()) };
    let body = r#"{"model":"m","previous_response_id":"resp_1","input":"go on"}"#;
    let request = read(body.as_bytes(), &Asked { keeps: true, recalled: &[kept], ..Asked::default() }).unwrap();
    assert_eq!((request.messages.len(), seals(&request)), (2, MANY));
    let named = request.messages[0].extras.iter().filter(|(name, _)| name.ends_with(".thought_id"));
    assert_eq!(named.map(|(_, id)| id.get()).collect::<Vec<_>>(), ["\"rs_1_i0\""], "of several, that of the first");
}
