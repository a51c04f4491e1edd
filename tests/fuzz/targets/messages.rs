//! Anthropic's Messages: any bytes are a request, an answer or a fault; what was read can be written for clients of every dialect.
//!
//! Apart because a client's and an upstream's bytes are anyone's. It must not know plugins.
#![no_main]

use bytes::Bytes;
use gatewright::dialects::anthropic_messages::AnthropicMessages;
use gatewright::dialects::{ALL, Asked, Begin, Dialect};
use gatewright_types::{Chunk, Completion, gather_into};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = AnthropicMessages.read(bytes, &Asked::default()) {
        for dialect in ALL {
            if let Ok(body) = dialect.write(&request) {
                dialect.read(&body, &Asked::default()).expect("what was written is a request");
            }
        }
    }
    let mut writers: Vec<_> = ALL.iter().map(|dialect| dialect.events(Begin::default())).collect();
    let mut whole = Completion::default();
    let mut reader = AnthropicMessages.reader();
    let lines = bytes.split(|byte| *byte == b'\n').map(Bytes::copy_from_slice);
    let events = lines.filter_map(|line| reader.event(line).ok().flatten());
    for chunk in AnthropicMessages.read_body(Bytes::copy_from_slice(bytes)).into_iter().chain(events) {
        let touched = Chunk { raw: None, ..chunk.clone() };
        writers.iter_mut().for_each(|writer| drop((writer.event(&chunk), writer.event(&touched))));
        gather_into(&mut whole, touched);
    }
    writers.iter_mut().for_each(|writer| drop(writer.end()));
    ALL.iter().for_each(|dialect| drop(dialect.whole(&whole, &Begin::default())));
});
