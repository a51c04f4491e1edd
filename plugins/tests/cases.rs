//! Cases: what they look at, what they say when something else came, and that streams are really cut.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use gatewright_plugins::Host;
use gatewright_plugins::cases::{self, Trials};
use kit::{ALL, operator, written};

/// What comes of one case of a plugin that hears everything.
async fn tried(code: &str, case: &str) -> Result<(), String> {
    let host = Host::new(2);
    let plugin = written(ALL, code);
    let case = cases::read(case).unwrap().remove(0);
    Trials::new(&host, plugin.source(), operator(), 20).run(&case).await.map(drop).map_err(|wrong| wrong.to_string())
}

const NOTES: &str = "return { inspect = function() return { note('topic', 'sums'), set('/temperature', 0.5) } end }";
const BLOCKS: &str = "return { inspect = function() return { block('no', 'not here') } end }";

#[tokio::test]
async fn verdicts_texts_notes_and_fields_are_looked_at() {
    let given = "- name: a\n  given: {phase: request, channel: user, text: hi}\n";
    let fits = format!("{given}  expect: {{text: hi, notes: {{topic: sums}}, sets: {{/temperature: 0.5}}}}\n");
    assert_eq!(tried(NOTES, &fits).await, Ok(()));
    for (expect, told) in [
        ("{text: ho}", "text: expected \"ho\", got \"hi\""),
        ("{verdict: block}", "verdict: expected block, got pass"),
        ("{notes: {topic: love}}", "notes: expected topic: love, got [(\"topic\", \"sums\")]"),
        ("{sets: {/temperature: 1}}", "sets: expected /temperature: 1, got {\"/temperature\":0.5}"),
    ] {
        assert_eq!(tried(NOTES, &format!("{given}  expect: {expect}\n")).await, Err(told.to_owned()));
    }
    assert_eq!(tried(BLOCKS, &format!("{given}  expect: {{verdict: block, code: no, contains: here}}\n")).await, Ok(()));
    let other = tried(BLOCKS, &format!("{given}  expect: {{verdict: block, code: yes}}\n")).await;
    assert_eq!(other, Err("code: expected yes, got no".to_owned()));
    let broken = "return { inspect = function() error('broken') end }";
    assert_eq!(tried(broken, &format!("{given}  expect: {{verdict: failed, contains: broken}}\n")).await, Ok(()));
    assert!(tried(broken, &format!("{given}  expect: {{text: hi}}\n")).await.unwrap_err().contains("got failed ("));
}

#[tokio::test]
async fn a_plugin_that_depends_on_how_the_stream_is_cut_is_found_out_and_shown_the_cut() {
    // It sees a match only where a piece holds all of it: its window is too short to bring the rest.
    let code = "return { inspect = function(ctx, event)
        local actions = {}
        for _, segment in event.segments do
            local first, last = string.find(segment.text, 'a very long secret word', segment.sent + 1, true)
            if first then table.insert(actions, edit(segment, first, last, '*')) end
        end
        return actions
    end }";
    let case = "- name: a\n  given: {phase: chunk, channel: assistant, text: it is a very long secret word ok}\n  expect: {text: it is * ok}\n";
    let told = tried(code, case).await.unwrap_err();
    assert!(told.starts_with("text: expected \"it is * ok\"") && told.contains("the stream was cut as [\"i\", \"t\""), "{told}");
}

#[tokio::test]
async fn what_a_case_costs_is_the_same_in_each_run_and_may_be_bounded() {
    let plugin = written(ALL, "return { inspect = function(ctx, event) for i = 1, 50 do tostring(i) end return {} end }");
    let given = "- name: a\n  given: {phase: chunk, channel: user, text: hi}\n  expect: {text: hi";
    let cost = async |expect: &str| {
        let host = Host::counting(2);
        let case = cases::read(&format!("{given}{expect}}}\n")).unwrap().remove(0);
        Trials::new(&host, plugin.source(), operator(), 3).run(&case).await
    };
    let (first, again) = (cost("").await.unwrap(), cost("").await.unwrap());
    assert!(first == again && first > 50, "{first} {again}");
    assert_eq!(cost(&format!(", max_fuel: {first}")).await.unwrap(), first);
    let wrong = cost(&format!(", max_fuel: {}", first - 1)).await.unwrap_err();
    assert_eq!(wrong.to_string(), format!("fuel: expected at most {}, got {first}", first - 1));
}

#[tokio::test]
async fn the_instructions_of_a_component_are_counted_alike_in_each_run() {
    let policy = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/topic-deny");
    let case = "- name: a\n  settings: {terms: [bomb]}\n  given: {phase: chunk, channel: user, text: a b o m b}\n  expect: {verdict: block}\n";
    let case = cases::read(case).unwrap().remove(0);
    let mut costs = Vec::new();
    for _ in 0..2 {
        let host = Host::counting(1);
        let mut trials = Trials::new(&host, gatewright_plugins::Source::Folder(policy.clone()), operator(), 2);
        costs.push(trials.run(&case).await.unwrap());
        costs.push(trials.run(&case).await.unwrap());
    }
    assert!(costs[0] > 100 && costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
}

/// `redact` holds what may go on, so that a match that is longer than the window is found whole however it is cut.
#[tokio::test]
async fn what_redact_finds_does_not_depend_on_how_the_stream_is_cut() {
    let pattern = "return { inspect = function(ctx, event) return redact(event, '%d%d%d+', function(all)
        return all == '1234' and all or '#' .. #all
    end) end }";
    let case = "- name: a\n  given: {phase: chunk, channel: user, text: 555123456789012345 or 1234 or 42 or 999}\n  \
        expect: {text: '#18 or 1234 or 42 or #3'}\n";
    assert_eq!(tried(pattern, case).await, Ok(()));
    let function = "local function word(text, from)
        local first, last = string.find(text, 'secret', from, true)
        if first then return first, last end
        for length = 5, 1, -1 do
            local start = #text - length + 1
            if start >= from and string.sub(text, start) == string.sub('secret', 1, length) then return start end
        end
    end
    return { inspect = function(ctx, event) return redact(event, word, '*') end }";
    let case = "- name: a\n  given: {phase: chunk, channel: user, text: a secret secretsecr}\n  expect: {text: a * *secr}\n";
    let host = Host::new(2);
    let plugin = written("subscribe: {phases: all, channels: all}\nwindow: 1\n", function);
    let case = cases::read(case).unwrap().remove(0);
    Trials::new(&host, plugin.source(), operator(), 60).run(&case).await.unwrap();
}
