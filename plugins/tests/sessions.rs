//! A chain at work: order, modes, errors, streams, tools and the record, with Luau plugins.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use gatewright_plugins::{Chain, Host, Lane, Mode, Operator, Piece, Released, Verdict};
use gatewright_types::{Channel, Phase};
use kit::{ALL, ask, chain, cut, lane, load, named, open_on_error, operator, piece, segment, session, shadow, stream, user};

/// Replaces every `bad` by `good`, wherever it is.
const REDACTOR: &str = "return { inspect = function(ctx, event)
    local actions = {}
    for _, s in event.segments do
        local from = s.sent + 1
        while true do
            local a, b = string.find(s.text, 'bad', from, true)
            if not a then break end
            actions[#actions + 1] = edit(s, a, b, 'good')
            from = b + 1
        end
    end
    return actions
end }";

/// Does what the text says.
const ORACLE: &str = "return { inspect = function(ctx, event)
    local s = event.segments[1]
    local word = string.match(s.text, '^%w+')
    if word == 'block' then return { block('policy', 'not that') } end
    if word == 'answer' then return { answer('42') } end
    if word == 'set' then return { set('/model', 'other/model'), set('/temperature', 0.5), set('/metadata/a', 'b') } end
    if word == 'note' then return { note('topic', 'weather') } end
    if word == 'notes' then return { edit(s, 1, #s.text, ctx.notes[1].key .. '=' .. ctx.notes[1].value) } end
    if word == 'context' then
        return { edit(s, 1, #s.text, table.concat({ ctx.request_id, ctx.tenant, tostring(ctx.team), event.phase, s.channel }, ' ')) }
    end
    if word == 'settings' then return { edit(s, 1, #s.text, tostring(settings().word)) } end
    if word == 'log' then log('info', 'hello') return {} end
    if word == 'fail' then error('failed') end
end }";

#[tokio::test(flavor = "multi_thread")]
async fn every_phase_and_channel_is_asked_and_edited() {
    let chain = chain(REDACTOR);
    for phase in [Phase::Request, Phase::Response, Phase::ToolCall, Phase::ToolResult] {
        for channel in Channel::ALL {
            assert!(!chain.is_deaf(phase, channel));
            let mut segments = vec![segment(7, channel, "a bad é bad"), segment(9, Channel::User, "fine")];
            let outcome = session(&chain).await.inspect(phase, &mut segments).await;
            assert_eq!((segments[0].text.as_str(), segments[1].text.as_str()), ("a good é good", "fine"));
            assert!(outcome.edited && outcome.verdict == Verdict::Pass);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_can_block_answer_set_and_note() {
    let chain = chain(ORACLE);
    let block = Verdict::Block { plugin: "test".into(), code: "policy".into(), message: "not that".into() };
    assert_eq!(ask(&chain, "block").await.0, block);
    assert_eq!(ask(&chain, "answer").await.0, Verdict::Answer { plugin: "test".into(), text: "42".into() });
    assert_eq!(ask(&chain, "context").await.1, "r1 t1 nil request user");
    let mut session = session(&chain).await;
    let outcome = session.inspect(Phase::Request, &mut user("set")).await;
    let sets: Vec<String> = outcome.sets.iter().map(|(pointer, value)| format!("{pointer}={value}")).collect();
    assert_eq!(sets, ["/model=\"other/model\"", "/temperature=0.5", "/metadata/a=\"b\""]);
    let outcome = session.inspect(Phase::Request, &mut user("note")).await;
    assert_eq!(outcome.notes, [("topic".to_owned(), "weather".to_owned())]);
    let mut segments = user("notes");
    session.inspect(Phase::ToolCall, &mut segments).await;
    assert_eq!(segments[0].text, "topic=weather");
}

#[tokio::test(flavor = "multi_thread")]
async fn powers_need_both_keys() {
    let host = Host::new(2);
    let more = format!("{ALL}grants: [settings, log]\nsettings: {{type: object, properties: {{word: {{type: string}}}}}}\n");
    let operator = Operator { settings: serde_json::json!({"word": "hi"}), ..operator() };
    let granted = Chain::new(vec![load(&host, &more, ORACLE, &operator)]);
    assert_eq!(ask(&granted, "settings").await, (Verdict::Pass, "hi".into()));
    assert_eq!(ask(&granted, "log").await.0, Verdict::Pass);
    let code = "return { inspect = function(_, event)
        local value, why = settings()
        local logged, why_not = log('info', 'x')
        return { edit(event.segments[1], 1, 1, table.concat({ tostring(value), why, tostring(logged), why_not }, ' ')) }
    end }";
    for (more, grants) in [(ALL.to_owned(), vec!["log".to_owned(), "settings".to_owned()]), (more.clone(), vec![])] {
        let denied = Chain::new(vec![load(&host, &more, code, &Operator { grants, ..Operator::default() })]);
        assert_eq!(ask(&denied, "x").await.1, "nil denied nil denied");
    }
    let wrong = Operator { settings: serde_json::json!({"word": 3}), ..Operator::default() };
    assert!(host.load(&kit::written(&more, ORACLE).source(), &wrong).unwrap_err().to_string().contains("settings"));
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_act_in_order_and_stop_at_the_first_stop() {
    let host = Host::new(2);
    let blocker = "return { inspect = function(_, event)
        if string.find(event.segments[1].text, 'good', 1, true) then return { block('b', 'saw it') } end
    end }";
    let chain = Chain::new(vec![
        load(&host, ALL, REDACTOR, &named("first")),
        load(&host, ALL, blocker, &named("second")),
        load(&host, ALL, "return { inspect = function() error('asked') end }", &named("third")),
    ]);
    let (verdict, text) = ask(&chain, "bad").await;
    assert_eq!(verdict, Verdict::Block { plugin: "second".into(), code: "b".into(), message: "saw it".into() });
    assert_eq!(text, "good");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_changes_nothing_and_is_recorded() {
    let host = Host::new(2);
    let code = "return { inspect = function(_, event)
        local s = event.segments[1]
        return { edit(s, s.sent + 1, #s.text, 'x'), note('a', 'b'), block('c', 'd') }
    end }";
    let chain = Chain::new(vec![load(&host, ALL, code, &shadow())]);
    let mut session = session(&chain).await;
    let mut segments = user("text");
    let outcome = session.inspect(Phase::Request, &mut segments).await;
    assert_eq!(
        (outcome.verdict, outcome.edited, outcome.notes.len(), segments[0].text.as_str()),
        (Verdict::Pass, false, 0, "text")
    );
    let released = session.feed(vec![piece(Channel::Assistant, "hello")], &[]).await;
    assert_eq!((released.pieces, released.untouched), (vec![piece(Channel::Assistant, "hello")], true));
    let did: Vec<&str> = session.record().iter().map(|entry| entry.did).collect();
    assert!(did.iter().all(|did| did.starts_with("shadow:")), "{did:?}");
    assert!(did.contains(&"shadow:edit") && did.contains(&"shadow:block") && did.contains(&"shadow:note"), "{did:?}");
    assert!(!chain.wants_whole() && chain.tools().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_leaves_a_stream_untouched_to_its_end() {
    let chain = Chain::new(vec![load(&Host::new(2), ALL, REDACTOR, &shadow())]);
    let mut session = session(&chain).await;
    for text in ["a bad", " ba", "d"] {
        let released = session.feed(vec![piece(Channel::Assistant, text)], &[]).await;
        assert_eq!((released.pieces, released.untouched), (vec![piece(Channel::Assistant, text)], true));
    }
    let end = session.feed(Vec::new(), &[lane(Channel::Assistant)]).await;
    assert!(end.pieces.is_empty() && end.untouched, "its window held the last of it, and that is nothing to the client");
    let edits = session.record().iter().find(|entry| entry.did == "shadow:edit").unwrap();
    assert_eq!(edits.count, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_without_a_slot_is_left_out_and_recorded() {
    let host = Host::new(1);
    let chain = Chain::new(vec![load(&host, ALL, REDACTOR, &shadow())]);
    let _first = session(&chain).await;
    let mut second = session(&chain).await;
    let mut segments = user("bad");
    assert_eq!(second.inspect(Phase::Request, &mut segments).await.verdict, Verdict::Pass);
    assert!(second.feed(vec![piece(Channel::Assistant, "bad")], &[lane(Channel::Assistant)]).await.untouched);
    let record: Vec<(&str, u64)> = second.record().iter().map(|entry| (entry.did, entry.count)).collect();
    assert_eq!(record, [("shadow:error", 1)]);
    assert!(second.record()[0].why.as_deref().unwrap().contains("no instance was free"));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_lanes_are_an_error_of_the_plugin_that_cannot_follow_them() {
    let host = Host::new(1);
    let lanes = |count: u32| {
        (0..count).map(|choice| Piece { lane: Lane { choice, ..lane(Channel::Assistant) }, label: None, text: "bad".into() })
    };
    for (operator, passes) in [(operator(), false), (open_on_error(), true), (shadow(), true)] {
        let chain = Chain::new(vec![load(&host, &format!("{ALL}window: 1\n").replace("window: 8\n", ""), REDACTOR, &operator)]);
        let mut session = session(&chain).await;
        let released = session.feed(lanes(1025).collect(), &[]).await;
        let error = session.record().iter().find(|entry| entry.did.ends_with("error")).unwrap();
        assert!(error.why.as_deref().unwrap().contains("more than 1024 lanes"));
        assert_eq!(matches!(released.verdict, Verdict::Pass), passes, "{:?}", released.verdict);
        assert_eq!(released.pieces.len(), if passes { 1025 } else { 0 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn off_is_not_asked_and_nothing_subscribed_is_deaf() {
    let host = Host::new(1);
    let off = Operator { mode: Mode::Off, ..operator() };
    let chain = Chain::new(vec![load(&host, ALL, ORACLE, &off), load(&host, "", ORACLE, &named("mute"))]);
    assert!(Phase::ALL.iter().all(|phase| Channel::ALL.iter().all(|channel| chain.is_deaf(*phase, *channel))));
    assert_eq!(ask(&chain, "block").await, (Verdict::Pass, "block".into()));
    let mut session = session(&chain).await;
    let Released { pieces, untouched, .. } = session.feed(vec![piece(Channel::Assistant, "block")], &[]).await;
    assert_eq!((pieces, untouched), (vec![piece(Channel::Assistant, "block")], true));
    assert!(session.record().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn open_on_error_goes_on_and_is_recorded() {
    let host = Host::new(2);
    let chain = Chain::new(vec![load(&host, ALL, ORACLE, &open_on_error()), load(&host, ALL, REDACTOR, &named("after"))]);
    let mut session = session(&chain).await;
    for _ in 0..6 {
        let mut segments = user("fail bad");
        let outcome = session.inspect(Phase::Request, &mut segments).await;
        assert_eq!((outcome.verdict, segments[0].text.as_str()), (Verdict::Pass, "fail good"));
    }
    let error = session.record().iter().find(|entry| entry.did == "error").unwrap();
    assert_eq!((&*error.plugin, error.count), ("test", 6));
    assert!(error.why.as_deref().unwrap().contains("failed"));
    assert_eq!(chain.plugins()[0].spent().errors, 6);
    let (verdict, text) = stream(&chain, Channel::Reasoning, &["fail ".into(), "bad".into()]).await;
    assert_eq!((verdict, text.as_str()), (Verdict::Pass, "fail good"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_sessions_than_slots() {
    let host = Host::new(2);
    let chain = Chain::new(vec![load(&host, ALL, REDACTOR, &operator())]);
    let (first, _second) = (session(&chain).await, session(&chain).await);
    assert_eq!(chain.open(gatewright_plugins::Context::default()).await.unwrap_err().plugin, "test");
    drop(first);
    session(&chain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_edited_the_same_however_it_is_cut() {
    let host = Host::new(4);
    let upper = "return { inspect = function(_, event)
        local actions, s = {}, event.segments[1]
        local from = s.sent + 1
        while true do
            local a, b = string.find(s.text, 'good%w?', from)
            if not a then return actions end
            actions[#actions + 1] = edit(s, a, b, string.upper(string.sub(s.text, a, b)))
            from = b + 1
        end
    end }";
    let chain = Chain::new(vec![load(&host, ALL, REDACTOR, &named("one")), load(&host, ALL, upper, &named("two"))]);
    let text = "a bad day, badbad; e\u{301}bad 🇩🇪 goods and bads bad";
    for channel in [Channel::Assistant, Channel::Reasoning, Channel::Refusal, Channel::ToolArgs, Channel::Other] {
        let whole = stream(&chain, channel, &[text.to_owned()]).await.1;
        assert_eq!(whole, "a GOOD day, GOODGood; e\u{301}GOOD 🇩🇪 GOODS and GOODS GOOD");
        for seed in 0..60 {
            assert_eq!(stream(&chain, channel, &cut(text, seed)).await.1, whole, "{channel:?} {seed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_do_not_mix_and_come_out_at_their_end() {
    let chain = chain(REDACTOR);
    let mut session = session(&chain).await;
    let at = |choice, index| Lane { choice, channel: Channel::Reasoning, index };
    let say = |lane: Lane, text: &str| Piece { lane, label: None, text: text.into() };
    let first = session.feed(vec![say(at(0, 0), "ba"), say(at(1, 0), "ba"), say(at(0, 1), "d")], &[]).await;
    assert!(first.pieces.is_empty() && !first.untouched);
    let second = session.feed(vec![say(at(0, 0), "d")], &[at(0, 0), at(1, 0)]).await;
    assert_eq!(second.pieces, [say(at(0, 0), "good"), say(at(1, 0), "ba")]);
    let third = session.feed(Vec::new(), &[at(0, 1)]).await;
    assert_eq!(third.pieces, [say(at(0, 1), "d")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_arguments_come_out_whole() {
    let chain = chain(REDACTOR);
    let mut session = session(&chain).await;
    let args = |text: &str| Piece { label: Some("send".into()), ..piece(Channel::ToolArgs, text) };
    for text in ["{\"a\": \"a long text that is far longer than the window", ", b"] {
        assert!(session.feed(vec![args(text)], &[]).await.pieces.is_empty());
    }
    let released = session.feed(vec![args("ad\"}")], &[lane(Channel::ToolArgs)]).await;
    assert_eq!(released.pieces, [args("{\"a\": \"a long text that is far longer than the window, good\"}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_in_the_middle_ends_the_stream() {
    let code = "return { inspect = function(_, event)
        local s = event.segments[1]
        if string.find(s.text, 'bomb', s.sent + 1, true) then return { block('weapons', 'no') } end
    end }";
    let chain = chain(code);
    let (verdict, text) = stream(&chain, Channel::Assistant, &["this is how to make a b".into(), "omb at home".into()]).await;
    assert_eq!(verdict, Verdict::Block { plugin: "test".into(), code: "weapons".into(), message: "no".into() });
    assert_eq!(text, "this is how to m");
    let mut session = session(&chain).await;
    session.feed(vec![piece(Channel::Assistant, "bomb")], &[]).await;
    let after = session.feed(vec![piece(Channel::Assistant, "more")], &[]).await;
    assert!(after.pieces.is_empty() && matches!(after.verdict, Verdict::Block { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_after_text_was_sent_is_a_block() {
    let code = "return { inspect = function(_, event)
        if string.find(event.segments[1].text, '!', 1, true) then return { answer('instead') } end
    end }";
    let chain = chain(code);
    let early = stream(&chain, Channel::Assistant, &["!".into()]).await.0;
    assert_eq!(early, Verdict::Answer { plugin: "test".into(), text: "instead".into() });
    let late = stream(&chain, Channel::Assistant, &["long enough to be sent".into(), "!".into()]).await.0;
    assert!(matches!(late, Verdict::Block { .. }), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_past_its_bounds_is_an_error() {
    let code = "return { inspect = function(_, event)
        local s = event.segments[1]
        return { hold(s, s.sent + 1) }
    end }";
    let host = Host::new(2);
    let more = format!("{ALL}hold: {{characters: 20}}\n");
    let chunks: Vec<String> = (0..10).map(|_| "0123456789".to_owned()).collect();
    let closed = Chain::new(vec![load(&host, &more, code, &operator())]);
    let (verdict, text) = stream(&closed, Channel::Assistant, &chunks).await;
    assert!(matches!(verdict, Verdict::Failed { reason, .. } if reason.contains("held more than 20")));
    assert_eq!(text, "");
    let open = Chain::new(vec![load(&host, &more, code, &open_on_error())]);
    assert_eq!(stream(&open, Channel::Assistant, &chunks).await, (Verdict::Pass, chunks.concat()));
}

#[tokio::test(flavor = "multi_thread")]
async fn response_without_chunk_wants_answers_whole() {
    let host = Host::new(1);
    let whole = "subscribe: {phases: [response], channels: [assistant]}\n";
    assert!(Chain::new(vec![load(&host, whole, REDACTOR, &operator())]).wants_whole());
    assert!(!Chain::new(vec![load(&host, whole, REDACTOR, &shadow())]).wants_whole());
    assert!(!Chain::new(vec![load(&host, ALL, REDACTOR, &operator())]).wants_whole());
}

/// A conversation of very many messages takes a time that grows with their number, and not with its square: else this would not end.
#[tokio::test(flavor = "multi_thread")]
async fn many_segments_are_counted_each_once_until_they_are_edited() {
    let host = Host::new(4);
    let quiet = "return { prefilter = function() return { 'bad' } end, inspect = function(_, event)
        local all = {}
        for _, s in event.segments do
            local a, b = string.find(s.text, 'bad', 1, true)
            if a then table.insert(all, edit(s, a, b, 'good')) end
        end
        return all
    end }";
    let patient = |name: &str| Operator { limits: [("cpu_us".to_owned(), 60_000_000)].into(), ..named(name) };
    let chain = Chain::new(vec![load(&host, ALL, quiet, &patient("a")), load(&host, ALL, quiet, &patient("b"))]);
    let mut segments: Vec<_> = (0..200_000).map(|id| segment(id, Channel::User, "ok")).collect();
    let mut session = session(&chain).await;
    session.inspect(Phase::Request, &mut segments).await;
    assert!(session.record().iter().all(|entry| entry.characters == 400_000), "{:?}", session.record());
    let mut few = vec![segment(1, Channel::User, "a bad one"), segment(2, Channel::User, "ok")];
    let mut session = kit::session(&chain).await;
    assert_eq!(session.inspect(Phase::Request, &mut few).await.verdict, Verdict::Pass);
    let characters = |plugin: &str| -> u64 {
        session.record().iter().filter(|entry| &*entry.plugin == plugin).map(|entry| entry.characters).sum()
    };
    assert_eq!((characters("a"), characters("b")), (11, 12), "what was edited is counted anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_events_are_inspected_too() {
    let chain = chain(REDACTOR);
    let text = "bad ".repeat(200_000);
    let (verdict, edited) = ask(&chain, &text[..400_000]).await;
    assert!(matches!(verdict, Verdict::Failed { .. }) || edited.starts_with("good good"), "{verdict:?}");
    let long = "x".repeat(4_000_000) + "bad";
    assert!(ask(&chain, &long).await.1.ends_with("xgood"));
}

#[tokio::test]
async fn one_thread_is_enough() {
    let long = "x".repeat(100_000) + "bad";
    assert!(ask(&chain(REDACTOR), &long).await.1.ends_with("xgood"));
}
