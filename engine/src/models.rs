//! Families of models: config.json to a blueprint, which layers are made by.
//!
//! Apart because a family is one file and one row of [`FAMILIES`]. They must not know requests, text or channels.

mod deepseek_v3;
mod llama;
mod qwen2;
mod qwen3;

use crate::config::rope::Reach;
use crate::config::{self, ModelConfig};
use crate::error::EngineError;
use crate::layers::Bias;
use crate::layers::decoder::{Biases, Blueprint, Norms, Output, Shape};
use crate::layers::rope::Scaling;
use crate::options::{ModelFiles, YarnReading};

/// All families.
const FAMILIES: [Family; 4] = [deepseek_v3::FAMILY, llama::FAMILY, qwen2::FAMILY, qwen3::FAMILY];

/// One family.
struct Family {
    /// What config.json calls it.
    model_type: &'static str,
    /// Reads its config.json, or says what in it is not supported.
    blueprint: fn(&ModelConfig, YarnReading) -> Result<Blueprint, String>,
}

/// Reads config.json and makes of it what its family does.
///
/// # Errors
/// [`EngineError::Load`] that names the file and what in it is missing or not supported.
pub(crate) fn blueprint(files: &ModelFiles, yarn: YarnReading) -> Result<Blueprint, EngineError> {
    let config = ModelConfig::read(files)?;
    let known = || FAMILIES.map(|family| family.model_type).join(", ");
    let made = match FAMILIES.iter().find(|family| family.model_type == config.model_type) {
        Some(family) => (family.blueprint)(&config, yarn),
        None => Err(format!("model_type `{}` is not supported; this engine runs {}", config.model_type, known())),
    };
    made.map_err(|what| EngineError::load(format!("{}: {what}", files.name(config::FILE))))
}

/// What a family takes where config.json leaves it out.
struct Defaults {
    positions: usize,
    head_dim: usize,
}

/// A dense decoder without biases and without norms of heads: what a family begins with.
fn plain(config: &ModelConfig, defaults: &Defaults, yarn: YarnReading) -> Result<Blueprint, String> {
    let positions = config.max_position_embeddings.unwrap_or(defaults.positions);
    let Reach { spectrum, context } = config.rope().read(positions, yarn)?;
    let heads = config.heads(defaults.head_dim)?;
    if let Scaling::Factors(factors) = &spectrum.scaling
        && factors.len() != heads.head_dim / 2
    {
        return Err(format!("{} factors of frequencies do not fit heads of {}", factors.len(), heads.head_dim));
    }
    Ok(Blueprint {
        vocab: config.vocab_size,
        hidden: config.hidden_size,
        inner: config.intermediate_size,
        mixture: None,
        layers: config.num_hidden_layers,
        attention: Shape::Grouped(heads),
        epsilon: config.rms_norm_eps.unwrap_or(1e-6),
        rope: spectrum,
        context,
        output: if config.tie_word_embeddings { Output::Tied } else { Output::Own },
        biases: Biases { qkv: Bias::No, out: Bias::No, mlp: Bias::No },
        head_norms: Norms::No,
    })
}

#[cfg(test)]
mod tests;
