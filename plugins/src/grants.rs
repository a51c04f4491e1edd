//! Powers and limits by name, and the two keys for every power: the manifest asks AND the operator grants.
//!
//! Apart because manifests and operators name them alike. It must not know what a power does (`services`) or how a limit is kept (the
//! sandboxes).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::guest::{Grant, Limits};

/// Names of the limits, in manifests and in the operator's config.
pub(crate) const LIMITS: [&str; 5] = ["cpu_us", "cpu_us_per_kib", "wall_ms", "memory_bytes", "output_bytes"];

/// A power by its name.
///
/// # Errors
/// What is known instead.
pub(crate) fn parse(name: &str) -> Result<Grant, String> {
    Ok(match name {
        "log" => Grant::Log,
        "settings" => Grant::Settings,
        "store" => Grant::Store,
        "fetch" => Grant::Fetch,
        "model" => Grant::Model,
        "metrics" => Grant::Metrics,
        _ => return Err(format!("unknown grant `{name}`; known: log, settings, store, fetch, model, metrics")),
    })
}

/// The name of a power.
pub(crate) const fn name(grant: Grant) -> &'static str {
    match grant {
        Grant::Log => "log",
        Grant::Settings => "settings",
        Grant::Store => "store",
        Grant::Fetch => "fetch",
        Grant::Model => "model",
        Grant::Metrics => "metrics",
    }
}

/// What a plugin may do: what it asks for and is granted.
///
/// # Errors
/// When the operator names a power that does not exist.
pub(crate) fn both(asked: &BTreeSet<Grant>, granted: &[String]) -> Result<BTreeSet<Grant>, String> {
    let granted = granted.iter().map(|name| parse(name)).collect::<Result<BTreeSet<_>, _>>()?;
    Ok(asked.intersection(&granted).copied().collect())
}

/// A limit in the unit of its name.
pub(crate) fn limit(limits: &Limits, name: &str) -> Option<u64> {
    let value = match name {
        "cpu_us" => limits.cpu.as_micros(),
        "cpu_us_per_kib" => limits.cpu_per_kib.as_micros(),
        "wall_ms" => limits.wall.as_millis(),
        "memory_bytes" => limits.memory as u128,
        "output_bytes" => limits.output as u128,
        _ => return None,
    };
    u64::try_from(value).ok()
}

/// Sets a limit by its name.
///
/// # Errors
/// When the name is unknown or the number does not fit.
pub(crate) fn set_limit(limits: &mut Limits, name: &str, number: u64) -> Result<(), String> {
    let size = || usize::try_from(number).map_err(|_| format!("{name}: too large"));
    match name {
        "cpu_us" => limits.cpu = Duration::from_micros(number),
        "cpu_us_per_kib" => limits.cpu_per_kib = Duration::from_micros(number),
        "wall_ms" => limits.wall = Duration::from_millis(number),
        "memory_bytes" => limits.memory = size()?,
        "output_bytes" => limits.output = size()?,
        _ => return Err(format!("unknown limit `{name}`; known: {}", LIMITS.join(", "))),
    }
    Ok(())
}

/// Applies the operator's limits, which may lower or raise.
///
/// # Errors
/// As [`set_limit`]; a limit of 0 is refused.
pub(crate) fn operate(mut limits: Limits, changes: &BTreeMap<String, u64>) -> Result<Limits, String> {
    for (name, number) in changes {
        if *number == 0 {
            return Err(format!("{name}: at least 1"));
        }
        set_limit(&mut limits, name, *number)?;
    }
    Ok(limits)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_power_needs_both_keys() {
        let asked = BTreeSet::from([Grant::Log, Grant::Settings]);
        assert_eq!(both(&asked, &["settings".into(), "fetch".into()]), Ok(BTreeSet::from([Grant::Settings])));
        assert_eq!(both(&asked, &[]), Ok(BTreeSet::new()));
        assert!(both(&asked, &["root".into()]).is_err());
    }

    #[test]
    fn an_operator_may_raise_and_lower_each_limit() {
        for name in LIMITS {
            let changed = operate(Limits::default(), &BTreeMap::from([(name.to_owned(), 7)])).unwrap();
            assert_eq!(limit(&changed, name), Some(7));
        }
        assert!(operate(Limits::default(), &BTreeMap::from([("cpu".to_owned(), 7)])).is_err());
        assert!(operate(Limits::default(), &BTreeMap::from([("cpu_us".to_owned(), 0)])).is_err());
    }
}
