//! The service `metrics`: what plugins count, for whoever scrapes the gateway.
//!
//! Apart because it is shared by all requests. It must not know how the figures are shown.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use crate::sync::Mutex;

/// Longest name, bytes.
pub(crate) const NAME_BYTES: usize = 64;
/// Most names of one plugin: each is a time series for as long as the process lives.
pub(crate) const MOST_NAMES: usize = 64;

/// Why something is not counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Uncounted {
    /// The name is not of the form that metrics have.
    #[error("a name has 1 to {NAME_BYTES} of a-z, 0-9 and _")]
    Name,
    /// The plugin has as many names as it may have.
    #[error("a plugin counts under at most {MOST_NAMES} names")]
    Names,
}

/// Counts by plugin and name.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<BTreeMap<Arc<str>, BTreeMap<String, u64>>>);

impl Counts {
    /// Adds to a count, which begins at 0 and stays at its largest when it would overflow.
    ///
    /// # Errors
    /// [`Uncounted`].
    pub(crate) fn add(&self, plugin: &Arc<str>, name: &str, by: u64) -> Result<(), Uncounted> {
        let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        if !(1..=NAME_BYTES).contains(&name.len()) || !name.bytes().all(fits) {
            return Err(Uncounted::Name);
        }
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let names = match counts.get_mut(plugin) {
            Some(names) => names,
            None => counts.entry(Arc::clone(plugin)).or_default(),
        };
        if let Some(count) = names.get_mut(name) {
            *count = count.saturating_add(by);
            return Ok(());
        }
        if names.len() >= MOST_NAMES {
            return Err(Uncounted::Names);
        }
        names.insert(name.to_owned(), by);
        Ok(())
    }

    /// All counts: plugin, name, count; sorted.
    pub(crate) fn all(&self) -> Vec<(Arc<str>, String, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_plugin = |(plugin, names): (&Arc<str>, &BTreeMap<String, u64>)| {
            names.iter().map(|(name, count)| (Arc::clone(plugin), name.clone(), *count)).collect::<Vec<_>>()
        };
        counts.iter().flat_map(of_plugin).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_and_names_are_bounded() {
        let (counts, plugin) = (Counts::default(), Arc::<str>::from("p"));
        counts.add(&plugin, "seen", 2).unwrap();
        counts.add(&plugin, "seen", u64::MAX).unwrap();
        assert_eq!(counts.all(), [(Arc::clone(&plugin), "seen".to_owned(), u64::MAX)]);
        for wrong in ["", "Seen", "a b", "a{b}", &"x".repeat(65)] {
            assert_eq!(counts.add(&plugin, wrong, 1), Err(Uncounted::Name), "{wrong}");
        }
        (1..MOST_NAMES).for_each(|n| counts.add(&plugin, &format!("n{n}"), 1).unwrap());
        assert_eq!(counts.add(&plugin, "more", 1), Err(Uncounted::Names));
        counts.add(&plugin, "seen", 1).unwrap();
        counts.add(&"q".into(), "more", 1).unwrap();
    }
}
