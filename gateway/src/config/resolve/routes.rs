//! Models of the engine, and routes: which names stand for whom.
//!
//! Apart because here names meet providers, models and plugins. It must not know how a leg is asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use gatewright_types::Quantization;

use super::super::complaint::nearest;
use super::super::facts::{KV_BYTES, LegFact, LegTarget, ModelFact, ProviderFact, RouteFact, Strategy, ToolLoopFact};
use super::super::raw::{Model, Quantize, Root, Route, Tools};
use super::super::yaml::escape;
use super::super::zero::DEMO;
use super::Resolver;
use crate::packed;

pub(super) type Providers = BTreeMap<String, ProviderFact>;
pub(super) type Models = BTreeMap<String, ModelFact>;

/// All legs of a route as they are written, each with its pointer; those that come after others last.
pub(super) fn written_legs<'a>(at: &'a str, raw: &'a Route) -> impl Iterator<Item = (String, &'a String)> {
    let lists = [("legs", &raw.legs), ("context_fallbacks", &raw.context_fallbacks), ("fallbacks", &raw.fallbacks)];
    lists
        .into_iter()
        .flat_map(move |(key, legs)| legs.iter().enumerate().map(move |(index, leg)| (format!("{at}/{key}/{index}"), leg)))
}

/// Files of a folder that are looked at.
const MOST_FILES: usize = 10_000;

/// Whether there is what a model could be; which it is, and whether all of it is there, the engine looks.
fn is_model(path: &Path) -> bool {
    let is_gguf = |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    let holds = |folder: &Path| {
        let mut entries = std::fs::read_dir(folder).into_iter().flatten().take(MOST_FILES);
        entries.any(|entry| entry.is_ok_and(|entry| is_gguf(&entry.path())))
    };
    path.join("config.json").is_file() || (path.is_file() && is_gguf(path)) || holds(path)
}

impl Resolver<'_> {
    pub(super) fn models(&mut self, root: &Root) -> Models {
        let models: Models = root.models.iter().map(|(name, raw)| (name.clone(), self.model(name, raw))).collect();
        for (name, model) in &models {
            for adapter in model.adapters.keys() {
                let others = models.values().filter(|other| other.name != *name && other.names().any(|known| known == adapter));
                if let Some(other) = others.map(|other| &other.name).next().or((adapter == name).then_some(name)) {
                    let at = format!("/models/{}/adapters/{}", escape(name), escape(adapter));
                    self.complain_key(&at, format!("`{adapter}` is a name of the model `{other}` already"), None);
                }
            }
        }
        models
    }

    fn adapters(&mut self, at: &str, raw: &Model) -> BTreeMap<String, PathBuf> {
        let mut adapters = BTreeMap::new();
        for (name, text) in &raw.adapters {
            let at = format!("{at}/adapters/{}", escape(name));
            let folder = self.path(&at, text);
            if name.is_empty() {
                self.complain_key(&at, "an adapter's name cannot be empty", None);
            }
            if !folder.join("adapter_config.json").is_file() {
                let message = format!("{} has no adapter_config.json", folder.display());
                self.complain(&at, message, Some("give a folder in PEFT's format".to_owned()));
            }
            adapters.insert(name.clone(), folder);
        }
        adapters
    }

    fn model(&mut self, name: &str, raw: &Model) -> ModelFact {
        let at = format!("/models/{}", escape(name));
        if !cfg!(feature = "engine") {
            self.complain_key(&at, "this build has no embedded engine", Some("build it with the feature `engine`".to_owned()));
        }
        let folder = raw.folder.as_deref().map(|text| self.path(&format!("{at}/folder"), text));
        match &folder {
            Some(folder) if !is_model(folder) => {
                let message = format!("{} has no config.json", folder.display());
                let hint = "give a folder in Hugging Face's layout, or a GGUF file".to_owned();
                self.complain(&format!("{at}/folder"), message, Some(hint));
            }
            None if name != DEMO => {
                self.complain_key(&at, "`folder` is missing", Some(format!("only `{DEMO}` is in the binary")));
            }
            None if cfg!(feature = "engine") && packed::demo().is_none() => {
                self.complain_key(&at, "this build was made without the demo model", None);
            }
            _ => {}
        }
        ModelFact {
            name: name.to_owned(),
            folder,
            max_running: raw.max_running.unwrap_or(8),
            max_waiting: raw.max_waiting.unwrap_or(64),
            kv_bytes: self.size(&format!("{at}/kv_memory"), raw.kv_memory.as_ref(), KV_BYTES),
            prefix_bytes: raw.prefix_cache.as_ref().map(|size| self.size(&format!("{at}/prefix_cache"), Some(size), KV_BYTES)),
            quantize: raw.quantize.map(|wanted| match wanted {
                Quantize::Q8 => Quantization::Q8,
                Quantize::Q4 => Quantization::Q4,
            }),
            template: self.word(&format!("{at}/chat_template"), raw.chat_template.as_deref()),
            yarn: self.word(&format!("{at}/yarn"), raw.yarn.as_deref()),
            adapters: self.adapters(&at, raw),
        }
    }

    /// One of a few words; left out, it is the usual one.
    pub(super) fn word<T: Default + FromStr<Err = String>>(&mut self, pointer: &str, text: Option<&str>) -> T {
        text.map_or_else(T::default, |text| {
            text.parse().unwrap_or_else(|message| {
                self.complain(pointer, message, None);
                T::default()
            })
        })
    }

    /// The routes of the file, and one for each model of the engine, and each adapter, that has none of its name.
    pub(super) fn routes(&mut self, root: &Root, providers: &Providers, models: &Models) -> BTreeMap<String, RouteFact> {
        let own = models.values().flat_map(ModelFact::names).map(|name| {
            let leg = LegFact::new(LegTarget::Engine, name.clone());
            (name.clone(), RouteFact::plain(name, vec![leg]))
        });
        let mut routes: BTreeMap<_, _> = own.collect();
        for (name, raw) in &root.routes {
            let at = format!("/routes/{}", escape(name));
            let legs = self.legs(&at, raw, (providers, models));
            self.weights(&at, raw);
            self.stars(name, raw);
            routes.insert(name.clone(), self.route(name, (raw, legs), (providers, models)));
        }
        self.patterns(root);
        routes
    }

    /// The legs of a route, fallbacks behind the others, each with its share and its condition.
    fn legs(&mut self, at: &str, raw: &Route, known: (&Providers, &Models)) -> Vec<LegFact> {
        let mut legs = Vec::new();
        for (index, written) in raw.legs.iter().enumerate() {
            let weight = raw.weights.as_ref().and_then(|weights| weights.get(index)).copied().unwrap_or(1);
            let leg = self.leg(&format!("{at}/legs/{index}"), written, known);
            legs.extend(leg.map(|leg| (written.clone(), LegFact { weight, ..leg })));
        }
        for (key, more) in [("context_fallbacks", &raw.context_fallbacks), ("fallbacks", &raw.fallbacks)] {
            for (index, written) in more.iter().enumerate() {
                let leg = self.leg(&format!("{at}/{key}/{index}"), written, known);
                let leg = leg.map(|leg| LegFact { fallback: true, for_long: key == "context_fallbacks", ..leg });
                legs.extend(leg.map(|leg| (written.clone(), leg)));
            }
        }
        self.leg_conditions(at, raw, &mut legs);
        legs.into_iter().map(|(_, leg)| leg).collect()
    }

    fn route(&mut self, name: &str, (raw, legs): (&Route, Vec<LegFact>), known: (&Providers, &Models)) -> RouteFact {
        let at = format!("/routes/{}", escape(name));
        if name.is_empty() {
            self.complain_key(&at, "a route's name cannot be empty", None);
        }
        if raw.local_only {
            self.stay_here(&at, raw, known.0);
        }
        RouteFact {
            name: name.to_owned(),
            legs,
            strategy: raw.strategy,
            sticky: raw.sticky,
            plugins: raw.plugins.as_ref().map(|chain| self.chain(&format!("{at}/plugins"), chain)),
            cache: raw.cache.as_ref().map(|text| self.span(&format!("{at}/cache"), Some(text), Duration::ZERO)),
            tools: raw.tools.as_ref().map(|tools| self.tools(&at, tools)),
            strict: raw.strict,
            local_only: raw.local_only,
            rules: self.rules(&at, &raw.rules, known),
            hedge: raw.hedge.as_ref().map(|hedge| self.hedge(&format!("{at}/hedge"), hedge)),
            first_token: raw.first_token.as_ref().map(|text| self.span(&format!("{at}/first_token"), Some(text), Duration::ZERO)),
        }
    }

    /// Shares are those of the legs, and count only where it goes by them.
    fn weights(&mut self, at: &str, raw: &Route) {
        let Some(weights) = &raw.weights else { return };
        let at = format!("{at}/weights");
        if weights.len() != raw.legs.len() {
            let message = format!("there are {} weights for {} legs", weights.len(), raw.legs.len());
            self.complain(&at, message, None);
        } else if weights.iter().all(|weight| *weight == 0) {
            self.complain(&at, "some leg must have a share", None);
        } else if raw.strategy != Strategy::Weighted {
            self.complain(&at, "weights count only with `strategy: weighted`", None);
        }
    }

    fn tools(&mut self, at: &str, raw: &Tools) -> ToolLoopFact {
        ToolLoopFact {
            max_rounds: raw.max_rounds.unwrap_or(8),
            max_time: self.span(&format!("{at}/tools/max_time"), raw.max_time.as_ref(), Duration::from_secs(120)),
        }
    }

    pub(super) fn leg(&mut self, pointer: &str, text: &str, known: (&Providers, &Models)) -> Option<LegFact> {
        let (providers, models) = known;
        if models.values().any(|model| model.names().any(|name| name == text))
            || self.written("models").iter().any(|name| name == text)
        {
            return Some(LegFact::new(LegTarget::Engine, text));
        }
        let Some((provider, model)) = text.split_once('/') else {
            let names = models.values().flat_map(ModelFact::names).map(String::as_str);
            let hint = nearest(text, names).filter(|hint| hint.starts_with("did"));
            let hint = hint.unwrap_or_else(|| "write `provider/model`, or a name of `models`".to_owned());
            self.complain(pointer, format!("`{text}` is no model of the embedded engine"), Some(hint));
            return None;
        };
        let Some(fact) = providers.get(provider) else {
            let written = self.written("providers");
            if !written.iter().any(|name| name == provider) {
                let hint = nearest(provider, written.iter().map(String::as_str));
                self.complain(pointer, format!("no provider is named `{provider}`"), hint);
            }
            return None;
        };
        if model.is_empty() {
            self.complain(pointer, "the model's name is missing after `/`", None);
        } else if !fact.any_model && !model.contains('*') && !fact.models.iter().any(|listed| listed == model) {
            let hint = nearest(model, fact.models.iter().map(String::as_str));
            self.complain(pointer, format!("provider `{provider}` lists no model `{model}` and `any_model` is false"), hint);
        }
        Some(LegFact::new(LegTarget::Provider(provider.to_owned()), model))
    }
}
