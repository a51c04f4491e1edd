//! `gatewright providers`: the catalog, as far as the operator's own file extends it, as a table.
//!
//! Apart because it shows data and serves nothing. It must not show a key, only whether its variable is set.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::run::{FAILED, MISTAKEN, Outcome, print};
use crate::environment::Environment;
use crate::serve::{Configuration, Overrides, Source};
use crate::upstreams::catalog::{self, Catalog};

/// More than the configuration takes of a catalog, so that it is the one to complain.
const MAX_BYTES: u64 = 2 << 20;

/// Shows all providers, or the models of one.
pub(super) fn show(name: Option<&str>, source: Source, environment: &Environment) -> Outcome {
    let packed = Catalog::packed().map_err(|wrong| (FAILED, vec![format!("gatewright: {wrong}")]))?;
    let configuration = Configuration { source, overrides: Overrides::default(), environment: environment.clone() };
    let facts = configuration.facts().map_err(|problems| (MISTAKEN, problems))?;
    let catalog = match &facts.catalog {
        Some(path) => packed.with(&text_of(path)?).map_err(|wrong| (MISTAKEN, vec![format!("{}: {wrong}", path.display())]))?,
        None => packed,
    };
    let Some(name) = name else {
        return print(&catalog::providers(catalog.rows(), |variable| environment.get(variable).is_some()));
    };
    match catalog.find(name) {
        Some(row) => print(&catalog::models(row)),
        None => Err((MISTAKEN, vec![format!("gatewright: no provider is known as `{name}`; `gatewright providers` lists them")])),
    }
}

fn text_of(path: &Path) -> Result<String, super::run::Failure> {
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text)) {
        Ok(_) => Ok(text),
        Err(error) => Err((FAILED, vec![format!("gatewright: cannot read {}: {error}", path.display())])),
    }
}
