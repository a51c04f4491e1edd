//! Models of the engine, and routes: which names stand for whom.
//!
//! Apart because here names meet providers, models and plugins. It must not know how a leg is asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use gatewright_types::Quantization;

use super::super::complaint::nearest;
use super::super::facts::{KV_BYTES, LegFact, LegTarget, ModelFact, ProviderFact, RouteFact, Strategy, ToolLoopFact};
use super::super::raw::{Model, Quantize, Root, Route, Strategy as Written, Tools};
use super::super::yaml::escape;
use super::super::zero::DEMO;
use super::Resolver;
use crate::packed;

pub(super) type Providers = BTreeMap<String, ProviderFact>;
pub(super) type Models = BTreeMap<String, ModelFact>;

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
        root.models.iter().map(|(name, raw)| (name.clone(), self.model(name, raw))).collect()
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

    /// The routes of the file, and one for each model of the engine that has none of its name.
    pub(super) fn routes(&mut self, root: &Root, providers: &Providers, models: &Models) -> BTreeMap<String, RouteFact> {
        let own = models.keys().map(|name| {
            let leg = LegFact::new(LegTarget::Engine, name.clone());
            (name.clone(), RouteFact::plain(name, vec![leg]))
        });
        let mut routes: BTreeMap<_, _> = own.collect();
        for (name, raw) in &root.routes {
            let at = format!("/routes/{}", escape(name));
            let legs = raw.legs.iter().enumerate();
            let mut legs: Vec<LegFact> = legs
                .filter_map(|(index, leg)| {
                    let weight = raw.weights.as_ref().and_then(|weights| weights.get(index)).copied().unwrap_or(1);
                    Some(LegFact { weight, ..self.leg(&format!("{at}/legs/{index}"), leg, (providers, models))? })
                })
                .collect();
            for (index, leg) in raw.fallbacks.iter().enumerate() {
                let leg = self.leg(&format!("{at}/fallbacks/{index}"), leg, (providers, models));
                legs.extend(leg.map(|leg| LegFact { fallback: true, ..leg }));
            }
            self.weights(&at, raw);
            routes.insert(name.clone(), self.route(name, (raw, legs), (providers, models)));
        }
        routes
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
            strategy: strategy_of(raw),
            sticky: raw.sticky,
            plugins: raw.plugins.as_ref().map(|chain| self.chain(&format!("{at}/plugins"), chain)),
            cache: raw.cache.as_ref().map(|text| self.span(&format!("{at}/cache"), Some(text), Duration::ZERO)),
            tools: raw.tools.as_ref().map(|tools| self.tools(&at, tools)),
            strict: raw.strict,
            local_only: raw.local_only,
            when: self.rules(&at, &raw.when, known),
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
        } else if raw.strategy != Written::Weighted && !raw.sticky {
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
        if models.contains_key(text) || self.written("models").iter().any(|name| name == text) {
            return Some(LegFact::new(LegTarget::Engine, text));
        }
        let Some((provider, model)) = text.split_once('/') else {
            let hint = nearest(text, models.keys().map(String::as_str)).filter(|hint| hint.starts_with("did"));
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
        } else if !fact.any_model && !fact.models.iter().any(|listed| listed == model) {
            let hint = nearest(model, fact.models.iter().map(String::as_str));
            self.complain(pointer, format!("provider `{provider}` lists no model `{model}` and `any_model` is false"), hint);
        }
        Some(LegFact::new(LegTarget::Provider(provider.to_owned()), model))
    }
}

fn strategy_of(raw: &Route) -> Strategy {
    match raw.strategy {
        Written::Ordered => Strategy::Ordered,
        Written::Weighted => Strategy::Weighted,
        Written::LeastBusy => Strategy::LeastBusy,
        Written::LeastLatency => Strategy::LeastLatency,
        Written::LeastCost => Strategy::LeastCost,
    }
}
