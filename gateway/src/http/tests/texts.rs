//! The paths beside chats: completions, embeddings and moderations through the real router and a provider's socket.

use serde_json::{Value, json};

use crate::config::facts::{ProviderFact, ProviderKind};
use crate::life::kit::{Heard, Kit, post_to};
use crate::upstreams::remote::rig::{self, KEY, Rig, Step, json as body, last_piece, piece, stream_head};

const EMBEDDED: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPw=="}],"model":"e-1","usage":{"prompt_tokens":4,"total_tokens":4}}"#;
const JUDGED: &str = r#"{"id":"modr-1","model":"omni","results":[{"flagged":false,"categories":{"hate":false}}]}"#;
const WRITTEN: &str = r#"{"id":"cmpl-1","object":"text_completion","created":7,"model":"m-1","choices":[{"text":"sk-123456","index":0,"logprobs":{"tokens":["sk-123456"]},"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5}}"#;
/// Takes keys out of all texts, answers `hello`, and refuses what is forbidden.
const POLICY: &str = r#"
return { inspect = function(ctx, event)
  local actions = {}
  for _, segment in event.segments do
    if string.find(segment.text, "forbidden", 1, true) then return { block("topic", "not here") } end
    if segment.text == "hello" and event.phase == "request" then return { answer("hello yourself") } end
    local a, b = string.find(segment.text, "sk%-%d%d%d%d%d%d")
    if a and a > segment.sent then table.insert(actions, edit(segment, a, b, "[redacted]")) end
  end
  return actions
end }"#;
const TEXTS: &str = "window: 16\nsubscribe:\n  - {phases: [request, chunk], channels: [user, assistant]}";

async fn kit(scripts: Vec<Vec<Step>>) -> (Kit, Rig) {
    let rig = Rig::new(scripts).await;
    let mut kit = Kit::new();
    kit.facts.providers.insert("rig".to_owned(), rig::fact(&rig.url));
    (kit, rig)
}

async fn ask(kit: &mut Kit, path: &str, body: &Value) -> Heard {
    kit.send(post_to(path, &body.to_string(), &[("authorization", "Bearer clients-own"), ("openai-beta", "x")])).await.whole().await
}

fn sent(rig: &Rig, at: usize) -> (String, Value) {
    let request = rig.requests.lock().unwrap()[at].clone();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn embeddings_and_moderations_pass_both_ways_and_are_counted() {
    let (mut kit, rig) = kit(vec![vec![body(EMBEDDED)], vec![body(JUDGED)]]).await;
    let asked = json!({"model": "rig/e", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 8});
    let heard = ask(&mut kit, "/v1/embeddings", &asked).await;
    assert_eq!((heard.status, heard.text.as_str()), (200, EMBEDDED));
    assert_eq!(heard.header("x-gatewright-leg"), "rig/e");
    let heard = ask(&mut kit, "/v1/moderations", &json!({"model": "rig/o", "input": "a"})).await;
    assert_eq!((heard.status, heard.text.as_str()), (200, JUDGED));
    let (head, body) = sent(&rig, 0);
    assert!(head.starts_with("POST /v1/embeddings ") && head.contains(KEY) && !head.contains("clients-own"), "{head}");
    assert_eq!(body, json!({"model": "e", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 8}));
    assert!(sent(&rig, 1).0.starts_with("POST /v1/moderations "));
    let rows = kit.rows();
    assert_eq!(
        (rows[0].outcome.as_str(), rows[0].prompt_tokens, rows[0].completion_tokens, rows[0].estimated),
        ("ok", 4, 0, false)
    );
    assert_eq!((rows[1].outcome.as_str(), rows[1].leg.as_deref()), ("ok", Some("rig/o")));
}

#[tokio::test]
async fn completions_pass_both_ways_whole_and_as_a_stream() {
    let event = r#"{"id":"cmpl-1","object":"text_completion","created":7,"model":"m-1","choices":[{"text":"hi","index":0,"logprobs":null,"finish_reason":"stop"}]}"#;
    let usage = r#"{"id":"cmpl-1","choices":[],"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5}}"#;
    let events = [event, usage, "[DONE]"].map(|data| piece(&format!("data: {data}\n\n")));
    let stream = [vec![stream_head()], events.to_vec(), vec![last_piece()]].concat();
    let (mut kit, rig) = kit(vec![vec![body(WRITTEN)], stream]).await;
    let heard = ask(&mut kit, "/v1/completions", &json!({"model": "rig/m", "prompt": "once", "max_tokens": 5})).await;
    assert_eq!((heard.status, heard.text.as_str()), (200, WRITTEN));
    let heard = ask(&mut kit, "/v1/completions", &json!({"model": "rig/m", "prompt": "once", "stream": true})).await;
    assert_eq!(
        (heard.text.as_str(), heard.header("content-type")),
        (&*format!("data: {event}\n\ndata: [DONE]\n\n"), "text/event-stream")
    );
    assert!(sent(&rig, 0).0.starts_with("POST /v1/completions "));
    for row in kit.rows() {
        assert_eq!((row.outcome.as_str(), row.prompt_tokens, row.completion_tokens), ("ok", 2, 3));
    }
}

#[tokio::test]
async fn policies_see_and_edit_what_goes_in_and_what_is_written() {
    let (mut kit, rig) = kit(vec![vec![body(WRITTEN)], vec![body(EMBEDDED)]]).await;
    kit.plugin("policy", TEXTS, POLICY);
    let heard =
        ask(&mut kit, "/v1/completions", &json!({"model": "rig/m", "prompt": ["my sk-654321", "b"], "suffix": "sk-111111."})).await;
    assert_eq!(heard.status, 200, "{}", heard.text);
    let choice = &heard.json()["choices"][0];
    assert_eq!((&choice["text"], &choice["logprobs"]), (&json!("[redacted]"), &Value::Null), "{}", heard.text);
    let body = sent(&rig, 0).1;
    assert_eq!((&body["prompt"], &body["suffix"]), (&json!(["my [redacted]", "b"]), &json!("[redacted].")));
    let heard = ask(&mut kit, "/v1/embeddings", &json!({"model": "rig/e", "input": "my sk-654321"})).await;
    assert_eq!((heard.status, heard.text.as_str()), (200, EMBEDDED), "numbers pass, and the record says so");
    assert!(heard.header("x-gatewright-plugins").contains("not-inspected=answer:other"), "{:?}", heard.headers);
    assert_eq!(sent(&rig, 1).1["input"], "my [redacted]");
}

#[tokio::test]
async fn nothing_goes_around_a_policy() {
    let (mut kit, rig) = kit(vec![vec![body(EMBEDDED)]]).await;
    kit.plugin("policy", TEXTS, POLICY);
    for (path, field) in [("/v1/completions", "prompt"), ("/v1/embeddings", "input"), ("/v1/moderations", "input")] {
        for hidden in [json!("a forbidden thing"), json!(["a", "forbidden"]), json!([1, 2]), json!([[1, 2], [3]])] {
            let heard = ask(&mut kit, path, &json!({"model": "rig/m", field: hidden})).await;
            assert_eq!((heard.status, &heard.json()["error"]["code"]), (400, &json!("content_filter")), "{path} {hidden}");
        }
    }
    // Who listens to everything is shown tokens as media, and cannot read them either.
    let (mut all, _) = self::kit(Vec::new()).await;
    all.plugin("policy", "subscribe:\n  - {phases: [request], channels: all}", POLICY);
    let heard = ask(&mut all, "/v1/embeddings", &json!({"model": "rig/e", "input": [1, 2]})).await;
    assert_eq!((heard.status, &heard.json()["error"]["code"]), (400, &json!("content_filter")));
    let image = json!([{"type": "image_url", "image_url": {"url": "https://e.example/a.png"}}]);
    assert_eq!(ask(&mut kit, "/v1/moderations", &json!({"input": image, "model": "rig/o"})).await.status, 400);
    let heard = ask(&mut kit, "/v1/embeddings", &json!({"model": "rig/e", "input": "hello"})).await;
    assert_eq!((heard.status, &heard.json()["error"]["code"]), (400, &json!("content_filter")), "words are no vector");
    let heard = ask(&mut kit, "/v1/completions", &json!({"model": "rig/m", "prompt": "hello"})).await;
    assert_eq!((heard.status, &heard.json()["choices"][0]["text"]), (200, &json!("hello yourself")));
    assert_eq!(rig.asked(), 0);
}

#[tokio::test]
async fn who_has_no_such_path_is_not_asked() {
    let rig = Rig::new(vec![vec![body(EMBEDDED)]]).await;
    let mut kit = Kit::new();
    kit.facts.providers.insert("rig".to_owned(), ProviderFact { kind: ProviderKind::Anthropic, ..rig::fact(&rig.url) });
    let heard = ask(&mut kit, "/v1/embeddings", &json!({"model": "rig/e", "input": "a"})).await;
    assert_eq!((heard.status, &heard.json()["error"]["param"]), (400, &json!("model")), "{}", heard.text);
    assert!(heard.text.contains("/v1/embeddings") && rig.asked() == 0);
}

#[tokio::test]
async fn an_embedding_is_cached_and_is_no_answer_to_a_chat() {
    use crate::config::facts::{LegFact, LegTarget, RouteFact};
    let (mut kit, rig) = kit(vec![vec![body(EMBEDDED)], vec![body(&rig::answer("chat"))]]).await;
    let leg = LegFact::new(LegTarget::Provider("rig".to_owned()), "e");
    let cache = Some(std::time::Duration::from_secs(60));
    kit.facts.routes.insert("e".to_owned(), RouteFact { cache, ..RouteFact::plain("e", vec![leg]) });
    for word in ["miss", "hit"] {
        let heard = ask(&mut kit, "/v1/embeddings", &json!({"model": "e", "input": "hi"})).await;
        assert_eq!((heard.header("x-gatewright-cache"), heard.text.as_str()), (word, EMBEDDED));
    }
    let heard = kit.chat(r#"{"model":"e","messages":[{"role":"user","content":"hi"}]}"#).await;
    assert_eq!((heard.header("x-gatewright-cache"), &heard.json()["choices"][0]["message"]["content"]), ("miss", &json!("chat")));
    assert_eq!(rig.asked(), 2);
}
