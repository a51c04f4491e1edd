//! What the weights of the embedded engine shall be packed to while they load, as an operator writes it.
//!
//! Apart because the engine obeys it and the gateway reads it, also in a build without the engine. It must not know how it is done.

use std::str::FromStr;

/// Blocks of 32 weights with one scale: `q8` is 8.5 bits a weight, `q4` 4.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantization {
    /// 8 bits and a scale of 16 for 32 weights.
    Q8,
    /// 4 bits and a scale of 16 for 32 weights; the embedding and the output matrix stay at 8.
    Q4,
}

impl FromStr for Quantization {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "q8" => Ok(Self::Q8),
            "q4" => Ok(Self::Q4),
            _ => Err(format!("unknown quantization `{text}`; use q8 or q4")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantizations_are_read_from_text() {
        assert_eq!(("q8".parse(), "q4".parse()), (Ok(Quantization::Q8), Ok(Quantization::Q4)));
        assert!("q5".parse::<Quantization>().unwrap_err().contains("q5"));
    }
}
