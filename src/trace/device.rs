use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A device that computes matrix products with the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The CPU, with the kernels of this program on weights in place.
    #[default]
    Cpu,
    /// The CPU, with candle's f32 products. The cargo features `mkl` and `accelerate` replace them by these libraries.
    Candle,
    /// The NVIDIA GPU of this number, through candle.
    Cuda(usize),
    /// The Apple GPU of this number, through candle.
    Metal(usize),
}

impl Device {
    /// The device, if this build of the program can use it.
    ///
    /// # Errors
    /// If the program was built without support for it.
    pub fn in_this_build(self) -> anyhow::Result<Self> {
        let (feature, is_built) = match self {
            Self::Cpu | Self::Candle => return Ok(self),
            Self::Cuda(_) => ("cuda", cfg!(feature = "cuda")),
            Self::Metal(_) => ("metal", cfg!(feature = "metal")),
        };
        anyhow::ensure!(is_built, "this build can't use {self}: build mixscope with `--features {feature}`");
        Ok(self)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.pad("cpu"),
            Self::Candle => f.pad("candle"),
            Self::Cuda(number) => f.pad(&format!("cuda:{number}")),
            Self::Metal(number) => f.pad(&format!("metal:{number}")),
        }
    }
}

impl FromStr for Device {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        let (kind, number) = name.split_once(':').unwrap_or((name, "0"));
        let has_number = name.len() > kind.len();
        let is_plain = number == "0" || !number.starts_with(['0', '+']);
        match (kind, number.parse::<u16>()) {
            ("cpu", _) if !has_number => Ok(Self::Cpu),
            ("candle", _) if !has_number => Ok(Self::Candle),
            ("cuda", Ok(number)) if is_plain => Ok(Self::Cuda(number.into())),
            ("metal", Ok(number)) if is_plain => Ok(Self::Metal(number.into())),
            _ => anyhow::bail!("`{name}` is not one of cpu, candle, cuda, cuda:N, metal, metal:N"),
        }
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_as_they_are_shown() {
        let all = [
            ("cpu", Device::Cpu),
            ("candle", Device::Candle),
            ("cuda:0", Device::Cuda(0)),
            ("metal:3", Device::Metal(3)),
        ];
        for (name, device) in all {
            assert_eq!((device.to_string().as_str(), name.parse::<Device>().unwrap()), (name, device));
        }
        assert_eq!("cuda".parse::<Device>().unwrap(), Device::Cuda(0));
        for bad in ["", "gpu", "cpu:0", "candle:1", "cuda:", "cuda:-1", "cuda:x", "cuda:+1", "cuda:007", "metal:99999"]
        {
            let message = bad.parse::<Device>().unwrap_err().to_string();
            assert_eq!(message, format!("`{bad}` is not one of cpu, candle, cuda, cuda:N, metal, metal:N"));
        }
    }
}
