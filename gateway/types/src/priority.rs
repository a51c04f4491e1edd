//! How urgent a request is, as operators and clients say it.
//!
//! Apart because the engine obeys it and the gateway grants it, also in a build without the engine. It must not know how it is obeyed.

use std::str::FromStr;

/// The less comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Before others.
    High,
    /// As most.
    #[default]
    Normal,
    /// When others leave room.
    Low,
}

impl Priority {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// vLLM's numbers: a lower one is handled earlier, and 0 is the default.
    pub const fn of(number: i64) -> Self {
        match number {
            i64::MIN..0 => Self::High,
            0 => Self::Normal,
            1.. => Self::Low,
        }
    }
}

impl FromStr for Priority {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|priority| priority.as_str() == text);
        found.ok_or_else(|| format!("unknown priority `{text}`; use low, normal or high"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_read_from_words_and_numbers() {
        assert_eq!(Priority::ALL.map(|p| p.as_str().parse()), Priority::ALL.map(Ok));
        assert!("urgent".parse::<Priority>().unwrap_err().contains("urgent"));
        assert_eq!([-5, 0, 7].map(Priority::of), Priority::ALL);
    }
}
