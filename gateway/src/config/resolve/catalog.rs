//! The catalog as a file extends it: the operator's rows, what tokens cost, the model that costs are compared with.
//!
//! Apart because it is about what others' models are and cost. It must not know how a provider is asked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use serde_json::Number;

use super::super::complaint::nearest;
use super::super::facts::ReferenceFact;
use super::super::raw::{Amounts, Provider, Root};
use super::super::yaml::escape;
use super::Resolver;
use super::routes::Providers;
use crate::money::{Nanos, Price, Rates};
use crate::upstreams::catalog::{Catalog, Row, Rules};

/// Bytes of the operator's catalog.
const MAX_CATALOG: u64 = 1 << 20;

impl Resolver<'_> {
    /// Reads the catalog; where the operator's own file is.
    pub(super) fn read_catalog(&mut self, root: &Root) -> Option<PathBuf> {
        match Catalog::packed() {
            Ok(packed) => self.catalog = packed,
            Err(wrong) => self.complain("", wrong, None),
        }
        let path = self.path("/catalog", root.catalog.as_deref()?);
        let mut text = String::new();
        match File::open(&path).and_then(|file| file.take(MAX_CATALOG + 1).read_to_string(&mut text)) {
            Err(error) => self.complain("/catalog", format!("cannot read {}: {error}", path.display()), None),
            Ok(bytes) if bytes as u64 > MAX_CATALOG => {
                self.complain("/catalog", format!("{} is larger than {MAX_CATALOG} bytes", path.display()), None);
            }
            Ok(_) => match std::mem::take(&mut self.catalog).with(&text) {
                Ok(catalog) => self.catalog = catalog,
                Err(wrong) => self.complain("/catalog", format!("{}: {wrong}", path.display()), None),
            },
        }
        Some(path)
    }

    /// The row that a provider's section goes by, and its rules.
    pub(super) fn row(&mut self, at: &str, name: &str, raw: &Provider) -> Option<(Row, Rules)> {
        let wanted = raw.row.as_deref().unwrap_or(name);
        let Some(row) = self.catalog.find(wanted).cloned() else {
            if let Some(wanted) = &raw.row {
                let hint = nearest(wanted, self.catalog.rows().map(|row| row.name.as_str()));
                self.complain(&format!("{at}/row"), format!("the catalog has no row `{wanted}`"), hint);
            } else if raw.rules.is_some() {
                self.complain(&format!("{at}/rules"), "only a row of the catalog has rules", Some("give `row`".to_owned()));
            }
            return None;
        };
        if row.kind().is_none() && raw.dialect.is_none() {
            let message = format!("`{}` speaks `{}`, which this gateway does not", row.name, row.dialect);
            self.complain_key(at, message, None);
        }
        let rules = row.under(raw.rules.as_deref()).cloned().unwrap_or_else(|| {
            let hint = nearest(raw.rules.as_deref().unwrap_or_default(), row.rules.keys().map(String::as_str));
            self.complain(&format!("{at}/rules"), format!("the row `{}` has no such rules", row.name), hint);
            row.present.clone()
        });
        Some((row, rules))
    }

    /// What a provider's models cost: what its row says, and what the file says in its place.
    pub(super) fn prices(&mut self, at: &str, raw: &Provider, rules: Option<&Rules>) -> BTreeMap<String, Price> {
        let mut prices = rules.map(Rules::prices).unwrap_or_default();
        for (model, amounts) in &raw.prices {
            let rates = self.rates(&format!("{at}/prices/{}", escape(model)), amounts);
            prices.insert(model.clone(), Price::flat(rates));
        }
        prices
    }

    fn rates(&mut self, at: &str, raw: &Amounts) -> Rates {
        let input = self.amount(&format!("{at}/input"), &raw.input);
        let cached = raw.cached.as_ref().map_or(input, |number| self.amount(&format!("{at}/cached"), number));
        let written = raw.written.as_ref().map_or(input, |number| self.amount(&format!("{at}/written"), number));
        let written_long = raw.written_long.as_ref().map_or(written, |number| self.amount(&format!("{at}/written_long"), number));
        Rates { input, cached, written, written_long, output: self.amount(&format!("{at}/output"), &raw.output) }
    }

    /// An amount of dollars. A number of YAML prints as the shortest decimal that it is: what was written.
    fn amount(&mut self, pointer: &str, number: &Number) -> Nanos {
        number.to_string().parse().unwrap_or_else(|wrong: String| {
            self.complain(pointer, wrong, None);
            Nanos(0)
        })
    }

    /// The model that costs are compared with.
    pub(super) fn reference(&mut self, root: &Root, providers: &Providers) -> Option<ReferenceFact> {
        let name = root.reference_model.as_deref()?;
        let Some((provider, model)) = name.split_once('/') else {
            self.complain("/reference_model", format!("`{name}` is not `provider/model`"), None);
            return None;
        };
        let of_file = providers.get(provider).map(|provider| provider.prices.clone());
        let prices = of_file.or_else(|| self.catalog.find(provider).map(|row| row.present.prices())).unwrap_or_default();
        let Some(price) = prices.get(model) else {
            let hint =
                nearest(model, prices.keys().map(String::as_str)).or(Some(format!("give it in `providers.{provider}.prices`")));
            self.complain("/reference_model", format!("nobody says what `{name}` costs"), hint);
            return None;
        };
        Some(ReferenceFact { name: name.to_owned(), price: *price })
    }
}
