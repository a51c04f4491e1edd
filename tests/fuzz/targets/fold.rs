//! The folding of actions: whatever a guest answers is refused, or comes to what a naive model says.
//!
//! Apart because offsets are a stranger's. It must not know guests: the actions are made up.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| gatewright_plugins::trial::fold(bytes));
