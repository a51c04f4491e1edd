//! The catalog as text for people: all providers, or the models of one.
//!
//! Apart because it is words. It must not know who asks, nor print a key.

use super::{ModelRow, Row, Rules};
use crate::money::{Nanos, Rates};

/// All providers, one a line. `is_set` says whether an environment variable is set.
pub fn providers<'a>(rows: impl Iterator<Item = &'a Row>, is_set: impl Fn(&str) -> bool) -> String {
    let mut lines = vec![["provider", "dialect", "key", "models", "base URL"].map(str::to_owned)];
    for row in rows {
        let key = row.key_variable.as_deref().map_or_else(
            || "-".to_owned(),
            |name| {
                let mark = if is_set(name) { " (set)" } else { "" };
                format!("{name}{mark}")
            },
        );
        let dialect = if row.kind().is_some() { row.dialect.clone() } else { format!("{} (not spoken here)", row.dialect) };
        let url = row.base_url.clone().unwrap_or_else(|| "yours: `base_url`".to_owned());
        lines.push([row.name.clone(), dialect, key, row.present.models.len().to_string(), url]);
    }
    columns(&lines)
}

/// The models of one provider under each of its rules, prices in dollars for a million tokens.
pub fn models(row: &Row) -> String {
    let mut text = String::new();
    let others = row.rules.iter().map(|(name, rules)| (Some(name), rules));
    for (name, rules) in [(None, &row.present)].into_iter().chain(others) {
        if let Some(name) = name {
            text.push_str(&format!("\nwith `rules: {name}`\n"));
        }
        text.push_str(&of_rules(rules));
    }
    text
}

fn of_rules(rules: &Rules) -> String {
    if rules.models.is_empty() {
        return "no models are listed; any name is passed through\n".to_owned();
    }
    let mut lines =
        vec![["model", "context", "input", "cached", "written", "written long", "output", "can", "source"].map(str::to_owned)];
    for (name, model) in &rules.models {
        lines.extend(of_model(name, model));
    }
    columns(&lines)
}

fn of_model(name: &str, model: &ModelRow) -> Vec<[String; 9]> {
    let context = model.context.map(|tokens| tokens.to_string()).unwrap_or_default();
    let can = model.can.join(", ");
    let Some(priced) = &model.price else {
        let none = String::new;
        return vec![[name.to_owned(), context, none(), none(), none(), none(), none(), can, "no price".to_owned()]];
    };
    let amounts = |rates: Rates| {
        let Rates { input, cached, written, written_long, output } = rates;
        [input, cached, written, written_long, output].map(|nanos: Nanos| nanos.to_string())
    };
    let source = format!("{}, {}", priced.source, priced.read);
    let [input, cached, written, lasting, output] = amounts(priced.price.rates);
    let mut lines = vec![[name.to_owned(), context, input, cached, written, lasting, output, can, source]];
    if let Some((above, rates)) = priced.price.long {
        let ([input, cached, written, lasting, output], none) = (amounts(rates), String::new);
        lines.push([format!("  above {above} tokens"), none(), input, cached, written, lasting, output, none(), none()]);
    }
    lines
}

/// Aligned to the left, two blanks between.
fn columns<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line.get(column).map_or(0, |cell| cell.chars().count())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
