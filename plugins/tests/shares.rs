//! What plugins of a chain share in a request: notes and definitions of tools, in both sandboxes; and who took part, at what cost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use std::sync::Arc;

use gatewright_plugins::{Absence, Chain, Context, Host, Mode, Operator, Plugin, Session, Source, Tally, Trip};
use gatewright_types::{Channel, Phase};
use kit::{ALL, load, named, segment, session, user};

/// Notes the last word of the text, and puts all notes that it sees before it.
const LUAU: &str = "return { inspect = function(ctx, event)
    local s, seen = event.segments[1], {}
    for _, note in ctx.notes do table.insert(seen, note.key .. '=' .. note.value) end
    return { edit(s, 1, 0, table.concat(seen, ' ') .. '|'), note('luau', string.match(s.text, '%a+$')) }
end }";

/// Puts the last note's value before the text; the context lies where the canonical ABI puts it.
const WASM: &str = "(func (export \"inspect\") (param $at i32) (result i32) (local $note i32)
    (i32.store (i32.const 20) (i32.const 64))
    (i32.store (i32.const 24) (i32.const 0))
    (if (i32.eqz (i32.load offset=76 (local.get $at))) (then (return (i32.const 16))))
    (local.set $note (i32.add (i32.load offset=72 (local.get $at))
        (i32.mul (i32.const 16) (i32.sub (i32.load offset=76 (local.get $at)) (i32.const 1)))))
    (i32.store (i32.const 24) (i32.const 1))
    (i32.store (i32.const 68) (i32.const 1))
    (i32.store (i32.const 80) (i32.load offset=8 (local.get $note)))
    (i32.store (i32.const 84) (i32.load offset=12 (local.get $note)))
    (i32.const 16))";

fn wasm(host: &Host, name: &str) -> Arc<Plugin> {
    let code = include_str!("../src/wasm/tests/guest.wat");
    let code = code.replace("{PAGES}", "2").replace("{IMPORTS}", "").replace("{WITH}", "").replace("{CORE}", WASM);
    let folder = tempfile::tempdir().unwrap();
    let manifest = format!("name: test\nversion: 0.0.1\nentry: plugin.wasm\n{ALL}");
    std::fs::write(folder.path().join("plugin.yaml"), manifest).unwrap();
    std::fs::write(folder.path().join("plugin.wasm"), code).unwrap();
    host.load(&Source::Folder(folder.path().to_owned()), &named(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_seen_by_later_plugins_of_the_same_event_and_of_later_ones_in_both_sandboxes() {
    let host = Host::new(2);
    let chain =
        Chain::new(vec![load(&host, ALL, LUAU, &named("one")), wasm(&host, "two"), load(&host, ALL, LUAU, &named("three"))]);
    for channel in [Channel::User, Channel::ToolDefinition] {
        let mut open = session(&chain).await;
        let mut segments = vec![segment(1, channel, "some words")];
        open.inspect(Phase::Request, &mut segments).await;
        assert_eq!(segments[0].text, "luau=words|words|some words", "{channel:?}");
        let mut segments = vec![segment(1, channel, "more")];
        open.inspect(Phase::ToolResult, &mut segments).await;
        assert_eq!(segments[0].text, "luau=words luau=words luau=more|moreluau=words luau=words|more");
        let notes = open.notes().to_vec();
        let mut later = chain.open_after(Context::default(), notes).await.unwrap();
        let mut segments = vec![segment(1, channel, "x")];
        later.inspect(Phase::Request, &mut segments).await;
        assert!(segments[0].text.ends_with("xluau=words luau=words luau=more luau=more|x"), "{}", segments[0].text);
    }
}

fn tallies(session: &Session) -> Vec<Tally> {
    session.tallies().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tally_says_which_version_was_asked_how_often_and_at_what_cost() {
    let host = Host::new(2);
    let chain = Chain::new(vec![load(&host, ALL, LUAU, &named("lua")), wasm(&host, "wasm")]);
    let mut open = session(&chain).await;
    open.inspect(Phase::Request, &mut user("a")).await;
    open.inspect(Phase::Response, &mut user("b")).await;
    for (tally, plugin) in tallies(&open).iter().zip(chain.plugins()) {
        assert_eq!((&*tally.plugin, &*tally.version, &*tally.digest), (&*plugin.name, "0.0.1", plugin.digest()));
        assert_eq!((tally.calls, tally.trips, tally.absent), (2, [0; 5], None));
        assert!(tally.time.as_nanos() > 0 && tally.memory >= 2 << 16, "{tally:?}");
    }
    assert!(open.is_whole() && open.plugins().count() == 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_limit_that_trips_is_counted_by_its_kind() {
    let host = Host::new(2);
    let code = "return { inspect = function(_, event)
        local text = event.segments[1].text
        if text == 'cpu' then while true do end end
        if text == 'memory' then local all = {} while true do all[#all + 1] = buffer.create(1048576) end end
        return { answer(string.rep('x', 4096)) }
    end }";
    let limits = [("output_bytes".to_owned(), 1024), ("memory_bytes".to_owned(), 8 << 20), ("cpu_us".to_owned(), 20_000)];
    let operator = Operator { limits: limits.into(), ..kit::open_on_error() };
    let chain = Chain::new(vec![load(&host, ALL, code, &operator)]);
    for (text, trip) in [("cpu", Trip::Cpu), ("memory", Trip::Memory), ("much", Trip::Output)] {
        let mut open = session(&chain).await;
        for _ in 0..2 {
            open.inspect(Phase::Request, &mut user(text)).await;
        }
        let tally = &tallies(&open)[0];
        let mut wanted = [0; 5];
        wanted[trip as usize] = 2;
        assert_eq!(tally.trips, wanted, "{text}: {:?}", open.record());
        assert!(trip != Trip::Memory || tally.memory == 8 << 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_takes_part_in_its_share_of_the_requests_and_is_recorded_as_absent_from_the_rest() {
    let host = Host::new(1).drawing_by([3; 32]);
    let operator = Operator { percent: Some(50), ..named("half") };
    let chain = Chain::new(vec![load(&host, ALL, LUAU, &operator), load(&host, ALL, LUAU, &named("all"))]);
    let mut shares = [0; 2];
    for conversation in 0..64 {
        let context = Context { conversation: Some(format!("c{conversation}")), ..Context::default() };
        let mut lots = Vec::new();
        for _ in 0..2 {
            let mut open = chain.open(context.clone()).await.unwrap();
            open.inspect(Phase::Request, &mut user("a")).await;
            lots.push(open.is_whole());
            let asked: Vec<&str> = open.plugins().map(|plugin| &*plugin.name).collect();
            let tallies = tallies(&open);
            if open.is_whole() {
                assert_eq!(asked, ["half", "all"]);
            } else {
                assert_eq!(asked, ["all"]);
                assert_eq!((&*tallies[1].plugin, tallies[1].calls, tallies[1].absent), ("half", 0, Some(Absence::RollOut)));
                assert!(open.record().iter().all(|entry| &*entry.plugin == "all"));
            }
        }
        assert_eq!(lots[0], lots[1]);
        shares[usize::from(lots[0])] += 1;
    }
    assert!(shares.iter().all(|share| *share > 8), "{shares:?}");
    // Who takes no part takes no place either.
    let none = Operator { percent: Some(0), mode: Mode::Enforce, ..named("none") };
    let chain = Chain::new(vec![load(&host, ALL, LUAU, &none)]);
    let (_first, second) = (session(&chain).await, session(&chain).await);
    assert!(!second.is_whole());
}
