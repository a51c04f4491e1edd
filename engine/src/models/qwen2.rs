//! Qwen2, the architecture of DeepSeek-R1-Distill-Qwen (<https://arxiv.org/abs/2407.10671>): queries, keys and values have biases.
//!
//! Apart because it is one family. It must not know weights or requests.

use super::{Defaults, Family, plain};
use crate::config::ModelConfig;
use crate::layers::Bias;
use crate::layers::decoder::{Biases, Blueprint};
use crate::options::YarnReading;

/// As `Qwen2ForCausalLM` of Hugging Face transformers.
pub(super) const FAMILY: Family = Family { model_type: "qwen2", blueprint };

fn blueprint(config: &ModelConfig, yarn: YarnReading) -> Result<Blueprint, String> {
    let defaults = Defaults { positions: 32_768, head_dim: config.hidden_size / config.num_attention_heads };
    let biases = Biases { qkv: Bias::Yes, out: Bias::No, mlp: Bias::No };
    Ok(Blueprint { biases, ..plain(config, &defaults, yarn)? })
}
