//! Upstreams as they are on a bad day, and on a good one.

mod anthropic;

use std::time::{Duration, Instant};

use gatewright_types::{Delta, Fault, FaultKind, FinishReason, Raw, Retry, Side};

use super::rig::{
    KEY, Rig, Step, answer, event, fact, hear, json, last_piece, piece, request, response, stream_head, streaming, text, upstream,
};
use super::{Clients, RemoteUpstream};
use crate::config::facts::Timeouts;
use crate::dialects::openai_chat::fault::envelope;

/// What both kinds of request come to.
async fn both(script: Vec<Step>) -> [Fault; 2] {
    let rig = Rig::new(vec![script]).await;
    let whole = hear(&rig.upstream(), request()).await.1.unwrap();
    let streamed = hear(&rig.upstream(), streaming()).await.1.unwrap();
    [whole, streamed]
}

fn page() -> Step {
    response("200 OK", &[("content-type", "text/html")], "<html>Welcome</html>")
}

#[tokio::test]
async fn a_whole_answer_keeps_its_bytes() {
    let rig = Rig::new(vec![vec![json(&answer("hello"))]]).await;
    let (chunks, fault) = hear(&rig.upstream(), request()).await;
    assert!(fault.is_none());
    assert!(matches!(&chunks[0].raw, Some(Raw::Body(_, body)) if body == &answer("hello")));
    assert_eq!(text(chunks), "hello");
    let sent = rig.requests.lock().unwrap()[0].to_lowercase();
    for wanted in [
        "post /v1/chat/completions http/1.1",
        &format!("authorization: bearer {KEY}"),
        "x-team: blue-team",
        "accept: application/json",
        "content-type: application/json",
        "user-agent: gatewright/",
    ] {
        assert!(sent.contains(wanted), "{wanted} in {sent}");
    }
    assert!(
        !sent.contains("accept-encoding") && !sent.contains("\"stream\"") && sent.matches("content-type").count() == 1,
        "{sent}"
    );
}

#[tokio::test]
async fn a_stream_passes_event_by_event_and_its_connection_serves_again() {
    let end = format!("{}data: [DONE]\n\n", event("{}", Some("stop")));
    let script = vec![stream_head(), piece(": hi\n\n"), piece(&event("{\"content\":\"he\"}", None)), piece(&end), last_piece()];
    let late = vec![
        stream_head(),
        piece(&event("{\"content\":\"llo\"}", None)),
        piece(&end),
        Step::Wait(Duration::from_millis(20)),
        last_piece(),
    ];
    let rig = Rig::new(vec![script, late]).await;
    let upstream = rig.upstream();
    let (chunks, fault) = hear(&upstream, streaming()).await;
    assert!(fault.is_none() && chunks.iter().all(|chunk| matches!(chunk.raw, Some(Raw::Event(..)))));
    let sent = rig.requests.lock().unwrap()[0].to_lowercase();
    assert!(sent.contains("accept: text/event-stream") && sent.contains(r#""stream_options":{"include_usage":true}"#), "{sent}");
    let mut said = text(chunks);
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let (chunks, fault) = hear(&upstream, streaming()).await;
        assert!(fault.is_none());
        said += &text(chunks);
    }
    assert_eq!((said.as_str(), *rig.connections.lock().unwrap()), ("hellollo", 1));
}

#[tokio::test]
async fn nothing_is_asked_before_the_first_poll_and_a_drop_cancels() {
    use crate::upstreams::Upstream;
    let rig =
        Rig::new(vec![vec![stream_head(), piece(&event("{\"content\":\"x\"}", None)), Step::Wait(Duration::from_secs(60))]]).await;
    let upstream = rig.upstream();
    let asked = upstream.answer(std::sync::Arc::new(streaming()), super::rig::soon());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(rig.asked(), 0);
    drop(asked);
    assert_eq!(rig.asked(), 0);
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_unreachable_and_worth_another_try() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for request in [request(), streaming()] {
        let fault = hear(&upstream(&format!("http://{closed}/v1")), request).await.1.unwrap();
        assert_eq!(
            (fault.kind.clone(), fault.retry, fault.side),
            (FaultKind::UpstreamUnreachable, Retry::Here(None), Side::Upstream("rig".into()))
        );
        assert!(!fault.message.contains("127.0.0.1"), "{}", fault.message);
    }
}

#[tokio::test]
async fn a_peer_that_takes_the_connection_and_never_completes_tls_is_unreachable() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut fact = fact(&format!("https://{}/v1", silent.local_addr().unwrap()));
    // Only the time for connecting can end this within the test's patience.
    let long = Duration::from_secs(600);
    fact.timeouts = Timeouts { connect: Duration::from_millis(100), first_byte: long, first_token: None, idle: long, total: long };
    let upstream = RemoteUpstream::new(&fact, &Clients::default()).unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(20), hear(&upstream, request())).await;
    let fault = heard.expect("connecting has no end").1.unwrap();
    assert_eq!((fault.kind, fault.retry), (FaultKind::UpstreamUnreachable, Retry::Here(None)));
}

#[tokio::test]
async fn a_reset_before_the_answer_is_unreachable() {
    for fault in both(vec![Step::Reset]).await {
        assert_eq!((fault.kind, fault.retry), (FaultKind::UpstreamUnreachable, Retry::Here(None)));
    }
}

#[tokio::test]
async fn a_slow_first_byte_and_a_stall_are_timeouts() {
    let began = Instant::now();
    for fault in both(vec![Step::Wait(Duration::from_secs(60))]).await {
        assert_eq!((fault.kind, fault.retry), (FaultKind::UpstreamTimeout, Retry::Elsewhere));
    }
    let stall = vec![stream_head(), piece(&event("{\"content\":\"x\"}", None)), Step::Wait(Duration::from_secs(60))];
    for fault in both(stall).await {
        assert_eq!(fault.kind, FaultKind::UpstreamTimeout);
    }
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn an_answer_that_drips_forever_ends_at_its_total_time() {
    let drip = |_| [piece(&event("{\"content\":\"x\"}", None)), Step::Wait(Duration::from_millis(100))];
    let script = std::iter::once(stream_head()).chain((0..60).flat_map(drip)).collect();
    let (chunks, fault) = hear(&Rig::new(vec![script]).await.upstream(), streaming()).await;
    assert!(chunks.len() > 5 && fault.is_some_and(|fault| fault.kind == FaultKind::UpstreamTimeout));
}

#[tokio::test]
async fn truncated_json_and_truncated_events_are_no_answers() {
    let cut = Step::Send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"id\":".into());
    for fault in both(vec![cut, Step::Close]).await {
        assert_eq!(fault.kind, FaultKind::UpstreamCut);
    }
    let half = json("{\"id\":\"x\",\"choices\":[");
    for fault in both(vec![half]).await {
        assert_eq!(fault.kind, FaultKind::UpstreamInvalid);
    }
    let odd = json("{\"id\":\"x\",}");
    for fault in both(vec![odd]).await {
        assert_eq!(fault.kind, FaultKind::UpstreamInvalid);
    }
    let script = vec![stream_head(), piece(&event("{\"content\":\"x\"}", None)), piece("data: {\"choices\":[{\"ind"), last_piece()];
    let (chunks, fault) = hear(&Rig::new(vec![script]).await.upstream(), streaming()).await;
    assert_eq!((text(chunks).as_str(), fault.map(|fault| fault.kind)), ("x", Some(FaultKind::UpstreamCut)));
}

#[tokio::test]
async fn a_cut_in_the_middle_is_never_a_clean_end() {
    for end in [Step::Close, Step::Reset, last_piece()] {
        let script = vec![stream_head(), piece(&event("{\"content\":\"x\"}", None)), Step::Wait(Duration::from_millis(30)), end];
        let (chunks, fault) = hear(&Rig::new(vec![script]).await.upstream(), streaming()).await;
        assert_eq!((text(chunks).as_str(), fault.map(|fault| fault.kind)), ("x", Some(FaultKind::UpstreamCut)));
    }
}

#[tokio::test]
async fn an_end_without_done_is_clean_when_every_choice_has_finished() {
    let finished = vec![stream_head(), piece(&event("{\"content\":\"x\"}", Some("stop"))), last_piece()];
    let (chunks, fault) = hear(&Rig::new(vec![finished.clone()]).await.upstream(), streaming()).await;
    assert!(text(chunks) == "x" && fault.is_none());
    let mut two = streaming();
    two.sampling.n = Some(2);
    let fault = hear(&Rig::new(vec![finished]).await.upstream(), two).await.1;
    assert_eq!(fault.map(|fault| fault.kind), Some(FaultKind::UpstreamCut));
    // The last event lacks its blank line.
    let bare = vec![stream_head(), piece(&event("{\"content\":\"x\"}", None)), piece("data: [DONE]"), last_piece()];
    assert!(hear(&Rig::new(vec![bare]).await.upstream(), streaming()).await.1.is_none());
}

#[tokio::test]
async fn an_end_that_is_said_again_is_said_once_unless_something_came_between() {
    let said = [("{\"content\":\"x\"}", "stop"), ("{}", "stop"), ("{\"content\":\"y\"}", "stop"), ("{}", "length")];
    let pieces = said.map(|(delta, finish)| piece(&event(delta, Some(finish))));
    let script = [stream_head()].into_iter().chain(pieces).chain([last_piece()]).collect();
    let (chunks, fault) = hear(&Rig::new(vec![script]).await.upstream(), streaming()).await;
    let finish = |delta: &Delta| if let Delta::Finish { reason, .. } = delta { Some(reason.clone()) } else { None };
    let ends: Vec<_> = chunks.iter().flat_map(|chunk| chunk.deltas.iter().filter_map(finish)).collect();
    assert_eq!(ends, [FinishReason::Stop, FinishReason::Stop, FinishReason::Length]);
    assert!(fault.is_none() && text(chunks) == "xy");
}

#[tokio::test]
async fn a_refusal_keeps_status_body_and_retry_after() {
    let body = r#"{"error":{"message":"slow down","type":"requests","param":null,"code":"rate_limit_exceeded","more":1}}"#;
    let busy = response("429 Too Many Requests", &[("content-type", "application/json"), ("retry-after", "7")], body);
    for fault in both(vec![busy]).await {
        assert_eq!((fault.kind.clone(), fault.retry), (FaultKind::UpstreamStatus(429), Retry::Here(Some(Duration::from_secs(7)))));
        assert_eq!((fault.status(), &envelope(&fault)[..]), (429, body.as_bytes()));
    }
    let bad = r#"{"error":{"message":"too hot","type":"invalid_request_error","param":"temperature","code":null}}"#;
    for fault in both(vec![response("400 Bad Request", &[], bad)]).await {
        assert_eq!((fault.retry, fault.param.as_deref()), (Retry::Never, Some("temperature")));
    }
    let long = r#"{"error":{"message":"Too much.","type":"invalid_request_error","code":"context_length_exceeded"}}"#;
    for (status, body, kind) in
        [("400 Bad Request", long, FaultKind::ContextLength), ("413 Content Too Large", "<html>", FaultKind::BodyTooLarge)]
    {
        for fault in both(vec![response(status, &[], body)]).await {
            assert_eq!(
                (&fault.kind, &fault.side, fault.retry),
                (&kind, &Side::Caller, Retry::Elsewhere),
                "another leg may hold it"
            );
            assert_eq!(fault.body.is_some(), body == long);
        }
    }
    let broke = r#"{"error":{"message":"no money","code":"insufficient_quota"}}"#;
    for fault in both(vec![response("429 Too Many Requests", &[("retry-after", "1")], broke)]).await {
        assert_eq!(fault.retry, Retry::Elsewhere);
    }
}

#[tokio::test]
async fn a_failing_upstreams_page_is_not_shown_to_the_client() {
    let page = response("500 Internal Server Error", &[("content-type", "text/html")], "<html>stack trace</html>");
    for fault in both(vec![page]).await {
        assert_eq!((fault.kind.clone(), fault.retry, fault.status()), (FaultKind::UpstreamStatus(500), Retry::Here(None), 502));
        assert!(!fault.message.contains("stack") && fault.quote.as_deref().is_some_and(|quote| quote.contains("stack")));
    }
}

#[tokio::test]
async fn no_key_leaves_through_an_error() {
    let told = format!(r#"{{"error":{{"message":"Incorrect API key provided: {KEY}","code":"invalid_api_key"}}}}"#);
    for status in ["401 Unauthorized", "403 Forbidden", "400 Bad Request", "500 Oops"] {
        for fault in both(vec![response(status, &[], &told)]).await {
            let all = format!("{fault:?} {}", String::from_utf8_lossy(&envelope(&fault)));
            assert!(!all.contains(KEY), "{all}");
        }
    }
    for fault in both(vec![response("401 Unauthorized", &[], &told)]).await {
        // The client's own key is not to blame.
        assert_eq!((fault.status(), fault.retry), (502, Retry::Elsewhere));
    }
    let event = format!("data: {told}\n\n");
    let fault =
        hear(&Rig::new(vec![vec![stream_head(), piece(&event), last_piece()]]).await.upstream(), streaming()).await.1.unwrap();
    assert!(!format!("{fault:?}").contains(KEY));
}

#[tokio::test]
async fn what_an_upstream_sent_is_quoted_without_secrets_and_in_short() {
    // The key stands across the place where the quote ends.
    let told = format!("{}{KEY}{}", "x".repeat(290), "y".repeat(1000));
    for fault in both(vec![response("500 Oops", &[], &told)]).await {
        let quote = fault.quote.unwrap();
        assert!(quote.len() <= 300 && quote.ends_with("***yyyyyyy"), "{quote}");
        assert!(fault.detail.is_none());
    }
}

#[tokio::test]
async fn an_error_in_a_good_response_is_a_fault() {
    let said = r#"{"error":{"message":"overloaded","type":"server_error","code":503}}"#;
    for fault in both(vec![json(said)]).await {
        assert_eq!(
            (fault.kind, fault.retry, fault.message.as_str()),
            (FaultKind::UpstreamStatus(503), Retry::Here(None), "overloaded")
        );
    }
    let script = vec![stream_head(), piece(&event("{\"content\":\"x\"}", None)), piece(&format!("data: {said}\n\n")), last_piece()];
    let (chunks, fault) = hear(&Rig::new(vec![script]).await.upstream(), streaming()).await;
    assert!(text(chunks) == "x" && fault.is_some_and(|fault| fault.kind == FaultKind::UpstreamStatus(503)));
}

#[tokio::test]
async fn a_page_is_no_answer_and_a_whole_answer_to_a_stream_is_one() {
    for fault in both(vec![page()]).await {
        assert_eq!(fault.kind, FaultKind::UpstreamInvalid);
    }
    let (chunks, fault) = hear(&Rig::new(vec![vec![json(&answer("whole"))]]).await.upstream(), streaming()).await;
    assert!(text(chunks) == "whole" && fault.is_none());
    let unlabelled = vec![response("200 OK", &[], &(event("{\"content\":\"x\"}", Some("stop")) + "data: [DONE]\n\n"))];
    assert!(hear(&Rig::new(vec![unlabelled]).await.upstream(), streaming()).await.1.is_none());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = response("307 Temporary Redirect", &[("location", "http://127.0.0.1:1/steal")], "");
    for fault in both(vec![elsewhere]).await {
        assert_eq!((fault.kind, fault.retry), (FaultKind::UpstreamInvalid, Retry::Elsewhere));
    }
}

#[tokio::test]
async fn an_answer_over_the_bound_is_not_read_on() {
    let big = "x".repeat(3000);
    let upstream = |rig: &Rig| RemoteUpstream::new(&fact(&rig.url), &Clients::default()).unwrap().bounded(2000);
    let whole = Rig::new(vec![vec![json(&answer(&big))]]).await;
    assert_eq!(hear(&upstream(&whole), request()).await.1.unwrap().kind, FaultKind::UpstreamInvalid);
    let long = event(&format!("{{\"content\":\"{big}\"}}"), None);
    let one = Rig::new(vec![vec![stream_head(), piece(&long), Step::Wait(Duration::from_secs(60))]]).await;
    assert_eq!(hear(&upstream(&one), streaming()).await.1.unwrap().kind, FaultKind::UpstreamInvalid);
    let many = std::iter::once(stream_head()).chain((0..40).map(|_| piece(&event("{\"content\":\"xxxxxxxx\"}", None)))).collect();
    let (chunks, fault) = hear(&upstream(&Rig::new(vec![many]).await), streaming()).await;
    assert!(chunks.len() > 5 && fault.is_some_and(|fault| fault.kind == FaultKind::UpstreamInvalid));
}

#[tokio::test]
async fn a_huge_event_in_many_pieces_arrives_whole() {
    let big = "y".repeat(400_000);
    let long = event(&format!("{{\"content\":\"{big}\"}}"), Some("stop"));
    let pieces = long.as_bytes().chunks(1000).map(|bytes| piece(std::str::from_utf8(bytes).unwrap()));
    let script = std::iter::once(stream_head()).chain(pieces).chain([piece("data: [DONE]\n\n"), last_piece()]).collect();
    let (chunks, fault) = hear(&Rig::new(vec![script]).await.upstream(), streaming()).await;
    assert!(fault.is_none());
    assert_eq!(text(chunks).len(), 400_000);
}

#[tokio::test]
async fn what_cannot_be_used_is_told_when_it_is_configured() {
    let unusable = |url: &str| RemoteUpstream::new(&fact(url), &Clients::default()).err().map(|error| error.to_string());
    assert!(unusable("not a url").is_some_and(|error| error.contains("not a URL")));
    assert!(unusable("ftp://x/v1").is_some_and(|error| error.contains("http")));
    let mut odd = fact("http://127.0.0.1:1/v1");
    odd.api_key = Some(crate::config::facts::Secret::new("line\nbreak"));
    let error = RemoteUpstream::new(&odd, &Clients::default()).err().unwrap().to_string();
    assert!(error.contains("api_key") && !error.contains("line"));
}
