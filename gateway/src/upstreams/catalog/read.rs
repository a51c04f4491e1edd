//! The text of a catalog to its rows: TOML, prices as decimal texts.
//!
//! Apart because it is the only file that knows how a row is written. It must not know which rows there are.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::quirks::Quirks;
use super::{Auth, ModelRow, Row, Rules, Sourced};
use crate::money::{Nanos, Price, Rates};

/// Names of abilities that a row may give.
const ABILITIES: [&str; 4] = ["tools", "vision", "reasoning", "schema"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowText {
    base_url: Option<String>,
    #[serde(default = "openai")]
    dialect: String,
    #[serde(default = "usual")]
    auth: String,
    key: Option<String>,
    #[serde(default)]
    quirks: Quirks,
    #[serde(default)]
    models: BTreeMap<String, ModelText>,
    /// Where the prices stand, and on which day.
    prices: Option<Place>,
    #[serde(default)]
    rules: BTreeMap<String, RulesText>,
    #[serde(default)]
    litellm: Vec<String>,
    #[serde(default)]
    litellm_bare: Vec<String>,
    litellm_path: Option<String>,
    litellm_elsewhere: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesText {
    #[serde(default)]
    quirks: Quirks,
    #[serde(default)]
    models: BTreeMap<String, ModelText>,
    prices: Option<Place>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    source: String,
    read: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelText {
    context: Option<u64>,
    output: Option<u64>,
    #[serde(default)]
    can: Vec<String>,
    price: Option<RatesText>,
    long: Option<LongText>,
    prices: Option<Place>,
}

/// Dollars for a million tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RatesText {
    input: String,
    /// As `input` where the provider gives no discount.
    cached: Option<String>,
    /// As `input` where writing to the cache costs no more.
    written: Option<String>,
    /// As `written` where it costs no more to have it last.
    written_long: Option<String>,
    output: String,
}

impl RatesText {
    fn rates(&self) -> Result<Rates, String> {
        let amount = |text: Option<&String>| text.unwrap_or(&self.input).parse::<Nanos>();
        let (input, cached, written) = (amount(None)?, amount(self.cached.as_ref())?, amount(self.written.as_ref())?);
        let written_long = self.written_long.as_ref().map_or(Ok(written), |text| text.parse())?;
        Ok(Rates { input, cached, written, written_long, output: self.output.parse()? })
    }
}

/// Other rates, for prompts of more tokens than this.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LongText {
    above: u64,
    input: String,
    cached: Option<String>,
    written: Option<String>,
    written_long: Option<String>,
    output: String,
}

impl LongText {
    fn rates(self) -> Result<(u64, Rates), String> {
        let Self { above, input, cached, written, written_long, output } = self;
        Ok((above, RatesText { input, cached, written, written_long, output }.rates()?))
    }
}

fn openai() -> String {
    "openai".to_owned()
}

fn usual() -> String {
    "usual".to_owned()
}

/// Reads rows.
///
/// # Errors
/// What is wrong, and in which row.
pub(super) fn rows(text: &str) -> Result<BTreeMap<String, Row>, String> {
    let rows: BTreeMap<String, RowText> = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    rows.into_iter().map(|(name, text)| Ok((name.clone(), row(name, text)?))).collect()
}

fn row(name: String, text: RowText) -> Result<Row, String> {
    let wrong = |what: String| format!("`{name}`: {what}");
    if name.is_empty() || name.contains('/') {
        return Err(wrong("a provider's name cannot be empty or contain `/`".to_owned()));
    }
    let auth = match text.auth.as_str() {
        "usual" => Auth::Usual,
        header if header.parse::<http::HeaderName>().is_ok() => Auth::Header(header.to_ascii_lowercase()),
        other => return Err(wrong(format!("`auth` is `usual` or a header's name, not `{other}`"))),
    };
    let under = |quirks, models, place: Option<Place>| rules(quirks, models, place).map_err(&wrong);
    let present = under(text.quirks, text.models, text.prices)?;
    let others = text.rules.into_iter().map(|(of, text)| Ok((of, under(text.quirks, text.models, text.prices)?)));
    let others = others.collect::<Result<_, String>>()?;
    Ok(Row {
        base_url: text.base_url.map(|url| url.trim_end_matches('/').to_owned()),
        dialect: text.dialect,
        auth,
        key_variable: text.key,
        present,
        rules: others,
        litellm: text.litellm,
        litellm_bare: text.litellm_bare,
        litellm_path: text.litellm_path,
        litellm_elsewhere: text.litellm_elsewhere,
        name: name.clone(),
    })
}

fn rules(quirks: Quirks, models: BTreeMap<String, ModelText>, place: Option<Place>) -> Result<Rules, String> {
    let model = |(name, text): (String, ModelText)| {
        let model = model(text, place.as_ref()).map_err(|what| format!("model `{name}`: {what}"))?;
        Ok((name, model))
    };
    Ok(Rules { quirks, models: models.into_iter().map(model).collect::<Result<_, String>>()? })
}

fn model(text: ModelText, place: Option<&Place>) -> Result<ModelRow, String> {
    let ModelText { context, output, can, price, long, prices } = text;
    if let Some(odd) = can.iter().find(|word| !ABILITIES.contains(&word.as_str())) {
        return Err(format!("`can` knows {}, not `{odd}`", ABILITIES.join(", ")));
    }
    let long = long.map(LongText::rates).transpose()?;
    let price = match (price, prices.as_ref().or(place)) {
        (None, _) => None,
        (Some(_), None) => return Err("a price needs `prices = { source, read }`: who says so, and when".to_owned()),
        (Some(text), Some(place)) => {
            Some(Sourced { price: Price { rates: text.rates()?, long }, source: place.source.clone(), read: place.read.clone() })
        }
    };
    Ok(ModelRow { context, output, can, price })
}
