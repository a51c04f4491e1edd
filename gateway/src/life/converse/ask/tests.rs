//! What a request comes to in records and metrics by whom it asked: legs that fail and are tried again, and the cache.

use std::time::Duration;

use crate::config::facts::{LegFact, LegTarget};
use crate::life::kit::{Kit, says, stream_of};
use crate::upstreams::remote::rig::{Rig, answer, fact, json, response};

const ASK: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
const STREAM: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

/// A gateway whose route `m` asks that server, twice at most.
fn kit_of(rig: &Rig) -> Kit {
    let mut kit = Kit::new();
    let mut provider = fact(&rig.url);
    provider.attempts = 2;
    kit.facts.providers.insert("rig".to_owned(), provider);
    kit.route().legs = vec![LegFact::new(LegTarget::Provider("rig".to_owned()), "x")];
    kit
}

/// Checks how many tries of the leg `rig/x` ended so.
fn tries(kit: &mut Kit, expected: [(&str, u32); 3]) {
    let metrics = kit.host().shared.metrics.render();
    for (outcome, count) in expected {
        let line = format!("gatewright_upstream_attempts_total{{leg=\"rig/x\",outcome=\"{outcome}\"}} {count}");
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn a_busy_upstream_is_asked_again_and_both_tries_are_on_record() {
    let busy = response("429 Too Many Requests", &[("retry-after", "0")], r#"{"error":{"message":"slow down"}}"#);
    let rig = Rig::new(vec![vec![busy], vec![json(&answer("hello"))]]).await;
    let mut kit = kit_of(&rig);
    let heard = kit.chat(ASK).await;
    assert_eq!((heard.status, rig.asked()), (200, 2), "{}", heard.text);
    tries(&mut kit, [("retried", 1), ("spoke", 1), ("failed", 0)]);
    assert_eq!(kit.rows()[0].attempts, 2);
}

#[tokio::test]
async fn tries_that_all_fail_are_on_record_too() {
    let rig = Rig::new(vec![vec![response("503 Down", &[("retry-after", "0")], "")]]).await;
    let mut kit = kit_of(&rig);
    assert_eq!((kit.chat(ASK).await.status, rig.asked()), (502, 2));
    tries(&mut kit, [("retried", 1), ("failed", 1), ("spoke", 0)]);
    let row = &kit.rows()[0];
    assert_eq!((row.attempts, row.leg.as_deref()), (2, None));
}

#[tokio::test]
async fn an_answer_out_of_the_cache_uses_no_tokens() {
    let mut kit = Kit::new();
    kit.route().cache = Some(Duration::from_secs(60));
    kit.script(stream_of(&[r#"{"content":"hello"}"#]));
    for _ in 0..2 {
        assert_eq!(kit.chat(STREAM).await.said("content"), "hello");
    }
    let metrics = kit.host().shared.metrics.render();
    assert!(metrics.lines().any(|line| line == "gatewright_tokens_total{route=\"m\",kind=\"prompt\"} 5"), "{metrics}");
    let rows = kit.rows();
    let used = |n: usize| (rows[n].cache.as_str(), rows[n].prompt_tokens, rows[n].completion_tokens, rows[n].estimated);
    assert_eq!((used(0), used(1)), (("miss", 5, 3, false), ("hit", 0, 0, false)));
}

#[tokio::test]
async fn a_cache_hit_passes_the_plugins_of_today() {
    let mut kit = Kit::new();
    kit.route().cache = Some(Duration::from_secs(60));
    kit.script(says("the word is swordfish"));
    assert!(kit.chat(ASK).await.text.contains("swordfish"));
    // The gateway is closed, and starts again with a plugin that it did not have.
    kit.rows();
    let source = r#"
return { inspect = function(ctx, event)
  for _, segment in event.segments do
    local a, b = string.find(segment.text, "swordfish", 1, true)
    if a then return { edit(segment, a, b, "[redacted]") } end
  end
end }"#;
    kit.plugin("redact", "window: 16\nsubscribe:\n  - {phases: [chunk], channels: all}", source);
    let heard = kit.chat(ASK).await;
    assert_eq!(heard.header("x-gatewright-cache"), "hit");
    assert_eq!(heard.json()["choices"][0]["message"]["content"], "the word is [redacted]");
    assert_eq!(kit.upstream.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_name_that_is_too_long_for_a_model_is_refused_before_it_is_repeated_anywhere() {
    let rig = Rig::new(vec![vec![json(&answer("hello"))]]).await;
    let mut kit = kit_of(&rig);
    for (bytes, status) in [(252, 200), (253, 400), (1 << 20, 400)] {
        let heard = kit.chat(&ASK.replace("\"m\"", &format!("\"rig/{}\"", "x".repeat(bytes)))).await;
        assert_eq!((heard.status, heard.text.len() < 1000), (status, true), "{}", heard.text);
        if status == 400 {
            assert_eq!(heard.json()["error"]["param"], "model");
        }
    }
    assert_eq!(rig.asked(), 1);
}
