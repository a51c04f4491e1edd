//! Standard output: what a command was run for.
//!
//! Apart because `println!` panics when nobody reads any more. It must not know what is said.

use std::io::{self, Write};

/// Prints a text, and sees to it that it was taken.
///
/// # Errors
/// When it was not: whoever asks knows whether that matters.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
