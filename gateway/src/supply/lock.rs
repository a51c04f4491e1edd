//! `gatewright.lock`: which plugins from outside were agreed to, by digest, with the grants they asked for and their tools.
//!
//! Apart because it is written by a command, read by `serve` and merged by people: sorted, a line for each fact, the same bytes for
//! the same plugins. It must not know how a plugin is loaded.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use gatewright_plugins::About;
use serde::Deserialize;

use crate::config::yaml;

/// Name of the file, beside the configuration.
pub const LOCK: &str = "gatewright.lock";
/// Version of its form.
const FORM: u64 = 1;
const MAX_BYTES: u64 = 2 << 20;
const HEAD: &str =
    "# Which plugins were agreed to. `gatewright plugin lock` writes it; keep it beside gatewright.yaml, under version control.\n";

/// What was agreed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// Plugins by their names in the configuration.
    pub plugins: BTreeMap<String, Locked>,
}

/// One plugin.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// Where it comes from, as the configuration says.
    pub source: String,
    /// Digest of its manifest in the registry, `sha256:...`.
    #[serde(default)]
    pub artifact: Option<String>,
    /// Digest of manifest and entry file, `blake3:...`.
    pub digest: String,
    /// Version.
    pub version: String,
    /// Powers that it asks for.
    #[serde(default)]
    pub grants: Vec<String>,
    /// Its tools by their own names.
    #[serde(default)]
    pub tools: BTreeMap<String, LockedTool>,
}

/// A tool: what the model is told of it, as digests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedTool {
    /// Of its description.
    pub description: String,
    /// Of the JSON Schema of its arguments.
    pub parameters: String,
    /// Of the JSON Schema of its results, where it has one.
    #[serde(default)]
    pub result: Option<String>,
    /// Whether it says that it changes nothing. A lock of an earlier version does not say it, and is agreed to anew.
    #[serde(default)]
    pub read_only: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    form: u64,
    #[serde(default)]
    plugins: BTreeMap<String, Locked>,
}

impl Locked {
    /// What there is to agree to.
    pub fn of(source: &str, artifact: Option<&str>, about: &About) -> Self {
        let digest = |text: &str| format!("blake3:{}", blake3::hash(text.as_bytes()).to_hex());
        let prefix = format!("{}__", about.name);
        let tools = about.tools.iter().map(|tool| {
            let name = tool.name.strip_prefix(&prefix).unwrap_or(&tool.name).to_owned();
            let (description, parameters) = (digest(&tool.description), digest(&tool.parameters));
            (name, LockedTool { description, parameters, result: tool.result.as_deref().map(digest), read_only: tool.read_only })
        });
        Self {
            source: source.to_owned(),
            artifact: artifact.map(str::to_owned),
            digest: format!("blake3:{}", about.digest),
            version: about.version.clone(),
            grants: about.asked.iter().map(|grant| (*grant).to_owned()).collect(),
            tools: tools.collect(),
        }
    }

    /// How another differs from this one, a clause each.
    pub fn differences(&self, new: &Self) -> Vec<String> {
        let mut told = Vec::new();
        for (what, old, new) in [("source", &self.source, &new.source), ("version", &self.version, &new.version)] {
            if old != new {
                told.push(format!("{what} {old} -> {new}"));
            }
        }
        if self.artifact != new.artifact {
            let short = |digest: &Option<String>| digest.as_deref().map_or("none".to_owned(), short);
            told.push(format!("artifact {} -> {}", short(&self.artifact), short(&new.artifact)));
        }
        if self.digest != new.digest {
            told.push(format!("digest {} -> {}", short(&self.digest), short(&new.digest)));
        }
        for grant in new.grants.iter().filter(|grant| !self.grants.contains(grant)) {
            told.push(format!("asks for the grant `{grant}`"));
        }
        for grant in self.grants.iter().filter(|grant| !new.grants.contains(grant)) {
            told.push(format!("asks no longer for the grant `{grant}`"));
        }
        for (name, tool) in &new.tools {
            match self.tools.get(name) {
                None => told.push(format!("new tool `{name}`")),
                Some(old) => told.extend(old.differences(tool).map(|what| format!("{what} of the tool `{name}` changed"))),
            }
        }
        told.extend(
            self.tools.keys().filter(|name| !new.tools.contains_key(*name)).map(|name| format!("no tool `{name}` any more")),
        );
        told
    }
}

impl LockedTool {
    /// What of it is different in another.
    fn differences(&self, new: &Self) -> impl Iterator<Item = &'static str> {
        let parts = [
            ("the description", self.description != new.description),
            ("the parameters", self.parameters != new.parameters),
            ("the result", self.result != new.result),
            ("`read_only`", self.read_only != new.read_only),
        ];
        parts.into_iter().filter_map(|(what, differs)| differs.then_some(what))
    }
}

/// A digest for people: its algorithm and the first twelve digits.
pub fn short(digest: &str) -> String {
    let end = digest.find(':').map_or(0, |at| at + 1) + 12;
    digest.get(..end).unwrap_or(digest).to_owned()
}

impl Lock {
    /// Reads the lock of a folder; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is not what `gatewright plugin lock` writes.
    pub fn read(folder: &Path) -> Result<Option<Self>, String> {
        let path = folder.join(LOCK);
        let mut text = String::new();
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file,
        };
        let read = file.and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
        read.map_err(|error| format!("{}: {error}", path.display()))?;
        let hint = "; remove it and run `gatewright plugin lock` to agree to all plugins anew";
        Self::parse(&text).map(Some).map_err(|error| format!("{}: {error}{hint}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let document = yaml::read(text).map_err(|complaints| match complaints.first() {
            Some(complaint) => complaint.to_string(),
            None => "no YAML".to_owned(),
        })?;
        let written: Written = serde_json::from_value(document.value).map_err(|error| error.to_string())?;
        match written.form {
            FORM => Ok(Self { plugins: written.plugins }),
            other => Err(format!("its form is {other}; this gatewright knows {FORM}")),
        }
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut out = format!("{HEAD}form: {FORM}\nplugins:{}\n", if self.plugins.is_empty() { " {}" } else { "" });
        for (name, locked) in &self.plugins {
            // Writing to a `String` cannot fail.
            let _ = writeln!(out, "  {}:", quoted(name));
            let _ = writeln!(out, "    source: {}", quoted(&locked.source));
            if let Some(artifact) = &locked.artifact {
                let _ = writeln!(out, "    artifact: {}", quoted(artifact));
            }
            let _ = writeln!(out, "    digest: {}\n    version: {}", quoted(&locked.digest), quoted(&locked.version));
            for (at, grant) in locked.grants.iter().enumerate() {
                let _ = writeln!(out, "{}      - {}", if at == 0 { "    grants:\n" } else { "" }, quoted(grant));
            }
            for (at, (name, tool)) in locked.tools.iter().enumerate() {
                let _ = writeln!(out, "{}      {}:", if at == 0 { "    tools:\n" } else { "" }, quoted(name));
                let _ = writeln!(out, "        description: {}", quoted(&tool.description));
                let _ = writeln!(out, "        parameters: {}", quoted(&tool.parameters));
                if let Some(result) = &tool.result {
                    let _ = writeln!(out, "        result: {}", quoted(result));
                }
                let _ = writeln!(out, "        read_only: {}", tool.read_only);
            }
        }
        out
    }

    /// How another lock differs from this one, a line for each plugin.
    pub fn differences(&self, new: &Self) -> Vec<String> {
        let names: std::collections::BTreeSet<_> = self.plugins.keys().chain(new.plugins.keys()).collect();
        let line = |name: &String| match (self.plugins.get(name), new.plugins.get(name)) {
            (Some(old), Some(new)) => {
                let told = old.differences(new);
                (!told.is_empty()).then(|| format!("~ {name}: {}", told.join("; ")))
            }
            (None, Some(new)) => {
                let grants = if new.grants.is_empty() { "no grants".to_owned() } else { new.grants.join(", ") };
                Some(format!("+ {name}: {} {}, asks for {grants}, {} tools", new.version, short(&new.digest), new.tools.len()))
            }
            _ => Some(format!("- {name}")),
        };
        names.into_iter().filter_map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(description: &str) -> LockedTool {
        LockedTool { description: description.into(), parameters: "blake3:p".into(), result: None, read_only: true }
    }

    fn locked() -> Locked {
        Locked {
            source: "./a \"b\"".into(),
            artifact: Some("sha256:00".into()),
            digest: "blake3:0123456789abcdef".into(),
            version: "1.0".into(),
            grants: vec!["log".into(), "store".into()],
            tools: BTreeMap::from([("add".into(), tool("blake3:d")), ("true".into(), tool("blake3:e"))]),
        }
    }

    #[test]
    fn what_is_written_is_read_and_does_not_depend_on_an_order() {
        let plain = Locked { artifact: None, grants: vec![], tools: BTreeMap::new(), ..locked() };
        let lock = Lock { plugins: BTreeMap::from([("b".into(), locked()), ("null".into(), plain)]) };
        let text = lock.text();
        assert_eq!(Lock::parse(&text).unwrap(), lock, "{text}");
        assert_eq!(Lock::parse(&text).unwrap().text(), text);
        assert_eq!(Lock::parse(&Lock::default().text()).unwrap(), Lock::default());
        for (wrong, why) in [("form: 2\n", "its form is 2"), ("form: 1\nx: 1\n", "unknown field"), ("form: [\n", ":"), ("", "form")]
        {
            let told = Lock::parse(wrong).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn what_changed_is_told_by_name() {
        let mut new = locked();
        new.digest = "blake3:fedcba9876543210".into();
        new.grants = vec!["fetch".into(), "log".into()];
        let other = LockedTool { result: Some("blake3:r".into()), read_only: false, ..tool("blake3:other") };
        new.tools = BTreeMap::from([("add".into(), other), ("sub".into(), tool("x"))]);
        let told = locked().differences(&new).join("; ");
        for expected in [
            "digest blake3:0123456789ab -> blake3:fedcba987654",
            "asks for the grant `fetch`",
            "no longer for the grant `store`",
            "the description of the tool `add` changed",
            "the result of the tool `add` changed",
            "`read_only` of the tool `add` changed",
            "new tool `sub`",
            "no tool `true` any more",
        ] {
            assert!(told.contains(expected), "{expected} is missing in: {told}");
        }
        let (old, new) =
            (Lock { plugins: BTreeMap::from([("a".into(), locked())]) }, Lock { plugins: BTreeMap::from([("b".into(), new)]) });
        let told = old.differences(&new);
        assert_eq!(
            (told[0].as_str(), told[1].starts_with("+ b: 1.0 blake3:fedcba987654, asks for fetch, log, 2 tools")),
            ("- a", true)
        );
        assert!(old.differences(&old).is_empty());
    }
}
