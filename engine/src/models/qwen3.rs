//! Qwen3, the architecture of DeepSeek-R1-0528-Qwen3-8B (<https://arxiv.org/abs/2505.09388>): a norm for each head's queries and keys,
//! heads that are 128 wide whatever the model's width, and no biases, unless config.json says so.
//!
//! Apart because it is one family. It must not know weights or requests.

use super::{Defaults, Family, plain};
use crate::config::ModelConfig;
use crate::layers::Bias;
use crate::layers::decoder::{Biases, Blueprint, Norms};
use crate::options::YarnReading;

/// As `Qwen3ForCausalLM` of Hugging Face transformers.
pub(super) const FAMILY: Family = Family { model_type: "qwen3", blueprint };

fn blueprint(config: &ModelConfig, yarn: YarnReading) -> Result<Blueprint, String> {
    let biases = Biases { qkv: config.attention_bias, out: config.attention_bias, mlp: Bias::No };
    let plain = plain(config, &Defaults { positions: 32_768, head_dim: 128 }, yarn)?;
    Ok(Blueprint { biases, head_norms: Norms::Yes, ..plain })
}
