//! Thought between clients, dialects and servers that want it otherwise: through the real router and a provider's socket.

use serde_json::{Value, json};

use crate::config::facts::{ProviderFact, ProviderKind};
use crate::life::kit::{Heard, Kit, post_to};
use crate::upstreams::catalog::Catalog;
use crate::upstreams::quirks::{Quirks, Reasoning};
use crate::upstreams::remote::rig::{self, Rig, json as body, last_piece, piece, stream_head};

const CALLED: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"reasoning_content":"I look it up, sk-123456.","tool_calls":[{"id":"call_1","type":"function","function":{"name":"look","arguments":"{\"b\":1,\"a\":2}"}}]},"finish_reason":"tool_calls"}]}"#;
const REDACT: &str = r#"
return { inspect = function(ctx, event)
  local actions = {}
  for _, segment in event.segments do
    local a, b = string.find(segment.text, "sk%-%d%d%d%d%d%d")
    if a and a > segment.sent then table.insert(actions, edit(segment, a, b, "[redacted]")) end
  end
  return actions
end }"#;

fn provider(rig: &Rig, reasoning: Reasoning) -> ProviderFact {
    ProviderFact { quirks: Quirks { reasoning, ..Quirks::default() }, ..rig::fact(&rig.url) }
}

async fn ask(kit: &mut Kit, path: &str, body: &Value) -> Heard {
    kit.send(post_to(path, &body.to_string(), &[])).await.whole().await
}

fn sent(rig: &Rig, at: usize) -> Value {
    let request = rig.requests.lock().unwrap()[at].clone();
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// A history as clients keep it: the call, its arguments read and written anew, and no thought.
fn history() -> Value {
    json!([{"role": "user", "content": "x"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{\"a\": 2, \"b\": 1}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "found"}])
}

#[tokio::test]
async fn thought_that_a_client_dropped_is_put_back_for_who_demands_it_and_for_nobody_else() {
    let event = |delta: &str, finish| rig::event(delta, finish);
    let pieces = [
        event(r#"{"reasoning_content":"I look "}"#, None),
        event(r#"{"reasoning_content":"it up, sk-123456."}"#, None),
        event(r#"{"tool_calls":[{"index":0,"id":"call_1","function":{"name":"look","arguments":"{\"b\":1,"}}]}"#, None),
        event(r#"{"tool_calls":[{"index":0,"function":{"arguments":"\"a\":2}"}}]}"#, None),
        event("{}", Some("tool_calls")),
        "data: [DONE]\n\n".to_owned(),
    ];
    let stream = [vec![stream_head()], pieces.iter().map(|text| piece(text)).collect(), vec![last_piece()]].concat();
    for (first, streamed) in [(vec![body(CALLED)], false), (stream, true)] {
        let rig = Rig::new(vec![first, vec![body(&rig::answer("done"))]]).await;
        let mut kit = Kit::new();
        kit.plugin("redact", "window: 16\nsubscribe:\n  - {phases: [request, chunk], channels: all}", REDACT);
        kit.facts
            .providers
            .insert("strict".to_owned(), ProviderFact { name: "strict".to_owned(), ..provider(&rig, Reasoning::WithCalls) });
        kit.facts.providers.insert("rig".to_owned(), provider(&rig, Reasoning::AsAsked));
        let begins = json!({"model": "strict/m", "stream": streamed, "messages": [{"role": "user", "content": "x"}]});
        assert_eq!(ask(&mut kit, "/v1/chat/completions", &begins).await.status, 200);
        let heard = ask(&mut kit, "/v1/chat/completions", &json!({"model": "strict/m", "messages": history()})).await;
        assert_eq!((heard.status, heard.header("x-gatewright-recalled")), (200, "1"));
        let thought = &sent(&rig, 1)["messages"][1]["reasoning_content"];
        assert_eq!(thought, "I look it up, [redacted].", "as the client was given it");
        ask(&mut kit, "/v1/chat/completions", &json!({"model": "rig/m", "messages": history()})).await;
        assert_eq!(sent(&rig, 2)["messages"], history(), "who demands none gets what its client sent");
        let own = json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": "", "reasoning_content": "mine",
            "tool_calls": history()[1]["tool_calls"]}, history()[2]]);
        ask(&mut kit, "/v1/chat/completions", &json!({"model": "strict/m", "messages": own})).await;
        assert_eq!(sent(&rig, 3)["messages"][1]["reasoning_content"], "mine");
        assert!(kit.rows()[1].verdicts.contains(r#""recalled":1"#));
    }
}

#[tokio::test]
async fn a_client_of_messages_gets_its_thought_back_too_and_another_tenant_none() {
    let rig = Rig::new(vec![vec![body(CALLED)], vec![body(&rig::answer("done"))]]).await;
    let mut kit = Kit::new();
    kit.facts.providers.insert("rig".to_owned(), provider(&rig, Reasoning::WithCalls));
    kit.facts.keys = ["one", "two"].map(|name| super::key(name, name)).to_vec();
    let ask = |messages: Value, who: &str| {
        let body = json!({"model": "rig/m", "max_tokens": 9, "messages": messages}).to_string();
        post_to("/v1/messages", &body, &[("x-api-key", who)])
    };
    let heard = kit.send(ask(json!([{"role": "user", "content": "x"}]), "one")).await.whole().await;
    assert_eq!((heard.status, &heard.json()["content"][0]["type"]), (200, &json!("tool_use")), "the thought was not asked for");
    let history = json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": heard.json()["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "found"}]}]);
    for who in ["one", "two"] {
        assert_eq!(kit.send(ask(history.clone(), who)).await.whole().await.status, 200);
    }
    assert_eq!(sent(&rig, 1)["messages"][1]["reasoning_content"], "I look it up, sk-123456.");
    assert_eq!(sent(&rig, 2)["messages"][1].get("reasoning_content"), None);
}

#[tokio::test]
async fn the_effort_in_effect_and_what_has_no_words_are_told() {
    let whole = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","stop_reason":"end_turn","content":[{"type":"text","text":"x"}],"usage":{"input_tokens":5,"output_tokens":3}}"#;
    let (chat, messages) = (Rig::new(vec![vec![body(&rig::answer("x"))]]).await, Rig::new(vec![vec![body(whole)]]).await);
    let mut kit = Kit::new();
    kit.facts.providers.insert("chat".to_owned(), ProviderFact { name: "chat".to_owned(), ..rig::fact(&chat.url) });
    let kind = ProviderKind::Anthropic;
    kit.facts.providers.insert("claude".to_owned(), ProviderFact { name: "claude".to_owned(), kind, ..rig::fact(&messages.url) });
    let turn = json!([{"role": "user", "content": "x"}]);
    let tools = json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}, {"type": "text", "text": "found"}]},
        {"role": "user", "content": "y"}]);
    let thinking = json!({"type": "enabled", "budget_tokens": 4000});
    let table = [
        ("/v1/chat/completions", json!({"model": "chat/m", "reasoning_effort": "low", "messages": turn}), "effort=low", ""),
        ("/v1/chat/completions", json!({"model": "chat/m", "messages": turn}), "", ""),
        ("/v1/chat/completions", json!({"model": "claude/m", "reasoning_effort": "low", "messages": turn}), "budget=2048", ""),
        (
            "/v1/chat/completions",
            json!({"model": "claude/m", "reasoning_effort": "high", "max_tokens": 100, "seed": 1, "messages": turn}),
            "off",
            "seed",
        ),
        (
            "/v1/messages",
            json!({"model": "chat/m", "max_tokens": 9000, "thinking": thinking, "messages": turn}),
            "effort=medium",
            "",
        ),
        (
            "/v1/messages",
            json!({"model": "claude/m", "max_tokens": 9000, "thinking": thinking, "messages": turn}),
            "budget=4000",
            "",
        ),
        ("/v1/messages", json!({"model": "claude/m", "max_tokens": 9, "messages": tools}), "", ""),
        (
            "/v1/messages",
            json!({"model": "chat/m", "max_tokens": 9, "messages": tools, "mcp_servers": [{"name": "s"}]}),
            "",
            "mcp_servers, server_tool_use, web_search_tool_result",
        ),
    ];
    for (path, asked, told, left) in &table {
        let heard = ask(&mut kit, path, asked).await;
        assert_eq!(heard.status, 200, "{asked}: {}", heard.text);
        let found = (heard.header("x-gatewright-thinking"), heard.header("x-gatewright-not-carried"));
        assert_eq!(found, (*told, *left), "{path} {asked}");
    }
    let rows = kit.rows();
    for (row, (.., told, left)) in rows.iter().zip(table) {
        let said: Value = serde_json::from_str(&row.verdicts).unwrap();
        let found = said["not_carried"].as_array().map(|all| all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "));
        assert_eq!((said["thinking"].as_str().unwrap_or_default(), found.unwrap_or_default().as_str()), (told, left));
    }
}

/// What a row of the catalog says of a model is what its server is told, and what the client is told of it.
#[tokio::test]
async fn the_effort_in_effect_is_told_as_the_models_row_has_it() {
    let messages = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","stop_reason":"end_turn","content":[{"type":"text","text":"x"}],"usage":{"input_tokens":5,"output_tokens":3}}"#;
    let response = r#"{"id":"resp_1","object":"response","status":"completed","model":"m","output":[{"type":"message","id":"m1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"x","annotations":[]}]}],"usage":{"input_tokens":5,"output_tokens":3,"total_tokens":8}}"#;
    let rigs = [
        ("openai", ProviderKind::OpenAi, Rig::new(vec![vec![body(&rig::answer("x"))]]).await),
        ("anthropic", ProviderKind::Anthropic, Rig::new(vec![vec![body(messages)]]).await),
        ("openai", ProviderKind::OpenAiResponses, Rig::new(vec![vec![body(response)]]).await),
    ];
    let (mut kit, catalog) = (Kit::new(), Catalog::packed().unwrap());
    for ((row, kind, rig), name) in rigs.iter().zip(["gpt", "claude", "resp"]) {
        let quirks = catalog.find(row).unwrap().present.quirks.clone();
        let fact = ProviderFact { name: name.to_owned(), kind: *kind, quirks, ..rig::fact(&rig.url) };
        kit.facts.providers.insert(name.to_owned(), fact);
    }
    let turn = json!([{"role": "user", "content": "x"}]);
    let (much, off) = (json!({"type": "enabled", "budget_tokens": 4000}), json!({"type": "disabled"}));
    let asks = |model: &str, thinking: &Value| json!({"model": model, "max_tokens": 9000, "thinking": thinking, "messages": turn});
    let chat = |model: &str| json!({"model": model, "reasoning_effort": "high", "temperature": 0.5, "messages": turn});
    let seeded = json!({"model": "resp/gpt-5.4", "reasoning_effort": "low", "seed": 5, "logit_bias": {}, "messages": turn});
    let table = [
        ("/v1/messages", asks("gpt/gpt-4.1", &much), "", "reasoning_effort"),
        ("/v1/messages", asks("gpt/gpt-4.1", &off), "", ""),
        ("/v1/messages", asks("gpt/gpt-5.1", &off), "effort=none", ""),
        ("/v1/messages", asks("resp/gpt-5", &off), "effort=minimal", ""),
        ("/v1/messages", asks("resp/gpt-4.1", &much), "", "reasoning_effort"),
        ("/v1/messages", asks("claude/claude-opus-4-8", &much), "effort=medium", ""),
        ("/v1/chat/completions", chat("claude/claude-opus-4-7"), "effort=high", "temperature"),
        ("/v1/chat/completions", seeded, "effort=low", "seed, logit_bias"),
    ];
    for (path, asked, told, left) in &table {
        let heard = ask(&mut kit, path, asked).await;
        assert_eq!(heard.status, 200, "{asked}: {}", heard.text);
        let found = (heard.header("x-gatewright-thinking"), heard.header("x-gatewright-not-carried"));
        assert_eq!(found, (*told, *left), "{path} {asked}");
    }
    assert_eq!(sent(&rigs[1].2, 0)["thinking"], json!({"type": "adaptive"}));
    assert_eq!(sent(&rigs[2].2, 0)["reasoning"], json!({"effort": "minimal"}));
    assert_eq!(sent(&rigs[2].2, 1).get("reasoning"), None);
}

#[tokio::test]
async fn a_client_of_responses_gets_its_thought_back_by_the_answers_id_and_by_its_calls() {
    let rig = Rig::new(vec![vec![body(CALLED)], vec![body(&rig::answer("done"))]]).await;
    let mut kit = Kit::new();
    kit.facts.providers.insert("rig".to_owned(), provider(&rig, Reasoning::WithCalls));
    let first = ask(&mut kit, "/v1/responses", &json!({"model": "rig/m", "input": "x"})).await.json();
    let call = first["output"].as_array().unwrap().iter().find(|item| item["type"] == "function_call").unwrap();
    let result = json!({"type": "function_call_output", "call_id": "call_1", "output": "found"});
    let follows = json!({"model": "rig/m", "previous_response_id": first["id"], "input": [result]});
    let items = json!({"model": "rig/m", "input": [{"role": "user", "content": "x"}, call, result]});
    let named = json!({"model": "rig/m", "input": [{"role": "user", "content": "x"}, {"id": call["id"]}, result]});
    for (at, asked) in [(1, &follows), (2, &items), (3, &named)] {
        let heard = ask(&mut kit, "/v1/responses", asked).await;
        assert_eq!(heard.status, 200, "{}", heard.text);
        let message = &sent(&rig, at)["messages"][1];
        assert_eq!(message["reasoning_content"], "I look it up, sk-123456.", "{asked}");
        assert_eq!(message["tool_calls"][0]["id"], "call_1");
    }
}

#[tokio::test]
async fn what_a_vendor_has_sealed_goes_back_to_it_alone_and_elsewhere_that_is_told() {
    let thought = json!({"type": "reasoning", "id": "rs_up", "summary": [{"type": "summary_text", "text": "So."}], "encrypted_content": "gA+/=="});
    let said = json!({"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "x", "annotations": []}]});
    let whole = json!({"id": "resp_up", "object": "response", "status": "completed", "model": "m", "output": [thought, said]});
    let done = json!({"type": "response.completed", "response": whole});
    let item = |at: usize| json!({"type": "response.output_item.done", "output_index": at, "item": whole["output"][at]});
    let stream = [item(0), item(1), done].map(|event| piece(&format!("data: {event}\n\n")));
    let stream = [vec![stream_head()], stream.to_vec(), vec![last_piece()]].concat();
    for (first, streamed) in [(vec![body(&whole.to_string())], false), (stream, true)] {
        let (one, two) =
            (Rig::new(vec![first, vec![body(&whole.to_string())]]).await, Rig::new(vec![vec![body(&whole.to_string())]]).await);
        let chat = Rig::new(vec![vec![body(&rig::answer("x"))]]).await;
        let mut kit = Kit::new();
        let kinds = [
            ("one", &one, ProviderKind::OpenAiResponses),
            ("two", &two, ProviderKind::OpenAiResponses),
            ("chat", &chat, ProviderKind::OpenAi),
        ];
        for (name, rig, kind) in kinds {
            kit.facts.providers.insert(name.to_owned(), ProviderFact { name: name.to_owned(), kind, ..rig::fact(&rig.url) });
        }
        let asked =
            json!({"model": "one/m", "input": "x", "store": false, "stream": streamed, "include": ["reasoning.encrypted_content"]});
        let heard = ask(&mut kit, "/v1/responses", &asked).await;
        let told = if streamed { heard.events().pop().unwrap()["response"].clone() } else { heard.json() };
        let input = json!([{"role": "user", "content": "x"}, told["output"][0], {"role": "user", "content": "and?"}]);
        assert!(input.to_string().contains("gA+/=="), "{told}");
        for (model, rig, goes, left) in [
            ("one/m", &one, true, ""),
            ("two/m", &two, false, "reasoning.encrypted_content"),
            ("chat/m", &chat, false, "reasoning.encrypted_content"),
        ] {
            let heard = ask(&mut kit, "/v1/responses", &json!({"model": model, "input": input})).await;
            assert_eq!((heard.status, heard.header("x-gatewright-not-carried")), (200, left), "{model}: {}", heard.text);
            let body = sent(rig, rig.asked() - 1).to_string();
            assert_eq!(body.contains(r#""encrypted_content":"gA+/==""#), goes, "{body}");
            assert!(!body.contains("gatewright.by") && (goes || !body.contains("gA+")), "{body}");
        }
    }
}

/// Who is the only one that seals gets all back, so nothing need say whose it is.
#[tokio::test]
async fn what_the_only_vendor_that_seals_has_sealed_is_the_clients_byte_for_byte() {
    let thought = json!({"type": "reasoning", "id": "rs_up", "summary": [], "encrypted_content": "gA+/=="});
    let said = json!({"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "x", "annotations": []}]});
    let whole = json!({"id": "resp_up", "object": "response", "status": "completed", "model": "m", "output": [thought, said]});
    let one = Rig::new(vec![vec![body(&whole.to_string())]]).await;
    let mut kit = Kit::new();
    let fact = ProviderFact { name: "one".to_owned(), kind: ProviderKind::OpenAiResponses, ..rig::fact(&one.url) };
    kit.facts.providers.insert("one".to_owned(), fact);
    let asked = json!({"model": "one/m", "input": "x", "store": false, "include": ["reasoning.encrypted_content"]});
    let told = ask(&mut kit, "/v1/responses", &asked).await.json();
    assert_eq!(told["output"][0]["encrypted_content"], "gA+/==", "{told}");
    let input = json!([{"role": "user", "content": "x"}, told["output"][0], {"role": "user", "content": "and?"}]);
    ask(&mut kit, "/v1/responses", &json!({"model": "one/m", "input": input})).await;
    assert!(sent(&one, 1).to_string().contains(r#""encrypted_content":"gA+/==""#));
}
