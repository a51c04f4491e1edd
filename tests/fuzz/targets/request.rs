//! The reader of requests: any bytes are a request or a fault; what is written of a request is read as the same request.
//!
//! Apart because a client's bytes are anyone's. It must not know what is done with a request.
#![no_main]

use gatewright::dialects::openai_chat::request::{read, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(first) = read(bytes) else { return };
    let written = write(&first);
    let second = read(&written).expect("what was written is a request");
    assert_eq!(write(&second), written, "{}", String::from_utf8_lossy(bytes));
});
