//! What becomes of a request before upstreams of each dialect.
//!
//! Apart because it asks other dialects to write. It must not know what they do with it.

use super::*;

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
