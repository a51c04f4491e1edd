//! config.json and generation_config.json: what a checkpoint says about itself.
//!
//! Apart because loading checks it before any weight is read. It must not know tensors or requests, nor what one family makes of it.

pub(crate) mod rope;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::EngineError;
use crate::layers::Bias;
use crate::ops::Heads;
use crate::options::ModelFiles;
use crate::weights::fp8::Blocks;
use rope::RopeConfig;

/// The file that says what a checkpoint is.
pub(crate) const FILE: &str = "config.json";

/// More than any size of a model, and so little that no product of three overflows.
pub(crate) const MOST: usize = 1 << 20;

/// The fields of config.json that the families share. What is left out is the family's to fill in.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ModelConfig {
    pub(crate) model_type: String,
    pub(crate) vocab_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    pub(crate) num_key_value_heads: Option<usize>,
    pub(crate) head_dim: Option<usize>,
    pub(crate) max_position_embeddings: Option<usize>,
    pub(crate) rms_norm_eps: Option<f64>,
    rope_theta: Option<f64>,
    partial_rotary_factor: Option<f64>,
    rope_parameters: Option<RopeConfig>,
    rope_scaling: Option<RopeConfig>,
    #[serde(default)]
    pub(crate) tie_word_embeddings: bool,
    #[serde(default)]
    pub(crate) attention_bias: Bias,
    #[serde(default)]
    pub(crate) mlp_bias: Bias,
    #[serde(default)]
    use_sliding_window: bool,
    #[serde(default)]
    layer_types: Vec<String>,
    #[serde(default = "silu")]
    hidden_act: String,
    /// Only looked at here: what loads weights reads it for itself.
    #[serde(rename = "quantization_config")]
    _blocks: Option<Blocks>,
    /// All of it, for what one family has alone.
    #[serde(skip)]
    own: Value,
}

fn silu() -> String {
    "silu".to_owned()
}

impl ModelConfig {
    /// Reads config.json and refuses what no family of this engine computes.
    pub(crate) fn read(files: &ModelFiles) -> Result<Self, EngineError> {
        let config = Self { own: files.json(FILE)?, ..files.json(FILE)? };
        config.check().map_err(|what| EngineError::load(format!("{}: {what}", files.name(FILE))))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if self.hidden_act != "silu" {
            return Err(format!("hidden_act `{}` is not supported", self.hidden_act));
        }
        if self.use_sliding_window {
            return Err("use_sliding_window is not supported".to_owned());
        }
        if let Some(kind) = self.layer_types.iter().find(|kind| *kind != "full_attention") {
            return Err(format!("layer type `{kind}` is not supported"));
        }
        let sizes = [self.vocab_size, self.hidden_size, self.intermediate_size, self.num_attention_heads, self.num_hidden_layers];
        if sizes.contains(&0) || self.max_position_embeddings == Some(0) {
            return Err("a size is 0".to_owned());
        }
        let optional = [self.num_key_value_heads, self.head_dim].map(Option::unwrap_or_default);
        if let Some(size) = sizes.iter().chain(&optional).find(|size| **size > MOST) {
            return Err(format!("a size of {size} is more than any model has"));
        }
        Ok(())
    }

    /// The fields that one family has alone.
    pub(crate) fn own<T: DeserializeOwned>(&self) -> Result<T, String> {
        T::deserialize(&self.own).map_err(|e| e.to_string())
    }

    /// How attention is cut; `head_dim` is the family's, where config.json gives none.
    pub(crate) fn heads(&self, head_dim: usize) -> Result<Heads, String> {
        let (heads, head_dim) = (self.num_attention_heads, self.head_dim.unwrap_or(head_dim));
        let kv_heads = self.num_key_value_heads.unwrap_or(heads);
        if kv_heads == 0 || heads % kv_heads != 0 || head_dim == 0 || !head_dim.is_multiple_of(2) {
            return Err(format!("{heads} heads of {head_dim} on {kv_heads} key heads do not fit"));
        }
        Ok(Heads { heads, kv_heads, head_dim })
    }

    /// What it says of the rotary embedding: newer checkpoints say `rope_parameters`, older ones `rope_scaling` and `rope_theta`.
    pub(crate) fn rope(&self) -> RopeConfig {
        let mut rope = self.rope_parameters.clone().or_else(|| self.rope_scaling.clone()).unwrap_or_default();
        rope.rope_theta = rope.rope_theta.or(self.rope_theta);
        rope.partial_rotary_factor = rope.partial_rotary_factor.or(self.partial_rotary_factor);
        rope
    }
}

/// generation_config.json: the sampling that the model's makers advise, and where it ends.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct GenerationConfig {
    pub(crate) do_sample: Option<bool>,
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    pub(crate) top_k: Option<usize>,
    pub(crate) min_p: Option<f64>,
    pub(crate) repetition_penalty: Option<f64>,
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
