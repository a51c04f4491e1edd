//! What a caller says to open a model: where its files are, where to compute, how much at once.
//!
//! Apart because it is public and plain data. It must not know how any of it is done.

use std::path::PathBuf;
use std::str::FromStr;

/// Where a model's files are: a Hugging Face folder, or the same files packed into the binary.
#[derive(Clone, Debug)]
pub enum ModelFiles {
    /// A folder with config.json, tokenizer.json, tokenizer_config.json, generation_config.json and *.safetensors.
    Folder(PathBuf),
    /// File name, bytes.
    Packed(&'static [(&'static str, &'static [u8])]),
}

/// Where to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first CUDA device that works, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// That CUDA device, or an error that says what is missing.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", n)) => n.parse().map(Self::Cuda).map_err(|_| format!("`{n}` is not a device number; use cuda:0")),
            _ => Err(format!("unknown device `{text}`; use auto, cpu, cuda or cuda:N")),
        }
    }
}

/// How to open a model.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Where to compute.
    pub device: DeviceChoice,
    /// Sequences that run at once; others wait. 0 counts as 1.
    pub max_running: usize,
    /// Requests that may wait; more are refused as [`crate::EngineError::Full`].
    pub max_waiting: usize,
    /// Unix seconds, for templates that print a date, and for seeds of requests that bring none.
    pub now: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_from_text() {
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        assert_eq!("cpu".parse(), Ok(DeviceChoice::Cpu));
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        assert_eq!("cuda:3".parse(), Ok(DeviceChoice::Cuda(3)));
        assert!("cuda:x".parse::<DeviceChoice>().is_err() && "gpu".parse::<DeviceChoice>().is_err());
    }
}
