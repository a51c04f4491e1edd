//! One entry of LiteLLM's model list: a leg, and the provider that it is of.
//!
//! Apart because it is where its names of providers meet the catalog's. It must not know the router's settings but to pass them on.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::super::yaml::escape;
use super::prices::is_cost;
use super::settings::{Settings, seconds};
use super::whom::{Known, is_everybody};
use super::{Carrier, Deployed, ENVIRON, Made, SHARES, text_of};
use crate::config::facts::ProviderKind;
use crate::config::pattern::stars;
use crate::upstreams::catalog::Row;

/// Parameters of a deployment that are carried over; the rest is told.
const KNOWN: [&str; 16] = [
    "model",
    "custom_llm_provider",
    "api_base",
    "base_url",
    "api_key",
    "api_version",
    "organization",
    "extra_headers",
    "timeout",
    "stream_timeout",
    "max_retries",
    "num_retries",
    "drop_params",
    "weight",
    "rpm",
    "tpm",
];
/// What an entry is made of.
const ENTRY: [&str; 3] = ["model_name", "litellm_params", "model_info"];
/// What a model may be for.
const MODES: [&str; 6] = ["chat", "completion", "embedding", "moderation", "moderations", "responses"];

/// Where a deployment stands, and what it says.
pub(super) struct Entry<'a> {
    pub(super) at: String,
    pub(super) params: &'a Map<String, Value>,
    pub(super) info: Option<&'a Map<String, Value>>,
}

impl Entry<'_> {
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.params.get(key).and_then(Value::as_str)
    }

    /// The address that it says.
    pub(super) fn base(&self) -> Option<&str> {
        self.text("api_base").or_else(|| self.text("base_url"))
    }

    /// What it says that it is for.
    pub(super) fn mode(&self) -> Option<&str> {
        self.info.and_then(|info| info.get("mode")).and_then(Value::as_str)
    }
}

impl Carrier<'_> {
    pub(super) fn deployment(&mut self, index: usize, value: &Value, settings: &Settings) {
        let at = format!("/model_list/{index}");
        let (name, params) =
            (value.get("model_name").and_then(Value::as_str), value.get("litellm_params").and_then(Value::as_object));
        let (Some(name), Some(params)) = (name, params) else {
            self.note(&at, "an entry without `model_name` and `litellm_params` is not carried over");
            return;
        };
        let info = value.get("model_info").and_then(Value::as_object);
        let entry = Entry { at, params, info };
        let mode = entry.mode();
        if mode.is_some_and(|mode| !MODES.contains(&mode)) {
            let (mode, modes) = (mode.unwrap_or_default(), MODES.join(", "));
            self.note(&entry.at, format!("`{name}` is not carried over: of modes these are served: {modes}; not `{mode}`"));
            return;
        }
        if is_everybody(value) {
            self.everybody(&entry, name, settings);
            return;
        }
        let Some(known) = self.known(&entry) else { return };
        let wanted = stars(&known.model);
        if wanted > 0 && wanted != stars(name) {
            let message = format!(
                "this entry is not carried over: `*` stands {wanted} times in its model, and {} times in its name",
                stars(name)
            );
            self.note(&format!("{}/model_name", entry.at), message);
            return;
        }
        self.told(&entry, value);
        let section = self.section(&entry, &known, settings);
        let provider = self.provider(&entry, &known.row, section);
        self.prices(&entry, &provider, &known.model);
        self.opens(&provider, &known.model);
        let shares = SHARES.map(|figure| self.share(&entry, figure));
        let deployed = Deployed { leg: format!("{provider}/{}", known.model), shares };
        self.join(name, format!("{}/model_name", entry.at), deployed);
    }

    /// A figure that LiteLLM draws by.
    fn share(&mut self, entry: &Entry<'_>, figure: &str) -> f64 {
        let Some(value) = entry.params.get(figure).filter(|value| !value.is_null()) else { return 0.0 };
        value.as_f64().filter(|share| *share >= 0.0).unwrap_or_else(|| {
            self.not_carried(entry, figure);
            0.0
        })
    }

    /// Tells of what an entry says that counts for nothing here.
    fn told(&mut self, entry: &Entry<'_>, value: &Value) {
        for key in entry.params.keys().filter(|key| !KNOWN.contains(&key.as_str()) && !is_cost(key)) {
            self.note(&format!("{}/litellm_params/{}", entry.at, escape(key)), "this parameter is not carried over");
        }
        for key in entry
            .info
            .into_iter()
            .flat_map(Map::keys)
            .filter(|key| !is_cost(key) && !["mode", "base_model"].contains(&key.as_str()))
        {
            self.note(&format!("{}/model_info/{}", entry.at, escape(key)), "this is not carried over");
        }
        for key in value.as_object().into_iter().flat_map(Map::keys).filter(|key| !ENTRY.contains(&key.as_str())) {
            self.note(&format!("{}/{}", entry.at, escape(key)), "this is not carried over");
        }
        for key in ["rpm", "tpm"].iter().filter(|key| entry.params.contains_key(**key)) {
            self.note(
                &format!("{}/litellm_params/{key}", entry.at),
                "counts as a share among the legs where none has a `weight`, not as a limit",
            );
        }
        if entry.params.contains_key("api_version") {
            self.note(
                &format!("{}/litellm_params/api_version", entry.at),
                "the API is asked by its path `/openai/v1`, which has no versions",
            );
        }
    }

    /// A provider's section: what the entry says, and the settings where it says nothing.
    pub(super) fn section(&mut self, entry: &Entry<'_>, known: &Known, settings: &Settings) -> Map<String, Value> {
        let mut section = Map::new();
        let base = self.text(entry, "api_base").or_else(|| self.text(entry, "base_url"));
        section.extend(base.map(|base| ("base_url".to_owned(), base_of(base, &known.row).into())));
        section.extend(self.key(entry, known).map(|key| ("api_key".to_owned(), key.into())));
        if known.responses && known.row.kind() == Some(ProviderKind::OpenAi) {
            section.insert("dialect".to_owned(), ProviderKind::OpenAiResponses.as_str().into());
        }
        let headers = self.headers(entry);
        if !headers.is_empty() {
            section.insert("headers".to_owned(), Value::Object(headers));
        }
        let mut timeouts = Map::new();
        let (first, total) = (self.time(entry, "stream_timeout"), self.time(entry, "timeout").or_else(|| settings.timeout.clone()));
        timeouts.extend(first.map(|time| ("first_token".to_owned(), time.into())));
        timeouts.extend(total.map(|time| ("total".to_owned(), time.into())));
        if !timeouts.is_empty() {
            section.insert("timeouts".to_owned(), Value::Object(timeouts));
        }
        let own = ["max_retries", "num_retries"].iter().find_map(|key| Some((*key, entry.params.get(*key)?)));
        let own = own.and_then(|(key, value)| {
            let attempts = self.attempts(&format!("{}/litellm_params/{key}", entry.at), value);
            if attempts.is_none() && !value.is_null() {
                self.not_carried(entry, key);
            }
            attempts
        });
        section.extend(own.or(settings.attempts).map(|attempts| ("attempts".to_owned(), attempts.into())));
        let drops = entry.params.get("drop_params").map_or(settings.drop_params, |value| value == true);
        section.extend(drops.then(|| ("drop_params".to_owned(), true.into())));
        section
    }

    /// A parameter that is there but is not what can be carried over.
    fn not_carried(&mut self, entry: &Entry<'_>, key: &str) {
        self.note(&format!("{}/litellm_params/{key}", entry.at), "a value of this kind is not carried over");
    }

    /// A parameter that is a text.
    fn text<'e>(&mut self, entry: &'e Entry<'_>, key: &str) -> Option<&'e str> {
        let value = entry.params.get(key).filter(|value| !value.is_null())?;
        if !value.is_string() {
            self.not_carried(entry, key);
        }
        value.as_str()
    }

    /// A parameter that is a number of seconds.
    fn time(&mut self, entry: &Entry<'_>, key: &str) -> Option<String> {
        let value = entry.params.get(key).filter(|value| !value.is_null())?;
        let time = seconds(value);
        if time.is_none() {
            self.not_carried(entry, key);
        }
        time
    }

    /// The key. Where an entry with a base URL of its own says none, LiteLLM sends the one of the provider's variable.
    fn key(&mut self, entry: &Entry<'_>, known: &Known) -> Option<String> {
        if let Some(key) = self.text(entry, "api_key") {
            return Some(text_of(key));
        }
        let other = entry.base().is_some();
        let variable = known.key.as_deref().filter(|name| other && self.environment.get(name).is_some())?;
        Some(format!("${{{variable}}}"))
    }

    fn headers(&mut self, entry: &Entry<'_>) -> Map<String, Value> {
        let mut headers = Map::new();
        headers.extend(self.text(entry, "organization").map(|text| ("openai-organization".to_owned(), text_of(text).into())));
        let extra = entry.params.get("extra_headers").filter(|value| !value.is_null());
        if extra.is_some_and(|value| !value.is_object()) {
            self.not_carried(entry, "extra_headers");
        }
        for (name, value) in extra.and_then(Value::as_object).into_iter().flatten() {
            match value.as_str() {
                Some(text) => drop(headers.insert(name.clone(), text_of(text).into())),
                None => self.not_carried(entry, &format!("extra_headers/{}", escape(name))),
            }
        }
        headers
    }

    /// The name of the provider with these settings: one that is there, or a new one.
    pub(super) fn provider(&mut self, entry: &Entry<'_>, row: &Row, mut section: Map<String, Value>) -> String {
        let others = self
            .providers
            .iter()
            .filter(|made| made.name == row.name || made.settings.get("row") == Some(&row.name.clone().into()));
        let count = others.count();
        let same = |made: &&Made| {
            let mut settings = made.settings.clone();
            let of_row = settings.remove("row").map_or(made.name == row.name, |of| of == row.name.as_str());
            of_row && settings == section
        };
        if let Some(made) = self.providers.iter().find(same) {
            return made.name.clone();
        }
        let name = if count == 0 { row.name.clone() } else { format!("{}-{}", row.name, count + 1) };
        if name != row.name {
            section.insert("row".to_owned(), row.name.clone().into());
        }
        let (ours, theirs) = (format!("/providers/{}", escape(&name)), format!("{}/litellm_params", entry.at));
        self.place(ours.clone(), &theirs);
        for (key, their) in
            [("base_url", "api_base"), ("api_key", "api_key"), ("timeouts", "timeout"), ("headers", "extra_headers")]
        {
            self.place(format!("{ours}/{key}"), &format!("{theirs}/{their}"));
        }
        self.providers.push(Made {
            name: name.clone(),
            settings: section,
            prices: Map::new(),
            models: BTreeSet::new(),
            any_model: false,
        });
        name
    }

    /// A provider is asked for the models that are listed, and for others only by the routes that have `*` for them.
    pub(super) fn opens(&mut self, provider: &str, model: &str) {
        let made = self.providers.iter_mut().find(|made| made.name == provider);
        made.filter(|_| !model.contains('*')).map(|made| made.models.insert(model.to_owned()));
    }
}

/// A base URL of theirs as one of ours: with the path that LiteLLM adds by itself.
fn base_of(base: &str, row: &Row) -> String {
    let url = text_of(base);
    let (url, path) = (url.trim_end_matches('/'), row.litellm_path.as_deref().unwrap_or_default());
    match url.ends_with(path) || (!base.starts_with(ENVIRON) && url.contains("/openai/")) {
        true => url.to_owned(),
        false => format!("{url}{path}"),
    }
}
