//! config.json and generation_config.json: what a checkpoint says about itself.
//!
//! Apart because loading checks it before any weight is read. It must not know tensors or requests.

use serde::Deserialize;

use crate::error::EngineError;
use crate::options::ModelFiles;

/// The fields of config.json that the Qwen2 family uses, with the defaults of Hugging Face transformers.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ModelConfig {
    pub(crate) model_type: String,
    pub(crate) vocab_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    #[serde(default = "max_positions")]
    pub(crate) max_position_embeddings: usize,
    #[serde(default = "epsilon")]
    pub(crate) rms_norm_eps: f64,
    rope_theta: Option<f64>,
    rope_parameters: Option<Rope>,
    rope_scaling: Option<Rope>,
    #[serde(default)]
    pub(crate) tie_word_embeddings: bool,
    #[serde(default)]
    use_sliding_window: bool,
    #[serde(default = "silu")]
    hidden_act: String,
}

/// Older checkpoints say `rope_scaling`, newer ones `rope_parameters`.
#[derive(Clone, Debug, Deserialize)]
struct Rope {
    rope_theta: Option<f64>,
    #[serde(alias = "type")]
    rope_type: Option<String>,
}

fn max_positions() -> usize {
    32_768
}

fn epsilon() -> f64 {
    1e-6
}

fn silu() -> String {
    "silu".to_owned()
}

impl ModelConfig {
    /// Reads config.json and refuses what this engine would compute wrongly.
    pub(crate) fn read(files: &ModelFiles) -> Result<Self, EngineError> {
        let file = "config.json";
        let config: Self = files.json(file)?;
        let refuse = |what: String| Err(EngineError::load(format!("{}: {what}", files.name(file))));
        if config.model_type != "qwen2" {
            return refuse(format!("model_type `{}` is not supported; this engine runs qwen2", config.model_type));
        }
        if config.hidden_act != "silu" {
            return refuse(format!("hidden_act `{}` is not supported", config.hidden_act));
        }
        if config.use_sliding_window {
            return refuse("use_sliding_window is not supported".to_owned());
        }
        for rope in [&config.rope_parameters, &config.rope_scaling].into_iter().flatten() {
            if let Some(kind) = rope.rope_type.as_deref().filter(|k| *k != "default") {
                return refuse(format!("rope type `{kind}` is not supported"));
            }
        }
        let (heads, kv) = (config.num_attention_heads, config.kv_heads());
        if heads == 0 || kv == 0 || heads % kv != 0 || config.head_dim() == 0 || !config.head_dim().is_multiple_of(2) {
            return refuse(format!("{heads} heads of {} on {kv} key heads do not fit", config.head_dim()));
        }
        if [config.vocab_size, config.hidden_size, config.intermediate_size, config.max_position_embeddings].contains(&0) {
            return refuse("a size is 0".to_owned());
        }
        Ok(config)
    }

    /// Key and value heads.
    pub(crate) fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of one head.
    pub(crate) fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Base of the rotary embedding's frequencies.
    pub(crate) fn rope_theta(&self) -> f64 {
        self.rope_theta.or(self.rope_parameters.as_ref().and_then(|r| r.rope_theta)).unwrap_or(10_000.0)
    }
}

/// generation_config.json: the sampling that the model's makers advise, and where it ends.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct GenerationConfig {
    pub(crate) do_sample: Option<bool>,
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    pub(crate) top_k: Option<usize>,
    #[serde(default)]
    pub(crate) eos_token_id: EosIds,
}

/// One id or a list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(untagged)]
pub(crate) enum EosIds {
    One(u32),
    Many(Vec<u32>),
    #[default]
    None,
}

impl GenerationConfig {
    /// Reads generation_config.json; a model without one advises nothing.
    pub(crate) fn read(files: &ModelFiles) -> Result<Self, EngineError> {
        let file = "generation_config.json";
        if files.find(file)?.is_none() {
            return Ok(Self::default());
        }
        files.json(file)
    }

    /// The ids that end an answer.
    pub(crate) fn eos(&self) -> Vec<u32> {
        match &self.eos_token_id {
            EosIds::One(id) => vec![*id],
            EosIds::Many(ids) => ids.clone(),
            EosIds::None => Vec::new(),
        }
    }
}
