//! What a deployment of LiteLLM's costs: what its entry says, or what the model costs that it says it is.
//!
//! Apart because it is about money. It must not know who is asked.

use serde_json::{Map, Value};

use super::Carrier;
use super::deployment::Entry;
use crate::money::a_token;

/// What a million tokens cost: their name for one token, ours for a million.
const COSTS: [(&str, &str); 5] = [
    ("input_cost_per_token", "input"),
    ("cache_read_input_token_cost", "cached"),
    ("cache_creation_input_token_cost", "written"),
    ("cache_creation_input_token_cost_above_1hr", "written_long"),
    ("output_cost_per_token", "output"),
];

/// Whether it is a price.
pub(super) fn is_cost(key: &str) -> bool {
    COSTS.iter().any(|(cost, _)| *cost == key)
}

impl Carrier<'_> {
    /// What the operator says that a model costs.
    pub(super) fn prices(&mut self, entry: &Entry<'_>, provider: &str, model: &str) {
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
        let vectors = entry.mode().is_some_and(|mode| matches!(mode, "embedding" | "moderation" | "moderations"));
        if vectors && amounts.contains_key("input") {
            amounts.entry("output").or_insert(0.into());
        }
        if amounts.is_empty() {
            amounts = self.base_prices(entry);
        }
        if model.contains('*') && !amounts.is_empty() {
            self.note(&entry.at, "prices of a model with `*` are not carried over");
        } else if amounts.contains_key("input") && amounts.contains_key("output") {
            if let Some(made) = self.providers.iter_mut().find(|made| made.name == provider) {
                made.prices.insert(model.to_owned(), Value::Object(amounts));
            }
        } else if !amounts.is_empty() {
            self.note(&entry.at, "a price needs both `input_cost_per_token` and `output_cost_per_token`");
        }
    }

    /// The prices of `base_model`: what a deployment of another name is.
    fn base_prices(&mut self, entry: &Entry<'_>) -> Map<String, Value> {
        let Some(base) = entry.info.and_then(|info| info.get("base_model")) else { return Map::new() };
        let base = base.as_str().unwrap_or_default();
        let (row, model) = match base.split_once('/') {
            Some((prefix, model)) => (self.catalog.of_litellm(prefix), model),
            None => (self.catalog.of_litellm_model(base), base),
        };
        let price = row.and_then(|row| Some(row.present.models.get(model)?.price.as_ref()?.price));
        let at = format!("{}/model_info/base_model", entry.at);
        let Some(price) = price else {
            self.note(&at, "nobody says what this model costs");
            return Map::new();
        };
        if price.long.is_some() {
            self.note(&at, "it has other prices for long prompts, which are not carried over");
        }
        let rates = price.rates;
        let amounts = [
            ("input", rates.input),
            ("cached", rates.cached),
            ("written", rates.written),
            ("written_long", rates.written_long),
            ("output", rates.output),
        ];
        let number = |nanos: crate::money::Nanos| serde_json::from_str::<Value>(&nanos.to_string()).ok();
        amounts.into_iter().filter_map(|(name, nanos)| Some((name.to_owned(), number(nanos)?))).collect()
    }
}
