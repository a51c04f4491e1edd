//! What one request and one chunk cost in the dialect, without any network. What fails ends the run: it would pass for a fast one.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use gatewright::dialects::openai_chat::{delta, request, write};

const EVENT: &[u8] = br#"{"id":"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWx","object":"chat.completion.chunk","created":1748000000,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_07871e2ad8","choices":[{"index":0,"delta":{"content":" hello"},"logprobs":null,"finish_reason":null}],"usage":null}"#;

fn body() -> Vec<u8> {
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(16);
    format!(
        r#"{{"model":"gpt-4o","messages":[{{"role":"system","content":"You are helpful."}},{{"role":"user","content":"{text}"}},
        {{"role":"assistant","content":"Yes?"}},{{"role":"user","content":"Go on, with \"quotes\" and\nlines."}}],
        "temperature":0.7,"max_tokens":256,"stream":true,"stream_options":{{"include_usage":true}},"user":"u-1","metadata":{{"a":"b"}}}}"#
    )
    .into_bytes()
}

fn dialect(criterion: &mut Criterion) {
    let body = body();
    criterion
        .bench_function(&format!("request read, {} bytes", body.len()), |b| b.iter(|| request::read(black_box(&body)).unwrap()));
    let read = request::read(&body).unwrap();
    criterion.bench_function("request write", |b| b.iter(|| request::write(black_box(&read))));
    let event = Bytes::from_static(EVENT);
    let mut reader = delta::Reader::default();
    let mut writer = write::EventWriter::new(write::Begin::default());
    criterion.bench_function("chunk read", |b| b.iter(|| reader.event(black_box(event.clone())).unwrap()));
    let mut chunk = delta::read_event(event).unwrap().unwrap();
    criterion.bench_function("chunk write, untouched", |b| b.iter(|| writer.event(black_box(&chunk)).unwrap()));
    chunk.raw = None;
    criterion.bench_function("chunk write, edited", |b| b.iter(|| writer.event(black_box(&chunk)).unwrap()));
}

criterion_group!(benches, dialect);
criterion_main!(benches);
