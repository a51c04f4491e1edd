//! Attacks in a stream: edits of what was sent, holds without end, edits inside graphemes, answers that grow.

use gatewright_plugins::{Chain, Host, Verdict};
use gatewright_types::Channel;

use super::kit::wat::{self, actions, redactor};
use super::kit::{ALL, cut, load, named, open_on_error, operator, session, stream};

fn luau(code: &str) -> Chain {
    Chain::new(vec![load(&Host::new(2), ALL, code, &operator())])
}

fn pieces() -> Vec<String> {
    (0..12).map(|n| format!("piece {n}, ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_cannot_be_changed() {
    let guests = [
        luau(
            "return { inspect = function(_, e) if e.segments[1].sent > 0 then return { edit(e.segments[1], 1, 1, 'X') } end end }",
        ),
        luau(
            "return { inspect = function(_, e) local s = e.segments[1] if s.sent > 0 then return { edit(s, s.sent, s.sent + 1, 'X') } end end }",
        ),
        luau("return { inspect = function(_, e) local s = e.segments[1] if s.sent > 0 then return { hold(s, s.sent) } end end }"),
        luau(
            "return { inspect = function(_, e) local s = e.segments[1] if s.sent > 0 then s.sent = 0 s.text = 'x' return { edit(s, 1, 1, 'X') } end end }",
        ),
        // From the first byte on, always: that is refused as soon as something was sent.
        Chain::new(vec![wat::load(&Host::new(2), ALL, &actions(&[[0, 0, 0, 1, 1024, 4, 0]]), &operator())]),
        Chain::new(vec![wat::load(&Host::new(2), ALL, &actions(&[[1, 0, 0, 0, 0, 0, 0]]), &operator())]),
    ];
    for (at, chain) in guests[..5].iter().enumerate() {
        let (verdict, text) = stream(chain, Channel::Assistant, &pieces()).await;
        let refused = matches!(&verdict, Verdict::Failed { reason, .. } if reason.contains("already sent"));
        assert!(refused, "{at}: {verdict:?} {text}");
        let sent = text.strip_prefix("text").map_or(text.clone(), |rest| format!("p{rest}"));
        assert!(pieces().concat().starts_with(&sent), "{at}: {text}");
    }
    // Who holds everything sends nothing.
    assert_eq!(stream(&guests[5], Channel::Assistant, &pieces()).await, (Verdict::Pass, pieces().concat()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_without_end_is_an_error_of_its_plugin_alone() {
    let hold = "return { inspect = function(_, event) return { hold(event.segments[1], event.segments[1].sent + 1) } end }";
    for (bounds, wait, why) in
        [("hold: {characters: 30}\n", 0, "held more than 30"), ("hold: {milliseconds: 0}\n", 5, "held longer than 0")]
    {
        let host = Host::new(2);
        let closed = Chain::new(vec![load(&host, &format!("{ALL}{bounds}"), hold, &operator())]);
        let mut session = session(&closed).await;
        let mut failed = None;
        for piece in pieces() {
            let released = session.feed(vec![super::kit::piece(Channel::Assistant, &piece)], &[]).await;
            tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
            if released.verdict != Verdict::Pass {
                failed = Some(released.verdict);
                break;
            }
        }
        assert!(matches!(&failed, Some(Verdict::Failed { reason, .. }) if reason.contains(why)), "{bounds}: {failed:?}");
        // Open, all comes out, and what another plugin does stays the same.
        let evil = load(&host, &format!("{ALL}{bounds}"), hold, &open_on_error());
        let honest = wat::load(&host, ALL, &redactor(), &named("honest"));
        let chain = Chain::new(vec![evil, honest]);
        let bad: Vec<String> = (0..12).map(|n| format!("bad {n}, ba")).collect();
        assert_eq!(stream(&chain, Channel::Assistant, &bad).await, (Verdict::Pass, bad.concat().replace("bad", "good")));
    }
}

/// A plugin that replaces each of these, both as Luau writes them.
fn replacing(find: &str, by: &str) -> String {
    format!(
        "return {{ inspect = function(_, event)
            local out, s = {{}}, event.segments[1]
            local from = s.sent + 1
            while true do
                local a, b = string.find(s.text, '{find}', from, true)
                if not a then return out end
                table.insert(out, edit(s, a, b, '{by}'))
                from = b + 1
            end
        end }}"
    )
}

/// A plugin may take a grapheme to pieces; where the stream is cut must not matter for it.
#[tokio::test(flavor = "multi_thread")]
async fn edits_inside_graphemes_come_out_the_same_however_a_stream_is_cut() {
    let joiner = replacing(r"\u{200d}", r"\u{301}");
    let chain = luau(&joiner);
    let text = "👩\u{200d}👧 e\u{301}\u{200d}🇩🇪🇩\u{200d} 漢字\u{200d}\r\n\u{200d}";
    let whole = text.replace('\u{200d}', "\u{301}");
    for seed in 0..300 {
        assert_eq!(stream(&chain, Channel::Reasoning, &cut(text, seed)).await, (Verdict::Pass, whole.clone()), "{seed}");
    }
}

/// Both sandboxes in one chain, cut anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn both_sandboxes_give_the_same_text_however_a_stream_is_cut() {
    let host = Host::new(2);
    let again = replacing("goodb", "bad");
    let chain = Chain::new(vec![
        wat::load(&host, ALL, &redactor(), &named("one")),
        load(&host, ALL, &again, &named("two")),
        wat::load(&host, ALL, &redactor(), &named("three")),
    ]);
    let text = "badbb 👩\u{200d}👧bad, babad badb 漢bad字 e\u{301}badbadb ba";
    let whole = text.replace("bad", "good").replace("goodb", "bad").replace("bad", "good");
    for channel in [Channel::Assistant, Channel::ToolArgs] {
        for seed in 0..400 {
            assert_eq!(stream(&chain, channel, &cut(text, seed)).await, (Verdict::Pass, whole.clone()), "{channel:?} {seed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_grows_is_bounded_by_the_output_of_a_call() {
    let grow = "return { inspect = function(_, event)
        local s = event.segments[1]
        return { edit(s, s.sent + 1, s.sent, string.rep('x', 1e6)) }
    end }";
    let host = Host::new(2);
    // What one makes the next one must read: many of them do not multiply.
    let names = ["a", "b", "c"].map(|name| load(&host, &ALL.replace("window: 8", "window: 1"), grow, &named(name)));
    let mut session = session(&Chain::new(names.to_vec())).await;
    let released = session.feed(vec![super::kit::piece(Channel::Assistant, "y")], &[]).await;
    let length: usize = released.pieces.iter().map(|piece| piece.text.len()).sum();
    assert!(length <= 3_000_001, "{length}");
}
