//! The readers of answers, whole and in events: any bytes are an answer or a fault, and what was read can be written for a client.
//!
//! Apart because an upstream's bytes are anyone's. It must not know plugins.
#![no_main]

use bytes::Bytes;
use gatewright::dialects::openai_chat::delta::{Reader, read_body};
use gatewright::dialects::openai_chat::write::{Begin, EventWriter, whole};
use gatewright_types::{Chunk, Completion, gather_into};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut writer = EventWriter::new(Begin { include_usage: true, ..Begin::default() });
    let mut write = |chunk: Chunk| {
        // As it came, and as if a plugin had touched it.
        writer.event(&chunk);
        let touched = Chunk { raw: None, ..chunk };
        if let Some(frame) = writer.event(&touched) {
            assert!(frame.starts_with(b"data: ") && frame.ends_with(b"\n\n"));
        }
        let mut completion = Completion::default();
        gather_into(&mut completion, touched);
        whole(&completion);
    };
    if let Ok(chunk) = read_body(Bytes::copy_from_slice(bytes)) {
        write(chunk);
    }
    let mut reader = Reader::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(Some(chunk)) = reader.event(Bytes::copy_from_slice(line)) {
            write(chunk);
        }
    }
});
