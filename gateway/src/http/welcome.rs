//! What a newcomer is told: the same few facts on the terminal at the start and on a plain page at `/`.
//!
//! Apart because it is made for eyes. It must not know secrets, and the page needs nothing from elsewhere.

use std::fmt::Write as _;
use std::net::SocketAddr;

use axum::response::{Html, IntoResponse};
use gatewright_plugins::Mode;
use http::{HeaderMap, HeaderValue, header};

use crate::config::facts::Facts;
use crate::environment::Ink;

/// The facts that a newcomer is told.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// `http://127.0.0.1:4000`, as it was bound.
    pub address: String,
    /// The same for the admin port.
    pub admin_address: String,
    /// Name to try first.
    model: Option<String>,
    /// What is served, line by line: title, text.
    lines: Vec<(&'static str, String)>,
    /// Whether a key is needed.
    keyed: bool,
}

impl Welcome {
    /// Gathers the facts; addresses are those that were bound.
    pub fn new(facts: &Facts, bound: (SocketAddr, SocketAddr)) -> Self {
        let names: Vec<&str> = facts.routes.keys().map(String::as_str).collect();
        let listed = facts.providers.values().find_map(|provider| Some(format!("{}/{}", provider.name, provider.models.first()?)));
        let demo = facts.routes.contains_key(crate::config::DEMO).then(|| crate::config::DEMO.to_owned());
        let mut lines = vec![("Models", if names.is_empty() { "none".to_owned() } else { names.join(", ") })];
        if !facts.providers.is_empty() {
            let providers = facts.providers.keys().map(|name| format!("{name}/...")).collect::<Vec<_>>();
            lines.push(("Providers", providers.join(", ")));
        }
        lines.push(("Policies", policies(facts)));
        lines.push(("Access", access(facts)));
        Self {
            address: url(bound.0),
            admin_address: url(bound.1),
            model: demo.or_else(|| names.iter().find(|name| !name.contains('*')).map(|name| (*name).to_owned())).or(listed),
            lines,
            keyed: !facts.keys.is_empty(),
        }
    }

    /// A line to paste into a shell.
    pub fn curl(&self) -> String {
        self.curl_of(self.model.as_deref())
    }

    fn curl_of(&self, model: Option<&str>) -> String {
        let key = if self.keyed { " -H \"authorization: Bearer $GATEWRIGHT_KEY\"" } else { "" };
        match model {
            Some(model) => format!(
                "curl {}/v1/chat/completions{key} -H 'content-type: application/json' -d '{{\"model\": {}, \"messages\": [{{\"role\": \"user\", \"content\": \"What is 47 + 85?\"}}]}}'",
                self.address,
                serde_json::Value::from(model)
            ),
            None => format!("curl {}/v1/models{key}", self.address),
        }
    }

    /// For the terminal.
    pub fn banner(&self, ink: Ink) -> String {
        let (bold, dim, plain) = match ink {
            Ink::Coloured => ("\u{1b}[1m", "\u{1b}[2m", "\u{1b}[0m"),
            Ink::Plain => ("", "", ""),
        };
        let mut text = format!("{bold}Gatewright {}{plain}\n", env!("CARGO_PKG_VERSION"));
        let addresses = [("Clients", &self.address), ("Admin", &self.admin_address)];
        let lines = addresses.into_iter().chain(self.lines.iter().map(|(title, line)| (*title, line)));
        for (title, line) in lines {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "  {dim}{title:<10}{plain}{line}");
        }
        let _ = writeln!(text, "\nTry it:\n  {}\n", self.curl());
        text
    }

    /// For a browser. Where keys are needed, whoever reaches the port may be a stranger: it then says only how to ask.
    pub fn page(&self) -> String {
        let mut lines = vec![("Clients", &self.address)];
        let (mut version, mut curl) = ("", self.curl_of(None));
        if !self.keyed {
            lines.push(("Admin", &self.admin_address));
            lines.extend(self.lines.iter().map(|(title, line)| (*title, line)));
            (version, curl) = (env!("CARGO_PKG_VERSION"), self.curl());
        }
        let rows: String = lines.iter().map(|(title, line)| format!("<dt>{title}</dt><dd>{}</dd>", escape(line))).collect();
        PAGE.replace("{version}", version).replace("{rows}", &rows).replace("{curl}", &escape(&curl))
    }

    /// The page as a response.
    pub fn response(&self) -> impl IntoResponse + use<> {
        let mut headers = HeaderMap::new();
        let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        (headers, Html(self.page()))
    }
}

fn url(address: SocketAddr) -> String {
    match address.ip().is_unspecified() {
        true => format!("http://localhost:{}", address.port()),
        false => format!("http://{address}"),
    }
}

fn policies(facts: &Facts) -> String {
    let global = facts.global_plugins.iter();
    let chain = global.chain(facts.default_plugins.iter().filter(|name| !facts.global_plugins.contains(name)));
    let chain = chain.filter_map(|name| facts.plugins.get(name));
    let told: Vec<String> = chain
        .filter_map(|plugin| match plugin.mode() {
            Mode::Enforce => Some(format!("{} (enforced)", plugin.name)),
            Mode::Shadow => Some(format!("{} (shadow: recorded, changes nothing)", plugin.name)),
            Mode::Off => None,
        })
        .collect();
    if told.is_empty() { "none by default".to_owned() } else { told.join(", ") }
}

fn access(facts: &Facts) -> String {
    match facts.keys.len() {
        0 => "no keys: this machine alone is served".to_owned(),
        1 => "with a key (1 known)".to_owned(),
        n => format!("with a key ({n} known)"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Gatewright</title>
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 16px/1.6 system-ui, sans-serif; max-width: 46rem; margin: 12vh auto 4rem; padding: 0 1.5rem; }
h1 { font-size: 1.7rem; margin: 0; letter-spacing: -.01em; }
h1 small { font-size: .9rem; font-weight: 400; opacity: .6; margin-left: .4rem; }
p { margin: .4rem 0 2rem; opacity: .8; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.5rem; margin: 0 0 2rem; padding: 1rem 0; border: solid var(--line); border-width: 1px 0; }
dt { opacity: .6; } dd { margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 0 0 .5rem; }
pre { background: var(--soft); border-radius: 8px; padding: 1rem; margin: 0; font: .85rem/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
</style>
</head>
<body>
<h1>Gatewright<small>{version}</small></h1>
<p>An LLM gateway: policies see, and may change, everything that the model is told, thinks, says and does, while it streams.</p>
<dl>{rows}</dl>
<h2>Try it</h2>
<pre>{curl}</pre>
</body>
</html>
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::facts::{LegFact, LegTarget, RouteFact};
    use crate::environment::Environment;

    fn welcome(route: &str) -> Welcome {
        let facts = facts(route);
        Welcome::new(&facts, (facts.listen, facts.admin_listen))
    }

    fn facts(route: &str) -> Facts {
        let mut facts = Facts::zero_config(&Environment::of(&[], "/w"));
        let leg = LegFact::new(LegTarget::Provider("p".to_owned()), "m");
        facts.routes = [(route.to_owned(), RouteFact::plain(route, vec![leg]))].into();
        facts
    }

    #[test]
    fn the_page_and_the_terminal_say_the_same() {
        let welcome = welcome("fast");
        let (banner, page) = (welcome.banner(Ink::Plain), welcome.page());
        for text in ["http://127.0.0.1:4000", "http://127.0.0.1:4001", "fast", "no keys"] {
            assert!(banner.contains(text) && page.contains(text), "{text}");
        }
        assert!(banner.contains("curl http://127.0.0.1:4000/v1/chat/completions"));
        assert!(!banner.contains('\u{1b}') && welcome.banner(Ink::Coloured).contains('\u{1b}'));
        assert!(!page.contains("src=") && !page.contains("href="), "nothing from elsewhere");
    }

    #[test]
    fn with_keys_a_stranger_is_told_how_to_ask_and_nothing_else() {
        let mut facts = facts("secret-route");
        let key = "keys:\n  k: {sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad}\n";
        facts.keys = crate::config::load(key, std::path::Path::new("/w"), &Environment::of(&[], "/w")).unwrap().keys;
        let welcome = Welcome::new(&facts, (facts.listen, facts.admin_listen));
        let page = welcome.page();
        assert!(page.contains("http://127.0.0.1:4000/v1/models") && page.contains("$GATEWRIGHT_KEY"));
        for hidden in ["secret-route", "4001", "known", "secrets", env!("CARGO_PKG_VERSION")] {
            assert!(!page.contains(hidden), "{hidden}");
        }
        assert!(welcome.banner(Ink::Plain).contains("secret-route"), "the operator is told all");
    }

    #[test]
    fn names_of_the_configuration_cannot_break_the_page() {
        let page = welcome("<script>\"&").page();
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"));
    }
}
