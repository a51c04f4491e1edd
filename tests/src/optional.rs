//! Tests that need more than a Rust toolchain and a C compiler: they run where what they need is named, and say loudly that they do not
//! run elsewhere.
//!
//! Apart so that all of them say it alike. It must not know what they need it for.

use std::io::Write;

/// Says that something was not tried. Not by `eprintln!`, which the test harness keeps to itself while the test passes.
pub fn skipped(what: &str) {
    // Where nobody reads, nobody misses it.
    drop(writeln!(std::io::stderr(), "\nSKIPPED: {what}"));
}

/// Whether `GATEWRIGHT_TESTS_WITH` names this: then it must be there, and the test fails without it.
pub fn named(what: &str) -> bool {
    std::env::var("GATEWRIGHT_TESTS_WITH").unwrap_or_default().split([',', ' ']).any(|name| name == what)
}
