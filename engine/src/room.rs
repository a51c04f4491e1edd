//! Whether a model's weights fit into memory, said with numbers before any of them is read.
//!
//! Apart because it is arithmetic. It must not know where the numbers come from. Keys and values have a bound of their own
//! ([`crate::memory`]), which is reached only as sequences grow: that both may come to be too much is a warning.

use crate::error::EngineError;

/// # Errors
/// [`EngineError::Load`] if the weights take more bytes than are free. Where nobody knows what is free, loading shows it.
pub(crate) fn check(weights: u64, cached: u64, free: Option<u64>) -> Result<(), EngineError> {
    let Some(free) = free else { return Ok(()) };
    if weights > free {
        return Err(EngineError::load(format!(
            "the model's weights take {} of memory while they load, and {} is free (on the CPU quantised ones take less: `quantize`, or \
             a GGUF file)",
            size(weights),
            size(free)
        )));
    }
    if weights.saturating_add(cached) > free {
        tracing::warn!(
            "weights ({}) and what keys and values may take ({}) are more than the free memory of {}",
            size(weights),
            size(cached),
            size(free)
        );
    }
    Ok(())
}

/// For people.
fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{bytes} bytes"),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_numbers() {
        let said = check(15 << 30, 0, Some(3 << 29)).unwrap_err().to_string();
        assert!(said.contains("15.0 GiB") && said.contains("1.5 GiB is free") && said.contains("quantize"), "{said}");
        assert!(check(1 << 30, 8 << 30, Some(2 << 30)).is_ok(), "keys and values come to it later, or never");
        assert!(check(u64::MAX, 0, None).is_ok());
    }
}
