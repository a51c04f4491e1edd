//! Plugins at work on answers, through the real router, host and Luau sandbox.

mod again;
mod beside;
mod chains;
mod kept;
mod messages;
mod responses;
mod routing;
mod seen;
mod shadows;
mod sticky;
mod tools;

use crate::life::kit::{Item, Kit, body_of, event, events, says, stream_of};

const ASK: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
const STREAM: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

/// Replaces `sk-` and six digits, in every channel of request and answer.
const REDACT: &str = r#"
return { inspect = function(ctx, event)
  local actions = {}
  for _, segment in event.segments do
    local from = 1
    while true do
      local a, b = string.find(segment.text, "sk%-%d%d%d%d%d%d", from)
      if not a then break end
      if a > segment.sent then table.insert(actions, edit(segment, a, b, "[redacted]")) end
      from = b + 1
    end
  end
  return actions
end }"#;
const EVERYWHERE: &str = "window: 16\nsubscribe:\n  - {phases: [request, chunk, tool-call, tool-result], channels: all}";

/// Blocks where a text says `forbidden`.
const BLOCK: &str = r#"
return { inspect = function(ctx, event)
  for _, segment in event.segments do
    if string.find(segment.text, "forbidden", 1, true) then return { block("topic", "not here") } end
  end
end }"#;

#[tokio::test]
async fn a_secret_in_reasoning_that_is_split_across_chunks_arrives_redacted() {
    let mut kit = Kit::new();
    kit.plugin("redact", EVERYWHERE, REDACT);
    let deltas = [
        r#"{"role":"assistant","reasoning_content":"the key is s"}"#,
        r#"{"reasoning_content":"k-12"}"#,
        r#"{"reasoning_content":"34"}"#,
        r#"{"reasoning_content":"56, I must not say it"}"#,
        r#"{"content":"I will not tell."}"#,
    ];
    kit.script(stream_of(&deltas));
    let heard = kit.chat(STREAM).await;
    assert_eq!(heard.said("reasoning_content"), "the key is [redacted], I must not say it");
    assert_eq!(heard.said("content"), "I will not tell.");
    assert!(heard.is_done() && !heard.text.contains("k-12") && !heard.text.contains("56,"));
    assert!(heard.text.contains(": x-gatewright-plugins: redact=edit:reasoning"), "{}", heard.text);
    let row = &kit.rows()[0];
    assert!(row.verdicts.contains(r#""did":"edit""#), "{}", row.verdicts);
}

#[tokio::test]
async fn a_prompt_is_redacted_before_the_model_sees_it_and_a_whole_answer_too() {
    let mut kit = Kit::new();
    kit.plugin("redact", EVERYWHERE, REDACT);
    let body = r#"{"id":"c","object":"chat.completion","created":1,"model":"m-1","choices":[{"index":0,
        "message":{"role":"assistant","content":"you said sk-654321","refusal":null},"logprobs":{"content":[]},"finish_reason":"stop"}]}"#;
    kit.script(body_of(body));
    let heard = kit.chat(r#"{"model":"m","messages":[{"role":"user","content":"mine is sk-123456"}]}"#).await;
    let asked = kit.upstream.asked.lock().unwrap()[0].messages[0].content.joined().into_owned();
    assert_eq!(asked, "mine is [redacted]");
    assert_eq!(heard.json()["choices"][0]["message"]["content"], "you said [redacted]");
    assert!(!heard.text.contains("654321") && heard.json()["choices"][0]["logprobs"].is_null());
    let verdicts = heard.header("x-gatewright-plugins");
    assert!(verdicts.starts_with("redact=") && verdicts.contains("edit:user") && verdicts.contains("edit:assistant"), "{verdicts}");
}

#[tokio::test]
async fn a_whole_answer_that_plugins_saw_and_left_alone_keeps_its_bytes() {
    let mut kit = Kit::new();
    kit.plugin("redact", EVERYWHERE, REDACT);
    let body =
        r#"{"id":"c","odd":1,"choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}]}"#;
    kit.script(body_of(body));
    assert_eq!(kit.chat(ASK).await.text, body);
}

#[tokio::test]
async fn a_block_before_anything_was_sent_is_a_status() {
    for ask in [ASK, STREAM] {
        let mut kit = Kit::new();
        kit.plugin("topic", "subscribe:\n  - {phases: [request, chunk], channels: all}", BLOCK);
        kit.script(stream_of(&[r#"{"content":"this is forbidden"}"#]));
        let heard = kit.chat(ask).await;
        assert_eq!((heard.status, heard.json()["error"]["code"].as_str().unwrap()), (400, "content_filter"));
        assert_eq!(heard.json()["error"]["message"], "not here");
        assert_eq!(heard.header("x-gatewright-plugins"), "topic=block:assistant");
        let blocked = kit.chat(r#"{"model":"m","messages":[{"role":"user","content":"forbidden"}]}"#).await;
        assert_eq!(blocked.status, 400);
        let rows = kit.rows();
        assert_eq!((rows[0].outcome.as_str(), rows[1].rounds), ("blocked", 0));
    }
}

#[tokio::test]
async fn a_block_in_the_middle_ends_the_stream_properly() {
    let mut kit = Kit::new();
    kit.plugin("topic", "window: 9\nsubscribe:\n  - {phases: [chunk], channels: all}", BLOCK);
    let mut items = events(&[
        &event(r#"{"role":"assistant","content":"a long and harmless beginning, "}"#),
        &event(r#"{"content":"then forb"}"#),
        &event(r#"{"content":"idden things"}"#),
    ]);
    items.push(Item::Hang);
    kit.script(items);
    let heard = kit.chat(STREAM).await;
    assert_eq!(heard.status, 200);
    assert!(heard.said("content").starts_with("a long and harmless") && !heard.said("content").contains("forb"));
    assert_eq!(heard.finish().as_deref(), Some("content_filter"));
    assert!(heard.is_done());
    let row = &kit.rows()[0];
    assert_eq!((row.outcome.as_str(), row.status, row.estimated), ("blocked", 200, true));
}

#[tokio::test]
async fn a_plugin_may_answer_in_the_models_place() {
    let source = r#"return { inspect = function() return { answer("from the policy") } end }"#;
    for ask in [ASK, STREAM] {
        let mut kit = Kit::new();
        kit.plugin("reply", "subscribe:\n  - {phases: [request], channels: [user]}", source);
        let heard = kit.chat(ask).await;
        assert_eq!((heard.status, heard.header("x-gatewright-answered-by")), (200, "reply"));
        assert!(heard.text.contains("from the policy"));
        let row = &kit.rows()[0];
        assert_eq!((row.outcome.as_str(), row.rounds), ("answered", 0));
    }
}

#[tokio::test]
async fn a_plugin_may_send_a_request_another_way_where_the_key_may_go() {
    let source = r#"return { inspect = function() return { set("/model", "other"), set("/temperature", 0.25) } end }"#;
    let mut kit = Kit::new();
    kit.plugin("way", "subscribe:\n  - {phases: [request], channels: [user]}", source);
    let mut other = kit.route().clone();
    other.name = "other".to_owned();
    kit.facts.routes.insert("other".to_owned(), other);
    kit.script(says("x"));
    assert_eq!(kit.chat(ASK).await.status, 200);
    let asked = kit.upstream.asked.lock().unwrap()[0].sampling.temperature;
    assert_eq!(asked, Some(0.25));
}

#[tokio::test]
async fn a_plugin_that_wants_the_whole_answer_gets_it_before_the_client() {
    let source = r#"
return { inspect = function(ctx, event)
  for _, segment in event.segments do
    return { edit(segment, 1, #segment.text, string.upper(segment.text)) }
  end
end }"#;
    let mut kit = Kit::new();
    kit.plugin("upper", "subscribe:\n  - {phases: [response], channels: [assistant]}", source);
    kit.script(stream_of(&[r#"{"content":"hel"}"#, r#"{"content":"lo"}"#]));
    kit.script(says("hello"));
    let heard = kit.chat(STREAM).await;
    assert_eq!((heard.said("content").as_str(), heard.finish().as_deref(), heard.is_done()), ("HELLO", Some("stop"), true));
    assert_eq!(kit.chat(ASK).await.json()["choices"][0]["message"]["content"], "HELLO");
}

#[tokio::test]
async fn a_strict_route_refuses_what_no_policy_can_inspect_and_others_record_it() {
    let ask = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"u"}}]}]}"#;
    let listen = "subscribe:\n  - {phases: [request], channels: [user]}";
    for strict in [true, false] {
        let mut kit = Kit::new();
        kit.plugin("redact", listen, REDACT);
        kit.route().strict = strict;
        kit.script(says("x"));
        let heard = kit.chat(ask).await;
        assert_eq!(heard.status, if strict { 400 } else { 200 });
        assert!(heard.header("x-gatewright-plugins").contains("not-inspected=request:media"), "{:?}", heard.headers);
    }
}

#[tokio::test]
async fn a_plugin_that_fails_closed_refuses_before_and_breaks_off_after() {
    let source = r#"return { inspect = function(ctx, event)
      for _, segment in event.segments do if string.find(segment.text, "boom") then error("no") end end end }"#;
    let mut kit = Kit::new();
    kit.plugin("frail", "window: 1\nsubscribe:\n  - {phases: [chunk], channels: all}", source);
    kit.script(stream_of(&[r#"{"content":"boom"}"#]));
    kit.script(stream_of(&[r#"{"content":"well, "}"#, r#"{"content":"boom"}"#]));
    let heard = kit.chat(STREAM).await;
    assert_eq!((heard.status, heard.json()["error"]["code"].as_str().unwrap()), (500, "plugin_failed"));
    let heard = kit.chat(STREAM).await;
    assert_eq!(heard.status, 200);
    assert!(!heard.is_done() && heard.text.contains("plugin_failed"));
}

#[tokio::test]
async fn each_choice_has_its_own_lane() {
    let mut kit = Kit::new();
    kit.plugin("redact", EVERYWHERE, REDACT);
    let of = |choice: u32, text: &str| {
        let delta = serde_json::json!({ "content": text });
        format!(
            r#"{{"id":"c","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{{"index":{choice},"delta":{delta},"finish_reason":null}}]}}"#
        )
    };
    let end = |choice: u32| {
        format!(
            r#"{{"id":"c","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{{"index":{choice},"delta":{{}},"finish_reason":"stop"}}]}}"#
        )
    };
    let list = [of(0, "sk-12"), of(1, "plain "), of(0, "3456"), of(1, "words"), end(1), end(0)];
    kit.script(events(&list.iter().map(String::as_str).collect::<Vec<_>>()));
    let heard = kit.chat(r#"{"model":"m","stream":true,"n":2,"messages":[{"role":"user","content":"hi"}]}"#).await;
    let said = |choice: u64| -> String {
        let choices = heard.events().into_iter().flat_map(|event| event["choices"].as_array().cloned().unwrap_or_default());
        choices
            .filter(|one| one["index"].as_u64() == Some(choice))
            .filter_map(|one| one["delta"]["content"].as_str().map(str::to_owned))
            .collect()
    };
    assert_eq!((said(0).as_str(), said(1).as_str()), ("[redacted]", "plain words"));
    assert!(heard.is_done());
}

#[tokio::test]
async fn a_plugin_cannot_send_a_request_where_its_key_may_not_go() {
    let source = r#"return { inspect = function() return { set("/model", "other") } end }"#;
    let mut kit = Kit::new();
    kit.plugin("way", "subscribe:\n  - {phases: [request], channels: [user]}", source);
    let mut other = kit.route().clone();
    other.name = "other".to_owned();
    kit.facts.routes.insert("other".to_owned(), other);
    kit.facts.keys = vec![crate::config::facts::KeyFact {
        name: "a".to_owned(),
        sha256: crate::config::keys::digest("gw-a"),
        tenant: "a".to_owned(),
        team: None,
        models: vec!["m".to_owned()],
        plugins: Vec::new(),
        revoked: false,
        priority: Default::default(),
        requests_per_minute: None,
        tokens_per_minute: None,
        in_flight: None,
    }];
    assert_eq!(kit.chat_with(ASK, &[("authorization", "Bearer gw-a")]).await.status, 403);
    assert_eq!(kit.rows()[0].outcome, "forbidden");
}

#[tokio::test]
async fn a_client_that_hangs_up_while_text_is_held_cancels_the_upstream() {
    let mut kit = Kit::new();
    kit.plugin("redact", "window: 4000\nsubscribe:\n  - {phases: [chunk], channels: all}", REDACT);
    let mut items = events(&[&event(r#"{"content":"held back"}"#)]);
    items.push(Item::Hang);
    kit.script(items);
    let alive = kit.upstream.alive.clone();
    let asking = kit.chat(STREAM);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(50), asking).await.is_err());
    assert_eq!(alive.load(std::sync::atomic::Ordering::SeqCst), 0);
    let row = &kit.rows()[0];
    assert_eq!((row.outcome.as_str(), row.status, row.estimated), ("hung-up", 499, true));
}
