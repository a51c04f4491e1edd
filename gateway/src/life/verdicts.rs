//! What the plugins did, worded: compactly for a header or a comment, as JSON for the record.
//!
//! Apart because three places word it. It must not know where the words go.

use std::fmt::Write as _;

use gatewright_plugins::{Absence, Entry, Tally};
use gatewright_types::{Channel, Phase};
use serde::Serialize;

use super::meter::{Figures, Missed};
use super::tried::{Try, tries};
use crate::records::micros;
use crate::upstreams::Carried;

/// Longest text for a header or a line of the log, bytes; what is beyond is in the record.
const LONGEST: usize = 4096;

/// `secrets=edit:reasoning; topic-deny=pass; tone=roll-out; tools=calculator__calculate:ok; not-inspected=request:media; local-only`.
/// `None` when no plugin was asked and nothing was missed.
pub(crate) fn compact(figures: &Figures) -> Option<String> {
    let Figures { entries, uninspected, tools, tallies, kept_here, .. } = figures;
    let mut text = String::new();
    let mut named: Vec<&str> = Vec::new();
    for Entry { plugin, .. } in entries {
        if !named.contains(&&**plugin) {
            named.push(plugin);
            separate(&mut text);
            deeds(&mut text, plugin, entries);
        }
    }
    for tally in tallies.iter().filter(|tally| !named.contains(&&*tally.plugin)) {
        if let Some(why) = tally.absent {
            separate(&mut text);
            // Writing into a string cannot fail.
            let _ = write!(text, "{}={}", tally.plugin, why.as_str());
        }
    }
    if !tools.is_empty() {
        separate(&mut text);
        text.push_str("tools=");
        text.push_str(&tools.iter().map(|(name, how)| format!("{name}:{how}")).collect::<Vec<_>>().join(","));
    }
    if !uninspected.is_empty() {
        separate(&mut text);
        text.push_str("not-inspected=");
        text.push_str(&uninspected.iter().map(|missed| missed.what).collect::<Vec<_>>().join(","));
    }
    if kept_here.is_some() {
        separate(&mut text);
        text.push_str("local-only");
    }
    (!text.is_empty()).then(|| bounded(text))
}

/// What one plugin did, each deed once.
fn deeds(text: &mut String, plugin: &str, entries: &[Entry]) {
    text.push_str(plugin);
    let mut done: Vec<(&str, Channel)> = Vec::new();
    for entry in entries.iter().filter(|entry| *entry.plugin == *plugin && !entry.did.ends_with("pass")) {
        let what = (entry.did, entry.channel);
        if !done.contains(&what) {
            let _ = write!(text, "{}{}:{}", if done.is_empty() { '=' } else { ',' }, what.0, what.1.as_str());
            done.push(what);
        }
    }
    if done.is_empty() {
        text.push_str("=pass");
    }
}

pub(super) fn separate(text: &mut String) {
    if !text.is_empty() {
        text.push_str("; ");
    }
}

/// Cut where a part ends.
pub(super) fn bounded(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = text.floor_char_boundary(LONGEST);
        text.truncate(text[..end].rfind("; ").unwrap_or(end));
        text.push_str("; ...");
    }
    text
}

/// `secrets=0.2.0+9f86d081884c calls:3 us:41 kib:520; ...`: who was asked, as far as the digest is needed to tell versions apart.
pub(crate) fn versions(figures: &Figures) -> Option<String> {
    const DIGITS: usize = 12;
    const LETTERS: usize = 32;
    let mut text = String::new();
    for Acted { plugin, version, digest, calls, us, memory, .. } in acted(figures).iter().filter(|acted| acted.absent.is_none()) {
        separate(&mut text);
        // An author's text, on its way into a header.
        let version: String = version.chars().filter(char::is_ascii_graphic).take(LETTERS).collect();
        let digest = digest.get(..DIGITS).unwrap_or(digest);
        let _ = write!(text, "{plugin}={version}+{digest} calls:{calls} us:{us} kib:{}", memory.div_ceil(1024));
    }
    (!text.is_empty()).then(|| bounded(text))
}

/// What [`json`] writes.
#[derive(Serialize)]
struct Words<'a> {
    plugins: Vec<Acted<'a>>,
    not_inspected: &'a [Missed],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<Note<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_only: Option<&'a str>,
    /// How much the model was told to think.
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<&'a str>,
    /// What who answered has no words for.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    not_carried: &'a [String],
    /// Turns that got their thought back.
    #[serde(skip_serializing_if = "is_zero")]
    recalled: usize,
    /// Where there is more to tell than who answered at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tries: Vec<Try<'a>>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields so")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// One plugin in a request.
#[derive(Serialize)]
struct Acted<'a> {
    plugin: &'a str,
    version: &'a str,
    digest: &'a str,
    calls: u64,
    us: u64,
    memory: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    absent: Option<&'static str>,
    channels: Vec<Deed<'a>>,
}

#[derive(Serialize)]
struct Deed<'a> {
    phase: Phase,
    channel: Channel,
    characters: u64,
    did: &'static str,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    did: &'a str,
}

#[derive(Serialize)]
struct Note<'a> {
    key: &'a str,
    value: &'a str,
}

/// What each plugin did in a request, all its sessions together: those that saw something or were left out.
fn acted(figures: &Figures) -> Vec<Acted<'_>> {
    let mut all: Vec<Acted<'_>> = Vec::with_capacity(figures.tallies.len());
    for Tally { plugin, version, digest, calls, time, memory, absent, .. } in &figures.tallies {
        let absent = absent.map(Absence::as_str);
        let (us, memory) = (micros(*time), *memory);
        match all.iter_mut().find(|acted| *acted.plugin == **plugin) {
            Some(acted) => {
                acted.calls += calls;
                acted.us += us;
                acted.memory = acted.memory.max(memory);
                acted.absent = acted.absent.and(absent);
            }
            None => all.push(Acted { plugin, version, digest, calls: *calls, us, memory, absent, channels: Vec::new() }),
        }
    }
    for Entry { plugin, phase, channel, characters, did, count, why } in &figures.entries {
        if let Some(acted) = all.iter_mut().find(|acted| *acted.plugin == **plugin) {
            let (phase, channel, characters, count) = (*phase, *channel, *characters, *count);
            acted.channels.push(Deed { phase, channel, characters, did, count, why: why.as_deref() });
        }
    }
    all.retain(|acted| !acted.channels.is_empty() || acted.calls > 0 || acted.absent.is_some());
    all
}

/// The record's words where nobody did anything.
pub(super) const NONE: &str = r#"{"plugins":[],"not_inspected":[]}"#;

/// `{"plugins":[...],"not_inspected":[...]}`, and what else there is to say, as the records keep it.
pub(super) fn json(figures: &Figures) -> String {
    /// Notes that are kept, and bytes of each value.
    const NOTES: (usize, usize) = (16, 128);
    let Figures { uninspected, tools, notes, kept_here, carried, recalled, .. } = figures;
    let (plugins, tries) = (acted(figures), tries(&figures.tries));
    let silent = plugins.is_empty() && uninspected.is_empty() && tools.is_empty() && tries.is_empty();
    let quiet = *carried == Carried::default() && *recalled == 0 && kept_here.is_none();
    if silent && notes.is_empty() && quiet {
        return NONE.to_owned();
    }
    let notes = notes.iter().take(NOTES.0);
    let notes = notes.map(|(key, value)| Note { key, value: &value[..value.floor_char_boundary(NOTES.1)] }).collect();
    let tools = tools.iter().map(|(name, did)| Tool { name, did }).collect();
    let words = Words {
        plugins,
        not_inspected: uninspected,
        tools,
        notes,
        local_only: kept_here.as_deref(),
        thinking: carried.thinking.as_deref(),
        not_carried: &carried.left_out,
        recalled: *recalled,
        tries,
    };
    // Text and numbers under fixed names are always JSON.
    serde_json::to_string(&words).unwrap_or_else(|_| NONE.to_owned())
}

/// Whether some plugin did more than look and wait.
pub(super) fn intervened(figures: &Figures) -> bool {
    let quiet = ["pass", "hold", "shadow:pass", "shadow:hold"];
    figures.entries.iter().any(|entry| !quiet.contains(&entry.did))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::life::meter::Why;
    use std::time::Duration;

    fn entry(plugin: &str, did: &'static str, channel: Channel) -> Entry {
        Entry { plugin: plugin.into(), phase: Phase::Chunk, channel, characters: 1, did, count: 1, why: None }
    }

    fn tally(plugin: &str, absent: Option<Absence>) -> Tally {
        let calls = u64::from(absent.is_none());
        let (plugin, version, digest) = (plugin.into(), "1.0.0".into(), "0123456789abcdef".into());
        Tally { plugin, version, digest, calls, time: Duration::from_micros(7), memory: 2048, trips: [0; 5], absent }
    }

    #[test]
    fn words_are_short_and_in_order() {
        let entries = [
            entry("secrets", "pass", Channel::Assistant),
            entry("secrets", "edit", Channel::Reasoning),
            entry("topic-deny", "pass", Channel::Assistant),
            entry("secrets", "edit", Channel::Reasoning),
            entry("tone", "shadow:block", Channel::User),
        ];
        let tools = vec![("calc__add".to_owned(), "ok")];
        let uninspected = vec![Missed { what: "request:media", why: Why::Unheard }];
        let figures = Figures { entries: entries.to_vec(), uninspected, tools, ..Figures::default() };
        let wanted = "secrets=edit:reasoning; topic-deny=pass; tone=shadow:block:user; tools=calc__add:ok; \
            not-inspected=request:media";
        assert_eq!(compact(&figures).unwrap(), wanted);
        assert_eq!(compact(&Figures::default()), None);
        assert_eq!(json(&Figures::default()), r#"{"plugins":[],"not_inspected":[]}"#);
    }

    #[test]
    fn the_record_says_who_saw_what_at_what_cost_and_who_did_not() {
        let figures = Figures {
            entries: vec![entry("secrets", "edit", Channel::Reasoning)],
            tallies: vec![
                tally("secrets", None),
                tally("tone", Some(Absence::RollOut)),
                tally("secrets", None),
                tally("idle", None),
            ],
            uninspected: vec![Missed { what: "request:user", why: Why::Absent }],
            tools: vec![("calc__add".to_owned(), "ok")],
            notes: vec![("k".to_owned(), "é".repeat(100))],
            kept_here: Some("the route `r` is local only".into()),
            ..Figures::default()
        };
        let said: serde_json::Value = serde_json::from_str(&json(&figures)).unwrap();
        let digest = "0123456789abcdef";
        assert_eq!(
            said,
            serde_json::json!({
                "plugins": [
                    { "plugin": "secrets", "version": "1.0.0", "digest": digest, "calls": 2, "us": 14, "memory": 2048, "channels": [
                        { "phase": "chunk", "channel": "reasoning", "characters": 1, "did": "edit", "count": 1 }
                    ]},
                    { "plugin": "tone", "version": "1.0.0", "digest": digest, "calls": 0, "us": 7, "memory": 2048,
                      "absent": "roll-out", "channels": [] },
                    { "plugin": "idle", "version": "1.0.0", "digest": digest, "calls": 1, "us": 7, "memory": 2048, "channels": [] },
                ],
                "not_inspected": [{ "what": "request:user", "why": "absent" }],
                "tools": [{ "name": "calc__add", "did": "ok" }],
                "notes": [{ "key": "k", "value": "é".repeat(64) }],
                "local_only": "the route `r` is local only",
            })
        );
        let wanted = "secrets=edit:reasoning; tone=roll-out; tools=calc__add:ok; not-inspected=request:user; local-only";
        assert_eq!(compact(&figures).unwrap(), wanted);
        let wanted = "secrets=1.0.0+0123456789ab calls:2 us:14 kib:2; idle=1.0.0+0123456789ab calls:1 us:7 kib:2";
        assert_eq!(versions(&figures).unwrap(), wanted);
        assert!(intervened(&figures) && !intervened(&Figures::default()));
    }

    #[test]
    fn what_goes_into_a_header_is_bounded() {
        let entries: Vec<Entry> = (0..1000).map(|n| entry(&format!("plugin-{n}"), "pass", Channel::User)).collect();
        let tallies = (0..1000).map(|n| tally(&format!("plugin-{n}"), None)).collect();
        let figures = Figures { entries, tallies, ..Figures::default() };
        for text in [compact(&figures).unwrap(), versions(&figures).unwrap()] {
            assert!(text.len() <= LONGEST + 5 && text.ends_with("; ..."), "{}", text.len());
        }
    }
}
