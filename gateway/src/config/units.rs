//! Lengths of time and amounts of bytes as people write them.
//!
//! Apart because it is pure and the only place that knows the units. It must not know which key asks.

use std::time::Duration;

const SPAN_HINT: &str = "write it like `500ms`, `30s`, `5m`, `1h30m` or `7d`";
const SIZE_HINT: &str = "write it like `512B`, `64KiB`, `8MiB`, `1GiB` or `10MB`";
/// What a length of time may come to: ten years.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Reads a length of time; more than zero and at most ten years.
///
/// # Errors
/// What is wrong, and how to write it.
pub(crate) fn span(text: &str) -> Result<Duration, (String, &'static str)> {
    let wrong = || (format!("`{text}` is not a length of time"), SPAN_HINT);
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (number, unit, after) = part(rest).ok_or_else(wrong)?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let millis = number.checked_mul(millis).ok_or_else(wrong)?;
        total = total.checked_add(Duration::from_millis(millis)).ok_or_else(wrong)?;
        rest = after;
    }
    match total {
        Duration::ZERO => Err(wrong()),
        total if total > LONGEST => Err((format!("`{text}` is too long"), "at most ten years")),
        total => Ok(total),
    }
}

/// Reads an amount of bytes; more than zero.
///
/// # Errors
/// What is wrong, and how to write it.
pub(crate) fn size(text: &str) -> Result<u64, (String, &'static str)> {
    let wrong = || (format!("`{text}` is not an amount of bytes"), SIZE_HINT);
    let (number, unit, after) = part(text.trim()).ok_or_else(wrong)?;
    let unit = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000_u64,
        _ => return Err(wrong()),
    };
    match number.checked_mul(unit) {
        Some(bytes) if bytes > 0 && after.is_empty() && i64::try_from(bytes).is_ok() => Ok(bytes),
        _ => Err(wrong()),
    }
}

/// The first number, its unit, and what follows.
fn part(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number = text[..digits].parse().ok()?;
    let text = text[digits..].trim_start();
    let letters = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    Some((number, &text[..letters], text[letters..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        for (text, millis) in [("30s", 30_000), ("500ms", 500), ("1h30m", 5_400_000), ("2 m", 120_000), ("7d", 604_800_000)] {
            assert_eq!(span(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for wrong in ["", "30", "s", "0s", "-1s", "1.5s", "30 seconds", "99999999999999999999s", "200000d", "5m x"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn amounts_of_bytes() {
        for (text, bytes) in [("8MiB", 8 << 20), ("1 GiB", 1 << 30), ("10MB", 10_000_000), ("512B", 512)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "8", "8mib", "0B", "-8B", "8MiB4KiB", "99999999999GiB", "MiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
