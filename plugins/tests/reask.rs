//! Asking the model again: when a plugin may, how often, and what a shadow's wish is worth.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use gatewright_plugins::{Chain, Host, Verdict};
use gatewright_types::{Channel, Phase};
use kit::{ALL, chain, load, shadow, stream, user};

/// Asks again where it is shown `bad`, with what it is told to.
fn asks_again(action: &str) -> String {
    format!(
        "return {{ inspect = function(ctx, event)
            for _, segment in event.segments do
                if string.find(segment.text, 'bad') then return {{ {action} }} end
            end
        end }}"
    )
}

#[tokio::test]
async fn a_model_is_asked_again_twice_and_only_while_nothing_was_sent() {
    let piece = |text: &str| vec![kit::piece(Channel::Assistant, text)];
    let chain = chain(&asks_again("reask('other', 'be good')"));
    let wanted = Verdict::Reask { plugin: "test".into(), route: Some("other".into()), instruction: Some("be good".into()) };
    let mut session = kit::session(&chain).await;
    for _ in 0..2 {
        assert_eq!(session.feed(piece("good good good"), &[]).await.verdict, Verdict::Pass);
        assert_eq!(session.feed(piece(" bad"), &[]).await.verdict, wanted);
        assert_eq!(session.feed(piece("x"), &[]).await.verdict, wanted, "until it is begun anew");
        session.restart();
    }
    assert_eq!(session.reasks(), 2);
    assert!(matches!(session.feed(piece("bad"), &[]).await.verdict, Verdict::Failed { reason, .. } if reason.contains("2 times")));
    assert!(session.record().iter().any(|entry| entry.did == "reask" && entry.count == 2), "{:?}", session.record());

    let mut late = kit::session(&chain).await;
    late.spoke();
    assert!(matches!(late.feed(piece("bad"), &[]).await.verdict, Verdict::Failed { reason, .. } if reason.contains("too late")));
    let mut whole = kit::session(&chain).await;
    let mut segments = user("bad");
    assert_eq!(whole.inspect(Phase::Response, &mut segments).await.verdict, wanted);
    assert!(matches!(whole.inspect(Phase::Request, &mut segments).await.verdict, Verdict::Failed { .. }));
}

#[tokio::test]
async fn a_shadow_that_would_ask_again_is_only_recorded() {
    let code = asks_again("reask(nil, 'be good')");
    let chain = Chain::new(vec![load(&Host::new(2), ALL, &code, &shadow())]);
    assert_eq!(
        stream(&chain, Channel::Assistant, &["bad ".to_owned(), "text".to_owned()]).await,
        (Verdict::Pass, "bad text".into())
    );
    let mut session = kit::session(&chain).await;
    assert_eq!(session.inspect(Phase::Response, &mut user("bad")).await.verdict, Verdict::Pass);
    assert!(session.record().iter().any(|entry| entry.did == "shadow:reask"), "{:?}", session.record());
    assert_eq!(session.reasks(), 0);
}
