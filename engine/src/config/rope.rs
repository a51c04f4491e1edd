//! What config.json says of the rotary embedding, read as Hugging Face transformers reads it, but for one field that it does not know.
//!
//! Apart because checkpoints write it in several ways. It must not compute: [`crate::layers::rope`] does.

use serde::Deserialize;

use crate::layers::rope::{Scaling, Spectrum, Yarn};
use crate::options::YarnReading;

/// Positions that a model was trained on and can be served with, and its frequencies.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reach {
    pub(crate) spectrum: Spectrum,
    /// Positions that prompt and answer may have together.
    pub(crate) context: usize,
}

/// `rope_parameters`, or `rope_scaling` of older checkpoints. Some write both `rope_type` and `type`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct RopeConfig {
    pub(super) rope_theta: Option<f64>,
    pub(super) partial_rotary_factor: Option<f64>,
    rope_type: Option<String>,
    r#type: Option<String>,
    factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    truncate: Option<bool>,
    attention_factor: Option<f64>,
    attn_factor: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
    /// Of GGUF files: what each frequency is divided by.
    factors: Option<Vec<f32>>,
}

/// Where the paper's authors found that the scores should be scaled (<https://arxiv.org/abs/2309.00071>, section 3.4).
fn mscale(factor: f64, by: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * by * factor.ln() + 1.0 }
}

impl RopeConfig {
    /// The frequencies, and how far they reach. `positions` is `max_position_embeddings`.
    ///
    /// # Errors
    /// What is missing or not supported.
    pub(crate) fn read(&self, positions: usize, yarn: YarnReading) -> Result<Reach, String> {
        if let Some(part) = self.partial_rotary_factor.filter(|part| *part != 1.0) {
            return Err(format!("partial_rotary_factor {part} is not supported"));
        }
        let kind = self.kind();
        let needs = |value: Option<f64>, name: &str| match value {
            Some(value) if value.is_finite() && value > 0.0 => Ok(value),
            Some(value) => Err(format!("rope type `{kind}`: {name} {value} is not above 0")),
            None => Err(format!("rope type `{kind}` needs {name}")),
        };
        let original =
            needs(Some(self.original_max_position_embeddings.unwrap_or(positions as f64)), "original_max_position_embeddings")?;
        let mut context = positions;
        let scaling = match kind {
            "default" => Scaling::None,
            "linear" => Scaling::Linear { factor: needs(self.factor, "factor")? },
            "llama3" => {
                let (low, high) =
                    (needs(self.low_freq_factor, "low_freq_factor")?, needs(self.high_freq_factor, "high_freq_factor")?);
                if high <= low {
                    return Err(format!("rope type `{kind}`: high_freq_factor {high} is not above low_freq_factor {low}"));
                }
                Scaling::Llama3 { factor: needs(self.factor, "factor")?, low, high, original }
            }
            "yarn" => {
                let factor = needs(self.factor.or(Some(positions as f64 / original)), "factor")?;
                // Qwen's cards have YaRN added to a config.json whose max_position_embeddings stays what it was.
                context = context.max((original * factor) as usize);
                Scaling::Yarn(self.yarn(factor, original, yarn))
            }
            "factors" => {
                let factors = self.factors.clone().unwrap_or_default();
                factors.iter().try_for_each(|factor| needs(Some(f64::from(*factor)), "a factor").map(drop))?;
                Scaling::Factors(factors)
            }
            other => return Err(format!("rope type `{other}` is not supported")),
        };
        let theta = needs(self.rope_theta.or(Some(10_000.0)), "rope_theta")?;
        Ok(Reach { spectrum: Spectrum { theta, scaling }, context })
    }

    fn kind(&self) -> &str {
        self.rope_type.as_deref().or(self.r#type.as_deref()).unwrap_or("default")
    }

    /// What latent attention multiplies its scores by where positions are scaled, beside what [`Yarn::attention`] does to the part of
    /// them that is rotated.
    pub(crate) fn score_scale(&self, positions: usize) -> f64 {
        let by = self.mscale_all_dim.filter(|_| self.kind() != "default").unwrap_or(0.0);
        let original = self.original_max_position_embeddings.unwrap_or(positions as f64);
        mscale(self.factor.unwrap_or(positions as f64 / original), by).powi(2)
    }

    /// `attn_factor` is what DeepSeek-R1-0528-Qwen3-8B's config.json calls the factor that its scores were trained with, beside the one
    /// that YaRN has by itself; transformers reads `attention_factor` only.
    fn yarn(&self, factor: f64, original: f64, reading: YarnReading) -> Yarn {
        let given = |value: Option<f64>| value.filter(|value| *value != 0.0);
        let own = match (given(self.mscale), given(self.mscale_all_dim)) {
            (Some(of), Some(all)) => mscale(factor, of) / mscale(factor, all),
            _ => mscale(factor, 1.0),
        };
        let beside = match reading {
            YarnReading::Checkpoint => self.attn_factor.unwrap_or(1.0),
            YarnReading::Transformers => 1.0,
        };
        Yarn {
            factor,
            original,
            attention: self.attention_factor.unwrap_or(own * beside),
            fast: given(self.beta_fast).unwrap_or(32.0),
            slow: given(self.beta_slow).unwrap_or(1.0),
            truncate: self.truncate.unwrap_or(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, reading: YarnReading) -> Result<Reach, String> {
        serde_json::from_str::<RopeConfig>(json).unwrap().read(131_072, reading)
    }

    fn attention(json: &str, reading: YarnReading) -> f64 {
        match read(json, reading).unwrap().spectrum.scaling {
            Scaling::Yarn(yarn) => yarn.attention,
            other => panic!("{other:?}"),
        }
    }

    /// The text of DeepSeek-R1-0528-Qwen3-8B: its factor undoes the one that YaRN has by itself.
    #[test]
    fn the_factor_of_r1_0528_is_honoured_or_read_as_transformers_does() {
        let json = r#"{"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768,
                       "attn_factor": 0.8782488562869419}"#;
        assert!((attention(json, YarnReading::Checkpoint) - 1.0).abs() < 1e-12);
        assert!((attention(json, YarnReading::Transformers) - 1.138_629_436_111_989).abs() < 1e-12);
        let json = json.replace("attn_factor", "attention_factor");
        assert_eq!(attention(&json, YarnReading::Checkpoint), 0.878_248_856_286_941_9);
    }

    #[test]
    fn mscale_of_both_kinds_is_a_quotient() {
        let json =
            r#"{"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096, "mscale": 1.0, "mscale_all_dim": 1.0}"#;
        assert_eq!(attention(json, YarnReading::Checkpoint), 1.0);
        let json = json.replace(r#""mscale": 1.0"#, r#""mscale": 0"#);
        assert_eq!(attention(&json, YarnReading::Checkpoint), mscale(40.0, 1.0));
    }

    #[test]
    fn yarn_reaches_as_far_as_it_scales() {
        let yarn = r#"{"rope_type": "yarn", "type": "yarn", "factor": 8.0, "original_max_position_embeddings": 32768}"#;
        assert_eq!(read(yarn, YarnReading::Checkpoint).unwrap().context, 262_144);
        assert_eq!(read("{}", YarnReading::Checkpoint).unwrap().context, 131_072);
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        let said = |json: &str| read(json, YarnReading::Checkpoint).unwrap_err();
        assert!(said(r#"{"rope_type": "longrope"}"#).contains("longrope"));
        assert!(said(r#"{"rope_type": "linear"}"#).contains("factor"));
        assert!(said(r#"{"rope_type": "linear", "factor": 0}"#).contains("factor"));
        assert!(said(r#"{"rope_type": "llama3", "factor": 8}"#).contains("low_freq_factor"));
        assert!(said(r#"{"partial_rotary_factor": 0.5}"#).contains("partial_rotary_factor"));
    }
}
