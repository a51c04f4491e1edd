//! The hold-back window: plugins in a chain give the same text however a stream is cut, lose nothing, and cut no grapheme.
//!
//! Apart because the promise of streaming rests on it. It must not know how a window is kept: the trial sees what comes out.
#![no_main]

use std::sync::LazyLock;

use gatewright_plugins::trial::Streams;
use libfuzzer_sys::fuzz_target;

static STREAMS: LazyLock<Streams> = LazyLock::new(Streams::new);

fuzz_target!(|bytes: &[u8]| STREAMS.check(bytes));
