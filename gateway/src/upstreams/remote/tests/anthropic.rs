//! Upstreams that speak Anthropic's Messages: what they are asked, how they answer, and how they fail.

use gatewright_types::{ChatRequest, Delta, FaultKind, Raw, Retry};

use super::super::rig::{KEY, Rig, Step, fact, hear, json, last_piece, piece, request, response, stream_head, streaming, text};
use super::{Clients, RemoteUpstream};
use crate::config::facts::{ProviderFact, ProviderKind};

fn upstream(rig: &Rig) -> RemoteUpstream {
    let url = rig.url.trim_end_matches("/v1");
    let fact = ProviderFact { kind: ProviderKind::Anthropic, ..fact(url) };
    RemoteUpstream::new(&fact, &Clients::default()).unwrap()
}

const WHOLE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":2}}"#;

fn event(data: &str) -> Step {
    piece(&format!("event: x\ndata: {data}\n\n"))
}

fn stream(end: Vec<Step>) -> Vec<Step> {
    let mut steps = vec![
        stream_head(),
        event(r#"{"type":"message_start","message":{"id":"msg_1","model":"c","usage":{"input_tokens":5,"output_tokens":1}}}"#),
        event(r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#),
        event(r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}"#),
    ];
    steps.extend(end);
    steps
}

#[tokio::test]
async fn it_is_asked_as_it_wants_and_a_whole_answer_keeps_its_bytes() {
    let rig = Rig::new(vec![vec![json(WHOLE)]]).await;
    let mut asked = request();
    asked.extras.push("anthropic_messages.header.anthropic-beta", serde_json::value::to_raw_value("b-1").unwrap());
    let (chunks, fault) = hear(&upstream(&rig), asked).await;
    assert!(fault.is_none(), "{fault:?}");
    assert!(matches!(&chunks[0].raw, Some(Raw::Body("anthropic_messages", body)) if body == WHOLE));
    assert_eq!(text(chunks), "hello");
    let sent = rig.requests.lock().unwrap()[0].clone();
    for wanted in [
        "POST /v1/messages HTTP/1.1",
        &format!("x-api-key: {KEY}"),
        "anthropic-version: 2023-06-01",
        "anthropic-beta: b-1",
        "x-team: blue-team",
    ] {
        assert!(sent.contains(wanted), "{wanted} in {sent}");
    }
    assert!(!sent.to_lowercase().contains("authorization") && sent.contains(r#""max_tokens":8192"#), "{sent}");
}

#[tokio::test]
async fn a_stream_ends_in_its_own_word_or_in_a_cut() {
    let end = || event(r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#);
    let stop = || event(r#"{"type":"message_stop"}"#);
    let rig =
        Rig::new(vec![stream(vec![end(), stop(), last_piece()]), stream(vec![end(), last_piece()]), stream(vec![last_piece()])])
            .await;
    for _ in 0..2 {
        let (chunks, fault) = hear(&upstream(&rig), streaming()).await;
        assert!(fault.is_none(), "{fault:?}");
        assert!(
            chunks.iter().flat_map(|chunk| &chunk.deltas).any(|delta| matches!(delta, Delta::Usage(usage) if usage.prompt == 5))
        );
        assert_eq!(text(chunks), "hello");
    }
    let (_, fault) = hear(&upstream(&rig), streaming()).await;
    assert_eq!(fault.unwrap().kind, FaultKind::UpstreamCut);
}

#[tokio::test]
async fn its_errors_are_understood_wherever_they_come() {
    let busy = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#;
    let secret = busy.replace("Overloaded", KEY);
    let page =
        |status: &str, body: &str| vec![response(status, &[("content-type", "application/json"), ("retry-after", "3")], body)];
    let rig = Rig::new(vec![
        page("529 x", busy),
        stream(vec![event(busy)]),
        page("401 Unauthorized", busy),
        page("400 Bad Request", &secret),
    ])
    .await;
    let (_, fault) = hear(&upstream(&rig), streaming()).await;
    let fault = fault.unwrap();
    assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::UpstreamStatus(529), "Overloaded"));
    assert!(matches!(fault.retry, Retry::Here(Some(_))) && fault.body.is_some_and(|(dialect, _)| dialect == "anthropic_messages"));
    let (chunks, fault) = hear(&upstream(&rig), streaming()).await;
    assert_eq!((text(chunks).as_str(), fault.unwrap().kind), ("hello", FaultKind::UpstreamStatus(529)));
    let fault = hear(&upstream(&rig), request()).await.1.unwrap();
    assert!(fault.body.is_none() && fault.message.contains("credentials"));
    let fault = hear(&upstream(&rig), request()).await.1.unwrap();
    assert!(fault.body.is_none() && !fault.message.contains(KEY));
}

#[tokio::test]
async fn what_it_cannot_say_is_not_sent() {
    let rig = Rig::new(vec![vec![json(WHOLE)]]).await;
    let mut two: ChatRequest = request();
    two.sampling.n = Some(2);
    let fault = hear(&upstream(&rig), two).await.1.unwrap();
    assert_eq!((fault.kind, fault.retry, rig.asked()), (FaultKind::InvalidRequest, Retry::Elsewhere, 0));
}
