//! What the plugins did, worded: compactly for a header or a comment, as JSON for the record.
//!
//! Apart because three places word it. It must not know where the words go.

use std::fmt::Write as _;

use gatewright_plugins::Entry;
use serde::Serialize;

use super::meter::Figures;

/// `secrets=edit:reasoning; topic-deny=pass; tools=calculator__calculate:ok; not-inspected=request:media`. `None` when no plugin
/// was asked and nothing was missed.
pub(crate) fn compact(figures: &Figures) -> Option<String> {
    let Figures { entries, uninspected, tools, .. } = figures;
    if entries.is_empty() && uninspected.is_empty() && tools.is_empty() {
        return None;
    }
    let mut text = String::new();
    let mut named: Vec<&str> = Vec::new();
    for Entry { plugin, .. } in entries {
        if named.contains(&&**plugin) {
            continue;
        }
        named.push(plugin);
        separate(&mut text);
        text.push_str(plugin);
        let mut done: Vec<(&str, &str)> = Vec::new();
        for entry in entries.iter().filter(|entry| entry.plugin == *plugin && !entry.did.ends_with("pass")) {
            let what = (entry.did, entry.channel.as_str());
            if !done.contains(&what) {
                // Writing into a string cannot fail.
                let _ = write!(text, "{}{}:{}", if done.is_empty() { '=' } else { ',' }, what.0, what.1);
                done.push(what);
            }
        }
        if done.is_empty() {
            text.push_str("=pass");
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
        text.push_str(&uninspected.join(","));
    }
    Some(text)
}

fn separate(text: &mut String) {
    if !text.is_empty() {
        text.push_str("; ");
    }
}

/// What [`json`] writes.
#[derive(Serialize)]
struct Words<'a> {
    plugins: &'a [Entry],
    not_inspected: &'a [&'static str],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    did: &'a str,
}

/// The record's words where nobody did anything.
pub(super) const NONE: &str = r#"{"plugins":[],"not_inspected":[]}"#;

/// `{"plugins":[...],"not_inspected":[...]}`, and `"tools"` where some were run, as the records keep it.
pub(super) fn json(figures: &Figures) -> String {
    let Figures { entries, uninspected, tools, .. } = figures;
    if entries.is_empty() && uninspected.is_empty() && tools.is_empty() {
        return NONE.to_owned();
    }
    let tools = tools.iter().map(|(name, did)| Tool { name, did }).collect();
    // Text and numbers under fixed names are always JSON.
    serde_json::to_string(&Words { plugins: entries, not_inspected: uninspected, tools }).unwrap_or_else(|_| NONE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatewright_types::{Channel, Phase};

    fn entry(plugin: &str, did: &'static str, channel: Channel) -> Entry {
        Entry { plugin: plugin.into(), phase: Phase::Chunk, channel, characters: 1, did, count: 1, why: None }
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
        let figures = Figures { entries: entries.to_vec(), uninspected: vec!["request:media"], tools, ..Figures::default() };
        let wanted = "secrets=edit:reasoning; topic-deny=pass; tone=shadow:block:user; tools=calc__add:ok; \
            not-inspected=request:media";
        assert_eq!(compact(&figures).unwrap(), wanted);
        let json_text = json(&figures);
        assert!(json_text.contains(r#""did":"edit""#) && json_text.contains(r#""tools":[{"name":"calc__add","did":"ok"}]"#));
        assert_eq!(compact(&Figures::default()), None);
        assert_eq!(json(&Figures::default()), r#"{"plugins":[],"not_inspected":[]}"#);
    }
}
