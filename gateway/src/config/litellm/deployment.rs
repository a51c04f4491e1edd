//! One entry of LiteLLM's model list: a leg, and the provider that it is of.
//!
//! Apart because it is where its names of providers meet the catalog's. It must not know the router's settings but to pass them on.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::super::yaml::escape;
use super::settings::{Settings, seconds};
use super::{Carrier, Deployed, ENVIRON, Group, Made, text_of};
use crate::money::a_token;
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
/// What a million tokens cost: their name for one token, ours for a million.
const COSTS: [(&str, &str); 5] = [
    ("input_cost_per_token", "input"),
    ("cache_read_input_token_cost", "cached"),
    ("cache_creation_input_token_cost", "written"),
    ("cache_creation_input_token_cost_above_1hr", "written_long"),
    ("output_cost_per_token", "output"),
];

/// Where a deployment stands, and what it says.
struct Entry<'a> {
    at: String,
    params: &'a Map<String, Value>,
    info: Option<&'a Map<String, Value>>,
}

impl Entry<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.params.get(key).and_then(Value::as_str)
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
        if let Some(mode) = info.and_then(|info| info.get("mode")).and_then(Value::as_str).filter(|mode| *mode != "chat") {
            self.note(&entry.at, format!("`{name}` is not carried over: only chat is served, not `{mode}`"));
            return;
        }
        let Some((row, model)) = self.known(&entry) else { return };
        self.told(&entry, value);
        let section = self.section(&entry, &row, settings);
        let provider = self.provider(&entry, &row, section);
        self.prices(&entry, &provider, &model);
        self.opens(&provider, &model);
        if name.contains('*') || model.contains('*') {
            self.any_model(&entry, name, &provider);
            return;
        }
        let weight = ["weight", "rpm", "tpm"].iter().find_map(|key| entry.params.get(*key)).or_else(|| value.get("rpm"));
        let deployed = Deployed { leg: format!("{provider}/{model}"), weight: weight.and_then(Value::as_u64) };
        self.join(name, format!("{}/model_name", entry.at), deployed);
    }

    /// The row of the catalog that is meant, and the model's own name.
    fn known(&mut self, entry: &Entry<'_>) -> Option<(Row, String)> {
        let at = format!("{}/litellm_params", entry.at);
        let Some(model) = entry.text("model") else {
            self.note(&at, "an entry without `model` is not carried over");
            return None;
        };
        let (prefix, rest) = match (entry.text("custom_llm_provider"), model.split_once('/')) {
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
        Some((row, rest.to_owned()))
    }

    /// Tells of what an entry says that counts for nothing here.
    fn told(&mut self, entry: &Entry<'_>, value: &Value) {
        let costs = |key: &str| COSTS.iter().any(|(cost, _)| *cost == key);
        for key in entry.params.keys().filter(|key| !KNOWN.contains(&key.as_str()) && !costs(key)) {
            self.note(&format!("{}/litellm_params/{}", entry.at, escape(key)), "this parameter is not carried over");
        }
        for key in entry.info.into_iter().flat_map(Map::keys).filter(|key| !costs(key) && *key != "mode") {
            self.note(&format!("{}/model_info/{}", entry.at, escape(key)), "this is not carried over");
        }
        for (within, params) in [("litellm_params/", Some(entry.params)), ("", value.as_object())] {
            for key in ["rpm", "tpm"].iter().filter(|key| params.is_some_and(|params| params.contains_key(**key))) {
                self.note(&format!("{}/{within}{key}", entry.at), "counts as a share among the legs, not as a limit");
            }
        }
        if entry.params.contains_key("api_version") {
            self.note(
                &format!("{}/litellm_params/api_version", entry.at),
                "the API is asked by its path `/openai/v1`, which has no versions",
            );
        }
    }

    /// A provider's section: what the entry says, and the settings where it says nothing.
    fn section(&mut self, entry: &Entry<'_>, row: &Row, settings: &Settings) -> Map<String, Value> {
        let mut section = Map::new();
        let base = self.text(entry, "api_base").or_else(|| self.text(entry, "base_url"));
        section.extend(base.map(|base| ("base_url".to_owned(), base_of(base, row).into())));
        section.extend(self.key(entry, row).map(|key| ("api_key".to_owned(), key.into())));
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
    fn key(&mut self, entry: &Entry<'_>, row: &Row) -> Option<String> {
        if let Some(key) = self.text(entry, "api_key") {
            return Some(text_of(key));
        }
        let other = ["api_base", "base_url"].iter().any(|key| entry.text(key).is_some());
        let variable = row.key_variable.as_deref().filter(|name| other && self.environment.get(name).is_some())?;
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
    fn provider(&mut self, entry: &Entry<'_>, row: &Row, mut section: Map<String, Value>) -> String {
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

    /// A provider is asked for the models that are listed, and for any only where an entry has `*` for one.
    fn opens(&mut self, provider: &str, model: &str) {
        let Some(made) = self.providers.iter_mut().find(|made| made.name == provider) else { return };
        match model.contains('*') {
            true => made.any_model = true,
            false => drop(made.models.insert(model.to_owned())),
        }
    }

    /// What the operator says that a model costs.
    fn prices(&mut self, entry: &Entry<'_>, provider: &str, model: &str) {
        let mut amounts = Map::new();
        for (their, our) in COSTS {
            let places = [("litellm_params", Some(entry.params)), ("model_info", entry.info)];
            let found = places.iter().find_map(|(place, of)| Some((*place, of.and_then(|of| of.get(their))?)));
            let Some((place, value)) = found else { continue };
            let decimal = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let number = a_token(&decimal).ok().and_then(|nanos| serde_json::from_str::<Value>(&nanos.to_string()).ok());
            match number {
                Some(number) => drop(amounts.insert(our.to_owned(), number)),
                None => self.note(&format!("{}/{place}/{their}", entry.at), "this is no price that can be counted with"),
            }
        }
        if amounts.contains_key("input") && amounts.contains_key("output") {
            if let Some(made) = self.providers.iter_mut().find(|made| made.name == provider) {
                made.prices.insert(model.to_owned(), Value::Object(amounts));
            }
        } else if !amounts.is_empty() {
            self.note(&entry.at, "a price needs both `input_cost_per_token` and `output_cost_per_token`");
        }
    }

    /// An entry for any model: our providers pass any on, by `provider/model`.
    fn any_model(&mut self, entry: &Entry<'_>, name: &str, provider: &str) {
        if name != format!("{provider}/*") {
            let message = format!("names like `{name}` are not passed on; clients ask for `{provider}/MODEL`");
            self.note(&format!("{}/model_name", entry.at), message);
        }
    }

    /// Puts a leg into its group. One that is there already has a larger share.
    fn join(&mut self, name: &str, pointer: String, deployed: Deployed) {
        let Some(group) = self.groups.iter_mut().find(|group| group.name == name) else {
            self.groups.push(Group { name: name.to_owned(), pointer, deployed: vec![deployed] });
            return;
        };
        match group.deployed.iter_mut().find(|known| known.leg == deployed.leg) {
            Some(known) => known.weight = known.weight.zip(deployed.weight).map(|(a, b)| a.saturating_add(b)),
            None => group.deployed.push(deployed),
        }
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
