//! How the embedded engine shall read a checkpoint where its files leave a choice, as an operator writes it.
//!
//! Apart because the engine obeys it and the gateway reads it, also in a build without the engine. It must not know which checkpoints
//! there are.

use std::str::FromStr;

/// How `attn_factor` in the rope scaling of config.json is read. DeepSeek-R1-0528-Qwen3-8B says 0.878, which undoes the factor that YaRN
/// puts on the scores by itself: the model was trained without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum YarnReading {
    /// As the checkpoint says, and vLLM and llama.cpp do: beside YaRN's own factor.
    #[default]
    Checkpoint,
    /// As Hugging Face transformers does: it knows `attention_factor` only, and passes over the other.
    Transformers,
}

/// Whose chat template a DeepSeek-R1 model is asked with. Its own passes over tools, garbles the second turn with calls, and lets the
/// model answer without thought after a tool's result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TemplateChoice {
    /// Gatewright's, without those faults; other models' own.
    #[default]
    Repaired,
    /// The model's own.
    Original,
}

impl FromStr for YarnReading {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "checkpoint" => Ok(Self::Checkpoint),
            "transformers" => Ok(Self::Transformers),
            _ => Err(format!("unknown reading `{text}`; use checkpoint or transformers")),
        }
    }
}

impl FromStr for TemplateChoice {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "repaired" => Ok(Self::Repaired),
            "original" => Ok(Self::Original),
            _ => Err(format!("unknown chat template `{text}`; use repaired or original")),
        }
    }
}

impl YarnReading {
    /// The operator's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Transformers => "transformers",
        }
    }
}

impl TemplateChoice {
    /// The operator's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Repaired => "repaired",
            Self::Original => "original",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for choice in [YarnReading::Checkpoint, YarnReading::Transformers] {
            assert_eq!(choice.as_str().parse(), Ok(choice));
        }
        for choice in [TemplateChoice::Repaired, TemplateChoice::Original] {
            assert_eq!(choice.as_str().parse(), Ok(choice));
        }
        assert!("vllm".parse::<YarnReading>().is_err() && "mine".parse::<TemplateChoice>().is_err());
    }
}
