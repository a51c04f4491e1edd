//! What is wrong with a configuration: where, what, and what to do about it.
//!
//! Apart because every step of reading a configuration raises complaints and the command line words them. It must not know how
//! they are found.

use std::fmt;

/// A place in a file. Both count from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Where; `None` when it is about no place in the file (an unreadable file).
    pub mark: Option<Mark>,
    /// The key's path, `routes.fast.legs[0]`; empty for the file as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Complaint {
    /// A complaint about the file as a whole.
    pub fn of_file(message: impl Into<String>) -> Self {
        Self { mark: None, path: String::new(), message: message.into(), hint: None }
    }

    /// The same complaint with a hint.
    #[must_use]
    pub fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

impl fmt::Display for Complaint {
    /// `12:5: routes.fast.legs[0]: no provider is named `opnai`; did you mean `openai`?` Put the file's name and a colon before.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Mark { line, column }) = self.mark {
            write!(f, "{line}:{column}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// A hint for a name that is not known: the nearest one, or a list when there are few.
pub(crate) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const FEW: usize = 12;
    let known: Vec<&str> = known.into_iter().collect();
    let allowed = (wrong.chars().count() / 3).clamp(1, 3);
    let best = known.iter().map(|name| (distance(wrong, name), *name)).min();
    match best {
        Some((distance, name)) if distance <= allowed => Some(format!("did you mean `{name}`?")),
        Some(_) if known.len() <= FEW => Some(format!("known here: {}", known.join(", "))),
        _ => None,
    }
}

/// Edits (letters put in, left out, changed, or swapped with the next) without regard to case, and with `_` and `-` the same.
/// Bounded, as names come from a file.
fn distance(a: &str, b: &str) -> usize {
    const LONGEST: usize = 64;
    let plain =
        |text: &str| text.chars().take(LONGEST).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect::<String>();
    strsim::osa_distance(&plain(a), &plain(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_only_when_it_is_near() {
        assert_eq!(nearest("route", ["routes", "plugins"]).unwrap(), "did you mean `routes`?");
        assert_eq!(nearest("admin-listen", ["listen", "admin_listen"]).unwrap(), "did you mean `admin_listen`?");
        assert_eq!(nearest("xyz", ["routes", "plugins"]).unwrap(), "known here: routes, plugins");
        assert_eq!(nearest("xyz", []), None);
        assert_eq!(nearest("fsat", ["fast", "slow"]).unwrap(), "did you mean `fast`?");
    }
}
