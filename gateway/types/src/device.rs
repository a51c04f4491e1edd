//! Where the embedded engine shall compute, as an operator writes it.
//!
//! Apart because the engine obeys it and the gateway reads it, also in a build without the engine. It must not know which devices
//! there are.

use std::str::FromStr;

/// Where to compute: `auto`, `cpu`, `cuda` or `cuda:N`.
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
