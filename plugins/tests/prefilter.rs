//! Prefilters through the whole host: which texts a guest is asked about, what stays back meanwhile, and what is said of a wrong one.
//!
//! It is apart from `sessions`, whose plugins see every text.
#![allow(clippy::unwrap_used, reason = "tests")]

mod kit;

use gatewright_plugins::{Chain, Host, Plugin, Verdict};
use gatewright_types::Channel;
use kit::{ask, cut, load, operator, piece, session, stream, written};

/// Everything is heard; nothing stays back but what may be the beginning of a match.
const AT_ONCE: &str = "subscribe: {phases: all, channels: all}\nwindow: 1\n";

/// Replaces `bad`, and asks for texts in which it may stand.
const REDACTOR: &str = "return {
    prefilter = function() return {'(?i)bad'} end,
    inspect = function(_, event)
        local actions = {}
        for _, s in event.segments do
            local from = s.sent + 1
            while true do
                local a, b = string.find(string.lower(s.text), 'bad', from, true)
                if not a then break end
                actions[#actions + 1] = edit(s, a, b, 'good')
                from = b + 1
            end
        end
        return actions
    end }";

/// Replaces what stands between `key=` and `;`. It holds only the value: what it looks for first is sent meanwhile.
const VALUE: &str = "return {
    prefilter = function() return {'key='} end,
    inspect = function(_, event)
        local s = event.segments[1]
        local _, name = string.find(s.text, '.*key=')
        if not name then return {} end
        local stop = string.find(s.text, ';', name + 1, true)
        if stop then return { edit(s, math.max(name + 1, s.sent + 1), stop - 1, '***') } end
        if event.last then return {} end
        return { hold(s, math.max(name + 1, s.sent + 1)) }
    end }";

fn chain(code: &str) -> Chain {
    Chain::new(vec![load(&Host::new(4), AT_ONCE, code, &operator())])
}

fn calls(chain: &Chain) -> u64 {
    let plugin: &Plugin = &chain.plugins()[0];
    plugin.spent().calls
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_may_be_the_beginning_of_a_match_stays_back() {
    let chain = chain(REDACTOR);
    let mut session = session(&chain).await;
    for (fed, out, untouched) in
        [("some words", "some words", true), (" so b", " so ", false), ("ba", "b", false), ("d.", "good.", false), ("b", "", false)]
    {
        let released = session.feed(vec![piece(Channel::Assistant, fed)], &[]).await;
        let text: String = released.pieces.iter().map(|piece| piece.text.as_str()).collect();
        assert_eq!((text.as_str(), released.untouched), (out, untouched), "{fed}");
    }
    assert_eq!(calls(&chain), 1, "it is asked about the one text in which a match begins");
    let text = "a bad day, babad; bbad 🇩🇪 bads and ba".repeat(12);
    let whole = stream(&chain, Channel::Assistant, std::slice::from_ref(&text)).await.1;
    assert_eq!(whole, text.replace("bad", "good"));
    for seed in 0..60 {
        assert_eq!(stream(&chain, Channel::Assistant, &cut(&text, seed)).await.1, whole, "{seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_texts_are_asked_about_where_a_match_stands() {
    let chain = chain(REDACTOR);
    for (text, out, asked) in [("a ba d", "a ba d", 0), ("a BAD b", "a good b", 1), ("ba", "ba", 1)] {
        assert_eq!(ask(&chain, text).await.1, out);
        assert_eq!(calls(&chain), asked, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_holds_is_asked_about_what_follows() {
    let chain = chain(VALUE);
    let mut session = session(&chain).await;
    for (fed, out) in [("my key=", "my key="), ("abc", ""), ("def", ""), (";x", "***;x"), ("abc", "abc")] {
        let released = session.feed(vec![piece(Channel::Assistant, fed)], &[]).await;
        let text: String = released.pieces.iter().map(|piece| piece.text.as_str()).collect();
        assert_eq!(text, out, "{fed}");
    }
    assert_eq!(calls(&chain), 4, "when nothing is held any more, it is left alone");
}

/// What may be beginning for ever: within the bounds it stays back, past them the guest decides.
#[tokio::test(flavor = "multi_thread")]
async fn a_beginning_without_end_is_the_guests_to_judge() {
    let manifest = format!("{AT_ONCE}hold: {{characters: 20}}\n");
    let guest = |answer: &str| {
        let code = format!("return {{ prefilter = function() return {{'b+d'}} end, inspect = function(_, event) {answer} end }}");
        Chain::new(vec![load(&Host::new(4), &manifest, &code, &operator())])
    };
    let chunks: Vec<String> = (0..20).map(|_| "bbbbb".to_owned()).collect();
    let easy = guest("return {}");
    let mut session = session(&easy).await;
    let mut out = Vec::new();
    for chunk in &chunks {
        let released = session.feed(vec![piece(Channel::Assistant, chunk)], &[]).await;
        assert_eq!(released.verdict, Verdict::Pass);
        out.push(released.pieces.iter().map(|piece| piece.text.len()).sum::<usize>());
    }
    assert_eq!(out[..6], [0, 0, 0, 0, 25, 0], "it is asked when the bound is passed, and lets all of it go");
    assert_eq!(calls(&easy), 4);
    let (verdict, text) =
        stream(&guest("local s = event.segments[1] return { hold(s, s.sent + 1) }"), Channel::Assistant, &chunks).await;
    assert!(matches!(&verdict, Verdict::Failed { reason, .. } if reason.contains("held more than 20")), "{verdict:?}");
    assert_eq!(text, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_known_to_a_prefilter() {
    let manifest = format!("{AT_ONCE}grants: [settings]\nsettings: {{properties: {{word: {{default: bad}}}}}}\n");
    let code = REDACTOR.replace("{'(?i)bad'}", "{settings().word}");
    let chain = Chain::new(vec![load(&Host::new(4), &manifest, &code, &operator())]);
    assert_eq!(ask(&chain, "BAD bad").await.1, "good good");
    assert_eq!(ask(&chain, "BAD").await.1, "BAD", "the prefilter decides what is asked");
}

#[test]
fn a_wrong_prefilter_is_refused_when_the_plugin_is_loaded() {
    for (prefilter, complaint) in [
        ("function() return {'a(b'} end", "plugin test: plugin.luau: prefilter: the pattern \"a(b\": unclosed group at byte 1"),
        ("function() return {'a*'} end", "it matches nothing at all"),
        ("function() return {1} end", "prefilter: entry 1 is not a string"),
        ("function() return nil, 'no words' end", "guest error: no words"),
        ("function() while true do end end", "cpu limit"),
        ("{'a'}", "`prefilter` is not a function"),
    ] {
        let plugin = written(AT_ONCE, &format!("return {{ prefilter = {prefilter}, inspect = function() end }}"));
        let said = Host::new(4).load(&plugin.source(), &operator()).unwrap_err().to_string();
        assert!(said.contains(complaint), "{said}");
    }
}
