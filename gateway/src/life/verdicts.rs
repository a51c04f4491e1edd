//! What the plugins did, worded: compactly for a header or a comment, as JSON for the record.
//!
//! Apart because three places word it. It must not know where the words go.

use std::fmt::Write as _;

use gatewright_plugins::Entry;

/// `secrets=edit:reasoning; topic-deny=pass; not-inspected=request:media`. `None` when no plugin was asked and nothing was missed.
pub(crate) fn compact(entries: &[Entry], uninspected: &[&'static str]) -> Option<String> {
    if entries.is_empty() && uninspected.is_empty() {
        return None;
    }
    let mut text = String::new();
    let mut named: Vec<&str> = Vec::new();
    for Entry { plugin, .. } in entries {
        if named.contains(&plugin.as_str()) {
            continue;
        }
        named.push(plugin);
        separate(&mut text);
        text.push_str(plugin);
        let mut done: Vec<(&str, &str)> = Vec::new();
        for entry in entries.iter().filter(|entry| entry.plugin == *plugin && !entry.did.ends_with("pass")) {
            let what = (entry.did.as_str(), entry.channel.as_str());
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

/// `{"plugins":[...],"not_inspected":[...]}`, as the records keep it.
pub(super) fn json(entries: &[Entry], uninspected: &[&'static str]) -> String {
    if entries.is_empty() && uninspected.is_empty() {
        return r#"{"plugins":[],"not_inspected":[]}"#.to_owned();
    }
    let words = serde_json::json!({ "plugins": entries, "not_inspected": uninspected });
    words.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatewright_types::{Channel, Phase};

    fn entry(plugin: &str, did: &str, channel: Channel) -> Entry {
        let (plugin, did) = (plugin.to_owned(), did.to_owned());
        Entry { plugin, phase: Phase::Chunk, channel, characters: 1, did, count: 1, why: None }
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
        let text = compact(&entries, &["request:media"]).unwrap();
        assert_eq!(text, "secrets=edit:reasoning; topic-deny=pass; tone=shadow:block:user; not-inspected=request:media");
        assert_eq!(compact(&[], &[]), None);
        assert_eq!(json(&[], &[]), r#"{"plugins":[],"not_inspected":[]}"#);
        assert!(json(&entries, &[]).contains(r#""did":"edit""#));
    }
}
