//! adapter_config.json, as PEFT's `LoraConfig` writes and reads it: which modules are changed, by what rank, times what.
//!
//! Apart because it is PEFT's way of naming modules. It must not know tensors. What it says that would change what is computed, and is not
//! computed here, is refused by its name.

use regex_automata::meta::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::EngineError;
use crate::options::ModelFiles;

const FILE: &str = "adapter_config.json";
/// What changes training alone, or tells of it.
const IDLE: [&str; 14] = [
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "eva_config",
    "inference_mode",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
];
/// What is read here.
const READ: [&str; 13] = [
    "alpha_pattern",
    "bias",
    "exclude_modules",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "peft_type",
    "r",
    "rank_pattern",
    "target_modules",
    "use_rslora",
    "fan_in_fan_out",
];
/// How matrices were begun with that leave the model's own as they are; others change them too, before an adapter is made.
const BEGUN: [&str; 4] = ["gaussian", "eva", "orthogonal", "mica"];

/// The fields as they are written.
#[derive(Deserialize)]
struct Written {
    peft_type: String,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    fan_in_fan_out: bool,
    bias: Option<String>,
    init_lora_weights: Option<Value>,
    target_modules: Option<Names>,
    exclude_modules: Option<Names>,
    layers_to_transform: Option<Layers>,
    layers_pattern: Option<Names>,
    rank_pattern: Option<Map<String, Value>>,
    alpha_pattern: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Layers {
    One(usize),
    Many(Vec<usize>),
}

/// Which modules.
enum Chosen {
    /// All but the output matrix.
    All,
    Matching(Regex),
    /// Whole names, or what they end with behind a dot; those of these layers only, if any are given.
    Named(Vec<String>),
}

/// What an adapter is.
pub(super) struct Config {
    rank: usize,
    alpha: f64,
    by_root: bool,
    chosen: Chosen,
    left_out: Option<Chosen>,
    layers: Vec<usize>,
    /// What comes before a layer's number, one of them.
    layer: Vec<Regex>,
    ranks: Vec<(Regex, usize)>,
    alphas: Vec<(Regex, f64)>,
}

impl Config {
    /// Reads it, and refuses what this engine does not compute.
    pub(super) fn read(files: &ModelFiles) -> Result<Self, EngineError> {
        let all: Map<String, Value> = files.json(FILE)?;
        let made = refuse_others(&all).and_then(|()| {
            let written = Written::deserialize(Value::Object(all)).map_err(|e| e.to_string())?;
            written.check()?;
            Self::of(written)
        });
        made.map_err(|what| EngineError::load(format!("{}: {what}", files.name(FILE))))
    }

    fn of(written: Written) -> Result<Self, String> {
        let layers = match written.layers_to_transform {
            None => Vec::new(),
            Some(Layers::One(layer)) => vec![layer],
            Some(Layers::Many(layers)) => layers,
        };
        let chosen = match written.target_modules {
            Some(Names::One(all)) if all.eq_ignore_ascii_case("all-linear") => Chosen::All,
            Some(Names::One(pattern)) => Chosen::Matching(whole("target_modules", &pattern)?),
            Some(Names::Many(names)) => Chosen::Named(names),
            None => return Err("target_modules is missing".to_owned()),
        };
        if !layers.is_empty() && !matches!(chosen, Chosen::Named(_)) {
            return Err("layers_to_transform needs target_modules that are a list".to_owned());
        }
        let left_out = match written.exclude_modules {
            None => None,
            Some(Names::One(pattern)) => Some(Chosen::Matching(whole("exclude_modules", &pattern)?)),
            Some(Names::Many(names)) => Some(Chosen::Named(names)),
        };
        let before = match written.layers_pattern {
            Some(Names::One(pattern)) if !pattern.is_empty() => vec![pattern],
            Some(Names::Many(patterns)) if !patterns.is_empty() => patterns,
            _ => vec![r"[^.]*".to_owned()],
        };
        let number = |pattern: &String| regex("layers_pattern", &format!(r"^(?:|.*?\.)(?:{pattern})\.(\d+)\."));
        let ends = |key: &str| format!(r"(?:.*\.)?(?:{key})");
        let ranks = written.rank_pattern.unwrap_or_default().into_iter().map(|(key, rank)| {
            let rank = rank.as_u64().and_then(|rank| usize::try_from(rank).ok()).filter(|rank| *rank > 0);
            let rank = rank.ok_or_else(|| format!("rank_pattern: `{key}` has no rank"))?;
            Ok((whole("rank_pattern", &ends(&key))?, rank))
        });
        let alphas = written.alpha_pattern.unwrap_or_default().into_iter().map(|(key, alpha)| {
            let alpha = alpha.as_f64().ok_or_else(|| format!("alpha_pattern: `{key}` has no number"))?;
            Ok((whole("alpha_pattern", &ends(&key))?, alpha))
        });
        Ok(Self {
            rank: written.r,
            alpha: written.lora_alpha,
            by_root: written.use_rslora,
            chosen,
            left_out,
            layers,
            layer: before.iter().map(number).collect::<Result<_, String>>()?,
            ranks: ranks.collect::<Result<_, String>>()?,
            alphas: alphas.collect::<Result<_, String>>()?,
        })
    }

    /// Whether it changes the module.
    pub(super) fn targets(&self, module: &str) -> bool {
        if self.left_out.as_ref().is_some_and(|left_out| left_out.has(module)) || !self.chosen.has(module) {
            return false;
        }
        // As PEFT has it: a module that is named whole is meant, whatever layer it is of.
        let whole = matches!(&self.chosen, Chosen::Named(names) if names.iter().any(|name| name == module));
        whole || self.layers.is_empty() || self.layer_of(module).is_some_and(|layer| self.layers.contains(&layer))
    }

    fn layer_of(&self, module: &str) -> Option<usize> {
        self.layer.iter().find_map(|pattern| {
            let mut found = pattern.create_captures();
            pattern.captures(module, &mut found);
            module.get(found.get_group(1)?.range())?.parse().ok()
        })
    }

    /// The width of its two matrices, and what their product is multiplied by.
    pub(super) fn rank_and_scale(&self, module: &str) -> (usize, f32) {
        let own = self.ranks.iter().find(|(pattern, _)| pattern.is_match(module));
        let rank = own.map_or(self.rank, |(_, rank)| *rank);
        let own = self.alphas.iter().find(|(pattern, _)| pattern.is_match(module));
        let alpha = own.map_or(self.alpha, |(_, alpha)| *alpha);
        let by = if self.by_root { (rank as f64).sqrt() } else { rank as f64 };
        (rank, (alpha / by) as f32)
    }
}

impl Chosen {
    fn has(&self, module: &str) -> bool {
        match self {
            Self::All => module != "lm_head",
            Self::Matching(pattern) => pattern.is_match(module),
            Self::Named(names) => names.iter().any(|name| {
                module == name || module.strip_suffix(name.as_str()).is_some_and(|before| before.ends_with('.') && !name.is_empty())
            }),
        }
    }
}

impl Written {
    fn check(&self) -> Result<(), String> {
        if self.peft_type != "LORA" {
            return Err(format!("peft_type `{}` is not supported; this engine reads LORA", self.peft_type));
        }
        if self.r == 0 {
            return Err("r is 0".to_owned());
        }
        if self.fan_in_fan_out {
            return Err("fan_in_fan_out is not supported".to_owned());
        }
        if let Some(bias) = self.bias.as_ref().filter(|bias| *bias != "none") {
            return Err(format!("bias `{bias}` is not supported"));
        }
        match &self.init_lora_weights {
            None | Some(Value::Null | Value::Bool(_)) => Ok(()),
            Some(Value::String(begun)) if BEGUN.contains(&begun.as_str()) => Ok(()),
            Some(begun) => Err(format!(
                "init_lora_weights {begun} changed the model's own weights before training: convert it to a plain LoRA adapter \
                 (`path_initial_model_for_weight_conversion` of PEFT's save_pretrained)"
            )),
        }
    }
}

/// Refuses what is neither read nor idle and says something: `use_dora`, `modules_to_save`, whatever comes to be.
fn refuse_others(all: &Map<String, Value>) -> Result<(), String> {
    let silent = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    let other = all.iter().find(|(name, value)| !READ.contains(&name.as_str()) && !IDLE.contains(&name.as_str()) && !silent(value));
    match other {
        Some((name, _)) => Err(format!("{name} is not supported")),
        None => Ok(()),
    }
}

/// A pattern that a whole name has to match.
fn whole(field: &str, pattern: &str) -> Result<Regex, String> {
    regex(field, &format!(r"\A(?:{pattern})\z"))
}

fn regex(field: &str, pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|e| format!("{field}: `{pattern}` is no regular expression that this engine reads: {e}"))
}
