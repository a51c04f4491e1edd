//! Providers that are known by name: where they are, how they are asked, what their models can and cost. Rows of `catalog.toml`, and
//! of a file of the operator's.
//!
//! Apart because it is data: a new provider of a known dialect is a row there, and nothing here. It must not read the environment;
//! whoever does asks it for the names.

mod read;
mod table;

use std::collections::BTreeMap;

use crate::config::facts::ProviderKind;
use crate::money::Price;

use super::quirks::Quirks;
pub use table::{models, providers};

/// The rows that are in the binary.
const PACKED: &str = include_str!("catalog.toml");

/// How a key is presented.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// As the dialect has it: `Authorization: Bearer KEY`, or `x-api-key: KEY` where Messages are spoken.
    #[default]
    Usual,
    /// The key alone in a header of this name.
    Header(String),
}

/// One known provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Name: the part before the slash in `provider/model`.
    pub name: String,
    /// Base URL, ending before the path of one call; `${VARIABLE}` is filled in. `None` where each operator has another.
    pub base_url: Option<String>,
    /// What it speaks, by its word. A word that this gateway does not know stays: whoever asks for the row is told.
    pub dialect: String,
    /// How the key is presented.
    pub auth: Auth,
    /// Environment variable that holds the key; set, it adds the provider.
    pub key_variable: Option<String>,
    /// In what it departs from its dialect, and what its models cost, at present.
    pub present: Rules,
    /// The same under other rules, by name: of another time, or of another server of the same API.
    pub rules: BTreeMap<String, Rules>,
    /// What LiteLLM calls it: the prefixes of its models.
    pub litellm: Vec<String>,
    /// How names of its models begin that LiteLLM takes without a prefix.
    pub litellm_bare: Vec<String>,
    /// Row that counts where LiteLLM's configuration gives another address than this one's: its prefix is then that of an API.
    pub litellm_elsewhere: Option<String>,
    /// The path that LiteLLM adds to a base URL by itself.
    pub litellm_path: Option<String>,
}

/// What holds of a provider for as long as its rules do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// In what it departs from its dialect.
    pub quirks: Quirks,
    /// Models that are known; others are passed through.
    pub models: BTreeMap<String, ModelRow>,
}

/// A known model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRow {
    /// Tokens that it reads at most.
    pub context: Option<u64>,
    /// Tokens that it writes at most.
    pub output: Option<u64>,
    /// What it can: `tools`, `vision`, `reasoning`, `schema`.
    pub can: Vec<String>,
    /// What it costs, and who says so.
    pub price: Option<Sourced>,
}

/// A price, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sourced {
    /// What it costs.
    pub price: Price,
    /// The page that says so.
    pub source: String,
    /// The day on which it said so.
    pub read: String,
}

impl Row {
    /// What it speaks, where this gateway speaks it.
    pub fn kind(&self) -> Option<ProviderKind> {
        ProviderKind::of(&self.dialect)
    }

    /// The rules of that name; without one, those of the present.
    pub fn under(&self, rules: Option<&str>) -> Option<&Rules> {
        match rules {
            None => Some(&self.present),
            Some(name) => self.rules.get(name),
        }
    }

    /// The environment variable that says another base URL: it stands beside the key's.
    pub fn base_variable(&self) -> Option<String> {
        self.key_variable.as_deref().map(|key| format!("{}_BASE_URL", key.trim_end_matches("_API_KEY")))
    }
}

impl Rules {
    /// What its models cost, as far as that is known.
    pub fn prices(&self) -> BTreeMap<String, Price> {
        let priced = |(name, model): (&String, &ModelRow)| Some((name.clone(), model.price.as_ref()?.price));
        self.models.iter().filter_map(priced).collect()
    }
}

/// All known providers, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog(BTreeMap<String, Row>);

impl Catalog {
    /// The rows that are in the binary.
    ///
    /// # Errors
    /// What is wrong with them: a build with a wrong row does not pass its tests.
    pub fn packed() -> Result<Self, String> {
        read::rows(PACKED).map(Self).map_err(|wrong| format!("the catalog in this binary: {wrong}"))
    }

    /// The same with the rows of a text; one of a known name takes that one's place.
    ///
    /// # Errors
    /// What is wrong with the text, with line and column where it is its form.
    pub fn with(mut self, text: &str) -> Result<Self, String> {
        self.0.append(&mut read::rows(text)?);
        Ok(self)
    }

    /// The known provider of that name.
    pub fn find(&self, name: &str) -> Option<&Row> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.0.values()
    }

    /// The one that LiteLLM means by a model's prefix.
    pub fn of_litellm(&self, prefix: &str) -> Option<&Row> {
        self.rows().find(|row| row.litellm.iter().any(|known| known == prefix))
    }

    /// The one that LiteLLM means by a model's name without a prefix.
    pub fn of_litellm_model(&self, model: &str) -> Option<&Row> {
        self.rows().find(|row| row.litellm_bare.iter().any(|start| model.starts_with(start.as_str())))
    }
}

#[cfg(test)]
mod tests;
