//! Llama, the architecture of DeepSeek-R1-Distill-Llama (<https://arxiv.org/abs/2407.21783>): no biases, unless config.json says so.
//!
//! Apart because it is one family. It must not know weights or requests.

use super::{Defaults, Family, plain};
use crate::config::ModelConfig;
use crate::layers::decoder::{Biases, Blueprint};
use crate::options::YarnReading;

/// As `LlamaForCausalLM` of Hugging Face transformers.
pub(super) const FAMILY: Family = Family { model_type: "llama", blueprint };

fn blueprint(config: &ModelConfig, yarn: YarnReading) -> Result<Blueprint, String> {
    let defaults = Defaults { positions: 2048, head_dim: config.hidden_size / config.num_attention_heads };
    let (attention, mlp) = (config.attention_bias, config.mlp_bias);
    let biases = Biases { qkv: attention, out: attention, mlp };
    Ok(Blueprint { biases, ..plain(config, &defaults, yarn)? })
}
