//! Whom an entry of LiteLLM's model list means: a row of the catalog and a model there, or everybody whose key is set.
//!
//! Apart because LiteLLM's prefixes mean several things: a provider, an API that others speak too, one of two APIs. It must not know what
//! else an entry says.

use serde_json::{Map, Value};

use super::deployment::Entry;
use super::settings::Settings;
use super::{Carrier, Deployed, ENVIRON};
use crate::config::facts::ProviderKind;
use crate::config::zero::usual_base;
use crate::upstreams::catalog::Row;

/// Whom an entry means.
pub(super) struct Known {
    pub(super) row: Row,
    /// The variable of the key that LiteLLM would send.
    pub(super) key: Option<String>,
    /// The model's own name.
    pub(super) model: String,
    /// Whether it is asked by OpenAI's other API.
    pub(super) responses: bool,
}

/// Whether an entry is for any model of anybody.
pub(super) fn is_everybody(entry: &Value) -> bool {
    let text = |key: &str| entry.get("litellm_params")?.get(key)?.as_str();
    text("model") == Some("*") && text("custom_llm_provider").is_none()
}

impl Carrier<'_> {
    /// Whom an entry means.
    pub(super) fn known(&mut self, entry: &Entry<'_>) -> Option<Known> {
        let at = format!("{}/litellm_params", entry.at);
        let Some(model) = entry.text("model") else {
            self.note(&at, "an entry without `model` is not carried over");
            return None;
        };
        let (prefix, rest) = match (entry.text("custom_llm_provider"), model.split_once('/')) {
            (Some(named), Some((prefix, rest))) if prefix == named => (Some(named), rest),
            (Some(named), _) => (Some(named), model),
            (None, Some((prefix, rest))) => (Some(prefix), rest),
            (None, None) => (None, model),
        };
        let row = match prefix {
            Some(prefix) => self.catalog.of_litellm(prefix),
            None => self.catalog.of_litellm_model(model),
        };
        let at = format!("{at}/model");
        let Some(row) = row.cloned() else {
            let what = prefix.map_or_else(|| format!("whose model `{model}` is"), |prefix| format!("the provider `{prefix}`"));
            self.note(&at, format!("this entry is not carried over: {what} is not known here"));
            return None;
        };
        if row.kind().is_none() {
            self.note(
                &at,
                format!("this entry is not carried over: `{}` speaks `{}`, which is not spoken here", row.name, row.dialect),
            );
            return None;
        }
        // `openai/responses/gpt-5` is asked by OpenAI's other API.
        let responses = rest.strip_prefix("responses/").filter(|_| row.kind() == Some(ProviderKind::OpenAi));
        let asked = responses.is_some() || entry.mode() == Some("responses");
        let (key, responses, model) = (row.key_variable.clone(), asked, responses.unwrap_or(rest).to_owned());
        let elsewhere = row.litellm_elsewhere.as_deref().filter(|_| self.is_elsewhere(entry, &row));
        let row = elsewhere.and_then(|name| self.catalog.find(name)).unwrap_or(&row).clone();
        Some(Known { row, key, model, responses })
    }

    /// Whether an entry's address is another than its provider's own.
    fn is_elsewhere(&self, entry: &Entry<'_>, row: &Row) -> bool {
        let Some(said) = entry.base() else { return false };
        let said = said.strip_prefix(ENVIRON).map_or(Some(said), |name| self.environment.get(name));
        let host = |url: &str| url.parse::<http::Uri>().ok()?.host().map(str::to_ascii_lowercase);
        match (said.and_then(host), row.base_url.as_deref().and_then(host)) {
            (Some(said), Some(own)) => said != own && !said.ends_with(&format!(".{own}")),
            _ => true,
        }
    }

    /// An entry for any model of anybody: those whose keys are in the environment.
    pub(super) fn everybody(&mut self, entry: &Entry<'_>, name: &str, settings: &Settings) {
        for key in entry.params.keys().filter(|key| *key != "model") {
            self.note(
                &format!("{}/litellm_params/{key}", entry.at),
                "this parameter is not carried over: whose it is the entry does not say",
            );
        }
        let is_set = |row: &&Row| row.key_variable.as_deref().is_some_and(|key| self.environment.get(key).is_some());
        let has_base = |row: &&Row| usual_base(row, self.environment).is_ok();
        let rows: Vec<Row> =
            self.catalog.rows().filter(|row| row.kind().is_some()).filter(is_set).filter(has_base).cloned().collect();
        if name != "*" || rows.is_empty() {
            self.note(
                &entry.at,
                "this entry is not carried over: the model `*` is that of the name `*`, of those whose key's variable is set",
            );
        }
        for row in rows.into_iter().filter(|_| name == "*") {
            // An entry for one of them alone is closer.
            let mut prefixes = row.litellm.clone();
            prefixes.retain(|prefix| !self.groups.iter().any(|group| group.name == format!("{prefix}/*")));
            if prefixes.is_empty() {
                continue;
            }
            let known = Known { key: row.key_variable.clone(), row, model: "*".to_owned(), responses: false };
            let empty = Entry { at: entry.at.clone(), params: &Map::new(), info: None };
            let section = self.section(&empty, &known, settings);
            let provider = self.provider(&empty, &known.row, section);
            for prefix in prefixes {
                let deployed = Deployed { leg: format!("{provider}/*"), shares: [0.0; 3] };
                self.join(&format!("{prefix}/*"), format!("{}/model_name", entry.at), deployed);
            }
        }
    }
}
