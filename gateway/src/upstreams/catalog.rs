//! Providers that are known by name: where they are, and which variable holds their key.
//!
//! Apart because it is data: a new provider of a known kind is a row here. It must not read the environment; whoever does asks it
//! for the names.

use crate::config::facts::ProviderKind;

/// One known provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Name: the part before the slash in `provider/model`.
    pub name: &'static str,
    /// What it speaks.
    pub kind: ProviderKind,
    /// Base URL, ending before the path of one call.
    pub base_url: &'static str,
    /// Environment variable that holds the key; set, it adds the provider.
    pub key_variable: &'static str,
    /// Models to list; others are passed through.
    pub models: &'static [&'static str],
}

/// All known providers, by name.
pub const ROWS: &[Row] = &[
    Row {
        name: "anthropic",
        kind: ProviderKind::Anthropic,
        base_url: "https://api.anthropic.com",
        key_variable: "ANTHROPIC_API_KEY",
        models: &["claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"],
    },
    Row {
        name: "deepseek",
        kind: ProviderKind::OpenAi,
        base_url: "https://api.deepseek.com/v1",
        key_variable: "DEEPSEEK_API_KEY",
        models: &["deepseek-chat", "deepseek-reasoner"],
    },
    Row {
        name: "openai",
        kind: ProviderKind::OpenAi,
        base_url: "https://api.openai.com/v1",
        key_variable: "OPENAI_API_KEY",
        models: &["gpt-4.1", "gpt-4.1-mini", "gpt-4o", "gpt-4o-mini", "o3", "o4-mini"],
    },
];

/// The known provider of that name.
pub fn find(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_order_and_their_urls_end_before_the_path() {
        assert!(ROWS.windows(2).all(|two| two[0].name < two[1].name));
        for row in ROWS {
            assert!(row.base_url.starts_with("https://") && !row.base_url.ends_with('/'), "{}", row.name);
            assert_eq!(find(row.name), Some(row));
        }
        assert_eq!(find("nobody"), None);
    }
}
