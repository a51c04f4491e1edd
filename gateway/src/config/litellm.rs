//! A configuration of LiteLLM's proxy, read as one of ours: its model list, its router's and its own settings, its master key.
//!
//! Apart because it is another product's file. What it says that has no meaning here, or another one, is told with its line, never
//! passed over. Which providers there are is the catalog's to know. It must not know what our own keys come to.

mod deployment;
mod groups;
mod prices;
mod settings;
mod whom;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::complaint::{Complaint, Mark};
use super::keys::{digest, hex};
use super::yaml::{Document, escape, readable};
use crate::environment::Environment;
use crate::upstreams::catalog::Catalog;

/// What a LiteLLM file comes to.
pub(super) struct Carried {
    /// A document of ours; its places are those of the file.
    pub(super) document: Document,
    /// What counts for nothing here.
    pub(super) notes: Vec<Complaint>,
    /// What it cannot be served without.
    pub(super) missing: Vec<Complaint>,
}

/// Whether a document is one of LiteLLM's: only those have a model list.
pub(super) fn is_one(document: &Document) -> bool {
    document.value.get("model_list").is_some()
}

/// Carries a document over.
pub(super) fn carry(document: &Document, environment: &Environment) -> Carried {
    let mut carrier = Carrier {
        document,
        environment,
        // The tests see to it that the binary's own rows can be read.
        catalog: Catalog::packed().unwrap_or_default(),
        providers: Vec::new(),
        groups: Vec::new(),
        aliases: Vec::new(),
        notes: Vec::new(),
        places: Vec::new(),
    };
    let settings = carrier.settings();
    carrier.aliases = settings.aliases.iter().map(|(alias, of, _)| (alias.clone(), of.clone())).collect();
    let models = document.value.get("model_list").and_then(Value::as_array);
    if models.is_none() {
        carrier.note("/model_list", "a list is expected here");
    }
    let mut entries: Vec<(usize, &Value)> = models.into_iter().flatten().enumerate().collect();
    // Which entries are closer than that of everybody is known once they are all there.
    entries.sort_by_key(|(_, entry)| whom::is_everybody(entry));
    for (index, entry) in entries {
        carrier.deployment(index, entry, &settings);
    }
    let mut missing = Vec::new();
    let mut root = Map::new();
    let keys = carrier.master_key().unwrap_or_else(|complaint| {
        missing.push(complaint);
        None
    });
    // Who passes any model through, the routes say.
    let routes = carrier.routes(&settings);
    root.insert("providers".to_owned(), carrier.shown_providers());
    root.insert("routes".to_owned(), routes);
    root.extend(keys.map(|keys| ("keys".to_owned(), keys)));
    root.insert("compat".to_owned(), "litellm".into());
    carrier.others();
    let Carrier { mut notes, places, .. } = carrier;
    notes.sort_by(|a, b| (a.mark, &a.path).cmp(&(b.mark, &b.path)));
    Carried { document: Document::made(Value::Object(root), places), notes, missing }
}

/// A provider of ours, while deployments are gathered.
struct Made {
    name: String,
    /// What two deployments must have in common to be of one provider.
    settings: Map<String, Value>,
    prices: Map<String, Value>,
    /// The models that are asked for there.
    models: BTreeSet<String>,
    /// Whether any other may be: an entry says so with `*`.
    any_model: bool,
}

/// What LiteLLM draws a deployment by, the weightiest first.
const SHARES: [&str; 3] = ["weight", "rpm", "tpm"];

/// One deployment as a leg.
#[derive(Clone)]
struct Deployed {
    leg: String,
    /// By each of [`SHARES`]; nothing where it says none.
    shares: [f64; 3],
}

/// A model's name as clients know it, and who answers.
#[derive(Clone)]
struct Group {
    name: String,
    /// Where it stands first.
    pointer: String,
    deployed: Vec<Deployed>,
}

struct Carrier<'a> {
    document: &'a Document,
    environment: &'a Environment,
    catalog: Catalog,
    providers: Vec<Made>,
    groups: Vec<Group>,
    /// Other names of groups, and whose.
    aliases: Vec<(String, String)>,
    notes: Vec<Complaint>,
    places: Vec<(String, Mark)>,
}

impl Carrier<'_> {
    /// Tells that something counts for nothing here.
    fn note(&mut self, pointer: &str, message: impl Into<String>) {
        let mark = self.document.key_mark(pointer);
        self.notes.push(Complaint { mark, path: readable(pointer), message: message.into(), hint: None });
    }

    /// Remembers of which place of the file one of ours was made.
    fn place(&mut self, ours: String, theirs: &str) {
        self.places.extend(self.document.mark(theirs).map(|mark| (ours, mark)));
    }

    fn shown_providers(&self) -> Value {
        let shown = |made: &Made| {
            let mut section = made.settings.clone();
            if !made.prices.is_empty() {
                section.insert("prices".to_owned(), Value::Object(made.prices.clone()));
            }
            if !made.any_model {
                section.insert("models".to_owned(), made.models.iter().cloned().collect());
                section.insert("any_model".to_owned(), false.into());
            }
            (made.name.clone(), Value::Object(section))
        };
        Value::Object(self.providers.iter().map(shown).collect())
    }

    /// The master key as a key of ours: its digest. Keys that LiteLLM keeps in a database are not in its file. What stands there must
    /// be a key: without one nobody would be asked for any.
    fn master_key(&mut self) -> Result<Option<Value>, Complaint> {
        const AT: &str = "/general_settings/master_key";
        const VARIABLE: &str = "LITELLM_MASTER_KEY";
        let wrong = |message: String| Complaint {
            mark: self.document.mark(AT),
            path: readable(AT),
            message,
            hint: Some("without it nobody would be asked for a key".to_owned()),
        };
        let key = match self.document.value.pointer(AT) {
            None => match self.environment.get(VARIABLE) {
                Some(key) => key,
                None => return Ok(None),
            },
            Some(Value::String(written)) => match written.strip_prefix(ENVIRON) {
                None => written,
                Some(name) => {
                    let missing = || wrong(format!("the environment has no variable `{name}`, or it is empty"));
                    self.environment.get(name).ok_or_else(missing)?
                }
            },
            Some(_) => return Err(wrong("a text is expected here".to_owned())),
        };
        if key.trim().is_empty() {
            return Err(wrong("a key is expected here, but it is empty".to_owned()));
        }
        let key = json!({ "master": { "sha256": hex(&digest(key)) } });
        self.place("/keys".to_owned(), AT);
        Ok(Some(key))
    }

    /// Sections that are not looked at elsewhere.
    fn others(&mut self) {
        const KNOWN: [&str; 4] = ["model_list", "router_settings", "litellm_settings", "general_settings"];
        let keys: Vec<String> = self.document.value.as_object().into_iter().flat_map(Map::keys).cloned().collect();
        for key in keys.iter().filter(|key| !KNOWN.contains(&key.as_str())) {
            self.note(&format!("/{}", escape(key)), "this section is not carried over");
        }
    }
}

/// How LiteLLM says that a text is in the environment.
const ENVIRON: &str = "os.environ/";

/// A text of LiteLLM's as one of ours.
fn text_of(text: &str) -> String {
    match text.strip_prefix(ENVIRON) {
        Some(name) => format!("${{{name}}}"),
        None => text.replace("${", "$${"),
    }
}

#[cfg(test)]
mod tests;
