//! The process's environment, read once at the start: variables, working folder, terminals.
//!
//! Apart because this is the only file that may read it; everything else is given an [`Environment`]. It must not know what a
//! variable is for, beyond the gateway's own handful.

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// A snapshot of the environment.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    folder: PathBuf,
    terminal: bool,
    asks: bool,
    cores: usize,
}

impl fmt::Debug for Environment {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("variables", &self.variables.keys()).field("folder", &self.folder).finish()
    }
}

impl Environment {
    /// Reads the process's environment. Variables that are not Unicode are left out.
    pub fn read() -> Self {
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
        Self {
            variables,
            folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            terminal: std::io::stdout().is_terminal(),
            asks: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// An environment of these variables alone, in this working folder, with no terminal: for tests.
    pub fn of(variables: &[(&str, &str)], folder: impl Into<PathBuf>) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { variables, folder: folder.into(), terminal: false, asks: false, cores: 1 }
    }

    /// A variable's value; `None` when it is not set or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Names of the variables that are set and not empty, for hints.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name.as_str())
    }

    /// The working folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where data goes unless the configuration or `--data` says otherwise: `$GATEWRIGHT_DATA`, `$XDG_DATA_HOME/gatewright`,
    /// `~/.local/share/gatewright`, or `gatewright-data` in the working folder when there is no home.
    pub fn data_folder(&self) -> PathBuf {
        if let Some(folder) = self.get("GATEWRIGHT_DATA") {
            return self.folder.join(folder);
        }
        let absolute = |name| self.get(name).map(Path::new).filter(|path| path.is_absolute());
        match (absolute("XDG_DATA_HOME"), absolute("HOME")) {
            (Some(data), _) => data.join("gatewright"),
            (None, Some(home)) => home.join(".local/share/gatewright"),
            (None, None) => self.folder.join("gatewright-data"),
        }
    }

    /// Whether somebody can be asked: standard input and standard error are a terminal.
    pub fn asks(&self) -> bool {
        self.asks
    }

    /// What to log, in the form `info,gatewright::upstreams=debug`: `$GATEWRIGHT_LOG`, else `info`.
    pub fn log_filter(&self) -> &str {
        self.get("GATEWRIGHT_LOG").unwrap_or("info")
    }

    /// What to print on standard output with.
    pub fn ink(&self) -> Ink {
        match self.terminal && self.get("NO_COLOR").is_none() && self.get("TERM") != Some("dumb") {
            true => Ink::Coloured,
            false => Ink::Plain,
        }
    }

    /// The proxies for upstreams: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, or the same in small letters. None where
    /// `REQUEST_METHOD` is set: there a client's `Proxy` header would come as `HTTP_PROXY`.
    pub fn proxies(&self) -> Proxies {
        if self.variables.contains_key("REQUEST_METHOD") {
            return Proxies::default();
        }
        let either = |large: &str, small: &str| {
            let set = self.variables.get(large).or_else(|| self.variables.get(small));
            set.cloned().unwrap_or_default()
        };
        Proxies {
            all: either("ALL_PROXY", "all_proxy"),
            http: either("HTTP_PROXY", "http_proxy"),
            https: either("HTTPS_PROXY", "https_proxy"),
            no: either("NO_PROXY", "no_proxy"),
        }
    }

    /// Worker threads unless `--threads` says otherwise: `$GATEWRIGHT_THREADS`, else the cores this process may use.
    pub fn threads(&self) -> usize {
        self.get("GATEWRIGHT_THREADS").and_then(|text| text.parse().ok()).filter(|n| *n > 0).unwrap_or(self.cores.max(1))
    }
}

/// The proxies that the usual variables name, as they are written; empty where they name none.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For every address.
    pub all: String,
    /// For `http://` addresses, before `all`.
    pub http: String,
    /// For `https://` addresses, before `all`.
    pub https: String,
    /// Hosts that are reached straight.
    pub no: String,
}

impl fmt::Debug for Proxies {
    /// Not their text: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxies")
    }
}

/// Whether text for people has colours: only on a terminal that has them, and never with `NO_COLOR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// No escape sequences.
    Plain,
    /// With them.
    Coloured,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_folder_follows_the_habits_of_the_system() {
        let folder = |variables: &[(&str, &str)]| Environment::of(variables, "/w").data_folder();
        assert_eq!(folder(&[("HOME", "/h")]), Path::new("/h/.local/share/gatewright"));
        assert_eq!(folder(&[("HOME", "/h"), ("XDG_DATA_HOME", "/x")]), Path::new("/x/gatewright"));
        assert_eq!(folder(&[("HOME", "/h"), ("XDG_DATA_HOME", "relative")]), Path::new("/h/.local/share/gatewright"));
        assert_eq!(folder(&[("HOME", "/h"), ("GATEWRIGHT_DATA", "d")]), Path::new("/w/d"));
        assert_eq!(folder(&[]), Path::new("/w/gatewright-data"));
    }

    #[test]
    fn proxies_are_those_of_the_usual_variables() {
        let variables = [("HTTPS_PROXY", "http://u:pass@p"), ("https_proxy", "http://other"), ("no_proxy", "inside")];
        let proxies = Environment::of(&variables, "/w").proxies();
        assert_eq!((proxies.https.as_str(), proxies.no.as_str(), proxies.all.as_str()), ("http://u:pass@p", "inside", ""));
        assert!(!format!("{proxies:?}").contains("pass"));
        let cgi = Environment::of(&[("HTTPS_PROXY", "http://p"), ("REQUEST_METHOD", "GET")], "/w");
        assert!(cgi.proxies().https.is_empty());
    }

    #[test]
    fn values_are_not_printed() {
        let environment = Environment::of(&[("OPENAI_API_KEY", "sk-secret"), ("EMPTY", "")], "/w");
        assert!(!format!("{environment:?}").contains("sk-secret"));
        assert_eq!(environment.get("EMPTY"), None);
        assert_eq!(environment.names().collect::<Vec<_>>(), ["OPENAI_API_KEY"]);
    }
}
