//! Providers: base URLs, keys, headers, time limits.
//!
//! Apart because it is about other people's addresses. It must not know how they are asked.

use std::collections::BTreeMap;

use super::super::facts::{PassFact, ProviderFact, ProviderKind, Secret, Timeouts};
use super::super::raw::{Dialect, PassThrough, Provider, Root};
use super::super::yaml::escape;
use super::super::zero::usual_base;
use super::Resolver;
use crate::upstreams::catalog::Row;

impl Resolver<'_> {
    pub(super) fn providers(&mut self, root: &Root) -> BTreeMap<String, ProviderFact> {
        root.providers.iter().map(|(name, raw)| (name.clone(), self.provider(name, raw))).collect()
    }

    fn provider(&mut self, name: &str, raw: &Provider) -> ProviderFact {
        let at = format!("/providers/{}", escape(name));
        if name.is_empty() || name.contains('/') {
            self.complain_key(&at, "a provider's name cannot be empty or contain `/`", None);
        }
        let known = self.row(&at, name, raw);
        let (row, rules) = (known.as_ref().map(|(row, _)| row), known.as_ref().map(|(_, rules)| rules));
        let kind = match raw.dialect {
            Some(Dialect::Openai) => ProviderKind::OpenAi,
            Some(Dialect::OpenaiResponses) => ProviderKind::OpenAiResponses,
            Some(Dialect::Anthropic) => ProviderKind::Anthropic,
            None => row.and_then(Row::kind).unwrap_or(ProviderKind::OpenAi),
        };
        let quirks = rules.map(|rules| rules.quirks.clone()).unwrap_or_default();
        let quirks = if raw.drop_params { quirks.dropping() } else { quirks };
        ProviderFact {
            name: name.to_owned(),
            kind,
            base_url: self.base_url(&at, raw.base_url.as_deref(), row),
            api_key: self.api_key(&at, raw, row),
            auth: row.map(|row| row.auth.clone()).unwrap_or_default(),
            quirks,
            prices: self.prices(&at, raw, rules),
            headers: raw.headers.keys().map(|header| self.header(&at, header, raw)).collect(),
            any_model: raw.any_model.unwrap_or(raw.models.is_empty()),
            models: raw.models.clone(),
            timeouts: self.timeouts(&at, raw),
            local: raw.local,
            attempts: raw.attempts.unwrap_or(3),
            pass: raw.pass_through.as_ref().map(|raw| self.pass_through(&format!("{at}/pass_through"), raw)),
        }
    }

    fn pass_through(&mut self, at: &str, raw: &PassThrough) -> PassFact {
        let mut paths = Vec::new();
        for (index, path) in raw.paths.iter().enumerate() {
            let pointer = format!("{at}/paths/{index}");
            match path.strip_prefix("/v1/").filter(|rest| !rest.is_empty() && !rest.trim_end_matches('*').contains('*')) {
                Some(rest) => paths.push(rest.to_owned()),
                None => self.complain(&pointer, "a path begins with `/v1/`, and has `*` at its end only", None),
            }
        }
        if raw.paths.is_empty() {
            self.complain(&format!("{at}/paths"), "no path is passed through", None);
        }
        PassFact { paths, plugins: raw.plugins.as_ref().map(|chain| self.chain(&format!("{at}/plugins"), chain)) }
    }

    fn base_url(&mut self, at: &str, text: Option<&str>, usual: Option<&Row>) -> String {
        let Some(text) = text else {
            let Some(usual) = usual else {
                let hint = "write it like `http://127.0.0.1:8080/v1`".to_owned();
                self.complain_key(at, "`base_url` is missing", Some(hint));
                return String::new();
            };
            return usual_base(usual, self.around.environment).unwrap_or_else(|missing| {
                let missing = missing.map(|name| format!("give `base_url`, or set the variable `{name}`"));
                self.complain_key(at, "`base_url` is missing", missing);
                String::new()
            });
        };
        let pointer = format!("{at}/base_url");
        let before = self.complaints.len();
        let text = self.text(&pointer, text);
        let url = text.trim_end_matches('/');
        if self.complaints.len() > before {
            return String::new();
        }
        if let Some(base) = url.strip_suffix("/chat/completions").or(url.strip_suffix("/messages")) {
            self.complain(&pointer, "this is the address of one call, not the base", Some(format!("write `{base}`")));
        }
        match url.parse::<http::Uri>() {
            Ok(uri) if uri.query().is_some() || url.contains('#') => {
                self.complain(&pointer, "a base URL ends before `?` and `#`", None)
            }
            Ok(uri) if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
                self.complain(&pointer, "a URL is no place for a secret", Some("use `api_key` or `headers`".to_owned()));
            }
            Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty()) => {}
            _ => self.complain(&pointer, "this is not an http or https URL", Some("write it like `https://host/v1`".to_owned())),
        }
        url.to_owned()
    }

    fn api_key(&mut self, at: &str, raw: &Provider, usual: Option<&Row>) -> Option<Secret> {
        match &raw.api_key {
            Some(text) => Some(self.secret(&format!("{at}/api_key"), text)),
            // A key goes only where its variable's name says: to the provider's own address.
            None if raw.base_url.is_none() => {
                usual.and_then(|usual| self.around.environment.get(usual.key_variable.as_deref()?)).map(Secret::new)
            }
            None => None,
        }
    }

    fn header(&mut self, at: &str, name: &str, raw: &Provider) -> (String, Secret) {
        let pointer = format!("{at}/headers/{}", escape(name));
        const OURS: [&str; 6] = ["host", "content-length", "transfer-encoding", "connection", "content-type", "accept-encoding"];
        match name.parse::<http::HeaderName>() {
            Err(_) => self.complain_key(&pointer, format!("`{name}` is not a header's name"), None),
            Ok(header) if OURS.contains(&header.as_str()) => {
                self.complain_key(&pointer, format!("`{name}` is set by the gateway itself"), None);
            }
            Ok(_) => {}
        }
        let value = raw.headers.get(name).map(|text| self.secret(&pointer, text)).unwrap_or_default();
        (name.to_ascii_lowercase(), value)
    }

    fn timeouts(&mut self, at: &str, raw: &Provider) -> Timeouts {
        let (raw, default) = (&raw.timeouts, Timeouts::default());
        Timeouts {
            connect: self.span(&format!("{at}/timeouts/connect"), raw.connect.as_ref(), default.connect),
            first_byte: self.span(&format!("{at}/timeouts/first_byte"), raw.first_byte.as_ref(), default.first_byte),
            first_token: raw
                .first_token
                .as_ref()
                .map(|text| self.span(&format!("{at}/timeouts/first_token"), Some(text), Default::default())),
            idle: self.span(&format!("{at}/timeouts/idle"), raw.idle.as_ref(), default.idle),
            total: self.span(&format!("{at}/timeouts/total"), raw.total.as_ref(), default.total),
        }
    }
}
